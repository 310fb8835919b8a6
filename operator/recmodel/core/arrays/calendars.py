"""Where moments lie in the days and weeks of several models: each has a clock of its own, and time itself is UTC.

Shapes: ``[M]`` models, ``[M, H]`` times of each.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recmodel.core.types import UTC, Calendar

Floats = NDArray[np.float64]
DAY_SECONDS = 86400.0
SUNDAY = 3  # of the days since the epoch, which began on a Thursday, modulo seven


@dataclass(frozen=True)
class Calendars:
    """The calendars of some models, in their order; none: all of them go by UTC."""

    each: tuple[Calendar, ...] = ()

    def only(self, model: int) -> Calendars:
        """The calendar of one of them."""
        return Calendars(self.each[model : model + 1])

    def without_holidays(self) -> Calendars:
        """The same clocks alone."""
        return Calendars(tuple(replace(calendar, holidays=()) for calendar in self.each))

    def local(self, times: Floats) -> Floats:
        """Unix times ``[M]`` or ``[M, H]`` as seconds on each model's own clock; a time on a holiday is that on the next Sunday."""
        if not self._tables:
            return times
        result = np.array(times)
        for calendar, rows in self._tables:
            mine = times[rows]
            if calendar.since_seconds:
                piece = np.searchsorted(calendar.since_seconds, mine, side="right") - 1
                mine = mine + np.array(calendar.ahead_seconds)[np.maximum(piece, 0)]
            if calendar.holidays:
                day = np.floor(mine / DAY_SECONDS)
                holiday = np.isin(day, calendar.holidays)
                # A time that is unknown or before all times has no day of the week.
                mine = mine + np.where(holiday, (SUNDAY - np.where(holiday, day, SUNDAY)) % 7 * DAY_SECONDS, 0.0)
            result[rows] = mine
        return result

    @cached_property
    def _tables(self) -> list[tuple[Calendar, list[int]]]:
        """Every calendar but UTC once, with the models that go by it."""
        rows = defaultdict(list)
        for model, calendar in enumerate(self.each):
            if calendar != UTC:
                rows[calendar].append(model)
        return list(rows.items())


ALL_UTC = Calendars()
