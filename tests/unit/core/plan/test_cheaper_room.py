"""What a dear replica is not kept for, and not given: room that a cheap one makes, and a load that nobody has seen it carry."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from recmodel.core import reasons
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.reindex import reindex
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation

TICK_SECONDS, WINDOW_TICKS, THRESHOLD_SECONDS, LOAD = 5.0, 7, 0.1, 130.0
SATURATION = {"cpu": 90.0, "gpu": 3000.0}
CPU, GPU = Pool("cpu", 2, 4, 1.0), Pool("gpu", 0, 2, 90.0)


@dataclass
class Fleet:
    """Two CPU replicas that carry a steady load, and a GPU replica that starts in a tick; rates are means over a window."""

    ready: dict[str, int] = field(default_factory=lambda: {"cpu": 2, "gpu": 0})
    weight: dict[str, float] = field(default_factory=lambda: {"cpu": 100.0, "gpu": 0.0})
    rates: dict[str, list[float]] = field(default_factory=lambda: {"cpu": [LOAD] * 7, "gpu": [0.0] * 7})
    decided: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.desired = dict(self.ready)
        self.memory = begin([self.model(0)], TICK_SECONDS, rate_window_seconds=30.0)

    def model(self, least_gpu: int) -> Model:
        return Model("shop/feed", 0.95, THRESHOLD_SECONDS, (CPU, replace(GPU, min_replicas=least_gpu)))

    def run(self, ticks: int, least_gpu: int) -> None:
        self.memory = reindex([self.model(least_gpu)], self.memory)
        for _ in range(ticks):
            now = 1e9 + len(self.decided) * TICK_SECONDS
            self.memory, decisions = step(self.memory, [Observation(now, {p: self.seen(p) for p in self.ready})], now)
            self.decided.append(decisions[0])
            self.ready = {p: min(self.desired[p], pool.replicas) for p, pool in decisions[0].pools.items()}
            self.desired = {p: pool.replicas for p, pool in decisions[0].pools.items()}
            self.weight = {p: pool.weight for p, pool in decisions[0].pools.items()}

    def seen(self, pool: str) -> PoolObservation:
        self.rates[pool].append(LOAD * self.weight[pool] / sum(self.weight.values()))
        rate = sum(self.rates[pool][-WINDOW_TICKS:]) / WINDOW_TICKS
        full = rate / max(self.ready[pool], 1) / SATURATION[pool]
        late = math.exp(min(12.0 * max(self.ready[pool], 1) ** 0.4 * (full - 1.0), 0.0))
        latency = {edge: rate * (1.0 - late ** (edge / THRESHOLD_SECONDS)) for edge in (0.011, 0.025, 0.05, 0.1, 0.25)}
        seen = PoolObservation(
            self.desired[pool], self.ready[pool], 0, self.weight[pool], 2.0, rate, 0.0, {**latency, math.inf: rate}
        )
        self.ready[pool] = self.desired[pool]
        return seen


def test_a_dear_replica_is_neither_filled_unseen_nor_kept_for_the_noise_of_a_count() -> None:
    """The owner asks for one GPU replica at 90.0 an hour, and a minute later for none. Two CPU replicas at 1.0 nearly carry the load:
    a third one comes for what may be missing, and the GPU goes.
    """
    fleet = Fleet()
    fleet.run(8, least_gpu=0)
    fleet.run(16, least_gpu=1)
    assert fleet.ready["gpu"] == 1
    assert max(decision.pools["gpu"].weight for decision in fleet.decided) < 60.0  # of 100, and not nearly all
    fleet.run(30, least_gpu=0)
    assert fleet.ready["gpu"] == 0, fleet.decided[-1]
    assert 2 <= fleet.ready["cpu"] <= 3
    added = [d.pools["cpu"].bound for d in fleet.decided if d.pools["cpu"].replicas == 3 and d.pools["gpu"].replicas]
    assert added
    assert added[0] is not None
    assert added[0].reason == reasons.ROOM_FOR_RELEASE
    assert "costs less than to keep one there" in added[0].message
