"""What a rate over a window tells of a load that rises: how high it is by now, and how far it goes on.

Shapes: ``[M]`` models, ``[M, P]`` one horizon a pool, ``K`` horizons, ``R`` ticks in the ring, the newest first.
"""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.core.forecast.season import Small, log_load

# Standard errors of two ticks' counts: by chance a count hardly ever rises that far, and a jump costs replicas.
JUMP_ERRORS = 5.0
# A trend rose in the newest and in the oldest of these; what lies between keeps one jump out of one of the two.
LOOK_BACK_PARTS = 3
LARGEST_TREND = 0.7  # of log load: a rise is not carried on beyond twice the load


def risen(
    ring_load: Small, newest: Floats, moved_ratio: Floats | float, tick_seconds: float, window_seconds: float
) -> Floats:
    """Log of the load ``[M]`` that a rate (``newest``, its log) is on its way to, where it rises by more than the noise of counting.

    A rate is a mean over its window, so a jump shows in it bit by bit, and takes a window to show whole. The requests of the newest
    tick are known from what the mean rose by: ``x = r[t - n] + n (r[t] - r[t - 1])`` for ``n`` ticks a window, with a steady load
    before. Of the ``n`` scrapes that a window holds, ``n - 1`` intervals count. 500 requests/s whose rate over a minute becomes 875
    within a tick of 15 s are 1,625 at least. Where ``moved_ratio`` ``[M]`` of the load changed pods, a rise by no more
    than ``1 / (n - 1)`` of that is none, see :mod:`recmodel.core.forecast.moved`: 0.133 of the load for 40 % and four ticks.
    """
    ticks = max(int(window_seconds / tick_seconds + 1e-9), 1)
    if ticks < 2 or ticks > len(ring_load):
        return newest
    # A rate that fell within the window comes back to what it was, and is no jump.
    highest = np.maximum(ring_load[0], np.fmax.reduce(ring_load[:ticks]))
    now, last, before = (np.exp(log.astype(float)) for log in (newest, highest, ring_load[ticks - 1]))
    noise = np.sqrt((now + before) * tick_seconds) / (ticks * tick_seconds)
    jump = np.maximum(before + (ticks - 1) * (now - last), now)
    misread = moved_ratio / (ticks - 1) * now
    return np.where(now - last > JUMP_ERRORS * noise + misread, log_load(jump), newest)


def climbs(
    ring_load: Small, settled_ticks: Floats, horizons_seconds: Floats, tick_seconds: float, window_seconds: float
) -> Floats:
    """Log of how far the load climbs within each horizon ``[M, K]`` if it goes on as it has for as long, at least 0; 0 where that is
    unknown. ``settled_ticks`` ``[M]`` have passed since the load was no longer new.

    What has lasted a time is as likely as not to last as long again (Gott, 1993), so a rise is carried on for as long as it was
    seen. A rate window shows a jump as a rise that lasts a window: what rose in the newest third of the look back and in the oldest,
    a window apart, is no single jump, and the smaller of the two is what goes on. With a window of 60 s and a horizon of 360 s, a
    load that rose by 4 % in each of six minutes is expected to rise by as much in the next six.
    """
    result = np.zeros((ring_load.shape[1], len(horizons_seconds)))
    parts = np.maximum(horizons_seconds / LOOK_BACK_PARTS, window_seconds)
    for k, ticks in enumerate(np.ceil(parts / tick_seconds - 1e-9).astype(np.int64)):
        if LOOK_BACK_PARTS * ticks >= len(ring_load):
            continue  # no ring holds that much: ticks or windows of minutes
        end = ring_load[: LOOK_BACK_PARTS * ticks + 1]
        smaller = np.minimum(end[0] - end[ticks], end[-1 - ticks] - end[-1])
        steady = smaller * horizons_seconds[k] / (ticks * tick_seconds)
        known = np.isfinite(steady) & (settled_ticks > LOOK_BACK_PARTS * ticks)
        result[:, k] = np.where(known, np.clip(steady, 0.0, LARGEST_TREND), 0.0)
    return result


def within(climb: Floats, horizons_seconds: Floats, horizon_seconds: Floats) -> Floats:
    """The climb ``[M, P]`` within each pool's horizon, in a straight line between those ``[M, K]`` that are known."""
    known = np.concatenate([np.zeros((len(climb), 1)), climb], axis=1)
    seconds = np.concatenate([[0.0], horizons_seconds])
    near = np.clip(np.searchsorted(seconds, horizon_seconds, side="right") - 1, 0, len(horizons_seconds) - 1)
    part = np.clip((horizon_seconds - seconds[near]) / (seconds[near + 1] - seconds[near]), 0.0, 1.0)
    rows = np.arange(len(climb))[:, None]
    result: Floats = known[rows, near] + part * (known[rows, near + 1] - known[rows, near])
    return result
