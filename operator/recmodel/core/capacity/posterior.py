"""What is learned of a pool's capacity, tick by tick: the evidence kept by load, and the belief over the laws that explain it.

The evidence is kept by load (:mod:`recmodel.core.capacity.evidence`); the belief over (X, shape) on a grid is the product of its
likelihoods. What the plan may make of it is told by :mod:`recmodel.core.capacity.estimate`, whose law this is.

Shapes: ``[M, P]`` pools, ``S`` shapes of the law, ``G`` grid points of log X, ``N`` the pools that are told something in a tick.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recmodel.core.capacity import evidence as evidences
from recmodel.core.capacity import sustained as lasting
from recmodel.core.capacity.evidence import Evidence
from recmodel.core.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.observed import Observed
from recmodel.core.rings import pushed

Small = NDArray[np.float32]
Real = TypeVar("Real", np.float32, np.float64)

GRID = 64
GRID_STEP = 0.055  # of log X: the whole grid spans a factor of 32
START_INDEX = 12  # where the first load seen is put: there is more room above than below
# (k, b): a soft worker pool ... a batching pool with a sharp edge, without and with inherently late requests.
SHAPES = np.array([(5.0, 0.0), (12.0, 0.0), (36.0, 0.0), (12.0, 0.012), (36.0, 0.012), (24.0, 0.03)])
SHARING = 0.4  # g: least-request balancing lies between a common queue (1) and none (0)
LARGEST_SHARPNESS = 160.0
PLANNED_LATE_RATIO = 0.65  # of the budget: at the whole budget on average, every second minute would be over it
CHUNK = 1024  # pools at a time: their laws fit into the processor's cache, and memory does not grow with the fleet
STEADY_RATIO = 0.1  # a load that moved more within the rate window is a mixture of loads
BEGUN_RATIO = 0.25  # of the load now: one that was less within the window has just begun, on pods that may be cold
RECENT_TICKS = 16
RETEST_SECONDS = 1800.0  # what was too much and was not seen again for so long is taken to begin ...
RETEST_RATIO = 0.04  # ... this much further up: so it is tried again, a little at a time ...
LARGEST_RETEST_RATIO = 1.0  # ... and, for as long as nothing is late, more each time, up to here
MOST_FAILED_RETESTS = 5  # each makes the next one wait twice as long: 16 hours
RETESTED_NEAR_RATIO = 0.9  # of a load that was too much: less does not ask whether it still would be


@dataclass(frozen=True)
class CapacityMemory:
    """What is believed of every pool."""

    evidence: Evidence
    log_belief: Small  # [M, P, S, G] log likelihood of the evidence
    origin: Floats  # [M, P] log X of the first grid point; NaN before the first load
    settled_ticks: Ints  # [M, P] ticks since the ready replicas last changed
    ready_before: Ints  # [M, P]
    late_before: Floats  # [M, P] late share a tick ago; NaN unknown
    recent_loads: Floats  # [RECENT_TICKS, M, P] load per ready replica, the newest first; NaN unknown
    calm_ticks: Ints  # [M, P] ticks near a load that was too much, since it last was
    failed_retests: Ints  # [M, P] in a row: it still was too much
    contradicted_ticks: Ints  # [M, P] in a row: utilisation says that there was less load
    readings: lasting.Readings  # of which only what lasts teaches what is good


def empty(models: int, pools: int) -> CapacityMemory:
    """Nothing is known of any pool."""
    shape = (models, pools)
    return CapacityMemory(
        evidence=evidences.empty(models, pools),
        log_belief=np.zeros((*shape, len(SHAPES), GRID), np.float32),
        origin=np.full(shape, np.nan),
        settled_ticks=np.zeros(shape, np.int64),
        ready_before=np.full(shape, -1, np.int64),
        late_before=np.full(shape, np.nan),
        recent_loads=np.full((RECENT_TICKS, *shape), np.nan),
        calm_ticks=np.zeros(shape, np.int64),
        failed_retests=np.zeros(shape, np.int64),
        contradicted_ticks=np.zeros(shape, np.int64),
        readings=lasting.empty(models, pools),
    )


def law(load: NDArray[Real], sharpness: NDArray[Real], floor: NDArray[Real]) -> NDArray[Real]:
    """Share of the requests that are late, 0..1, at ``load`` relative to saturation, x / X; ``sharpness`` is k * n**g.

    At 133 / 160, k * n**g = 20.9 and b = 0: 0.030.
    """
    rising = np.exp(np.minimum(sharpness * (load - 1.0), 0.0))
    result: NDArray[Real] = floor + (1.0 - floor) * rising
    return result


def learn(memory: CapacityMemory, fleet: Fleet, seen: Observed, total_load: Floats) -> CapacityMemory:
    """The memory after one tick; ``total_load`` ``[M]`` is each model's arrivals in requests/s, NaN unknown.

    A good rate window that spans a change of ready replicas says nothing of any load per replica; a bad one does. What is not
    too much counts where the load lasted for longer than a window, see :mod:`recmodel.core.capacity.sustained`.
    """
    unchanged = seen.ready == memory.ready_before
    settled = np.where(unchanged, memory.settled_ticks + 1, 0)
    dirty_ticks = fleet.span_ticks
    served = seen.rate_per_second - np.where(np.isfinite(seen.errors_per_second), seen.errors_per_second, 0.0)
    load = np.where(seen.ready > 0, served / np.maximum(seen.ready, 1), np.nan)
    late = np.clip(0.5 * (seen.late_lower_ratio + seen.late_upper_ratio), 0.0, 1.0)
    share = _shared_out(seen, fleet, np.ones(len(total_load)))
    readings = lasting.remember(memory.readings, total_load, load, share, seen.utilisation_ratio)
    lasted = lasting.sustained(readings, fleet)
    clean = fleet.exists & (settled > dirty_ticks) & np.isfinite(load) & (load > 0) & np.isfinite(late)
    # A queue that built up drains for a while: lateness that falls from a peak belongs to a load that is over.
    draining = np.nan_to_num(memory.late_before) > np.maximum(3.0 * fleet.late_budget_ratio[:, None], 1.5 * late)
    clean &= ~draining
    # A mean over four ticks that rises from 400 to 550 in one of them is 1,000 now: a load that begins or jumps is larger than its rate.
    rise = total_load - memory.readings.ring_total[0]
    now = total_load + np.where(rise > STEADY_RATIO / 2 * total_load, rise * (fleet.window_ticks - 1), 0.0)
    recent, peak, steady = _recent(memory.recent_loads, _shared_out(seen, fleet, now), dirty_ticks)
    begun = readings.ring_total[:dirty_ticks].min(0) >= BEGUN_RATIO * now  # NaN: no
    # Lateness rises ever faster with the load. So a window that holds several loads is later than their mean would be: where it
    # was good the mean is good as well (Jensen, 1906), but where it was late it was so at the largest of them. The same holds
    # for replicas that came or went: waiting for a quiet window would let a pool that is always late never learn of it.
    too_much = fleet.exists & (seen.late_lower_ratio > fleet.late_budget_ratio[:, None]) & (seen.ready > 0)
    mixed = too_much & (peak > 0) & (~steady | ~clean) & ~draining & begun[:, None]
    load = np.where(mixed, np.fmax(peak, load), load)
    in_time = clean & (seen.late_upper_ratio <= PLANNED_LATE_RATIO * fleet.late_budget_ratio[:, None])
    readings = lasting.with_good(readings, np.where(in_time, load, np.nan))
    budget = np.broadcast_to(fleet.late_budget_ratio[:, None], load.shape)
    contradicted = lasting.contradicted(lasted, memory.evidence, budget, PLANNED_LATE_RATIO * budget)
    contradicted_ticks = np.where(contradicted, memory.contradicted_ticks + 1, 0)
    patient = contradicted & (contradicted_ticks <= lasting.PATIENCE_WINDOWS * fleet.window_ticks)
    clean &= too_much | lasted.lasts & ~patient
    clean |= mixed
    clean &= steady | mixed | (seen.late_upper_ratio <= PLANNED_LATE_RATIO * fleet.late_budget_ratio[:, None])
    retest_ticks = max(round(RETEST_SECONDS / fleet.tick_seconds), 1) * 2**memory.failed_retests
    near = _near_too_much(memory.evidence, fleet, seen, served)
    calm_ticks = memory.calm_ticks + near
    retest = np.where(near, _retest(calm_ticks, retest_ticks), 0.0)
    failed = np.minimum(memory.failed_retests + (memory.calm_ticks >= retest_ticks), MOST_FAILED_RETESTS)
    memory = replace(
        memory,
        settled_ticks=settled,
        ready_before=seen.ready,
        late_before=np.where(np.isfinite(late), late, np.nan),
        recent_loads=recent,
        calm_ticks=np.where(too_much, 0, calm_ticks),
        failed_retests=np.where(too_much, failed, memory.failed_retests),
        contradicted_ticks=contradicted_ticks,
        readings=readings,
    )
    if not clean.any():
        return memory
    models, pools = np.nonzero(clean)
    rows = (models.astype(np.int64), pools.astype(np.int64))
    ready = np.maximum(seen.ready[rows], 1)
    budget = budget[rows]
    requests = seen.rate_per_second[rows] * fleet.tick_seconds
    sample = evidences.Sample(
        load=load[rows],
        replicas=ready,
        late_low=seen.late_lower_ratio[rows],
        late_high=seen.late_upper_ratio[rows],
        slow=np.where(np.isfinite(seen.slow_ratio[rows]), seen.slow_ratio[rows], 1.0),
        requests=requests,
        utilisation=lasted.busy[rows],
        budget=budget,
        retest_ratio=retest[rows],
    )
    before, after, rewritten, told_new = evidences.add(memory.evidence, rows, sample)

    origin, belief = memory.origin.copy(), memory.log_belief.copy()
    new = np.isnan(origin[rows])
    origin[rows] = np.where(new, np.log(load[rows]) - START_INDEX * GRID_STEP, origin[rows])
    moved, shifted = _recentred(origin[rows], belief[rows], load[rows], seen.late_upper_ratio[rows])
    origin[rows] = moved
    rewritten = rewritten | shifted | new
    for start in range(0, len(moved), CHUNK):
        part = slice(start, start + CHUNK)
        at = (rows[0][part], rows[1][part])
        belief[at] = _believed(
            belief[at], before, after, at, moved[part], budget[part], rewritten[part], told_new[part]
        )
    return replace(memory, evidence=after, log_belief=belief, origin=origin)


def recent_totals(memory: CapacityMemory, fleet: Fleet) -> Floats:
    """Loads ``[T, M]`` of whole models in requests/s at the newest ticks that a rate window reaches back, newest first."""
    return memory.readings.ring_total[: fleet.span_ticks]


def rises(memory: CapacityMemory, fleet: Fleet) -> Bools:
    """Where the load ``[M]`` rose within the newest rate window, so that it is larger than its rate tells; also where unknown."""
    window = recent_totals(memory, fleet)
    result: Bools = ~(window[0] <= (1.0 + STEADY_RATIO) * window.min(0))
    return result


def _near_too_much(evidence: Evidence, fleet: Fleet, seen: Observed, served: Floats) -> Bools:
    """Where one replica less, or a somewhat larger load on a single one, would meet the smallest load ``[M, P]`` that was too
    much: there it is what the plan keeps away from. A quiet night does not ask, and so forgets nothing.
    """
    smallest = evidence.smallest_bad(fleet.late_budget_ratio[:, None])
    fewer = np.maximum(seen.ready - 1.0, RETESTED_NEAR_RATIO)
    result: Bools = (seen.ready > 0) & (served >= RETESTED_NEAR_RATIO * fewer * smallest)
    return result


def _retest(calm_ticks: Ints, retest_ticks: Ints) -> Floats:
    """By how much bad loads move up now: 4 % after the first calm half hour, then twice as much each time, for what was wrongly
    believed is wrong by much; 0 at all other ticks.
    """
    times = calm_ticks // retest_ticks
    ratio = np.minimum(RETEST_RATIO * 2.0 ** np.clip(times - 1, 0, 10), LARGEST_RETEST_RATIO)
    return np.where((times > 0) & (calm_ticks % retest_ticks == 0), ratio, 0.0)


def _shared_out(seen: Observed, fleet: Fleet, total: Floats) -> Floats:
    """Requests/s that each ready replica gets by the weights that hold now ``[M, P]``; NaN where a part is unknown.

    No rate window blurs it: of 700 requests/s, a pool with 3 replicas and 60 of 100 of the weight gets 140 for each.
    """
    ready = fleet.exists & (seen.ready > 0)
    weight = np.where(ready, seen.weight, 0.0)
    known = np.isfinite(weight).all(1, keepdims=True) & (np.nan_to_num(weight).sum(1, keepdims=True) > 0)
    share = weight / np.where(known, np.nan_to_num(weight).sum(1, keepdims=True), 1.0)
    return np.where(known & ready, total[:, None] * share / np.maximum(seen.ready, 1), np.nan)


def _recent(ring: Floats, load: Floats, ticks: int) -> tuple[Floats, Floats, Bools]:
    """The ring of loads with this tick's; the largest load of the newest ``ticks``; and whether all in them are known and alike."""
    recent = pushed(ring, load)
    window = recent[:ticks]
    largest, smallest = np.fmax.reduce(window), np.fmin.reduce(window)
    return recent, largest, np.isfinite(window).all(0) & (largest <= (1.0 + 2.0 * STEADY_RATIO) * smallest)


