"""A lower bound: who knows the true capacities and the load of every minute in advance, and starts pods in no time."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace

import numpy as np

from recmodel.lab.controllers.baselines import Static
from recmodel.lab.simulator.scenario import Floats, PoolScenario, Scenario, value_at
from recmodel.lab.simulator.simulation import simulate

SIZES = (1, 2, 4, 8, 16, 32, 64)  # replicas at which a pool is measured; between them, straight lines
REQUESTS = 60_000  # in one measurement, and at least 10 s: its share late is known to about 0.1 points
STEPS = 9  # halvings of the interval that holds the capacity: 1/512 of it


@dataclass(frozen=True)
class Clairvoyant:
    """Its cost, by minute and in all, and its replicas by pool."""

    cost_by_minute: Floats
    replicas: dict[str, Floats]

    @property
    def cost(self) -> float:
        """Of the whole time."""
        return float(self.cost_by_minute.sum())


def capacity_table(scenario: Scenario, pool: PoolScenario, seed: int = 0) -> Floats:
    """The largest load (requests/s) that 0, 1, ... replicas carry within the objective, found by simulation."""
    most = pool.max_replicas
    sizes = [size for size in SIZES if size < most] + [min(most, SIZES[-1])]
    per_replica = [capacity_per_replica(scenario, pool, size, seed) for size in sizes]
    replicas = np.arange(most + 1, dtype=np.float64)
    return replicas * np.interp(replicas, sizes, per_replica)


def capacity_per_replica(scenario: Scenario, pool: PoolScenario, replicas: int, seed: int = 0) -> float:
    """The largest load (requests/s) that each of ``replicas`` carries within the objective, found by simulation."""
    calm = replace(
        pool, min_replicas=replicas, max_replicas=replicas, initial_replicas=replicas, slowdown=((0.0, 1.0),)
    )
    calm = replace(calm, schedulable=((0.0, math.inf),))
    alone = replace(scenario, pools=(calm,), blind=(), burst_cv=0.0)
    hold = Static(alone, {pool.name: replicas}, {pool.name: 1.0})
    low, high = 0.0, pool.nominal_capacity_per_second()  # beyond it no queue lasts, however few seconds are simulated
    for _ in range(STEPS):
        middle = (low + high) / 2.0
        seconds = max(math.ceil(REQUESTS / (middle * replicas)), 10)
        rates = np.full(seconds, middle * replicas)
        late = simulate(alone, rates, hold, seed).summary().late_ratio
        low, high = (middle, high) if late <= 1.0 - scenario.within_ratio else (low, middle)
    return low


def clairvoyant(scenario: Scenario, rates_per_second: Floats, tables: dict[str, Floats] | None = None) -> Clairvoyant:
    """The cheapest whole replicas for the highest rate within each minute, with instant starts.

    Not an exact bound: a mixture could let one pool be late a little more than allowed, and a queue can ride out a peak
    of seconds. ``tables``: of :func:`capacity_table` by pool, where they are known already.
    """
    tables = tables or {pool.name: capacity_table(scenario, pool) for pool in scenario.pools}
    peaks = minute_peaks(rates_per_second)
    chosen = np.array([_cheapest(scenario, tables, minute * 60.0, peak) for minute, peak in enumerate(peaks)])
    price = np.array([pool.price for pool in scenario.pools])
    return Clairvoyant(chosen @ price / 60.0, {p.name: chosen[:, i] for i, p in enumerate(scenario.pools)})


def minute_peaks(rates_per_second: Floats) -> Floats:
    """The highest rate within each minute, the last one begun included."""
    minutes = math.ceil(len(rates_per_second) / 60)
    padded = np.resize(rates_per_second, minutes * 60)
    padded[len(rates_per_second) :] = rates_per_second[-1]
    result: Floats = padded.reshape(minutes, 60).max(axis=1)
    return result


def _cheapest(scenario: Scenario, tables: dict[str, Floats], now: float, rate: float) -> tuple[int, ...]:
    """Replicas by pool: every count of the later pools is tried, the first pool takes the rest."""
    first, *others = scenario.pools

    def carried(pool: PoolScenario) -> Floats:
        cap = max(min(value_at(pool.schedulable, now), pool.max_replicas), pool.min_replicas)
        return tables[pool.name][: int(cap) + 1] / value_at(pool.slowdown, now)

    most_first = carried(first)
    best, best_cost = (len(most_first) - 1, *(len(carried(pool)) - 1 for pool in others)), math.inf
    for counts in itertools.product(*(range(pool.min_replicas, len(carried(pool))) for pool in others)):
        rest = rate - sum(carried(pool)[count] for pool, count in zip(others, counts, strict=True))
        needed = max(int(np.searchsorted(most_first, max(rest, 0.0))), first.min_replicas)
        if needed >= len(most_first):
            continue
        mix = (needed, *counts)
        cost = sum(pool.price * count for pool, count in zip(scenario.pools, mix, strict=True))
        if cost < best_cost:
            best, best_cost = mix, cost
        if rest <= 0.0:
            break
    return best
