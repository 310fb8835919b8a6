"""What Prometheus and Kubernetes would show of the simulated model: scrapes, rate windows, delays and blindness."""

from __future__ import annotations

import math

import numpy as np

from recmodel.core.types import Observation, PoolObservation
from recmodel.lab.simulator.arrays import Tally
from recmodel.lab.simulator.pods import PodFleet
from recmodel.lab.simulator.scenario import EDGES_SECONDS, Scenario


class Monitor:
    """Turns the tally into observations. A sample at scrape k holds the counts of all intervals before k."""

    def __init__(self, scenario: Scenario, tally: Tally) -> None:
        self._scenario = scenario
        self._tally = tally
        pools, intervals = tally.failures.shape
        self.server_seconds = np.zeros((pools, intervals))  # of ready workers (or batch runners), by interval
        self.queue = np.zeros((pools, intervals + 1))  # at each scrape

    def observe(self, now: float, fleets: list[PodFleet], shares: dict[str, float]) -> Observation:
        """What is seen now. A rate is the increase between the window's first and last sample, over their distance."""
        scenario = self._scenario
        time = scenario.start_seconds + now
        if any(since <= now < until for since, until in scenario.blind):
            bare = {f.pool.name: PoolObservation(f.desired, len(f.ready(now))) for f in fleets}
            return Observation(time, bare)
        samples = self._visible_samples(now)
        pools = {
            fleet.pool.name: self._observe_pool(index, now, fleet, shares.get(fleet.pool.name), samples)
            for index, fleet in enumerate(fleets)
        }
        return Observation(time, pools)

    def _visible_samples(self, now: float) -> tuple[int, int] | None:
        scenario = self._scenario
        oldest = math.ceil((now - scenario.window_seconds) / scenario.scrape_seconds - 1e-9)
        newest = math.floor((now - scenario.scrape_delay_seconds) / scenario.scrape_seconds + 1e-9)
        seen = [
            k
            for k in range(max(oldest, 0), newest + 1)
            if not any(since <= k * scenario.scrape_seconds < until for since, until in scenario.blind)
        ]
        return (seen[0], seen[-1]) if len(seen) >= 2 else None

    def _observe_pool(
        self, index: int, now: float, fleet: PodFleet, share: float | None, samples: tuple[int, int] | None
    ) -> PoolObservation:
        known = PoolObservation(
            desired=fleet.desired,
            ready=len(fleet.ready(now)),
            unschedulable=fleet.pending(),
            weight=share,
            startup_seconds=fleet.startup_seconds(),
        )
        if samples is None:
            return known
        first, last = samples
        served_by = float(self.server_seconds[index, first:last].sum())
        if served_by <= 0.0:  # no pod was there to be scraped: unknown, not zero
            return known
        seconds = (last - first) * self._scenario.scrape_seconds
        errors = float(self._tally.failures[index, first:last].sum()) / seconds
        buckets = self._tally.buckets[index, first:last].sum(axis=0) / seconds
        rate = float(buckets.sum()) + errors
        if self._scenario.failed_in_latency:
            within = int(np.searchsorted(np.asarray(EDGES_SECONDS), self._scenario.timeout_seconds))
            buckets[min(within, buckets.size - 1)] += errors
        latency = dict(zip((*EDGES_SECONDS, math.inf), np.cumsum(buckets).tolist(), strict=True))
        utilisation = float(self._tally.busy_seconds[index, first:last].sum()) / served_by
        return PoolObservation(
            desired=known.desired,
            ready=known.ready,
            unschedulable=known.unschedulable,
            weight=known.weight,
            startup_seconds=known.startup_seconds,
            rate_per_second=rate,
            errors_per_second=errors,
            latency=latency,
            utilisation_ratio=min(utilisation, 1.0),
            queue=float(self.queue[index, last]),
        )
