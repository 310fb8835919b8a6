"""What each mechanism and number is worth: every change is what it says, is found without a list, and its row tells its noise."""

import ast
import importlib
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recmodel.core.forecast import candidates as forecast_candidates
from recmodel.core.forecast.candidates import CANDIDATES, LEVEL, TREND
from recmodel.core.plan import guards as chain
from recmodel.lab.benchmark import variations, worth
from recmodel.lab.benchmark.drawn_days import draw_day
from recmodel.lab.benchmark.marked import WORTH, section_of
from recmodel.lab.benchmark.rows import TROUBLES
from recmodel.lab.benchmark.variations import (
    Number,
    Variation,
    candidates,
    changed,
    guards,
    install,
    moved,
    moves,
    numbers,
)
from recmodel.lab.benchmark.worth_tables import Ran, section
from recmodel.lab.controllers import clairvoyant
from recmodel.lab.controllers.engine import EngineController
from recmodel.lab.controllers.fleet_engine import FleetEngine
from recmodel.lab.controllers.mechanisms import MECHANISMS, without
from recmodel.lab.simulator.scenario import CPU_POOL, GPU_POOL, Scenario
from recmodel.lab.simulator.simulation import simulate
from recmodel.lab.simulator.together import Row, simulate_together

pytestmark = pytest.mark.usefixtures("compiled_simulator")

NOTHING = Variation("nothing")


def source(module: str) -> str:
    return (variations.PACKAGE.parent / (module.replace(".", "/") + ".py")).read_text("utf-8")


def in_a_new_interpreter(code: str) -> str:
    head = "from recmodel.lab.benchmark.variations import Variation, install\n"
    return subprocess.run([sys.executable, "-c", head + code], capture_output=True, text=True, check=True).stdout


def test_the_numbers_are_those_that_the_core_has_when_it_runs() -> None:
    found = numbers()
    assert len(found) > 100
    assert len({(number.module, number.name) for number in found}) == len(found)
    for number in found:
        assert getattr(importlib.import_module(number.module), number.name) == number.value


def test_what_is_computed_from_other_numbers_is_none_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "a.py").write_text(
        "A = 3 * 60.0  # written down\nB: float = -0.5\nC, D = 1, 2\nE = A / 2\nF = (1.0, 2.0)\nG = True\nH = 'text'\nlower = 1\n"
    )
    assert [(number.name, number.value) for number in numbers(tmp_path)] == [
        ("A", 180.0),
        ("B", -0.5),
        ("C", 1),
        ("D", 2),
    ]


@pytest.mark.parametrize(
    ("value", "up", "down"),
    [(4, 5, 3), (2, 3, 1), (100, 125, 75), (-2, -3, -1), (0.6, 0.75, 0.45), (0.95, 0.9625, 0.9375), (-0.25, -0.3125, -0.1875)],
)  # fmt: skip
def test_a_number_moves_by_a_quarter_and_by_one_at_least(value: float, up: float, down: float) -> None:
    assert [moved(value, factor) for factor in variations.MOVES] == pytest.approx([up, down])
    assert type(moved(value, 1.25)) is type(value)


def test_every_move_of_every_number_is_in_the_changed_source() -> None:
    values = {(number.module, number.name): number.value for number in numbers()}
    for move in moves():
        before = source(move.module)
        namespace = {
            name: node
            for statement in changed(before, move).body
            if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None
            for name, node in variations._assigned(ast.Module([statement], []))
        }
        value = values[move.module, move.name]
        node = namespace[move.name]
        assert isinstance(node, ast.Constant)
        assert node.value == moved(value, move.factor) != value


def test_what_follows_from_a_number_follows_its_move_wherever_it_is_used() -> None:
    told = in_a_new_interpreter(
        "install(Variation('number', 'SCRAPE_AGE_TICKS', 'recmodel.core.arrays.fleet', 1.25))\n"
        "from recmodel.core.arrays import fleet\nfrom recmodel.core.capacity import probe\n"
        "print(fleet.SCRAPE_AGE_TICKS, probe.SCRAPE_AGE_TICKS, probe.PROBE_TICKS)"
    )
    from recmodel.core.capacity import probe

    assert told.split() == ["3", "3", str(probe.PROBE_TICKS + 1)]


