"""How busy the pods are is known from all loads that were seen together, and never taken for less than it is."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from builders.closed_loop import World, play, workers
from recmodel.core.arrays.fleet import Floats
from recmodel.core.capacity import evidence
from recmodel.core.capacity.evidence import ENOUGH_SCRAPES, NEAR_RATIO, Evidence, Sample

PODS = 3
BUDGET = np.full((1, 1), 0.05)
CROWD_FROM, CROWD_UNTIL = 3600.0, 4005.0
LOADS = tuple(20.0 * 1.1**i for i in range(10))  # each in a bin of its own


def seen(loads: tuple[float, ...], busy: Floats) -> Evidence:
    """What one pod showed: one reading at each load, none of it late."""
    found, rows = evidence.empty(1, 1), (np.zeros(1, np.int64), np.zeros(1, np.int64))
    for load, used in zip(loads, busy, strict=True):
        one, none = np.array([load]), np.zeros(1)
        sample = Sample(one, np.ones(1, np.int64), none, none, none, 60.0 * one, np.array([used]), BUDGET[0], none)
        found = evidence.add(found, rows, sample)[1]
    return found


@pytest.mark.parametrize("slope", [0.3, 0.6, 1.0])  # batches that grow with the load, and workers
def test_readings_at_many_loads_say_together_what_none_says_alone_and_err_to_the_safe_side(slope: float) -> None:
    busy = 0.6 * (np.array(LOADS) / LOADS[-1]) ** slope
    few = seen(LOADS[:-1], busy[:-1])
    assert math.isnan(few.busy_together(BUDGET)[0, 0]), "fewer scrapes than are enough say nothing"
    often = math.ceil(ENOUGH_SCRAPES / len(LOADS))
    found = seen(LOADS * often, np.tile(busy, often))
    assert math.isnan(found.busy(BUDGET)[0][0, 0])
    together, there = found.busy_together(BUDGET)[0, 0], busy[-1] / LOADS[-1]
    assert there * (1.0 - 1e-6) <= together <= there * NEAR_RATIO ** (slope - 1.0) * (1.0 + 1e-6)


def test_a_restless_load_shows_as_soon_as_a_steady_one_that_one_pod_of_three_is_too_many() -> None:
    # One server of 20 ms a pod: each is busy for an eighth of the time, and of two for a fifth.
    def restless(now: float) -> float:
        return 20.0 * (1.0 + 0.2 * math.sin(now / 47.0))

    worlds = {
        str(seed): World((workers(servers=1, service_seconds=0.02),), (PODS,), restless, 900.0, seed=seed)
        for seed in range(4)
    }
    play(worlds)
    for world in worlds.values():
        orders = world.ordered()
        assert min(orders[: 300 // 15]) < PODS, "it used to take up to ten minutes"
        assert max(orders) == PODS
        assert world.late_share(0) < 0.01


def test_a_utilisation_that_shows_a_quarter_of_the_work_is_given_up_once_pods_were_late() -> None:
    def load(now: float) -> float:
        crowd = 1.2 * min(max((now - CROWD_FROM) / 60.0, 0.0), 1.0) if now < CROWD_UNTIL else 0.0
        return 144.0 * (1.0 + 0.1 * math.sin(now / 47.0)) * (1.0 + crowd)

    kind = workers()  # saturates at 160 requests/s a pod
    told = replace(kind, busy=lambda each: 0.25 * min(1.0, each / kind.saturation))
    worlds = {str(seed): World((told,), (PODS,), load, CROWD_UNTIL, seed=seed) for seed in range(4)}
    play(worlds)  # one pod is tried, and late
    late = [world.late_share(CROWD_FROM) for world in worlds.values()]
    assert np.mean(late) < 0.07, "it used to be 0.10: half as much again was planned for each pod as it had carried"
