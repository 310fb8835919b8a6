"""The accuracy budget: how much of the traffic each variant may answer, in the plan and in the weights."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recmodel.core.accuracy import allowed_shares, within_budget
from recmodel.core.engine import begin, step
from recmodel.core.fleet import pack
from recmodel.core.types import Model, Observation, Pool, PoolObservation


def model(budget: float | None, *losses: float | None) -> Model:
    pools = tuple(Pool(f"p{i}", 0, 50, 1.0, loss) for i, loss in enumerate(losses))
    return Model("shop/feed", 0.95, 0.1, pools, accuracy_budget_ratio=budget)


@pytest.mark.parametrize(
    ("budget", "losses", "expected"),
    [
        (None, (0.0, 0.5, None), (1.0, 1.0, 1.0)),  # no budget: anything may serve
        (0.01, (0.0, 0.004), (1.0, 1.0)),  # both within
        (0.01, (0.0, 0.04), (1.0, 0.25)),  # a quarter at 4 % and the rest at 0 is 1 % on average
        (0.01, (0.0, None), (1.0, 0.0)),  # never measured: nothing
        (0.01, (0.005, 0.03), (1.0, 0.2)),  # 0.2 * 3 % + 0.8 * 0.5 % = 1 %
        (0.0, (0.0, 0.001), (1.0, 0.0)),  # a budget of nothing
        (0.01, (0.02, 0.05), (1.0, 0.0)),  # none within: the least lossy serves all the same
    ],
)
def test_a_variant_over_the_budget_may_answer_the_share_that_keeps_the_mean_within_it(
    budget: float | None, losses: tuple[float | None, ...], expected: tuple[float, ...]
) -> None:
    assert allowed_shares(pack([model(budget, *losses)], 15.0, 60.0))[0] == pytest.approx(expected)


def test_shares_are_cut_to_what_is_allowed_and_the_rest_goes_to_the_others() -> None:
    shares = within_budget(np.array([[50.0, 50.0], [0.0, 100.0], [90.0, 10.0]]), np.array([[1.0, 0.25]] * 3))
    # The second row has no other pool that serves: requests are answered before the budget is kept.
    assert shares == pytest.approx(np.array([[75.0, 25.0], [0.0, 100.0], [90.0, 10.0]]))


def test_two_lossy_pools_share_one_budget() -> None:
    shares = within_budget(np.array([[20.0, 40.0, 40.0]]), np.array([[1.0, 0.25, 0.5]]))[0] / 100.0
    loss = np.array([0.0, 0.04, 0.02])
    assert shares.sum() == pytest.approx(1.0)
    assert float(shares @ loss) <= 0.01 + 1e-9


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
    assert weights["p1"] <= 25.0 + 1e-6
    assert ready["p0"] * carries["p0"] >= 300.0  # three quarters of 400 requests/s
    assert ready["p1"] <= 3  # no more than its quarter fills
