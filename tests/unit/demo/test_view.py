"""The demo's live view: what it says, and that it says no more than is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from builders import demo_scenes as demo
from builders.demo_recmodel import nodes, recmodel
from watch import words
from watch.questions import questions
from watch.sample import Reading, judge
from watch.snapshot import Bracket
from watch.subject import subject
from watch.view import compact, render


def shown(renderable: object, width: int = 120) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    with console.file:
        console.print(renderable)
        return console.export_text()


def test_the_view_says_what_is_emulated_and_fits_its_width() -> None:
    text = shown(render(demo.scene(), 120))
    assert max(map(len, text.splitlines())) <= 120
    for word in (
        "demo/ranker",
        "nvidia.com/gpu emulated",
        "2 / 2",
        " 600",
        "50–60 ms",
        "FLASH CROWD",
        "98.1 %",
        "beside it: an HPA with its defaults",
        "3 / 4",
        "91.2 %",
        "120 of 9,000",
        "ForecastRise",
    ):
        assert word in text, f"{word} is missing in\n{text}"


def test_the_view_before_anything_is_known_shows_dashes() -> None:
    empty = replace(
        demo.scene(None),
        snapshot=judge(Reading(demo.START), subject(recmodel(), nodes("emulated")), questions("demo", "ranker")),
        clients=None,
        spent=None,
        beside=None,
        loads={},
        uppers={},
    )
    text = shown(render(empty, 100), 100)
    assert "waiting for the load generator" in text
    assert "– / –" in text
    assert "0/s" not in text.split("pool", 1)[1].split("within", 1)[0]


def test_one_line_for_where_there_is_no_terminal() -> None:
    line = compact(demo.scene())
    assert line.startswith(
        "[410/600 s] FLASH load 60/s (forecast up to 80/s)  cpu 2/2 w600 50–60ms  gpu (emulated) 1/1"
    )
    assert line.endswith("| HPA 3/4 91.2 % in time  cost 0.3500")
    assert "HPA" not in compact(replace(demo.scene(), beside=None))
    assert "\n" not in line


@pytest.mark.parametrize(
    ("bracket", "missed"),
    [
        (Bracket(0.1, 0.15), True),
        (Bracket(0.05, 0.1), False),
        (Bracket(0.075, 0.15), None),
        (Bracket(0.05, None), None),
        (None, None),
    ],
)
def test_an_objective_is_judged_only_where_the_bracket_decides_it(bracket: Bracket | None, missed: bool | None) -> None:
    assert words.missed(bracket, 0.1) is missed
