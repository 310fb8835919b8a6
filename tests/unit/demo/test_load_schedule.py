"""The load schedule: the trace's own shape, its peak where it was asked for, the flash crowd where it is marked."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

LOAD = Path(__file__).resolve().parents[3] / "demo" / "load"
sys.path.insert(0, str(LOAD))

from arrivals import poisson, read_schedule  # noqa: E402
from schedule import DEFAULT_TRACE, Flash, build, compress, read_trace, steepest_rise  # noqa: E402


def test_the_window_is_the_lasting_rise_and_not_the_spike_or_the_dropout() -> None:
    rates = np.full(1000, 50.0)
    rates[100] = 500.0  # a spike of one step
    rates[300:305] = 0.1  # a dropout: the step after it looks like an endless rise
    rates[600:660] = np.linspace(50.0, 150.0, 60)
    rates[660:] = 150.0
    start = steepest_rise(rates, 90)
    assert 570 <= start <= 620
    assert steepest_rise(rates, 90, skip=700) >= 700


def test_a_trace_that_has_no_whole_window_is_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        steepest_rise(np.ones(10), 20)
    rates = np.ones(30)
    rates[::5] = 0.0
    with pytest.raises(ValueError, match="dropout"):
        steepest_rise(rates, 10)


def test_compression_keeps_the_shape_and_sets_the_peak() -> None:
    rates = np.array([10.0, 20.0, 40.0, 30.0])
    load = compress(rates, 61, 200.0)
    assert load.max() == pytest.approx(200.0)
    assert load[[0, 20, 40, 60]] == pytest.approx(rates * 5.0)
    assert np.all(np.diff(load[:41]) > 0)


def test_the_flash_crowd_multiplies_the_load_and_only_there() -> None:
    plain, none = build(np.full(100, 7.0), seconds=300, peak_per_second=50.0, flash=None)
    load, marked = build(np.full(100, 7.0), seconds=300, peak_per_second=90.0, flash=Flash(200.0, 40.0, 1.8))
    assert not none.any()
    assert plain == pytest.approx(50.0)
    assert load.max() == pytest.approx(90.0)
    assert load[~marked] == pytest.approx(50.0)
    assert set(np.flatnonzero(marked)) == set(range(201, 240))
    assert load[210] / load[0] == pytest.approx(1.8)


def test_the_script_writes_the_same_file_each_time_and_the_generator_reads_it(tmp_path: Path) -> None:
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file in files:
        subprocess.run(
            [sys.executable, str(LOAD / "schedule.py"), "--out", str(file), "--seconds", "480", "--peak", "160"],
            check=True,
            capture_output=True,
            timeout=30,
        )
    assert files[0].read_bytes() == files[1].read_bytes()
    rates = read_schedule(files[0])
    assert len(rates) == 480
    assert rates.max() == pytest.approx(160.0, abs=0.001)
    with files[0].open() as file:
        marks = [row["mark"] for row in csv.DictReader(file)]
    assert 30 <= marks.count("flash") <= 40
    # The chosen window really rises: the last fifth carries at least twice the first.
    assert rates[-96:].mean() > 2.0 * rates[:96].mean()


def test_the_shipped_traces_are_readable() -> None:
    for name in ("tencent_14.csv.gz", "nasa_jul95.csv.gz"):
        step_seconds, rates = read_trace(DEFAULT_TRACE.parent / name)
        assert step_seconds == 60.0
        assert len(rates) > 10 * 1440
        assert np.all(rates >= 0)


def test_a_trace_with_a_gap_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gap.csv"
    path.write_text("seconds,rps\n0,1\n60,2\n240,3\n")
    with pytest.raises(ValueError, match="uniform"):
        read_trace(path)


@pytest.mark.parametrize(
    "rows", ["0,5\n2,5\n", "0,5\n1,-1\n", "0,5\n1,nan\n", ""], ids=["a second is missing", "negative", "nan", "empty"]
)
def test_a_schedule_that_cannot_be_played_is_refused(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "schedule.csv"
    path.write_text("seconds,rps\n" + rows)
    with pytest.raises(ValueError, match=str(path)):
        read_schedule(path)


def test_arrivals_are_poisson_along_the_schedule() -> None:
    rates = np.array([0.0] * 50 + [20.0] * 400 + [80.0] * 400)
    times = poisson(rates, np.random.default_rng(3))
    assert np.all(np.diff(times) >= 0)
    counts = np.bincount(times.astype(int), minlength=len(rates))
    assert counts[:50].sum() == 0
    # Mean and variance of a Poisson count are equal; four standard errors of each at n = 400.
    for part, rate in ((counts[50:450], 20.0), (counts[450:], 80.0)):
        assert abs(part.mean() - rate) < 4.0 * (rate / 400) ** 0.5
        assert abs(part.var() / rate - 1.0) < 4.0 * (2.0 / 400) ** 0.5
    gaps = np.diff(times[(times > 450) & (times < 850)])
    assert abs(gaps.std() / gaps.mean() - 1.0) < 0.05  # exponential gaps: coefficient of variation 1
    assert np.array_equal(times, poisson(rates, np.random.default_rng(3)))
