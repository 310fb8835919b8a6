"""What holds for every input: limits, doubt, order, and one model alone against a fleet."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.any_model import NAMES, days, examples, models, nonsense
from recmodel.core.arrays.fleet import Fleet
from recmodel.core.engine import step
from recmodel.core.explanation.sentences import Decisions
from recmodel.core.memory import Memory, begin
from recmodel.core.reindex import reindex
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation


def run(model: Model, observations: list[Observation]) -> tuple[Memory, list[Decision]]:
    memory, decided = begin([model]), []
    for observation in observations:
        memory, decisions = step(memory, [observation], observation.time_seconds)
        decided.append(decisions[0])
    return memory, decided


@given(st.data())
@examples
def test_whatever_is_seen_the_limits_hold_and_weights_belong_to_ready_pools(data: st.DataObject) -> None:
    model = data.draw(models())
    observations = data.draw(days(model, wild=True))
    for observation, decision in zip(observations, run(model, observations)[1], strict=True):
        for pool in model.pools:
            chosen, seen = decision.pools[pool.name], observation.pools[pool.name]
            if model.acts:
                # What was there before us may run more while its load is not known: see test_own_share.py.
                most = pool.max_replicas if model.routed else max(pool.max_replicas, seen.desired)
                assert pool.min_replicas <= chosen.replicas <= most
            else:
                assert chosen.replicas == seen.desired
            assert chosen.weight >= 0.0
        assert decision.reasons


@given(st.data())
@examples
def test_what_would_be_decided_in_another_mode_is_what_auto_decides_of_the_same(data: st.DataObject) -> None:
    model = data.draw(models())
    observations = data.draw(days(model, wild=True))
    acting, looking = (run(replace(model, acts=acts, paused=False), observations)[1] for acts in (True, False))
    for done, said in zip(acting, looking, strict=True):
        assert (
            said.acting_replicas == done.acting_replicas == {name: pool.replicas for name, pool in done.pools.items()}
        )


@given(st.data())
@examples
def test_weights_add_up_to_100_over_the_pools_with_ready_replicas(data: st.DataObject) -> None:
    model = data.draw(models())
    observations = data.draw(days(model))
    for observation, decision in zip(observations, run(model, observations)[1], strict=True):
        staying = {name: min(seen.ready, decision.pools[name].replicas) for name, seen in observation.pools.items()}
        weights = {name: pool.weight for name, pool in decision.pools.items()}
        assert all(weights[name] == 0.0 for name, count in staying.items() if count == 0)
        # A rate of many times the one before is not believed, and weights that are held stay as they stand.
        if decision.state == "Holding":
            assert any(weights.values()) or not any(staying.values())
            continue
        assert sum(weights.values()) == pytest.approx(100.0 if any(staying.values()) else 0.0, abs=0.002)


@given(st.data())
@examples
def test_an_unknown_load_never_scales_down(data: st.DataObject) -> None:
    model = replace(data.draw(models()), acts=True)
    observations = data.draw(days(model))
    memory, _ = run(model, observations)
    last = observations[-1]
    name = data.draw(st.sampled_from([pool.name for pool in model.pools]))
    seen = replace(last.pools[name], ready=max(last.pools[name].ready, 1), weight=50.0)
    seen = replace(seen, desired=max(seen.ready, seen.desired), unschedulable=0, rate_per_second=data.draw(nonsense))
    now = last.time_seconds + 15.0
    _, decisions = step(memory, [Observation(now, {**last.pools, name: seen})], now)
    assert decisions[0].state == "Holding"
    for pool in model.pools:
        desired = {**last.pools, name: seen}[pool.name].desired
        assert (
            decisions[0].pools[pool.name].replicas >= min(desired, pool.max_replicas)
            or last.pools[pool.name].unschedulable
        )


@given(st.data())
@examples
def test_the_order_of_pools_and_models_and_their_company_change_nothing(data: st.DataObject) -> None:
    fleet = [data.draw(models(key=f"shop/{i}")) for i in range(3)]
    stories = [data.draw(days(model, ticks=7)) for model in fleet]
    alone = [run(model, story)[1] for model, story in zip(fleet, stories, strict=True)]
    order = data.draw(st.permutations(range(len(fleet))))
    shuffled = [replace(fleet[i], pools=tuple(data.draw(st.permutations(fleet[i].pools)))) for i in order]
    memory = begin(shuffled)
    for tick in range(7):
        memory, decisions = step(memory, [stories[i][tick] for i in order], 15.0 * (tick + 1))
        for place, i in enumerate(order):
            expected, found = alone[i][tick], decisions[place]
            assert {n: p.replicas for n, p in found.pools.items()} == {n: p.replicas for n, p in expected.pools.items()}
            for name, pool in expected.pools.items():
                assert found.pools[name].weight == pytest.approx(pool.weight, abs=0.01)
            assert (found.state, found.cost_per_hour) == (expected.state, expected.cost_per_hour)


@given(st.data())
@examples
def test_models_that_come_and_go_leave_the_others_as_they_were(data: st.DataObject) -> None:
    stays = data.draw(models(key="shop/stays"))
    story = data.draw(days(stays, ticks=8))
    expected = run(stays, story)[1]
    goes, comes = (data.draw(models(key=f"shop/{name}")) for name in ("goes", "comes"))
    other = data.draw(days(goes, ticks=4))
    memory = begin([goes, stays])
    for tick in range(4):
        memory, _ = step(memory, [other[tick], story[tick]], 15.0 * (tick + 1))
    memory = reindex([stays, comes], memory)
    quiet = Observation(0.0, {})
    for tick in range(4, 8):
        memory, decisions = step(memory, [story[tick], quiet], 15.0 * (tick + 1))
        assert decisions[0] == expected[tick]


def test_a_pool_that_is_added_knows_nothing_and_takes_nothing_from_the_others() -> None:
    one = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 50, 1.0),))
    seen = PoolObservation(8, 8, rate_per_second=800.0, errors_per_second=0.0, latency={0.1: 792.0, math.inf: 800.0})
    memory, _ = run(one, [Observation(15.0 * (tick + 1), {"cpu": seen}) for tick in range(20)])
    two = replace(one, pools=(Pool("gpu", 0, 5, 2.5), *one.pools))
    wider = reindex([two], memory)
    assert wider.pods.tick == memory.pods.tick
    assert np.array_equal(wider.capacity.evidence.load[0, 1], memory.capacity.evidence.load[0, 0])
    assert np.array_equal(wider.capacity.log_belief[0, 1], memory.capacity.log_belief[0, 0])
    assert wider.forecast.level[0] == memory.forecast.level[0]
    assert np.isnan(wider.capacity.origin[0, 0])


def planned_capacity(decisions: Decisions) -> float:
    """Requests/s that the decided replicas are counted on to carry."""
    return float(np.nansum(decisions.replicas * decisions.proposal.per_replica))


@pytest.mark.parametrize("pools", [1, 2])
def test_more_load_never_plans_less_capacity(pools: int) -> None:
    names = NAMES[:pools]
    model = Model("shop/feed", 0.95, 0.1, tuple(Pool(n, 0, 5000, c) for n, c in zip(names, (1.0, 3.0), strict=False)))

    def observation(load: float, now: float) -> Observation:
        each = load / (10 + 4 * (pools - 1) * 4)
        seen = {}
        for name, ready, share in (("cpu", 10, 1.0), ("gpu", 4, 4.0)):
            rate = each * share * ready
            late = min(1.0, math.exp(12.0 * (each / 160.0 - 1.0)))
            start = 45.0 if name == "cpu" else 180.0
            latency = {0.1: rate * (1.0 - late), math.inf: rate}
            seen[name] = PoolObservation(ready, ready, 0, share * ready, start, rate, 0.0, latency)
        return Observation(now, {name: seen[name] for name in names})

    memory = begin([model])
    for tick in range(40):  # learned at loads from 40 to 110 requests/s a CPU pod
        load = (400.0 + 700.0 * tick / 40.0) * (1.0 if pools == 1 else 2.6)
        memory, _ = step(memory, [observation(load, 15.0 * tick)], 15.0 * tick)
    loads = np.geomspace(20.0, 4_000.0, 40)
    planned = [planned_capacity(step(memory, [observation(load, 600.0)], 600.0)[1]) for load in loads]
    replica = 170.0  # the loads themselves teach: what a replica counts for moves a little between them
    assert all(more >= less - replica for less, more in pairwise(planned))
    assert planned[-1] >= loads[-1] > planned[0]


@pytest.mark.parametrize("factor", [1.5, 4.0])
def test_a_fresh_engine_plans_more_for_the_same_story_at_more_load(factor: float) -> None:
    model = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 500, 1.0),))

    def plan(scale: float) -> list[float]:
        memory, planned = begin([model]), []
        for tick in range(40):
            rate = scale * (400.0 + 10.0 * tick)
            seen = PoolObservation(10, 10, 0, 100.0, 45.0, rate, 0.0, {0.1: 0.99 * rate, math.inf: rate})
            memory, decisions = step(memory, [Observation(15.0 * tick, {"cpu": seen})], 15.0 * tick)
            planned.append(planned_capacity(decisions))
        return planned

    for less, more in zip(plan(1.0), plan(factor), strict=True):
        assert more >= less


def test_a_model_that_was_blind_for_a_whole_horizon_does_not_end_the_tick_of_the_others() -> None:
    fleet = [Model(f"shop/{i}", 0.95, 0.1, (Pool("cpu", 0, 3, 1.0),)) for i in range(2)]
    memory = begin(fleet)
    seen = PoolObservation(1, 1, startup_seconds=20.0, rate_per_second=9.0)
    for tick in range(20):
        blind = seen if tick == 0 else replace(seen, rate_per_second=None)
        told = [Observation(15.0 * tick, {"cpu": pool}) for pool in (seen, blind)]
        memory, decisions = step(memory, told, 15.0 * tick)
    assert [decisions.state(0), decisions.state(1)] == ["Learning", "Holding"]


def test_a_tick_grows_in_proportion_to_the_models() -> None:
    def seconds(count: int) -> float:
        pools = (Pool("cpu", 1, 50, 1.0), Pool("gpu", 0, 20, 2.5))
        fleet = [Model(f"shop/{i}", 0.95, 0.1, pools) for i in range(count)]
        memory, best = begin(fleet), math.inf
        rate = 300.0
        seen = PoolObservation(4, 4, 0, 50.0, 45.0, rate, 0.0, {0.05: 200.0, 0.1: 298.0, math.inf: rate}, 0.5)
        told = [Observation(0.0, {"cpu": seen, "gpu": seen})] * count
        for tick in range(8):
            before = time.process_time()  # other work on the machine takes none of it
            memory, _ = step(memory, told, 15.0 * tick)
            best = min(best, time.process_time() - before) if tick >= 6 else best  # when evidence is learned
        return best

    def ratio() -> float:
        small, large = seconds(500), seconds(2000)
        return large / small

    # One of a few pairs will do: whoever shares the caches can only make a pair look worse.
    assert any(ratio() < 6.0 for _ in range(5))


def test_a_fleet_without_models_is_decided_too() -> None:
    memory, decisions = step(begin([]), [], 15.0)
    assert list(decisions) == []
    assert isinstance(memory.fleet, Fleet)
