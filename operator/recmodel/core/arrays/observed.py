"""One tick's observations as arrays, aligned with the fleet; unknown numbers are NaN. Shapes: ``[M, P]`` pools."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.types import Observation, PoolObservation

LARGEST_NUMBER = 1e9  # a thousand million requests/s, or thirty years: more is a fault of who counts
SMALLEST_NUMBER = 1e-9  # a request in thirty years: less is none, and its quotients would leave a double's range

LEAST_WARM = 0.1  # of what a warm pod gets, for one that has just become ready: without requests it never warms

LEAST_SHARE = 0.1  # %: a pool that has just become ready gets so much, until a decision is made with it


@dataclass(frozen=True)
class Observed:
    """One tick's observations, as arrays ``[M, P]`` unless said otherwise; NaN where unknown."""

    desired: Ints
    ready: Ints
    warming: Ints  # of the ready ones: younger than the pool's warm-up
    warmed_ratio: Floats  # what one of those counts for in the weights, on average; 1 where there is none
    cold: Bools  # a pod warms in the rate window: what is late in it says nothing of the capacity
    unschedulable: Ints
    weight: Floats
    startup_seconds: Floats
    rate_per_second: Floats
    errors_per_second: Floats
    late_lower_ratio: Floats  # share of the requests over the threshold or failed: what is certain ...
    late_upper_ratio: Floats  # ... and what is possible, where the threshold lies inside a bucket
    slow_ratio: Floats  # share of the requests that may have taken over half of the threshold, or failed
    queue: Floats
    utilisation_ratio: Floats
    node_startup_seconds: Floats  # creation to Ready where no node was there
    buffered: Floats  # replicas for which nodes are asked for ahead of need
    requested: Bools  # [M] False: no request was counted yet

    @property
    def warm(self) -> Ints:
        """Ready replicas ``[M, P]`` that count in full."""
        return self.ready - self.warming


def late_bracket(
    latency: Mapping[float, float] | None, rate: float | None, errors: float | None, threshold_seconds: float
) -> tuple[float, float]:
    """Share of the requests that were late or failed: (certain, possible); NaN where unknown or nothing was asked.

    ``latency`` holds cumulative requests/s by upper bound in seconds. With 115.3 of 118.2 requests/s at or under 0.1 s, none
    failed and a threshold of 0.1 s, both are 0.0245; with edges at 0.05 and 0.25 only, the two differ. A failed request is late
    however fast it failed.
    """
    if not latency or rate is None or not rate > 0.0:
        return math.nan, math.nan
    under, over = _neighbours(tuple(latency), threshold_seconds)
    failed = errors or 0.0
    surely_good = _known(latency[under]) if under is not None else 0.0
    maybe_good = _known(latency[over]) if over is not None else rate
    if not (math.isfinite(surely_good) and math.isfinite(maybe_good) and math.isfinite(rate)):
        return math.nan, math.nan
    maybe_good = max(maybe_good, surely_good)  # a bucket that holds less than a smaller one is not counted by all
    certain = 1.0 - min(maybe_good, rate - failed) / rate
    possible = 1.0 - min(surely_good, rate - failed) / rate
    return min(max(certain, 0.0), 1.0), min(max(possible, 0.0), 1.0)


@lru_cache(maxsize=1024)
def _neighbours(bounds: tuple[float, ...], threshold_seconds: float) -> tuple[float | None, float | None]:
    """The bucket bounds on either side of the threshold (both are it where it is one); None where there is none."""
    # A relative tolerance, since 0.1 s may arrive as 100 ms / 1000.
    under = max((bound for bound in bounds if bound <= threshold_seconds * (1 + 1e-9)), default=None)
    over = min((bound for bound in bounds if bound >= threshold_seconds * (1 - 1e-9)), default=None)
    return under, over


def _known(value: float | None) -> float:
    """The number, or NaN for None and for what no rate, share or time can be: infinite, negative, or beyond 1e9. Below 1e-9 it is 0."""
    if value is None or not 0.0 <= value <= LARGEST_NUMBER:
        return math.nan
    return float(value) if value >= SMALLEST_NUMBER else 0.0


