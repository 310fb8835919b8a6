"""AutoETS and AutoTheta of statsforecast on the minute means of the load: what a well-known library would have forecast.

Their best fair chance at a price of seconds a day. Once every 5 minutes either is fitted again to the last 6 hours: it chooses its
model (with or without trend, damping; which theta) and parameters. At every tick between, ``forward`` runs the fitted model over
the newest minutes, which end at that very tick, with the parameters as they were: so the level and trend are of now, as those of the
engine are. They get the load itself, which the engine only sees through scrapes. No season: 6 hours hold no whole day, and the horizon
is minutes. A history in longer steps than a minute is left out: straight lines would teach them that the load has no noise.

statsforecast is no dependency of the product: ``hack/venv.sh bench`` has it, and where it is not installed there are no such models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from recmodel.lab.simulator.scenario import Floats
from recmodel.lab.trace import DAY_SECONDS, Trace

NAMES = ("AutoETS", "AutoTheta")
MINUTE_SECONDS = 60
WINDOW_SECONDS = 6 * 3600
FEWEST_SECONDS = 3600  # of a known load, before the first fit
REFIT_SECONDS = 300


class MinuteModel(Protocol):
    """As statsforecast's models are: fitted to one series, then run over a newer one."""

    def fit(self, y: Floats) -> object:
        """Choose the parameters for the values, one a minute."""

    def forward(self, y: Floats, h: int) -> Mapping[str, Floats]:
        """The ``mean`` of the ``h`` values that follow these, with the parameters of the fit."""


MakeModel = Callable[[], MinuteModel]


@dataclass(frozen=True)
class MinuteForecaster:
    """A kind of model on one day: fitted again and again, asked at every tick."""

    make: MakeModel
    past: Floats  # requests/s before time 0, one value a second
    rates: Floats  # from time 0 on
    tell: Callable[[float], None]  # gets the share done

    def __call__(self, ticks: Floats, minutes: int) -> Floats:
        """Forecasts of the next ``minutes`` minute means (requests/s), a row a tick; NaN before an hour of load is known.

        Ticks are in seconds. For a row only the load before its tick is used.
        """
        sums = np.concatenate([[0.0], np.cumsum(np.concatenate([self.past, self.rates]))])
        ahead = np.full((len(ticks), minutes), np.nan)
        model, begin, fitted = self.make(), 0, -REFIT_SECONDS
        for i, tick in enumerate(ticks):
            now = len(self.past) + int(tick)
            if now < FEWEST_SECONDS:
                continue
            if now - fitted >= REFIT_SECONDS:
                model, begin, fitted = self.make(), max(now - WINDOW_SECONDS, 0), now
                model.fit(_minute_means(sums, begin, now))
                self.tell(i / len(ticks))
            # The window grows from its begin on until the next fit: the states that the fit begins with are of that moment.
            ahead[i] = model.forward(_minute_means(sums, begin, now), minutes)["mean"]
        return ahead


def installed_forecasters(
    rates: Floats, history: Trace | None, tell: Callable[[float], None]
) -> dict[str, MinuteForecaster]:
    """By name; empty where statsforecast is not installed. Importing it takes seconds, so only who asks pays."""
    if find_spec("statsforecast") is None:
        return {}
    from statsforecast.models import AutoETS, AutoTheta

    past = last_hours(history)
    kinds = zip(NAMES, (AutoETS, AutoTheta), strict=True)
    return {name: MinuteForecaster(partial(kind, season_length=1), past, rates, tell) for name, kind in kinds}


def largest_within(level: Floats, ahead: Floats, horizon_seconds: float) -> Floats:
    """The largest of the forecast from now (the level) to the horizon, with straight lines between the minutes."""
    path = np.column_stack([level, ahead])
    whole = int(horizon_seconds // MINUTE_SECONDS)
    part = horizon_seconds / MINUTE_SECONDS - whole
    end = path[:, whole] if part == 0.0 else (1.0 - part) * path[:, whole] + part * path[:, whole + 1]
    result: Floats = np.column_stack([path[:, : whole + 1], end]).max(1)
    return result


def last_hours(history: Trace | None) -> Floats:
    """Up to the last 6 hours of a history, one value a second; nothing where it is not known by the minute."""
    if history is None or history.step_seconds > MINUTE_SECONDS:
        return np.zeros(0)
    return history.between(max(history.days - WINDOW_SECONDS / DAY_SECONDS, 0.0), history.days).per_second()


def _minute_means(sums: Floats, begin: int, now: int) -> Floats:
    """Means of the whole minutes that end at ``now``, back to ``begin``, the oldest first."""
    ends = np.arange(now, begin + MINUTE_SECONDS - 1, -MINUTE_SECONDS)[::-1]
    result: Floats = (sums[ends] - sums[ends - MINUTE_SECONDS]) / MINUTE_SECONDS
    return result