def test_the_guards_are_those_of_the_chain_and_one_can_be_left_out() -> None:
    found = guards()
    assert [guard.name for guard in found] == [check.__name__ for check in chain.CHAIN]
    told = in_a_new_interpreter(
        f"install({found[2]!r})\nfrom recmodel.core.plan.guards import CHAIN\nprint(*(c.__name__ for c in CHAIN))"
    )
    assert told.split() == [guard.name for guard in found if guard != found[2]]


def test_a_change_of_what_is_not_there_or_is_loaded_already_is_refused() -> None:
    module = "recmodel.core.plan.guards"
    with pytest.raises(ValueError, match="has no number NONE"):
        changed(source(module), Variation("number", "NONE", module, 1.25))
    with pytest.raises(RuntimeError, match="loaded already"):
        install(guards()[0])


def test_the_candidates_are_those_of_the_forecast() -> None:
    assert len(candidates()) == CANDIDATES
    assert candidates()[TREND].name == "TREND"


def small(seed: int) -> tuple[Scenario, np.ndarray]:
    pools = (replace(CPU_POOL, initial_replicas=2), replace(GPU_POOL, initial_replicas=0))
    rates = 150.0 * draw_day("noisy", seed, 0.4, ()).rates
    return Scenario(pools, start_seconds=86400.0), rates


def test_a_row_of_the_fleet_is_what_it_is_alone() -> None:
    both = [small(seed) for seed in (0, 1)]
    engine = FleetEngine([scenario for scenario, _ in both], [None, None])
    together = simulate_together([Row(scenario, rates, 5) for scenario, rates in both], engine)
    for (scenario, rates), result in zip(both, together, strict=True):
        alone = simulate(scenario, rates, EngineController(scenario), 5)
        assert np.array_equal(result.cost, alone.cost)
        assert np.array_equal(result.late, alone.late)


def test_rows_that_do_not_tick_together_are_refused() -> None:
    scenario, rates = small(0)
    engine = FleetEngine([scenario, scenario], [None, None])
    with pytest.raises(ValueError, match="share start, tick and length"):
        simulate_together([Row(scenario, rates), Row(scenario, rates[:-60])], engine)


def test_a_candidate_that_is_never_chosen_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[set[int]] = []
    predict = forecast_candidates.predict

    def watched(*values: Any) -> Any:
        forecast, memory = predict(*values)
        chosen[-1].update(forecast.candidate.ravel().tolist())
        return forecast, memory

    monkeypatch.setattr(forecast_candidates, "predict", watched)
    scenario, rates = small(0)
    for never in (None, "LEVEL"):
        chosen.append(set())
        engine = FleetEngine([scenario], [None], never)
        simulate_together([Row(scenario, rates[:900])], engine)
        assert np.isfinite(engine._memory.forecast.loss).all()
    assert LEVEL in chosen[0]
    assert LEVEL not in chosen[1]


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_mechanism_is_left_out_wherever_the_core_uses_it_and_comes_back(mechanism: str) -> None:
    name = MECHANISMS[mechanism][0]

    def users() -> set[object]:
        return {vars(m)[name] for key, m in sys.modules.items() if key.startswith("recmodel.core.") and name in vars(m)}

    (whole,) = users()
    with without(mechanism):
        (other,) = users()
        assert other is not whole
        scenario, rates = small(0)
        engine = FleetEngine([scenario], [None])
        simulate_together([Row(scenario, rates[:600])], engine)  # what stands in its place fits
    assert users() == {whole}


def test_a_mechanism_whose_function_is_gone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MECHANISMS, "gone", ("no_such_function", lambda made: made))  # type: ignore[misc]
    with pytest.raises(LookupError, match="no_such_function, but 0 are"), without("gone"):
        pass


