"""What was seen of a pool, kept by load per replica: forgotten by contradiction, not by time.

Each bin of load (about 6 % wide) holds the late share that was last seen there. Repeating the same observation says nothing new:
a bin's weight is bounded. A fresh observation that contradicts a bin replaces it, and wipes what it refutes on the right side of
it: late where it was good refutes all that was good at higher loads, good where it was late refutes all that was late at lower
ones. So a quiet night makes nobody forget the day, a model that became slower is believed at once, and a good moment at a load that
was too much forgets nothing.

Shapes: ``[M, P, B]`` bins; ``N`` the pools with a sample in this tick.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Floats, Ints
from recmodel.core.capacity.bins import BIN_STEP, BINS, Small, bin_of, move

PLANNED_LATE_RATIO = 0.65  # of the budget: at the whole budget on average, every second minute would be over it

TEMPER = 0.35  # neighbouring requests meet the same queue: their lateness says less than as many independent ones would
LARGEST_WEIGHT = 1500.0  # of a bin, in independent requests: more of the same says no more
RESOLUTION = 0.08  # of the budget: neither histogram nor law distinguishes late shares below it from nothing
CONTRADICTION = 3.0  # standard errors
WORST_DEVIATIONS = 1.64  # standard errors above a late share: it is not above that with 95 % (one-sided normal)
LEAST_UTILISATION = 0.02  # below which a server is idle, and its utilisation the noise of its other work
LEAST_VARIED_SHARE, MOST_VARIED_SHARE = 1e-3, 0.5  # late shares that the noise of counting is worked out for

UTILISATION_GAIN = 0.03  # a scrape sees one moment of the workers: the mean of many is needed
ENOUGH_SCRAPES = 12.0
LIGHTER_RATIO = 0.75  # of the work that a request took at a larger load: noise of the scrapes explains no more
LARGER_RATIO = 1.5  # times the load, that the larger one may be: on cores that share their units a request takes more at far more load
LOAD_SPREAD = 0.25  # of log load, before the slope of utilisation says what kind of pool it is
NEAR_RATIO = 0.35  # of the largest load
LOW_RATIO = 0.7  # of the largest load seen: what is late there is not so for lack of replicas
BINNED = ("load", "replicas", "late_low", "late_high", "weight", "slow", "utilisation", "scrapes")
ENOUGH_WEIGHT = 20.0  # independent requests for a bin to prove anything


@dataclass(frozen=True)
class Sample:
    """One clean tick of ``N`` pools."""

    load: Floats  # requests/s per ready replica
    replicas: Ints
    late_low: Floats  # share late: certain ...
    late_high: Floats  # ... and possible
    slow: Floats  # share over half of the threshold; 1 where unknown
    requests: Floats  # in the tick
    utilisation: Floats  # busy share of the replicas; NaN unknown
    budget: Floats  # late share that the objective allows
    retest_ratio: Floats  # by how much loads that were bad are taken to lie further up from now on; 0: not now


@dataclass(frozen=True)
class Bin:
    """One bin of each of ``N`` pools."""

    load: Floats
    replicas: Floats
    late_low: Floats
    late_high: Floats
    weight: Floats


@dataclass(frozen=True)
class Evidence:
    """All bins of all pools; weight 0: nothing was seen there."""

    load: Small = field(metadata=axes("MPB"))
    replicas: Small = field(metadata=axes("MPB"))
    late_low: Small = field(metadata=axes("MPB"))
    late_high: Small = field(metadata=axes("MPB"))
    weight: Small = field(metadata=axes("MPB"))
    slow: Small = field(metadata=axes("MPB"))
    utilisation: Small = field(metadata=axes("MPB"))  # mean of the scrapes; 0 unknown
    scrapes: Small = field(metadata=axes("MPB"))  # of single replicas, that know the utilisation
    newest: Ints = field(metadata=axes("MP"))  # the bin of the newest sample

    def bin(self, rows: tuple[Ints, Ints], index: Ints) -> Bin:
        """The bin ``index`` of the pools at ``rows``."""
        at = (*rows, index)
        return Bin(
            self.load[at].astype(float),
            np.maximum(self.replicas[at].astype(float), 1.0),
            self.late_low[at].astype(float),
            self.late_high[at].astype(float),
            self.weight[at].astype(float),
        )

    def last(self, rows: tuple[Ints, Ints]) -> Bin:
        """The bin of the pools at ``rows`` with their newest sample."""
        return self.bin(rows, self.newest[rows])

    def too_much(self, budget: Floats) -> Bools:
        """The bins ``[M, P, B]`` that say that their load was too much."""
        result: Bools = (self.weight >= ENOUGH_WEIGHT) & (self.late_low > budget[..., None])
        return result

    def smallest_bad(self, budget: Floats, times: Small | float = 1.0) -> Floats:
        """The smallest load ``[M, P]`` that was too much; inf: none. ``times`` ``[M, P, B]`` as much as in each bin is it now."""
        result: Floats = np.where(self.too_much(budget), self.load * times, np.inf).min(-1).astype(float)
        return result

    def inherent(self, budget: Floats) -> Floats:
        """The late share ``[M, P]`` that no replica would take away: what was late at loads far below the largest one; 0 where it
        is as good as nothing, or where all loads lie together. Of 2.6 % late at 40 and at 80 requests/s, queues are not to blame.
        """
        sample = self.weight >= ENOUGH_WEIGHT
        largest = np.where(sample, self.load, 0.0).max(-1)[..., None]
        low = np.where(sample & (self.load <= LOW_RATIO * largest), self.late_high, np.inf).min(-1).astype(float)
        result: Floats = np.where(np.isfinite(low) & (low > RESOLUTION * budget), low, 0.0)
        return result

    def proven(self, planned: Floats) -> tuple[Floats, Floats, Floats]:
        """``[M, P]``: the largest load that was good (0: none), and its late and its slow share."""
        sample = self.weight >= ENOUGH_WEIGHT
        good = sample & (self.late_high <= planned[..., None])
        there = _places(np.argmax(np.where(good, self.load, -1.0), axis=-1))
        largest = np.where(good.any(-1), self.load[there], 0.0).astype(float)
        share = self.late_high[there].astype(float)
        weight = np.maximum(self.weight[there].astype(float), 1.0)
        worst = share + WORST_DEVIATIONS * np.sqrt((share * (1.0 - share) + 1.0 / weight) / weight) * TEMPER
        slow = self.slow[there].astype(float)
        return largest, worst, slow

    def tried_in_vain(self, planned: Floats, good: Floats) -> Floats:
        """The smallest load ``[M, P]`` beyond the largest ``good`` one at which so many requests came that more would say no more, and
        of which more than ``planned`` may have been late; inf: none. Of 130 requests/s between none and 7 % were late, as far as a
        histogram without an edge at the threshold tells, and 3 % are planned: no trust region grows there.
        """
        tried = (self.weight >= LARGEST_WEIGHT) & (self.load > good[..., None]) & (self.late_high > planned[..., None])
        result: Floats = np.where(tried, self.load, np.inf).min(-1).astype(float)
        return result

    def busy(self, budget: Floats) -> tuple[Floats, Floats]:
        """``[M, P]``: utilisation per request/s at the largest load seen that was not too much (NaN unknown), and how it rose with
        the load. At too much load all is busy, and what is tried again stands at a load that nobody has seen.

        The second is the slope of log utilisation over log load between the smallest and the largest load: 1 for workers, which
        are busy in proportion; less for a batching pool, whose batches grow; NaN where the loads lie too close together.
        """
        sample = self._worked(budget) & (self.scrapes >= ENOUGH_SCRAPES)
        large = np.argmax(np.where(sample, self.load, -1.0), axis=-1)
        # Near the largest only: far below it even a batching pool's batches are of one.
        near = sample & (self.load >= NEAR_RATIO * self.load[_places(large)][..., None])
        small = np.argmin(np.where(near, self.load, np.inf), axis=-1)
        known = np.where(sample.any(-1), 1.0, np.nan)
        most, least = (known * self.load[_places(index)] for index in (large, small))
        busy, less_busy = (known * self.utilisation[_places(index)] for index in (large, small))
        with np.errstate(divide="ignore", invalid="ignore"):
            spread, rise = np.log(most / least), np.log(busy / less_busy)
            slope = np.where(spread > LOAD_SPREAD, rise / np.maximum(spread, 1e-9), np.nan)
            return np.asarray(busy / most, float), slope

    def busy_together(self, budget: Floats) -> Floats:
        """Utilisation per request/s ``[M, P]``: the mean of all bins near the largest load that was not too much; NaN where they do not
        have enough scrapes together. A restless load shows each bin to few scrapes. A request takes no less work at less load, so the
        mean is no less than at the largest. Of 8 scrapes of 0.4 at 30 requests/s and 8 of 0.5 at 36 it is 0.0136.
        """
        sample = self._worked(budget)
        near = sample & (self.load >= NEAR_RATIO * np.where(sample, self.load, 0.0).max(-1)[..., None])
        scrapes = np.where(near, self.scrapes, np.float32(0.0))
        asked, work = (scrapes * self.load).sum(-1), (scrapes * self.utilisation).sum(-1)
        enough = (scrapes.sum(-1) >= ENOUGH_SCRAPES) & (asked > 0)
        return np.asarray(np.divide(work, asked, out=np.full(asked.shape, np.nan), where=enough), float)

    def _worked(self, budget: Floats) -> Bools:
        """Bins ``[M, P, B]`` of a load that was not too much, at which some utilisation was seen."""
        result: Bools = (self.weight >= ENOUGH_WEIGHT) & (self.late_low <= budget[..., None])
        result &= self.utilisation > LEAST_UTILISATION
        return result


def _places(index: Ints) -> tuple[Ints, Ints, Ints]:
    """Where the bins ``index`` ``[M, P]`` of all pools stand."""
    models, pools = index.shape
    return np.arange(models)[:, None], np.arange(pools), index


def empty(models: int, pools: int) -> Evidence:
    """Nothing was seen."""
    bins = {name: np.zeros((models, pools, BINS), np.float32) for name in BINNED}
    return Evidence(**bins, newest=np.zeros((models, pools), np.int64))


def restored(now: Evidence, before: Evidence, rows: tuple[Ints, Ints], beyond: Floats) -> Evidence:
    """The evidence ``now``, with that of ``before`` for the pools at ``rows``, but for the loads ``beyond`` ``[M, P]``."""
    arrays = {name: values.copy() for name, values in vars(now).items()}
    kept = (now.weight[rows] > 0) & (now.load[rows] > beyond[rows][:, None])
    for name, values in vars(before).items():
        old = values[rows]
        arrays[name][rows] = np.where(kept, arrays[name][rows], old) if old.ndim == kept.ndim else old
    return Evidence(**arrays)


def _forget_heavier(
    arrays: dict[str, Small], rows: tuple[Ints, Ints], at: tuple[Ints, Ints, Ints], budget: Floats
) -> Bools:
    """Forgets the utilisation at loads somewhat beyond the newest one, ``at``, where a request took much more work than it takes now:
    no pool works so much more for a request at half as much again, so requests have become lighter. 0.9 at 60 requests/s is forgotten
    once 40 make it 0.2. A quiet night says nothing of the day. What was late there is forgotten too; where something was, is
    returned ``[N]``.
    """
    load, busy, scrapes = (arrays[name][at][:, None] for name in ("load", "utilisation", "scrapes"))
    known = (busy > 0) & (scrapes >= ENOUGH_SCRAPES)
    # utilisation / load < LIGHTER_RATIO * that of the other bin, without a division
    lighter = busy * arrays["load"][rows] < LIGHTER_RATIO * load * arrays["utilisation"][rows]
    heavier = known & lighter & (arrays["load"][rows] > load) & (arrays["load"][rows] <= LARGER_RATIO * load)
    for name in ("utilisation", "scrapes"):
        arrays[name][rows] = np.where(heavier, 0.0, arrays[name][rows])
    # What was good of heavier requests is good of lighter ones; what was more than is planned need not be too much any more.
    late = heavier & (arrays["weight"][rows] > 0) & (arrays["late_low"][rows] > PLANNED_LATE_RATIO * budget[:, None])
    arrays["weight"][rows] = np.where(late, 0.0, arrays["weight"][rows])
    return np.asarray(late.any(-1), bool)


def _differs(sample: Sample, load: Floats, late_low: Floats, late_high: Floats) -> Bools:
    """Where a sample says something else ``[N]`` than its bin, which is full. Too much at less load than was known, by more than the
    noise, is that: else the plan would stay at the smaller load, within a bin that is bad.
    """
    change = np.abs(sample.late_high - late_high) + np.abs(sample.late_low - late_low)
    noise = CONTRADICTION / np.sqrt(np.maximum(sample.requests, 1.0))
    too_much_at_less = (sample.late_low > sample.budget) & (sample.load < (1.0 - noise) * load)
    result: Bools = (change > 0.5 * RESOLUTION * sample.budget) | too_much_at_less
    return result


def _contradicts(sample: Sample, count: Floats, arrays: dict[str, Small], rows: tuple[Ints, Ints]) -> Bools:
    """Bins ``[N, B]`` that a sample of ``count`` independent requests ``[N]`` refutes: good where it is late at less, or late where it
    is good at more. Near saturation a percent more load may be twice as late, so more is what is larger beyond the noise of counting,
    or by a bin. Of 15 s at 640 requests/s, 0.2 late, 660 in time refute it and 655 do not.
    """
    weight, load, low, high = (arrays[name][rows] for name in ("weight", "load", "late_low", "late_high"))
    error = np.sqrt(
        (np.clip(sample.late_high, LEAST_VARIED_SHARE, MOST_VARIED_SHARE) / np.maximum(count, 1.0))[:, None]
        + np.clip(high, LEAST_VARIED_SHARE, MOST_VARIED_SHARE) / np.maximum(weight, 1.0)
    )
    margin = CONTRADICTION * error + (RESOLUTION * sample.budget)[:, None]
    larger = 1.0 + np.minimum(CONTRADICTION / np.sqrt(np.maximum(sample.requests, 1.0)), BIN_STEP)
    too_good = (load >= sample.load[:, None]) & (high < sample.late_low[:, None] - margin)
    too_bad = (load <= (sample.load / larger)[:, None]) & (low > sample.late_high[:, None] + margin)
    result: Bools = too_good | too_bad
    return result


def add(evidence: Evidence, rows: tuple[Ints, Ints], sample: Sample) -> tuple[Evidence, Evidence, Bools, Bools]:
    """The evidence before (with ``newest`` at the bin of this sample) and after a tick; then, for each of the ``N`` pools,
    whether other bins changed too, and whether the sample is news to its bin (more of the same is not).
    """
    index = bin_of(sample.load)
    newest = evidence.newest.copy()
    newest[rows] = index
    before = replace(evidence, newest=newest)
    arrays = {name: getattr(evidence, name).copy() for name in BINNED}
    count = TEMPER * np.minimum(sample.requests, LARGEST_WEIGHT)

    weight, low = arrays["weight"][rows], arrays["late_low"][rows]  # [N, B]
    retested = (weight > 0) & (low > sample.budget[:, None]) & (sample.retest_ratio > 0)[:, None]
    if retested.any():  # of one pool once in half an hour at most
        move(arrays, rows, retested, sample.retest_ratio)
    weight, load = arrays["weight"][rows], arrays["load"][rows]
    refuted = (weight > 0) & _contradicts(sample, count, arrays, rows)
    here = index[:, None] == np.arange(BINS)
    foreign = here & (weight > 0) & (np.abs(np.log(np.maximum(load, 1e-9) / sample.load[:, None])) > 2 * BIN_STEP)
    kept = np.where(refuted | foreign, 0.0, weight)
    rewritten = (refuted & ~here).any(-1) | foreign.any(-1) | retested.any(-1)
    arrays["weight"][rows] = kept

    at = (*rows, index)
    old = arrays["weight"][at]
    # What was too much and is not refuted stays so: no good moment at about the same load, or at less, is averaged into it.
    unheard = (old > 0) & (arrays["late_low"][at] > sample.budget) & (sample.late_low <= sample.budget)
    total = np.where(unheard, old, np.minimum(old + count, LARGEST_WEIGHT))
    gain = np.minimum(count / np.maximum(total, 1e-9), 1.0)
    gain = np.where(old > 0, gain, 1.0)
    is_news = (total > old) | _differs(sample, *(arrays[name][at] for name in ("load", "late_low", "late_high")))
    is_news &= ~unheard
    gain = np.where(is_news, gain, 0.0)
    for name, value in (
        ("load", sample.load),
        ("replicas", sample.replicas),
        ("late_low", sample.late_low),
        ("late_high", sample.late_high),
        ("slow", sample.slow),
    ):
        arrays[name][at] += (gain * (value - arrays[name][at])).astype(np.float32)
    arrays["weight"][at] = total
    known = np.isfinite(sample.utilisation)
    scrapes = np.where(old > 0, arrays["scrapes"][at], 0.0) + known * sample.replicas
    gain = np.where(known, np.maximum(sample.replicas / np.maximum(scrapes, 1.0), UTILISATION_GAIN), 0.0)
    busy = arrays["utilisation"][at]
    arrays["utilisation"][at] = busy + gain * (np.where(known, sample.utilisation, 0.0) - busy)
    arrays["scrapes"][at] = scrapes
    rewritten |= _forget_heavier(arrays, rows, at, sample.budget)
    after = Evidence(**arrays, newest=newest)
    return before, after, rewritten, is_news
