"""What a model's past load teaches before the first tick: its day and week, and how wrong forecasts of it were."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from recmodel.core.arrays.calendars import ALL_UTC, DAY_SECONDS, Calendars
from recmodel.core.arrays.carry_over import Stays
from recmodel.core.arrays.fleet import Bools, Floats, Ints
from recmodel.core.forecast import candidates as forecasts
from recmodel.core.forecast import jumps
from recmodel.core.forecast.candidates import HORIZONS_SECONDS, LEVEL, SEASON, ForecastMemory
from recmodel.core.forecast.season import (
    BIN_SECONDS,
    DAY_BINS,
    HALF_HOUR_BINS,
    LARGEST_RISE,
    SAVED_HALF_LIFE_SECONDS,
    WAITING_BINS,
    WEEK_HALF_HOURS,
    Half,
    Small,
    empty,
    learn_bins,
    learn_jumps,
    local_bins,
    log_load,
    rolling_mean,
    settled,
)

# Seconds, on the clock of the observations and rising, and the mean requests/s (NaN: a gap) of the step that *begins* then.
History = tuple[Floats, Floats]

REPLAY_STEP_SECONDS = 60.0
REPLAY_SECONDS = 86400.0  # eight half-lives of an error: what lies before weighs nothing
LEARNED = ("errors", "upper_error", "loss")  # what a past teaches, of the memory's fields ...
LEARNED_SEASON = ("day", "week", "jump", "saved_by_week")  # ... and of its season's
# Of pinball loss: how far a coarse past speaks for the season, or against it, until its forecasts do so themselves.
LARGEST_SAVED = 0.02
HALF_HOURS = WEEK_HALF_HOURS // 7  # of a day
LARGEST_GAP_STEPS = 1.5  # between two samples: beyond it one is missing, and nothing is known between them
COARSEST_STEP_SECONDS = 120.0  # a history coarser than this knows the day, but not the errors of a forecast for minutes
UNLEARNED_SECONDS = WAITING_BINS * BIN_SECONDS  # the end of a past: both ends of a rise are to be of the same age


def learn_history(
    memory: ForecastMemory, history: Sequence[History | None], calendars: Calendars = ALL_UTC
) -> ForecastMemory:
    """The memory with each model's season, and its forecast errors where the history is fine enough to tell: its last day is then
    run through the forecaster, which learns from it as it would have done, and knew nothing of it before.
    """
    fine = [past if past is not None and _is_fine(past) else None for past in history]
    begin, end = _replayed(fine)
    season, loss = memory.season, memory.loss.copy()
    learned = {name: getattr(season, name).copy() for name in LEARNED_SEASON}
    for i, past in enumerate(history):
        if past is None or len(past[0]) < 2:
            continue
        seconds, load = past
        old = seconds < (begin if fine[i] is not None else _until(seconds))
        profile = seasonal_profile(seconds[old], load[old], calendars.only(i))
        for name in LEARNED_SEASON:
            learned[name][i] = getattr(profile, name)
        if math.isfinite(profile.saved_by_day):  # a rise, and what is missed of it, grows with the horizon
            saved = profile.saved_by_day * HORIZONS_SECONDS / HORIZONS_SECONDS[-1]
            loss[i, :, SEASON] = loss[i, :, LEVEL] - np.clip(saved, -LARGEST_SAVED, LARGEST_SAVED)
    memory = replace(memory, season=replace(season, **learned), loss=loss)
    return _replay(memory, fine, np.arange(begin + REPLAY_STEP_SECONDS, end, REPLAY_STEP_SECONDS), calendars)


def _until(seconds: Floats) -> float:
    """Up to when a past that is not replayed teaches: not its last hour, where it is more than a day long without it."""
    until = float(seconds[-1]) - UNLEARNED_SECONDS
    return until if seconds[0] < until - DAY_SECONDS else math.inf


def take_over(memory: ForecastMemory, taught: ForecastMemory, models: Stays) -> ForecastMemory:
    """``memory`` with the day and the week that ``taught`` knows of some of its models, ``models.old_models`` there and
    ``models.new_models`` here, and with its forecast errors where they are more. The level is taken over where no load was seen yet: what
    was seen since is newer.
    """
    here, there = models.new_models, models.old_models

    def joined(mine: Any, theirs: Any, names: tuple[str, ...], rows: Bools, unknown: float) -> Any:
        changes = {name: getattr(mine, name).copy() for name in names}
        for name, array in changes.items():
            taken = getattr(theirs, name)[there[rows]]
            untold = np.isnan(taken) | (taken == unknown)
            array[here[rows]] = np.where(
                untold, array[here[rows]], taken
            )  # what only the days since the start know stays
        return replace(mine, **changes)

    every, all_of_them = (1, 2, 3), np.ones(len(here), bool)
    more = taught.errors[there].sum(every) > memory.errors[here].sum(every)
    memory = joined(memory, taught, LEARNED, more, np.nan)
    level = memory.level.copy()
    unseen = ~np.isfinite(level[here])
    level[here[unseen]] = taught.level[there[unseen]]
    season = joined(memory.season, taught.season, ("day",), all_of_them, np.nan)
    season = joined(season, taught.season, ("week", "jump", "saved_by_week"), all_of_them, 0.0)
    # The last hour lies in the past that was read, too.
    unlearned = {name: getattr(season, name).copy() for name in ("waiting", "filling_sum", "filling_count")}
    unlearned["waiting"][:, here], unlearned["filling_sum"][here], unlearned["filling_count"][here] = np.nan, 0.0, 0.0
    season = replace(season, **unlearned)
    return replace(memory, level=level, season=season)


@dataclass(frozen=True)
class SeasonalProfile:
    """What a past says of the season of one model."""

    day: Small  # [DAY_BINS] as of a Season
    week: Half  # [WEEK_HALF_HOURS]
    jump: Half  # [DAY_BINS]
    saved_by_week: float
    saved_by_day: (
        float  # by how much less the rises predicted by the day missed than none would; NaN: nothing to judge by
    )


def seasonal_profile(seconds: Floats, load: Floats, calendar: Calendars = ALL_UTC) -> SeasonalProfile:
    """The season of one model's past, learned day by day, each of which judges what those before it predicted.

    A step coarser than a bin is interpolated; gaps are left out; noise of thin counts is smoothed over three bins of the day.
    """
    nothing, saved_by_week, saved_by_day = empty(1), 0.0, math.nan
    day, week = nothing.day, nothing.week
    bins, logs = _binned(seconds, load)
    if not len(bins):
        return SeasonalProfile(day[0], week[0], nothing.jump[0], saved_by_week, saved_by_day)
    for number, values in _days(local_bins(bins[None, :], calendar)[0], logs):
        profile, half_hours = day[0].astype(float), week[0, number % 7 * HALF_HOURS :][:HALF_HOURS].astype(float)
        predicted = profile + np.repeat(half_hours, HALF_HOUR_BINS)
        rise, by_day, by_week = _rises(values), _rises(profile), _rises(predicted)
        judged = np.isfinite(rise + by_day)
        if judged.any():
            half_lives = float(judged.mean()) * (DAY_SECONDS / SAVED_HALF_LIFE_SECONDS)
            missed = np.abs(rise - by_day)
            less = float((missed - np.abs(rise - by_week))[judged].mean())
            saved_by_week = rolling_mean(saved_by_week, less, half_lives)
            saved = float((rise - missed)[judged].mean())
            saved_by_day = saved if math.isnan(saved_by_day) else rolling_mean(saved_by_day, saved, half_lives)
        for first_bin in range(HALF_HOUR_BINS):  # one bin of every half hour of the day at a time
            place = np.arange(first_bin, DAY_BINS, HALF_HOUR_BINS)
            place = place[np.isfinite(values[place])]
            learn_bins(day, week, np.array(0), number * DAY_BINS + place, values[place].astype(np.float32))
    profile = day[0]
    if np.isfinite(profile).all():
        profile = (np.roll(profile, 1) + 2.0 * profile + np.roll(profile, -1)) / 4.0
    return SeasonalProfile(profile, week[0], _jumps(seconds, load, calendar)[0], saved_by_week, saved_by_day)


def _jumps(seconds: Floats, load: Floats, calendar: Calendars) -> Half:
    """The jumps ``[1, DAY_BINS]`` that are usual in a past; none where it is too coarse to show any."""
    jump = empty(1).jump
    if not _is_fine((seconds, load)):
        return jump
    begins = np.arange(seconds[0], seconds[-1], REPLAY_STEP_SECONDS)
    logs = log_load(_means(seconds, load, begins, REPLAY_STEP_SECONDS))
    known = np.isfinite(logs)
    bins = np.floor(calendar.local(begins[None, known])[0] / BIN_SECONDS).astype(np.int64)
    firsts = np.flatnonzero(np.diff(bins, prepend=-1))
    if len(firsts):
        for first, largest in zip(firsts, np.maximum.reduceat(jumps.of_minutes(logs)[known], firsts), strict=True):
            learn_jumps(jump, np.array([0]), bins[first : first + 1], largest)
    return jump


def _days(bins: Ints, logs: Floats) -> Iterator[tuple[int, Floats]]:
    """The days that consecutive bins lie in: their number since the epoch, and the values ``[DAY_BINS]``. A clock that is put back
    begins a new one, so that no value is lost.
    """
    begins = np.flatnonzero(np.diff(bins % DAY_BINS, prepend=DAY_BINS) < 0)
    for first, after in pairwise([*begins, len(bins)]):
        values = np.full(DAY_BINS, np.nan)
        values[bins[first:after] % DAY_BINS] = logs[first:after]
        yield int(bins[first]) // DAY_BINS, values


def _rises(profile: Floats) -> Floats:
    """How far a day's course rises within the longest horizon from each of its bins, at least 0; NaN where unknown."""
    ahead = round(HORIZONS_SECONDS[-1] / BIN_SECONDS)
    here = profile[:-ahead]
    highest = np.fmax.reduce([profile[k : len(profile) - ahead + k] for k in range(1, ahead + 1)])
    result: Floats = np.clip(highest - here, 0.0, LARGEST_RISE)
    return result


