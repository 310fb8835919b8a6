"""What of a tick may be learned of a capacity: which pools were seen at one load for long enough, and at which.

A good rate window that spans a change of ready replicas says nothing of any load per replica; a bad one does. One in which pods warm says
nothing at all. What is not too
much counts where the load lasted for longer than a window, see :mod:`recmodel.core.capacity.sustained`.

Shapes: ``[M, P]`` pools, ``R`` ticks in a ring, ``N`` the pools with a sample in a tick.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed
from recmodel.core.arrays.rings import pushed
from recmodel.core.capacity import sustained as lasting
from recmodel.core.capacity.evidence import PLANNED_LATE_RATIO, Evidence, Sample
from recmodel.core.capacity.sustained import Readings, Sustained

STEADY_RATIO = 0.1  # a load that moved more within the rate window is a mixture of loads
BEGUN_RATIO = 0.25  # of the load now: one that was less within the window has just begun, on pods that may be cold
RECENT_TICKS = 16
DRAINING_BUDGETS = 3.0  # times the late budget that a tick ago was late, at least, where a queue drains ...
DRAINING_FALL = 1.5  # ... and times what is late now: a third less within a tick
RETEST_SECONDS = 1800.0  # what was too much and was not seen again for so long is taken to begin ...
RETEST_RATIO = 0.04  # ... this much further up: so it is tried again, a little at a time ...
MOST_RETEST_DOUBLINGS = 10  # of the ratio: far beyond the largest one, and no overflow
LARGEST_RETEST_RATIO = 1.0  # ... and, for as long as nothing is late, more each time, up to here
MOST_FAILED_RETESTS = 5  # each makes the next one wait twice as long: 16 hours
RETESTED_NEAR_RATIO = 0.9  # of a load that was too much: less does not ask whether it still would be


@dataclass(frozen=True)
class Sampling:
    """What is kept of every pool ``[M, P]`` to separate clean samples from those that show nothing."""

    settled_ticks: Ints = field(metadata=axes("MP"))  # since the ready replicas last changed
    ready_before: Ints = field(metadata=axes("MP"))
    late_before: Floats = field(metadata=axes("MP"))  # late share a tick ago; NaN unknown
    recent_loads: Floats = field(metadata=axes("RMP"))  # load per ready replica, the newest first; NaN unknown
    calm_ticks: Ints = field(metadata=axes("MP"))  # near a load that was too much, since it last was
    failed_retests: Ints = field(metadata=axes("MP"))  # in a row: it still was too much
    contradicted_ticks: Ints = field(metadata=axes("MP"))  # in a row: utilisation says that there was less load
    readings: Readings  # of which only what lasts teaches what is good


def empty(models: int, pools: int) -> Sampling:
    """Nothing was seen."""
    shape = (models, pools)
    return Sampling(
        settled_ticks=np.zeros(shape, np.int64),
        ready_before=np.full(shape, -1, np.int64),
        late_before=np.full(shape, np.nan),
        recent_loads=np.full((RECENT_TICKS, *shape), np.nan),
        calm_ticks=np.zeros(shape, np.int64),
        failed_retests=np.zeros(shape, np.int64),
        contradicted_ticks=np.zeros(shape, np.int64),
        readings=lasting.empty(models, pools),
    )


def take(
    memory: Sampling, evidence: Evidence, fleet: Fleet, seen: Observed, total_load: Floats
) -> tuple[Sampling, tuple[Ints, Ints], Sample]:
    """The memory after one tick, the models and pools ``[N]`` that were seen at one load, and what was seen of them there.

    ``total_load`` ``[M]`` is each model's arrivals in requests/s, NaN unknown.
    """
    errors = np.where(np.isfinite(seen.errors_per_second), seen.errors_per_second, 0.0)
    served = np.maximum(seen.rate_per_second - errors, 0.0)  # two rates, each with its own rounding
    load = np.where(seen.ready > 0, served / np.maximum(seen.ready, 1), np.nan)
    late = np.clip(0.5 * (seen.late_lower_ratio + seen.late_upper_ratio), 0.0, 1.0)
    budget = np.broadcast_to(fleet.late_budget_ratio[:, None], load.shape)
    good = seen.late_upper_ratio <= PLANNED_LATE_RATIO * budget
    too_much = fleet.exists & (seen.late_lower_ratio > budget) & (seen.ready > 0) & ~seen.cold
    settled = np.where(seen.ready == memory.ready_before, memory.settled_ticks + 1, 0)
    # A queue that built up drains for a while: lateness that falls from a peak belongs to a load that is over.
    draining = memory.late_before > np.maximum(DRAINING_BUDGETS * budget, DRAINING_FALL * late)
    clean = fleet.exists & (settled > fleet.span_ticks) & np.isfinite(load) & (load > 0) & np.isfinite(late) & ~draining
    clean &= ~seen.cold  # warming pods are slower and busier than they will be

    now = _newest(memory.readings, fleet, total_load)
    recent, peak, steady = _recent(memory.recent_loads, _shared_out(seen, fleet, now), fleet.span_ticks)
    readings = lasting.remember(
        memory.readings, total_load, load, _shared_out(seen, fleet, np.ones(len(total_load))), seen.utilisation_ratio
    )
    begun = readings.ring_total[: fleet.span_ticks].min(0) >= BEGUN_RATIO * now  # NaN: no
    # Lateness rises ever faster with the load. So a window that holds several loads is later than their mean would be: where it
    # was good the mean is good as well (Jensen, 1906), but where it was late it was so at the largest of them. The same holds
    # for replicas that came or went: waiting for a quiet window would let a pool that is always late never learn of it.
    mixed = too_much & (peak > 0) & (~steady | ~clean) & ~draining & begun[:, None]
    load = np.where(mixed, np.fmax(peak, load), load)
    readings = lasting.with_good(readings, np.where(clean & good, load, np.nan))
    lasted = lasting.sustained(readings, fleet)
    doubted, contradicted_ticks = _contradicted(memory, evidence, fleet, lasted, budget)
    clean = (clean & (too_much | lasted.lasts & ~doubted) | mixed) & (steady | mixed | good)
    memory, retest = _retest(memory, evidence, fleet, seen, served, too_much)
    memory = replace(
        memory,
        settled_ticks=settled,
        ready_before=seen.ready,
        late_before=np.where(np.isfinite(late), late, np.nan),
        recent_loads=recent,
        contradicted_ticks=contradicted_ticks,
        readings=readings,
    )
    models, pools = np.nonzero(clean)
    rows = (models.astype(np.int64), pools.astype(np.int64))
    return memory, rows, _sample(rows, fleet, seen, load, lasted.busy, retest)


def _sample(
    rows: tuple[Ints, Ints], fleet: Fleet, seen: Observed, load: Floats, busy: Floats, retest: Floats
) -> Sample:
    """What was seen of the pools ``[N]`` at ``rows``; the other arrays are ``[M, P]``."""
    slow = seen.slow_ratio[rows]
    return Sample(
        load=load[rows],
        replicas=np.maximum(seen.ready[rows], 1),
        late_low=seen.late_lower_ratio[rows],
        late_high=seen.late_upper_ratio[rows],
        slow=np.where(np.isfinite(slow), slow, 1.0),
        requests=seen.rate_per_second[rows] * fleet.tick_seconds,
        utilisation=busy[rows],
        budget=fleet.late_budget_ratio[rows[0]],
        retest_ratio=retest[rows],
    )


def _newest(readings: Readings, fleet: Fleet, total_load: Floats) -> Floats:
    """Requests/s ``[M]`` in the newest tick: a load that begins or jumps is larger than its rate. A mean over four ticks that rises
    from 400 to 550 in one of them is 1,000 now.
    """
    rise = total_load - readings.ring_total[0]
    return total_load + np.where(rise > STEADY_RATIO / 2 * total_load, rise * (fleet.window_ticks - 1), 0.0)


def _shared_out(seen: Observed, fleet: Fleet, total: Floats) -> Floats:
    """Requests/s that each ready replica gets by the weights that hold now ``[M, P]``; NaN where a part is unknown.

    No rate window blurs it: of 700 requests/s, a pool with 3 replicas and 60 of 100 of the weight gets 140 for each.
    """
    ready = fleet.exists & (seen.ready > 0)
    weight = np.where(ready, seen.weight, 0.0)
    known = np.isfinite(weight)
    total_weight = np.where(known, weight, 0.0).sum(1, keepdims=True)
    known = known.all(1, keepdims=True) & (total_weight > 0)
    share = weight / np.where(known, total_weight, 1.0)
    return np.where(known & ready, total[:, None] * share / np.maximum(seen.ready, 1), np.nan)


def _recent(ring: Floats, load: Floats, ticks: int) -> tuple[Floats, Floats, Bools]:
    """The ring of loads with this tick's; the largest load of the newest ``ticks``; and whether all in them are known and alike."""
    recent = pushed(ring, load)
    window = recent[:ticks]
    largest, smallest = np.fmax.reduce(window), np.fmin.reduce(window)
    return recent, largest, np.isfinite(window).all(0) & (largest <= (1.0 + 2.0 * STEADY_RATIO) * smallest)


