"""The engine on a load that was measured, with servers as late as they were seen to be: every day of the past at once, tick by tick.

Each day begins with the replicas that ran then, with the load before it as history, and with what the days before taught of the
replicas: the first one knows nothing of them. A tick's late share follows the law of :mod:`recmodel.lab.past.servers`; arrivals and
late requests are drawn. Nothing here is compiled, so that the operator's image runs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from recmodel.core.arrays.fleet import Floats, Ints
from recmodel.core.types import Model, Observation, PoolObservation
from recmodel.lab.controllers.fleet_engine import FleetEngine
from recmodel.lab.past.servers import Server, evidence_until
from recmodel.lab.simulator.scenario import PoolScenario, Scenario
from recmodel.lab.trace import DAY_SECONDS, HISTORY_DAYS, Trace
from recmodel.prometheus.past import Past

TICK_SECONDS = 15.0
WINDOW_TICKS = 4  # of a rate
DELAY_TICKS = 1  # the age of the newest sample that is seen


@dataclass(frozen=True)
class Variant:
    """One way in which it may have gone: what a replica of each pool carries, and the seed of what is drawn."""

    capacity: tuple[float, ...]  # requests/s a replica, by pool
    seed: int


@dataclass(frozen=True)
class Outcome:
    """What the engine came to in one variant, by the minute of the past."""

    replicas: Floats  # [minutes, pools], means
    late: Floats  # requests
    requests: Floats


@dataclass(frozen=True)
class Ground:
    """What is replayed: the past, the model with its pools in the same order, the servers, how long a pod takes to be Ready, and the
    requests/s by the minute that lay right before the past, as far as they are known.
    """

    past: Past
    model: Model
    servers: Sequence[Server]
    startup_seconds: float
    before: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def minutes(self) -> int:
        """Of the past."""
        return self.past.seconds.size

    @property
    def day_minutes(self) -> int:
        """Of one replayed day; a shorter past is one day."""
        return min(self.minutes, round(DAY_SECONDS / self.past.step_seconds))

    @property
    def days(self) -> int:
        """The last one may be a part of a day."""
        return math.ceil(self.minutes / self.day_minutes)


def variants(servers: Sequence[Server], seeds: int) -> list[Variant]:
    """The middle and both ends of what a replica may carry, each with ``seeds`` seeds; the bound alone where nothing else is known."""
    ends = [tuple(s.middle for s in servers)]
    if not all(s.only_a_bound for s in servers):
        ends += [tuple(s.low for s in servers), tuple(s.middle if s.only_a_bound else s.high for s in servers)]
    return [Variant(capacity, seed) for capacity in ends for seed in range(seeds)]


def replay(ground: Ground, tried: Sequence[Variant], progress: Callable[[float], None] | None = None) -> list[Outcome]:
    """One outcome for each of ``tried``, in their order. The same input gives the same outcome."""
    plant = _Plant(ground, tried)
    engine = _engine(ground, len(tried))
    ticks_a_minute = round(ground.past.step_seconds / TICK_SECONDS)
    ticks = ground.day_minutes * ticks_a_minute
    rates = _arrivals(ground, tried, ticks)
    shape = (plant.rows, ground.day_minutes)
    replicas, late, requests = np.zeros((*shape, len(ground.model.pools))), np.zeros(shape), np.zeros(shape)
    for tick in range(ticks):
        now = ground.past.seconds[0] + tick * TICK_SECONDS
        decided = engine.decide(plant.observe(now))
        wanted = [[decision.pools[p.name] for p in ground.model.pools] for decision in decided]
        plant.order(np.array([[pool.replicas for pool in row] for row in wanted], np.int64))
        plant.weights = np.array([[pool.weight for pool in row] for row in wanted], np.float64)
        minute = tick // ticks_a_minute
        replicas[:, minute] += plant.running() / ticks_a_minute
        served, failed = plant.serve(rates[:, tick])
        requests[:, minute] += served
        late[:, minute] += failed
        if progress is not None and (tick + 1) % (60 * ticks_a_minute) == 0:
            progress((tick + 1) / ticks)
    whole = slice(0, ground.minutes)
    by_variant = (len(tried), ground.days * ground.day_minutes)
    replicas = replicas.reshape(*by_variant, -1)
    late, requests = late.reshape(by_variant), requests.reshape(by_variant)
    return [Outcome(replicas[v, whole], late[v, whole], requests[v, whole]) for v in range(len(tried))]


def measured_late(ground: Ground) -> Floats:
    """The late share, by the minute, that the law gives for the replicas that ran and the load that they got: what the load explains."""
    late, every = np.zeros(ground.minutes), np.zeros(ground.minutes)
    for pool, server in zip(ground.past.pools, ground.servers, strict=True):
        ready = np.maximum(np.nan_to_num(pool.ready), 1.0)
        load = np.nan_to_num(pool.per_second)
        late += load * server.late(load / ready, ready, server.middle)
        every += load
    return np.asarray(late / np.maximum(every, 1e-9), np.float64)


def load_of(past: Past) -> Floats:
    """Requests/s of all pools, by the minute; NaN where no pool's are known."""
    rates = np.array([pool.per_second for pool in past.pools])
    return np.asarray(np.where(np.isfinite(rates).any(0), np.nansum(rates, axis=0), np.nan), np.float64)


