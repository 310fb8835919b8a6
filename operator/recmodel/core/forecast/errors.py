"""Decaying histograms of log errors: every quantile of what forecasts missed by, and what is assumed before they missed anything.

Shapes: ``K`` horizons, ``B`` bins of log error; what comes before ``B`` is any.
"""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.core.forecast.season import Small

ERROR_BINS = 96
ERROR_LOW, ERROR_STEP = -0.25, 0.0125  # log errors from -22 % to 2.6 times
PRIOR_WEIGHT = 4.0  # independent errors that the prior head-room is worth
PRIOR_UPPER_LOG = 0.25  # q95 before anything was learned, at a horizon of 60 s: 1.28 times
NORMAL_UPPER = 1.645  # standard deviations from the middle of a normal distribution to its q95
TAIL_FROM = 0.75  # what lies above this quantile is a tail, of which few errors say little
TAIL_WEIGHT = 20.0  # independent errors that the tail which the others make expect is worth: fewer do not show a q95


def prior(horizons_seconds: Floats) -> Small:
    """The histogram ``[K, B]`` before anything was learned: log-normal, wider for a longer horizon (a random walk's square root).

    At 60 s its 95 % quantile is 1.28 times the point, at 240 s 1.65 times; with the tail of :func:`cumulative` 1.27 and 1.73 times.
    """
    sigma = PRIOR_UPPER_LOG / NORMAL_UPPER * np.sqrt(horizons_seconds / 60.0)
    centre = ERROR_LOW + ERROR_STEP * (np.arange(ERROR_BINS) + 0.5)
    density = np.exp(-0.5 * (centre / sigma[:, None]) ** 2)
    weight: Small = (PRIOR_WEIGHT * density / density.sum(-1, keepdims=True)).astype(np.float32)
    return weight


def cumulative(histogram: Small) -> Small:
    """The histogram ``[..., B]`` summed from its lower end, 0..1, with a tail that a few large errors do not make.

    What is to be exceeded once in twenty times is not known from fewer than twenty independent errors: of ten, one jump would be
    the head-room of the hours that follow. So above the upper quartile ``x`` the histogram is mixed with an exponential tail through
    it, of which a quarter lies beyond ``x``, a sixteenth beyond ``2 x`` and 5 % beyond ``2.16 x``, as if ``TAIL_WEIGHT`` errors had
    had that law. Jumps that come again outweigh it.
    """
    summed: Small = np.cumsum(histogram, axis=-1, dtype=np.float32)
    weight = np.maximum(summed[..., -1:], np.float32(1e-9))
    summed /= weight
    quartile = np.maximum(quantiles(summed, TAIL_FROM), ERROR_STEP).astype(np.float32)
    ends = (ERROR_LOW + ERROR_STEP * np.arange(1, ERROR_BINS + 1)).astype(np.float32)
    lighter = 1.0 - np.exp(np.log(np.float32(1.0 - TAIL_FROM)) / quartile * ends)
    share = np.float32(TAIL_WEIGHT) / (weight + np.float32(TAIL_WEIGHT))
    summed += np.where(ends > quartile, share, np.float32(0.0)) * (lighter - summed)
    return summed


def quantiles(summed: Small, *several: float | Floats) -> Floats:
    """The log errors ``[..., Q]`` not exceeded with these probabilities, or arrays of them ``[...]``, of cumulative histograms
    ``[..., B]``.
    """
    each = np.stack(np.broadcast_arrays(*several), axis=-1)
    q, below = each.astype(np.float32), (each - 1e-6).astype(np.float32)
    index = np.minimum((summed[..., None, :] < below[..., None]).sum(-1), ERROR_BINS - 1)
    high = np.take_along_axis(summed, index, -1)
    low = np.where(index > 0, np.take_along_axis(summed, np.maximum(index - 1, 0), -1), 0.0)
    inside = np.clip((q - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
    return np.asarray(ERROR_LOW + ERROR_STEP * (index + inside), float)


def bins_of(error: Floats) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """The bin of each log error; what lies beyond the ends is counted in the outermost bin."""
    return np.clip(((error - ERROR_LOW) / ERROR_STEP).astype(np.int64), 0, ERROR_BINS - 1)
