"""Tables and worked numbers: lateness from buckets, evidence that refutes, the capacity law, and the forecast's coverage."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from builders.followed_forecast import follow
from recmodel.core.arrays.fleet import Floats
from recmodel.core.arrays.observed import late_bracket
from recmodel.core.capacity import evidence
from recmodel.core.capacity.estimate import Capacity
from recmodel.core.capacity.posterior import law
from recmodel.core.forecast import candidates
from recmodel.core.forecast.candidates import Counting
from recmodel.core.reindex import OLD_VERSION_REQUESTS

NAN = math.nan


@pytest.mark.parametrize(
    ("latency", "rate", "errors", "expected"),
    [
        ({0.05: 101.0, 0.1: 115.3, math.inf: 118.2}, 118.2, 0.0, (0.0245, 0.0245)),  # the docstring's
        ({0.05: 80.0, 0.25: 95.0, math.inf: 100.0}, 100.0, 0.0, (0.05, 0.20)),  # no edge at the threshold
        ({0.25: 95.0, math.inf: 100.0}, 100.0, 0.0, (0.05, 1.0)),  # no edge below it
        ({0.05: 80.0}, 100.0, 0.0, (0.0, 0.20)),  # none above it, not even +Inf
        ({0.1: 100.0, math.inf: 100.0}, 100.0, 30.0, (0.30, 0.30)),  # failed fast is late
        ({0.1: 60.0, math.inf: 100.0}, 100.0, 30.0, (0.40, 0.40)),  # the failed are among the slow
        ({0.1: 101.0, math.inf: 101.0}, 100.0, 0.0, (0.0, 0.0)),  # buckets and counter are scraped apart
        ({0.1: 0.0, math.inf: 5.0}, 5.0, None, (1.0, 1.0)),
        (None, 100.0, 0.0, (NAN, NAN)),
        ({}, 100.0, 0.0, (NAN, NAN)),
        ({0.1: 0.0, math.inf: 0.0}, 0.0, 0.0, (NAN, NAN)),  # nothing was asked
        ({0.1: 1.0}, None, 0.0, (NAN, NAN)),
        ({0.1: NAN, math.inf: 100.0}, 100.0, 0.0, (NAN, NAN)),
        ({0.1: 99.0, math.inf: 100.0}, math.inf, 0.0, (NAN, NAN)),
    ],
)
def test_the_late_share_from_buckets(
    latency: Mapping[float, float] | None, rate: float | None, errors: float | None, expected: tuple[float, float]
) -> None:
    assert late_bracket(latency, rate, errors, 0.1) == pytest.approx(expected, abs=1e-4, nan_ok=True)
    if latency:  # 100 ms / 1000 is the same edge
        assert late_bracket(latency, rate, errors, 100 * 0.001) == pytest.approx(expected, abs=1e-4, nan_ok=True)


def told(load: float, late: float, requests: float = 2000.0) -> evidence.Sample:
    one = np.array([1.0])
    return evidence.Sample(
        load * one, np.array([4]), late * one, late * one, one, requests * one, NAN * one, 0.05 * one, 0.0 * one
    )


# What was seen, what is seen now, and the loads that are still believed afterwards.
REFUTED = [
    ([(50, 0.0), (100, 0.0), (150, 0.5)], (80, 0.3), {50, 80, 150}),  # late where more was good: that is wiped
    ([(50, 0.0), (100, 0.2), (150, 0.5)], (120, 0.0), {50, 120, 150}),  # good where less was late: that is wiped
    (
        [(50, 0.0), (104, 0.2)],
        (106, 0.0),
        {50, 104},
    ),  # within the noise of counting the load is the same: no contradiction
    ([(50, 0.0), (104, 0.2)], (102, 0.0), {50, 104}),  # less load, in the bin of what was late: it is not forgotten
    ([(50, 0.0), (100, 0.0), (150, 0.2)], (20, 0.0), {20, 50, 100, 150}),  # a quiet night forgets nothing
    ([(50, 0.0), (100, 0.01)], (150, 0.5), {50, 100, 150}),  # late at more load refutes nothing below
    ([(100, 0.03)], (90, 0.032), {90, 100}),  # noise is no contradiction
]


@pytest.mark.parametrize(("before", "now", "left"), REFUTED)
def test_evidence_is_forgotten_by_contradiction(
    before: list[tuple[float, float]], now: tuple[float, float], left: set[float]
) -> None:
    rows = (np.array([0]), np.array([0]))
    known = evidence.empty(1, 1)
    for load, late in [*before, now]:
        known = evidence.add(known, rows, told(load, late))[1]
    found = known.load[0, 0][known.weight[0, 0] > 0]
    assert sorted(np.round(found)) == sorted(left)


def test_more_of_the_same_tells_nothing_new() -> None:
    rows, known = (np.array([0]), np.array([0])), evidence.empty(1, 1)
    new = []
    for _ in range(20):
        _, known, _, fresh = evidence.add(known, rows, told(100.0, 0.01))
        new.append(bool(fresh[0]))
    assert new[0]
    assert not any(new[10:])
    assert known.weight.max() == evidence.LARGEST_WEIGHT


def test_too_much_at_less_than_was_known_is_news_within_a_bin_that_is_full() -> None:
    """84 and 81 requests/s a replica share a bin: a plan that stays below 84 alone would stay at 81, which is too much as well."""
    rows, known = (np.array([0]), np.array([0])), evidence.empty(1, 1)
    for load in [84.0] * 20 + [81.0] * 20:
        known = evidence.add(known, rows, told(load, 0.07))[1]
    assert known.smallest_bad(np.array([[0.05]]))[0, 0] < 81.0 * (1.0 + evidence.CONTRADICTION / math.sqrt(2000.0))


def test_a_load_is_tried_in_vain_once_it_was_asked_for_long_and_until_more_is_good_or_a_version_is_new() -> None:
    rows, known, planned = (np.array([0]), np.array([0])), evidence.empty(1, 1), np.array([[0.0325]])

    def ends(known: evidence.Evidence) -> float:
        return float(known.tried_in_vain(planned, known.proven(planned)[0])[0, 0])

    def asked(known: evidence.Evidence, load: float, most_late: float) -> evidence.Evidence:
        return evidence.add(known, rows, replace(told(load, 0.0), late_high=np.array([most_late])))[1]

    known = asked(asked(known, 100.0, 0.0), 130.0, 0.07)
    assert ends(known) == math.inf  # one tick may be a moment's trouble
    for _ in range(3):
        known = asked(known, 130.0, 0.07)
    assert ends(known) == pytest.approx(130.0)
    assert ends(asked(known, 100.0, 0.0)) == pytest.approx(130.0)  # the same is no news
    assert ends(asked(known, 140.0, 0.01)) == math.inf
    assert ends(replace(known, weight=np.minimum(known.weight, OLD_VERSION_REQUESTS))) == math.inf


@pytest.mark.parametrize(("night", "kept"), [((20.0, 0.21), True), ((50.0, 0.35), False)], ids=["night", "lighter"])
def test_a_quiet_night_on_shared_cores_forgets_nothing_of_the_day(night: tuple[float, float], kept: bool) -> None:
    """Two threads of a core are in each other's way: 10 ms a request alone, 15 ms where all are busy. At 20 requests/s it is 10.5 ms
    again, which says nothing of 66; 7 ms at 50 says that requests have become lighter.
    """
    rows, known = (np.array([0]), np.array([0])), evidence.empty(1, 1)
    for load, late, busy in [
        (30.0, 0.0, 0.35),
        (45.0, 0.0, 0.58),
        (60.0, 0.02, 0.87),
        (66.0, 0.3, 0.99),
        (night[0], 0.0, night[1]),
    ]:
        for _ in range(40):
            sample = replace(told(load, late), utilisation=np.array([busy]))
            known = evidence.add(known, rows, sample)[1]
    assert (known.smallest_bad(np.array([[0.05]]))[0, 0] < 70.0) == kept


def capacity(sharpness: float = 12.0) -> Capacity:
    one = np.ones((1, 1))
    return Capacity(
        saturation=160.0 * one,
        sharpness=sharpness * one,
        slack=-math.log(0.03) * one,
        caution=one,
        proven=0.0 * one,
        limit=np.inf * one,
        ceiling=np.inf * one,
        tried_in_vain=np.inf * one,
        promised=np.zeros((1, 1)),
        untroubled=one < 0,
        known=one > 0,
    )


def test_the_worked_numbers_of_the_law() -> None:
    assert capacity().per_replica(np.array([[4]])) == pytest.approx(133.0, abs=0.5)
    sharp = 12.0 * 4**0.4
    late = law(np.array([133.0 / 160.0]), np.array([sharp]), np.array([0.0]))
    assert late == pytest.approx(0.030, abs=0.001)
    assert law(np.array([0.0, 1.0, 5.0]), np.array([sharp] * 3), np.array([0.01] * 3)) == pytest.approx([0.01, 1, 1])
    loads = np.linspace(0.0, 2.0, 50)
    assert (np.diff(law(loads, np.full(50, sharp), np.zeros(50))) >= 0.0).all()
    carried = [float(capacity().per_replica(np.array([[n]]))[0, 0]) for n in (1, 2, 8, 64)]
    assert carried == sorted(carried)  # more replicas share better
    assert float(capacity(36.0).per_replica(np.array([[4]]))[0, 0]) > 133.0  # a sharp edge can be used further


def test_the_worked_numbers_of_the_prior_head_room() -> None:
    horizon = np.array([[60.0, 240.0]])
    memory = candidates.observe(candidates.empty(1, 15.0), np.array([100.0]), 15.0, Counting(15.0))
    told_now, _ = candidates.predict(memory, horizon, 15.0, np.zeros(1))
    assert told_now.quantiles(0.95)[0, :, 0] == pytest.approx([128.0, 173.0], rel=0.01)
    quantiles = told_now.quantiles(0.1, 0.5, 0.9, 0.99)[0, 0].tolist()
    assert quantiles == sorted(quantiles)


def test_the_upper_quantile_covers_random_walks() -> None:
    random = np.random.default_rng(3)
    volatility = np.repeat([0.01, 0.03], 8)
    walks = np.zeros((1500, len(volatility)))
    for tick in range(1, len(walks)):
        walks[tick] = 0.995 * walks[tick - 1] + volatility * random.normal(size=len(volatility))
    horizon = np.full((len(volatility), 1), 100.0)
    upper, came = (found[1000:] for found in follow(candidates.empty(16, 15.0), 300.0 * np.exp(walks), horizon))
    for each in (0.01, 0.03):
        alike = volatility == each
        assert 0.93 <= (came <= upper)[:, alike].mean() <= 0.97, each
        assert np.median((upper / came)[:, alike]) < 1.0 + 5.0 * each, each  # and is no wider than it must be
    assert (came <= upper).mean(0).min() >= 0.88


def after_a_crowd(minutes: float, crowds: int) -> tuple[float, Floats, Floats]:
    """Head-room ``upper / load`` for 30 s at the end of minutes without a history, the last half of them calm again after crowds of
    2.4 times the load for a minute each; and the upper forecast and what came in those last minutes.
    """
    tick_seconds, ticks = 5.0, round(minutes * 12)
    random = np.random.default_rng(8)
    loads = np.exp(0.03 * random.normal(size=(ticks, 8))) * 60.0
    loads[:4] *= np.arange(1, 5)[:, None] / 4.0  # a rate window that fills
    for crowd in range(crowds):
        begins = round(ticks / 2) - 24 * (crowd + 1)
        loads[begins : begins + 12] *= 2.4
    memory, upper = candidates.empty(8, tick_seconds), np.empty_like(loads)
    horizon = np.full((8, 1), 30.0)
    for i, load in enumerate(loads):
        memory = candidates.observe(memory, load, tick_seconds * i, Counting(tick_seconds, 20.0))
        forecast, memory = candidates.predict(memory, horizon, tick_seconds * i, np.zeros(8))
        upper[i] = forecast.upper[:, 0]
    came = np.array([loads[i + 1 : i + 7].max(0) for i in range(ticks // 2, ticks - 7)])
    upper = upper[ticks // 2 : ticks - 7]
    return float(np.median(upper) / 60.0), upper, came


@pytest.mark.parametrize("minutes", [12.0, 20.0])
def test_one_crowd_of_the_first_minutes_is_not_the_head_room_of_those_that_follow(minutes: float) -> None:
    head_room, upper, came = after_a_crowd(minutes, crowds=1)
    assert head_room < 1.35  # the crowd's was 2.4 times
    assert head_room < 1.3 * after_a_crowd(70.0, crowds=0)[0]
    assert (came <= upper).mean() > 0.95


def test_crowds_that_come_again_and_again_are_planned_for() -> None:
    assert after_a_crowd(24.0, crowds=5)[0] > 1.8


def climbs_of(loads: Floats, window_seconds: float, tick_seconds: float = 15.0) -> Floats:
    """The climb within the four horizons ``[T, K]`` after each tick of a load that is seen as its mean over a window."""
    ticks = round(window_seconds / tick_seconds)
    memory, told = candidates.empty(1, tick_seconds), []
    for i in range(ticks, len(loads) + 1):
        seen = np.array([loads[i - ticks : i].mean()])
        memory = candidates.observe(memory, seen, tick_seconds * i, Counting(tick_seconds, window_seconds))
        told.append(memory.climb[0])
    return np.array(told)


@pytest.mark.parametrize("window_seconds", [30.0, 60.0, 300.0])
def test_a_jump_that_a_rate_window_shows_as_a_rise_is_no_trend(window_seconds: float) -> None:
    loads = np.repeat([500.0, 2000.0], 120)
    assert not climbs_of(loads, window_seconds).any()


@pytest.mark.parametrize("window_seconds", [30.0, 60.0])
def test_a_rise_goes_on_for_as_long_as_it_has_lasted(window_seconds: float) -> None:
    """1 % a minute, for 25 minutes: within 18 minutes it will be 18 % more."""
    climbs = climbs_of(500.0 * np.exp(0.01 / 4.0 * np.arange(100)), window_seconds)
    assert climbs[-1] == pytest.approx(0.01 / 60.0 * candidates.HORIZONS_SECONDS, rel=0.02)
    falling = climbs_of(500.0 * np.exp(-0.01 / 4.0 * np.arange(100)), window_seconds)
    assert not falling.any()


@pytest.mark.parametrize("per_tick", [1, 2, 4])
def test_what_a_rate_is_on_its_way_to_is_known_from_its_first_step(per_tick: int) -> None:
    """500 requests/s become 2,000: of the four intervals of a window three are sure to count, and it is never put too high."""
    tick_seconds, window_seconds = 15.0 / per_tick, 60.0
    ticks = round(window_seconds / tick_seconds)
    memory, loads = candidates.empty(1, tick_seconds), np.repeat([500.0, 2000.0], [40 * per_tick, 2 * ticks])
    levels = []
    for i in range(ticks, len(loads) + 1):
        seen = np.array([loads[i - ticks : i].mean()])
        memory = candidates.observe(memory, seen, tick_seconds * i, Counting(tick_seconds, window_seconds))
        levels.append(math.exp(memory.level[0]))
    risen = levels[40 * per_tick - ticks + 1 :]
    assert risen[0] == pytest.approx(500.0 + 1500.0 * (ticks - 1) / ticks)
    assert max(risen) == pytest.approx(2000.0)
    assert min(risen) > 0.999 * risen[0]


def test_the_noise_of_counting_is_no_jump() -> None:
    """Eighty hours in all of 60 requests/s in windows of 20 s and ticks of 5 s, of 48 models: the level stays within what a window's
    count differs by.
    """
    counts = np.random.default_rng(4).poisson(60.0 * 5.0, (1200, 48)) / 5.0
    memory, highest = candidates.empty(48, 5.0), np.zeros(48)
    for i in range(4, len(counts)):
        memory = candidates.observe(memory, counts[i - 4 : i].mean(0), 5.0 * i, Counting(5.0, 20.0))
        highest = np.maximum(highest, np.exp(memory.level))
    assert highest.max() <= counts_of_a_window_at_most(counts)


def counts_of_a_window_at_most(counts: Floats) -> float:
    """The largest mean of four counts in a row."""
    return float(sum(counts[k : len(counts) - 3 + k] for k in range(4)).max() / 4.0)
