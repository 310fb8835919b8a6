"""Loads: read, cut, smoothed, and brought to seconds; and what is made of them from end to end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recmodel.controller.settings import Settings
from recmodel.core.types import Model, Pool
from recmodel.decide import read_model
from recmodel.lab.backtest import as_in_the_benchmark, as_recorded, backtest, last_days, load_of_history
from recmodel.lab.benchmark.days import PEAK_PER_SECOND, cut, find_traces
from recmodel.lab.simulate import compare, scenario_of, write_figure
from recmodel.lab.trace import DAY_SECONDS, HISTORY_DAYS, Trace, read_trace, regular_trace

pytestmark = pytest.mark.usefixtures("compiled_simulator")

TENCENT = Path(__file__).parents[2] / "data" / "traces" / "tencent_14.csv.gz"
SAMPLE = Path(__file__).parents[3] / "manifests" / "samples" / "minimal.yaml"
MODEL = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 20, 1.0), Pool("gpu", 0, 4, 2.0)))
SMALL = replace(
    MODEL, pools=(Pool("cpu", 1, 2, 1.0), Pool("gpu", 0, 1, 2.0))
)  # what each size carries is soon measured


def test_a_stored_trace_is_read_cut_into_days_and_brought_to_seconds() -> None:
    trace = read_trace(TENCENT)
    assert trace.step_seconds == 60.0
    assert trace.days == pytest.approx(16.0, abs=0.1)
    load = trace.rescaled(peak_per_second=500.0)
    history, day = load.history_before(10), load.between(10, 11)
    assert history is not None
    assert history.days == 10.0
    assert history.seconds[-1] + 60.0 == day.start_seconds == 10 * 86400.0
    rates = day.per_second()
    assert len(rates) == 86400
    assert rates.mean() == pytest.approx(day.rates.mean(), rel=0.001)
    assert rates.max() <= 500.0


def test_the_history_of_a_day_is_what_lies_before_it_and_no_longer_than_is_read_of_one() -> None:
    load = Trace(0.0, 3600.0, np.arange(24 * 20.0))
    assert load.history_before(0) is None
    whole, part = load.history_before(14.5), load.history_before(1)
    assert whole is not None
    assert part is not None
    assert (whole.start_seconds, whole.days) == (0.5 * DAY_SECONDS, HISTORY_DAYS)
    assert (part.start_seconds, part.days) == (0.0, 1.0)
    assert Settings.model_fields["history_seconds"].default == HISTORY_DAYS * DAY_SECONDS


def test_seconds_lie_on_straight_lines_between_the_middles_of_steps() -> None:
    rates = Trace(0.0, 10.0, np.array([10.0, 20.0, np.nan, 40.0])).per_second()
    assert rates[4:15:10].tolist() == [10.0, 19.5]
    assert rates[24] == pytest.approx(29.5)  # the unknown step is bridged
    assert len(rates) == 40


def test_thin_counts_are_smoothed_and_thick_ones_left_alone() -> None:
    generator = np.random.default_rng(1)
    thin = Trace(0.0, 60.0, generator.poisson(48.0, 2000) / 60.0)
    smooth = thin.smoothed()
    assert smooth.rates[20:-20].std() < 0.45 * thin.rates.std()
    assert smooth.rates.mean() == pytest.approx(thin.rates.mean(), rel=0.01)
    thick = Trace(0.0, 60.0, np.full(100, 50.0))
    assert thick.smoothed() is thick


def test_a_load_of_one_row_is_none(tmp_path: Path) -> None:
    path = tmp_path / "load.csv"
    path.write_text("seconds,rps\n0,1\n")
    with pytest.raises(ValueError, match="at least two rows"):
        read_trace(path)


def test_samples_with_holes_become_a_regular_load() -> None:
    trace = regular_trace([30.0, 60.0, 150.0], [1.0, 2.0, 5.0], 30.0)
    np.testing.assert_equal(trace.rates, [1.0, 2.0, np.nan, np.nan, 5.0])
    begins = np.array([60.0, 120.0, 180.0])
    assert load_of_history(begins, np.array([1.0, np.nan, 3.0])).start_seconds == 60.0


def test_a_scenario_takes_the_models_limits_and_what_is_set() -> None:
    scenario = scenario_of(MODEL, ["gpu"], ["cpu.service_seconds=0.03", "gpu.startup_seconds=240", "timeout_seconds=2"])
    cpu, gpu = scenario.pools
    assert (cpu.kind, cpu.max_replicas, cpu.service_seconds) == ("worker", 20, 0.03)
    assert (gpu.kind, gpu.price, gpu.startup_seconds) == ("batch", 2.0, 240.0)
    assert scenario.timeout_seconds == 2.0
    for wrong in ("tpu.workers=2", "cpu.colour=2", "cpu.workers", "cpu.name=2"):
        with pytest.raises(ValueError, match=r"must be POOL.FIELD=NUMBER"):
            scenario_of(MODEL, [], [wrong])


def test_a_comparison_is_a_table_and_a_picture(tmp_path: Path) -> None:
    day = Trace(0.0, 60.0, 60.0 + 40.0 * np.sin(np.arange(15) / 3.0))
    scenario = scenario_of(SMALL, ["gpu"])
    told: list[tuple[str, float]] = []
    names = ("engine", "hpa:0.7:0.3", "static", "best:0.5")
    comparison = compare(scenario, day, names, progress=lambda name, done: told.append((name, done)))
    lines = comparison.table().splitlines()
    assert [line.split("  ")[0].split(" ")[0] for line in lines] == [
        "controller", "engine", "hpa:0.7:0.3", "static", "best", "clairvoyant",
    ]  # fmt: skip
    assert told[-1] == ("best:0.5", 1.0)
    path = tmp_path / "day.png"
    write_figure(comparison, path, "a test")
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="--controller magic: must be engine"):
        compare(scenario, day, ["magic"])
    with pytest.raises(ValueError, match=r"--controller hpa:70:0: must be .* at most 1"):
        compare(scenario, day, ["hpa:70:0"])  # in percent, as an HPA has it


def test_a_backtest_judges_the_last_days_with_what_lay_before_them() -> None:
    step_seconds = 600.0
    load = Trace(13 * 86400.0, step_seconds, 5.0 + 2.0 * np.sin(2.0 * np.pi * np.arange(288) * step_seconds / 86400.0))
    # Few decisions of one replica or two: this is about days, not about cost.
    scenario = scenario_of(
        replace(SMALL, pools=SMALL.pools[:1]), [], ["tick_seconds=600", "scrape_seconds=60", "window_seconds=600"]
    )
    days = {number: as_recorded(scenario, load, number) for number in last_days(load, 1)}
    tested = backtest(days, ("engine", "hpa:0.7:0"))
    assert list(tested.days) == [1]
    assert tested.days[1].results["engine"].scenario.start_seconds == 14 * 86400.0
    assert "all days\nengine: minutes over" in tested.table()
    assert "the engine" in str(tested.verdict())
    assert " hpa:0.7:0: " in str(tested.verdict())
    with pytest.raises(ValueError, match="3 days are to be judged"):
        last_days(load, 3)


def test_a_peak_means_what_it_means_in_the_benchmark() -> None:
    """The same load, history and plant: a row of the benchmark is the same run."""
    for name in ("tencent_14", "nasa_jul95"):  # in steps of a minute, and thin in steps of more
        path = next(path for path in find_traces() if path.name == f"{name}.csv.gz")
        load = read_trace(path)
        (number,) = last_days(load, 1)
        day = as_in_the_benchmark(scenario_of(read_model(SAMPLE), ["gpu"]), load, number, PEAK_PER_SECOND)
        row = cut(path)
        np.testing.assert_array_equal(day.load.per_second(), row.rates)
        assert day.history is not None
        assert row.history is not None
        np.testing.assert_array_equal(day.history.rates, row.history.rates)
        assert (day.history.start_seconds, day.load.start_seconds) == (
            row.history.start_seconds,
            row.scenario.start_seconds,
        )
        assert replace(day.scenario, calendar=row.scenario.calendar) == row.scenario
