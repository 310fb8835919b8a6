"""The accuracy budget: how much of the traffic each variant may answer, in the plan and in the weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from recmodel.core.arrays.fleet import pack
from recmodel.core.arrays.observed import see
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.traffic.accuracy import allowed_shares, trial_limits, within_budget, within_limits
from recmodel.core.types import Model, Observation, Pool, PoolDecision, PoolObservation


def model(budget: float | None, *losses: float | None) -> Model:
    pools = tuple(Pool(f"p{i}", 0, 50, 1.0, loss) for i, loss in enumerate(losses))
    return Model("shop/feed", 0.95, 0.1, pools, accuracy_budget_ratio=budget)


@pytest.mark.parametrize(
    ("budget", "losses", "expected"),
    [
        (None, (0.0, 0.5, None), (1.0, 1.0, 1.0)),  # no budget: anything may serve
        (0.01, (0.0, 0.004), (1.0, 1.0)),  # both within
        (0.01, (0.0, 0.01), (1.0, 1.0)),  # exactly the budget is within
        (0.01, (0.0, 0.04), (1.0, 0.225)),  # a quarter at 4 % and the rest at 0 is 1 %; a tenth of it is kept back
        (0.01, (0.0, None), (1.0, 0.0)),  # never measured: nothing
        (0.01, (0.005, 0.03), (1.0, 0.18)),  # 0.18 * 3 % + 0.82 * 0.5 % = 0.95 %
        (0.0, (0.0, 0.001), (1.0, 0.0)),  # a budget of nothing
        (0.01, (0.02, 0.05), (1.0, 0.0)),  # none within: the least lossy serves all the same
    ],
)
def test_a_variant_over_the_budget_may_answer_the_share_that_keeps_the_mean_within_it(
    budget: float | None, losses: tuple[float | None, ...], expected: tuple[float, ...]
) -> None:
    assert allowed_shares(pack([model(budget, *losses)], 15.0, 60.0))[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("shares", "loss", "expected"),
    [
        ((50.0, 50.0), (0.0, 0.04), (75.0, 25.0)),
        ((90.0, 10.0), (0.0, 0.04), (90.0, 10.0)),  # it is within already
        (
            (0.0, 100.0),
            (0.0, 0.04),
            (0.0, 100.0),
        ),  # nobody else serves: requests are answered before the budget is kept
        ((50.0, 50.0), (0.0, math.inf), (100.0, 0.0)),  # never measured
        ((0.0, 50.0, 50.0), (0.0, 0.04, math.inf), (0.0, 100.0, 0.0)),
        (
            (40.0, 40.0, 20.0),
            (0.0, 0.01, 0.04),
            (300 / 7, 300 / 7, 100 / 7),
        ),  # the second one uses up some of it as well
        ((50.0, 0.0), (math.inf, 0.0), (50.0, 0.0)),
    ],
)
def test_shares_are_cut_to_what_is_allowed_and_the_rest_goes_to_the_others(
    shares: tuple[float, ...], loss: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    budget = np.array([0.01])
    assert within_budget(np.array([shares]), np.array([loss]), budget, budget)[0] == pytest.approx(expected)


def test_whatever_the_shares_their_mean_loss_is_within_the_budget_if_anyone_is() -> None:
    random = np.random.default_rng(5)
    shares, loss = (
        random.random((400, 4)) * 100,
        np.where(random.random((400, 4)) < 0.5, 0.0, 0.05) * random.random((400, 4)),
    )
    loss[:, 0] = 0.002
    budget = np.full(400, 0.01)
    kept = within_budget(shares, loss, budget, budget)
    assert kept.sum(1) == pytest.approx(shares.sum(1))
    assert ((kept * loss).sum(1) / kept.sum(1)).max() <= 0.01 + 1e-9
    unlimited = within_budget(shares, loss, budget, np.full(400, 1.0))
    assert unlimited == pytest.approx(shares)


@pytest.mark.parametrize(
    ("shares", "limit", "expected"),
    [
        ((50.0, 50.0), (1.0, 0.05), (95.0, 5.0)),
        ((60.0, 30.0, 10.0), (1.0, 0.05, 1.0), (60.0 + 25.0 * 6 / 7, 5.0, 10.0 + 25.0 / 7)),
        ((40.0, 40.0, 20.0), (0.5, 0.1, 1.0), (50.0, 10.0, 40.0)),  # the first has no more room
        ((100.0, 0.0), (0.05, 1.0), (100.0, 0.0)),  # nobody else is ready
        ((80.0, 20.0), (0.0, 0.0), (80.0, 20.0)),
        ((0.0, 0.0), (0.5, 0.5), (0.0, 0.0)),
    ],
)
def test_a_pool_gets_no_more_than_its_limit_if_others_can_take_the_rest(
    shares: tuple[float, ...], limit: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    assert within_limits(np.array([shares]), np.array([limit]))[0] == pytest.approx(expected)


def trial(limit: float, weights: tuple[float, float], able: tuple[float, float], load: float) -> float:
    """The limit that holds now for a pool on trial beside another one."""
    feed = Model("shop/feed", 0.95, 0.1, (Pool("old", 0, 9, 1.0), Pool("new", 0, 9, 1.0, traffic_limit_ratio=limit)))
    fleet = pack([feed], 15.0, 60.0)
    pools = {p.name: PoolObservation(2, 2, weight=w) for p, w in zip(feed.pools, weights, strict=True)}
    seen = see(fleet, [Observation(0.0, pools)])
    return float(trial_limits(fleet, seen, np.array([able]), np.array([load]))[0, 1])


def test_a_lowered_limit_is_reached_as_fast_as_the_others_can_carry_the_rest() -> None:
    assert trial(0.05, (50.0, 50.0), (1000.0, 1000.0), 900.0) == 0.05
    assert trial(0.05, (50.0, 50.0), (700.0, 1000.0), 1000.0) == pytest.approx(0.3)
    assert trial(0.05, (95.0, 5.0), (700.0, 1000.0), 1000.0) == 0.05  # it never rises above what it has
    assert trial(0.0, (50.0, 50.0), (100.0, 1000.0), 1000.0) == 0.0  # what was taken back answers nothing


def decided(
    pools: tuple[Pool, ...], load: float, replicas: tuple[int, ...], ticks: int = 30
) -> dict[str, PoolDecision]:
    """What a model settles at: pods of 50 requests/s, started at once."""
    feed = Model("shop/feed", 0.95, 0.1, pools)
    memory = begin([feed])
    ready = {pool.name: count for pool, count in zip(pools, replicas, strict=True)}
    weights = dict.fromkeys(ready, 1.0)
    last: dict[str, PoolDecision] = {}
    for tick in range(ticks):
        total = sum(weights[name] for name, count in ready.items() if count)
        seen = {}
        for name, count in ready.items():
            rate = load * weights[name] / total if count else 0.0
            late = min(1.0, math.exp(20.0 * (rate / max(count, 1) / 50.0 - 1.0)))
            latency = {0.1: rate * (1.0 - late), math.inf: rate}
            seen[name] = PoolObservation(count, count, 0, weights[name], 45.0, rate, 0.0, latency)
        memory, decisions = step(memory, [Observation(15.0 * tick, seen)], 15.0 * tick)
        last = dict(decisions[0].pools)
        ready = {name: pool.replicas for name, pool in last.items()}
        weights = {name: pool.weight for name, pool in last.items()}
    return last


def test_a_pool_on_trial_runs_gets_its_share_and_is_not_relied_upon_for_more() -> None:
    old, new = Pool("old", 1, 50, 1.0), Pool("new", 0, 50, 0.1, traffic_limit_ratio=0.05)
    last = decided((old, new), 400.0, (12, 2))
    assert last["new"].weight == pytest.approx(5.0, abs=0.1)  # though it is ten times as cheap
    assert last["old"].replicas * 50.0 >= 0.95 * 400.0
    assert 1 <= last["new"].replicas <= 2
    dear = decided((old, replace(new, cost_per_hour=50.0)), 400.0, (12, 1))
    assert dear["new"].replicas == 1  # though nobody would run it for its price
    assert dear["new"].weight >= 1.0
    back = decided((old, replace(new, traffic_limit_ratio=0.0)), 400.0, (12, 2))
    assert back["new"].weight == 0.0


def test_the_mix_keeps_the_budget_and_the_good_pool_is_large_enough_for_its_share() -> None:
    """The light pool is far cheaper a request, but only a quarter of the traffic may go to it."""
    ready = {"p0": 10, "p1": 3}
    feed = model(0.01, 0.0, 0.04)
    memory = begin([feed])
    carries = {"p0": 50.0, "p1": 400.0}
    weights = {"p0": 75.0, "p1": 25.0}
    for tick in range(60):
        rates = {name: 400.0 * weights[name] / sum(weights.values()) for name in ready}
        pools = {}
        for name, count in ready.items():
            rate = rates[name]
            late = min(1.0, math.exp(20.0 * (rate / max(count, 1) / carries[name] - 1.0)))
            latency = {0.1: rate * (1.0 - late), math.inf: rate}
            pools[name] = PoolObservation(count, count, 0, weights[name], 45.0, rate, 0.0, latency)
        memory, decisions = step(memory, [Observation(15.0 * tick, pools)], 15.0 * tick)
        decided = decisions[0]
        weights = {name: pool.weight for name, pool in decided.pools.items()}
        ready = {name: pool.replicas for name, pool in decided.pools.items()}
    assert weights["p1"] <= 22.5 + 1e-3
    assert ready["p0"] * carries["p0"] >= 300.0  # three quarters of 400 requests/s
    assert ready["p1"] <= 3  # no more than its quarter fills
