"""A small closed loop of pods under the engine, in virtual time: they become ready after a while and answer late under load.

Their lateness is not the engine's law: a worker pod is a queue with several servers (Sakasegawa, 1977), a batching pod has a sharp
edge, and what is seen of both is counted over a rate window, with the noise of random arrivals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from recmodel.core.engine import step
from recmodel.core.memory import Memory, begin
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation

TICK_SECONDS = 15.0
THRESHOLD_SECONDS = 0.1
WINDOW_TICKS = 4

Load = Callable[[float], float]


@dataclass(frozen=True)
class Kind:
    """How a pod of a pool serves: at most ``saturation`` requests/s, of which ``late(load)`` are late."""

    pool: Pool
    startup_seconds: float
    saturation: float
    late: Callable[[float], float]
    busy: Callable[[float], float | None]


def workers(name: str = "cpu", most: int = 200, servers: int = 4, service_seconds: float = 0.025) -> Kind:
    """A pod of four workers of 25 ms: saturates at 160 requests/s; 5 % are late at about 126, 3 % at about 121."""
    saturation = servers / service_seconds

    def late(load: float) -> float:
        full = load / saturation
        if full >= 1.0:
            return 1.0
        waits = full ** (math.sqrt(2.0 * (servers + 1)) - 1.0)
        return float(waits * math.exp(-(saturation - load) * (THRESHOLD_SECONDS - service_seconds)))

    return Kind(Pool(name, 1, most, 1.0), 45.0, saturation, late, lambda load: min(1.0, load / saturation))


def batches(name: str = "gpu", price: float = 2.5, saturation: float = 600.0) -> Kind:
    """A batching pod: nothing is late up to its edge, and it looks busy long before."""
    return Kind(
        Pool(name, 0, 60, price),
        180.0,
        saturation,
        lambda load: min(1.0, math.exp(-40.0 * (1.0 - load / saturation))),
        lambda load: min(1.0, (load / saturation) ** 0.4),
    )


@dataclass
class World:
    """Pools under the engine. ``replicas[t]`` and ``late[t]`` are what was ordered and how many were late at tick ``t``."""

    kinds: dict[str, Kind]
    replicas: dict[str, int]
    seed: int = 1
    acts: bool = True
    slower: float = 1.0
    blind: bool = False
    nodes: dict[str, int] = field(default_factory=dict)  # most pods that find a node
    memory: Memory | None = None
    now: float = 0.0
    decisions: list[Decision] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.pods = {name: [-1.0] * count for name, count in self.replicas.items()}  # when each pod becomes ready
        self.window: dict[str, list[tuple[float, float]]] = {name: [] for name in self.kinds}
        self.memory = self.memory or begin([self.model()], tick_seconds=TICK_SECONDS)
        self.weights = self.weights or {name: float(count) for name, count in self.replicas.items()}

    def model(self) -> Model:
        pools = tuple(kind.pool for kind in self.kinds.values())
        return Model("shop/feed", 0.95, THRESHOLD_SECONDS, pools, acts=self.acts)

    def desired(self, name: str) -> int:
        return len(self.pods[name])

    def ready(self, name: str) -> int:
        room = self.nodes.get(name, 10**6)
        return sum(since <= self.now for since in self.pods[name][:room])

    def serve(self, load: float) -> None:
        """One tick of traffic, split by weight over what is ready; what nobody can take is late."""
        shares = {name: self.weights.get(name, 0.0) * (self.ready(name) > 0) for name in self.kinds}
        total = sum(shares.values())
        asked = late = 0.0
        for name, kind in self.kinds.items():
            arrivals = self.random.poisson(load * shares[name] / total * TICK_SECONDS) if total else 0
            each = arrivals / TICK_SECONDS / max(self.ready(name), 1) * self.slower
            missed = self.random.binomial(arrivals, kind.late(each)) if arrivals else 0
            self.window[name] = [*self.window[name], (float(arrivals), float(missed))][-WINDOW_TICKS:]
            asked, late = asked + arrivals, late + missed
        self.late.append(late / asked if asked else 1.0)

    def seen(self, name: str) -> PoolObservation:
        pods, ready = self.pods[name], self.ready(name)
        counts = PoolObservation(len(pods), ready, unschedulable=max(0, len(pods) - self.nodes.get(name, 10**6)))
        if self.blind:
            return counts
        seconds = TICK_SECONDS * max(len(self.window[name]), 1)
        rate = sum(asked for asked, _ in self.window[name]) / seconds
        good = rate - sum(late for _, late in self.window[name]) / seconds
        return replace(
            counts,
            weight=self.weights.get(name, 0.0),
            startup_seconds=self.kinds[name].startup_seconds if ready else None,
            rate_per_second=rate,
            errors_per_second=0.0,
            latency={0.05: 0.6 * good, THRESHOLD_SECONDS: good, math.inf: rate},
            utilisation_ratio=self.kinds[name].busy(rate / ready * self.slower) if ready else None,
        )

    def run(self, seconds: float, load: Load | float) -> World:
        for _ in range(int(seconds / TICK_SECONDS)):
            self.serve(load(self.now) if callable(load) else load)
            self.now += TICK_SECONDS
            observation = Observation(self.now, {name: self.seen(name) for name in self.kinds})
            assert self.memory is not None
            self.memory, decisions = step(self.memory, [observation], self.now)
            decision = decisions[0]
            self.decisions.append(decision)
            for name, kind in self.kinds.items():
                pods, wanted = self.pods[name], decision.pools[name].replicas
                started = self.now + kind.startup_seconds
                self.pods[name] = sorted(pods)[:wanted] + [started] * (wanted - len(pods))
            self.weights = {name: pool.weight for name, pool in decision.pools.items()}
        return self

    def ordered(self, name: str = "cpu", since: float = 0.0) -> list[int]:
        """The replicas of each decision from ``since`` on."""
        return [d.pools[name].replicas for d in self.decisions if d.time_seconds > since]

    def changes(self, since: float) -> int:
        mixes = [tuple(p.replicas for p in d.pools.values()) for d in self.decisions if d.time_seconds > since]
        return sum(a != b for a, b in pairwise(mixes))

    def late_share(self, since: float) -> float:
        return float(np.mean(self.late[int(since / TICK_SECONDS) :]))


def world(*kinds: Kind, **arguments: object) -> World:
    replicas = arguments.pop("replicas")
    names = {kind.pool.name: kind for kind in kinds}
    return World(names, dict(zip(names, replicas, strict=True)), **arguments)  # type: ignore[arg-type,call-overload]