def _contradicted(
    memory: Sampling, evidence: Evidence, fleet: Fleet, lasted: Sustained, budget: Floats
) -> tuple[Bools, Ints]:
    """Where utilisation contradicts the load ``[M, P]``, and has not done so for too long; and for how many ticks it has."""
    contradicted = lasting.contradicted(lasted, evidence, budget, PLANNED_LATE_RATIO * budget)
    ticks = np.where(contradicted, memory.contradicted_ticks + 1, 0)
    return contradicted & (ticks <= lasting.PATIENCE_WINDOWS * fleet.window_ticks), ticks


def _retest(
    memory: Sampling, evidence: Evidence, fleet: Fleet, seen: Observed, served: Floats, too_much: Bools
) -> tuple[Sampling, Floats]:
    """By how much bad loads move up now ``[M, P]``: 4 % after the first calm half hour, then twice as much each time, for what was
    wrongly believed is wrong by much; 0 at all other ticks. Only ticks near the smallest load that was too much are calm ones.
    """
    due_ticks = max(round(RETEST_SECONDS / fleet.tick_seconds), 1) * 2**memory.failed_retests
    near = _near_too_much(evidence, fleet, seen, served)
    calm_ticks = memory.calm_ticks + near
    times = calm_ticks // due_ticks
    ratio = np.minimum(RETEST_RATIO * 2.0 ** np.clip(times - 1, 0, MOST_RETEST_DOUBLINGS), LARGEST_RETEST_RATIO)
    failed = np.minimum(memory.failed_retests + (memory.calm_ticks >= due_ticks), MOST_FAILED_RETESTS)
    memory = replace(
        memory,
        calm_ticks=np.where(too_much, 0, calm_ticks),
        failed_retests=np.where(too_much, failed, memory.failed_retests),
    )
    return memory, np.where(near & (times > 0) & (calm_ticks % due_ticks == 0), ratio, 0.0)


def _near_too_much(evidence: Evidence, fleet: Fleet, seen: Observed, served: Floats) -> Bools:
    """Where one replica less, or a somewhat larger load on a single one, would meet the smallest load ``[M, P]`` that was too
    much: there it is what the plan keeps away from. A quiet night does not ask, and so forgets nothing.
    """
    smallest = evidence.smallest_bad(fleet.late_budget_ratio[:, None])
    fewer = np.maximum(seen.ready - 1.0, RETESTED_NEAR_RATIO)
    result: Bools = (seen.ready > 0) & (served >= RETESTED_NEAR_RATIO * fewer * smallest)
    return result