def _believed(
    belief: Small,
    before: Evidence,
    after: Evidence,
    rows: tuple[Ints, Ints],
    origin: Floats,
    budget: Floats,
    rewritten: Bools,
    told_new: Bools,
) -> Small:
    """The belief ``[N, S, G]`` after the evidence changed: by the bin that was told, or made again where others changed too."""
    by_bin = np.nonzero(told_new & ~rewritten)[0]
    if len(by_bin):
        at = (rows[0][by_bin], rows[1][by_bin])
        belief[by_bin] += _log_likelihood(after.last(at), origin[by_bin], budget[by_bin])
        belief[by_bin] -= _log_likelihood(before.last(at), origin[by_bin], budget[by_bin])
    begun = np.nonzero(rewritten)[0]
    if len(begun):
        belief[begun] = 0.0
        pools, bins = np.nonzero(after.weight[rows[0][begun], rows[1][begun]] > 0)
        for index in np.unique(bins):
            some = begun[pools[bins == index]]
            sample = after.bin((rows[0][some], rows[1][some]), np.full(len(some), index))
            belief[some] += _log_likelihood(sample, origin[some], budget[some])
    belief -= belief.max((-2, -1), keepdims=True)
    return belief


def relearned(memory: CapacityMemory, rows: tuple[Ints, Ints], budget: Floats) -> CapacityMemory:
    """The belief of the ``N`` pools at ``rows`` made again from their evidence; ``budget`` ``[N]`` late share."""
    belief, every = memory.log_belief.copy(), np.ones(len(rows[0]), bool)
    evidence, origin = memory.evidence, memory.origin[rows]
    belief[rows] = _believed(belief[rows], evidence, evidence, rows, origin, budget, every, ~every)
    return replace(memory, log_belief=belief)


