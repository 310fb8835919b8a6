"""Plants and days drawn by seed, what a run on them says, and the floor below which the engine must not fall on them."""

import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from recmodel.lab.benchmark import contest, kept
from recmodel.lab.benchmark.contest import Heat, Outcome, run_heat
from recmodel.lab.benchmark.cost_parts import PARTS, cheapest_by_belief, cheapest_cost
from recmodel.lab.benchmark.drawn import main
from recmodel.lab.benchmark.drawn_days import BURST_FACTOR, KINDS, draw_day
from recmodel.lab.benchmark.kept import Store, kept_or_run
from recmodel.lab.benchmark.marked import DRAWN, WORTH, section_of, with_section, with_sections_of
from recmodel.lab.benchmark.plants import FAMILIES, MOST_PER_SECOND, PRICE_STEP, draw_plant
from recmodel.lab.benchmark.releases import longest_unreleased_minutes
from recmodel.lab.benchmark.standings import best_ratio, section
from recmodel.lab.controllers import clairvoyant
from recmodel.lab.controllers.baselines import Keda
from recmodel.lab.controllers.hindsight import SettingRun
from recmodel.lab.simulator.scenario import EDGES_SECONDS, PoolScenario
from recmodel.lab.simulator.simulation import simulate

ROOT = Path(__file__).resolve().parents[3]
QUICK_REQUESTS = 5_000  # in a measurement of a capacity: to a few percent, which is enough here
drawn = cache(draw_plant)
# An hour from nothing known, most of it spent learning: days reach far less.
FLOOR_OVER_RATIO, FLOOR_COST_RATIO = 0.08, 2.0
FLOOR_HEATS = [Heat("tiny fleet", "calm", 0, 1.0), Heat("parity", "calm", 0, 1.0)]
TRACES = sorted((ROOT / "demo/data/traces").glob("*.csv.gz"))


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Short measurements; and a plant that a heat has drawn is the same each time, so it is drawn once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clairvoyant, "REQUESTS", QUICK_REQUESTS)
        patch.setattr(contest, "draw_plant", drawn)
        yield


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plant_is_what_its_family_says_and_the_same_each_time(family: str) -> None:
    ranges, plant = FAMILIES[family], draw_plant(family, 5)
    cpu, gpu = plant.scenario.pools
    assert plant.scenario == draw_plant(family, 5).scenario
    pods = int(np.searchsorted(plant.tables["cpu"], plant.peak_per_second))
    assert pods in ranges.pods
    assert plant.peak_per_second <= MOST_PER_SECOND
    assert plant.scenario.threshold_seconds in EDGES_SECONDS
    gpus = int(np.searchsorted(plant.tables["gpu"], plant.peak_per_second))
    cpu_each, gpu_each = plant.tables["cpu"][pods] / pods, plant.tables["gpu"][gpus] / gpus
    low, high = ranges.gpu_size
    assert 0.8 * low <= gpu_each / cpu_each <= 1.2 * high
    low, high = ranges.price_ratio
    assert 0.85 * low <= (gpu.price - PRICE_STEP) / (gpu_each / cpu_each)
    assert (gpu.price + PRICE_STEP) / (gpu_each / cpu_each) <= 1.15 * high
    assert ranges.workers[0] <= cpu.workers <= ranges.workers[1]
    assert ranges.gpu_start_seconds[0] <= gpu.startup_seconds <= ranges.gpu_start_seconds[1]


def test_another_seed_draws_another_plant() -> None:
    assert drawn("tiny fleet", 0).scenario != drawn("tiny fleet", 1).scenario


def test_the_first_load_finds_cpu_pods_that_carry_it() -> None:
    plant = drawn("coarse GPU", 0)
    cpu, gpu = plant.running(0.5 * plant.peak_per_second, 60.0).pools
    assert plant.tables["cpu"][cpu.initial_replicas] > 0.5 * plant.peak_per_second
    assert gpu.initial_replicas == 0


def test_a_cold_start_begins_with_one_pod_that_the_first_load_overruns() -> None:
    plant = drawn("cold start", 0)
    cpu, gpu = plant.running(0.5 * plant.peak_per_second, 60.0).pools
    assert (cpu.initial_replicas, gpu.initial_replicas) == (1, 0)
    assert plant.tables["cpu"][1] < 0.5 * plant.peak_per_second


@pytest.mark.parametrize("kind", KINDS)
def test_a_day_has_a_peak_of_one_and_is_the_same_each_time(kind: str) -> None:
    day = draw_day(kind, 3, 2.0, TRACES)
    assert np.array_equal(day.rates, draw_day(kind, 3, 2.0, TRACES).rates)
    assert not np.array_equal(day.rates, draw_day(kind, 4, 2.0, TRACES).rates)
    assert day.rates.shape == (7200,)
    assert day.rates.max() == 1.0
    assert day.rates.min() >= 0.0
    assert (day.history is not None) == (kind == "trace")


