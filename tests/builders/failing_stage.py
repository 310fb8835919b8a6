"""Many models at once in a small closed loop, each with its own trouble: requests that fail or are late whatever runs, or overload."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from recmodel.core.engine import step
from recmodel.core.explanation.sentences import Decisions
from recmodel.core.memory import Memory, begin
from recmodel.core.reindex import reindex
from recmodel.core.types import Model, Observation, Pool, PoolObservation

TICK_SECONDS, WINDOW_TICKS, THRESHOLD_SECONDS = 15.0, 4, 0.1
SATURATION = 160.0  # requests/s of a replica: four workers of 25 ms, of which 5 % are late at about 126 and none at 80
NEEDS = 100.0  # requests/s of a replica that is well used
STARTUP_SECONDS = 45.0

OfTime = Callable[[float], float]


def constant(value: float, since: float = 0.0, until: float = math.inf) -> OfTime:
    """``value`` from ``since`` to ``until``, else 0."""
    return lambda now: value if since <= now < until else 0.0


NEVER, ALWAYS = constant(0.0), constant(1.0)


@dataclass
class Story:
    """One model. ``fails`` and ``slow`` are shares of its requests that fail at once, or are late, whatever runs."""

    name: str
    load: OfTime  # requests/s
    replicas: int
    within: float = 0.99
    fails: OfTime = NEVER
    slow: OfTime = NEVER
    slower: OfTime = ALWAYS  # times the work of a request
    only: str | None = None  # the one pool that is in trouble
    sheds: bool = False  # overload is answered with 503, not late
    busy: float | None = 1.0  # utilisation when full; None: not known
    pools: tuple[str, ...] = ("cpu",)
    startup_seconds: float = STARTUP_SECONDS
    restarts: tuple[float, ...] = ()  # the operator's
    pods: dict[str, list[float]] = field(default_factory=dict)  # when each becomes ready
    weights: dict[str, float] = field(default_factory=dict)
    window: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)  # asked, failed, late
    ordered: dict[str, list[int]] = field(default_factory=dict)
    bad: list[float] = field(default_factory=list)
    reasons: list[dict[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pods = {name: [-1.0] * self.replicas for name in self.pools}
        self.weights = dict.fromkeys(self.pools, 1.0)
        self.window = {name: [] for name in self.pools}
        self.ordered = {name: [] for name in self.pools}

    def model(self) -> Model:
        pools = tuple(Pool(name, 1, 1000, 1.0) for name in self.pools)
        return Model(f"shop/{self.name}", self.within, THRESHOLD_SECONDS, pools)

    def ready(self, name: str, now: float) -> int:
        return sum(since <= now for since in self.pods[name])

    def serve(self, now: float, random: np.random.Generator) -> None:
        """One tick of traffic, split by weight over what is ready."""
        shares = {name: self.weights[name] * (self.ready(name, now) > 0) for name in self.pools}
        total, asked, bad = sum(shares.values()), 0, 0
        for name, share in shares.items():
            arrivals = int(random.poisson(self.load(now) * share / total * TICK_SECONDS)) if total else 0
            ill = self.only in (None, name)
            failed = int(random.binomial(arrivals, self.fails(now) if ill else 0.0))
            each = (arrivals - failed) / TICK_SECONDS / max(self.ready(name, now), 1) * self.slower(now)
            if self.sheds and each > SATURATION:
                failed += int((arrivals - failed) * (1.0 - SATURATION / each))
                each = 0.97 * SATURATION
            late = int(random.binomial(arrivals - failed, late_at(each)))
            late += int(random.binomial(arrivals - failed - late, self.slow(now) if ill else 0.0))
            self.window[name] = [*self.window[name], (arrivals, failed, late)][-WINDOW_TICKS:]
            asked, bad = asked + arrivals, bad + failed + late
        self.bad.append(bad / asked if asked else 0.0)

    def seen(self, name: str, now: float) -> PoolObservation:
        ready, seconds = self.ready(name, now), TICK_SECONDS * len(self.window[name])
        rate, errors, late = (sum(tick[i] for tick in self.window[name]) / seconds for i in range(3))
        good = rate - errors - late
        full = min(1.0, (rate - errors) / max(ready, 1) * self.slower(now) / SATURATION)
        return PoolObservation(
            len(self.pods[name]),
            ready,
            weight=self.weights[name],
            startup_seconds=self.startup_seconds,
            rate_per_second=rate,
            errors_per_second=errors,
            latency={0.05: 0.6 * good, THRESHOLD_SECONDS: good, math.inf: rate - errors},
            utilisation_ratio=None if self.busy is None else self.busy * full,
        )

    def obey(self, decisions: Decisions, i: int, now: float) -> None:
        for k, name in enumerate(self.pools):
            wanted = int(decisions.replicas[i, k])
            new = [now + self.startup_seconds] * (wanted - len(self.pods[name]))
            self.pods[name] = sorted(self.pods[name])[:wanted] + new
            self.weights[name] = max(
                float(decisions.weights[i, k]), 0.1
            )  # a route has 1 of 1,000 at least for who is ready
            self.ordered[name].append(wanted)
        decision = decisions.unsplit(i) if len(self.bad) % 10 == 0 else None  # a record costs more than the decision
        self.reasons.append({} if decision is None else {r.reason: r.message for r in decision.reasons})

    def between(self, since: float, until: float = math.inf, pool: str = "cpu") -> list[int]:
        """The replicas ordered in the ticks from ``since`` to ``until`` seconds."""
        last = None if math.isinf(until) else int(until / TICK_SECONDS)
        return self.ordered[pool][int(since / TICK_SECONDS) : last]

    def bad_share(self, since: float, until: float = math.inf) -> float:
        last = None if math.isinf(until) else int(until / TICK_SECONDS)
        return float(np.mean(self.bad[int(since / TICK_SECONDS) : last]))

    def messages(self, reason: str, since: float = 0.0) -> list[str]:
        return [said[reason] for said in self.reasons[int(since / TICK_SECONDS) :] if reason in said]


def late_at(load: float) -> float:
    """Share that is late where a replica gets ``load`` requests/s: a queue with four servers (Sakasegawa, 1977)."""
    full = load / SATURATION
    if full >= 1.0:
        return 1.0
    return float(full ** (math.sqrt(10.0) - 1.0) * math.exp(-(SATURATION - load) * (THRESHOLD_SECONDS - 0.025)))


def play(stories: Sequence[Story], seconds: float, seed: int = 1) -> dict[str, Story]:
    """All stories under one engine, tick by tick."""
    models = [story.model() for story in stories]
    memory: Memory = begin(models, tick_seconds=TICK_SECONDS)
    randoms = [np.random.default_rng([seed, i]) for i in range(len(stories))]
    for tick in range(1, int(seconds / TICK_SECONDS) + 1):
        now = tick * TICK_SECONDS
        for story, random in zip(stories, randoms, strict=True):
            story.serve(now - TICK_SECONDS, random)
        seen = [Observation(now, {name: story.seen(name, now) for name in story.pools}) for story in stories]
        starting_over = {story.name for story in stories if now in story.restarts}
        if starting_over:
            kept = [model for model in models if model.key.removeprefix("shop/") not in starting_over]
            memory = reindex(models, reindex(kept, memory))
        memory, decisions = step(memory, seen, now)
        for i, story in enumerate(stories):
            story.obey(decisions, i, now)
    return {story.name: story for story in stories}
