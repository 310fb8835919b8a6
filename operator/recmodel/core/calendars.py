"""Where moments lie in the days and weeks of several models: each has a clock of its own, and time itself is UTC.

Shapes: ``[M]`` models, ``[M, H]`` times of each.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recmodel.core.types import UTC, Calendar

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Calendars:
    """The calendars of some models, in their order; none: all of them go by UTC."""

    each: tuple[Calendar, ...] = ()

    def only(self, model: int) -> Calendars:
        """The calendar of one of them."""
        return Calendars(self.each[model : model + 1])

    def local(self, times: Floats) -> Floats:
        """Unix times ``[M]`` or ``[M, H]`` as seconds on each model's own clock."""
        if not self._tables:
            return times
        result = np.array(times)
        for since_seconds, ahead_seconds, rows in self._tables:
            piece = np.searchsorted(since_seconds, times[rows], side="right") - 1
            result[rows] += ahead_seconds[np.maximum(piece, 0)]
        return result

    @cached_property
    def _tables(self) -> list[tuple[Floats, Floats, list[int]]]:
        """Every calendar but UTC once, as arrays, with the models that go by it."""
        rows = defaultdict(list)
        for model, calendar in enumerate(self.each):
            if calendar != UTC:
                rows[calendar].append(model)
        return [(np.array(c.since_seconds), np.array(c.ahead_seconds), models) for c, models in rows.items()]


ALL_UTC = Calendars()
