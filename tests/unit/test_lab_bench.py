"""The benchmark's machinery on an hour, and the floor below which the engine must not fall."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recmodel.core.types import Decision, PoolDecision, PoolForecast
from recmodel.lab import bench_days
from recmodel.lab.ablations import WithoutLearning
from recmodel.lab.bench_days import CapacityError, Case, cut, find_traces, judge, true_capacities
from recmodel.lab.bench_fleet import main as decide_for
from recmodel.lab.bench_page import best_ratio, draw, page
from recmodel.lab.clairvoyant import clairvoyant
from recmodel.lab.engine import EngineController
from recmodel.lab.forecast_scores import score_day
from recmodel.lab.scenario import Floats
from recmodel.lab.simulator import Controller, simulate

ROOT = Path(__file__).resolve().parents[2]
TRACES = ROOT / "demo/data/traces"
FLOOR_OVER_RATIO, FLOOR_COST_RATIO = 0.02, 1.45  # two hours, most of them spent learning: days reach far less
SMALL_PEAK = 700.0  # requests/s: quick to simulate


@pytest.fixture(scope="module")
def tables() -> dict[str, Floats]:
    return true_capacities(cut(TRACES / "tencent_14.csv.gz", hours=1.0).scenario)


def two_hours(name: str) -> Case:
    return cut(TRACES / f"{name}.csv.gz", hours=2.0, first_hour=9.0, peak_per_second=SMALL_PEAK)


def outcome(case: Case, controller: Controller, tables: dict[str, Floats]) -> tuple[float, float]:
    """Share of the minutes over, and cost relative to the clairvoyant."""
    summary = simulate(case.scenario, case.rates, controller, seed=0).summary()
    return summary.minutes_over_ratio, summary.cost / clairvoyant(case.scenario, case.rates, tables).cost


@pytest.mark.parametrize("name", ["tencent_14", "nasa_jul95"])
def test_the_engine_keeps_the_objective_near_the_clairvoyant(name: str, tables: dict[str, Floats]) -> None:
    case = two_hours(name)
    over, cost = outcome(case, EngineController(case.scenario, case.history), tables)
    assert over <= FLOOR_OVER_RATIO
    assert 1.0 <= cost <= FLOOR_COST_RATIO


def test_an_engine_that_learns_no_capacity_falls_below_the_floor(tables: dict[str, Floats]) -> None:
    case = two_hours("tencent_14")
    over, cost = outcome(case, WithoutLearning(case.scenario, case.history), tables)
    assert over > FLOOR_OVER_RATIO or cost > FLOOR_COST_RATIO


def test_an_hour_is_judged_written_down_and_drawn(
    tables: dict[str, Floats], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_days, "SHARES", (0.8,))  # a search of one share is quick, and goes the same ways
    case = cut(TRACES / "tencent_14.csv.gz", hours=1.0, peak_per_second=300.0)
    told: list[float] = []
    judged = judge(case, tables, lambda _, done: told.append(done), ablate=True)
    assert judged.hours == 1.0
    assert judged.history_days == 14.0
    assert max(told) == 1.0
    assert judged.bound_cost < judged.engine.cost
    assert set(judged.ablations) == {"no forecast", "no joint plan", "no learning"}
    assert isinstance(judged.capacity_errors["cpu"][30], CapacityError)
    fleet = decide_for(3)
    text = page([judged], [fleet], "the command", 0)
    assert f"| tencent_14 | 1 | 14.0 | {judged.engine.minutes_over_ratio:.2%} |" in text
    assert "Made by `the command`" in text
    unmatched = replace(judged, best=None)
    assert best_ratio(unmatched) is None
    assert "so none is compared: tencent_14" in page([unmatched], [], "the command", 0)
    draw([judged, unmatched], tmp_path / "one.png")
    draw([judged, unmatched], tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_a_cut_is_the_same_each_time_and_has_its_own_peak() -> None:
    one, two = (cut(TRACES / "nasa_jul95.csv.gz", hours=2.0) for _ in range(2))
    assert np.array_equal(one.rates, two.rates)
    assert one.rates.max() == pytest.approx(1500.0)
    assert one.history is not None
    assert one.history.seconds[-1] < one.scenario.start_seconds


def test_traces_are_found_once_each_and_a_folder_of_more_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECMODEL_TRACES", str(tmp_path))
    (tmp_path / "mine.csv.gz").write_bytes((TRACES / "tencent_14.csv.gz").read_bytes())
    names = [path.name for path in find_traces(ROOT)]
    assert names == ["mine.csv.gz", "nasa_jul95.csv.gz", "tencent_14.csv.gz"]


@pytest.mark.parametrize(("upper", "coverage", "pinball"), [(110.0, 1.0, 0.005), (90.0, 0.0, 0.095)])
def test_a_forecast_is_scored_by_how_often_it_holds_and_by_its_distance(
    upper: float, coverage: float, pinball: float
) -> None:
    rates = np.full(4 * 3600, 100.0)
    decisions = [
        Decision(15.0 * i, {"cpu": PoolDecision(1, 1.0)}, "Tracking", (), {"cpu": PoolForecast(100.0, 100.0, upper)})
        for i in range(len(rates) // 15)
    ]
    scores = score_day(rates, decisions, None, 15.0)["cpu"]
    assert set(scores) == {"engine", "EWMA", "Holt, damped"}
    assert scores["engine"].coverage_ratio == coverage
    assert scores["engine"].pinball_ratio == pytest.approx(pinball)  # 0.05 x 10 too much, or 0.95 x 10 too little
    assert scores["EWMA"].pinball_ratio == pytest.approx(0.0, abs=1e-9)