def test_bursts_last_six_minutes_at_four_times_the_load() -> None:
    rates = draw_day("bursts", 1, 6.0, ()).rates
    smooth = rates.reshape(-1, 60).mean(1)
    jumps = smooth[3:] / smooth[:-3]
    assert BURST_FACTOR * 0.8 < jumps.max() < BURST_FACTOR * 1.25
    struck = (smooth > 2.0 * np.median(smooth)).sum()
    assert struck >= 5
    assert struck <= 0.6 * len(smooth)


def test_a_trace_needs_a_day_before_it() -> None:
    with pytest.raises(ValueError, match="two days"):
        draw_day("trace", 0, 2.0, ())


def test_the_cheapest_whole_replicas_are_found_by_tables_and_by_belief() -> None:
    pools = (PoolScenario("cpu", max_replicas=4), PoolScenario("gpu", "batch", 0, 2, price=2.5))
    tables = {"cpu": 10.0 * np.arange(5), "gpu": 40.0 * np.arange(3)}
    load = np.array([5.0, 10.0, 21.0, 45.0, 1000.0])
    # One CPU pod at least; a GPU and a CPU pod are dearer than three CPU pods; the last load is beyond the limits.
    assert cheapest_cost(pools, tables, load).tolist() == [1.0, 1.0, 3.0, 3.5, 9.0]
    each = np.tile([10.0, 40.0], (5, 1))
    assert cheapest_by_belief(pools, each, load).tolist() == [1.0, 1.0, 3.0, 3.5, 9.0]
    alone = np.tile([10.0, np.nan], (5, 1))
    assert cheapest_by_belief(pools, alone, load).tolist() == [1.0, 1.0, 3.0, 9.0, 9.0]


@pytest.fixture(scope="module")
def known_runs() -> dict[str, SettingRun]:
    return {}


@pytest.fixture(scope="module")
def outcome(known_runs: dict[str, SettingRun]) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contest, "SHARES", (0.0, 0.75))  # a search of two shares goes the same ways
        return run_heat(Heat("tiny fleet", "calm", 2, 0.6, told=True), TRACES, known_runs)


def test_the_parts_add_up_to_the_cost_above_the_clairvoyant(outcome: Outcome) -> None:
    assert set(outcome.parts) == set(PARTS)
    assert sum(outcome.parts.values()) == pytest.approx(outcome.cost - outcome.bound_cost)
    assert 0.0 < outcome.rounding < outcome.bound_cost


def test_who_is_told_the_truth_decides_otherwise(outcome: Outcome) -> None:
    costs = {told.cost for told in outcome.told.values()}
    assert len(outcome.told) == 4
    assert len(costs) == 4
    assert outcome.cost not in costs
    assert outcome.told["both, for the whole budget"].cost < outcome.cost


