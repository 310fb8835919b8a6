"""Stories of the engine in virtual time, each a closed loop of pods under it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from builders.closed_loop import Load, batches, workers, world
from recmodel.core.capacity.estimate import estimate
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Observation, Pool, PoolObservation


def test_far_too_many_replicas_are_released_and_never_more_are_ordered() -> None:
    story = world(workers(), replicas=[60]).run(1200, 600.0)
    orders = story.ordered()
    assert max(orders) == 60
    assert orders[-1] <= 10  # 5 are needed: settled below twice that within twenty minutes
    assert story.late_share(0) < 0.01


def test_from_one_replica_the_objective_is_reached_in_four_minutes_without_passing_twice_and_a_half_the_need() -> None:
    story = world(workers(), replicas=[1]).run(1200, 600.0)
    assert story.late_share(300) < 0.03  # what is planned, of the 0.05 allowed
    assert max(story.ordered()) <= 12  # 5 are needed
    assert story.ordered()[-1] <= 8


def test_without_metrics_all_is_held_and_said_and_work_goes_on_when_they_return() -> None:
    story = world(workers(), replicas=[12]).run(1200, 1000.0)
    before = story.desired("cpu")
    story.blind = True
    story.run(600, 1000.0)
    assert set(story.ordered(since=1200)) == {before}
    for decision in story.decisions[-40:]:
        assert decision.state == "Holding"
    story.blind = False
    story.run(300, 1000.0)
    assert story.decisions[-1].state in ("Tracking", "Learning")
    assert story.late_share(1200) < 0.02


def test_a_model_that_becomes_slower_is_given_what_it_needs() -> None:
    story = world(workers(), replicas=[14]).run(1800, 1300.0)
    story.slower = 1.3
    story.run(900, 1300.0)
    assert story.ordered()[-1] * 126.0 >= 1300.0 * 1.3
    assert story.late_share(1800 + 300) < 0.05


def test_a_steady_load_changes_at_most_one_thing_in_ten_minutes() -> None:
    story = world(workers(), replicas=[12]).run(3000, 1000.0)
    assert story.changes(since=2400) <= 1
    assert story.late_share(2400) < 0.03


def test_a_cheaper_untried_pool_is_tried_and_carries_the_base() -> None:
    story = world(workers(), batches(), replicas=[24, 0]).run(5400, 2000.0)
    assert max(story.ordered("gpu")[:20]) == 1  # tried with one first
    last = story.decisions[-1].pools
    assert last["gpu"].weight > 60.0
    assert last["cpu"].replicas + 2.5 * last["gpu"].replicas < 17.0  # cpu alone needs 17
    assert story.late_share(3600) < 0.03


def test_a_slow_pool_is_counted_on_for_no_more_head_room_than_what_is_planned_for() -> None:
    """The fastest pool fills what the others leave of the load at *its* horizon; that of a slow pool has twice the head-room."""
    story = world(workers(), batches(), replicas=[10, 2]).run(600, 900.0)
    decision, memory = story.decisions[-1], story.memory
    assert memory is not None
    ready = np.array([[story.ready("cpu"), story.ready("gpu")]])
    limit = estimate(memory.capacity, memory.fleet, ready).limit[0, 1]
    planned, fast = decision.estimates["gpu"].planned_per_replica, decision.forecast["cpu"]
    assert planned is not None
    assert planned <= 1.001 * limit * fast.upper_per_second / fast.p50_per_second


def burst(seconds: float) -> Load:
    """Four times the load for so long, after an hour."""
    return lambda now: 2000.0 if 3600.0 <= now < 3600.0 + seconds else 500.0


@pytest.mark.parametrize("seed", range(1, 5))
def test_a_burst_that_is_shorter_than_its_start_up_starts_no_slow_pool_and_no_more_than_it_needs(seed: int) -> None:
    """A rate window shows the jump as a rise over four ticks, which is no trend: 13 pods carry it beside the accelerator."""
    story = world(workers(), batches(price=4.0), replicas=[3, 1], seed=seed).run(5400, burst(150.0))
    assert max(story.ordered("gpu", since=3600)) <= story.ordered("gpu", since=3585)[0]
    assert 10 <= max(story.ordered("cpu", since=3600)) <= 18


def test_what_a_slow_pool_grew_for_a_burst_goes_once_it_was_kept_for_a_start_up() -> None:
    story = world(workers(), batches(price=1.0), replicas=[1, 2]).run(5400, burst(600.0))
    before = story.ordered("gpu", since=3585)[0]
    assert max(story.ordered("gpu", since=3600)) > before  # it is so much cheaper that it is worth a start
    assert max(story.ordered("gpu", since=4200 + 180 + 240)) <= before


def test_accelerators_that_no_node_takes_are_done_without() -> None:
    story = world(workers(), batches(), replicas=[18, 0], nodes={"gpu": 0}).run(3600, 2000.0)
    assert story.late_share(600) < 0.02
    assert story.decisions[-1].pools["cpu"].weight == 100.0
    assert max(story.ordered("gpu")) <= 1
    assert "PoolUnschedulable" in {reason.reason for decision in story.decisions for reason in decision.reasons}


def test_recommend_changes_nothing_and_says_what_it_would_do() -> None:
    story = world(workers(), replicas=[3], acts=False).run(900, 1000.0)
    assert set(story.ordered()) == {3}
    assert {decision.state for decision in story.decisions} == {"Recommending"}
    assert story.decisions[-1].proposed_replicas["cpu"] > 3
    assert "ModeRecommend" in [reason.reason for reason in story.decisions[-1].reasons]


def test_a_restart_changes_nothing_rash() -> None:
    story = world(workers(), replicas=[12]).run(2400, 1000.0)
    before = story.desired("cpu")
    story.memory = begin([story.model()])
    story.run(120, 1000.0)
    assert all(abs(count - before) <= 1 for count in story.ordered(since=2400))


def test_few_replicas_that_are_too_many_are_released_though_nothing_tells_how_busy_they_are() -> None:
    story = world(workers(), replicas=[4]).run(5400, 60.0)  # one would do
    assert story.ordered(since=4000)[-1] == 1
    assert story.late_share(0) < 0.01


def test_workers_that_wait_for_others_look_idle_and_are_not_leaped_upon() -> None:
    waiting = replace(workers(), busy=lambda load: 0.03 * min(1.0, load / 160.0))  # of the time; the rest is a store's
    story = world(waiting, replicas=[16]).run(2 * 3600, 500.0)
    orders = story.ordered()
    assert all(after >= 0.5 * before for before, after in pairwise(orders))
    assert orders[-1] in (4, 5, 6)
    assert story.late_share(0) < 0.01


def test_a_new_model_without_any_traffic_is_not_left_with_the_split_in_which_its_pods_became_ready() -> None:
    def told(weights: dict[str, float]) -> dict[str, float]:
        pools = {name: PoolObservation(2, 2, weight=weight) for name, weight in weights.items()}
        _, decisions = step(
            begin([world(workers(), batches(), replicas=[2, 2]).model()]), [Observation(0.0, pools)], 0.0
        )
        return {name: pool.weight for name, pool in decisions[0].pools.items()}

    assert told({"cpu": 1.0, "gpu": 999.0}) == {"cpu": 50.0, "gpu": 50.0}
    # After a restart without metrics, what stands may be a judgement.
    assert told({"cpu": 400.0, "gpu": 600.0}) == {"cpu": 400.0, "gpu": 600.0}


@pytest.mark.parametrize("startup_seconds", [(2.0, 2.0), (2.0, 8.0), (8.0, 2.0)], ids=str)
def test_of_pools_that_start_alike_the_cheaper_carries_the_head_room(startup_seconds: tuple[float, float]) -> None:
    """What a cheap pool is not yet known to carry keeps no dear one: one more of the cheap pool is there as soon."""
    limits = {"cpu": Pool("cpu", 2, 4, 1.0), "gpu": Pool("gpu", 0, 2, 90.0)}
    kinds = [
        replace(workers(servers=16, service_seconds=0.005), pool=pool, startup_seconds=seconds, busy=lambda _: None)
        for pool, seconds in zip(limits.values(), startup_seconds, strict=True)
    ]
    for load in (120.0, 300.0):
        story = world(*kinds, replicas=[2, 1]).run(900, load)
        assert set(story.ordered("gpu", since=150)) == {0}, load
        assert story.late_share(0) < 0.01
