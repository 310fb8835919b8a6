"""What the live view shows: the newest snapshot and what has gathered since the replay began."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from recmodel.core.types import Model
from watch.generator_log import ClientLog
from watch.schedule import Schedule
from watch.snapshot import Snapshot

RECENT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Clients:
    """What the load generator's clients saw lately (the last 10 s that are complete), and since it counts."""

    due: int
    answered: int
    lost: int
    late: int  # answered after the threshold
    recent_within_ratio: float | None  # answered within the threshold / due
    recent_p95_seconds: float | None  # the worst second's


@dataclass(frozen=True, slots=True)
class Beside:
    """What serves the same requests at the same time, scaled by an HPA."""

    desired: int | None
    ready: int | None
    clients: Clients | None
    spent: float | None


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
    beside: Beside | None = None  # None: nothing runs beside it

    @property
    def in_flash(self) -> bool:
        """The flash crowd is on."""
        return self.elapsed_seconds is not None and self.schedule.in_crowd(self.elapsed_seconds)

    @property
    def in_warm_up(self) -> bool:
        """Nothing counts yet."""
        return self.elapsed_seconds is not None and self.elapsed_seconds < self.schedule.counts_from


def clients(log: ClientLog, counts_from: int = 0) -> Clients | None:
    """None before the first complete second."""
    if not log.seconds:
        return None
    counted = log.since(counts_from)
    recent = log.seconds[-RECENT_SECONDS:]
    due = sum(second.due for second in recent)
    p95 = [second.p95_seconds for second in recent if second.p95_seconds is not None]
    return Clients(
        due=sum(second.due for second in counted),
        answered=sum(second.ok for second in counted),
        lost=sum(second.lost for second in counted),
        late=sum(second.ok - second.within for second in counted),
        recent_within_ratio=sum(second.within for second in recent) / due if due else None,
        recent_p95_seconds=max(p95, default=None),
    )


class Past:
    """Grows by one snapshot at a time; everything that the scene needs of earlier ones. ``start_seconds`` is Unix time; None: not
    known yet, see :meth:`starts_at`.
    """

    def __init__(self, start_seconds: float | None, counts_from: int = 0) -> None:
        self._start, self._counts_from = start_seconds, counts_from
        self._before: list[Snapshot] = []  # of those that came before it was known when the replay began
        self._last: Snapshot | None = None
        self._cost = 0.0
        self._cost_known = True
        self.loads: dict[int, float] = {}
        self.uppers: dict[int, float] = {}

    def starts_at(self, seconds: float | None) -> None:
        """When the replay began (Unix time), once that is known."""
        if self._start is None and seconds is not None:
            self._start, self._last = seconds, None
            for snapshot in self._before:
                self.add(snapshot)

    @property
    def elapsed_seconds(self) -> float | None:
        """Of the replay, at the newest snapshot; None while it has not begun."""
        return None if self._start is None or self._last is None else self._last.time_seconds - self._start

    def add(self, snapshot: Snapshot) -> None:
        """The next snapshot; those from before the replay only say what it began with."""
        last, self._last = self._last, snapshot
        if self._start is None:
            self._before.append(snapshot)
            return
        counts_from = self._start + self._counts_from
        if last is not None and snapshot.time_seconds > counts_from:
            cost, since = last.cost_per_hour(), max(last.time_seconds, counts_from)
            self._cost_known &= cost is not None
            # A replica costs from the moment that it is asked for, ready or not: that is when its node is taken.
            self._cost += (cost or 0.0) * (snapshot.time_seconds - since) / 3600.0
        second = math.floor(snapshot.time_seconds - self._start)
        if second >= 0 and snapshot.load_per_second is not None:
            self.loads[second] = snapshot.load_per_second
        if second >= 0 and snapshot.forecast_upper_per_second is not None:
            self.uppers[second] = snapshot.forecast_upper_per_second

    def spent(self) -> float | None:
        """Cost since it counts; None once a pool's replicas were unknown for a while."""
        return self._cost if self._cost_known and self._last is not None else None
