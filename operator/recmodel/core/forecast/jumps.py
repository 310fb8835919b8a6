"""Jumps of the load that come at the same time of each day: a message to all users at 16:04, what runs on the hour.

A jump is a rise within two minutes by more than the noise of counting. Neither the last minutes nor the usual course tell of one:
nothing rises before it, and a bin of the season is longer than the jump. So the largest one of each bin of the day is remembered,
newer days weighing more, and it is expected from when the horizon reaches its bin until as much has come. What came once counts for
three tenths on the next day, what comes each day for all of it after two weeks. Arrivals that jump at no certain time are left to the
errors of the forecasts.

Shapes: ``[M]`` models, ``R`` ticks in the ring, the newest first.
"""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.core.forecast.rises import JUMP_ERRORS
from recmodel.core.forecast.season import Small

JUMP_SECONDS = 120.0
LARGEST_JUMP = 0.7  # of log load: the end of an outage is no twentyfold load that comes again
COME_SECONDS = 600.0  # of two bins: a jump may come at either end of its bin


def jump(newest: Floats, lowest: Floats, counted_seconds: float) -> Floats:
    """Log of the jump from the ``lowest`` of the last two minutes to the ``newest`` log load, each counted over so many seconds; 0
    where there is none, or where it is not known. From 320 to 420 requests/s is 0.27.
    """
    rise = newest - lowest
    noise = np.sqrt((np.exp(-newest) + np.exp(-lowest)) / counted_seconds)
    return np.where(rise > JUMP_ERRORS * noise, np.minimum(rise, LARGEST_JUMP), 0.0)


def seen(ring_load: Small, tick_seconds: float, window_seconds: float) -> Floats:
    """The jump ``[M]`` that the log loads ``[R, M]`` of the last two minutes show."""
    ticks = max(int(np.ceil(JUMP_SECONDS / tick_seconds - 1e-9)), 1)
    last = ring_load[: ticks + 1].astype(float)
    return jump(last[0], np.fmin.reduce(last), max(tick_seconds, window_seconds))


def of_minutes(logs: Floats) -> Floats:
    """The jump at each of consecutive minutes ``[T]`` of log load; 0 where it is not known."""
    lowest = np.fmin(*(np.concatenate([np.full(back, np.nan), logs[:-back]]) for back in (1, 2)))
    return jump(logs, lowest, 60.0)


def to_come(usual: Floats, level: Floats, ring_load: Small, ring_seconds: float) -> Floats:
    """What of the ``usual`` jumps ``[M, P]`` has not come yet, as the log of a rise over the ``level`` ``[M]``: what the load has risen
    by within the last ten minutes is taken off.
    """
    recent = ring_load[: round((len(ring_load) - 1) * COME_SECONDS / ring_seconds) + 1]
    come = level - np.fmin.reduce(recent).astype(float)
    result: Floats = np.maximum(usual - np.where(np.isfinite(come), come, 0.0)[:, None], 0.0)
    return result


def raised(point: Floats, level: Floats, jump: Floats, head_room: Floats) -> Floats:
    """The point ``[M, P]`` of a forecast, raised to where its upper end, the ``head_room`` above it, is at least the ``jump`` above the
    ``level`` ``[M, 1]``. All are logs. So a jump within the usual head-room changes nothing.
    """
    least = level + jump - np.maximum(head_room, 0.0)
    result: Floats = np.where(jump > 0.0, np.maximum(point, least), point)
    return result
