"""The share of the traffic that each pool gets: ready capacity decides, and a pool that is being learned is filled to its limit."""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import LEAST_SHARE, Observed, least_weight
from recmodel.core.capacity.estimate import UNTRIED_FROM, carried
from recmodel.core.traffic.context import TrafficContext


def weigh(context: TrafficContext) -> Floats:
    """Shares ``[M, P]`` that add up to 100 over the pools with ready replicas (all 0 where no pool is ready).

    In proportion to what the ready replicas carry, so that all pools are equally far from their limits. A pool whose limit is
    the trust region, not the belief, is filled up to it first, since only load shows what it can carry; not while the load
    rises, for then it is larger than its rate, and would fill the pool beyond. Two pools with ready capacities of 300
    and 100 requests/s get 75 and 25.
    """
    fleet, capacity, each = context.fleet, context.capacity, context.each
    staying, counted, ready = context.staying, context.counted, context.ready
    assumed = ~np.isfinite(capacity.saturation)
    able = np.where(ready, carried(counted, capacity, each, assumed), 0.0)
    # By its price alone an owner's minimum of one dear replica would get nearly all. The plan tries none that would be worth more.
    known = np.where(assumed, 0.0, able).sum(1, keepdims=True)
    able = np.where(assumed & (known > 0), np.minimum(able, known / UNTRIED_FROM), able)
    # Nothing known of any pool: by count of replicas, which is what equal pods would deserve.
    able = np.where(able.sum(1, keepdims=True) > 0, able, np.where(ready, counted, 0))
    total = able.sum(1, keepdims=True)
    share = np.divide(able, total, out=np.zeros_like(able), where=total > 0)
    # Weights cost nothing, so they are what explores: of the pools that are being learned, the one that promises the most for
    # its price is filled to its limit, if the others can carry the rest; the slow ones first, since they carry the base.
    hoped = np.where(assumed, each, capacity.hoped(np.maximum(staying, 1)))
    demand = np.where(np.isfinite(context.load), context.load, np.inf)[:, None]
    fillable = ready & ~assumed & capacity.learning(np.maximum(staying, 1)) & (able < demand) & (demand < total)
    fillable &= ~context.rises[:, None] & ~context.seen.cold  # nothing would be learned of it
    fillable &= context.slower | ~(fillable & context.slower).any(1, keepdims=True)
    promise = np.where(fillable, hoped / np.maximum(fleet.cost_per_hour, 1e-9), 0.0)
    first = np.argmax(promise * (1.0 - 1e-9 * fleet.name_rank), axis=1)[:, None]
    filled = np.arange(able.shape[1]) == first
    # Half of the step that the plan may take: past the end of a batching pool everything is late, and the end shows when near.
    step = 0.5 * (able + np.minimum(capacity.proven * np.where(ready, staying, 0), able))
    full = np.take_along_axis(np.where(np.isfinite(step), step, able), first, 1)
    others = np.where(filled, 0.0, able)
    others_able = others.sum(1, keepdims=True)
    fill = (promise.max(1, keepdims=True) > 0) & (others_able > 0)
    part = np.divide(full, demand, out=np.zeros_like(full), where=np.isfinite(demand) & (demand > 0))
    part = np.maximum(part, np.take_along_axis(share, first, 1))
    rest = np.divide(others * (1.0 - part), others_able, out=np.zeros_like(able), where=others_able > 0)
    result: Floats = 100.0 * np.where(fill, np.where(filled, part, rest), share)
    return result


def held_while_blind(shares: Floats, seen: Observed, ready: Bools, blind_seconds: Floats) -> Floats:
    """The shares ``[M, P]`` with those that stand now in place of them where the load is unknown.

    Not before any load was known, where a pool that is ``ready`` stands at the least share: it joined after the last decision, so
    1 : 999 is the order in which pods became ready, and nobody's judgement. 400 : 600 after a restart may be one, and is held.
    """
    known = np.where(np.isfinite(seen.weight), seen.weight, 0.0)
    joined = ready & (known <= least_weight(known)) & (shares > LEAST_SHARE)
    undecided = ~np.isfinite(blind_seconds) & joined.any(1)
    held = (blind_seconds > 0) & ~undecided
    result: Floats = np.where(held[:, None] & np.isfinite(seen.weight), seen.weight, shares)
    return result


def to_the_ready(shares: Floats, fleet: Fleet, seen: Observed, replicas: Ints) -> Floats:
    """The shares ``[M, P]``, whatever they rest on, given only to pools with ready replicas; all 0 where nothing is ready.

    Where no ready pool has a share, those that may answer and stay get theirs by count of replicas; then those that may answer
    but leave; then those that should not answer, since an answer beats an error. Weights of 0 and 40 for a ready pool and one
    that has just lost its last replica become 100 and 0.
    """
    able = np.where(fleet.exists, np.maximum(seen.ready, 0), 0).astype(float)
    given = np.where(np.isfinite(shares), np.maximum(shares, 0.0), 0.0) * (able > 0)
    may = fleet.traffic_limit_ratio > 0
    for count in (np.minimum(able, replicas) * may, able * may, able):
        given = np.where(given.sum(1, keepdims=True) > 0, given, count)
    total = given.sum(1, keepdims=True)
    # Weights that are held stay as they stand, but not where they would be rounded to nothing.
    scale = np.divide(
        100.0,
        total,
        out=np.ones_like(total),
        where=(total > 0) & ((total < 1.0) | (shares * (able > 0) <= 0).all(1, keepdims=True)),
    )
    result: Floats = given * scale
    return result
