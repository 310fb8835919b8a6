"""The usual course of the load: a day, and how each day of the week differs from it.

A day is 288 bins of five minutes of log load; newer days weigh more. The week is what the days of the week were off it, in half
hours: ``week`` begins at 0 and comes half of the way to what is seen each week, so after one week a difference is believed by
half, and what was never seen changes nothing. Only rises are taken from the season, never its height: the level is today's.

A bin is learned an hour after it has passed. Learned at once, the course behind would stand at today's height and the course
ahead at yesterday's, and on a day with twice the load every rise would look like a fall. The week is used while it earns its
place: while, over the last day or so, the rises that it predicted missed by clearly less than those of the day alone. Days and
weeks are those of each model's calendar: where the clocks change, the course moves with them, and time itself is UTC.

Shapes: ``[M]`` models, ``[M, H]`` times or horizons of each.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.calendars import ALL_UTC, DAY_SECONDS, Calendars
from recmodel.core.arrays.fleet import Bools, Floats, Ints

Small = NDArray[np.float32]
Half = NDArray[np.float16]
ValueT = TypeVar("ValueT", float, Floats)

BIN_SECONDS = 300.0
DAY_BINS = 288
HALF_HOUR_BINS = 6
WEEK_HALF_HOURS = 336
DAY_GAIN = 0.3  # of a day, of what the newest one was off
WEEK_GAIN = 0.5  # of a week
WAITING_BINS = 12  # an hour, longer than the longest horizon
LARGEST_RISE = 1.5  # of log load
ON_THE_WAY = np.array([0.25, 0.5, 0.75, 1.0])  # of a horizon
LEAST_LOAD = 1.0 / 60.0  # requests/s whose logarithm stands for none
SAVED_HALF_LIFE_SECONDS = DAY_SECONDS
LEAST_SAVED = 0.001  # of log load: chance alone saves a week that does not exist some of it


@dataclass(frozen=True)
class Season:
    """What is known of every model's usual course."""

    day: Small = field(metadata=axes("MB"))  # log of the usual load at that time of day; NaN where never seen
    week: Half = field(metadata=axes("MB"))  # log of what that half hour of the week is off the day; 0 where never seen
    jump: Half = field(metadata=axes("MB"))  # log of the largest jump that is usual within that bin, see forecast.jumps
    # by how much less the rises predicted with the week missed, in log load; a rolling mean
    saved_by_week: Floats = field(metadata=axes("M"))
    # log of the mean load in the last bins, which are yet to be learned; NaN unknown
    waiting: Small = field(metadata=axes("RM"))
    filling_sum: Floats = field(metadata=axes("M"))  # requests/s, of the ticks in the bin that is being filled
    filling_count: Floats = field(metadata=axes("M"))  # such ticks
    filling_jump: Floats = field(metadata=axes("M"))  # log of the largest jump in it
    bin: int  # the bin that is being filled, since the epoch; -1 before the first

    def day_at(self, times: Floats) -> Floats:
        """Log of the usual load at local times ``[M, H]``, of the day alone, between the middles of bins; NaN where unknown."""
        return _between(self.day, times, BIN_SECONDS)

    def week_at(self, times: Floats) -> Floats:
        """What the day of the week adds to :meth:`day_at`."""
        return _between(self.week, times, HALF_HOUR_BINS * BIN_SECONDS)

    @property
    def weekly(self) -> Bools:
        """Whether the week has earned its place ``[M]``."""
        return self.saved_by_week > LEAST_SAVED

    def change(self, since_seconds: Floats, now_seconds: float, calendars: Calendars = ALL_UTC) -> Floats:
        """Log of how far the usual load has moved since the times ``[M]``; 0 where unknown, or where there is no such time."""
        now = calendars.local(np.full((len(self.day), 1), now_seconds))
        since = calendars.local(since_seconds[:, None])
        moved = self.day_at(now) - self.day_at(since)
        moved += np.where(self.weekly[:, None], self.week_at(now) - self.week_at(since), 0.0)
        result: Floats = np.where(np.isfinite(moved) & np.isfinite(since), np.clip(moved, -1.0, 1.0), 0.0)[:, 0]
        return result

    def rises(
        self, horizon_seconds: Floats, now_seconds: float, calendars: Calendars = ALL_UTC
    ) -> tuple[Floats, Floats]:
        """Log of how far the load usually rises within each horizon ``[M, H]``, at least 0, by the day alone and with the week;
        NaN where it is not known. From 100 to 150 requests/s is 0.41.
        """
        now = calendars.local(np.full((len(self.day), 1), now_seconds))
        day, week = self.day_at(now), self.week_at(now)
        # The peak on the way counts, not the load at its end: [M, 4, H] times, looked up together.
        times = now_seconds + ON_THE_WAY[:, None] * horizon_seconds[:, None, :]
        shape, times = times.shape, calendars.local(times.reshape(len(day), times.shape[1] * times.shape[2]))
        by_day = self.day_at(times) - day
        by_week = by_day + self.week_at(times) - week
        highest = (np.fmax.reduce(rises.reshape(shape), axis=1) for rises in (by_day, by_week))
        by_day, by_week = (np.clip(rises, 0.0, LARGEST_RISE) for rises in highest)
        return by_day, by_week

    def believed(self, by_day: Floats, by_week: Floats) -> Floats:
        """Of rises ``[M, H]`` by the day and with the week, those with the week where that has earned its place."""
        return np.where(self.weekly[:, None], by_week, by_day)

    def rise(self, horizon_seconds: Floats, now_seconds: float, calendars: Calendars = ALL_UTC) -> Floats:
        """The rise to be believed within each horizon ``[M, H]``."""
        return self.believed(*self.rises(horizon_seconds, now_seconds, calendars))

    def jumps(self, horizon_seconds: Floats, now_seconds: float, calendars: Calendars = ALL_UTC) -> Floats:
        """Log of the largest jump ``[M, H]`` that is usual in a bin between now and each horizon, an hour ahead at most."""
        rows = np.arange(len(self.day))[:, None]
        now = calendars.local(np.full((len(self.day), 1), now_seconds))
        first = np.floor(now / BIN_SECONDS).astype(np.int64)
        ahead_seconds = np.clip(np.nan_to_num(horizon_seconds), 0.0, WAITING_BINS * BIN_SECONDS)
        last = np.floor((now + ahead_seconds) / BIN_SECONDS).astype(np.int64)
        result = np.zeros(horizon_seconds.shape)
        for ahead in range(int((last - first).max(initial=0)) + 1):
            result = np.maximum(result, self.jump[rows, np.minimum(first + ahead, last) % DAY_BINS])
        return result

    def without_waiting(self) -> Season:
        """What was learned, and nothing of the hour that is yet to be."""
        return replace(
            empty(len(self.day)), day=self.day, week=self.week, jump=self.jump, saved_by_week=self.saved_by_week
        )


