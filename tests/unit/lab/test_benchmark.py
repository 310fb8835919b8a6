"""The benchmark's machinery on an hour, and the floor below which the engine must not fall."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recmodel.core.forecast import bootstrap
from recmodel.core.types import Decision, PoolDecision, PoolForecast
from recmodel.lab.benchmark import __main__ as command
from recmodel.lab.benchmark import days
from recmodel.lab.benchmark.days import (
    CapacityError,
    Case,
    Judged,
    cut,
    engine_again,
    find_traces,
    judge,
    true_capacities,
)
from recmodel.lab.benchmark.fleet_cost import FleetCost
from recmodel.lab.benchmark.fleet_cost import main as decide_for
from recmodel.lab.benchmark.forecast_scores import Score, score_day
from recmodel.lab.benchmark.minute_models import MinuteForecaster, largest_within, last_hours
from recmodel.lab.benchmark.page import best_ratio, draw, page
from recmodel.lab.benchmark.sections import fleet_table
from recmodel.lab.controllers.ablations import WithoutLearning
from recmodel.lab.controllers.clairvoyant import clairvoyant
from recmodel.lab.controllers.engine import EngineController
from recmodel.lab.simulator.scenario import Floats
from recmodel.lab.simulator.simulation import Controller, simulate
from recmodel.lab.trace import Trace

pytestmark = pytest.mark.usefixtures("compiled_simulator")

ROOT = Path(__file__).resolve().parents[3]
TRACES = ROOT / "demo/data/traces"
FLOOR_OVER_RATIO, FLOOR_COST_RATIO = 0.02, 1.45  # an hour and a half, most of it spent learning: days reach far less
SMALL_PEAK = 700.0  # requests/s: quick to simulate


@pytest.fixture(scope="module")
def tables() -> dict[str, Floats]:
    return true_capacities(cut(TRACES / "tencent_14.csv.gz", hours=1.0).scenario)


@pytest.fixture
def short_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four hours of the past are run through: enough to learn how far forecasts are off."""
    monkeypatch.setattr(bootstrap, "REPLAY_SECONDS", 4 * 3600.0)


def morning(name: str) -> Case:
    return cut(TRACES / f"{name}.csv.gz", hours=1.5, first_hour=9.0, peak_per_second=SMALL_PEAK)


def outcome(case: Case, controller: Controller, tables: dict[str, Floats]) -> tuple[float, float]:
    """Share of the minutes over, and cost relative to the clairvoyant."""
    summary = simulate(case.scenario, case.rates, controller, seed=0).summary()
    return summary.minutes_over_ratio, summary.cost / clairvoyant(case.scenario, case.rates, tables).cost


@pytest.mark.usefixtures("short_past")
@pytest.mark.parametrize("name", ["tencent_14", "nasa_jul95"])
def test_the_engine_keeps_the_objective_near_the_clairvoyant(name: str, tables: dict[str, Floats]) -> None:
    case = morning(name)
    over, cost = outcome(case, EngineController(case.scenario, case.history), tables)
    assert over <= FLOOR_OVER_RATIO
    assert 1.0 <= cost <= FLOOR_COST_RATIO


@pytest.mark.usefixtures("short_past")
def test_an_engine_that_learns_no_capacity_falls_below_the_floor(tables: dict[str, Floats]) -> None:
    case = morning("tencent_14")
    over, cost = outcome(case, WithoutLearning(case.scenario, case.history), tables)
    assert over > FLOOR_OVER_RATIO or cost > FLOOR_COST_RATIO


