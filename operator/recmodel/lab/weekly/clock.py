"""Which hour of the owner's day a moment lies in, and sums over hours in which what is not known stays unknown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from recmodel.core.arrays.calendars import Calendars
from recmodel.core.arrays.fleet import Floats
from recmodel.core.types import Calendar

HOURS = 24
LARGEST_RATIO = 1e15
HOUR_SECONDS, DAY_SECONDS = 3600.0, 86_400.0
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Clock:
    """Hours of the range, counted from ``first``, as the clocks of ``calendar`` show them; ``number`` of them."""

    calendar: Calendar
    first: int
    number: int

    @classmethod
    def of(cls, seconds: Floats, calendar: Calendar) -> Clock:
        """That covers these moments (Unix time)."""
        hours = np.floor(Calendars((calendar,)).local(seconds[None])[0] / HOUR_SECONDS).astype(np.int64)
        return cls(calendar, int(hours.min()), int(hours.max() - hours.min()) + 1)

    def local(self, seconds: Floats) -> Floats:
        """What the clocks show, in seconds."""
        found: Floats = Calendars((self.calendar,)).local(seconds[None])[0]
        return found

    def places(self, seconds: Floats) -> Ints:
        """The hour of the range of each moment; -1 outside of it."""
        found = np.floor(self.local(seconds) / HOUR_SECONDS).astype(np.int64) - self.first
        return np.where((found >= 0) & (found < self.number), found, -1)

    @property
    def hours_of_day(self) -> Ints:
        """Of each hour of the range: 0 to 23."""
        found: Ints = (self.first + np.arange(self.number)) % HOURS
        return found

    def day(self, place: int) -> str:
        """The day that an hour of the range lies in: ``Mon 2 Mar``."""
        return _day((self.first + place) * HOUR_SECONDS)

    def changes(self, seconds: Floats) -> tuple[tuple[float, float], ...]:
        """What the clocks show where they are set, before and after, in seconds; ``seconds``: a grid, each of which begins a step.

        At the end of the summer in Berlin 03:00 becomes 02:00.
        """
        shown = self.local(seconds)
        steps = np.diff(seconds)
        places = np.flatnonzero(np.diff(shown) != steps)
        return tuple((float(shown[i] + steps[i]), float(shown[i + 1])) for i in places)


def change_words(before: float, after: float) -> str:
    """``On Sun 25 Oct 02:00 to 03:00 comes twice, and counts as one hour.``"""
    first, last = sorted((before, after))
    span = " to ".join(f"{datetime.fromtimestamp(moment, UTC):%H:%M}" for moment in (first, last))
    if after < before:
        return f"On {_day(first)} {span} comes twice, and counts as one hour."
    return f"On {_day(first)} there is no {span}."


def _day(shown: float) -> str:
    moment = datetime.fromtimestamp(shown, UTC)
    return f"{moment:%a} {moment.day} {moment:%b}"


def sums(values: Floats, places: Ints, number: int) -> Floats:
    """The sum of the known values of each place; NaN where none is known."""
    known = np.isfinite(values) & (places >= 0)
    found = np.bincount(places[known], values[known], number)
    return np.where(np.bincount(places[known], minlength=number) > 0, found, np.nan)


def means(values: Floats, places: Ints, number: int, weights: Floats | None = None) -> Floats:
    """Their mean, by ``weights`` where there are any; NaN where nothing is known, or has a weight."""
    heavy = np.ones(len(values)) if weights is None else weights
    known = np.isfinite(values) & np.isfinite(heavy) & (places >= 0)
    total = np.bincount(places[known], (values * heavy)[known], number)
    whole = np.bincount(places[known], heavy[known], number)
    return known_ratio(np.asarray(total, np.float64), np.asarray(whole, np.float64))


def largest(values: Floats, places: Ints, number: int) -> Floats:
    """The largest known value of each place; NaN where none is known."""
    found = np.full(number, -np.inf)
    known = np.isfinite(values) & (places >= 0)
    np.maximum.at(found, places[known], values[known])
    return np.where(np.isfinite(found), found, np.nan)


def known_ratio(part: Floats, whole: Floats) -> Floats:
    """One of the other; NaN where either is unknown, the other is none, or so little that nobody can believe the ratio."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = part / np.where(whole > 0, whole, np.nan)
    return np.where(found < LARGEST_RATIO, found, np.nan)
