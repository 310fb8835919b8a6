"""How good an upper forecast is: how often it holds, and its pinball loss, beside what simple forecasters would have predicted.

Every forecaster predicts the 95 % quantile of the largest load (mean of a minute) within a horizon, once a tick, from the load up to
the tick. The simple ones give a point; their quantile is the point times the 95 % quantile of what they missed by on the same
day, up to the last 12 hours, so they are calibrated as well as they can be. The first hours are not scored: they learn from them.
The fitted ones (:mod:`recmodel.lab.benchmark.minute_models`) are judged in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from recmodel.core.forecast.candidates import UPPER_QUANTILE
from recmodel.core.types import Decision
from recmodel.lab.benchmark.minute_models import MINUTE_SECONDS, largest_within
from recmodel.lab.simulator.scenario import Floats
from recmodel.lab.trace import DAY_SECONDS, Trace

UNSCORED_SECONDS = 2 * 3600.0
MEMORY_SECONDS = 12 * 3600.0
FEWEST_RESIDUALS = 40
WINDOW_SECONDS = 60
EWMA_GAIN = 0.3
HOLT_LEVEL_GAIN, HOLT_SLOPE_GAIN, HOLT_DAMPING = 0.5, 0.1, 0.95
SMALLEST_RATE = 1.0 / 60.0

MinutePaths = Callable[[Floats, int], Floats]  # ticks in seconds, minutes ahead: a forecast a minute, a row a tick
NO_PATHS: Mapping[str, MinutePaths] = MappingProxyType({})


@dataclass(frozen=True)
class Score:
    """Of one forecaster on one day at one horizon."""

    coverage_ratio: float  # share of ticks whose largest load was at most the upper forecast; 0.95 is right
    pinball_ratio: float  # mean pinball loss at 0.95, relative to the mean load; less is better


def score_day(
    rates: Floats,
    decisions: Sequence[Decision],
    history: Trace | None,
    tick_seconds: float,
    fitted: Mapping[str, MinutePaths] = NO_PATHS,
) -> dict[str, dict[str, Score]]:
    """Scores by pool (its horizon) and forecaster, over the ticks for which all of them had something to say."""
    ticks: Floats = np.arange(len(decisions), dtype=np.float64) * tick_seconds
    minute = _trailing_means(rates)
    level = minute[np.maximum(ticks.astype(np.int64) - 1, 0)]
    forecasts_by_pool = {
        pool: [decision.forecast.get(pool) for decision in decisions] for pool in decisions[-1].forecast
    }
    horizons = {
        pool: float(np.median([f.horizon_seconds for f in forecasts if f is not None]))
        for pool, forecasts in forecasts_by_pool.items()
    }
    minutes = math.ceil(max(horizons.values(), default=0.0) / MINUTE_SECONDS)
    paths = {name: forecast(ticks, minutes) for name, forecast in fitted.items()}
    scores: dict[str, dict[str, Score]] = {}
    for pool, forecasts in forecasts_by_pool.items():
        horizon = horizons[pool]
        ahead = max(round(horizon / tick_seconds), 1)
        actual = _largest_ahead(minute, ticks, horizon)
        uppers = {"engine": np.array([np.nan if f is None else f.upper_per_second for f in forecasts])}
        points = _points(level, rates, history, ticks, horizon, tick_seconds)
        points |= {name: largest_within(level, path, horizon) for name, path in paths.items()}
        for name, point in points.items():
            uppers[name] = _calibrated(point, actual, ahead, tick_seconds)
        both = np.isfinite(np.stack(list(uppers.values()))).all(0) & np.isfinite(actual) & (ticks >= UNSCORED_SECONDS)
        if both.any():
            scores[pool] = {name: _score(upper[both], actual[both]) for name, upper in uppers.items()}
    return scores


def _trailing_means(rates: Floats) -> Floats:
    """Mean of the minute that ends with each second."""
    sums = np.concatenate([[0.0], np.cumsum(rates)])
    ends = np.arange(1, len(rates) + 1)
    starts = np.maximum(ends - WINDOW_SECONDS, 0)
    result: Floats = (sums[ends] - sums[starts]) / (ends - starts)
    return result


def _largest_ahead(minute: Floats, ticks: Floats, horizon: float) -> Floats:
    """The largest of the minute's means in the horizon after each tick; NaN where the day ends before it."""
    length = int(horizon)
    windows = np.lib.stride_tricks.sliding_window_view(minute, length).max(1) if len(minute) >= length else np.zeros(0)
    largest = np.full(len(ticks), np.nan)
    inside = ticks < len(windows)
    largest[inside] = windows[ticks[inside].astype(np.int64)]
    return largest


def _points(
    level: Floats, rates: Floats, history: Trace | None, ticks: Floats, horizon: float, tick_seconds: float
) -> dict[str, Floats]:
    """The simple forecasters' points; the seasonal naive one only where the history holds the day before."""
    ewma, holt = np.empty_like(level), np.empty_like(level)
    smooth = base = level[0]
    slope = 0.0
    steps = horizon / tick_seconds
    reach = HOLT_DAMPING * (1.0 - HOLT_DAMPING**steps) / (1.0 - HOLT_DAMPING)
    for i, value in enumerate(level):
        smooth += EWMA_GAIN * (value - smooth)
        before = base
        base = HOLT_LEVEL_GAIN * value + (1.0 - HOLT_LEVEL_GAIN) * (base + HOLT_DAMPING * slope)
        slope = HOLT_SLOPE_GAIN * (base - before) + (1.0 - HOLT_SLOPE_GAIN) * HOLT_DAMPING * slope
        ewma[i], holt[i] = smooth, base + slope * reach
    points = {"EWMA": ewma, "Holt, damped": holt}
    if history is not None and history.days >= 1.0:
        yesterday = history.between(history.days - 1.0, history.days).per_second()
        both = np.concatenate([yesterday, rates])
        points["seasonal naive"] = _largest_ahead(_trailing_means(both), ticks + len(yesterday) - DAY_SECONDS, horizon)
    return points


def _calibrated(point: Floats, actual: Floats, ahead: int, tick_seconds: float) -> Floats:
    """The point times the 95 % quantile of actual / point of those forecasts whose horizon has passed."""
    ratio = np.maximum(actual, SMALLEST_RATE) / np.maximum(point, SMALLEST_RATE)
    upper = np.full(len(point), np.nan)
    memory = int(MEMORY_SECONDS / tick_seconds)
    for i in range(FEWEST_RESIDUALS + ahead, len(point)):
        past = ratio[max(i - ahead - memory, 0) : i - ahead + 1]
        known = past[np.isfinite(past)]  # a fitted model says nothing before its first fit
        if len(known) >= FEWEST_RESIDUALS:
            upper[i] = point[i] * float(np.quantile(known, UPPER_QUANTILE))
    return upper


def _score(upper: Floats, actual: Floats) -> Score:
    miss = actual - upper
    pinball = np.maximum(UPPER_QUANTILE * miss, (UPPER_QUANTILE - 1.0) * miss)
    return Score(float((miss <= 0.0).mean()), float(pinball.mean() / actual.mean()))
