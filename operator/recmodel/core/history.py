"""What a model's past load teaches before the first tick: its day, and how wrong forecasts of it were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recmodel.core import forecast as forecasts
from recmodel.core.carry import Stays
from recmodel.core.fleet import Floats
from recmodel.core.forecast import SEASON_BIN_SECONDS, SEASON_BINS, SEASON_GAIN_PER_DAY, ForecastMemory

History = tuple[
    Floats, Floats
]  # seconds, on the clock of the observations, and requests/s (NaN: a gap), in order of time

REPLAY_STEP_SECONDS = 60.0
REPLAY_SECONDS = 86400.0  # eight half-lives of an error: what lies before weighs nothing
LEARNED = ("season", "errors", "upper_error", "loss")  # what a past teaches, of the memory's fields
COARSEST_STEP_SECONDS = 120.0  # a history coarser than this knows the day, but not the errors of a forecast for minutes


def learn_history(memory: ForecastMemory, history: Sequence[History | None]) -> ForecastMemory:
    """The memory with each model's seasonal profile, and its forecast errors where the history is fine enough to tell."""
    season = memory.season.copy()
    for i, past in enumerate(history):
        if past is not None and len(past[0]) > 1:
            season[i] = profile(*past)
    return _replay(replace(memory, season=season), history)


def take_over(memory: ForecastMemory, taught: ForecastMemory, models: Stays) -> ForecastMemory:
    """``memory`` with the day and the forecast errors that ``taught`` knows of some of its models, ``models.old_models`` there
    and ``models.new_models`` here. Their level is taken over where no load was seen yet: what was seen since is newer.
    """
    here, there = models.new_models, models.old_models
    changes = {}
    for name in LEARNED:
        changes[name] = getattr(memory, name).copy()
        changes[name][here] = getattr(taught, name)[there]
    level, slope = memory.level.copy(), memory.slope.copy()
    unseen = ~np.isfinite(level[here])
    level[here[unseen]], slope[here[unseen]] = taught.level[there[unseen]], taught.slope[there[unseen]]
    return replace(memory, level=level, slope=slope, **changes)


def profile(seconds: Floats, load: Floats) -> Floats:
    """Log of the usual load ``[SEASON_BINS]`` at each time of day, newer days weighing more; NaN where nothing is known.

    Days follow each other with ``SEASON_GAIN_PER_DAY``. A step coarser than a bin is interpolated; gaps are left out; noise of
    thin counts is smoothed over three bins.
    """
    good = np.isfinite(load)
    if good.sum() < 2:
        return np.full(SEASON_BINS, np.nan)
    grid = np.arange(np.ceil(seconds[0] / SEASON_BIN_SECONDS), np.floor(seconds[-1] / SEASON_BIN_SECONDS))
    middle = (grid + 0.5) * SEASON_BIN_SECONDS
    step = float(np.median(np.diff(seconds)))
    if step < SEASON_BIN_SECONDS:
        index = np.floor(seconds[good] / SEASON_BIN_SECONDS) - (grid[0] if len(grid) else 0.0)
        inside = (index >= 0) & (index < len(grid))
        count = np.bincount(index[inside].astype(int), minlength=len(grid))
        total = np.bincount(index[inside].astype(int), weights=load[good][inside], minlength=len(grid))
        values = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    else:
        values = np.interp(middle, seconds[good] + step / 2.0, load[good])
        nearest = np.abs(middle[:, None] - seconds[good][None, :] - step / 2.0).min(1) if len(grid) < 20000 else 0.0
        values = np.where(nearest <= step, values, np.nan)
    logs = np.log(np.maximum(values, 1.0 / 60.0))
    usual = np.full(SEASON_BINS, np.nan)
    for bin_index, value in zip((grid % SEASON_BINS).astype(int), logs, strict=True):
        if np.isfinite(value):
            old = usual[bin_index]
            usual[bin_index] = value if np.isnan(old) else old + SEASON_GAIN_PER_DAY * (value - old)
    if np.isfinite(usual).all():
        usual = (np.roll(usual, 1) + 2.0 * usual + np.roll(usual, -1)) / 4.0
    return usual


def _replay(memory: ForecastMemory, history: Sequence[History | None]) -> ForecastMemory:
    """Runs the forecaster over the last days of the histories that are fine enough, all models at once, and keeps its errors."""
    fine = [
        past if past is not None and len(past[0]) > 2 and np.median(np.diff(past[0])) <= COARSEST_STEP_SECONDS else None
        for past in history
    ]
    if not any(past is not None for past in fine):
        return memory
    end = max(float(past[0][-1]) for past in fine if past is not None)
    begin = max(min(float(past[0][0]) for past in fine if past is not None), end - REPLAY_SECONDS)
    times = np.arange(begin + REPLAY_STEP_SECONDS, end, REPLAY_STEP_SECONDS)
    loads = np.full((len(history), len(times)), np.nan)
    for i, past in enumerate(fine):
        if past is not None:
            loads[i] = _means(past[0], past[1], times)
    usual = memory.season
    replayed = replace(forecasts.empty(len(history), REPLAY_STEP_SECONDS), season=usual)
    for column, now in enumerate(times):
        load = loads[:, column]
        replayed = forecasts.observe(replayed, load, float(now), REPLAY_STEP_SECONDS)
        blind = np.where(np.isfinite(load), 0.0, REPLAY_STEP_SECONDS)
        replayed = forecasts.remembered(replace(replayed, season=usual), float(now), blind)
    replayed = forecasts.with_quantiles(replace(replayed, season=usual))
    return replace(memory, level=replayed.level, slope=replayed.slope, **{n: getattr(replayed, n) for n in LEARNED})


def _means(seconds: Floats, load: Floats, times: Floats) -> Floats:
    """Mean load in the replay step that ends at each of ``times``; NaN where a gap is."""
    index = np.searchsorted(times, seconds, side="left")
    inside = (index < len(times)) & np.isfinite(load)
    count = np.bincount(index[inside], minlength=len(times))
    total = np.bincount(index[inside], weights=load[inside], minlength=len(times))
    means = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    gaps = np.isnan(means)
    if gaps.any() and not gaps.all() and np.median(np.diff(seconds)) > REPLAY_STEP_SECONDS:
        means[gaps] = np.interp(times[gaps], times[~gaps], means[~gaps])
    return means
