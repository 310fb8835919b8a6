"""The share of the traffic that each pool gets: ready capacity decides, and a pool that is being learned is filled to its limit."""

from __future__ import annotations

import numpy as np

from recmodel.core.capacity import Capacity
from recmodel.core.fleet import Fleet, Floats, Ints, Seen
from recmodel.core.plan import carried


def weigh(fleet: Fleet, seen: Seen, replicas: Ints, capacity: Capacity, each: Floats, load: Floats) -> Floats:
    """Shares ``[M, P]`` that add up to 100 over the pools with ready replicas (all 0 where no pool is ready).

    In proportion to what the ready replicas carry, so that all pools are equally far from their limits. A pool whose limit is
    the trust region, not the belief, is filled up to it first, since only load tells what it can carry. Two pools with ready
    capacities of 300 and 100 requests/s get 75 and 25.
    """
    staying = np.minimum(seen.ready, replicas)  # what is about to leave gets nothing any more
    ready = fleet.exists & (staying > 0)
    assumed = ~np.isfinite(capacity.saturation)
    able = np.where(ready, carried(staying.astype(float), capacity, each, assumed), 0.0)
    # Nothing known of any pool: by count of replicas, which is what equal pods would deserve.
    able = np.where(able.sum(1, keepdims=True) > 0, able, np.where(ready, staying, 0))
    total = able.sum(1, keepdims=True)
    share = np.divide(able, total, out=np.zeros_like(able), where=total > 0)
    learning = ready & ~assumed & (capacity.limit < np.where(assumed, np.inf, capacity.saturation * 0.7))
    demand = np.where(np.isfinite(load), load, np.inf)[:, None]
    full = np.where(learning, np.divide(able, demand, out=np.zeros_like(able), where=np.isfinite(demand)), 0.0)
    others = np.where(learning, 0.0, able)
    others_total = others.sum(1, keepdims=True)
    rest = 1.0 - full.sum(1, keepdims=True)
    fill = (learning.any(1, keepdims=True)) & (others_total > 0) & (rest > 0.1) & np.isfinite(demand) & (demand < total)
    filled = np.where(
        learning, full, np.divide(others * rest, others_total, out=np.zeros_like(able), where=others_total > 0)
    )
    result: Floats = 100.0 * np.where(fill, filled, share)
    return result