def _log_likelihood(sample: evidences.Bin, origin: Floats, budget: Floats) -> Small:
    """Log likelihood ``[N, S, G]`` of one bin's evidence under every law of the grid."""
    relative = np.exp(np.log(np.maximum(sample.load, 1e-9)) - origin)[:, None] * np.exp(
        -GRID_STEP * np.arange(GRID)
    )  # [N, G] x / X
    sharp = np.minimum(SHAPES[:, 0] * sample.replicas[:, None] ** SHARING, LARGEST_SHARPNESS)[:, :, None].astype(
        np.float32
    )
    floor = SHAPES[:, 1:2].astype(np.float32)
    share = np.clip(law(relative[:, None, :].astype(np.float32), sharp, floor), 1e-4, 0.97)
    # Shares far below the budget tell nothing apart: a law that is wrong by a thousandth there must not win by its many ticks.
    resolution = evidences.RESOLUTION * budget
    low = np.where(sample.late_low < resolution, 0.0, sample.late_low)[:, None, None].astype(np.float32)
    high = np.maximum(sample.late_high, resolution)[:, None, None].astype(np.float32)
    seen = np.clip(share, low, high)
    # Kullback and Leibler's distance; 0 * log 0 is 0.
    distance = seen * np.log(np.maximum(seen, 1e-9) / share)
    distance += (1.0 - seen) * np.log(np.maximum(1.0 - seen, 1e-9) / (1.0 - share))
    result: Small = (-sample.weight[:, None, None] * distance).astype(np.float32)
    return result


def _recentred(origin: Floats, belief: Small, load: Floats, late: Floats) -> tuple[Floats, Bools]:
    """The grid's origin, moved for those whose load or belief comes near an end of it; and which ones were moved."""
    index = (np.log(load) - origin) / GRID_STEP
    peak = belief.max(1).argmax(-1)  # [N] of log X
    # A load at which most was late lies beyond saturation: it says nothing of where that may be further up.
    up = ((index > GRID - 12) & (late < 0.5)) | ((peak > GRID - 4) & (index > GRID // 2))
    down = (index < 3) & (peak < START_INDEX)
    shift = np.where(up | down, np.round(index) - START_INDEX, 0.0)
    return origin + shift * GRID_STEP, shift != 0
