"""What the pool that is decided last has no room for, planned for on the others.

A pool that others stand behind is decided by what it may turn out to carry (:mod:`recmodel.core.plan.mix`), since whoever is last
makes up for the difference. Where that one is at its limit, nobody does, so the others are given what is known to be missing, the
fastest first.

Shapes: ``[M, P]`` pools, ``[M]`` models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recmodel.core.arrays.fleet import Bools, Floats, Ints
from recmodel.core.plan.ranked import Ordered, RankedPool
from recmodel.core.plan.situation import needed


def with_overflow(ranked: Ordered, replicas: Ints, feasible: Bools) -> tuple[Ints, Bools]:
    """The ``replicas`` ``[M, P]`` of a mix that are known to carry the upper forecast, as far as the limits allow; and whether they do in
    time ``[M]``: what a slower pool adds comes later. Nothing changes where the mix is ``feasible`` already.

    Of 102 requests/s expected at most, one replica at 79 and one at 22, which is all that the last pool may have, carry 101: the first
    pool gets a second one.
    """
    if feasible.all():
        return replicas, feasible
    slower, warm, upper = ranked.situation.slower, ranked.situation.seen.warm, ranked.situation.forecast.upper
    replicas, feasible = replicas.copy(), feasible.copy()
    pools = [ranked.at(rank) for rank in range(replicas.shape[1])]
    planned, ready = _carries(pools, replicas), _carries(pools, np.minimum(replicas, warm))
    for pool in reversed(pools[:-1]):
        # Within the time that this pool takes to start, a slower one has only what is ready.
        others = np.where(slower & ~slower[pool.at][:, None], ready, planned)
        others[pool.at] = 0.0
        wanted = needed(upper[pool.at][:, None] - others.sum(1, keepdims=True), pool.law, pool.one, pool.guess)[:, 0]
        short = ~feasible & np.isfinite(wanted)
        more = np.clip(wanted, replicas[pool.at], np.maximum(pool.most, replicas[pool.at]))
        replicas[pool.at] = np.where(short, more, replicas[pool.at]).astype(np.int64)
        planned[pool.at] = _carried_by(pool, replicas)
        ready[pool.at] = _carried_by(pool, np.minimum(replicas, warm))
        feasible |= short & (wanted <= pool.most) & ~slower[pool.at]
    return replicas, feasible


def _carries(pools: Sequence[RankedPool], replicas: Ints) -> Floats:
    """Requests/s ``[M, P]`` that each pool is known to carry."""
    result = np.zeros(replicas.shape)
    for pool in pools:
        result[pool.at] = _carried_by(pool, replicas)
    return result


def _carried_by(pool: RankedPool, replicas: Ints) -> Floats:
    """The same ``[M]`` of one pool of every model."""
    return pool.carries(replicas[pool.at].astype(float))[:, 0]
