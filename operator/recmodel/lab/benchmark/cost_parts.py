"""What the cost above the clairvoyant's is made of: at each tick one thing the engine goes by is replaced with the truth.

The chain goes from what the clairvoyant pays for the minute's load to what was paid for the decision. Each link is the cost of the
cheapest whole replicas for a load and a capacity, so the parts add up to the difference, and a part may be negative: who
plans on too much capacity pays less, and is late.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from recmodel.core.types import Decision
from recmodel.lab.benchmark.plants import Plant
from recmodel.lab.controllers.clairvoyant import Clairvoyant, minute_peaks
from recmodel.lab.simulator.result import Result
from recmodel.lab.simulator.scenario import Floats, PoolScenario

PARTS = ("forecast", "late budget", "capacity", "mix", "holds and guards", "nothing known")
SECONDS_PER_HOUR = 3600.0

Pools = tuple[PoolScenario, PoolScenario]


def cost_parts(plant: Plant, planned_tables: dict[str, Floats], result: Result, bound: Clairvoyant) -> dict[str, float]:
    """Each of :data:`PARTS`; their sum is the result's cost less the bound's.

    ``planned_tables`` are those of the plant at the late share that the engine plans for, instead of the whole budget.
    *forecast*: from the load of the minute to the upper forecast of the pool that starts fastest. *late budget*: from the whole
    budget to the planned share of it. *capacity*: from the true one to what the plan counts on. *mix*: from the cheapest mix
    by that to the proposed one. *holds and guards*: from there to what was paid. *nothing known*: all of it at ticks without
    a forecast or any capacity to count on.
    """
    pools = (plant.scenario.pools[0], plant.scenario.pools[1])
    tick = plant.scenario.tick_seconds
    hours = tick / SECONDS_PER_HOUR
    decisions = result.decisions
    minutes = np.minimum((np.arange(len(decisions)) * tick // 60.0).astype(int), len(bound.cost_by_minute) - 1)
    upper, each = _upper(decisions), _planned(decisions, pools)
    known = np.isfinite(upper) & np.isfinite(each).any(1)
    load = np.where(known, upper, 0.0)
    levels = [
        bound.cost_by_minute[minutes] * 60.0,  # of an hour at that rate
        cheapest_cost(pools, plant.tables, load),
        cheapest_cost(pools, planned_tables, load),
        cheapest_by_belief(pools, each, load),
        np.array([_cost(pools, decision.proposed_replicas) for decision in decisions]),
    ]
    parts = {
        name: hours * float((after - before)[known].sum())
        for name, before, after in zip(PARTS, levels, levels[1:], strict=False)
    }
    paid = float(result.cost.sum()) - bound.cost
    decided = np.array([decision.cost_per_hour or 0.0 for decision in decisions])
    parts["nothing known"] = hours * float((decided - levels[0])[~known].sum())
    parts["holds and guards"] = paid - sum(parts.values())
    return {name: parts[name] for name in PARTS}


def rounding_cost(plant: Plant, rates_per_second: Floats, bound: Clairvoyant) -> float:
    """What of the clairvoyant's cost comes of whole replicas and minima: beyond the cheapest pool's cost per request at its best."""
    unit = min(
        pool.price * (len(plant.tables[pool.name]) - 1) / float(plant.tables[pool.name][-1])
        for pool in plant.scenario.pools
    )
    return bound.cost - unit * float(minute_peaks(rates_per_second).sum()) / 60.0


def cheapest_cost(pools: Pools, tables: dict[str, Floats], load: Floats) -> Floats:
    """Cost per hour ``[T]`` of the cheapest whole replicas that carry each load ``[T]`` by the tables; the limits where none do."""
    first, second = (tables[pool.name] for pool in pools)
    best = np.full(len(load), pools[0].price * (len(first) - 1) + pools[1].price * (len(second) - 1))
    for count in range(pools[1].min_replicas, len(second)):
        needed = np.maximum(np.searchsorted(first, np.maximum(load - second[count], 0.0)), pools[0].min_replicas)
        cost = np.where(needed < len(first), pools[0].price * needed + pools[1].price * count, np.inf)
        best = np.minimum(best, cost)
    return best


def cheapest_by_belief(pools: Pools, each: Floats, load: Floats) -> Floats:
    """The same where each replica carries ``each`` ``[T, 2]`` requests/s; a pool of which that is NaN is not used."""
    able = np.where(np.isfinite(each), each, 0.0)
    first, second = pools
    best = np.full(len(load), first.price * first.max_replicas + second.price * second.max_replicas)
    for count in range(second.min_replicas, second.max_replicas + 1):
        rest = np.maximum(load - count * able[:, 1], 0.0)
        needed = np.ceil(rest / np.maximum(able[:, 0], 1e-9) - 1e-9)
        needed = np.maximum(needed, first.min_replicas)
        cost = np.where(needed <= first.max_replicas, first.price * needed + second.price * count, np.inf)
        best = np.minimum(best, cost)
    return best


def _upper(decisions: Sequence[Decision]) -> Floats:
    """The load planned for ``[T]``: the upper forecast of the pool that starts fastest; NaN where there is none."""
    forecasts = [min(d.forecast.values(), key=lambda f: f.horizon_seconds, default=None) for d in decisions]
    return np.array([np.nan if forecast is None else forecast.upper_per_second for forecast in forecasts])


def _planned(decisions: Sequence[Decision], pools: Pools) -> Floats:
    """Requests/s a replica that the plan counts on ``[T, 2]``; NaN: unknown."""
    estimates = [[decision.estimates.get(pool.name) for pool in pools] for decision in decisions]
    return np.array(
        [
            [np.nan if one is None or one.planned_per_replica is None else one.planned_per_replica for one in both]
            for both in estimates
        ]
    )


def _cost(pools: Pools, replicas: Mapping[str, int]) -> float:
    return sum(pool.price * replicas.get(pool.name, 0) for pool in pools)
