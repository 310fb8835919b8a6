"""Pods that are Ready and still slow: they get requests, count for less, and teach nothing of what a replica carries."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import pytest

from builders.closed_loop import TICK_SECONDS, WINDOW_TICKS, World, steps, workers
from builders.deciders import decider
from builders.sentence_checks import check
from recmodel.core.arrays.fleet import pack
from recmodel.core.arrays.observed import see
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation

WARM_UP_SECONDS = 120.0


@pytest.mark.parametrize(
    ("ages", "warm_up_seconds", "warming", "counted"),
    [
        ((), 120.0, 0, 4.0),
        ((30.0, 90.0), 120.0, 2, 2.0 + 0.25 + 0.75),
        ((0.0,), 120.0, 1, 3.0 + 0.1),  # without requests it would never warm
        ((-5.0,), 120.0, 0, 4.0),  # no age is negative: unknown is not young
        ((119.9, 120.0, 500.0), 120.0, 1, 4.0),
        ((30.0, 90.0), 0.0, 0, 4.0),  # Ready is warm
        ((0.0,) * 9, 120.0, 4, 0.4),  # no more than are ready
        ((float("nan"),), 120.0, 0, 4.0),
    ],
)
def test_a_ready_pod_warms_until_it_has_been_ready_for_the_warm_up(
    ages: tuple[float, ...], warm_up_seconds: float, warming: int, counted: float
) -> None:
    pool = Pool("cpu", 1, 9, 1.0, warm_up_seconds=warm_up_seconds)
    fleet = pack([Model("shop/feed", 0.95, 0.1, (pool,))], TICK_SECONDS, 60.0)
    seen = see(fleet, [Observation(0.0, {"cpu": PoolObservation(4, 4, ready_for_seconds=ages)})])
    assert (seen.warming[0, 0], seen.warm[0, 0]) == (warming, 4 - warming)
    assert seen.warm[0, 0] + warming * seen.warmed_ratio[0, 0] == pytest.approx(counted, abs=1e-3)


def test_the_share_of_a_pool_grows_as_it_warms_and_its_horizon_holds_the_warm_up() -> None:
    """Nothing is known of either pool, so replicas count: four that are warm beside two that come."""
    pools = (Pool("old", 4, 4, 1.0), Pool("new", 2, 2, 1.0, warm_up_seconds=WARM_UP_SECONDS))
    memory = begin([Model("shop/feed", 0.95, 0.1, pools)], TICK_SECONDS)
    shares, weight = [], 0.0
    for tick in range(10):
        age = TICK_SECONDS * tick
        old = PoolObservation(4, 4, weight=100.0 - weight, startup_seconds=45.0, rate_per_second=100.0)
        new = PoolObservation(2, 2, None, weight, 45.0, rate_per_second=0.0, ready_for_seconds=(age, age))
        memory, decided = step(memory, [Observation(age, {"old": old, "new": new})], age)
        weight = decided[0].pools["new"].weight
        shares.append(weight)
        horizon = {name: forecast.horizon_seconds for name, forecast in decided[0].forecast.items()}
        assert horizon["new"] == horizon["old"] + WARM_UP_SECONDS == 45.0 + 15.0 + 40.0 + WARM_UP_SECONDS
    assert shares[0] == pytest.approx(100.0 * 0.2 / 4.2, abs=1e-3)
    assert shares[8:] == [pytest.approx(100.0 / 3.0, abs=1e-3)] * 2
    growth = np.diff(shares)
    assert (growth >= 0.0).all()
    assert growth.max() < 6.0, "an eighth of the warm-up a tick"


@dataclass
class Cold(World):
    """Pods take three times the work for a request while they warm. Nobody is ``told`` unless the pool has a warm-up."""

    told: bool = True

    def late_at(self, name: str, each: float) -> float:
        """Late share of a pool whose ready pods get ``each`` requests/s; cold ones are late sooner."""
        kind = self.kinds[0]
        ages = [self.now - since for since in self.pods[name] if since <= self.now]
        return float(np.mean([kind.late(each * (3.0 if age < WARM_UP_SECONDS else 1.0)) for age in ages]))

    def serve(self) -> None:
        """One tick of traffic for the one pool."""
        (kind,) = self.kinds
        name = kind.pool.name
        load = self.load(self.now) if callable(self.load) else self.load
        arrivals = self.random.poisson(load * TICK_SECONDS)
        missed = self.random.binomial(arrivals, self.late_at(name, arrivals / TICK_SECONDS / self.ready(name)))
        self.window[name] = [*self.window[name], (float(arrivals), float(missed))][-WINDOW_TICKS:]
        self.late.append(missed / arrivals)
        self.now += TICK_SECONDS

    def observe(self) -> Observation:
        """What is seen, with the ages of the pods."""
        (name,) = self.pods
        ages = tuple(self.now - since for since in self.pods[name] if since <= self.now)
        seen = super().observe().pools[name]
        # A pod that was there at first has been ready since -1 s, and is warm.
        young = tuple(age for age in ages if self.told and age < min(WARM_UP_SECONDS, self.now))
        return Observation(self.now, {name: replace(seen, ready_for_seconds=young)})

    def warming(self) -> int:
        """Pods that warm now."""
        return len(self.observe().pools["cpu"].ready_for_seconds)


def played(told: bool) -> tuple[Cold, list[tuple[int, Decision]]]:
    """A day in an hour: the load doubles for five minutes, and doubles again later for good; with how many pods warm at each decision."""
    kind = workers()
    kind = replace(kind, pool=replace(kind.pool, warm_up_seconds=WARM_UP_SECONDS if told else 0.0))
    spike, rise = steps(0.0, 500.0, 1500.0, 1800.0), steps(500.0, 1000.0, 3000.0)
    world = Cold((kind,), (6,), load=lambda now: rise(now) + spike(now), seconds=4800.0, told=told)
    ours, model, decisions = decider(), world.model(), list[tuple[int, Decision]]()
    while world.now < world.seconds:
        world.serve()
        seen = world.observe()
        found, failed = ours.decide([model], [seen], world.now)
        assert not failed
        list(check(model, seen, found[model.key]))
        decisions.append((world.warming(), found[model.key]))
        world.obey(found[model.key])
    return world, decisions


@pytest.mark.parametrize("late_ratio", [0.0, 0.2])
def test_a_window_in_which_pods_warm_teaches_nothing(late_ratio: float) -> None:
    """Late, they are slower than they will be; in time, what they answered was less than a replica's part."""

    def evidence(young_until: int) -> float:
        pool = Pool("cpu", 1, 20, 1.0, warm_up_seconds=WARM_UP_SECONDS)
        memory = begin([Model("shop/feed", 0.95, 0.1, (pool,))], TICK_SECONDS)
        for tick in range(1, 31):
            latency = {0.1: 300.0 * (1.0 - late_ratio), float("inf"): 300.0}
            seen = PoolObservation(4, 4, 0, 100.0, 45.0, 300.0, 0.0, latency, 0.5)
            seen = replace(seen, ready_for_seconds=(60.0,) if tick <= young_until else ())
            memory, _ = step(memory, [Observation(15.0 * tick, {"cpu": seen})], 15.0 * tick)
        return float(memory.capacity.evidence.weight.sum())

    assert evidence(young_until=30) == 0.0
    assert evidence(young_until=24) == 0.0, "the newest rate window, with its age, reaches back to a pod that warmed"
    assert evidence(young_until=20) > 0.0


