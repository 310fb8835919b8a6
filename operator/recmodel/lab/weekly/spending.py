"""What was spent, how much of it while replicas had little to do, and what is left of the latency budget."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.lab.past.compare import Measured
from recmodel.lab.weekly.clock import HOUR_SECONDS, HOURS, Ints, means
from recmodel.lab.weekly.latencies import known
from recmodel.lab.weekly.values import Budget, Given, HalfLoad, Spent
from recmodel.prometheus.histogram import Bracket
from recmodel.prometheus.slot_questions import SLOT_SECONDS

HALF = 0.5


def spent_of(given: Given, carries: Mapping[str, HalfLoad], minutes: Ints, slots: Ints) -> Spent | None:
    """By the given prices; else by what the operator's own metrics say; else, of one pool, replica-hours. ``minutes`` and ``slots``: the
    hour of the day of each.
    """
    pools = given.past.pools
    decided = given.decisions.cost_per_hour if given.decisions is not None else np.full(1, np.nan)
    if given.prices:
        rates = np.array([pool.running * given.prices[pool.name] for pool in pools])
        return _spent(given, carries, rates, minutes, "money", "the prices given")
    if np.isfinite(decided).any():
        return _total(decided, slots)
    if len(pools) == 1:
        return _spent(given, carries, np.array([pools[0].running]), minutes, "replica-hours", "no price is given")
    return None


def _total(rates: Floats, slots: Ints) -> Spent:
    """What the operator says that was decided costs; what part of it is whose is not known."""
    hours = means(rates, slots, HOURS)
    unknown: tuple[None, ...] = (None,) * HOURS
    found = _known_total(rates, SLOT_SECONDS)
    return Spent(*found, "money", "recmodel_cost_per_hour", tuple(map(known, hours)), unknown, unknown, None, False)


def _known_total(rates: Floats, step_seconds: float) -> tuple[float, float, float]:
    """The cost of the steps of which it is known, the hours of these, and of all: 2.0 an hour, known of 1 of 3, is (2.0, 1.0, 3.0)."""
    a_step, there = step_seconds / HOUR_SECONDS, rates[np.isfinite(rates)]
    return float(there.sum()) * a_step, there.size * a_step, rates.size * a_step


def _spent(
    given: Given, carries: Mapping[str, HalfLoad], rates: Floats, places: Ints, of: str, source: str
) -> Spent | None:
    """``rates``: of each pool, cost an hour by the minute."""
    whole = rates.sum(0)
    if not np.isfinite(whole).any():
        return None
    halves = _at_half(given, carries, rates)
    both = np.isfinite(whole) & np.isfinite(halves)
    ratio = None
    if both.any():
        ratio = float(halves[both].sum()) / max(float(whole[both].sum()), 1e-9)
    return Spent(
        *_known_total(whole, given.past.step_seconds),
        of,
        source,
        tuple(map(known, means(whole, places, HOURS))),
        tuple(map(known, means(np.where(both, halves, np.nan), places, HOURS))),
        tuple(map(known, means(np.where(both, np.maximum(whole - halves, 0.0), np.nan), places, HOURS))),
        ratio,
        any(found.bound for found in carries.values()),
    )


def _at_half(given: Given, carries: Mapping[str, HalfLoad], rates: Floats) -> Floats:
    """The part of the cost by the minute at under half load; NaN where that is not known of each pool."""
    parts = []
    for pool, rate in zip(given.past.pools, rates, strict=True):
        found = carries.get(pool.name)
        if found is None:
            return np.full(rates.shape[1], np.nan)
        under = pool.per_second < HALF * found.per_second * pool.running
        parts.append(np.where(np.isfinite(pool.per_second) & np.isfinite(pool.running), under * rate, np.nan))
    return np.asarray(np.sum(parts, axis=0), np.float64)


def minutes_budget(given: Given, ran: Measured) -> Budget | None:
    """Of the minutes of the range that are known; None where none is."""
    number = int(ran.known.sum())
    if not number:
        return None
    over = Bracket(*(float((found & ran.known).sum()) for found in (ran.over_low, ran.over_high)))
    left = given.decisions.budget_left_ratio if given.decisions is not None else None
    return Budget(over, given.budget_ratio * number, number, left)
