"""Tables and worked numbers: lateness from buckets, evidence that refutes, the capacity law, and the forecast's coverage."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from builders.followed_forecast import follow
from recmodel.core.capacity import evidence
from recmodel.core.capacity.estimate import Capacity
from recmodel.core.capacity.posterior import law
from recmodel.core.forecast import candidates
from recmodel.core.observed import late_bracket

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
    memory = candidates.observe(candidates.empty(1, 15.0), np.array([100.0]), 15.0, 15.0)
    told_now, _ = candidates.predict(memory, horizon, 15.0, np.zeros(1))
    assert told_now.quantile(0.95)[0] == pytest.approx([128.0, 165.0], rel=0.03)
    quantiles = [told_now.quantile(q)[0, 0] for q in (0.1, 0.5, 0.9, 0.99)]
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
