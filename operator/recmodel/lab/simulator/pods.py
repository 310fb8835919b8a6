"""The pods of one pool in virtual time: ordered, scheduled, started, ready, drained."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

import numpy as np

from recmodel.lab.simulator.scenario import PoolScenario, value_at
from recmodel.lab.simulator.slots import Slots

RECENT_STARTS = 10  # pods whose median start-up time is observed


@dataclass(slots=True)
class Pod:
    """One pod. ``ready_at`` is infinite while it is pending."""

    slot: int
    startup_seconds: float
    ready_at: float = math.inf


class PodFleet:
    """One pool's pods. Scale-down takes pending, then starting, then the youngest ready ones, as a ReplicaSet."""

    def __init__(self, pool: PoolScenario, slots: Slots, generator: np.random.Generator) -> None:
        self.pool = pool
        self.pods: list[Pod] = []  # in the order of their creation
        self.desired = 0
        self._generator = generator
        self._slots = slots
        self._startups: list[float] = []
        self._outdated: list[Pod] = []  # pods of an older version
        self._refreshes = list(pool.refreshes)
        self._surge: Pod | None = None  # one more than desired, while pods are replaced

    def begin(self, replicas: int) -> None:
        """Start with ready pods, whose start-up times were seen once."""
        self.order(0.0, replicas)
        for pod in self.pods:
            pod.ready_at = 0.0
            self._startups.append(pod.startup_seconds)

    def order(self, now: float, replicas: int) -> list[Pod]:
        """Set the wanted number of pods; the ready pods that must be drained are returned."""
        self.desired = min(max(replicas, self.pool.min_replicas), self.pool.max_replicas)
        wanted = self.desired + (self._surge in self.pods)
        while len(self.pods) < wanted:
            self.pods.append(Pod(self._slots.take(now), self._startup_seconds()))
        dropped = self._drop(now, len(self.pods) - wanted)
        self.schedule(now)
        return dropped

    def schedule(self, now: float) -> list[Pod]:
        """Let pending pods start while there is room for them; ready pods that lost their node are returned."""
        cap = value_at(self.pool.schedulable, now)
        lost: list[Pod] = []
        placed = sum(1 for pod in self.pods if pod.ready_at < math.inf)
        if self.pool.cap_evicts and placed > cap:
            lost = self._drop(now, placed - int(cap), pending_first=False)
            for _ in range(self.desired - len(self.pods)):
                self.pods.append(Pod(self._slots.take(now), self._startup_seconds()))
            placed = int(cap)
        for pod in self.pods:
            if pod.ready_at == math.inf and placed < cap:
                pod.ready_at = now + pod.startup_seconds
                placed += 1
        return lost

    def refresh(self, now: float) -> list[Pod]:
        """Replace the next pod of an older version (surge 1, unavailable 0); the ready pods that are not needed any more."""
        while self._refreshes and self._refreshes[0] <= now:
            self._refreshes.pop(0)
            self._outdated = list(self.pods)
        self._outdated = [pod for pod in self._outdated if pod in self.pods]
        if self._surge is not None and self._surge.ready_at <= now:
            self._surge = None
            if not self._outdated:
                return self._drop(now, len(self.pods) - self.desired)
            replaced = self._outdated.pop(0)
            self.pods.remove(replaced)
            self._slots.give_back(replaced.slot, now)
            return [replaced] if replaced.ready_at <= now else []
        if self._outdated and self._surge not in self.pods:
            self._surge = Pod(self._slots.take(now), self._startup_seconds())
            self.pods.append(self._surge)
            return self.schedule(now)
        return []

    def note_ready(self, since: float, until: float) -> None:
        """Remember the start-up times of the pods that became ready in (since, until]."""
        self._startups += [pod.startup_seconds for pod in self.pods if since < pod.ready_at <= until]
        del self._startups[:-RECENT_STARTS]

    def ready(self, now: float) -> list[int]:
        """Slots of the ready pods."""
        return [pod.slot for pod in self.pods if pod.ready_at <= now]

    def pending(self) -> int:
        """Pods that find no node."""
        return sum(1 for pod in self.pods if pod.ready_at == math.inf)

    def next_ready(self, now: float) -> float:
        """When the next starting pod becomes ready."""
        return min((pod.ready_at for pod in self.pods if pod.ready_at > now), default=math.inf)

    def startup_seconds(self) -> float | None:
        """Median creation-to-Ready of the recent pods; None before the first one."""
        return median(self._startups) if self._startups else None

    def _drop(self, now: float, number: int, *, pending_first: bool = True) -> list[Pod]:
        def rank(pod: Pod) -> tuple[bool, float]:
            return (pod.ready_at == math.inf) is not pending_first, -pod.ready_at

        dropped = sorted(self.pods, key=rank)[: max(number, 0)]
        for pod in dropped:
            self.pods.remove(pod)
            self._slots.give_back(pod.slot, now)
        return [pod for pod in dropped if pod.ready_at <= now]

    def _startup_seconds(self) -> float:
        variance = math.log1p(self.pool.startup_jitter_ratio**2)
        noise = math.exp(math.sqrt(variance) * self._generator.standard_normal() - variance / 2)
        return self.pool.startup_seconds * noise
