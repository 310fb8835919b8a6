"""What is learned of a pool's capacity, tick by tick: the evidence kept by load, and the belief over the laws that explain it.

What is learned of a tick is the sample of :mod:`recmodel.core.capacity.samples`. The evidence is kept by load
(:mod:`recmodel.core.capacity.evidence`); the belief over (X, shape) on a grid is the product of its
likelihoods. What the plan may make of it is in :mod:`recmodel.core.capacity.estimate`, whose law this is.

Shapes: ``[M, P]`` pools, ``S`` shapes of the law, ``G`` grid points of log X, ``N`` the pools with a sample in a tick.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed
from recmodel.core.capacity import evidence as evidences
from recmodel.core.capacity import samples
from recmodel.core.capacity.evidence import Evidence
from recmodel.core.capacity.samples import STEADY_RATIO, Sampling

Small = NDArray[np.float32]
Real = TypeVar("Real", np.float32, np.float64)

GRID = 64
GRID_STEP = 0.055  # of log X: the whole grid spans a factor of 32
START_INDEX = 12  # where the first load seen is put: there is more room above than below
# (k, b): a soft worker pool ... a batching pool with a sharp edge, without and with inherently late requests.
SHAPES = np.array([(5.0, 0.0), (12.0, 0.0), (36.0, 0.0), (12.0, 0.012), (36.0, 0.012), (24.0, 0.03)])
# Cells from an end of the grid at which it is moved: the newest load from the upper or the lower one, the likeliest X from the upper one.
LOAD_FROM_TOP, LOAD_FROM_BOTTOM, PEAK_FROM_TOP = 12, 3, 4
PAST_SATURATION_RATIO = 0.5  # late at a load that says nothing of where saturation is
LEAST_LATE_RATIO, LARGEST_LATE_RATIO = 1e-4, 0.97  # late shares that the law is trusted to tell
SHARING = 0.4  # g: least-request balancing lies between a common queue (1) and none (0)
LARGEST_SHARPNESS = 160.0
CHUNK = 1024  # pools at a time: their laws fit into the processor's cache, and memory does not grow with the fleet


@dataclass(frozen=True)
class CapacityMemory:
    """What is believed of every pool."""

    evidence: Evidence
    log_belief: Small = field(metadata=axes("MPSG"))  # log likelihood of the evidence
    origin: Floats = field(metadata=axes("MP"))  # log X of the first grid point; NaN before the first load
    sampling: Sampling


def empty(models: int, pools: int) -> CapacityMemory:
    """Nothing is known of any pool."""
    shape = (models, pools)
    return CapacityMemory(
        evidence=evidences.empty(models, pools),
        log_belief=np.zeros((*shape, len(SHAPES), GRID), np.float32),
        origin=np.full(shape, np.nan),
        sampling=samples.empty(models, pools),
    )


def law(load: NDArray[Real], sharpness: NDArray[Real], floor: NDArray[Real]) -> NDArray[Real]:
    """Share of the requests that are late, 0..1, at ``load`` relative to saturation, x / X; ``sharpness`` is k * n**g.

    At 133 / 160, k * n**g = 20.9 and b = 0: 0.030.
    """
    rising = np.exp(np.minimum(sharpness * (load - 1.0), 0.0))
    result: NDArray[Real] = floor + (1.0 - floor) * rising
    return result


def learn(memory: CapacityMemory, fleet: Fleet, seen: Observed, total_load: Floats) -> CapacityMemory:
    """The memory after one tick; ``total_load`` ``[M]`` is each model's arrivals in requests/s, NaN unknown."""
    sampling, rows, sample = samples.take(memory.sampling, memory.evidence, fleet, seen, total_load)
    memory = replace(memory, sampling=sampling)
    if not len(rows[0]):
        return memory
    before, after, rewritten, is_news = evidences.add(memory.evidence, rows, sample)
    origin, belief = memory.origin.copy(), memory.log_belief.copy()
    new = np.isnan(origin[rows])
    begun = np.where(new, np.log(sample.load) - START_INDEX * GRID_STEP, origin[rows])
    moved, shifted = _recentred(begun, belief[rows], sample.load, sample.late_high)
    origin[rows] = moved
    change = Change(before, after, rows, moved, sample.budget, rewritten | shifted | new, is_news)
    for start in range(0, len(moved), CHUNK):
        part = change.part(slice(start, start + CHUNK))
        belief[part.rows] = _believed(belief[part.rows], part)
    return replace(memory, evidence=after, log_belief=belief, origin=origin)


