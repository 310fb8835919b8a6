"""What the plan of a mix rests on and what it proposes; and how many replicas a load needs.

Shapes: ``[M, P]`` pools, ``[M]`` one pool of every model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed
from recmodel.core.capacity.estimate import Capacity, carried
from recmodel.core.forecast.candidates import LoadForecast


@dataclass(frozen=True)
class Situation:
    """What the plan rests on."""

    fleet: Fleet
    seen: Observed
    forecast: LoadForecast
    capacity: Capacity
    each: Floats  # [M, P] requests/s a replica, see ``assumed_capacity``; NaN unknown
    assumed: Bools  # [M, P] the same is a guess
    least: Ints  # [M, P] replicas that each pool must have, see ``least_replicas``
    most: Ints  # [M, P] replicas that each pool can have now: limits, quota, unschedulable pods
    recent_loads: Floats  # [T, M] requests/s at the newest ticks, newest first; NaN unknown
    held: Ints  # [M, P] that stay anyway, since they were wanted a moment ago: the faster pools count on them
    startup_seconds: Floats  # [M, P]
    slower: Bools  # [M, P] than the fastest pool, see ``pods.slower``
    allowed: Floats  # [M, P] share of the traffic that each pool's variant may answer: no more of it is counted
    dearer_seconds: Floats  # [M, P] for which fewer replicas than run would have been cheaper, had changes cost nothing


@dataclass(frozen=True)
class Proposal:
    """What the plan wants before the guards."""

    replicas: Ints  # [M, P]
    feasible: Bools  # [M] the upper quantile of the load fits into the limits
    assumed: Bools  # [M, P] the capacity is a guess: the pool was never tried
    per_replica: Floats  # [M, P] requests/s a replica that the plan counted on
    runner_up: Ints  # [M, P] the next best mix
    runner_up_cost: Floats  # [M]
    cheapest: Ints  # [M, P] what the plan would want if changes cost nothing
    last: Ints  # [M] the pool that fills what the others leave, for its upper forecast


def on_trial(fleet: Fleet) -> Bools:
    """Pools ``[M, P]`` whose new version may answer a part of the traffic."""
    result: Bools = fleet.exists & (fleet.traffic_limit_ratio > 0.0) & (fleet.traffic_limit_ratio < 1.0)
    return result


def least_replicas(fleet: Fleet) -> Ints:
    """The owner's minimum ``[M, P]``, and one replica of what is on trial; 0 where there is no pool."""
    trial = np.where(on_trial(fleet), np.minimum(1, fleet.max_replicas), 0)
    result: Ints = np.where(fleet.exists, np.maximum(fleet.min_replicas, trial), 0)
    return result


def assumed_capacity(fleet: Fleet, capacity: Capacity, ready: Ints) -> tuple[Floats, Bools]:
    """Requests/s a replica ``[M, P]``, cautious; an untried pool is taken to be worth its price until it is tried.

    A known pool that carries 100 requests/s for 1.0 an hour makes an untried one at 1.6 an hour count as 160. NaN where no pool
    of the model is known.
    """
    known = np.isfinite(capacity.saturation) & fleet.exists
    each = np.where(known, capacity.per_replica(np.maximum(ready, 1)), np.nan)
    price = np.maximum(fleet.cost_per_hour, 1e-9)
    best = np.max(np.where(known, each / price, -np.inf), axis=1, keepdims=True)
    guess = np.where(np.isfinite(best), best * price, np.nan)
    return np.where(known, each, guess), ~known & fleet.exists


def needed(load: Floats, capacity: Capacity, each: Floats, assumed: Bools) -> Floats:
    """Replicas (whole, as floats) that carry ``load``; 0 for none. More replicas share better, so each then carries a bit more."""
    replicas = np.ceil(np.maximum(load, 0.0) / np.maximum(each, 1e-9))
    for _ in range(2):
        there = np.where(assumed, each, capacity.per_replica(np.maximum(replicas, 1.0)))
        replicas = np.ceil(np.maximum(load, 0.0) / np.maximum(there, 1e-9) - 1e-6)
    # Where two and three replicas each point to the other, two do not carry it.
    return replicas + (carried(replicas, capacity, each, assumed) < np.maximum(load, 0.0) * (1.0 - 1e-6))
