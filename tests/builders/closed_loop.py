"""A small closed loop of pods that become ready and answer late under load, in virtual time; many of them run as one fleet.

The loop's lateness is not the engine's law: a worker pod is a queue with several servers (Sakasegawa, 1977), a batching pod has
a sharp edge, and what is seen of both is counted over a rate window, with the noise of random arrivals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from recmodel.controller import kept_memory
from recmodel.core.engine import step
from recmodel.core.kept import KeptModel, keep, with_kept
from recmodel.core.memory import Memory, begin
from recmodel.core.reindex import reindex
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation

TICK_SECONDS = 15.0
THRESHOLD_SECONDS = 0.1
WINDOW_TICKS = 4

OfTime = Callable[[float], float]


def steps(before: float, after: float, at: float, until: float = math.inf) -> OfTime:
    """``after`` from ``at`` to ``until`` seconds, else ``before``."""
    return lambda now: after if at <= now < until else before


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
    """Pools under the engine. ``decisions[t]`` and ``late[t]`` are what was decided and how many were late at tick ``t``."""

    kinds: tuple[Kind, ...]
    replicas: tuple[int, ...]  # of each kind, at first
    load: OfTime | float  # requests/s
    seconds: float  # how long it runs
    seed: int = 1
    acts: bool = True
    routed: bool = True  # else the traffic stays split as the replicas are at first, which nobody is told
    slower: OfTime | float = 1.0  # times the work of a request
    blind: tuple[float, float] = (0.0, 0.0)  # from and until when no metrics are there
    nodes: Mapping[str, int] = field(default_factory=dict)  # most pods that find a node
    restarts: float = math.inf  # when the operator begins again ...
    keeps: bool = False  # ... with what was learned, as the status has it
    now: float = 0.0
    decisions: list[Decision] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    work: float = 1.0  # of a request, in the newest tick

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        counts = dict(zip((kind.pool.name for kind in self.kinds), self.replicas, strict=True))
        self.pods = {name: [-1.0] * count for name, count in counts.items()}  # when each pod becomes ready
        self.weights = {name: float(count) for name, count in counts.items()}
        self.window: dict[str, list[tuple[float, float]]] = {name: [] for name in counts}

    def model(self, key: str = "shop/feed") -> Model:
        """The RecModel, as the engine knows it."""
        return Model(
            key, 0.95, THRESHOLD_SECONDS, tuple(kind.pool for kind in self.kinds), acts=self.acts, routed=self.routed
        )

    def desired(self, name: str) -> int:
        """Pods that were ordered."""
        return len(self.pods[name])

    def ready(self, name: str) -> int:
        """Pods that answer."""
        room = self.nodes.get(name, 10**6)
        return sum(since <= self.now for since in self.pods[name][:room])

    def serve(self) -> None:
        """One tick of traffic, split by weight over what is ready; what nobody can take is late."""
        load = self.load(self.now) if callable(self.load) else self.load
        self.work = self.slower(self.now) if callable(self.slower) else self.slower
        shares = {name: self.weights.get(name, 0.0) * (self.ready(name) > 0) for name in self.pods}
        total = sum(shares.values())
        asked = late = 0.0
        for kind in self.kinds:
            name = kind.pool.name
            arrivals = self.random.poisson(load * shares[name] / total * TICK_SECONDS) if total else 0
            each = arrivals / TICK_SECONDS / max(self.ready(name), 1) * self.work
            missed = self.random.binomial(arrivals, kind.late(each)) if arrivals else 0
            self.window[name] = [*self.window[name], (float(arrivals), float(missed))][-WINDOW_TICKS:]
            asked, late = asked + arrivals, late + missed
        self.late.append(late / asked if asked else 1.0)
        self.now += TICK_SECONDS

    def observe(self) -> Observation:
        """What is seen now."""
        return Observation(self.now, {kind.pool.name: self._seen(kind) for kind in self.kinds})

    def _seen(self, kind: Kind) -> PoolObservation:
        name = kind.pool.name
        pods, ready = self.pods[name], self.ready(name)
        # The weights stand in the route, which the API server shows without any metrics.
        unplaced = max(0, len(pods) - self.nodes.get(name, 10**6))
        weight = self.weights.get(name, 0.0) if self.routed else None
        counts = PoolObservation(len(pods), ready, unschedulable=unplaced, weight=weight)
        if self.blind[0] < self.now <= self.blind[1]:
            return counts
        seconds = TICK_SECONDS * max(len(self.window[name]), 1)
        rate = sum(asked for asked, _ in self.window[name]) / seconds
        good = rate - sum(late for _, late in self.window[name]) / seconds
        return replace(
            counts,
            startup_seconds=kind.startup_seconds if ready else None,
            rate_per_second=rate,
            errors_per_second=0.0,
            latency={0.05: 0.6 * good, THRESHOLD_SECONDS: good, math.inf: rate},
            utilisation_ratio=kind.busy(rate / ready * self.work) if ready else None,
        )

    def obey(self, decision: Decision) -> None:
        """Orders what was decided: pods that are too many go at once, new ones become ready after their start-up."""
        self.decisions.append(decision)
        for kind in self.kinds:
            name = kind.pool.name
            pods, wanted = self.pods[name], decision.pools[name].replicas
            started = self.now + kind.startup_seconds
            self.pods[name] = sorted(pods)[:wanted] + [started] * (wanted - len(pods))
        if self.routed:
            self.weights = {name: pool.weight for name, pool in decision.pools.items()}

    def ordered(self, name: str = "cpu", since: float = 0.0) -> list[int]:
        """The replicas of each decision from ``since`` on."""
        return [d.pools[name].replicas for d in self.decisions if d.time_seconds > since]

    def changes(self, since: float) -> int:
        """How many decisions from ``since`` on are another mix than the one before."""
        mixes = [tuple(p.replicas for p in d.pools.values()) for d in self.decisions if d.time_seconds > since]
        return sum(a != b for a, b in pairwise(mixes))

    def late_share(self, since: float) -> float:
        """Mean share that was late from ``since`` on."""
        return float(np.mean(self.late[int(since / TICK_SECONDS) :]))


def kept_of(memory: Memory, key: str, now: float) -> KeptModel:
    """What is kept of a model, written into the status and read from it."""
    model = next(model for model in memory.fleet.models if model.key == key)
    made = {pool.name: "the same" for pool in model.pools}
    before = keep(memory, memory.fleet.models.index(model))
    assert before is not None
    text, unwritten = kept_memory.written(before, made)
    found, wrong = kept_memory.read(text, made, now)
    assert found is not None
    assert unwritten == wrong == []
    return found


def play(worlds: Mapping[str, World]) -> Memory:
    """Runs all worlds under one engine, each to its end; the memory after the last tick of the longest."""
    models = {name: world.model(f"shop/{name}") for name, world in worlds.items()}
    memory = begin(list(models.values()), TICK_SECONDS)
    while goes_on := {name: world for name, world in worlds.items() if world.now < world.seconds}:
        remember = [models[name] for name, world in goes_on.items() if world.restarts != world.now]
        if len(remember) != len(memory.fleet.models):  # some have ended, or come back without a memory
            kept = {
                f"shop/{name}": world for name, world in goes_on.items() if world.restarts == world.now and world.keeps
            }
            again = {key: kept_of(memory, key, world.now) for key, world in kept.items()}
            memory = reindex([models[name] for name in goes_on], reindex(remember, memory))
            memory = with_kept(memory, again, max((world.now for world in kept.values()), default=0.0))
        for world in goes_on.values():
            world.serve()
        seen = [world.observe() for world in goes_on.values()]
        memory, decisions = step(memory, seen, seen[0].time_seconds)
        for i, world in enumerate(goes_on.values()):
            world.obey(decisions.unsplit(i))
    return memory