def _engine(ground: Ground, tried: int) -> FleetEngine:
    """A row for each day of each variant, the days of a variant together. All rows run on the clock of the first day."""
    starts = [day * ground.day_minutes for day in range(ground.days)]
    pools = tuple(
        PoolScenario(p.name, min_replicas=p.min_replicas, max_replicas=p.max_replicas, price=p.cost_per_hour)
        for p in ground.model.pools
    )
    scenario = Scenario(pools, threshold_seconds=ground.model.threshold_seconds, within_ratio=ground.model.within_ratio)
    histories = [_history(ground, start) for start in starts]
    known = evidence_until(ground.past, ground.model, starts * tried)
    return FleetEngine([scenario] * (len(starts) * tried), histories * tried, capacity=known)


def _history(ground: Ground, start: int) -> Trace | None:
    """The load before a day, on the clock of the first one; None where nothing of it is known."""
    step = ground.past.step_seconds
    rates = np.append(ground.before, load_of(ground.past)[:start])[-round(HISTORY_DAYS * DAY_SECONDS / step) :]
    if len(rates) < 2 or not np.isfinite(rates).any():
        return None
    return Trace(float(ground.past.seconds[0]) - len(rates) * step, step, rates)


def _arrivals(ground: Ground, tried: Sequence[Variant], ticks: int) -> Floats:
    """Requests of every row by tick, drawn around the load: straight lines between the middles of the minutes."""
    trace = Trace(0.0, ground.past.step_seconds, load_of(ground.past))
    mean = trace.per_second().reshape(-1, round(TICK_SECONDS)).mean(1)
    whole = np.append(mean, np.full(ground.days * ticks - len(mean), mean[-1])).reshape(ground.days, ticks)
    by_seed = {
        seed: np.random.default_rng([seed, 11]).poisson(whole * TICK_SECONDS).astype(np.float64)
        for seed in {variant.seed for variant in tried}
    }
    return np.concatenate([by_seed[variant.seed] for variant in tried])


