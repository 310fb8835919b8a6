"""The capacity that the plan counts on: the belief, stretched to the forecast's head-room, and the try to do without one replica.

Of few replicas one is a larger step than the trust region allows, so a pool of two would never become one. It is tried where
nothing hints at trouble near it, and kept up until a rate window shows how it went. That all was late at twice the load, when the
pool began too small, is no trouble near it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recmodel.core.arrays.fleet import SCRAPE_AGE_TICKS, Bools, Fleet, Floats, Ints
from recmodel.core.capacity.estimate import Capacity
from recmodel.core.capacity.posterior import CapacityMemory, rises
from recmodel.core.forecast.candidates import LoadForecast
from recmodel.core.pods import Pods, PodsMemory

CALM_BEFORE_PROBE_WINDOWS = 10.0  # rate windows without a change of replicas, before one is tried to be done without
PROBE_TICKS = SCRAPE_AGE_TICKS + 3  # after a rate window, until a change of replicas has been judged
LARGEST_MARGIN = 2.0  # of the upper forecast over the middle one, as far as the trust region is concerned
ONE_LESS_ROOM = 1.1  # the step to one replica less, and the noise of the load
HOPED_SHARE = 0.8  # of the belief's middle: beyond it not even a probe is worth its risk


def planned(
    capacity: Capacity,
    memory: CapacityMemory,
    fleet: Fleet,
    pods_memory: PodsMemory,
    pods: Pods,
    forecast: LoadForecast,
) -> Capacity:
    """The capacity to plan the upper forecast with. ``memory`` and ``pods_memory`` are those of this tick."""
    verdict_ticks = fleet.window_ticks + PROBE_TICKS
    before = pods_memory.readies[: verdict_ticks + 1].max(0).astype(np.int64)
    calm = memory.sampling.settled_ticks * fleet.tick_seconds >= CALM_BEFORE_PROBE_WINDOWS * fleet.rate_window_seconds
    # To count on the try while the load rises would only make the growth come later.
    begins = calm & ~rises(memory, fleet)[:, None]
    probed = capacity.untroubled & (begins | (pods_memory.readies[0] < before)) & (before > 1) & ~pods.slow
    return stretched(capacity, fleet.smallest(_margin(forecast)), before, probed)


def stretched(capacity: Capacity, margin: Floats, ready: Ints, probed: Bools) -> Capacity:
    """The capacity with its limits stretched to the head-room of the forecast, ``margin`` ``[M, 1]``: that of the fastest pool, which
    fills what the others leave. To count on a slow pool for the head-room of its own horizon would leave the fastest too little.

    The trust region bounds where the load normally goes, the middle; the head-room above that is there for what may never come, so
    both are stretched alike. Not to know a capacity is no reason to grow: there what was seen to be good is stretched, too. Where
    one replica less is ``probed`` ``[M, P]`` for ``ready`` replicas, ``ready - 1`` of them may carry the load as far as the belief
    goes along. With a middle of 60 requests/s on two replicas that were good at 30 each, and an upper forecast of 66, one may be
    planned with 60 * 1.1 * 1.1 = 73.
    """
    one_less = ready / np.maximum(ready - 1, 1) * ONE_LESS_ROOM
    hoped = capacity.hoped(np.maximum(ready - 1, 1))
    # A belief that is wide has no middle to speak of: what was seen to be too much bounds it.
    hoped = HOPED_SHARE * np.where(capacity.known | ~np.isfinite(capacity.ceiling), hoped, capacity.ceiling)
    probed_to = np.where(probed, np.minimum(capacity.proven * one_less, hoped) * margin, 0.0)
    good = np.where(capacity.known, capacity.proven, np.minimum(capacity.proven * margin, capacity.ceiling))
    return replace(
        capacity,
        limit=np.maximum(np.minimum(capacity.limit * margin, capacity.ceiling), probed_to),
        proven=np.maximum(good, probed_to),
        # Where nothing was ever late the trust region is caution enough.
        caution=np.where(capacity.untroubled & ~np.isfinite(capacity.ceiling), 1.0, capacity.caution),
    )


def _margin(forecast: LoadForecast) -> Floats:
    """How far the upper forecast ``[M, P]`` lies above the middle one, 1 to 2; 1 where unknown."""
    upper, middle = forecast.upper, forecast.middle
    margin = np.clip(upper / np.where(middle > 0, middle, 1.0), 1.0, LARGEST_MARGIN)
    return np.where(np.isfinite(margin), margin, 1.0)
