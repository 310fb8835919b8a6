"""Requests that only change pods are no crowd, though Prometheus counts them twice for a scrape."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recmodel.core.engine import step
from recmodel.core.forecast.moved import moved_ratio
from recmodel.core.forecast.rises import risen
from recmodel.core.memory import begin
from recmodel.core.types import Model, Observation, Pool, PoolObservation

NAN = math.nan


@pytest.mark.parametrize(
    ("share", "ready", "moved"),
    [
        ([[1.0, 0.0], [0.6, 0.4]], [[1, 1], [1, 1]], 0.4),
        ([[0.0, 1.0], [0.5, 0.5]], [[0, 1], [1, 1]], 0.5),  # a pool goes
        ([[NAN, 1.0], [0.5, 0.5]], [[0, 1], [1, 1]], 0.5),  # as the readings have one without ready replicas
        ([[1 / 3, 0.0], [0.5, 0.0]], [[3, 0], [2, 0]], 1 / 3),  # a replica comes
        ([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], [[1, 1]] * 3, 1.0),  # there and back: never more than all of them
        ([[0.1, 0.0], [0.1, 0.0]], [[10, 0], [10, 0]], 0.0),
        ([[NAN, NAN], [0.5, 0.5]], [[1, 1], [1, 1]], 0.0),
        ([[0.5, 0.5]], [[1, 1]], 0.0),
    ],
)
def test_what_moved_is_what_one_replica_lost_and_another_got(
    share: list[list[float]], ready: list[list[int]], moved: float
) -> None:
    assert moved_ratio(np.array(share)[:, None], np.array(ready)[:, None]) == pytest.approx([moved])


@pytest.mark.parametrize(
    ("moved", "wrong"), [(0.4, 0.4 / 3), (0.5, 0.5 / 3), (1 / 3, 1 / 3 / 3), (1.0, 1 / 3), (0.0, 0.0)]
)
def test_a_sum_of_rates_is_wrong_by_a_scrapes_part_of_what_moved(moved: float, wrong: float) -> None:
    """A million requests/s, which hardly have a noise, of which a rise by a little less than that is none."""
    steady = np.full((8, 1), math.log(1e6), np.float32)
    for rise, is_jump in ((wrong - 0.003, False), (wrong + 0.003, True)):
        newest = np.array([math.log(1e6 / (1.0 - rise))])
        assert (risen(steady, newest, np.array([moved]), 15.0, 60.0) > newest) == [is_jump]


def seen(desired: int, weight: float, rate: float) -> PoolObservation:
    in_time = {0.05: rate, 0.1: rate, math.inf: rate}
    return PoolObservation(
        desired=desired,
        ready=desired,
        unschedulable=0,
        weight=weight,
        startup_seconds=5.0,
        rate_per_second=rate,
        errors_per_second=0.0,
        latency=in_time,
    )


def planned_for(ticks: list[tuple[float, float, float]]) -> list[float]:
    """The load that is planned for after each tick of 5 s with a window of 20 s: weight of the GPU of 1,000, rates of CPU and GPU."""
    model = Model("shop/ranker", 0.95, 0.1, (Pool("cpu", 4, 4, 1.0), Pool("gpu", 1, 1, 90.0)))
    memory, told = begin([model], tick_seconds=5.0, rate_window_seconds=20.0), []
    for i, (weight, cpu, gpu) in enumerate(ticks):
        pools = {"cpu": seen(4, 1000.0 - weight, cpu), "gpu": seen(1, weight, gpu)}
        memory, decisions = step(memory, [Observation(5.0 * i, pools)], 5.0 * i)
        told.append(float(decisions.forecast.upper[0, 0]))
    return told


def test_weights_that_go_to_zero_are_no_crowd_though_the_page_drops_the_backend() -> None:
    """120 requests/s, 49 of them on a pool whose weight goes to 0 just after a scrape. The next page has the requests on the other
    pool, and no line of this one: for one tick Prometheus carries its rate on, and 136/s are counted.
    """
    steady = [(405.0, 71.4, 48.6)] * 40
    moves = [(0.0, 87.6, 48.6), (0.0, 103.8, 28.0), (0.0, 120.0, 12.0), *[(0.0, 120.0, 0.0)] * 8]
    crowd = [(405.0, 81.0, 55.2)]  # the same rise without a move is one
    before = planned_for(steady)[-1]
    assert max(planned_for(steady + moves)[len(steady) :]) < 1.2 * before
    assert planned_for(steady + crowd)[-1] > 1.4 * before
