"""What a pool knew of its capacity when its version changes: kept, with less weight, and soon outweighed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from recmodel.core.arrays.carry_over import carry, stays
from recmodel.core.capacity import estimate as capacities
from recmodel.core.capacity import posterior
from recmodel.core.engine import step
from recmodel.core.memory import Memory, begin
from recmodel.core.reindex import reindex
from recmodel.core.types import Model, Observation, Pool, PoolObservation

FEED = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 50, 1.0, version="v1"), Pool("gpu", 1, 50, 2.5, version="v1")))


def seen(load: float, replicas: int, carries: float) -> PoolObservation:
    late = min(1.0, math.exp(25.0 * (load / replicas / carries - 1.0)))
    busy = 0.6 * load / replicas / carries
    latency = {0.1: load * (1.0 - late), math.inf: load}
    return PoolObservation(replicas, replicas, 0, 50.0, 45.0, load, 0.0, latency, busy)


def served(
    memory: Memory, ticks: int, cpu: float = 100.0, since: int = 0, loads: tuple[float, ...] = (700.0,)
) -> Memory:
    """Some ticks in which 10 replicas of each pool answer; a replica of cpu carries so many requests/s, one of gpu 300."""
    for tick in range(since, since + ticks):
        load = loads[tick // 10 % len(loads)]
        pools = {"cpu": seen(load, 10, cpu), "gpu": seen(3.0 * load, 10, 300.0)}
        memory, _ = step(memory, [Observation(15.0 * tick, pools)], 15.0 * tick)
    return memory


@pytest.fixture(scope="module")
def learned() -> Memory:
    return served(begin([FEED]), 120, loads=(500.0, 700.0, 850.0))


def test_a_model_that_was_set_aside_comes_back_with_its_newest_tick_as_the_newest() -> None:
    """Rings are in the order of their own ticks, whatever tick the memory they come into is at."""
    memory = begin([FEED])
    for tick in range(7):
        pools = {"cpu": seen(700.0, tick + 1, 100.0)}
        memory, _ = step(memory, [Observation(15.0 * tick, pools)], 15.0 * tick)
    later = served(begin([FEED]), 5)
    back = carry(later, memory, stays(memory.fleet.models, later.fleet.models))
    assert back.pods.readies[:7, 0, 0].tolist() == [7, 6, 5, 4, 3, 2, 1]
    assert back.forecast.ring_load[0, 0] == memory.forecast.ring_load[0, 0]


def capacity(memory: Memory) -> capacities.Capacity:
    return capacities.estimate(memory.capacity, memory.fleet, np.array([[10, 10]]))


def next_version(memory: Memory) -> Memory:
    cpu, gpu = FEED.pools
    return reindex([replace(FEED, pools=(replace(cpu, version="v2"), gpu))], memory)


def test_a_new_version_keeps_what_was_seen_to_be_good_and_is_not_known_any_more(learned: Memory) -> None:
    before, after = capacity(learned), capacity(next_version(learned))
    assert before.known.all()
    assert not after.known[0, 0]  # the belief is wide again
    assert after.known[0, 1]  # the other pool's version did not change
    good = learned.capacity.evidence.proven(np.array([[0.03]]))[0]
    assert after.limit[0, 0] == pytest.approx(good[0, 0], rel=0.05)  # the trust region stays ...
    assert before.limit[0, 0] > 1.05 * after.limit[0, 0]  # ... but does not reach beyond it until it was confirmed
    for name in ("saturation", "limit", "proven"):
        assert getattr(after, name)[0, 1] == getattr(before, name)[0, 1]


def test_it_is_known_again_after_a_while_and_a_slower_version_is_believed_sooner(learned: Memory) -> None:
    same = served(next_version(learned), 40, since=120, loads=(700.0, 850.0))
    assert capacity(same).known[0, 0]
    assert capacity(same).per_replica(np.array([[10, 10]]))[0, 0] == pytest.approx(
        capacity(learned).per_replica(np.array([[10, 10]]))[0, 0], rel=0.12
    )
    slower = served(next_version(learned), 25, cpu=75.0, since=120, loads=(700.0,))
    assert capacity(slower).per_replica(np.array([[10, 10]]))[0, 0] < 75.0


def test_the_same_version_and_other_changes_keep_everything(learned: Memory) -> None:
    cpu, gpu = FEED.pools
    kept = reindex([replace(FEED, pools=(replace(cpu, traffic_limit_ratio=0.05, max_replicas=9), gpu))], learned)
    assert np.array_equal(kept.capacity.log_belief, learned.capacity.log_belief)
    assert np.array_equal(kept.capacity.evidence.weight, learned.capacity.evidence.weight)


def test_the_belief_of_a_carried_version_is_what_its_evidence_says(learned: Memory) -> None:
    """So that what comes later is added to and taken from the right thing."""
    changed = next_version(learned)
    rows = (np.array([0, 0]), np.array([0, 1]))
    again = posterior.relearned(changed.capacity, rows, np.array([0.05, 0.05]))
    assert again.log_belief == pytest.approx(changed.capacity.log_belief, abs=0.05)
    assert changed.capacity.evidence.weight[0, 0].max() <= 20.0
    assert changed.capacity.evidence.weight[0, 1].max() > 200.0