def see(fleet: Fleet, observations: Sequence[Observation]) -> Observed:
    """The observations as arrays, aligned with the fleet. A pool that an observation lacks is wholly unknown, at its minimum."""
    shape = fleet.exists.shape
    desired, ready = np.where(fleet.exists, fleet.min_replicas, 0), np.zeros(shape, np.int64)
    unschedulable, warming, warmed = np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.ones(shape)
    columns = {
        name: np.full(shape, np.nan)
        for name in ("weight", "startup", "rate", "errors", "low", "high", "slow", "queue", "busy", "node", "buffered")
    }
    for i, (model, observation) in enumerate(zip(fleet.models, observations, strict=True)):
        for k, pool in enumerate(model.pools):
            seen = observation.pools.get(pool.name)
            if seen is None:
                continue
            desired[i, k], ready[i, k] = seen.desired, seen.ready
            unschedulable[i, k] = seen.unschedulable or 0
            warming[i, k], warmed[i, k] = _warming(seen, pool.warm_up_seconds)
            rate, errors = _known(seen.rate_per_second), _known(seen.errors_per_second)
            columns["weight"][i, k] = _known(seen.weight)
            columns["startup"][i, k] = _known(seen.startup_seconds)
            columns["node"][i, k] = _known(seen.node_startup_seconds)
            columns["buffered"][i, k] = _known(seen.buffered)
            columns["rate"][i, k] = rate
            columns["errors"][i, k] = errors
            columns["queue"][i, k] = _known(seen.queue)
            columns["busy"][i, k] = _known(seen.utilisation_ratio)
            failed = 0.0 if math.isnan(errors) else errors
            threshold = model.threshold_seconds
            columns["low"][i, k], columns["high"][i, k] = late_bracket(seen.latency, rate, failed, threshold)
            columns["slow"][i, k] = late_bracket(seen.latency, rate, failed, 0.5 * threshold)[1]
    return Observed(
        desired=desired,
        ready=ready,
        warming=warming,
        warmed_ratio=warmed,
        cold=warming > 0,
        unschedulable=unschedulable,
        weight=columns["weight"],
        startup_seconds=columns["startup"],
        rate_per_second=columns["rate"],
        errors_per_second=columns["errors"],
        late_lower_ratio=columns["low"],
        late_upper_ratio=columns["high"],
        slow_ratio=columns["slow"],
        queue=columns["queue"],
        node_startup_seconds=columns["node"],
        buffered=columns["buffered"],
        utilisation_ratio=columns["busy"],
        requested=np.array([observation.requested for observation in observations], bool),
    )


def _warming(seen: PoolObservation, warm_up_seconds: float) -> tuple[int, float]:
    """How many of the ready pods are younger than the warm-up, and what one of them counts for on average: by the part of it that is
    over. Of pods that have been ready for 30 and 90 of 120 s, 2 warm and count for a half each.
    """
    if warm_up_seconds <= 0.0:
        return 0, 1.0
    young = sorted(age for age in seen.ready_for_seconds if 0.0 <= age < warm_up_seconds)[: max(seen.ready, 0)]
    if not young:
        return 0, 1.0
    return len(young), sum(max(age / warm_up_seconds, LEAST_WARM) for age in young) / len(young)


def total_load(fleet: Fleet, seen: Observed) -> Floats:
    """Arrivals of each model in requests/s ``[M]``: completed and failed, over all pools; NaN where a part is unknown.

    A pool without ready replicas, or without weight, may be silent; any other silent pool makes the sum unknown. Where no pool has
    a ready replica, that nothing was counted says nothing: no request reaches a pool, however many come.
    """
    silent = ~np.isfinite(seen.rate_per_second)
    may_be_silent = ~fleet.exists | (seen.ready == 0) | (seen.weight == 0.0)
    unknown = (silent & ~may_be_silent).any(1) | (silent | ~fleet.exists).all(1)
    total = np.where(fleet.exists & ~silent, seen.rate_per_second, 0.0).sum(1)
    unreached = (seen.ready.sum(1) == 0) & (total == 0.0)
    return np.where(unknown | unreached, np.nan, total)


def least_weight(weight: Floats) -> Floats:
    """The weight ``[M, 1]`` up to which a pool answers nothing to speak of, of the weights ``[M, P]`` that stand now: 1 of 1,000."""
    result: Floats = (
        0.01 * LEAST_SHARE * np.where(np.isfinite(weight), weight, 0.0).sum(1, keepdims=True) * (1.0 + 1e-6)
    )
    return result
