"""The latency budget is spent, and never more than it: weeks in steps of three minutes, under the account and the quantile planned for.

The world is not the engine's: the load is a random walk that is drawn back, with days and bursts where that is said, replicas are
whole and start late, and lateness rises exponentially to saturation. Only the forecast's errors are taken as calibrated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest

from recmodel.core.arrays.fleet import Floats, pack
from recmodel.core.arrays.observed import see
from recmodel.core.engine import step
from recmodel.core.forecast.candidates import UPPER_QUANTILE
from recmodel.core.latency_budget import BOLDEST_QUANTILE, count, empty
from recmodel.core.memory import begin
from recmodel.core.types import Model, Observation, Pool, PoolObservation

BUDGET = 0.005
STEP_SECONDS = 180.0
WEEKS, DAY = 250, 480  # of steps
START_STEPS = 1  # until a replica that was ordered is ready
EVENT_SECONDS = STEP_SECONDS * START_STEPS + 60.0
SATURATION, SHARPNESS = 100.0, 24.0
PLANNED = SATURATION * (1.0 + math.log(0.65 * 0.05) / SHARPNESS)  # requests/s a replica
QUANTILES = np.linspace(BOLDEST_QUANTILE, UPPER_QUANTILE, 21)
POOL = Pool("cpu", 1, 10_000, 1.0)
ONE = PoolObservation(4, 4, 0, 100.0, 45.0, 100.0, 0.0, {0.1: 100.0, math.inf: 100.0})


@dataclass(frozen=True)
class Weeks:
    """What came of the weeks: the share of time over in every rolling week ``[T, M]``, and the mean replicas of each ``[M]``."""

    over: Floats
    replicas: Floats


def loads(kind: str, random: np.random.Generator, steps: int) -> Floats:
    """Requests/s ``[steps, M]`` of plants of 3 to 60 replicas, restless by 3 to 8 % over 10 to 60 minutes."""
    keeps, restless = np.exp(-STEP_SECONDS / random.uniform(600.0, 3600.0, WEEKS)), random.uniform(0.03, 0.08, WEEKS)
    moves, walk = random.standard_normal((steps, WEEKS)) * np.sqrt(1.0 - keeps**2), np.zeros((steps, WEEKS))
    for t in range(1, steps):
        walk[t] = keeps * walk[t - 1] + moves[t]
    base = PLANNED * np.exp(random.uniform(math.log(3.0), math.log(60.0), WEEKS)) * np.exp(restless * walk)
    if kind == "days":
        base = base * (0.65 + 0.35 * np.sin(2.0 * np.pi * np.arange(steps) / DAY))[:, None]
    if kind == "bursts":  # two a day, of six minutes, at twice the load
        begins = random.random((steps, WEEKS)) < 2.0 / DAY
        base = base * np.where(sum(np.roll(begins, t, axis=0) for t in range(2)) > 0, 2.0, 1.0)
    return np.asarray(base)


@cache
def weeks(kind: str, spends: bool) -> Weeks:
    """Nine days of all plants; two days before them have taught how far loads rise within a start-up."""
    random = np.random.default_rng(7)
    load = loads(kind, random, 11 * DAY)
    rises = np.maximum.reduce([np.log(load[t : t + 2 * DAY] / load[: 2 * DAY]) for t in range(START_STEPS + 2)])
    margins = np.quantile(rises, QUANTILES, axis=0)  # [Q, M]
    load = load[2 * DAY :]
    fleet = pack(
        [Model(f"shop/{i}", 0.95, 0.1, (POOL,), minutes_over_budget_ratio=BUDGET) for i in range(WEEKS)],
        STEP_SECONDS,
        STEP_SECONDS,
    )
    seen = see(fleet, [Observation(0.0, {"cpu": ONE})] * WEEKS)
    memory, budget, rows = empty(WEEKS), None, np.arange(WEEKS)
    ordered = np.repeat(np.ceil(load[:1] * np.exp(margins[-1]) / PLANNED), START_STEPS + 1, axis=0)
    spent, replicas = [], np.zeros(WEEKS)
    for t, now in enumerate(load):
        ready = ordered.min(0)
        late = np.exp(np.minimum(SHARPNESS * (now / ready / SATURATION - 1.0), 0.0))[:, None]
        memory, budget = count(
            memory,
            fleet,
            replace(seen, late_lower_ratio=late, late_upper_ratio=late),
            np.full(WEEKS, 100.0),
            STEP_SECONDS * t,
        )
        quantile = budget.upper_quantile(np.full(WEEKS, EVENT_SECONDS)) if spends else np.full(WEEKS, UPPER_QUANTILE)
        place = np.clip(np.rint((quantile - QUANTILES[0]) / (QUANTILES[1] - QUANTILES[0])), 0, 20).astype(int)
        wanted = np.ceil(now * np.exp(margins[place, rows]) / PLANNED)
        ordered = np.concatenate([ordered[1:], np.maximum(wanted, ordered[-1] * 0.9**3)[None]])
        replicas += ready
        if t >= 7 * DAY and t % 20 == 0:
            spent.append(budget.over_seconds / budget.known_seconds)
    return Weeks(np.array(spent), replicas / len(load))


@pytest.mark.parametrize("kind", ["steady", "days"])
def test_the_budget_is_spent_and_no_week_that_keeps_it_without_is_over_it(kind: str) -> None:
    """None of 200: with 95 % certainty at most 1.5 % of all weeks."""
    fixed, spending = weeks(kind, spends=False), weeks(kind, spends=True)
    kept = np.nonzero(fixed.over.max(0) <= BUDGET)[0][:200]
    assert len(kept) == 200
    assert (spending.over[:, kept].max(0) > BUDGET).sum() == 0
    assert spending.over[:, kept].mean() > 1.2 * fixed.over[:, kept].mean()
    assert spending.replicas[kept].mean() < 0.999 * fixed.replicas[kept].mean()


def test_where_more_minutes_are_over_than_the_budget_nothing_is_spent() -> None:
    fixed, spending = weeks("bursts", spends=False), weeks("bursts", spends=True)
    broken = fixed.over.max(0) > BUDGET
    assert broken.mean() > 0.7
    assert spending.over[:, broken].mean() == pytest.approx(fixed.over[:, broken].mean(), rel=0.01)


@pytest.mark.parametrize(
    ("hours", "over_minutes", "quantile"), [(0, 0, 0.95), (18, 0, 0.95), (168, 0, 0.75), (168, 25, 0.95)]
)
def test_the_quantile_that_is_planned_for_is_that_of_the_budget_and_is_told(
    hours: int, over_minutes: int, quantile: float
) -> None:
    memory = begin([Model("shop/feed", 0.95, 0.1, (POOL,))])
    counted = memory.latency_budget
    known, over = counted.known_seconds.copy(), counted.over_seconds.copy()
    known[:hours], over[0] = 3600.0, 60.0 * over_minutes
    counted = replace(counted, known_seconds=known, over_seconds=over, newest_seconds=np.array([167.5 * 3600.0]))
    memory, decisions = step(
        replace(memory, latency_budget=counted), [Observation(167.51 * 3600.0, {"cpu": ONE})], 167.51 * 3600.0
    )
    assert decisions.forecast.upper_quantile[0] == pytest.approx(quantile)
    assert f"(q{quantile:.2f})" in decisions[0].reasons[0].message
