"""What is simulated: pools, gateway, clients and monitoring, as frozen values with the defaults of the benchmark."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from recmodel.core.types import UTC, Calendar, Model, Pool

Floats = NDArray[np.float64]

# A value that holds from a moment on: ((0.0, 1.0), (3600.0, 1.3)) is 1.0 in the first hour and 1.3 after it.
Schedule = tuple[tuple[float, float], ...]

# 20 equally likely request sizes in candidates to score (MLPerf inference, DLRM): mean 270, median 200.
MLPERF_SIZES = (100,) * 2 + (200,) * 12 + (300,) * 2 + (400, 500, 600, 700)

# Bucket edges in seconds of the latency histogram that a pool exports; +Inf follows.
EDGES_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)

STRATA = 1 << 13  # entries of a sampled law: equally likely values, so that its mean is exact


@dataclass(frozen=True, slots=True)
class PoolScenario:
    """How one pool serves, starts and is priced.

    ``kind="worker"``: every pod has ``workers`` that take one request each, for ``service_seconds`` on average.
    ``kind="batch"``: every pod runs one batch at a time, of at most ``max_batch`` requests, for ``base_seconds`` +
    ``item_seconds`` a request; an idle pod starts at once, or waits for a full batch for up to ``max_wait_seconds``.
    """

    name: str
    kind: Literal["worker", "batch"] = "worker"
    min_replicas: int = 1
    max_replicas: int = 200
    price: float = 1.0  # of one replica, per hour
    startup_seconds: float = 45.0  # creation to Ready, on average
    startup_jitter_ratio: float = 0.1  # coefficient of variation of the above
    initial_replicas: int | None = None  # None: enough for the first minute at 60 % of the capacity (see started())
    initial_weight: float = 1.0
    workers: int = 4
    service_seconds: float = 0.025
    service_cv: float = 0.5  # of a batch's duration too, where it is set for a batching pool
    service_law: Literal["lognormal", "exponential"] = "lognormal"
    base_seconds: float = 0.010
    item_seconds: float = 0.0012
    max_batch: int = 32
    max_wait_seconds: float = 0.0
    queue_limit: int = 1024  # requests at one pod, in service and waiting; more fail at once
    schedulable: Schedule = ((0.0, math.inf),)  # most pods that find a node; the rest stay pending
    cap_evicts: bool = False  # whether running pods above a lowered cap are lost too
    slowdown: Schedule = ((0.0, 1.0),)  # factor on every service time
    refreshes: tuple[
        float, ...
    ] = ()  # when a new version comes: pods are replaced one by one, each by one that is ready
    accuracy_loss_ratio: float | None = None  # of what the pool serves; None: not measured

    def nominal_capacity_per_second(self) -> float:
        """Requests/s of a saturated pod: 4 workers of 25 ms carry 160; batches of 32 in 48.4 ms carry 661."""
        if self.kind == "worker":
            return self.workers / self.service_seconds
        return self.max_batch / (self.base_seconds + self.item_seconds * self.max_batch)


CPU_POOL = PoolScenario("cpu")
GPU_POOL = PoolScenario("gpu", "batch", 0, 60, 2.5, 180.0, service_cv=0.0)


@dataclass(frozen=True, slots=True)
class Scenario:
    """One model's pools, its gateway, its clients, and what Prometheus shows of them."""

    pools: tuple[PoolScenario, ...] = (CPU_POOL, GPU_POOL)
    threshold_seconds: float = 0.1
    within_ratio: float = 0.95
    timeout_seconds: float = 1.0  # a request that waits longer has failed and leaves the queue
    balancing: Literal["p2c", "least"] = "p2c"  # least-request of two random pods of the pool, or of all its pods
    sizes: Literal["equal", "mlperf", "lognormal"] = "equal"  # candidates in a request; a service time grows with them
    burst_cv: float = 0.0  # of a gamma factor on the arrival rate, drawn again every burst_seconds; 0: Poisson arrivals
    burst_seconds: float = 10.0
    tick_seconds: float = 15.0
    scrape_seconds: float = 15.0
    window_seconds: float = 60.0  # of a rate
    scrape_delay_seconds: float = 15.0  # age that a sample has before it can be seen
    blind: tuple[tuple[float, float], ...] = ()  # intervals without Prometheus: optional fields are None
    failed_in_latency: bool = True  # whether failed requests are in the latency histogram, as at a gateway
    charge_pending: bool = True  # whether a pod that finds no node is paid for: cost runs from the order on
    start_seconds: float = 0.0  # time of the first second on the controller's clock; the schedules above count from it
    accuracy_budget_ratio: float | None = None  # mean loss over the traffic; None: no budget
    calendar: Calendar = UTC  # of the clients

    def model(self, key: str = "lab/model") -> Model:
        """The model as its owner would declare it, for an engine."""
        pools = tuple(Pool(p.name, p.min_replicas, p.max_replicas, p.price, p.accuracy_loss_ratio) for p in self.pools)
        return Model(
            key, self.within_ratio, self.threshold_seconds, pools, self.accuracy_budget_ratio, calendar=self.calendar
        )


def started(scenario: Scenario, first_rate_per_second: float) -> Scenario:
    """Fill in unset initial replicas.

    Pools with a minimum above 0 share the first load at 60 % of their capacity; the others start at their minimum.
    """
    carriers = [p for p in scenario.pools if p.min_replicas > 0] or list(scenario.pools[:1])
    share = first_rate_per_second / len(carriers)

    def initial(pool: PoolScenario) -> PoolScenario:
        if pool.initial_replicas is not None:
            return pool
        wanted = math.ceil(share / (0.6 * pool.nominal_capacity_per_second())) if pool in carriers else 0
        return replace(pool, initial_replicas=min(max(wanted, pool.min_replicas), pool.max_replicas))

    return replace(scenario, pools=tuple(initial(pool) for pool in scenario.pools))


def value_at(schedule: Schedule, seconds: float) -> float:
    """The value of a schedule at a moment; before its first entry, that entry's."""
    value = schedule[0][1]
    for since, entry in schedule:
        if since <= seconds:
            value = entry
    return value


def service_law(pool: PoolScenario, generator: np.random.Generator) -> Floats:
    """``STRATA`` equally likely factors on a service time, mean 1, in random order.

    They are quantiles at (i + 1/2) / STRATA, rescaled to mean 1; the far tail is cut at 1/16,384.
    """
    if pool.service_cv == 0.0 and pool.service_law == "lognormal":
        return np.ones(STRATA)
    if pool.service_law == "exponential":
        values = -np.log1p(-(np.arange(STRATA) + 0.5) / STRATA)
    else:
        values = np.exp(math.sqrt(math.log1p(pool.service_cv**2)) * _normal_quantiles())
    return generator.permutation(values / values.mean())


def size_law(sizes: str, generator: np.random.Generator) -> Floats:
    """``STRATA`` equally likely request sizes relative to their mean. "lognormal" is synthetic: median e^4."""
    if sizes == "equal":
        return np.ones(STRATA)
    if sizes == "mlperf":
        values = np.resize(np.asarray(MLPERF_SIZES, dtype=np.float64), STRATA)
    else:
        values = np.minimum(np.exp(4.0 + _normal_quantiles()), 1024.0)
    return generator.permutation(values / values.mean())


@cache
def _normal_quantiles() -> Floats:
    """Standard normal quantiles at the strata's middles, by the standard library: scipy is not a dependency."""
    inverse = NormalDist().inv_cdf
    return np.array([inverse((i + 0.5) / STRATA) for i in range(STRATA)])
