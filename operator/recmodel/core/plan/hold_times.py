"""When a guard that holds a number lets go of it, where that is a matter of time alone."""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Fleet, Floats, Ints
from recmodel.core.plan.causes import Cause
from recmodel.core.plan.guards import Guarded
from recmodel.core.pods import Pods, PodsMemory


def left_seconds(
    guarded: Guarded, fleet: Fleet, memory: PodsMemory, pods: Pods, each: Floats, settled_ticks: Ints
) -> Floats:
    """Seconds ``[M, P]`` after which the guard that each number comes from lets go if nothing else changes; NaN where that is
    not a matter of time, or no guard moved the number.

    ``each`` are requests/s a replica ``[M, P]``, ``settled_ticks`` ``[M, P]`` those since the ready replicas last changed. A
    replica that was wanted four ticks ago and is kept for six is held for two more.
    """
    ticks = np.full(fleet.exists.shape, np.nan)
    for cause, left in (
        (Cause.WANTED_RECENTLY, memory.proposed_for_ticks(pods.hold_ticks, each, guarded.replicas)),
        (Cause.WINDOW_HOLDS_CHANGE, fleet.window_ticks + 1.0 - settled_ticks),
        (Cause.GIVEN_UP, -memory.stuck_ticks.astype(float)),
    ):
        ticks = np.where(guarded.why == cause.code, left, ticks)
    return ticks * fleet.tick_seconds
