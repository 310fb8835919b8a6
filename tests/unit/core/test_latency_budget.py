"""The latency budget: which minutes count, over which week, and what is left of it."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from recmodel.core.arrays.fleet import Floats, pack
from recmodel.core.arrays.observed import see, total_load
from recmodel.core.engine import step
from recmodel.core.latency_budget import (
    HOUR_SECONDS,
    WEEK_HOURS,
    WEEK_SECONDS,
    LatencyBudget,
    LatencyBudgetMemory,
    count,
    empty,
    event_seconds,
    judged,
)
from recmodel.core.memory import begin
from recmodel.core.reindex import reindex, with_budget_left
from recmodel.core.types import Model, Observation, Pool, PoolObservation

FEED = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0), Pool("gpu", 0, 4, 3.0)))
ALLOWED_MINUTES = 50.4
GOOD, LATE = 0.0, 1.0


def observed(late: float | None, rate: float = 100.0) -> Observation:
    """Of one pool; ``late`` is the share of its requests, None unknown."""
    latency = None if late is None else {0.1: rate * (1.0 - late), math.inf: rate}
    return Observation(0.0, {"cpu": PoolObservation(4, 4, 0, 100.0, 45.0, rate, 0.0, latency)})


def tick(
    memory: LatencyBudgetMemory, now: float, late: float | None, tick_seconds: float = 15.0, model: Model = FEED
) -> tuple[LatencyBudgetMemory, LatencyBudget]:
    fleet = pack([model], tick_seconds, 60.0)
    seen = see(fleet, [observed(late)])
    return count(memory, fleet, seen, total_load(fleet, seen), now)


@pytest.mark.parametrize(
    ("pools", "known", "over"),
    [
        ({"cpu": (100.0, 0.04, 0.04)}, True, False),
        ({"cpu": (100.0, 0.05, 0.05)}, True, False),  # as many as may be
        ({"cpu": (100.0, 0.06, 0.06)}, True, True),
        ({"cpu": (100.0, 0.04, 0.06)}, False, False),  # the threshold lies inside a bucket
        ({"cpu": (100.0, 0.06, 0.4)}, True, True),
        ({"cpu": (90.0, 0.0, 0.0), "gpu": (10.0, 0.4, 0.4)}, True, False),  # 4 % of all
        ({"cpu": (90.0, 0.0, 0.0), "gpu": (10.0, 0.6, 0.6)}, True, True),
        ({"cpu": (97.0, 0.0, 0.0), "gpu": (3.0, None, None)}, True, False),  # whatever they were
        ({"cpu": (90.0, 0.0, 0.0), "gpu": (10.0, None, None)}, False, False),
        ({"cpu": (0.0, None, None)}, True, False),  # nobody asked
        ({"cpu": (None, None, None)}, False, False),
    ],
)
def test_a_minute_is_over_within_or_unknown(
    pools: dict[str, tuple[float | None, float | None, float | None]], known: bool, over: bool
) -> None:
    fleet = pack([FEED], 15.0, 60.0)
    said = {}
    for name, (rate, low, high) in pools.items():
        latency = None
        if rate and low is not None and high is not None:
            latency = {0.05: rate * (1.0 - high), 0.2: rate * (1.0 - low), math.inf: rate}
        said[name] = PoolObservation(4, 4, 0, 50.0, 45.0, rate, None if rate is None else 0.0, latency)
    seen = see(fleet, [Observation(0.0, said)])
    is_known, is_over = judged(fleet, seen, total_load(fleet, seen))
    assert (bool(is_known[0]), bool(is_over[0])) == (known, over)


def test_over_any_week_the_counts_are_those_of_its_hours() -> None:
    """Sixteen days of ticks at any times, some unknown, some missing: against a plain sum over what was seen."""
    random = np.random.default_rng(1)
    memory, now, seen = empty(1), 1.7e9, np.zeros((0, 3))
    rows: list[tuple[float, float, float]] = []
    for _ in range(4000):
        gap = float(random.choice([60.0, 300.0, 900.0, 40000.0], p=[0.5, 0.3, 0.19, 0.01]))
        now += gap
        late = random.choice([0.0, 0.2, math.nan], p=[0.8, 0.1, 0.1])
        memory, budget = tick(memory, now, None if math.isnan(late) else late, tick_seconds=300.0)
        rows.append((now, min(gap, 300.0) if rows else 300.0, late))
        if random.random() < 0.05:
            seen = np.array(rows)
            week = seen[np.floor(seen[:, 0] / HOUR_SECONDS) > now // HOUR_SECONDS - WEEK_HOURS]
            assert budget.known_seconds[0] == pytest.approx(week[np.isfinite(week[:, 2]), 1].sum(), abs=1.0)
            assert budget.over_seconds[0] == pytest.approx(week[week[:, 2] > 0.05, 1].sum(), abs=1.0)
    assert now - seen[0, 0] > 2 * WEEK_SECONDS  # several weeks were looked at


def test_what_is_left_is_of_the_known_minutes_and_of_those_to_come() -> None:
    memory = empty(1)
    memory, budget = tick(memory, 0.0, None)
    assert budget.use(0) is None  # nothing is known yet
    for now in np.arange(15.0, 615.0, 15.0):
        memory, budget = tick(memory, float(now), LATE if now <= 300.0 else GOOD)
    used = budget.use(0)
    assert used is not None
    assert (used.over_minutes, used.known_minutes) == (5.0, 10.0)
    assert used.allowed_minutes == pytest.approx(ALLOWED_MINUTES, abs=0.01)
    assert used.left_ratio == pytest.approx(1.0 - 5.0 / ALLOWED_MINUTES, abs=0.001)
    blind_hours = 20
    for hour in range(1, blind_hours + 1):
        memory, budget = tick(memory, 600.0 + hour * HOUR_SECONDS, None)
    used = budget.use(0)
    assert used is not None
    assert (used.over_minutes, used.known_minutes) == (5.0, 10.0)  # neither over nor within
    assert used.allowed_minutes == pytest.approx(ALLOWED_MINUTES - 0.005 * 60.0 * blind_hours, abs=0.01)


def test_after_a_week_without_metrics_the_week_begins_again() -> None:
    memory, _ = tick(empty(1), 0.0, LATE)
    memory, budget = tick(memory, WEEK_SECONDS + 2 * HOUR_SECONDS, GOOD)
    used = budget.use(0)
    assert used is not None
    assert used.over_minutes == 0.0
    assert used.allowed_minutes == pytest.approx(ALLOWED_MINUTES)


def test_ticks_that_come_often_count_once_and_a_clock_that_is_put_back_counts_nothing_twice() -> None:
    memory = empty(1)
    for now in range(61):
        memory, budget = tick(memory, float(now), LATE)
    assert budget.over_seconds[0] == 75.0  # the first tick stands for the window before it
    memory, budget = tick(memory, 30.0, LATE)
    assert budget.over_seconds[0] == 75.0
    memory, budget = tick(memory, 45.0, LATE)
    assert budget.over_seconds[0] == 90.0


def test_the_owner_may_change_the_budget_and_models_come_and_go() -> None:
    other = replace(FEED, key="shop/other")
    memory = begin([FEED])
    for now in (0.0, 15.0):
        memory, decisions = step(memory, [observed(LATE)], now)
    used = decisions[0].latency_budget
    assert used is not None
    assert (used.over_minutes, used.allowed_minutes) == (0.5, ALLOWED_MINUTES)
    memory = reindex([other, replace(FEED, minutes_over_budget_ratio=0.02)], memory)
    memory, decisions = step(memory, [observed(GOOD)] * 2, 30.0)
    new, kept = (decision.latency_budget for decision in decisions)
    assert new is not None
    assert kept is not None
    assert (new.over_minutes, kept.over_minutes) == (0.0, 0.5)
    assert kept.allowed_minutes == pytest.approx(4.0 * ALLOWED_MINUTES, abs=0.01)


def test_after_a_restart_what_was_spent_leaves_over_a_week() -> None:
    memory = with_budget_left(begin([FEED]), {}, {"shop/feed": 0.25})
    seen = see(memory.fleet, [observed(GOOD)])
    counted, left = memory.latency_budget, []
    for hour in range(0, WEEK_HOURS + 1, 4):
        counted, budget = count(counted, memory.fleet, seen, np.array([100.0]), hour * HOUR_SECONDS)
        left.append(float(budget.over_seconds[0] / (0.005 * WEEK_SECONDS)))
    assert left[0] == pytest.approx(0.75, abs=0.001)
    assert left[len(left) // 2] == pytest.approx(0.375, abs=0.01)
    assert left[-1] == 0.0


def test_ten_thousand_models_take_little_memory() -> None:
    memory = empty(10_000)
    arrays: list[Floats] = [getattr(memory, declared.name) for declared in fields(memory)]
    assert sum(array.nbytes for array in arrays) < 15e6


def test_a_week_of_which_nothing_was_known_has_no_budget_instead_of_one_that_is_spent() -> None:
    memory, _ = tick(empty(1), 0.0, GOOD)
    memory, budget = tick(memory, WEEK_SECONDS + 2 * HOUR_SECONDS, None)
    assert budget.use(0) is None
    assert budget.upper_quantile(np.array([160.0]))[0] == pytest.approx(0.95)


def test_an_event_ends_with_the_fastest_pool_that_is_not_on_trial() -> None:
    pools = (Pool("fast", 1, 9, 1.0), Pool("slow", 1, 9, 1.0))
    horizons = np.array([[100.0, 600.0]])
    for limit, expected in ((1.0, 160.0), (0.5, 660.0), (0.0, 660.0)):
        fleet = pack(
            [Model("shop/feed", 0.95, 0.1, (replace(pools[0], traffic_limit_ratio=limit), pools[1]))], 15.0, 60.0
        )
        assert event_seconds(fleet, horizons)[0] == expected
