"""What the past says of the servers: how many requests are late at which load, by the product's own estimator.

The minutes are kept by load per ready replica, as the operator keeps its ticks (:mod:`recmodel.core.capacity.evidence`), and the
same law explains them (:mod:`recmodel.core.capacity.estimate`). Where no replica ever came near its limit the capacity is a lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recmodel.core.arrays.fleet import Bools, Floats, pack
from recmodel.core.capacity import evidence as evidences
from recmodel.core.capacity import posterior
from recmodel.core.capacity.bins import BINS, bin_of
from recmodel.core.capacity.estimate import Capacity, estimate
from recmodel.core.capacity.evidence import ENOUGH_WEIGHT, LARGEST_WEIGHT, PLANNED_LATE_RATIO, TEMPER, Evidence
from recmodel.core.capacity.posterior import GRID_STEP, LARGEST_SHARPNESS, SHARING, CapacityMemory, law
from recmodel.core.types import Model
from recmodel.prometheus.past import Past, PoolPast

ORIGIN_INDEX = 30  # of the grid of the law's saturation: where the largest load seen is put; it reaches from a fifth to six times that
LEAST_LOAD_RATIO = 0.02  # of the largest load per replica: less shares a bin with it, and says nothing of a capacity
DEVIATIONS = 1.64  # standard deviations from the middle of the belief to an end of its interval: 90 % lie within
LEAST_SPREAD = GRID_STEP / 2.0  # of log capacity: the belief is no finer than its grid
DRAINING_FALL = (
    1.5  # a queue that built up drains: lateness that fell by so much within a minute is of a load that is over
)


@dataclass(frozen=True)
class Server:
    """How one replica of a pool serves. Capacities are requests/s at the planned late share, of as many replicas as usually ran."""

    name: str
    low: float  # 90 % of the belief lie between this ...
    middle: float
    high: float  # ... and this; infinite where no replica was ever loaded to its limit
    loaded_to: float  # the largest load per replica at which enough requests were seen
    saturation: float  # of the law in the middle of the belief
    sharpness: float
    floor: float  # late at any load

    @property
    def only_a_bound(self) -> bool:
        """Whether no replica was ever loaded to its limit: it may carry any amount more."""
        return math.isinf(self.high)

    def late(self, load: Floats, replicas: Floats, capacity: float | Floats) -> Floats:
        """The share late, 0..1, of ``replicas`` that get ``load`` requests/s each; as many as usually ran carry ``capacity`` each."""
        sharp = np.minimum(self.sharpness * np.maximum(replicas, 1.0) ** SHARING, LARGEST_SHARPNESS)
        saturation = self.saturation * capacity / self.middle
        return law(load / saturation, sharp, np.full_like(sharp, self.floor))


def evidence_until(past: Past, model: Model, minutes: Sequence[int]) -> CapacityMemory:
    """What the operator would know of the replicas after so many minutes of the past, a row for each of ``minutes``."""
    pools = len(past.pools)
    memory = posterior.empty(len(minutes), pools)
    arrays = {name: getattr(memory.evidence, name).copy() for name in evidences.BINNED}
    newest, origin = memory.evidence.newest.copy(), memory.origin.copy()
    budget = 1.0 - model.within_ratio
    for k, pool in enumerate(past.pools):
        load, clean = _clean(pool, past.step_seconds, budget)
        for i, end in enumerate(minutes):
            chosen = np.flatnonzero(clean[:end])
            if not len(chosen):
                continue
            chosen = chosen[load[chosen] >= LEAST_LOAD_RATIO * load[chosen].max()]
            for name, values in _binned(pool, load, chosen, past.step_seconds).items():
                arrays[name][i, k] = values
            newest[i, k] = bin_of(load[chosen[-1:]])[0]
            origin[i, k] = math.log(load[chosen].max()) - ORIGIN_INDEX * GRID_STEP
    known = np.nonzero(np.isfinite(origin))
    memory = replace(memory, evidence=Evidence(**arrays, newest=newest), origin=origin)
    if not len(known[0]):
        return memory
    rows = (known[0].astype(np.int64), known[1].astype(np.int64))
    return posterior.relearned(memory, rows, np.full(len(rows[0]), budget))


def servers(past: Past, model: Model) -> list[Server]:
    """Of each pool. ``ValueError`` where none of its minutes says anything of a load per replica."""
    memory = evidence_until(past, model, [past.seconds.size])
    usual = np.array([[_usual_ready(pool) for pool in past.pools]])
    fleet = pack([model], past.step_seconds, past.window_seconds)
    capacity = estimate(memory, fleet, usual.astype(np.int64))
    believed = replace(capacity, ceiling=np.full(usual.shape, np.inf)).hoped(usual)
    return [
        _server(pool.name, k, capacity, memory.evidence, believed, 1.0 - model.within_ratio)
        for k, pool in enumerate(past.pools)
    ]


def _server(name: str, k: int, capacity: Capacity, evidence: Evidence, believed: Floats, budget: float) -> Server:
    enough = evidence.weight[0, k] >= ENOUGH_WEIGHT
    if not enough.any():
        raise ValueError(
            f"{name}: no minute tells what a replica of it carries, as there are too few requests, or the ready replicas are not known: "
            "take a longer range, or one with more requests"
        )
    loaded_to = float(evidence.load[0, k][enough].max())
    budgets = np.full(capacity.limit.shape, budget)
    good = float(evidence.proven(PLANNED_LATE_RATIO * budgets)[0][0, k]) or loaded_to
    bad = float(evidence.smallest_bad(budgets)[0, k])
    believed_each, spread = float(believed[0, k]), max(-math.log(float(capacity.caution[0, k])), LEAST_SPREAD)
    if bool(capacity.untroubled[0, k]) or (not bool(capacity.known[0, k]) and math.isinf(bad)):
        low, middle, high = good, good, math.inf
    elif bool(capacity.known[0, k]):
        low, middle, high = (believed_each * math.exp(DEVIATIONS * spread * side) for side in (-1.0, 0.0, 1.0))
    else:
        low, high = min(good, bad), max(good, bad)
        middle = math.sqrt(low * high)
    return Server(
        name,
        low,
        middle,
        high,
        loaded_to,
        float(capacity.saturation[0, k]) * middle / believed_each,
        float(capacity.sharpness[0, k]),
        float(evidence.inherent(budgets)[0, k]),
    )


def _usual_ready(pool: PoolPast) -> float:
    known = np.isfinite(pool.ready) & (pool.ready > 0)
    return float(np.median(pool.ready[known])) if known.any() else 1.0


def _clean(pool: PoolPast, step_seconds: float, budget: float) -> tuple[Floats, Bools]:
    """Requests/s per ready replica by the minute, and which minutes tell of one load on replicas that did not change."""
    with np.errstate(invalid="ignore", divide="ignore"):
        load = pool.per_second / np.where(pool.ready >= 1.0, pool.ready, np.nan)
    before = np.append(np.nan, pool.ready[:-1])
    late_before = np.append(np.nan, pool.late_high[:-1])
    draining = late_before > np.maximum(budget, DRAINING_FALL * pool.late_high)
    clean = np.isfinite(load) & (load > 0) & np.isfinite(pool.late_high) & (pool.ready == before) & ~draining
    return np.asarray(load, np.float64), np.asarray(clean & (pool.per_second * step_seconds >= 1.0), np.bool_)


def _binned(pool: PoolPast, load: Floats, chosen: np.ndarray, step_seconds: float) -> dict[str, np.ndarray]:
    """What the ``chosen`` minutes say, by bin of load per replica: means by the number of requests."""
    bins = bin_of(load[chosen])
    count = TEMPER * np.minimum(pool.per_second[chosen] * step_seconds, LARGEST_WEIGHT)
    weight = np.bincount(bins, count, BINS)
    sums = np.maximum(weight, 1e-9)

    def mean(values: Floats) -> np.ndarray:
        return (np.bincount(bins, count * values[chosen], BINS) / sums).astype(np.float32)

    return {
        "load": mean(load),
        "replicas": mean(pool.ready),
        "late_low": mean(pool.late_low),
        "late_high": mean(pool.late_high),
        "weight": np.minimum(weight, LARGEST_WEIGHT).astype(np.float32),
        "slow": np.where(weight > 0, 1.0, 0.0).astype(np.float32),
    }
