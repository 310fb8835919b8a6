"""What the live view shows: the newest snapshot and what has gathered since the replay began."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recmodel.core.types import Model
from watch.generator_log import ClientLog
from watch.money import HpaRules, plain_hpa
from watch.schedule import Schedule
from watch.snapshot import Snapshot

RECENT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Clients:
    """What the load generator's clients saw lately (the last 10 s that are complete) and since the start."""

    due: int
    answered: int
    lost: int
    recent_within_ratio: float | None  # answered within the threshold / due
    recent_p95_seconds: float | None  # the worst second's


@dataclass(frozen=True, slots=True)
class Scene:
    """``elapsed_seconds`` None: the replay has not started. Cost is in the currency of the RecModel's ``costPerHour``."""

    model: Model
    schedule: Schedule
    snapshot: Snapshot
    elapsed_seconds: float | None
    loads: Mapping[int, float] = field(default_factory=dict)  # by second of the schedule, as Prometheus measured it
    uppers: Mapping[int, float] = field(default_factory=dict)  # the forecast as it stood in that second
    clients: Clients | None = None
    spent: float | None = None
    hpa_spent: float | None = None

    @property
    def in_flash(self) -> bool:
        """The flash crowd is on."""
        return self.elapsed_seconds is not None and self.schedule.in_crowd(self.elapsed_seconds)


def clients(log: ClientLog) -> Clients | None:
    """None before the first complete second."""
    if not log.seconds:
        return None
    recent = log.seconds[-RECENT_SECONDS:]
    due = sum(second.due for second in recent)
    p95 = [second.p95_seconds for second in recent if second.p95_seconds is not None]
    return Clients(
        due=sum(second.due for second in log.seconds),
        answered=sum(second.ok for second in log.seconds),
        lost=sum(second.lost for second in log.seconds),
        recent_within_ratio=sum(second.within for second in recent) / due if due else None,
        recent_p95_seconds=max(p95, default=None),
    )


class Past:
    """Grows by one snapshot at a time; everything that the scene needs of earlier ones."""

    def __init__(self, start_seconds: float) -> None:
        self._start = start_seconds
        self._all: list[Snapshot] = []
        self._cost = 0.0
        self._cost_known = True
        self._first_replicas: Mapping[str, int | None] = {}
        self.loads: dict[int, float] = {}
        self.uppers: dict[int, float] = {}

    def add(self, snapshot: Snapshot) -> None:
        """The next snapshot; those from before the replay only say what it began with."""
        if self._all and snapshot.time_seconds > self._start:
            last = self._all[-1]
            cost = last.cost_per_hour()
            if cost is None:
                self._cost_known = False
            else:
                self._cost += cost * (snapshot.time_seconds - max(last.time_seconds, self._start)) / 3600.0
        self._all.append(snapshot)
        second = math.floor(snapshot.time_seconds - self._start)
        if second < 0 or not self._first_replicas:
            self._first_replicas = {pool.name: pool.desired for pool in snapshot.pools}
        if second >= 0 and snapshot.load_per_second is not None:
            self.loads[second] = snapshot.load_per_second
        if second >= 0 and snapshot.forecast_upper_per_second is not None:
            self.uppers[second] = snapshot.forecast_upper_per_second

    def spent(self) -> float | None:
        """Cost since the replay began; None once a pool's replicas were unknown for a while."""
        return self._cost if self._cost_known and self._all else None

    def hpa_spent(self, model: Model, devices: Mapping[str, str]) -> float | None:
        """What a plain HPA on the first CPU pool would have spent by now; None while its inputs are unknown."""
        rules = hpa_rules(model, devices, self._all, self._first_replicas)
        if rules is None or not self.loads:
            return None
        return float(plain_hpa(filled(self.loads), rules).cost()[-1])


def filled(by_second: Mapping[int, float]) -> list[float]:
    """One value a second from 0 to the last one known; each gap keeps the value before it, NaN before the first."""
    values, last = [], math.nan
    for second in range(max(by_second) + 1):
        last = by_second.get(second, last)
        values.append(last)
    return values


def hpa_rules(
    model: Model, devices: Mapping[str, str], snapshots: Sequence[Snapshot], first_replicas: Mapping[str, int | None]
) -> HpaRules | None:
    """The computed HPA's inputs: the CPU that a request takes, of all snapshots together, and the newest known capacity and start-up
    time of the first pool on CPUs; None without them. 0.12 cores at 40 requests/s fill a replica that requests 0.1 at 33/s.
    """
    pool = next((pool for pool in model.pools if devices[pool.name] == "cpu"), None)
    if pool is None:
        return None
    seen = [p for snapshot in snapshots for p in snapshot.pools if p.name == pool.name]
    capacity = next((p.capacity_per_replica for p in reversed(seen) if p.capacity_per_replica), None)
    startup = next((p.startup_seconds for p in reversed(seen) if p.startup_seconds), None)
    requested = next((p.cores_requested for p in reversed(seen) if p.cores_requested), None)
    measured = [(p.load_per_second, p.cores_used) for p in seen if p.load_per_second and p.cores_used]
    if capacity is None or startup is None or requested is None or not measured:
        return None
    return HpaRules(
        full_per_replica=requested * sum(load for load, _ in measured) / sum(cores for _, cores in measured),
        capacity_per_replica=capacity,
        startup_seconds=startup,
        start_replicas=first_replicas.get(pool.name) or 1,
        min_replicas=max(pool.min_replicas, 1),
        max_replicas=pool.max_replicas,
        cost_per_hour=pool.cost_per_hour,
    )
