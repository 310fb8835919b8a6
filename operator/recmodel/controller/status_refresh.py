"""How often a status is written for nothing but the time of its last decision: rarely, and all models together slowly."""

from __future__ import annotations

import math
from datetime import datetime

from recmodel.api.status import RecModelStatus

LEAST_SECONDS = 60.0  # between two such writes of one model
PER_SECOND = 5.0  # of all models together: half of what all reports may take by default
AT_ONCE = 100  # after a pause, such as between two ticks


class StatusRefresh:
    """An allowance that fills with time. ``now_seconds`` is any clock that only goes forward."""

    def __init__(self) -> None:
        self._left = float(AT_ONCE)
        self._at_seconds = -math.inf

    def due(self, new: RecModelStatus, written: RecModelStatus, models: int, now_seconds: float) -> bool:
        """Whether the written time is old enough to be written again, with so many models to share the allowance; takes from
        it where it is.
        """
        age = _age_seconds(new, written)
        if age < max(LEAST_SECONDS, models / PER_SECOND):
            return False
        passed = max(0.0, now_seconds - self._at_seconds)
        self._left, self._at_seconds = min(AT_ONCE, self._left + passed * PER_SECOND), now_seconds
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