class _Plant:
    """The pods of every row, and what is seen of them."""

    def __init__(self, ground: Ground, tried: Sequence[Variant]) -> None:
        self._ground = ground
        self.rows = ground.days * len(tried)
        self._capacity = np.repeat([variant.capacity for variant in tried], ground.days, axis=0)  # [rows, pools]
        starts = np.arange(ground.days) * ground.day_minutes
        began = np.array([_first_known(pool.running, starts) for pool in ground.past.pools]).T
        least = [pool.min_replicas for pool in ground.model.pools]
        self._ready: Ints = np.tile(np.maximum(np.round(began), least).astype(np.int64), (len(tried), 1))
        slots = max(math.ceil(ground.startup_seconds / TICK_SECONDS), 1)
        self._starting = np.zeros((*self._ready.shape, slots), np.int64)  # by the tick in which they are Ready
        load = np.array([_first_known(pool.per_second, starts) for pool in ground.past.pools]).T
        self.weights: Floats = np.tile(load, (len(tried), 1))
        seen = (WINDOW_TICKS + DELAY_TICKS, *self._ready.shape)
        self._requests, self._late = np.full(seen, np.nan), np.full(seen, np.nan)  # the newest tick first
        self._random = np.random.default_rng([*(variant.seed for variant in tried), 12])

    def running(self) -> Ints:
        """Replicas ``[rows, pools]`` that are paid for."""
        result: Ints = self._ready + self._starting.sum(-1)
        return result

    def order(self, wanted: Ints) -> None:
        """As a ReplicaSet: what is not Ready yet goes first."""
        more = wanted - self.running()
        self._starting[..., -1] += np.maximum(more, 0)
        fewer = np.maximum(-more, 0)
        for slot in range(self._starting.shape[-1] - 1, -1, -1):
            gone = np.minimum(fewer, self._starting[..., slot])
            self._starting[..., slot] -= gone
            fewer -= gone
        self._ready -= fewer

    def serve(self, requests: Floats) -> tuple[Floats, Floats]:
        """One tick: requests, and those of them that were late, by row. Without a ready pod all fail."""
        share = self._shares()
        mine = requests[:, None] * share
        ready = np.maximum(self._ready, 1).astype(np.float64)
        law = [
            server.late(mine[:, k] / TICK_SECONDS / ready[:, k], ready[:, k], self._capacity[:, k])
            for k, server in enumerate(self._ground.servers)
        ]
        drawn = self._random.binomial(np.round(mine).astype(np.int64), np.clip(np.array(law).T, 0.0, 1.0))
        late = np.minimum(drawn, mine)
        there = self._ready > 0
        self._requests = np.concatenate([np.where(there, mine, np.nan)[None], self._requests[:-1]])
        self._late = np.concatenate([np.where(there, late, np.nan)[None], self._late[:-1]])
        self._ready += self._starting[..., 0]
        self._starting = np.concatenate([self._starting[..., 1:], np.zeros_like(self._starting[..., :1])], axis=-1)
        return requests, np.where(there.any(1), late.sum(1), requests)

    def observe(self, now_seconds: float) -> list[Observation]:
        """What Prometheus and Kubernetes would show of every row."""
        requests, late = (ring[DELAY_TICKS:].mean(0) / TICK_SECONDS for ring in (self._requests, self._late))
        running, share = self.running(), self._shares()
        return [
            Observation(
                now_seconds,
                {
                    pool.name: self._seen(
                        (int(running[i, k]), int(self._ready[i, k])), share[i, k], requests[i, k], late[i, k]
                    )
                    for k, pool in enumerate(self._ground.model.pools)
                },
            )
            for i in range(self.rows)
        ]

    def _seen(self, replicas: tuple[int, int], share: float, per_second: float, late: float) -> PoolObservation:
        known = math.isfinite(per_second)
        threshold = self._ground.model.threshold_seconds
        return PoolObservation(
            *replicas,
            unschedulable=0,
            weight=float(share),
            startup_seconds=self._ground.startup_seconds,
            rate_per_second=float(per_second) if known else None,
            errors_per_second=0.0 if known else None,
            latency={threshold: float(per_second - late), math.inf: float(per_second)} if known else None,
        )

    def _shares(self) -> Floats:
        """Of the traffic, by row and pool: by weight among pools with ready pods, and by ready pods where those weigh nothing."""
        weights = np.where(self._ready > 0, self.weights, 0.0)
        weights = np.where(weights.sum(1, keepdims=True) > 0.0, weights, self._ready)
        return np.asarray(weights / np.maximum(weights.sum(1, keepdims=True), 1e-12), np.float64)


def _first_known(values: Floats, starts: Ints) -> Floats:
    """The value at each of ``starts``, or the next one that is known, or the last one before."""
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        return np.zeros(len(starts))
    return np.asarray(values[known[np.minimum(np.searchsorted(known, starts), len(known) - 1)]], np.float64)
