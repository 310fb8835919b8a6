"""Where the traffic is not ours to share out, each pool is planned for the part of it that it gets."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from builders.any_model import days, examples, models
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Model, Observation, Pool, PoolObservation

POOLS = (Pool("cpu", 0, 40, 1.0), Pool("gpu", 0, 40, 3.0))


def settled(rates: tuple[float | None, float | None], last: tuple[float | None, float | None]) -> dict[str, int]:
    """What the plan wants after an hour of these rates, and then a last tick; ten replicas of each run and are known to carry it."""
    memory = begin([Model("shop/feed", 0.95, 0.1, POOLS, routed=False)], 15.0)
    for tick in range(240):
        now = 15.0 * tick
        memory, decisions = step(memory, [seen(now, rates if tick < 239 else last)], now)
    return dict(decisions[0].proposed_replicas)


def seen(now: float, rates: tuple[float | None, float | None]) -> Observation:
    pools = {}
    for pool, rate in zip(POOLS, rates, strict=True):
        ready = 0 if rate is None else 10
        latency = None if rate is None else {0.05: 0.9 * rate, 0.1: rate, math.inf: rate}
        pools[pool.name] = PoolObservation(ready, ready, 0, None, 30.0, rate, 0.0, latency)
    return Observation(now, pools)


def test_the_dearer_pool_keeps_what_its_own_part_needs() -> None:
    found = settled((200.0, 200.0), (200.0, 200.0))
    assert found["gpu"] >= 6, "half of the load is its own, and ten replicas are known to carry it, not five"
    assert abs(found["cpu"] - found["gpu"]) <= 1


def test_a_pool_that_runs_keeps_one_and_one_that_does_not_is_not_started() -> None:
    assert settled((200.0, 200.0), (200.0, 0.0))["gpu"] == 1
    assert settled((200.0, 0.0), (200.0, 0.0))["gpu"] == 10, "what it carries was never seen"
    assert settled((200.0, None), (200.0, None))["gpu"] == 0


def test_where_the_parts_are_not_known_nothing_is_added() -> None:
    found = settled((200.0, 200.0), (0.0, 0.0))
    assert max(found.values()) <= 10


@examples
@given(data=st.data())
def test_whatever_is_seen_a_pool_that_runs_is_never_taken_to_0_and_one_at_0_is_not_started(data: st.DataObject) -> None:
    """What is decided, after all guards: pods without a node, failing requests, limits and blindness included."""
    model = replace(data.draw(models()), routed=False, acts=True)
    memory = begin([model], 15.0)
    for observation in data.draw(days(model, wild=data.draw(st.booleans()))):
        memory, decisions = step(memory, [observation], observation.time_seconds)
        for pool in model.pools:
            seen_pool, decided = observation.pools[pool.name], decisions[0].pools[pool.name].replicas
            runs = seen_pool.desired
            weighed = seen_pool.weight is not None and 0 < seen_pool.weight < math.inf
            assert decided > 0 if runs or pool.min_replicas or weighed else decided == 0
            if math.isfinite(float(decisions.load[0])):
                assert decided <= max(pool.max_replicas, 1)
            else:
                assert decided <= max(pool.max_replicas, runs, 1)


def test_a_pool_to_which_a_weight_of_somebody_else_sends_requests_is_started_without_any_metrics() -> None:
    memory = begin([Model("shop/feed", 0.95, 0.1, POOLS, routed=False)], 15.0)
    pools = {"cpu": PoolObservation(2, 2, 0, 600.0), "gpu": PoolObservation(0, 0, 0, 400.0)}
    _, decisions = step(memory, [Observation(0.0, pools)], 0.0)
    assert {name: pool.replicas for name, pool in decisions[0].pools.items()} == {"cpu": 2, "gpu": 1}
    assert "requests are sent to it by a weight" in decisions[0].pools["gpu"].bound.message  # type: ignore[union-attr]


def test_a_pool_whose_nodes_went_away_keeps_a_pod_that_waits_for_them() -> None:
    memory = begin([Model("shop/feed", 0.95, 0.1, POOLS, routed=False)], 15.0)
    desired = {"cpu": 3, "gpu": 1}
    for tick in range(480):
        now, lost = 15.0 * tick, 20 <= tick < 100
        ready = {"cpu": 0 if lost else desired["cpu"], "gpu": desired["gpu"]}
        rates = {name: (100.0 if name == "cpu" else 20.0) if count else None for name, count in ready.items()}
        pools = {}
        for name, rate in rates.items():
            latency = None if rate is None else {0.05: 0.9 * rate, 0.1: rate, math.inf: rate}
            waiting = desired[name] - ready[name]
            pools[name] = PoolObservation(desired[name], ready[name], waiting, None, 30.0, rate, 0.0, latency)
        memory, decisions = step(memory, [Observation(now, pools)], now)
        desired = {name: pool.replicas for name, pool in decisions[0].pools.items()}
        assert min(desired.values()) >= 1


def test_more_than_the_maximum_is_taken_back_only_once_the_load_is_known() -> None:
    pool = Pool("cpu", 1, 4, 1.0)
    memory = begin([Model("shop/feed", 0.95, 0.1, (pool,), routed=False)], 15.0)
    for tick, rate in enumerate([None, None, 40.0]):
        latency = None if rate is None else {0.1: rate, math.inf: rate}
        seen_pool = PoolObservation(10, 10, 0, None, 30.0, rate, 0.0, latency)
        memory, decisions = step(memory, [Observation(15.0 * tick, {"cpu": seen_pool})], 15.0 * tick)
        assert decisions[0].pools["cpu"].replicas == (10 if rate is None else 4)


def test_of_a_single_pool_it_makes_no_difference() -> None:
    wanted = []
    for routed in (True, False):
        memory = begin([Model("shop/feed", 0.95, 0.1, POOLS[:1], routed=routed)], 15.0)
        for tick in range(100):
            now = 15.0 * tick
            (cpu, _) = seen(now, (200.0, None)).pools.items()
            memory, decisions = step(memory, [Observation(now, dict([cpu]))], now)
        wanted.append(decisions[0])
    assert wanted[0] == wanted[1]
