"""The bad share of a pool's requests by load per replica, recently: recorded tick by tick, and compared between loads.

Of two loads per replica ``x`` and ``r * x`` (``r < 1``), load explains a bad share ``p`` at the first where at the second it is at most

    max(1 - (1 - p) / r, p * r**2)

The first is that of a full server, which answers as many requests a second as before and sheds fewer; the second is the weakest
fall on the way to it (a queue's tail falls far more steeply; a broken replica of ``n`` spoils a share of ``r * p``). A share that
is larger beyond three standard errors is bad at any load. Worked number: 3.1 % at 10 requests/s a replica, 3.0 % at 5: load
explains 0.8 % at most, so 3.0 % is bad at any load.

Shapes: ``[M, P]`` pools, ``B`` bins of load, ``N`` pools in trouble.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Fleet, Floats
from recmodel.core.arrays.observed import Observed
from recmodel.core.capacity.estimate import SAFE_UTILISATION
from recmodel.core.capacity.evidence import CONTRADICTION, ENOUGH_WEIGHT, LARGEST_WEIGHT, TEMPER
from recmodel.core.pods import Counts

Small = NDArray[np.float32]

BINS = 24
BIN_STEP = 0.1  # of log load: the bins span a factor of 11 and are used as a ring
MEMORY_SECONDS = 900.0  # after which a load that was not seen again counts for a third ...
REFUTED_SECONDS = 150.0  # ... and one that was bad, while as much or more load is not: gone in ten minutes
APART_RATIO = 0.85  # of the larger load, that the smaller may be at most: loads that are nearer cannot be compared
BUSY_APART_RATIO = 0.5  # of the larger load, that the smaller may be at most where replicas are busy even there ...
FULL_APART_RATIO = 0.3  # ... and where they are full: as bad at a third of the load is not so for lack of replicas
FALL_POWER = 2.0  # of the load, with which the bad share falls at least where load is the cause
SETTLED_RATIO = 0.97  # of the largest load that a window may have met, the smallest: then no replica came or went in it
FULL_UTILISATION = 0.9  # replicas that are busy for so much of the time may have nothing left to give
NOISE = 2.0  # standard errors of a window's count that a share may be larger and be the same
BLIND_RATIO = 0.9  # of the requests: where more are bad, one cannot see whether a full server became less full


@dataclass(frozen=True)
class Record:
    """The bad share by load per replica, recently: ``[M, P, B]``; weight 0: nothing was seen there."""

    weight: Small = field(metadata=axes("MPB"))  # independent requests
    most: Small = field(metadata=axes("MPB"))  # load per replica: as large as it may have been ...
    least: Small = field(metadata=axes("MPB"))  # ... and as small; they differ while replicas come and go
    bad: Small = field(metadata=axes("MPB"))  # share that was late or failed ...
    failed: Small = field(metadata=axes("MPB"))  # ... and of it what failed
    busy: Small = field(metadata=axes("MPB"))  # utilisation; 0 unknown


@dataclass(frozen=True)
class Compared:
    """What a comparison came to ``[M, P]``."""

    found: Floats  # the largest share that was bad at two loads alike; 0: none
    failed: Floats  # of it what failed
    helped: Bools  # the share is less than it was at a larger load, as load explains it
    comparable: Bools  # there is a larger load to compare with
    higher: Floats  # the two loads per replica
    lower: Floats


def empty(models: int, pools: int) -> Record:
    """Nothing was seen."""
    return Record(*(np.zeros((models, pools, BINS), np.float32) for _ in range(6)))


def load_per_replica(seen: Observed, readies: Counts, ticks: int) -> Floats:
    """Requests/s per ready replica ``[M, P]``: the mean over the newest ``ticks``.

    A rate window is of now or as old as the newest scrape. While replicas come, the load over window and age is the largest that
    it may have met, and the load over the window alone the smallest.
    """
    each = np.zeros(seen.ready.shape)
    ring = [seen.ready, *readies[: ticks - 1]]
    for ready in ring:
        each += 1.0 / np.maximum(np.where(ready > 0, ready, seen.ready), 1)
    result: Floats = np.where(seen.ready > 0, seen.rate_per_second * each / len(ring), np.nan)
    return result


def unchanged(seen: Observed, readies: Counts, ticks: int) -> Bools:
    """Where no replica came or went within so many ticks ``[M, P]``; ``readies`` ``[T, M, P]`` are those of the ticks before."""
    same = seen.ready == readies[:ticks]
    result: Bools = same.all(0) if len(same) == ticks else np.zeros(seen.ready.shape, bool)
    return result


def failed_share(seen: Observed) -> Floats:
    """Share of the requests that failed ``[M, P]``; 0 where unknown."""
    share = seen.errors_per_second / np.where(seen.rate_per_second > 0, seen.rate_per_second, np.nan)
    result: Floats = np.where(np.isnan(share), 0.0, np.clip(share, 0.0, 1.0))
    return result


def full(seen: Observed) -> Bools:
    """Where replicas ``[M, P]`` are known to have nothing left to give."""
    result: Bools = seen.utilisation_ratio >= FULL_UTILISATION
    return result


def standard_error(share: Floats, requests: Floats) -> Floats:
    """Standard error of a share counted in so many requests."""
    requests = np.maximum(requests, 1.0)
    result: Floats = np.sqrt((share * (1.0 - share) + 1.0 / requests) / requests)
    return result


def bad_elsewhere(fleet: Fleet, seen: Observed, noise: Floats) -> Floats:
    """The smallest bad share ``[M, P]`` of the *other* pools of the model, counting noise included; inf where there is none.

    What is bad in one pool alone is the pool's.
    """
    answers = fleet.exists & (seen.ready > 0) & (seen.rate_per_second > 0) & np.isfinite(seen.late_upper_ratio)
    share = np.where(answers, seen.late_upper_ratio + noise, np.inf)
    others = np.full(share.shape, np.inf)
    for k in range(share.shape[1]):
        others[:, k] = np.delete(share, k, axis=1).min(1, initial=np.inf)
    return others


def net_of(fleet: Fleet, seen: Observed, floor: Floats, failing: Floats) -> Observed:
    """The shares among the requests that are not bad at any load. What fails is counted exactly; of what is late only the mean
    is known, so no more is certain than what chance would not add.
    """
    on = floor > 0
    if not on.any():
        return seen
    failed = np.minimum(failing, floor)
    requests = seen.rate_per_second * fleet.rate_window_seconds
    fails = np.minimum(failed_share(seen), failed + NOISE * standard_error(failed, requests))
    late = floor - failed
    rest = np.maximum(1.0 - fails - late, 1e-6)

    def net(share: Floats, noise: Floats | float = 0.0) -> Floats:
        return np.where(on, np.clip((share - fails - late - noise) / rest, 0.0, 1.0), share)

    return replace(
        seen,
        late_lower_ratio=net(seen.late_lower_ratio, NOISE * standard_error(late, requests)),
        late_upper_ratio=net(seen.late_upper_ratio),
        slow_ratio=net(seen.slow_ratio),
    )


def recordable(
    seen: Observed, before: Floats, known: Bools, risen: Bools, noise: Floats
) -> tuple[Observed, Bools, Bools]:
    """What may be recorded of a load: the share is NaN where that of a tick ``before`` was another one, since the window then holds
    two loads. But where nothing else has changed and it has ``risen``, the peak is recorded when
    it falls. Then, where it stands, and rises.
    """
    moved = seen.late_lower_ratio - before
    steady, peak = known & (np.abs(moved) <= noise), known & risen & (moved < -noise)
    share = np.where(peak, before, np.where(steady, seen.late_lower_ratio, np.nan))
    return replace(seen, late_lower_ratio=share), steady, known & (moved > noise)


def recorded(record: Record, fleet: Fleet, seen: Observed, loads: tuple[Floats, Floats], known: Bools) -> Record:
    """The record after one tick. What comes and goes counts at its worst: a bin with a worse share begins again, and one that was
    worse than what is recorded of its load, or of more, is forgotten within some minutes.
    """
    fades = np.where(_refuted(record, fleet, seen, loads[1]), REFUTED_SECONDS, MEMORY_SECONDS)
    weight = record.weight * np.exp(-fleet.tick_seconds / fades).astype(np.float32)
    if not known.any():
        return replace(record, weight=weight)
    rows = np.nonzero(known)
    x, bad = loads[0][rows], seen.late_lower_ratio[rows]
    at = (*rows, (np.floor(np.log(x) / BIN_STEP) % BINS).astype(np.int64))
    count = TEMPER * np.minimum(seen.rate_per_second[rows] * fleet.tick_seconds, LARGEST_WEIGHT)
    old, before = weight[at].astype(float), record.bad[at].astype(float)
    margin = CONTRADICTION * np.hypot(standard_error(bad, count), standard_error(before, old))
    foreign = np.abs(np.log(np.maximum(record.most[at], 1e-9) / x)) > 2 * BIN_STEP
    better = ~foreign & (before - bad > margin) & (old >= ENOUGH_WEIGHT)
    old = np.where(foreign | (np.abs(bad - before) > margin) & ~better, 0.0, old)
    count = np.where(better, 0.0, count)
    gain = count / np.maximum(old + count, 1e-9)
    shares = {
        "most": x,
        "least": np.minimum(loads[1][rows], x),
        "bad": bad,
        "failed": failed_share(seen)[rows],
        "busy": np.fmax(seen.utilisation_ratio[rows], 0.0),
    }
    arrays = {name: getattr(record, name).copy() for name in shares}
    for name, value in shares.items():
        kept = arrays[name][at]
        arrays[name][at] = np.where(old > 0, kept + gain * (value - kept), value).astype(np.float32)
    weight[at] = np.minimum(old + count, LARGEST_WEIGHT)
    return Record(weight, **arrays)


def _refuted(record: Record, fleet: Fleet, seen: Observed, load: Floats) -> Bools:
    """The bins ``[M, P, B]`` that were worse than as much ``load`` per replica, or more, is now: what spoiled them is over, or away."""
    share = seen.late_upper_ratio[..., None]
    count = TEMPER * np.minimum(seen.rate_per_second * fleet.tick_seconds, LARGEST_WEIGHT)[..., None]
    margin = CONTRADICTION * np.hypot(
        standard_error(share, count), standard_error(record.bad.astype(float), record.weight.astype(float))
    )
    result: Bools = (record.least <= load[..., None] * np.exp(BIN_STEP)) & (record.bad - share > margin)
    return result


def compare(record: Record, fleet: Fleet, load: Floats, highest: Floats, good: Floats, trouble: Bools) -> Compared:
    """What the loads that were seen recently show of those in trouble.

    Nothing above ``good`` ``[M, P]``, the requests/s per replica that were answered well before (inf: unknown), is bad at any load: two
    overloads look alike, and the queue that the larger one has left makes the smaller one as bad.
    """
    found, helped = np.zeros(load.shape), np.zeros(load.shape, bool)
    failing, comparable = np.zeros(load.shape), np.zeros(load.shape, bool)
    higher, lower = np.zeros(load.shape), np.zeros(load.shape)
    rows = np.nonzero(trouble)
    if not len(rows[0]):
        return Compared(found, failing, helped, comparable, higher, lower)
    weight, most, least, bad, failed, busy = (values[rows].astype(float) for values in vars(record).values())
    enough = weight >= ENOUGH_WEIGHT
    ratio = most[:, None, :] / np.where(enough, least, 1.0)[:, :, None]  # [N, higher, lower]
    pair = enough[:, :, None] & enough[:, None, :] & (ratio <= APART_RATIO)
    ratio = np.where(pair, ratio, 1.0)
    high, low = bad[:, :, None], bad[:, None, :]
    full, queue = 1.0 - (1.0 - high) / ratio, high * ratio**FALL_POWER
    slope = np.where(full > queue, 1.0 / ratio, ratio**FALL_POWER)
    error = standard_error(bad, weight)
    margin = CONTRADICTION * np.hypot(error[:, None, :], slope * error[:, :, None])
    alike = pair & (low - np.maximum(full, queue) > margin)
    # Where all are bad only the work shows it: a server that does less of it at less load was not full.
    busy_high, busy_low = busy[:, :, None], busy[:, None, :]
    settled = (least >= SETTLED_RATIO * most)[:, None, :]  # or the use is of now, and the share of before
    idle = settled & (busy_high > 0) & (busy_low < SAFE_UTILISATION) & (busy_low <= busy_high * np.sqrt(ratio))
    alike |= pair & idle & (np.minimum(high, low) > BLIND_RATIO)
    # Replicas that are still busy may be too few, unless they are as busy at any load.
    alike &= ratio <= np.where(
        busy_low < SAFE_UTILISATION, 1.0, np.where(busy_low < FULL_UTILISATION, BUSY_APART_RATIO, FULL_APART_RATIO)
    )
    alike &= most[:, None, :] <= np.exp(BIN_STEP) * good[rows][:, None, None]
    budget = np.broadcast_to(fleet.late_budget_ratio[:, None], load.shape)[rows]
    share = np.where(alike, np.minimum(high, low), 0.0)
    share = np.where(share > budget[:, None, None], share, 0.0).reshape(len(weight), -1)
    best = share.argmax(1)
    each = np.arange(len(weight))
    found[rows] = share[each, best]
    i, j = best // BINS, best % BINS
    failing[rows] = np.minimum(np.minimum(failed[each, i], failed[each, j]), share[each, best])
    higher[rows], lower[rows] = most[each, i], most[each, j]
    here = np.floor(np.log(load[rows]) / BIN_STEP).astype(np.int64) % BINS
    since = most[:, :, None] <= np.exp(BIN_STEP) * np.maximum(highest[rows], load[rows])[:, None, None]
    fell = pair & since & ~alike & (high - low > CONTRADICTION * np.hypot(error[:, :, None], error[:, None, :]))
    helped[rows] = fell[each, :, here].any(1)
    comparable[rows] = (pair & since)[each, :, here].any(1)
    return Compared(found, failing, helped, comparable, higher, lower)