def test_while_pods_warm_nothing_is_released_and_no_smaller_capacity_is_learned() -> None:
    """The same traffic with the warm-up told and not told: cold pods that are taken for warm ones look like overload."""
    told, decisions = played(told=True)
    blunt, blunt_decisions = played(told=False)
    warming = [(count, decision) for count, decision in decisions if count]
    assert warming
    before: Decision | None = None
    for count, decision in decisions:
        if count and before is not None:
            assert decision.pools["cpu"].replicas >= before.pools["cpu"].replicas, "what stands is kept"
        before = decision
    held = [d.pools["cpu"].bound for _, d in warming if d.pools["cpu"].bound is not None]
    assert "PodsWarming" in {bound.reason for bound in held}
    assert max(told.ordered()) < max(blunt.ordered()), "lateness of cold pods is answered with more cold pods"
    assert capacity(decisions[-1][1]) > 1.1 * capacity(blunt_decisions[-1][1])


def capacity(decision: Decision) -> float:
    found = decision.estimates["cpu"].planned_per_replica
    return 0.0 if found is None else found


def test_without_a_warm_up_the_ages_of_pods_change_no_decision() -> None:
    def decisions(aged: bool) -> str:
        memory, said = begin([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 20, 1.0),))], TICK_SECONDS), []
        for tick in range(1, 60):
            rate = 300.0 + 200.0 * (tick > 30)
            latency = {0.1: rate * (0.99 if tick % 7 else 0.8), float("inf"): rate}
            pool = PoolObservation(4, 4, 0, 100.0, 45.0, rate, 0.0, latency, 0.5)
            pool = replace(pool, ready_for_seconds=(1.0, 40.0)) if aged else pool
            memory, decided = step(memory, [Observation(15.0 * tick, {"cpu": pool})], 15.0 * tick)
            said.append(repr(decided[0]))
        return json.dumps(said)

    assert decisions(aged=True) == decisions(aged=False)
