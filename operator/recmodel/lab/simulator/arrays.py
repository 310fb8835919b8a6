"""The arrays that the kernel works on: how pools serve, what pods hold, where requests may go, what was counted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from recmodel.lab.simulator.scenario import EDGES_SECONDS, Floats, Scenario, service_law, size_law

Integers = NDArray[np.int64]
Words = NDArray[np.uint64]

WORKER, BATCH = 0, 1
FINE_BINS = 2501  # latency bins of 1 ms per minute, the last one for 2.5 s and more


class Laws(NamedTuple):
    """How the pools serve; arrays by pool."""

    kind: Integers
    mean_seconds: Floats  # of a service, or the base of a batch
    item_seconds: Floats
    max_batch: Integers
    max_wait_seconds: Floats
    workers: Integers
    queue_limit: Integers
    noise: Floats  # (pools, strata): factors on a service time, equally likely
    sizes: Floats  # (strata,): relative request sizes, equally likely
    edges_seconds: Floats
    timeout_seconds: float
    threshold_seconds: float
    scrape_seconds: float
    least_of_all: bool


class Servers(NamedTuple):
    """The pods' state by slot. ``times``: a heap of departures at a worker pod, a ring of arrivals at a batch pod."""

    worker_free: Floats  # (slots, workers): when each worker has done all it was given
    free: Floats  # when the running batch ends
    in_service: Integers  # requests in that batch
    times: Floats  # (slots, queue limit)
    sizes: Floats  # (slots, queue limit), of the waiting requests
    head: Integers
    held: Integers  # entries of times


class Tally(NamedTuple):
    """Everything counted: by minute of arrival, and by pool and scrape interval of completion."""

    requests: Integers
    late: Integers  # over the threshold, failed ones included
    failed: Integers
    latency_seconds: Floats  # sums over the answered ones
    wait_seconds: Floats
    fine: NDArray[np.int32]  # (minutes, FINE_BINS), answered ones
    buckets: Integers  # (pools, intervals, edges + 1), not cumulative
    failures: Integers  # (pools, intervals)
    busy_seconds: Floats  # (pools, intervals)


class Routing(NamedTuple):
    """Where requests may go until the next change."""

    cumulative: Floats  # of the pools' shares; the last is 1, or 0 when nothing is ready
    ready: Integers  # (pools, most): slots of the ready pods
    ready_count: Integers
    slowdown: Floats


def laws_of(scenario: Scenario, generator: np.random.Generator) -> Laws:
    pools = scenario.pools
    return Laws(
        kind=np.array([WORKER if p.kind == "worker" else BATCH for p in pools], np.int64),
        mean_seconds=np.array([p.service_seconds if p.kind == "worker" else p.base_seconds for p in pools]),
        item_seconds=np.array([p.item_seconds for p in pools]),
        max_batch=np.array([p.max_batch for p in pools], np.int64),
        max_wait_seconds=np.array([p.max_wait_seconds for p in pools]),
        workers=np.array([p.workers for p in pools], np.int64),
        queue_limit=np.array([p.queue_limit for p in pools], np.int64),
        noise=np.stack([service_law(p, generator) for p in pools]),
        sizes=size_law(scenario.sizes, generator),
        edges_seconds=np.array(EDGES_SECONDS),
        timeout_seconds=scenario.timeout_seconds,
        threshold_seconds=scenario.threshold_seconds,
        scrape_seconds=scenario.scrape_seconds,
        least_of_all=scenario.balancing == "least",
    )


def empty_tally(scenario: Scenario, minutes: int, intervals: int) -> Tally:
    pools = len(scenario.pools)
    by_minute = [np.zeros(minutes, np.int64) for _ in range(3)]
    return Tally(
        requests=by_minute[0],
        late=by_minute[1],
        failed=by_minute[2],
        latency_seconds=np.zeros(minutes),
        wait_seconds=np.zeros(minutes),
        fine=np.zeros((minutes, FINE_BINS), np.int32),
        buckets=np.zeros((pools, intervals, len(EDGES_SECONDS) + 1), np.int64),
        failures=np.zeros((pools, intervals), np.int64),
        busy_seconds=np.zeros((pools, intervals)),
    )
