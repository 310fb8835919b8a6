"""What held for longer than a rate window: the only thing that a good reading may teach of a capacity.

Rates of neighbouring ticks share most of their window, so all that lies within one is a single piece of evidence: a scrape that
was counted twice shows in four of them. So a load per replica counts as carried without lateness once it was seen in the newest
readings that together span more than a window; one that only wandered counts at once. A reading that is wrong, or four, or every
second one, then teaches no capacity that was not there; a load that is really carried is believed a window later.

A load that jumps by more than a crowd can is held for that long as well, see :func:`implausible`.

Shapes: ``[M, P]`` pools, ``R`` readings.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Fleet, Floats
from recmodel.core.arrays.observed import Observed
from recmodel.core.arrays.rings import pushed
from recmodel.core.capacity.evidence import Evidence

RECENT_READINGS = 16  # as some may be unknown, more are kept than are needed
WANDER_RATIO = 1.1  # by which loads differ within a window without a jump, and by the noise of counting them ...
COUNTING_ERRORS = 3.0  # ... of so many standard errors ...
LARGEST_WANDER_RATIO = 1.5  # ... but never by this
LEAST_BUSY_RATIO = 0.75  # of the window's utilisation per request: less is a reading that went wrong
IMPLAUSIBLE_RISE = 8.0  # from tick to tick; with four ticks in a window the load itself rose to 29 times
ENOUGH_REQUESTS = 100.0  # in a window, before a rise from it says anything: counted to a tenth
LEAST_BUSY_SLOPE = 0.25  # of log utilisation over log load, in any pool that is not always busy
NEAR_RATIO, BEYOND_RATIO = 0.35, 1.25  # of the largest good load: below and beyond it utilisation means something else
ONE_LOAD_RATIO = 1.2  # by which the loads within a window may differ and be one
PATIENCE_WINDOWS = (
    10.0  # rate windows for which utilisation contradicts the load, before the requests are taken to be lighter
)
ALWAYS_BUSY = 0.9  # a device that looks busy at any load cannot look busier


@dataclass(frozen=True)
class Readings:
    """The newest readings, newest first; NaN unknown."""

    ring_total: Floats = field(metadata=axes("RM"))  # requests/s of the model
    ring_each: Floats = field(metadata=axes("RMP"))  # requests/s served by each ready replica
    # of the model's requests that each ready replica gets by the weights
    ring_share: Floats = field(metadata=axes("RMP"))
    ring_busy: Floats = field(metadata=axes("RMP"))  # utilisation
    # requests/s for each ready replica of a reading that was in time, whether it lasts or not
    ring_good: Floats = field(metadata=axes("RMP"))


@dataclass(frozen=True)
class Sustained:
    """What the newest readings that span more than a rate window say together ``[M, P]``."""

    lasts: Bools  # the newest load is no jump within them
    each: Floats  # requests/s for each ready replica, the newest
    busy: Floats  # utilisation at that load; NaN also where either of the two jumped
    busy_each: Floats  # utilisation per request/s over all of them; NaN unknown


def empty(models: int, pools: int) -> Readings:
    """Nothing was read."""
    unknown = np.full((RECENT_READINGS, models, pools), np.nan)
    total = np.full((RECENT_READINGS, models), np.nan)
    return Readings(total, unknown, unknown.copy(), unknown.copy(), unknown.copy())


def one_load(readings: Readings, fleet: Fleet) -> Bools:
    """Where each ready replica got the same load ``[M, P]`` by the weights, to within a fifth, as far as the newest window reaches."""
    ticks = fleet.span_ticks
    window = readings.ring_total[:ticks, :, None] * readings.ring_share[:ticks]
    result: Bools = window.max(0) <= ONE_LOAD_RATIO * window.min(0)  # NaN: no
    return result


def remember(readings: Readings, total: Floats, each: Floats, share: Floats, busy: Floats) -> Readings:
    """The readings with those of this tick."""
    return Readings(
        pushed(readings.ring_total, total),
        pushed(readings.ring_each, each),
        pushed(readings.ring_share, share),
        pushed(readings.ring_busy, busy),
        pushed(readings.ring_good, np.full_like(each, np.nan)),
    )


def with_good(readings: Readings, good: Floats) -> Readings:
    """The readings with the loads ``[M, P]`` that were in time in the newest one; NaN where they were not."""
    return replace(readings, ring_good=np.concatenate([good[None], readings.ring_good[1:]]))


def glimpsed(readings: Readings, fleet: Fleet) -> Floats:
    """Largest load per ready replica ``[M, P]`` that one reading of the newest window had in time; 0 where none had.

    It proves nothing, so nothing is released for it. But while requests are late, a pool that was seen to answer 50 requests/s a
    replica in time is the best place for more of them, whether or not it was seen for longer than a window.
    """
    newest = np.fmax.reduce(readings.ring_good[: fleet.span_ticks])
    return np.where(np.isfinite(newest), newest, 0.0)


def sustained(readings: Readings, fleet: Fleet) -> Sustained:
    """Whether the newest load lasts, and its utilisation.

    Of 50, 100, 50, 50, 50 and 50 requests/s a replica the newest lasts, of 50, 50, 100, 100, 100 and 100 it does not: those of 100
    may be one piece of evidence. Of 47, 49, 48, 50, 49 and 51 it does: it only wandered. Weights that were moved explain a load
    per replica as far as the model's load lasts.
    """
    ticks = min(fleet.span_ticks, RECENT_READINGS)
    total, _ = _lasted(readings.ring_total, ticks, fleet)
    each, used = _lasted(readings.ring_each, ticks, fleet)
    newest, busy = readings.ring_each[0], readings.ring_busy[0]
    # A rate is a mean over what the weights gave within its window, so it is no larger than the largest of that.
    share = readings.ring_share[:ticks].max(0)  # NaN where one is unknown
    lasts = (newest <= each) | (newest <= WANDER_RATIO * share * total[:, None])
    both_known = used & np.isfinite(readings.ring_busy)
    work, asked = (np.where(both_known, ring, 0.0).sum(0) for ring in (readings.ring_busy, readings.ring_each))
    mean_busy_each = np.divide(work, asked, out=np.full_like(work, np.nan), where=asked > 0)
    jumped = (
        ~lasts
        | (busy < LEAST_BUSY_RATIO * mean_busy_each * newest)
        | (both_known.sum(0) <= min(fleet.window_ticks, ticks - 1))
    )
    return Sustained(lasts & np.isfinite(each), newest, np.where(jumped, np.nan, busy), mean_busy_each)


def _lasted(ring: Floats, ticks: int, fleet: Fleet) -> tuple[Floats, Bools]:
    """The newest value of a ring of loads, or the smallest of the newest ``ticks`` known ones where it is a jump from that (NaN
    where there are fewer); and which those are.
    """
    known = np.isfinite(ring)
    used = known & (np.cumsum(known, axis=0) <= ticks)
    smallest = np.where(used.sum(0) >= ticks, np.where(used, ring, np.inf).min(0), np.nan)
    noise = COUNTING_ERRORS / np.sqrt(np.fmax(smallest * fleet.rate_window_seconds, 1.0))
    wander = np.minimum(WANDER_RATIO + noise, LARGEST_WANDER_RATIO) * smallest
    return np.where(ring[0] <= wander, ring[0], smallest), used


def contradicted(newest: Sustained, evidence: Evidence, budget: Floats, planned: Floats) -> Bools:
    """Where the utilisation contradicts the load ``[M, P]``: so much less work a request that they were counted more than once.

    ``budget`` and ``planned`` ``[M, P]`` are late shares. Utilisation never rises faster than the load, so at less than the largest
    load that was good, a request takes no less work than there. Beyond it even a batching pool, whose batches grow, is busier by a
    fifth at twice the load. Pods that were busy for 0.8 at 80 requests/s are not asked for 80 at 0.5.
    """
    largest = evidence.proven(planned)[0]
    busy_there = evidence.busy(budget)[0] * largest
    rise = newest.each / np.where(largest > 0, largest, np.nan)
    least = np.where(rise > BEYOND_RATIO, rise**LEAST_BUSY_SLOPE, LEAST_BUSY_RATIO * np.minimum(rise, 1.0))
    result: Bools = (
        (rise > NEAR_RATIO) & (busy_there < ALWAYS_BUSY) & (newest.busy_each * newest.each < busy_there * least)
    )
    return result


def without_doubted(fleet: Fleet, seen: Observed, load: Floats, recent: Floats) -> tuple[Observed, Floats, Floats]:
    """What was seen and the load ``[M]`` with what is :func:`implausible` unknown, and the loads ``[M]`` that were doubted (NaN: none).

    ``recent`` ``[T, M]`` are the loads at the ticks of the last window.
    """
    doubted = implausible(fleet, seen, load, np.fmax.reduce(recent))
    if doubted.any():
        names = ("rate_per_second", "errors_per_second", "late_lower_ratio", "late_upper_ratio", "slow_ratio")
        seen = replace(seen, **{name: np.where(doubted[:, None], np.nan, getattr(seen, name)) for name in names})
    return seen, np.where(doubted, np.nan, load), np.where(doubted, load, np.nan)


def implausible(fleet: Fleet, seen: Observed, load: Floats, before: Floats) -> Bools:
    """Models ``[M]`` whose ``load`` in requests/s is a fault of counting: beyond 8 times the largest of the last window,
    ``before``, and nobody is late. NaN before: no.

    A crowd of that size is late at once, and then it is believed. 40 requests/s that become 40,000 with all in time are two
    counters read as one. What lasts longer than a window has no neighbours left to contradict it, and is believed as well.
    """
    late = fleet.exists & (seen.late_lower_ratio > fleet.late_budget_ratio[:, None])
    counted = before * fleet.rate_window_seconds >= ENOUGH_REQUESTS
    result: Bools = counted & (load > IMPLAUSIBLE_RISE * before) & ~late.any(1)
    return result
