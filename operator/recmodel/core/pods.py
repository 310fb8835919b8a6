"""What the engine keeps of every pool beside its capacity: start-up times, and rings of what was ready and proposed.

Shapes: ``[M, P]`` pools, ``R`` ticks in a ring.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recmodel.core.fleet import Fleet, Floats, Ints

STARTUP_SECONDS_UNKNOWN = (
    90.0  # before the first pod was seen to become ready: between a CPU pod's and an accelerator's
)

Number = TypeVar("Number", np.float32, np.int32)
RATE_AGE_RATIO = 2.0 / 3.0  # of the window: a rate is as old as its middle, and the newest sample of it is not of now
RING_TICKS = 64
ROUNDING_REPLICAS = 0.1  # replicas by which a wish may miss a whole one, since the capacity is never twice the same
UNSCHEDULABLE_PATIENCE_SECONDS = 600.0  # a cluster autoscaler needs pods that wait, and some minutes for a node
UNSCHEDULABLE_RETRY_SECONDS = 1200.0


def horizon(fleet: Fleet, startup_seconds: Floats) -> Floats:
    """Start-up, the wait for the next tick, and the age of the rate: 45 + 15 + 40 s with a window of a minute."""
    return startup_seconds + fleet.tick_seconds + RATE_AGE_RATIO * fleet.rate_window_seconds


def recent_largest(ring: NDArray[Number], tick: int, ticks: Floats | Ints) -> NDArray[Number]:
    """Largest value of the last ``ticks`` ``[M, P]`` ticks of a ring ``[R, M, P]``, this one included."""
    back = np.arange(max(min(int(np.ceil(ticks.max(initial=0))), len(ring) - 1, tick - 1), 0) + 1)
    values = ring[(tick - back) % len(ring)]
    result: NDArray[Number] = np.where(back[:, None, None] < ticks, values, values[0]).max(0)
    return result


def replicas_for(load: NDArray[np.float32], each: Floats, most: Ints) -> Ints:
    """Replicas, at most ``most``, that carry a load wished a while ago at what each is known to carry *now*.

    So a wish that fell because more was learned of the capacity is not held, only one that fell with the load. 0 where unknown.
    """
    known = np.isfinite(each) & (each > 0)
    replicas = np.ceil(load / np.where(known, each, 1.0) - ROUNDING_REPLICAS)
    return np.where(known, np.minimum(np.maximum(replicas, 0.0), most), 0).astype(np.int64)


def ago(ring: NDArray[np.int32], tick: int, ticks: Floats) -> Ints:
    """The ring's value ``ticks`` ``[M, P]`` ticks ago, or its oldest."""
    back = np.clip(np.round(ticks).astype(np.int64), 0, min(len(ring), tick) - 1)
    rows, columns = np.indices(back.shape)
    value: Ints = ring[(tick - back) % len(ring), rows, columns].astype(np.int64)
    return value