def test_a_change_with_which_the_engine_does_not_run_is_told_and_a_fault_of_the_engine_ends_the_run(
    tmp_path: Path,
) -> None:
    no_such = Variation("number", "NO_SUCH", "recmodel.core.pods", 1.25)
    ran, kept = worth.run(tmp_path / "no.rows", no_such, tmp_path)
    assert (ran, kept) == (Ran(error="ValueError: recmodel.core.pods has no number NO_SUCH"), False)
    assert worth.run(tmp_path / "no.rows", no_such, tmp_path) == (ran, True)
    with pytest.raises(RuntimeError, match="as it is: exit status 1"):
        worth.run(tmp_path / "no.rows", NOTHING, tmp_path)


NUMBERS = [Number("recmodel.core.a", name, 2.0) for name in ("LIVE", "IDLE", "BROKEN", "ABSENT")]


def both_ways(name: str, ran: Ran) -> dict[Variation, Ran]:
    return {Variation("number", name, "recmodel.core.a", factor): ran for factor in variations.MOVES}


def test_the_tables_tell_the_mean_its_error_and_what_is_noise() -> None:
    whole = Ran((1.0, 2.0, 4.0), (0.0, 0.01, 0.02))
    dearer = Ran((1.10, 2.22, 4.48), whole.over_ratios)  # 10, 11 and 12 % more
    later = Ran((1.01, 1.98, 4.0), (0.01, 0.02, 0.03))  # 1 % more, 1 % less, the same; a point more each
    ran = {
        NOTHING: whole,
        Variation("guard", "thrifty"): dearer,
        Variation("candidate", "PROMPT"): later,
        Variation("mechanism", "idle"): whole,
        Variation("mechanism", "vital"): Ran(error="ValueError: no"),
        **both_ways("LIVE", dearer),
        **both_ways("IDLE", whole),
        **both_ways("BROKEN", Ran(error="IndexError: no")),
    }
    text = section(ran, NUMBERS, ["a", "b", "c"], "A setting.")
    error = 1.0 / np.sqrt(3.0)
    assert f"| guard | `thrifty` | +11.00 ± {error:.2f} | +0.00 ± 0.00 | 3 | saves |" in text
    assert f"| candidate | `PROMPT` | +0.00 ± {error:.2f} | +1.00 ± 0.00 | 3 | keeps the objective |" in text
    assert "| mechanism | `idle` | +0.00 ± 0.00 | +0.00 ± 0.00 | 0 | no difference here |" in text
    assert "| mechanism | `vital` |  |  |  | does not run: ValueError: no |" in text
    assert f"| `a.LIVE` | 2 | **+11.00 ± {error:.2f}** | +0.00 ± 0.00 |" in text
    assert "No move of these makes a difference on any row: `a.IDLE`." in text
    assert "so they are no settings: `a.BROKEN`." in text
    assert "1 of 4 numbers were not moved in this run." in text


def test_the_command_runs_the_changes_asked_for_keeps_them_and_writes_its_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clairvoyant, "REQUESTS", 5_000)
    monkeypatch.setenv("RECMODEL_CACHE", str(tmp_path))
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    arguments = ["--family", "tiny fleet", "--day", "calm", "--hours", "0.2", "--only", "hold_when_blind"]
    assert worth.main([*arguments, "--jobs", "1", "--page", str(page)]) == 0
    text = section_of(page.read_text(), WORTH)
    rows = 1 + len(TROUBLES)
    assert f"Made by `python -m recmodel.lab.benchmark.worth {shlex.join(arguments)}`: 1 changes on {rows} rows" in text
    assert "| guard | `hold_when_blind` |" in text
    assert "No number was moved in this run." in text
    told = capsys.readouterr().err
    assert "2/2 without guard hold_when_blind\n" in told
    monkeypatch.setattr(subprocess, "run", None)  # nothing is run again
    assert worth.main([*arguments, "--jobs", "1", "--page", str(page)]) == 0
    assert section_of(page.read_text(), WORTH) == text
