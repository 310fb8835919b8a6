"""For how long the load has needed something, which is what is known of how long it still will.

A replica that starts is paid for before it serves. That is worth it where the load lasts: a slow pool that takes over from a faster
one spends a start-up, and saves the difference of their prices for as long as it is needed. How long that is nobody knows; a load
that has lasted a time is as likely as not to last as long again (Gott, 1993), so the start is spread over the time that it has
lasted. It is bought once renting would have cost about as much, which is never far from the best in hindsight (Karlin et al., 1988).
"""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Floats

LARGEST_LASTING_SECONDS = 900.0  # what has lasted longer is not told apart


def lasted_seconds(recent_loads: Floats, tick_seconds: float, load: Floats) -> Floats:
    """For how long the newest loads were above ``load`` ``[M, K]`` requests/s without a break; at least a tick.

    ``recent_loads`` ``[T, M]`` are those of the newest ticks in requests/s, the newest first; NaN, which is unknown, breaks nothing.
    With 90, 80, 110 and 50 in the newest ticks of 15 s, 70 was exceeded for 45 s.
    """
    ticks = max(int(LARGEST_LASTING_SECONDS / tick_seconds), 1)
    smallest = np.fmin.accumulate(recent_loads[:ticks], axis=0)
    result: Floats = np.maximum((smallest[:, :, None] > load).sum(0), 1) * tick_seconds
    return result