def _binned(seconds: Floats, load: Floats) -> tuple[Ints, Floats]:
    """The bins since the epoch that a history spans, and the log of the mean load in each; NaN where nothing is known."""
    if np.isfinite(load).sum() < 2:
        return np.empty(0, np.int64), np.empty(0)
    bins = np.arange(np.ceil(seconds[0] / BIN_SECONDS), np.floor(seconds[-1] / BIN_SECONDS)).astype(np.int64)
    return bins, log_load(_means(seconds, load, bins.astype(np.float64) * BIN_SECONDS, BIN_SECONDS))


def _is_fine(past: History) -> bool:
    return bool(len(past[0]) > 2 and np.median(np.diff(past[0])) <= COARSEST_STEP_SECONDS)


def _replayed(fine: Sequence[History | None]) -> tuple[float, float]:
    """The time of the histories that is replayed; nothing where there is none."""
    known = [past[0] for past in fine if past is not None]
    if not known:
        return 0.0, 0.0
    end = max(float(seconds[-1]) for seconds in known)
    return max(min(float(seconds[0]) for seconds in known), end - REPLAY_SECONDS), end


def _replay(
    memory: ForecastMemory, fine: Sequence[History | None], times: Floats, calendars: Calendars
) -> ForecastMemory:
    """Runs the forecaster over the ``times`` of the histories, all models at once, and keeps what it learned."""
    if not len(times):
        return memory
    loads = np.full((len(fine), len(times)), np.nan)
    for i, past in enumerate(fine):
        if past is not None:
            loads[i] = _means(past[0], past[1], times - REPLAY_STEP_SECONDS, REPLAY_STEP_SECONDS)
    replayed = replace(forecasts.empty(len(fine), REPLAY_STEP_SECONDS), season=memory.season)
    for column, now in enumerate(times):
        load = loads[:, column]
        replayed = forecasts.observe(replayed, load, float(now), forecasts.Counting(REPLAY_STEP_SECONDS), calendars)
        blind = np.where(np.isfinite(load), 0.0, REPLAY_STEP_SECONDS)
        replayed = forecasts.remembered(replayed, float(now), blind, calendars)
    replayed = forecasts.with_quantiles(replayed)
    rows = np.array([past is not None for past in fine])
    learned = {name: getattr(memory, name).copy() for name in (*LEARNED, "level")}
    for name, array in learned.items():  # of the others nothing was replayed
        array[rows] = getattr(replayed, name)[rows]
    return replace(memory, season=settled(replayed.season, calendars), **learned)


