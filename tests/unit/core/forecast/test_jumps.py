"""Jumps of the load at the same time of each day are expected there, and nowhere else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recmodel.core.arrays.fleet import Floats
from recmodel.core.forecast import candidates, jumps, season
from recmodel.core.forecast.bootstrap import learn_history, seasonal_profile

DAY, AT, SIZE = 86400.0, 16 * 3600.0 + 240.0, 1.3  # at 16:04
BIN = int(AT // season.BIN_SECONDS)
ONE = np.zeros(1)


def falling(seconds: Floats, at: Floats | float = AT) -> Floats:
    """A calm day of 1,000 requests/s on which the load falls before and after it jumps by 30 %."""
    since = seconds % DAY - at
    return (
        1000.0
        * np.where((since >= 0) & (since < 3600.0), SIZE, 1.0)
        * (1.0 - 0.1 * np.sin(np.pi * (seconds % DAY) / DAY))
    )


@pytest.mark.parametrize(
    ("lowest", "newest", "expected"),
    [
        (320.0, 420.0, math.log(420.0 / 320.0)),
        (420.0, 320.0, 0.0),
        (5.0, 7.0, 0.0),  # what chance does to few requests
        (5.0, 40.0, jumps.LARGEST_JUMP),
        (1 / 60, 900.0, jumps.LARGEST_JUMP),  # the end of an outage
        (math.nan, 900.0, 0.0),
        (900.0, math.nan, 0.0),
    ],
)
def test_a_jump_is_a_rise_beyond_chance(lowest: float, newest: float, expected: float) -> None:
    assert jumps.jump(np.log([newest]), np.log([lowest]), 60.0)[0] == pytest.approx(expected)


def test_a_past_and_the_days_themselves_teach_the_same() -> None:
    days = 7
    seconds = np.arange(0.0, days * DAY, 60.0)
    told = seasonal_profile(seconds, falling(seconds)).jump.astype(float)
    memory = candidates.empty(1, 60.0)
    for now in seconds + 60.0:
        memory = candidates.observe(memory, falling(np.array([now - 60.0])), float(now), candidates.Counting(60.0))
    seen = memory.season.jump[0].astype(float)
    most = (1.0 - (1.0 - season.DAY_GAIN) ** days) * math.log(SIZE)
    for learned in (told, seen):
        assert learned[BIN] == pytest.approx(most, rel=0.03)
        assert np.delete(learned, [BIN, BIN + 1]).max() < 0.01


def upper(memory: candidates.ForecastMemory, now: float, horizon: float = 120.0) -> float:
    """The upper forecast over the load of now, after the twenty minutes before were seen."""
    for tick in np.arange(now - 1200.0, now + 1.0, 15.0):
        memory = candidates.observe(memory, falling(np.array([tick])), float(tick), candidates.Counting(15.0))
        forecast, memory = candidates.predict(memory, np.full((1, 1), horizon), float(tick), ONE)
    return float(forecast.upper[0, 0] / falling(np.array([now]))[0])


def test_it_is_expected_when_the_horizon_reaches_it_and_not_once_it_has_come() -> None:
    seconds = np.arange(0.0, 10 * DAY, 60.0)
    memory = learn_history(candidates.empty(1, 15.0), [(seconds, falling(seconds))])
    today = 10 * DAY
    assert upper(memory, today + AT - 1200.0) < 1.15
    assert upper(memory, today + AT - 120.0) > 0.98 * SIZE
    assert upper(memory, today + AT - 600.0, horizon=720.0) > 0.98 * SIZE, "a slow pool is told earlier"
    assert upper(memory, today + AT + 90.0) < 1.15


def test_a_day_without_it_costs_ten_minutes_and_is_half_forgotten_in_two() -> None:
    seconds = np.arange(0.0, 10 * DAY, 60.0)
    for missing in range(3):
        load = np.where(seconds < (10 - missing) * DAY, falling(seconds), falling(seconds, at=-DAY))
        left = float(seasonal_profile(seconds, load).jump[BIN])
        assert left == pytest.approx(0.7**missing * math.log(SIZE), rel=0.07)


def test_jumps_at_no_certain_time_are_expected_at_none() -> None:
    random = np.random.default_rng(3)
    seconds = np.arange(0.0, 14 * DAY, 60.0)
    at = np.repeat(random.uniform(0.0, DAY - 3600.0, 14), 1440)
    learned = seasonal_profile(seconds, falling(seconds, at)).jump.astype(float)
    assert np.sort(learned)[-3] < 0.5 * math.log(SIZE)
    assert np.median(learned) < 0.01


@pytest.mark.parametrize("horizon", [math.nan, math.inf, 1e12, 0.0])
def test_a_horizon_of_any_length_looks_an_hour_ahead_at_most(horizon: float) -> None:
    seconds = np.arange(0.0, 10 * DAY, 60.0)
    known = learn_history(candidates.empty(1, 15.0), [(seconds, falling(seconds))]).season
    for before, expected in ((2 * 3600.0, 0.0), (60.0, pytest.approx(math.log(SIZE), rel=0.1))):
        jump = known.jumps(np.full((1, 1), horizon), 10 * DAY + AT - before)
        assert jump[0, 0] == expected
