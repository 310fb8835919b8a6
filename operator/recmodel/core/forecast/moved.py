"""By how much requests that moved from pods to others make a load look larger or smaller than it is.

The load is a sum of rates whose windows do not end together: the pages of the pods are read one after the other, and a gateway's page
drops a backend without weight, whose rate Prometheus then carries on as if it went on. So requests that move are counted on both
sides, or on neither, for up to a scrape. Of the ``n`` scrapes that a window holds, ``n - 1`` intervals count, and the sum is wrong by
at most ``1 / (n - 1)`` of what moved.

Shapes: ``[M]`` models, ``[M, P]`` pools, ``T`` ticks, the newest first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recmodel.core.arrays.fleet import Floats


def moved_ratio(share: Floats, ready: NDArray[np.integer]) -> Floats:
    """The share 0..1 of the load ``[M]`` that moved from pods to others; what moved several times counts as often.

    ``share`` ``[T, M, P]`` is what each ready replica gets of the requests by the weights (NaN unknown: it is taken to have stayed),
    ``ready`` ``[T, M, P]`` their number, both over a window and the age of its newest sample. Two pods of a replica each whose
    weights go from 60 and 40 to 100 and 0 move 40 % of the requests. A third replica beside two takes a third of them.
    """
    ticks = min(len(share), len(ready))
    share, count = share[:ticks], ready[:ticks].astype(float)
    (after, before), (now, then) = (share[:-1], share[1:]), (count[:-1], count[1:])
    stayed = np.minimum(now, then)
    gained = stayed * np.abs(after - before)  # or lost
    arrived = np.where(now > then, (now - then) * after, 0.0)
    left = np.where(then > now, (then - now) * before, 0.0)
    # Each request left one replica and came to another.
    moved = 0.5 * sum(np.nansum(part, axis=(0, 2)) for part in (gained, arrived, left))
    result: Floats = np.minimum(moved, 1.0)
    return result
