"""What a model's past load teaches before the first tick: its day and week, and how wrong forecasts of it were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from recmodel.core import forecast as forecasts
from recmodel.core.carry import Stays
from recmodel.core.fleet import Floats, Ints
from recmodel.core.forecast import HORIZONS_SECONDS, LEVEL, SEASON, ForecastMemory
from recmodel.core.season import (
    BIN_SECONDS,
    DAY_BINS,
    DAY_GAIN,
    HALF_HOUR_BINS,
    LARGEST_RISE,
    WEEK_GAIN,
    WEEK_HALF_HOURS,
    settled,
)

History = tuple[
    Floats, Floats
]  # seconds, on the clock of the observations, and requests/s (NaN: a gap), in order of time

REPLAY_STEP_SECONDS = 60.0
REPLAY_SECONDS = 86400.0  # eight half-lives of an error: what lies before weighs nothing
LEARNED = ("errors", "upper_error", "loss")  # what a past teaches, of the memory's fields ...
LEARNED_SEASON = ("day", "week", "week_gain")  # ... and of its season's
LARGEST_GAIN = (
    0.02  # of pinball loss: how far a past speaks for the season, or against it, until its forecasts do themselves
)
HALF_HOURS = WEEK_HALF_HOURS // 7  # of a day
COARSEST_STEP_SECONDS = 120.0  # a history coarser than this knows the day, but not the errors of a forecast for minutes


def learn_history(memory: ForecastMemory, history: Sequence[History | None]) -> ForecastMemory:
    """The memory with each model's season, and its forecast errors where the history is fine enough to tell: its last day is then
    run through the forecaster, which learns from it as it would have done, and knew nothing of it before.
    """
    fine = [past if past is not None and _is_fine(past) else None for past in history]
    begin, end = _replayed(fine)
    season = memory.season
    day, week, week_gain, loss = season.day.copy(), season.week.copy(), season.week_gain.copy(), memory.loss.copy()
    for i, past in enumerate(history):
        if past is not None and len(past[0]) > 1:
            seconds, load = past
            old = seconds < (begin if fine[i] is not None else np.inf)
            course = usual_course(seconds[old], load[old])
            day[i], week[i], week_gain[i] = course.day, course.week, course.week_gain
            if math.isfinite(course.day_gain):  # a rise, and what is missed of it, grows with the horizon
                gain = course.day_gain * HORIZONS_SECONDS / HORIZONS_SECONDS[-1]
                loss[i, :, SEASON] = loss[i, :, LEVEL] - np.clip(gain, -LARGEST_GAIN, LARGEST_GAIN)
    memory = replace(memory, season=replace(season, day=day, week=week, week_gain=week_gain), loss=loss)
    return _replay(memory, fine, np.arange(begin + REPLAY_STEP_SECONDS, end, REPLAY_STEP_SECONDS))


def take_over(memory: ForecastMemory, taught: ForecastMemory, models: Stays) -> ForecastMemory:
    """``memory`` with the day and the forecast errors that ``taught`` knows of some of its models, ``models.old_models`` there
    and ``models.new_models`` here. Their level is taken over where no load was seen yet: what was seen since is newer.
    """
    here, there = models.new_models, models.old_models

    def joined(mine: Any, theirs: Any, names: tuple[str, ...]) -> Any:
        changes = {name: getattr(mine, name).copy() for name in names}
        for name, array in changes.items():
            array[here] = getattr(theirs, name)[there]
        return replace(mine, **changes)

    memory = joined(memory, taught, LEARNED)
    level, slope = memory.level.copy(), memory.slope.copy()
    unseen = ~np.isfinite(level[here])
    level[here[unseen]], slope[here[unseen]] = taught.level[there[unseen]], taught.slope[there[unseen]]
    season = joined(memory.season, taught.season, LEARNED_SEASON)
    return replace(memory, level=level, slope=slope, season=season)


@dataclass(frozen=True)
class Course:
    """What a past says of the season of one model."""

    day: Floats  # [DAY_BINS] as of a Season
    week: Floats  # [WEEK_HALF_HOURS]
    week_gain: float
    day_gain: (
        float  # by how much less the rises foretold by the day missed than no rise would have; NaN: nothing to judge by
    )


def usual_course(seconds: Floats, load: Floats) -> Course:
    """The season of a past, learned day by day as it is done online, each day judging what those before it foretold.

    A step coarser than a bin is interpolated; gaps are left out; noise of thin counts is smoothed over three bins of the day.
    """
    usual, week, week_gain, day_gain = np.full(DAY_BINS, np.nan), np.zeros(WEEK_HALF_HOURS), 0.0, math.nan
    bins, logs = _binned(seconds, load)
    if not len(bins):
        return Course(usual, week, week_gain, day_gain)
    first = int(bins[0]) // DAY_BINS
    days = np.full((int(bins[-1]) // DAY_BINS - first + 1, DAY_BINS), np.nan)
    days.ravel()[bins - first * DAY_BINS] = logs
    for number, values in enumerate(days, first):
        half_hours = slice(number % 7 * HALF_HOURS, (number % 7 + 1) * HALF_HOURS)
        foretold = usual + np.repeat(week[half_hours], HALF_HOUR_BINS)
        rise, by_day, by_week = _rises(values), _rises(usual), _rises(foretold)
        judged = np.isfinite(rise + by_day)
        if judged.any():
            forget = 1.0 - 0.5 ** float(judged.mean())
            missed = np.abs(rise - by_day)
            week_gain += forget * (float((missed - np.abs(rise - by_week))[judged].mean()) - week_gain)
            gained = float((rise - missed)[judged].mean())
            day_gain = gained if math.isnan(day_gain) else day_gain + forget * (gained - day_gain)
        off = np.where(np.isfinite(usual), values - usual, np.nan)
        seen = np.isfinite(off).reshape(-1, HALF_HOUR_BINS)
        mean = np.nan_to_num(off).reshape(-1, HALF_HOUR_BINS).sum(1) / np.maximum(seen.sum(1), 1)
        week[half_hours] += np.where(seen.any(1), WEEK_GAIN * (mean - week[half_hours]), 0.0)
        usual = np.where(np.isfinite(usual), usual + DAY_GAIN * np.nan_to_num(off), values)
    if np.isfinite(usual).all():
        usual = (np.roll(usual, 1) + 2.0 * usual + np.roll(usual, -1)) / 4.0
    return Course(usual, week, week_gain, day_gain)


def _rises(course: Floats) -> Floats:
    """How far a day's course rises within the longest horizon from each of its bins, at least 0; NaN where unknown."""
    ahead = round(HORIZONS_SECONDS[-1] / BIN_SECONDS)
    here = course[:-ahead]
    highest = np.fmax.reduce([course[k : len(course) - ahead + k] for k in range(1, ahead + 1)])
    result: Floats = np.clip(highest - here, 0.0, LARGEST_RISE)
    return result


