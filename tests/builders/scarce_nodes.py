"""A model whose pods find a node or do not, in virtual time."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation

TICK_SECONDS, STARTUP_SECONDS, EACH_PER_SECOND = 15.0, 40.0, 100.0


@dataclass
class Cluster:
    """Pods that start where there are nodes, and a gateway that counts what a pod answered, and nothing while there is none."""

    model: Model
    nodes: dict[str, int]  # pods of each pool that find one; it may change at any time
    load_per_second: float = 30.0
    unknown: float | None = None  # what is read while no pool has a ready replica
    ticks: int = 0
    desired: dict[str, int] = field(default_factory=dict)
    placed: dict[str, list[float]] = field(default_factory=dict)  # since when each pod has had its node
    decided: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.memory = begin([self.model])
        self.desired = {pool.name: pool.min_replicas for pool in self.model.pools}
        self.placed = {pool.name: [] for pool in self.model.pools}

    def ready(self, pool: str) -> int:
        return sum(self.ticks * TICK_SECONDS - since >= STARTUP_SECONDS for since in self.placed[pool])

    def run(self, minutes: float, until: Callable[[], bool] = lambda: False) -> None:
        for _ in range(round(minutes * 60 / TICK_SECONDS)):
            if until():
                return
            self.tick()

    def tick(self) -> None:
        self.ticks += 1
        now = self.ticks * TICK_SECONDS
        for name, pods in self.placed.items():
            there = min(self.desired[name], self.nodes[name])
            pods[there:] = []
            pods += [now] * (there - len(pods))
        weights = {name: pool.weight for name, pool in self.decided[-1].pools.items()} if self.decided else {}
        weights = {name: weights.get(name, 0.0) if self.ready(name) else 0.0 for name in self.placed}
        weights = weights if sum(weights.values()) else {name: float(self.ready(name) > 0) for name in self.placed}
        total = sum(weights.values())
        seen = {}
        for name, pods in self.placed.items():
            rate = self.load_per_second * weights[name] / total if total else self.unknown
            good = min(rate or 0.0, EACH_PER_SECOND * self.ready(name))
            seen[name] = PoolObservation(
                desired=self.desired[name],
                ready=self.ready(name),
                unschedulable=self.desired[name] - len(pods),
                weight=weights[name],
                startup_seconds=STARTUP_SECONDS if self.ready(name) else None,
                rate_per_second=rate,
                errors_per_second=None if rate is None else 0.0,
                latency={0.05: 0.8 * good, 0.1: good, math.inf: rate} if rate else None,
                utilisation_ratio=rate / (EACH_PER_SECOND * self.ready(name)) if rate else None,
            )
        self.memory, decisions = step(self.memory, [Observation(now, seen)], now)
        self.decided.append(decisions.unsplit(0))
        if self.model.acts:
            self.desired = {name: pool.replicas for name, pool in self.decided[-1].pools.items()}

    def said(self, pool: str) -> str:
        bound = self.decided[-1].pools[pool].bound
        return bound.message if bound else ""

    def why(self, pool: str) -> str | None:
        bound = self.decided[-1].pools[pool].bound
        return bound.reason if bound else None


def cluster(*pools: Pool, unknown: float | None = None, **nodes: int) -> Cluster:
    model = Model("shop/feed", 0.95, 0.1, pools)
    return Cluster(model, {pool.name: 0 for pool in pools} | nodes, unknown=unknown)
