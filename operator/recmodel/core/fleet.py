"""All models as arrays, so that one tick decides for ten thousand of them at once.

Shapes: ``M`` models, ``P`` pools (the most that any model has; shorter ones are padded and masked by ``exists``).
Unknown numbers are NaN here, as they are None at the edge.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from recmodel.core.types import Model, Observation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

STARTUP_SECONDS_UNKNOWN = (
    90.0  # before the first pod was seen to become ready: between a CPU pod's and an accelerator's
)
LARGEST_NUMBER = 1e9  # a thousand million requests/s, or thirty years: more is a fault of who counts


@dataclass(frozen=True)
class Fleet:
    """What the owners wrote, as arrays: ``[M]`` per model, ``[M, P]`` per pool."""

    models: tuple[Model, ...]
    exists: Bools
    min_replicas: Ints
    max_replicas: Ints
    cost_per_hour: Floats
    name_rank: (
        Ints  # place of the pool's name in the alphabet: what is equal otherwise goes by it, not by the order written
    )
    accuracy_loss_ratio: Floats  # NaN: not measured
    traffic_limit_ratio: Floats  # largest share of the traffic that the pool may answer: below 1 it is on trial
    accuracy_budget_ratio: Floats  # [M]; NaN: no budget
    late_budget_ratio: Floats  # [M]; 0.05 for a p95 objective
    acts: Bools  # [M]
    tick_seconds: float
    rate_window_seconds: float  # over which the observed rates were taken

    @property
    def window_ticks(self) -> int:
        """Ticks that a rate window spans, rounded up: 4 for a minute at ticks of 15 s."""
        return math.ceil(self.rate_window_seconds / self.tick_seconds)

    def smallest(self, values: Floats) -> Floats:
        """The smallest of each model's pools ``[M, 1]`` of values ``[M, P]``."""
        result: Floats = np.where(self.exists, values, np.inf).min(1, keepdims=True)
        return result


@dataclass(frozen=True)
class Seen:
    """One tick's observations, as arrays ``[M, P]`` unless said otherwise; NaN where unknown."""

    desired: Ints
    ready: Ints
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
    requested: Bools  # [M] False: no request was counted yet


def pack(models: Sequence[Model], tick_seconds: float, rate_window_seconds: float) -> Fleet:
    """The models as arrays. Two models of one and two pools give ``exists == [[1, 0], [1, 1]]``."""
    width = max((len(model.pools) for model in models), default=1)
    shape = (len(models), width)
    exists = np.zeros(shape, bool)
    low, high = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    cost, loss, limit = np.zeros(shape), np.full(shape, np.nan), np.ones(shape)
    rank = np.zeros(shape, np.int64)
    for i, model in enumerate(models):
        names = sorted(pool.name for pool in model.pools)
        for k, pool in enumerate(model.pools):
            exists[i, k], rank[i, k] = True, names.index(pool.name)
            low[i, k], high[i, k], cost[i, k] = pool.min_replicas, pool.max_replicas, pool.cost_per_hour
            limit[i, k] = min(max(pool.traffic_limit_ratio, 0.0), 1.0)
            if 0.0 < limit[i, k] < 1.0:  # what is on trial must run, or nothing is ever found out
                low[i, k] = max(low[i, k], min(1, high[i, k]))
            if pool.accuracy_loss_ratio is not None:
                loss[i, k] = pool.accuracy_loss_ratio
    budget = [math.nan if m.accuracy_budget_ratio is None else m.accuracy_budget_ratio for m in models]
    return Fleet(
        models=tuple(models),
        exists=exists,
        min_replicas=low,
        max_replicas=high,
        cost_per_hour=cost,
        name_rank=rank,
        accuracy_loss_ratio=loss,
        traffic_limit_ratio=limit,
        accuracy_budget_ratio=np.array(budget, float),
        late_budget_ratio=np.array([1.0 - m.within_ratio for m in models], float),
        acts=np.array([m.acts for m in models], bool),
        tick_seconds=tick_seconds,
        rate_window_seconds=rate_window_seconds,
    )


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
    """The number, or NaN for None and for what no rate, share or time can be: infinite, negative, or beyond 1e9."""
    return math.nan if value is None or not 0.0 <= value <= LARGEST_NUMBER else float(value)


def see(fleet: Fleet, observations: Sequence[Observation]) -> Seen:
    """The observations as arrays, aligned with the fleet. A pool that an observation lacks is wholly unknown, at its minimum."""
    shape = fleet.exists.shape
    desired, ready = np.where(fleet.exists, fleet.min_replicas, 0), np.zeros(shape, np.int64)
    unschedulable = np.zeros(shape, np.int64)
    columns = {
        name: np.full(shape, np.nan)
        for name in ("weight", "startup", "rate", "errors", "low", "high", "slow", "queue", "busy")
    }
    for i, (model, observation) in enumerate(zip(fleet.models, observations, strict=True)):
        for k, pool in enumerate(model.pools):
            seen = observation.pools.get(pool.name)
            if seen is None:
                continue
            desired[i, k], ready[i, k] = seen.desired, seen.ready
            unschedulable[i, k] = seen.unschedulable or 0
            rate, errors = _known(seen.rate_per_second), _known(seen.errors_per_second)
            columns["weight"][i, k] = _known(seen.weight)
            columns["startup"][i, k] = _known(seen.startup_seconds)
            columns["rate"][i, k] = rate
            columns["errors"][i, k] = errors
            columns["queue"][i, k] = _known(seen.queue)
            columns["busy"][i, k] = _known(seen.utilisation_ratio)
            failed = 0.0 if math.isnan(errors) else errors
            threshold = model.threshold_seconds
            columns["low"][i, k], columns["high"][i, k] = late_bracket(seen.latency, rate, failed, threshold)
            columns["slow"][i, k] = late_bracket(seen.latency, rate, failed, 0.5 * threshold)[1]
    return Seen(
        desired=desired,
        ready=ready,
        unschedulable=unschedulable,
        weight=columns["weight"],
        startup_seconds=columns["startup"],
        rate_per_second=columns["rate"],
        errors_per_second=columns["errors"],
        late_lower_ratio=columns["low"],
        late_upper_ratio=columns["high"],
        slow_ratio=columns["slow"],
        queue=columns["queue"],
        utilisation_ratio=columns["busy"],
        requested=np.array([observation.requested for observation in observations], bool),
    )
