"""The simulator against formulas, and against an independent simulation's figures."""

import math
from dataclasses import replace

import numpy as np
import pytest

from recmodel.lab.controllers.baselines import Static
from recmodel.lab.simulator.result import Result
from recmodel.lab.simulator.scenario import CPU_POOL, GPU_POOL, PoolScenario, Scenario
from recmodel.lab.simulator.simulation import simulate

pytestmark = pytest.mark.usefixtures("compiled_simulator")

MEAN = 0.1  # seconds of a service: long, so that bins of 1 ms are 1 % of it
UNLIMITED = 1e9


def run(pool: PoolScenario, pods: int, rate: float, seconds: int, balancing: str = "p2c") -> Result:
    pool = replace(pool, initial_replicas=pods, queue_limit=4096)
    slow = {"tick_seconds": 600.0, "scrape_seconds": 600.0}  # nothing is decided here, nor observed
    scenario = Scenario((pool,), timeout_seconds=UNLIMITED, balancing=balancing, **slow)  # type: ignore[arg-type]
    return simulate(scenario, np.full(seconds, rate), Static(scenario, {pool.name: pods}, {pool.name: 1.0}), seed=11)


def worker(workers: int, law: str = "exponential", cv: float = 1.0) -> PoolScenario:
    return replace(CPU_POOL, workers=workers, service_seconds=MEAN, service_law=law, service_cv=cv)  # type: ignore[arg-type]


def percentile(result: Result, ratio: float) -> float:
    row = np.cumsum(result.tally.fine.sum(axis=0, dtype=np.int64))
    place = int(np.searchsorted(row, ratio * row[-1]))
    before = row[place - 1]
    return (place + (ratio * row[-1] - before) / (row[place] - before)) / 1000.0


def mean_wait(result: Result) -> float:
    return float(result.tally.wait_seconds.sum() / result.requests.sum())


def erlang_c(servers: int, utilisation: float) -> float:
    """Probability of waiting in M/M/c, by the Erlang B recursion."""
    offered, blocked = servers * utilisation, 1.0
    for k in range(1, servers + 1):
        blocked = offered * blocked / (k + offered * blocked)
    return blocked / (1.0 - utilisation * (1.0 - blocked))


def mmc_percentile(servers: int, utilisation: float, ratio: float) -> float:
    """Sojourn percentile of M/M/c in units of the mean service, by halving its closed form."""
    waits, slack = erlang_c(servers, utilisation), servers - 1 - servers * utilisation

    def beyond(t: float) -> float:
        return math.exp(-t) * (1.0 + waits * (1.0 - math.exp(-t * slack)) / slack)

    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if beyond(middle) > 1.0 - ratio else (low, middle)
    return low


@pytest.mark.parametrize(("servers", "utilisation"), [(1, 0.5), (1, 0.8), (4, 0.7), (8, 0.85), (16, 0.9)])
def test_one_pod_with_c_workers_is_the_mmc_queue(servers: int, utilisation: float) -> None:
    rate = utilisation * servers / MEAN
    result = run(worker(servers), 1, rate, int(1_000_000 / rate))
    wait = erlang_c(servers, utilisation) * MEAN / (servers * (1.0 - utilisation))
    assert mean_wait(result) == pytest.approx(wait, rel=0.04)
    for ratio in (0.5, 0.95, 0.99):
        expected = mmc_percentile(servers, utilisation, ratio) * MEAN
        assert percentile(result, ratio) == pytest.approx(expected, rel=0.04)


@pytest.mark.parametrize(("servers", "cv"), [(1, 0.5), (1, 1.5), (4, 0.5), (8, 0.5)])
def test_the_mean_wait_in_mgc_is_allen_and_cunneens(servers: int, cv: float) -> None:
    utilisation = 0.8
    rate = utilisation * servers / MEAN
    result = run(worker(servers, "lognormal", cv), 1, rate, int(800_000 / rate))
    exponential = erlang_c(servers, utilisation) * MEAN / (servers * (1.0 - utilisation))
    # Exact for one server (Pollaczek-Khinchine). Else an approximation: 13 % too high for 8 servers and cv 1.5.
    assert mean_wait(result) == pytest.approx((1 + cv**2) / 2 * exponential, rel=0.04 if servers == 1 else 0.08)


@pytest.mark.parametrize(("balancing", "p95"), [("p2c", 6.30), ("least", 4.66)])
def test_balancing_over_pods_agrees_with_an_independent_simulation(balancing: str, p95: float) -> None:
    """8 pods of one worker at utilisation 0.85, exponential services: p95 in units of the mean service."""
    result = run(worker(1), 8, 0.85 * 8 / MEAN, 12_000, balancing)
    assert percentile(result, 0.95) / MEAN == pytest.approx(p95, rel=0.04)


def test_batches_of_one_are_the_md1_queue() -> None:
    utilisation = 0.7
    pool = replace(GPU_POOL, base_seconds=MEAN, item_seconds=0.0, max_batch=1)
    result = run(pool, 1, utilisation / MEAN, 60_000)
    assert mean_wait(result) == pytest.approx(utilisation * MEAN / (2 * (1 - utilisation)), rel=0.03)


def test_an_overloaded_batching_pod_answers_full_batches_and_loses_nothing() -> None:
    pool = replace(GPU_POOL, initial_replicas=1)
    scenario = Scenario((pool,))
    result = simulate(scenario, np.full(1200, 900.0), Static(scenario, {"gpu": 1}, {"gpu": 1.0}), seed=3)
    answered, failed = int(result.tally.fine.sum()), int(result.tally.failed.sum())
    assert answered == pytest.approx(1200 * pool.nominal_capacity_per_second(), rel=0.01)
    # All but the at most 1,024 that wait at the end are accounted for.
    assert 0 <= int(result.requests.sum()) - answered - failed <= pool.queue_limit


def test_heavier_request_sizes_make_a_heavier_tail_at_the_same_mean() -> None:
    quiet = replace(worker(4, "lognormal", 0.0), initial_replicas=4)
    tails = []
    for sizes in ("equal", "mlperf", "lognormal"):
        scenario = Scenario((quiet,), timeout_seconds=UNLIMITED, sizes=sizes)  # type: ignore[arg-type]
        result = simulate(scenario, np.full(3_000, 60.0), Static(scenario, {"cpu": 4}, {"cpu": 1.0}), seed=5)
        service = (result.tally.latency_seconds.sum() - result.tally.wait_seconds.sum()) / result.requests.sum()
        assert service == pytest.approx(MEAN, rel=0.02)
        tails.append(percentile(result, 0.95))
    assert tails == sorted(tails)
    assert tails[0] < tails[1] < tails[2]
