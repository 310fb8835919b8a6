"""The latency budget over a week: how many minutes were over the objective, how many may be, and what is left.

In each tick the newest rate window tells whether more requests were late than the objective allows. A tick counts for the time
since the one before, at most a tick, so with windows of a minute the sum is the expected number of minutes over, wherever minutes begin.
A tick in which that is unknown, since the load is, or since the threshold lies inside a histogram bucket, counts as neither:

    left = 1 - over / (budget * (known + what is yet to come of the first week))

At 0.5 % a week of 10,080 known minutes allows 50.4 over; where 1,000 of them were unknown it allows 45.4.

What is not spent is spent on less head-room: the quantile of the load that is planned for falls from 0.95 to 0.75. A load beyond the
plan is over the objective until new pods are ready and the rate window has passed it: the duration of an event. Events are rare and
independent, so the square root of their number has a standard deviation of a half, whatever their rate (Anscombe, 1948). With ``n``
events over and ``a`` allowed by what is known so far, a week like this one has more than ``a`` with the chance of
``2 * (sqrt(a) - sqrt(n))`` standard deviations. Nothing is spent at three or fewer; at five head-room is least.

Shapes: ``[M]`` models, ``R`` hours of a week in a ring; an hour of the clock has the same place each week.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Fleet, Floats
from recmodel.core.arrays.observed import Observed
from recmodel.core.forecast.candidates import UPPER_QUANTILE
from recmodel.core.types import LatencyBudgetUse

MINUTE_SECONDS, HOUR_SECONDS = 60.0, 3600.0
WEEK_HOURS = 168
WEEK_SECONDS = WEEK_HOURS * HOUR_SECONDS
BOLDEST_QUANTILE = 0.75  # of the load that is planned for: beyond it the head-room would not cover what usually happens
CAREFUL_DEVIATIONS, BOLDEST_DEVIATIONS = 3.0, 5.0  # that a week is away from being over its budget

Small = NDArray[np.float32]


@dataclass(frozen=True)
class LatencyBudgetMemory:
    """What was counted in the last week."""

    known_seconds: Small = field(metadata=axes("RM"))
    over_seconds: Small = field(metadata=axes("RM"))
    since_seconds: Floats = field(
        metadata=axes("M")
    )  # time of the first known tick, after none was for a week; NaN before
    newest_seconds: Floats = field(metadata=axes("M"))  # time of the newest tick; NaN before the first
    begins_with: Floats = field(metadata=axes("M"))  # share of the budget that is left at the first known tick


@dataclass(frozen=True)
class LatencyBudget:
    """The budget in one tick ``[M]``."""

    over_seconds: Floats  # in the last week
    known_seconds: Floats
    allowed_seconds: Floats  # that may be over in a week
    earned_seconds: Floats  # that may be over of what is known so far
    left_ratio: Floats  # 0..1; NaN where nothing was known for a week, or ever

    def upper_quantile(self, event_seconds: Floats) -> Floats:
        """The quantile ``[M]`` of the load that is planned for, where an event lasts ``event_seconds`` ``[M]``.

        At 0.5 %, with events of three minutes and none in the last days: 0.95 for 22 hours, 0.75 after two and a half days.
        """
        deviations = 2.0 * (np.sqrt(self.earned_seconds / event_seconds) - np.sqrt(self.over_seconds / event_seconds))
        boldness = np.clip((deviations - CAREFUL_DEVIATIONS) / (BOLDEST_DEVIATIONS - CAREFUL_DEVIATIONS), 0.0, 1.0)
        exceeded: Floats = (1.0 - UPPER_QUANTILE) * ((1.0 - BOLDEST_QUANTILE) / (1.0 - UPPER_QUANTILE)) ** boldness
        return 1.0 - exceeded

    def use(self, i: int) -> LatencyBudgetUse | None:
        """The minutes of model ``i``; None where nothing was known for a week, or ever."""
        if np.isnan(self.left_ratio[i]):
            return None
        seconds = self.over_seconds[i], self.allowed_seconds[i], self.known_seconds[i]
        over, allowed, known = (round(float(value) / MINUTE_SECONDS, 2) for value in seconds)
        return LatencyBudgetUse(over, allowed, known, round(float(self.left_ratio[i]), 3))


def empty(models: int) -> LatencyBudgetMemory:
    """Nothing was counted."""
    never = np.full(models, np.nan)
    return LatencyBudgetMemory(
        known_seconds=np.zeros((WEEK_HOURS, models), np.float32),
        over_seconds=np.zeros((WEEK_HOURS, models), np.float32),
        since_seconds=never,
        newest_seconds=never.copy(),
        begins_with=np.ones(models),
    )


def count(
    memory: LatencyBudgetMemory, fleet: Fleet, seen: Observed, load: Floats, now_seconds: float
) -> tuple[LatencyBudgetMemory, LatencyBudget]:
    """One tick. ``load`` ``[M]`` are the arrivals in requests/s; NaN unknown."""
    known, over = judged(fleet, seen, load)
    known_seconds, over_seconds = _this_week(memory, now_seconds)
    first = known & ~known_seconds.any(0)
    # Nobody knows in which hours another process saw the minutes that it counted: they leave the week bit by bit. What it spent was
    # earned before; what else it earned is not known.
    spent = np.where(first & np.isnan(memory.since_seconds), 1.0 - memory.begins_with, 0.0)
    recalled = np.nonzero(spent > 0)[0]
    known_seconds[:, recalled] = HOUR_SECONDS * spent[recalled]
    over_seconds[:, recalled] = HOUR_SECONDS * spent[recalled] * fleet.minutes_over_budget_ratio[recalled]
    elapsed = np.where(np.isnan(memory.newest_seconds), fleet.tick_seconds, now_seconds - memory.newest_seconds)
    seconds = np.clip(elapsed, 0.0, fleet.tick_seconds)
    hour = _hour(now_seconds)
    known_seconds[hour] += np.where(known, seconds, 0.0)
    over_seconds[hour] += np.where(over, seconds, 0.0)
    since = np.where(first, now_seconds - spent * WEEK_SECONDS, memory.since_seconds)
    memory = replace(
        memory,
        known_seconds=known_seconds,
        over_seconds=over_seconds,
        since_seconds=since,
        newest_seconds=np.full_like(since, now_seconds),
    )
    total, spent_seconds = known_seconds.sum(0, dtype=np.float64), over_seconds.sum(0, dtype=np.float64)
    to_come = np.clip(WEEK_SECONDS - np.nan_to_num(now_seconds - since), 0.0, WEEK_SECONDS)
    allowed = fleet.minutes_over_budget_ratio * np.minimum(total + to_come, WEEK_SECONDS)
    # A week of which nothing was known has no budget, which is not one that is spent.
    left = np.divide(allowed - spent_seconds, allowed, out=np.full_like(allowed, np.nan), where=allowed > 0)
    return memory, LatencyBudget(
        over_seconds=spent_seconds,
        known_seconds=total,
        allowed_seconds=allowed,
        earned_seconds=fleet.minutes_over_budget_ratio * total,
        left_ratio=np.where(np.isnan(since), np.nan, np.clip(left, 0.0, 1.0)),
    )


def event_seconds(fleet: Fleet, horizon_seconds: Floats) -> Floats:
    """How long a load beyond the plan is over the objective ``[M]``: until new pods of the fastest pool are ready, ``horizon_seconds``
    ``[M, P]``, and the rate window has passed it. A pool on trial, or rolled back, ends no event, unless no other does.

    With pools that take 100 and 600 s and a window of 60 s it is 160 s, and 660 s while the first one is on trial.
    """
    able = np.where(fleet.traffic_limit_ratio < 1.0, horizon_seconds.max(1, keepdims=True), horizon_seconds)
    result: Floats = fleet.smallest(able)[:, 0] + fleet.rate_window_seconds
    return result


def judged(fleet: Fleet, seen: Observed, load: Floats) -> tuple[Bools, Bools]:
    """Whether it is known ``[M]`` that more requests than the objective allows are late, or that they are not; and where they are.

    With 5 % allowed, 100 requests/s of which 2 to 4 % are late and 10 of which nothing is known may be over, or not.
    """
    rate = np.where(np.isfinite(seen.rate_per_second), seen.rate_per_second, 0.0)
    certain = (rate * np.nan_to_num(seen.late_lower_ratio, nan=0.0)).sum(1)
    possible = (rate * np.nan_to_num(seen.late_upper_ratio, nan=1.0)).sum(1)
    allowed = fleet.late_budget_ratio * rate.sum(1) * (1.0 + 1e-9)
    over = np.isfinite(load) & (certain > allowed)
    return over | (np.isfinite(load) & (possible <= allowed)), over


def _this_week(memory: LatencyBudgetMemory, now_seconds: float) -> tuple[Small, Small]:
    """What was counted, without the hours ``[R, M]`` that are a week old: those since the newest tick."""
    begun = np.floor(now_seconds / HOUR_SECONDS) - np.floor(memory.newest_seconds / HOUR_SECONDS)
    known, over = memory.known_seconds.copy(), memory.over_seconds.copy()
    if (begun > 0).any():
        age = (_hour(now_seconds) - np.arange(WEEK_HOURS)) % WEEK_HOURS
        old = age[:, None] < begun
        known[old], over[old] = 0.0, 0.0
    return known, over


def _hour(now_seconds: float) -> int:
    """The place of an hour in the week."""
    return int(now_seconds // HOUR_SECONDS) % WEEK_HOURS
