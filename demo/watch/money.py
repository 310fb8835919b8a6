"""What was spent, and what a plain HPA would have spent on the same load: the one place where both are counted, in the
same way.

A replica costs from the moment that it is asked for, ready or not: that is when its node is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recmodel.core.types import PoolObservation
from recmodel.lab.controllers.baselines import Stabiliser, hpa_recommendation

Series = NDArray[np.float64]

HPA_TARGET_RATIO = 0.7
HPA_SYNC_SECONDS = 15  # --horizontal-pod-autoscaler-sync-period


def spent(cost_per_hour: Series, step_seconds: Series | float) -> Series:
    """Cumulative cost of a price that holds from each point for ``step_seconds``. Unknown prices (NaN) make the rest
    unknown.
    """
    return np.cumsum(cost_per_hour * step_seconds / 3600.0)


@dataclass(frozen=True, slots=True)
class HpaRules:
    """What the computed HPA is given. Everything is of this run: the RecModel's limits and price, the operator's
    findings.
    """

    full_per_replica: (
        float  # requests/s at which a replica uses all of the CPU that it requests: an HPA's utilisation of 1
    )
    capacity_per_replica: float  # requests/s at the objective, to say when its replicas were too few
    startup_seconds: float
    start_replicas: int
    min_replicas: int
    max_replicas: int
    cost_per_hour: float


@dataclass(frozen=True, slots=True)
class HpaRun:
    """By second: replicas asked for, and replicas ready."""

    desired: Series
    ready: Series
    rules: HpaRules

    def cost(self) -> Series:
        """Cumulative, by second."""
        return spent(self.desired * self.rules.cost_per_hour, 1.0)

    def short_seconds(self, load_per_second: Sequence[float]) -> int:
        """Seconds in which the ready replicas could not carry the load at the objective."""
        return int(np.sum(self.ready * self.rules.capacity_per_replica < np.nan_to_num(np.asarray(load_per_second))))


def plain_hpa(load_per_second: Sequence[float], rules: HpaRules) -> HpaRun:
    """HPA v2 with its default behaviour on one pool, computed second by second on a measured load (NaN: unknown, it
    stays).

    Every 15 s: replicas = ceil(ready x utilisation / 0.7), utilisation = load / (ready x full), with HPA's
    tolerance, its
    scale-up policies and its 300 s scale-down window (``recmodel.lab.controllers.baselines``). New replicas are ready after the
    start-up time.
    Worked: 100/s, of which 30/s fill a replica, 2 ready: 2 x (100/60) / 0.7 = 4.8, so 5.
    """
    stabiliser = Stabiliser()
    desired = min(max(rules.start_replicas, rules.min_replicas, 1), rules.max_replicas)
    ready, starting = desired, list[tuple[float, int]]()
    asked, able = np.empty(len(load_per_second)), np.empty(len(load_per_second))
    for second, load in enumerate(load_per_second):
        ready = min(ready + sum(pods for at, pods in starting if at <= second), desired)
        starting = [(at, pods) for at, pods in starting if at > second]
        if second % HPA_SYNC_SECONDS == 0:
            utilisation = None if np.isnan(load) else load / (ready * rules.full_per_replica)
            wanted = hpa_recommendation(
                PoolObservation(desired, ready, utilisation_ratio=utilisation), HPA_TARGET_RATIO
            )
            decided = stabiliser.limit(second, desired, min(max(wanted, rules.min_replicas, 1), rules.max_replicas))
            if decided > desired:
                starting.append((second + rules.startup_seconds, decided - desired))
            desired, ready = decided, min(ready, decided)
        asked[second], able[second] = desired, ready
    return HpaRun(asked, able, rules)
