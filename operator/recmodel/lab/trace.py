"""Load over time: read from a CSV, rescaled, cut into days, smoothed where thin, brought to one value a second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recmodel.lab.simulator.scenario import Floats
from recmodel.loads import read_load

DAY_SECONDS = 86_400.0
HISTORY_DAYS = 14.0  # of the load before what is simulated, as the operator reads it (settings: ``history_seconds``)
ENOUGH_COUNTS = 400.0  # events in a step whose counting noise is 5 %
MOST_SMOOTHING_SECONDS = 7_200.0  # longer means would flatten the shape of a day


@dataclass(frozen=True)
class Trace:
    """A load in requests/s, each the mean over ``step_seconds`` from its time on; NaN where it is not known."""

    start_seconds: float
    step_seconds: float
    rates: Floats

    @property
    def seconds(self) -> Floats:
        """The times, one a step."""
        return np.asarray(self.start_seconds + self.step_seconds * np.arange(len(self.rates)), np.float64)

    @property
    def days(self) -> float:
        """Its length."""
        return len(self.rates) * self.step_seconds / DAY_SECONDS

    @property
    def whole_days(self) -> int:
        """How many whole days it has: 16 of a load of sixteen days and a half."""
        return int(self.days + 1e-9)

    def rescaled(self, *, peak_per_second: float) -> Trace:
        """The same shape with another peak."""
        return replace(self, rates=self.rates * (peak_per_second / float(np.nanmax(self.rates))))

    def smoothed(self) -> Trace:
        """A moving mean long enough for 400 events a window, where rates are counts: thin counts are mostly noise."""
        counts = float(np.nanmean(self.rates)) * self.step_seconds
        most = max(int(MOST_SMOOTHING_SECONDS / self.step_seconds), 1)
        window = min(int(np.ceil(ENOUGH_COUNTS / max(counts, 1e-9))), most)
        if window <= 1:
            return self
        known = np.isfinite(self.rates)
        kernel = np.ones(window)
        sums = np.convolve(np.where(known, self.rates, 0.0), kernel, mode="same")
        numbers = np.convolve(known.astype(np.float64), kernel, mode="same")
        with np.errstate(invalid="ignore", divide="ignore"):
            return replace(self, rates=np.where(known, sums / numbers, np.nan))

    def between(self, first_day: float, last_day: float) -> Trace:
        """The part from one day on up to another, counted from its start (0 is the first day)."""
        first, last = (round(day * DAY_SECONDS / self.step_seconds) for day in (first_day, last_day))
        if not 0 <= first < last <= len(self.rates):
            raise ValueError(f"days {first_day:g} to {last_day:g} are not inside a load of {self.days:.2f} days")
        return Trace(self.start_seconds + first * self.step_seconds, self.step_seconds, self.rates[first:last])

    def history_before(self, day: float) -> Trace | None:
        """The last :data:`HISTORY_DAYS` before a day, or as many as there are; None where there are none."""
        return self.between(max(day - HISTORY_DAYS, 0.0), day) if day > 0.0 else None

    def per_second(self) -> Floats:
        """One value a second, straight lines between the middles of the steps; unknown steps are bridged."""
        known = np.isfinite(self.rates)
        if not known.any():
            raise ValueError("a load without a single known value")
        middles = (np.arange(len(self.rates)) + 0.5) * self.step_seconds
        moments = np.arange(round(len(self.rates) * self.step_seconds)) + 0.5
        return np.asarray(np.maximum(np.interp(moments, middles[known], self.rates[known]), 0.0), np.float64)


def read_trace(path: Path) -> Trace:
    """The load of a file; see :mod:`recmodel.loads`. ``ValueError`` also for fewer than two rows."""
    load = read_load(path)
    if len(load.seconds) < 2:
        raise ValueError(f"{path.name}: at least two rows are needed to know the step")
    return Trace(float(load.seconds[0]), load.step_seconds, load.per_second)


def regular_trace(seconds: Sequence[float], rates: Sequence[float], step_seconds: float) -> Trace:
    """A trace from samples as a Prometheus range has them: missing steps become NaN, the last in a step stays."""
    if len(seconds) == 0:
        raise ValueError("no samples")
    places = np.round((np.asarray(seconds) - seconds[0]) / step_seconds).astype(np.int64)
    values = np.full(int(places.max()) + 1, np.nan)
    values[places] = rates
    return Trace(float(seconds[0]), step_seconds, values)
