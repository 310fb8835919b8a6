"""How often a status is written for nothing but the time of its last decision: rarely, and all models together slowly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from recmodel.api.status import RecModelStatus

LEAST_SECONDS = 60.0  # between two such writes of one model
MOST_PER_SECOND = 5.0  # of all models together
SHARE_OF_REPORTS = 0.5  # of what all reports may take: changes go on beside it
AT_ONCE = 100  # after a pause, such as between two ticks


@dataclass(frozen=True, slots=True)
class RefreshPace:
    """What the settings leave for it. ``reports_per_second``: what all writes of status and Events may take."""

    tick_seconds: float
    reports_per_second: float

    @property
    def per_second(self) -> float:
        """Of all models together. They are looked at once a tick, and more than ``AT_ONCE`` are never written then."""
        return min(MOST_PER_SECOND, SHARE_OF_REPORTS * self.reports_per_second, AT_ONCE / self.tick_seconds)

    def period_seconds(self, models: int) -> float:
        """Between two such writes of one of so many models, at least: so that all find room."""
        return max(LEAST_SECONDS, models / self.per_second)

    def oldest_seconds(self, models: int) -> float:
        """How old the written time of a decision may be while nothing is wrong: a model that finds no room when its period is
        over finds some within the next one, and both end at a tick.
        """
        return 2.0 * (self.period_seconds(models) + self.tick_seconds)


class StatusRefresh:
    """An allowance that fills with time. ``now_seconds`` is any clock that only goes forward."""

    def __init__(self, pace: RefreshPace) -> None:
        self._pace = pace
        self._left = float(AT_ONCE)
        self._at_seconds = -math.inf

    def due(self, new: RecModelStatus, written: RecModelStatus, models: int, now_seconds: float) -> bool:
        """Whether the written time is old enough to be written again, with so many models to share the allowance; takes from
        it where it is.
        """
        if _age_seconds(new, written) < self._pace.period_seconds(models):
            return False
        passed = max(0.0, now_seconds - self._at_seconds)
        self._left = min(AT_ONCE, self._left + passed * self._pace.per_second)
        self._at_seconds = now_seconds
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True


def _age_seconds(new: RecModelStatus, written: RecModelStatus) -> float:
    if new.last_decision_time is None:
        return 0.0
    if written.last_decision_time is None:
        return math.inf
    try:
        before = datetime.fromisoformat(written.last_decision_time)
        return abs((datetime.fromisoformat(new.last_decision_time) - before).total_seconds())
    except (TypeError, ValueError):
        return math.inf