@pytest.mark.usefixtures("short_past")
def test_a_stretch_is_judged_written_down_and_drawn(
    tables: dict[str, Floats], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(days, "SHARES", (0.8,))  # a search of one share is quick, and goes the same ways
    case = cut(TRACES / "tencent_14.csv.gz", hours=0.6, peak_per_second=300.0)
    told: list[float] = []
    judged = judge(case, tables, lambda _, done: told.append(done), ablate=True)
    assert judged.hours == 0.6
    assert judged.history_days == 14.0
    assert max(told) == 1.0
    assert judged.bound_cost < judged.engine.cost
    assert set(judged.ablations) == {"no forecast", "no joint plan", "no learning"}
    assert isinstance(judged.capacity_errors["cpu"][30], CapacityError)
    assert judged.seeds == (judged.engine,)
    # A dearer day stands for another seed: what another seed does has a test of its own, and a second run costs seconds.
    judged = replace(judged, seeds=(judged.engine, replace(judged.engine, cost=1.02 * judged.engine.cost)))
    fleet = decide_for(3)
    text = page([judged], [fleet], "the command", 0)
    assert f"| tencent_14 | 1 | 14.0 | {judged.engine.minutes_over_ratio:.2%} |" in text
    assert "Made by `the command`" in text
    assert_noise_is_told(text, judged)
    assert_it_is_kept(judged, tmp_path, monkeypatch)
    assert_a_short_trace_is_in_no_mean(judged)
    unmatched = replace(judged, best=None)
    assert best_ratio(unmatched) is None
    assert "so none is compared: tencent_14" in page([unmatched], [], "the command", 0)
    draw([judged, unmatched], tmp_path / "one.png")
    draw([judged, unmatched], tmp_path / "two.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def assert_it_is_kept(judged: Judged, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trace that was judged is not judged again, with the same seed and hours."""
    runs: list[int] = []

    def count(*_: object, seed: int, **__: object) -> Judged:
        runs.append(seed)
        return judged

    with monkeypatch.context() as patch:
        patch.setattr(command, "judge", count)
        for seed in (0, 0, 1):
            assert command.judge_trace(TRACES / "tencent_14.csv.gz", {}, True, seed, folder) == judged
    assert runs == [0, 1]


def assert_noise_is_told(text: str, judged: Judged) -> None:
    costs = np.array([summary.cost for summary in judged.seeds])
    assert f"a standard deviation of {costs.std(ddof=1) / costs.mean():.2%} on tencent_14" in text
    assert f"| tencent_14 | 2 | {costs.mean() / judged.bound_cost:.3f} |" in text
    assert "AutoETS and AutoTheta were not run" in text  # no score of theirs is among these
    once = page([replace(judged, seeds=judged.seeds[:1])], [], "the command", 0)
    assert "how much of a difference is noise was not measured" in once


def assert_a_short_trace_is_in_no_mean(judged: Judged) -> None:
    """A trace without a history, four times as dear, changes no mean and no judgement of the goal."""
    short = replace(judged, name="short", history_days=0.0, engine=replace(judged.engine, cost=4 * judged.engine.cost))
    ratio, dearer = best_ratio(judged), best_ratio(short)
    assert ratio is not None
    text = page([judged, short], [], "the command", 0)
    assert f"reached: {ratio:.3f} (the mean row's, of 1 compared)." in text
    assert f"in no mean: short ({dearer:.3f})." in text
    assert f"| **{ratio:.3f}** |" in text


def test_the_goals_of_a_decision_are_met_or_not_and_within_the_noise_or_not() -> None:
    text = fleet_table([FleetCost(1, 0.004, 0.006, 60.0), FleetCost(10_000, 0.4, 0.5, 501.0)])
    assert "| one tick of 1 model | 5 ms | 4.0 ms | 6.0 ms | met, within the noise |" in text
    assert "| one tick of 10,000 models | 1000 ms | 400.0 ms | 500.0 ms | met |" in text
    assert "| memory of 10,000 models | 500 MB | 501 MB |  | **not met** |" in text
    assert "goal" not in fleet_table([FleetCost(100, 0.004, 0.006, 60.0)])


def test_another_seed_brings_other_arrivals_and_the_same_seed_the_same() -> None:
    case = replace(
        cut(TRACES / "tencent_14.csv.gz", hours=0.1, peak_per_second=300.0), history=None
    )  # learning takes 1 s
    one, two, again = engine_again(case, (1, 2, 1), lambda *_: None)
    assert one.requests != two.requests
    assert (one.requests, one.late_ratio, one.cost) == (again.requests, again.late_ratio, again.cost)


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
    names = [path.name for path in find_traces()]
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


class Line:
    """A model of minutes whose forecast is easy to check: the last two go on; it counts what it is asked."""

    fits: list[int] = []

    def fit(self, y: Floats) -> object:
        self.fits.append(len(y))
        return self

    def forward(self, y: Floats, h: int) -> dict[str, Floats]:
        return {"mean": y[-1] + (y[-1] - y[-2]) * np.arange(1.0, h + 1.0)}


def test_a_fitted_model_sees_the_last_six_hours_at_every_tick_and_nothing_that_comes() -> None:
    Line.fits = []
    day = 100.0 + 0.01 * np.arange(8 * 3600.0)  # 0.6 more requests/s a minute
    ticks = np.arange(0.0, len(day), 15.0)
    forecast = MinuteForecaster(Line, np.zeros(0), day, lambda _: None)(ticks, 3)
    assert np.isnan(forecast[ticks < 3600.0]).all()
    later = ticks >= 3600.0
    known = ticks[later]
    assert np.allclose(forecast[later], (100.0 + 0.01 * (known[:, None] + 60.0 * np.arange(1, 4) - 30.5)), atol=1e-6)
    assert Line.fits[0] == 60
    assert Line.fits[-1] == 360
    assert len(Line.fits) == 7 * 12  # every five minutes
    other = np.where(np.arange(len(day)) < 4 * 3600, day, 7.0)
    changed = MinuteForecaster(Line, np.zeros(0), other, lambda _: None)(ticks, 3)
    assert np.array_equal(changed[ticks <= 4 * 3600.0], forecast[ticks <= 4 * 3600.0], equal_nan=True)
    assert not np.allclose(changed[-1], forecast[-1])


def test_a_history_by_the_minute_lets_a_model_speak_from_the_first_tick() -> None:
    forecast = MinuteForecaster(Line, np.full(3600, 50.0), np.full(60, 50.0), lambda _: None)(np.array([0.0, 15.0]), 1)
    assert np.allclose(forecast, 50.0)


@pytest.mark.parametrize(("step_seconds", "seconds"), [(60.0, 6 * 3600), (300.0, 0)])
def test_a_history_in_longer_steps_than_a_minute_is_not_fitted_to(step_seconds: float, seconds: int) -> None:
    history = Trace(0.0, step_seconds, np.full(round(86_400 / step_seconds), 3.0))
    assert len(last_hours(history)) == seconds
    assert len(last_hours(None)) == 0


@pytest.mark.parametrize(("horizon", "largest"), [(60.0, 11.0), (90.0, 12.0), (150.0, 13.0), (180.0, 13.0)])
def test_a_path_is_followed_up_to_the_horizon(horizon: float, largest: float) -> None:
    up, down = np.array([11.0, 13.0, 5.0]), np.array([9.0, 8.0, 7.0])
    assert largest_within(np.array([10.0, 10.0]), np.stack([up, down]), horizon).tolist() == [largest, 10.0]


def test_a_fitted_model_is_scored_like_the_simple_forecasters() -> None:
    rates = np.full(4 * 3600, 100.0)
    pools = {"cpu": PoolForecast(100.0, 150.0, 110.0)}
    decisions = [Decision(15.0 * i, {}, "Tracking", (), pools) for i in range(len(rates) // 15)]
    fitted = {"a line": MinuteForecaster(Line, np.zeros(0), rates, lambda _: None)}
    scores = score_day(rates, decisions, None, 15.0, fitted)["cpu"]
    assert scores["a line"] == Score(1.0, pytest.approx(0.0, abs=1e-9))
    assert scores["engine"] == score_day(rates, decisions, None, 15.0)["cpu"]["engine"]


def test_the_library_to_compare_with_is_in_the_benchmarks_lock_alone() -> None:
    locked = {path.name for path in ROOT.glob("requirements*.lock") if "\nstatsforecast==" in path.read_text("utf-8")}
    assert locked == {"requirements-bench.lock"}
