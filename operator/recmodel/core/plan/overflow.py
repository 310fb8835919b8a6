"""What the pool that is decided last has no room for, planned for on the others.

A pool that others stand behind is decided by what it may turn out to carry (:mod:`recmodel.core.plan.mix`), since whoever is last
makes up for the difference. Where that one is at its limit, nobody does, so the others are given what is known to be missing, the
fastest first.

Shapes: ``[M, P]`` pools, ``[M]`` models.
"""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Bools, Floats, Ints
from recmodel.core.plan.ranked import Ordered
from recmodel.core.plan.situation import needed


def with_overflow(ranked: Ordered, replicas: Ints, feasible: Bools) -> tuple[Ints, Bools]:
    """The ``replicas`` ``[M, P]`` of a mix that are known to carry the upper forecast, as far as the limits allow; and whether they do in
    time ``[M]``: what a slower pool adds comes later. Nothing changes where the mix is ``feasible`` already.

    Of 102 requests/s expected at most, one replica at 79 and one at 22, which is all that the last pool may have, carry 101: the first
    pool gets a second one.
    """
    if feasible.all():
        return replicas, feasible
    situation, rows = ranked.situation, np.arange(len(replicas))
    slower, upper = situation.slower, situation.forecast.upper
    replicas, feasible = replicas.copy(), feasible.copy()
    for rank in reversed(range(replicas.shape[1] - 1)):
        pool = ranked.at(rank)
        planned, ready = _carries(ranked, replicas), _carries(ranked, np.minimum(replicas, situation.seen.warm))
        # Within the time that this pool takes to start, a slower one has only what is ready.
        others = np.where(slower & ~slower[pool.at][:, None], ready, planned)
        others[pool.at] = 0.0
        wanted = needed(upper[pool.at][:, None] - others.sum(1, keepdims=True), pool.law, pool.one, pool.guess)[:, 0]
        short = ~feasible & np.isfinite(wanted)
        more = np.clip(wanted, replicas[pool.at], np.maximum(pool.most, replicas[pool.at]))
        replicas[pool.at] = np.where(short, more, replicas[pool.at]).astype(np.int64)
        feasible |= short & (wanted <= pool.most) & ~slower[rows, pool.at[1]]
    return replicas, feasible


def _carries(ranked: Ordered, replicas: Ints) -> Floats:
    """Requests/s ``[M, P]`` that each pool is known to carry."""
    result = np.zeros(replicas.shape)
    for rank in range(replicas.shape[1]):
        pool = ranked.at(rank)
        result[pool.at] = pool.carries(replicas[pool.at].astype(float))[:, 0]
    return result