def _means(seconds: Floats, load: Floats, begins: Floats, width_seconds: float) -> Floats:
    """Mean load in each of the cells ``begins``, which follow each other; NaN where a gap is. Between steps longer than a cell it is
    interpolated, from middle to middle, but never over a step that is not known.
    """
    good = np.isfinite(load)
    if not len(begins) or not good.any():
        return np.full(len(begins), np.nan)
    step = float(np.median(np.diff(seconds)))
    if step <= width_seconds:
        cell = np.floor((seconds - begins[0]) / width_seconds)
        inside = good & (cell >= 0) & (cell < len(begins))
        count = np.bincount(cell[inside].astype(int), minlength=len(begins))
        total = np.bincount(cell[inside].astype(int), weights=load[inside], minlength=len(begins))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)
    middle, known = begins + 0.5 * width_seconds, seconds[good] + 0.5 * step
    after = np.searchsorted(known, middle)
    since = middle - known[np.maximum(after - 1, 0)]
    until = known[np.minimum(after, len(known) - 1)] - middle
    # At either end half a step is known beyond the middle, and within a gap nothing is.
    near = (np.abs(since) <= 0.5 * step) | (np.abs(until) <= 0.5 * step)
    within = (since >= 0.0) & (until >= 0.0) & (since + until <= LARGEST_GAP_STEPS * step)
    return np.where(near | within, np.interp(middle, known, load[good]), np.nan)
