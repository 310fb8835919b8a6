"""One wrong reading shrinks no fleet: what a rate window may teach, and what a load may do from tick to tick."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from recmodel.core.arrays.fleet import pack
from recmodel.core.capacity import sustained
from recmodel.core.engine import step
from recmodel.core.memory import Memory, begin
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation

EDGES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
SATURATION = {"cpu": 100.0, "gpu": 180.0}
START_TICKS = 2
STEP_RATIO = 0.15  # of a fleet: one step of the trust region, which each window may take anyhow
Spoil = Callable[[PoolObservation], PoolObservation]


@dataclass
class Pods:
    """Pods of one model, without noise: how many are late follows from the load of each."""

    load: float
    desired: dict[str, int]
    busy: bool
    now: float = 0.0
    ready: dict[str, int] = field(default_factory=dict)
    weight: dict[str, float] = field(default_factory=dict)
    ordered: tuple[dict[str, int], ...] = ()

    def seen(self, name: str) -> PoolObservation:
        ready = self.ready[name]
        rate = self.load * self.weight[name] / max(sum(self.weight.values()), 1e-9)
        full = rate / max(ready, 1) / SATURATION[name]
        late = math.exp(min(12.0 * ready**0.4 * (full - 1.0), 0.0))
        in_time = {edge: rate * (1.0 - late ** (edge / 0.1)) for edge in EDGES}
        return PoolObservation(
            desired=self.desired[name],
            ready=ready,
            unschedulable=0,
            weight=self.weight[name],
            startup_seconds=30.0,
            rate_per_second=rate,
            errors_per_second=0.0,
            latency={**in_time, math.inf: rate},
            utilisation_ratio=min(full, 1.0) if self.busy else None,
        )

    def look(self, spoil: Spoil | None, pools: tuple[str, ...]) -> Observation:
        self.now += 15.0
        seen = {name: self.seen(name) for name in self.desired}
        if spoil is not None:
            seen = {name: spoil(pool) if name in pools else pool for name, pool in seen.items()}
        return Observation(self.now, seen)

    def obey(self, decision: Decision) -> None:
        self.desired = {name: pool.replicas for name, pool in decision.pools.items()}
        self.weight = {name: pool.weight for name, pool in decision.pools.items()}
        self.ordered = (*self.ordered, self.desired)[-START_TICKS - 1 :]
        started = self.ordered[0]
        self.ready = {name: min(max(self.ready[name], started[name]), count) for name, count in self.desired.items()}

    def carries(self) -> float:
        return sum(count * SATURATION[name] for name, count in self.desired.items())


BOTH = ("cpu", "gpu")
Start = tuple[float, dict[str, int], bool]  # load, replicas, whether utilisation is known


@dataclass
class Fleets:
    """Fleets under one engine, which decides each as if it were alone."""

    pods: tuple[Pods, ...]
    memory: Memory

    def tick(self, spoils: Sequence[Spoil | None], pools: tuple[str, ...] = BOTH) -> list[Decision]:
        seen = [pods.look(spoil, pools) for pods, spoil in zip(self.pods, spoils, strict=True)]
        self.memory, decisions = step(self.memory, seen, seen[0].time_seconds)
        decided = [decisions.unsplit(i) for i in range(len(seen))]
        for pods, decision in zip(self.pods, decided, strict=True):
            pods.obey(decision)
        return decided

    def copy(self) -> Fleets:
        return Fleets(tuple(replace(pods) for pods in self.pods), self.memory)

    def carry(self) -> list[float]:
        return [pods.carries() for pods in self.pods]


def settled(starts: Sequence[Start]) -> Fleets:
    """Such fleets as they stand after twenty minutes."""
    price = {"cpu": 1.0, "gpu": 1.6}
    models = [
        Model(f"shop/{i}", 0.95, 0.1, tuple(Pool(name, 0, 300, price[name]) for name in replicas))
        for i, (_, replicas, _) in enumerate(starts)
    ]
    pods = (
        Pods(load, replicas, busy, ready=dict(replicas), weight=dict.fromkeys(replicas, 1.0))
        for load, replicas, busy in starts
    )
    fleets = Fleets(tuple(pods), begin(models))
    for _ in range(80):
        fleets.tick([None] * len(starts))
    return fleets


FLEETS: dict[str, Start] = {
    "workers": (1600.0, {"cpu": 32}, True),
    "nothing tells how busy": (1600.0, {"cpu": 32}, False),
    "three replicas": (160.0, {"cpu": 3}, False),
    "two pools": (800.0, {"cpu": 3, "gpu": 3}, True),
}


@cache
def settled_workers() -> Fleets:
    return settled([FLEETS["workers"]])


class Workers:
    """The settled workers alone."""

    def __init__(self) -> None:
        self.fleets = settled_workers().copy()
        self.pods = self.fleets.pods[0]

    def tick(self, spoil: Spoil | None = None) -> Decision:
        return self.fleets.tick([spoil])[0]


def counted(factor: float) -> Spoil:
    """A scrape that counts every request ``factor`` times."""
    return lambda pool: replace(
        pool,
        rate_per_second=(pool.rate_per_second or 0.0) * factor,
        latency={edge: rate * factor for edge, rate in (pool.latency or {}).items()},
    )


def in_time(share: float) -> Spoil:
    return lambda pool: replace(
        pool,
        latency={edge: (pool.rate_per_second or 0.0) * (share if edge < 9 else 1.0) for edge in pool.latency or {}},
    )


def failed(share: float) -> Spoil:
    return lambda pool: replace(pool, errors_per_second=(pool.rate_per_second or 0.0) * share)


def looks_busy(ratio: float) -> Spoil:
    return lambda pool: replace(pool, utilisation_ratio=ratio)


def both(one: Spoil, two: Spoil) -> Spoil:
    return lambda pool: two(one(pool))


spoils = st.one_of(
    st.sampled_from([0.0, 0.001, 0.1, 0.5, 0.8, 1.3, 1.5, 2.0, 3.0, 10.0, 1000.0]).map(counted),
    st.sampled_from([0.0, 0.5, 1.0]).map(in_time),
    st.sampled_from([0.1, 1.0]).map(failed),
    st.sampled_from([0.0, 0.03, 0.3, 1.0]).map(looks_busy),
    st.just(both(counted(2.0), in_time(1.0))),
    st.just(both(counted(2.0), looks_busy(0.1))),
)
patterns = st.sampled_from([(1,), (1,), (1, 1), (1, 1, 1, 1), (1, 1, 1, 0, 1), (1, 0, 1, 0, 1, 0, 1, 0)])


def test_readings_that_are_wrong_for_less_than_a_rate_window_let_go_of_a_step_at_most() -> None:
    start, before = settled(list(FLEETS.values())), []
    undisturbed = start.copy()
    for _ in range(24):
        undisturbed.tick([None] * len(FLEETS))
        before.append(undisturbed.carry())

    @given(spoils, patterns, st.sampled_from([BOTH, ("cpu",), ("gpu",)]))
    @settings(max_examples=8, derandomize=True, database=None, phases=[Phase.generate])
    def holds(spoil: Spoil, pattern: tuple[int, ...], pools: tuple[str, ...]) -> None:
        fleets = start.copy()
        for i, clean in enumerate(before):
            fleets.tick([spoil if i < len(pattern) and pattern[i] else None] * len(FLEETS), pools)
            for name, pods, carried in zip(FLEETS, fleets.pods, clean, strict=True):
                largest = max(SATURATION[pool] for pool in pods.desired)
                allowed = max(largest, math.ceil(STEP_RATIO * carried / 100.0) * 100.0)
                assert carried - pods.carries() <= allowed, name

    holds()


@pytest.mark.parametrize("factor", [0.0, 0.25, 0.5, 0.8])
def test_a_rate_that_comes_back_from_a_dip_is_no_jump(factor: float) -> None:
    """A reading lacks some requests, or all, and the next one is right: a rise by so much within a tick would be a crowd of four times
    the load, had the rate not stood there a moment ago.
    """
    fleets = settled(list(FLEETS.values()))
    undisturbed = fleets.copy()
    for i in range(20):
        fleets.tick([counted(factor) if i in (0, 3) else None] * len(FLEETS))
        undisturbed.tick([None] * len(FLEETS))
        for name, pods, carried in zip(FLEETS, fleets.pods, undisturbed.carry(), strict=True):
            assert pods.carries() <= 1.25 * carried, name


@pytest.mark.parametrize("factor", [2.0, 10.0, 1000.0])
def test_one_reading_of_more_load_in_time_releases_nothing_of_a_fleet_that_stands_still(factor: float) -> None:
    seen = PoolObservation(32, 32, 0, 1.0, 30.0, 1600.0, 0.0, {0.05: 1520.0, 0.1: 1576.0, math.inf: 1600.0})
    memory = begin([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 200, 1.0),))])
    told = []
    for i in range(60):
        pool = counted(factor)(seen) if i == 30 else seen
        memory, decisions = step(memory, [Observation(15.0 * i, {"cpu": pool})], 15.0 * i)
        told.append(decisions[0].pools["cpu"].replicas)
    assert min(told[30:]) >= told[29]


def test_a_rate_of_a_thousand_times_its_neighbours_is_held_and_named_unless_it_lasts_or_is_late() -> None:
    wrong = Workers()
    before = wrong.pods.desired
    decision = wrong.tick(counted(1000.0))
    assert wrong.pods.desired == before
    assert decision.state == "Holding"
    assert decision.reasons[0].reason == "RateImplausible"
    assert "1600000 requests/s is over 8 times" in decision.reasons[0].message
    assert wrong.tick().state != "Holding"

    crowd = Workers()
    calm = crowd.pods.carries()
    crowd.tick(both(counted(1000.0), in_time(0.5)))
    assert crowd.pods.carries() > 1.2 * calm

    lasts = Workers()
    told = [lasts.tick(counted(20.0)).state for _ in range(8)]
    assert told[0] == "Holding"
    assert told[-1] != "Holding"


def test_a_load_that_really_falls_is_followed_and_one_that_really_rises_is_met_at_once() -> None:
    workers = Workers()
    most = workers.pods.carries()
    workers.pods.load /= 2.0
    for _ in range(24):
        workers.tick()
    assert workers.pods.carries() <= 0.65 * most
    workers.pods.load *= 2.0
    workers.tick()
    assert workers.pods.carries() > 0.85 * most


def test_what_lasted_of_some_readings() -> None:
    fleet = pack([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),))], 15.0, 60.0)

    def lasted(loads: list[float], busy: list[float] | None = None) -> tuple[bool, float]:
        readings = sustained.empty(1, 1)
        for load, share in zip(loads, busy or [0.5] * len(loads), strict=True):
            cell = np.array([[load]])
            readings = sustained.remember(readings, cell[0], cell, np.array([[1.0]]), np.array([[share]]))
        told = sustained.sustained(readings, fleet)
        return bool(told.lasts[0, 0]), float(told.busy[0, 0])

    assert lasted([47.0, 49.0, 48.0, 50.0, 49.0, 51.0]) == (True, 0.5)
    assert lasted([50.0, 100.0, 50.0, 50.0, 50.0, 50.0]) == (True, 0.5)
    assert not lasted([50.0, 50.0, 100.0, 100.0, 100.0, 100.0])[0]
    assert lasted([100.0] * 6) == (True, 0.5)
    assert not lasted([50.0] * 5)[0]
    assert lasted([50.0, math.nan, 50.0, 50.0, 50.0, 50.0, 50.0])[0]
    assert math.isnan(lasted([50.0] * 6, [0.5] * 5 + [0.05])[1])
    assert math.isnan(lasted([50.0] * 6, [math.nan] * 3 + [0.05] * 3)[1])


def test_where_utilisation_is_known_four_windows_of_a_load_counted_too_high_teach_nothing() -> None:
    cases = [(replicas, factor) for replicas in (3, 6, 16, 32) for factor in (1.0, 1.5, 2.0, 4.0)]
    fleets = settled([(50.0 * replicas, {"cpu": replicas}, True) for replicas, _ in cases])
    for i in range(60):
        before = [pods.ready["cpu"] for pods in fleets.pods]
        fleets.tick([counted(factor) if factor > 1.0 and i < 16 else None for _, factor in cases])
        undisturbed = {case[0]: pods.carries() for case, pods in zip(cases, fleets.pods, strict=True) if case[1] == 1.0}
        for case, pods, ready in zip(cases, fleets.pods, before, strict=True):
            if case[1] == 1.0:
                continue
            clean = undisturbed[case[0]]
            assert pods.ready["cpu"] >= min(math.ceil(ready / 1.5), ready - 1), case
            assert pods.carries() >= clean - max(SATURATION["cpu"], STEP_RATIO * clean), case
            seen = pods.seen("cpu")
            assert seen.latency is not None
            assert seen.latency[0.1] >= 0.95 * (seen.rate_per_second or 0.0), case


def test_a_utilisation_that_contradicts_the_load_is_believed_after_ten_rate_windows() -> None:
    """A third of the work a request from one tick to the next: counted too often, or lighter. Only time tells."""
    workers, told = Workers(), []
    before = workers.pods.carries()
    for _ in range(80):
        workers.tick(lambda pool: replace(pool, utilisation_ratio=(pool.utilisation_ratio or 0.0) / 3.0))
        told.append(workers.pods.carries())
    assert min(told[:40]) >= before - SATURATION["cpu"]
    assert 0.65 * before <= min(told[40:]) < 0.8 * before