def floor(heat: Heat, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the engine, or who stands for it, stays above it."""
    monkeypatch.setattr(contest, "RIVALS", ())
    outcome = run_heat(heat, TRACES, {})
    return outcome.over_ratio <= FLOOR_OVER_RATIO and outcome.cost <= FLOOR_COST_RATIO * outcome.bound_cost


@pytest.mark.parametrize("heat", FLOOR_HEATS, ids=str)
def test_the_engine_stays_above_the_floor_on_drawn_plants(heat: Heat, monkeypatch: pytest.MonkeyPatch) -> None:
    assert floor(heat, monkeypatch)


@pytest.mark.parametrize("target", [0.35, 1.2], ids=["too dear", "too late"])
def test_a_careless_setting_falls_below_the_floor(target: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "EngineController", lambda scenario, _: Keda(scenario, target, 0.0))
    assert not floor(FLOOR_HEATS[1], monkeypatch)


@pytest.mark.parametrize(
    ("ordered", "longest"), [((3, 3, 3, 3), 4), ((3, 3, 2, 2), 2), ((2, 2, 2, 2), 4), ((1, 1, 1, 1), 0)]
)
def test_far_too_much_that_stays_is_counted(ordered: tuple[int, ...], longest: int, outcome: Outcome) -> None:
    plant = drawn(outcome.heat.family, outcome.heat.seed)
    rates = np.full(60 * len(ordered), 0.4 * float(plant.tables["cpu"][1]))
    by_minute = {"cpu": np.array(ordered, float), "gpu": np.zeros(len(ordered))}
    result = simulate(plant.running(1.0, 0.0), rates, Keda(plant.scenario, 0.6, 0.0))
    result = replace(result, replicas=by_minute, ready=by_minute)
    assert longest_unreleased_minutes(plant, rates, result) == longest


def test_a_search_for_other_minutes_over_goes_on_from_what_was_run(
    outcome: Outcome, known_runs: dict[str, SettingRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "SHARES", (0.0, 0.75))
    before = dict(known_runs)
    again = run_heat(replace(outcome.heat, told=False), TRACES, known_runs)
    assert again == replace(outcome, heat=again.heat, told={})
    assert known_runs == before  # nothing was run again


def test_the_section_has_each_figure_once_computed(outcome: Outcome) -> None:
    ratio = best_ratio(outcome)
    assert ratio is not None
    other = replace(outcome, heat=replace(outcome.heat, seed=3), cost=1.1 * outcome.cost)
    text = section([outcome, other], "the command")
    assert "Made by `the command`: 2 runs, seeds 2, 3, 0.6 hours each." in text
    assert f"{1.05 * ratio:.3f} ± {0.05 * ratio:.3f} | {1.1 * ratio:.3f}" in text
    assert "| tiny fleet | 2 |" in text
    assert "The engine on 2 of the runs again" in text
    assert "was not run told the truth" in section([replace(outcome, told={})], "the command")
    assert "nan" not in text


@pytest.mark.parametrize(
    ("ratios", "verdict"),
    [
        ((0.80, 0.82), "0.810 | ± 0.010 | met |"),
        ((0.80, 0.96), "0.880 | ± 0.080 | met, within the noise |"),
        ((0.95, 0.97), "0.960 | ± 0.010 | **not met** |"),
        ((0.80, 1.10), "0.950 | ± 0.150 | **not met**, within the noise |"),
    ],
)
def test_a_goal_is_met_or_not_and_whether_by_more_than_the_noise(
    ratios: tuple[float, ...], verdict: str, outcome: Outcome
) -> None:
    best = outcome.best_cost
    assert best is not None
    text = section([replace(outcome, cost=ratio * best) for ratio in ratios], "the command")
    assert f"| cost over the best HPA or KEDA, mean | 0.900 | {verdict}" in text
    above = sum(ratio > 1.0 for ratio in ratios)
    assert f"| {max(ratios):.3f} | {above} of 2 above | {'**not met**' if above else 'met'} |" in text


def test_a_section_is_replaced_and_the_rest_of_the_page_stays() -> None:
    once = with_section("# Page\n\ntext\n", DRAWN, "## One")
    assert section_of(once, DRAWN) == "## One"
    twice = with_section(once + "\nafter\n", DRAWN, "## Two")
    assert section_of(twice, DRAWN) == "## Two"
    assert twice.startswith("# Page\n\ntext\n\n")
    assert twice.endswith("\n\nafter\n")
    assert with_section(twice, DRAWN, "") == "# Page\n\ntext\n\nafter\n"


def test_a_new_page_keeps_the_sections_of_other_commands() -> None:
    before = with_section(with_section("# Old\n", DRAWN, "## Drawn"), WORTH, "## Worth")
    after = with_sections_of("# New\n", before)
    assert (section_of(after, DRAWN), section_of(after, WORTH)) == ("## Drawn", "## Worth")
    assert after.startswith("# New\n")
    assert "Old" not in after


def test_an_interrupted_run_goes_on_and_a_change_of_the_engine_keeps_the_runs(
    outcome: Outcome, known_runs: dict[str, SettingRun], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = []

    def run(heat: Heat, _: object, known: dict[str, SettingRun]) -> Outcome:
        runs.append(len(known))
        known.update(known_runs)
        return replace(outcome, heat=heat)

    monkeypatch.setattr(kept, "run_heat", run)  # what it runs has tests of its own
    engine = tmp_path / "engine.py"
    engine.write_text("1")
    monkeypatch.setattr(kept, "ENGINE_SOURCES", (engine, *kept.ENGINE_SOURCES))
    monkeypatch.setenv("RECMODEL_CACHE", str(tmp_path))
    assert kept_or_run(outcome.heat, TRACES, Store.of(TRACES)) == (outcome, False)
    assert kept_or_run(outcome.heat, TRACES, Store.of(TRACES)) == (outcome, True)
    engine.write_text("2")
    assert kept_or_run(outcome.heat, TRACES, Store.of(TRACES)) == (outcome, False)
    assert runs == [0, len(known_runs)]


def test_the_command_writes_its_section_and_tells_what_it_does(
    outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECMODEL_CACHE", str(tmp_path))
    monkeypatch.setattr(kept, "run_heat", lambda heat, *_: replace(outcome, heat=heat))
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    arguments = ["--family", "tiny fleet", "--day", "calm", "--hours", "1", "--seeds", "2"]
    assert main([*arguments, "--jobs", "1", "--page", str(page)]) == 0
    assert f"Made by `python -m recmodel.lab.benchmark.drawn {shlex.join(arguments)}`" in section_of(
        page.read_text(), DRAWN
    )
    assert "2/2 tiny fleet, calm, seed 1, 1 h: over" in capsys.readouterr().err