def _binned(seconds: Floats, load: Floats) -> tuple[Ints, Floats]:
    """The bins since the epoch that a history spans, and the log of the mean load in each; NaN where nothing is known."""
    good = np.isfinite(load)
    if good.sum() < 2:
        return np.empty(0, np.int64), np.empty(0)
    grid = np.arange(np.ceil(seconds[0] / BIN_SECONDS), np.floor(seconds[-1] / BIN_SECONDS))
    step = float(np.median(np.diff(seconds)))
    if step < BIN_SECONDS:
        index = np.floor(seconds[good] / BIN_SECONDS) - (grid[0] if len(grid) else 0.0)
        inside = (index >= 0) & (index < len(grid))
        count = np.bincount(index[inside].astype(int), minlength=len(grid))
        total = np.bincount(index[inside].astype(int), weights=load[good][inside], minlength=len(grid))
        values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    else:
        middle, known = (grid + 0.5) * BIN_SECONDS, seconds[good] + step / 2.0
        after = np.clip(np.searchsorted(known, middle), 1, len(known) - 1)
        nearest = np.minimum(np.abs(middle - known[after - 1]), np.abs(known[after] - middle))
        values = np.where(nearest <= step, np.interp(middle, known, load[good]), np.nan)
    return grid.astype(np.int64), np.log(np.maximum(values, 1.0 / 60.0))


def _is_fine(past: History) -> bool:
    return bool(len(past[0]) > 2 and np.median(np.diff(past[0])) <= COARSEST_STEP_SECONDS)


def _replayed(fine: Sequence[History | None]) -> tuple[float, float]:
    """The time of the histories that is replayed; nothing where there is none."""
    known = [past[0] for past in fine if past is not None]
    if not known:
        return 0.0, 0.0
    end = max(float(seconds[-1]) for seconds in known)
    return max(min(float(seconds[0]) for seconds in known), end - REPLAY_SECONDS), end


def _replay(memory: ForecastMemory, fine: Sequence[History | None], times: Floats) -> ForecastMemory:
    """Runs the forecaster over the ``times`` of the histories, all models at once, and keeps what it learned."""
    if not len(times):
        return memory
    loads = np.full((len(fine), len(times)), np.nan)
    for i, past in enumerate(fine):
        if past is not None:
            loads[i] = _means(past[0], past[1], times)
    replayed = replace(forecasts.empty(len(fine), REPLAY_STEP_SECONDS), season=memory.season)
    for column, now in enumerate(times):
        load = loads[:, column]
        replayed = forecasts.observe(replayed, load, float(now), REPLAY_STEP_SECONDS)
        blind = np.where(np.isfinite(load), 0.0, REPLAY_STEP_SECONDS)
        replayed = forecasts.remembered(replayed, float(now), blind)
    replayed = forecasts.with_quantiles(replayed)
    learned = {name: getattr(replayed, name) for name in LEARNED}
    return replace(memory, level=replayed.level, slope=replayed.slope, season=settled(replayed.season), **learned)


def _means(seconds: Floats, load: Floats, times: Floats) -> Floats:
    """Mean load in the replay step that ends at each of ``times``; NaN where a gap is."""
    index = np.searchsorted(times, seconds, side="left")
    inside = (index < len(times)) & (seconds > times[0] - REPLAY_STEP_SECONDS) & np.isfinite(load)
    count = np.bincount(index[inside], minlength=len(times))
    total = np.bincount(index[inside], weights=load[inside], minlength=len(times))
    means = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    gaps = np.isnan(means)
    if gaps.any() and not gaps.all() and np.median(np.diff(seconds)) > REPLAY_STEP_SECONDS:
        means[gaps] = np.interp(times[gaps], times[~gaps], means[~gaps])
    return means
