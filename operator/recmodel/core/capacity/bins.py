"""The bins of load per replica in which what was seen of a pool is kept.

Shapes: ``N`` pools, ``B`` bins; arrays of all pools are ``[M, P, B]``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recmodel.core.arrays.fleet import Bools, Floats, Ints

Small = NDArray[np.float32]

BINS = 72
BIN_STEP = 0.06  # of log load: the bins span a factor of 75 and are used as a ring


def bin_of(load: Floats | Small) -> Ints:
    """The bin of each load in requests/s, same shape. 103 and 105 lie in one bin, 103 and 110 do not."""
    return np.asarray(np.floor(np.log(np.maximum(load, 1e-9)) / BIN_STEP) % BINS, np.int64)


def move(arrays: dict[str, Small], rows: tuple[Ints, Ints], moved: Bools, ratio: Floats) -> None:
    """Takes what was seen in the ``moved`` bins ``[N, B]`` of the pools at ``rows`` to lie by ``ratio`` ``[N]`` further up, in the bins
    of those loads: in its old one the next sample of that load would wipe it. Of two that meet, the one at the smaller load stays.
    """
    some = np.flatnonzero(moved.any(-1))
    at, moved = (rows[0][some], rows[1][some]), moved[some]
    load = arrays["load"][at] * np.where(moved, 1.0 + ratio[some, None], 1.0)
    index = np.where(moved, bin_of(load), np.arange(BINS))
    order = np.argsort(
        np.where(moved, -load, -np.inf), axis=-1, kind="stable"
    )  # of several in a bin the last one stays
    to = np.take_along_axis(index, order, -1)
    arrays["load"][at] = load
    for values in arrays.values():
        there = values[at]
        kept = np.where(moved, np.float32(0.0), there)
        np.put_along_axis(kept, to, np.take_along_axis(there, order, -1), -1)
        values[at] = kept