def recent_totals(memory: CapacityMemory, fleet: Fleet) -> Floats:
    """Loads ``[T, M]`` of whole models in requests/s at the newest ticks that a rate window reaches back, newest first."""
    return memory.sampling.readings.ring_total[: fleet.span_ticks]


def rises(memory: CapacityMemory, fleet: Fleet) -> Bools:
    """Where the load ``[M]`` rose within the newest rate window, so that it is larger than its rate shows; also where unknown."""
    window = recent_totals(memory, fleet)
    result: Bools = ~(window[0] <= (1.0 + STEADY_RATIO) * window.min(0))
    return result


@dataclass(frozen=True)
class Change:
    """How the evidence of ``N`` pools changed."""

    before: Evidence
    after: Evidence
    rows: tuple[Ints, Ints]  # models and pools [N]
    origin: Floats  # [N]
    budget: Floats  # [N] late share
    rewritten: Bools  # [N] several bins changed, or the grid was moved: the belief is made again
    is_news: Bools  # [N] the sample is news to its bin

    def part(self, where: slice) -> Change:
        """The change of some of the pools."""
        return Change(
            before=self.before,
            after=self.after,
            rows=(self.rows[0][where], self.rows[1][where]),
            origin=self.origin[where],
            budget=self.budget[where],
            rewritten=self.rewritten[where],
            is_news=self.is_news[where],
        )


def _believed(belief: Small, change: Change) -> Small:
    """The belief ``[N, S, G]`` after the evidence changed: by the bin of the sample, or made again where others changed too."""
    before, after, rows, origin, budget = change.before, change.after, change.rows, change.origin, change.budget
    by_bin = np.nonzero(change.is_news & ~change.rewritten)[0]
    if len(by_bin):
        at = (rows[0][by_bin], rows[1][by_bin])
        belief[by_bin] += _log_likelihood(after.last(at), origin[by_bin], budget[by_bin])
        belief[by_bin] -= _log_likelihood(before.last(at), origin[by_bin], budget[by_bin])
    begun = np.nonzero(change.rewritten)[0]
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
    change = Change(evidence, evidence, rows, origin, budget, every, ~every)
    for start in range(0, len(every), CHUNK):
        part = change.part(slice(start, start + CHUNK))
        belief[part.rows] = _believed(belief[part.rows], part)
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
    share = np.clip(law(relative[:, None, :].astype(np.float32), sharp, floor), LEAST_LATE_RATIO, LARGEST_LATE_RATIO)
    # Shares far below the budget distinguish nothing: a law that is wrong by a thousandth there must not win by its many ticks.
    resolution = evidences.RESOLUTION * budget
    low = np.where(sample.late_low < resolution, 0.0, sample.late_low)[:, None, None].astype(np.float32)
    # Beyond saturation a queue grows for as long as it lasts: how late requests are there is no matter of the load.
    beyond = sample.late_low > PAST_SATURATION_RATIO
    high = np.where(beyond, 1.0, np.maximum(sample.late_high, resolution))[:, None, None].astype(np.float32)
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
    up = ((index > GRID - LOAD_FROM_TOP) & (late < PAST_SATURATION_RATIO)) | (
        (peak > GRID - PEAK_FROM_TOP) & (index > GRID // 2)
    )
    down = (index < LOAD_FROM_BOTTOM) & (peak < START_INDEX)
    shift = np.where(up | down, np.round(index) - START_INDEX, 0.0)
    return origin + shift * GRID_STEP, shift != 0
