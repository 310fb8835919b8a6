"""Each model of the gallery comes out as expected: what is made of it, what is refused, and why."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from builders import gallery
from builders.gallery import BEGIN, END, ENTRIES, Entry
from recmodel.variants import graph
from recmodel.variants.errors import InputError
from recmodel.variants.interpreter import Network
from recmodel.variants.opened import Opened
from recmodel.variants.plan import FULL

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.trait)
def test_a_model_comes_out_as_expected(entry: Entry, tmp_path: Path) -> None:
    found = gallery.outcome(entry, tmp_path, training=False)
    if isinstance(found, str):
        assert entry.refused
        assert entry.refused in found
        return
    assert not entry.refused
    made = {one.candidate.name for one in found.judged}
    assert made >= {FULL, *entry.made}
    if not entry.made:
        assert made == {FULL}
    assert not made & set(found.left_out)
    full = Opened(found.task)
    assert graph.scores(full.given, found.rows.columns) == pytest.approx(
        graph.scores(found.models[FULL], found.rows.columns), abs=1e-5
    )
    assert _can_be_trained(full) == entry.trained


def _can_be_trained(opened: Opened) -> bool:
    with contextlib.suppress(InputError):
        Network(opened.model)
        return True
    return False


def test_the_page_has_a_line_for_each() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    lines = page.split(BEGIN)[1].split(END)[0].strip().splitlines()[2:]
    assert [(line.split(" | ")[0].strip("| "), line.split(" | ")[1]) for line in lines] == [
        (entry.name, entry.trait) for entry in ENTRIES
    ]
