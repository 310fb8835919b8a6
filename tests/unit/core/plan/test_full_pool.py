"""What the pool that is decided last has no room for is planned for on the others."""

from __future__ import annotations

import math

import pytest

from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.reasons import INFEASIBLE
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation

TICK_SECONDS = 15.0


def settled(pools: tuple[Pool, ...], rates: dict[str, float], startups: dict[str, float], rise: float) -> Decision:
    """After an hour of these rates, a replica each and all in time, the load rises by a share: the first decision of it."""
    memory = begin([Model("shop/feed", 0.95, 0.1, pools)], TICK_SECONDS)
    for tick in range(241):
        now = TICK_SECONDS * tick
        factor = 1.0 + rise if tick == 240 else 1.0
        seen = {}
        for pool in pools:
            rate = rates[pool.name] * factor
            latency = {0.05: 0.9 * rate, 0.1: rate, math.inf: rate}
            seen[pool.name] = PoolObservation(1, 1, 0, None, startups[pool.name], rate, 0.0, latency)
        memory, decisions = step(memory, [Observation(now, seen)], now)
    return decisions[0]


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
@pytest.mark.parametrize("startup_seconds", [20.0, 240.0])
def test_another_pool_grows_where_the_last_one_is_at_its_maximum(
    names: tuple[str, str], startup_seconds: float
) -> None:
    """Two pods of one price, 40 and 20 requests/s, and nothing more is known of them; the second pool may have one replica only.
    Whichever comes last by its name or is the slower one, the load of 90/s is carried by another replica of the first.
    """
    large, small = names
    pools = (Pool(large, 1, 3, 1.0), Pool(small, 1, 1, 1.0))
    found = settled(pools, {large: 40.0, small: 20.0}, {large: startup_seconds, small: 20.0}, 0.5)
    assert found.pools[large].replicas >= 2, found.reasons
    assert any(reason.reason == INFEASIBLE for reason in found.reasons) == (startup_seconds > 100.0), found.reasons