def log_load(load: Floats) -> Floats:
    """Logarithm of a load in requests/s, of at least ``LEAST_LOAD``."""
    result: Floats = np.log(np.maximum(load, LEAST_LOAD))
    return result


def empty(models: int) -> Season:
    """No course is known."""
    return Season(
        day=np.full((models, DAY_BINS), np.nan, np.float32),
        week=np.zeros((models, WEEK_HALF_HOURS), np.float16),
        jump=np.zeros((models, DAY_BINS), np.float16),
        saved_by_week=np.zeros(models),
        waiting=np.full((WAITING_BINS, models), np.nan, np.float32),
        filling_sum=np.zeros(models),
        filling_count=np.zeros(models),
        filling_jump=np.zeros(models),
        bin=-1,
    )


def learn(
    season: Season, load: Floats, jump: Floats, known: Bools, now_seconds: float, calendars: Calendars = ALL_UTC
) -> Season:
    """The season after one tick with the loads ``[M]`` in requests/s, where they are ``known``, and the jumps of the last two minutes."""
    # What the newest tick shows of a jump began before it: where a bin begins, in the bin that ends.
    season = replace(season, filling_jump=np.maximum(season.filling_jump, np.where(known, jump, 0.0)))
    index = int(now_seconds // BIN_SECONDS)
    if index == season.bin - 1:
        index = season.bin  # a clock put back a little: that bin is full already
    if index < season.bin:
        season = season.without_waiting()
    if index != season.bin:
        season = _closed(season, index, calendars)
    return replace(
        season,
        filling_sum=season.filling_sum + np.where(known, load, 0.0),
        filling_count=season.filling_count + known,
    )


def judge(season: Season, rise: Floats, by_day: Floats, by_week: Floats, tick_seconds: float, largest: float) -> Season:
    """The season after the load rose by ``rise`` ``[M]`` within a horizon, where the day alone and the week had predicted the
    others; NaN: it was not seen. A miss counts as no more than ``largest``.
    """
    less = np.minimum(np.abs(rise - by_day), largest) - np.minimum(np.abs(rise - by_week), largest)
    saved = rolling_mean(season.saved_by_week, less, tick_seconds / SAVED_HALF_LIFE_SECONDS)
    return replace(season, saved_by_week=np.where(np.isfinite(less), saved, season.saved_by_week))


def rolling_mean(before: ValueT, value: ValueT, half_lives: float) -> ValueT:
    """The rolling mean of what a profile saved, after ``value`` was seen for so many half-lives."""
    gain: float = 1.0 - 0.5**half_lives
    return before + gain * (value - before)


def settled(season: Season, calendars: Calendars = ALL_UTC) -> Season:
    """The season where the past ends, without anything that waits: of that, what no earlier day knew is learned."""
    after = _closed(season, season.bin + WAITING_BINS + 1, calendars)
    day = np.where(np.isfinite(season.day), season.day, after.day)
    return replace(season, day=day).without_waiting()


def _closed(season: Season, index: int, calendars: Calendars) -> Season:
    """The season when the bin ``index`` begins: the one before waits, and what has waited for an hour is learned."""
    day, week, waiting = season.day.copy(), season.week, season.waiting.copy()
    mean = season.filling_sum / np.maximum(season.filling_count, 1.0)
    mean = np.where(season.filling_count > 0, log_load(mean), np.nan)
    # After a gap all that waited is learned, one bin later all is empty: there is no more to be done however long it was.
    for passed in range(season.bin, min(index, season.bin + WAITING_BINS + 1)) if season.bin >= 0 else ():
        slot, old = passed % WAITING_BINS, passed - WAITING_BINS
        seen = np.isfinite(waiting[slot])
        if seen.any():
            week = week.copy() if week is season.week else week
            local = local_bins(np.full(len(day), old), calendars)
            learn_bins(day, week, np.nonzero(seen)[0], local[seen], waiting[slot][seen])
        waiting[slot] = mean if passed == season.bin else np.nan
    zero = np.zeros_like(season.filling_sum)
    jump, filled = season.jump, np.nonzero(season.filling_count > 0)[0]
    if len(filled):
        jump = jump.copy()
        learn_jumps(
            jump, filled, local_bins(np.full(len(day), season.bin), calendars)[filled], season.filling_jump[filled]
        )
    return replace(
        season,
        day=day,
        week=week,
        jump=jump,
        waiting=waiting,
        filling_sum=zero,
        filling_count=zero,
        filling_jump=zero,
        bin=index,
    )


def local_bins(bins: Ints, calendars: Calendars) -> Ints:
    """Bins since the epoch ``[M]`` or ``[M, T]``, as the clocks of the models count them."""
    return np.floor(calendars.local(bins.astype(np.float64) * BIN_SECONDS) / BIN_SECONDS).astype(np.int64)


def on_other_clocks(season: Season, before: Calendars, after: Calendars) -> Season:
    """The season of models that went by the calendars ``before``: their courses turned to where the clocks ``after`` have them."""
    now = np.full(len(season.day), season.bin)
    shifts = local_bins(now, after.without_holidays()) - local_bins(now, before.without_holidays())
    day, week, jump = season.day.copy(), season.week.copy(), season.jump.copy()
    for model in np.nonzero(shifts)[0]:
        day[model] = np.roll(day[model], shifts[model])
        jump[model] = np.roll(jump[model], shifts[model])
        week[model] = np.roll(week[model], round(shifts[model] / HALF_HOUR_BINS))
    return replace(season, day=day, week=week, jump=jump)


def learn_bins(day: Small, week: Half, rows: Ints, bins: Ints, value: Small) -> None:
    """Changes ``day`` ``[M, DAY_BINS]`` and ``week`` by log loads ``value`` ``[N]``, each of a row and a local bin since the epoch: the
    models of one bin, or bins of one model, of which no two lie in the same half hour. ``rows`` or ``bins`` may be one for all.
    """
    expected = day[rows, bins % DAY_BINS]
    off = np.where(np.isfinite(expected), value - expected, 0.0)
    half_hour = (bins // HALF_HOUR_BINS) % WEEK_HALF_HOURS
    gain = 1.0 - (1.0 - WEEK_GAIN) ** (1.0 / HALF_HOUR_BINS)
    before = week[rows, half_hour].astype(np.float32)
    week[rows, half_hour] = before + gain * np.where(np.isfinite(expected), off - before, 0.0)
    day[rows, bins % DAY_BINS] = np.where(np.isfinite(expected), expected + DAY_GAIN * off, value)


def learn_jumps(jump: Half, rows: Ints, bins: Ints, value: Floats) -> None:
    """Changes ``jump`` ``[M, DAY_BINS]`` by the largest jumps ``[N]`` of local bins since the epoch. Unlike a height a jump needs no hour
    to wait: it is a difference.
    """
    before = jump[rows, bins % DAY_BINS].astype(float)
    jump[rows, bins % DAY_BINS] = before + DAY_GAIN * (value - before)


def _between(profile: Small | Half, times: Floats, bin_seconds: float) -> Floats:
    """The values ``[M, H]`` of a course ``[M, bins]`` at times, between the middles of its bins, which are used as a ring."""
    position = np.where(np.isfinite(times), times, 0.0) / bin_seconds - 0.5
    first = np.floor(position)
    share = position - first
    index = first.astype(np.int64) % profile.shape[1]
    rows = np.arange(len(profile))[:, None]
    low, high = profile[rows, index], profile[rows, (index + 1) % profile.shape[1]]
    result: Floats = (1.0 - share) * low + share * high
    return result
