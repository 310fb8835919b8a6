"""A request-level simulation of one model under a controller. Usage::

    import numpy as np
    from recmodel.lab.simulator.simulation import CPU_POOL, GPU_POOL, Scenario, simulate
    from recmodel.lab.controllers.baselines import Hpa

    scenario = Scenario(pools=(CPU_POOL, GPU_POOL))  # the defaults; dataclasses.replace() for anything else
    rates = 300 + 200 * np.sin(np.arange(86400) / 86400 * 2 * np.pi)  # requests/s, one value a second (or lab.trace)
    result = simulate(scenario, rates, Hpa(scenario, target_ratio=0.7, gpu_share=0.5), seed=0)
    print(result.summary())  # minutes over, late, cost, replica-hours, scalings
    result.late_ratio, result.p95_seconds, result.cost, result.ready["cpu"], result.replicas["gpu"]  # by minute
    result.decisions  # by tick

The controller is any object with ``decide(observation: Observation) -> Decision``. It is asked every
``scenario.tick_seconds``, first at time 0, and what it says holds at once: replicas are ordered, weights are set. A
pool that its decision leaves out stays as it is. Only ``replicas`` and ``weight`` of each pool's decision are read. The
same seed gives the same arrivals whatever the controller does, and the same run for the same controller. Weights count
for pools with ready pods only; where those have weights of 0, requests go to ready pods in proportion to their number;
where no pod is ready, requests fail.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from typing import Protocol

import numpy as np

from recmodel.core.types import Decision, Observation
from recmodel.lab.simulator.arrays import Routing, empty_tally, laws_of
from recmodel.lab.simulator.kernel import drain, serve, waiting
from recmodel.lab.simulator.monitor import Monitor
from recmodel.lab.simulator.pods import PodFleet
from recmodel.lab.simulator.result import Result, Summary
from recmodel.lab.simulator.scenario import (
    CPU_POOL,
    GPU_POOL,
    Floats,
    PoolScenario,
    Scenario,
    started,
    value_at,
)
from recmodel.lab.simulator.slots import Slots

__all__ = ["CPU_POOL", "GPU_POOL", "Controller", "PoolScenario", "Result", "Scenario", "Summary", "simulate", "started"]

GIVE_UP_EVERY_SECONDS = 600.0  # of simulated time


class Controller(Protocol):
    """Whoever decides: an engine, a baseline."""

    def decide(self, observation: Observation) -> Decision:
        """Replicas and weights from now on."""


def simulate(
    scenario: Scenario,
    rates_per_second: Floats,
    controller: Controller,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    give_up: Callable[[int, int, float], bool] | None = None,
) -> Result:
    """Run a load (requests/s, one value a second); ``progress`` gets the share done once a simulated hour.

    Every ten minutes ``give_up`` is asked, with the minutes done, those over, and the cost so far: at True the run ends there.
    """
    run = ticks(scenario, rates_per_second, seed, progress, give_up)
    try:
        observation = next(run)
        while True:
            observation = run.send(controller.decide(observation))
    except StopIteration as ended:
        result: Result = ended.value
        return result


def ticks(
    scenario: Scenario,
    rates_per_second: Floats,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,
    give_up: Callable[[int, int, float], bool] | None = None,
) -> Generator[Observation, Decision, Result]:
    """The same run, tick by tick, for who decides outside it: yields what is seen, is sent what is decided, and returns the result."""
    rates = _with_bursts(scenario, np.ascontiguousarray(rates_per_second, dtype=np.float64), seed)
    if rates.ndim != 1 or not len(rates) or not np.all(np.isfinite(rates)) or rates.min() < 0.0:
        raise ValueError("the load must be a non-empty series of finite, non-negative requests/s, one value a second")
    return _Run(started(scenario, float(rates[:60].mean())), rates, seed).run(progress, give_up)


def _with_bursts(scenario: Scenario, rates: Floats, seed: int) -> Floats:
    """Multiply the load by independent gamma factors of mean 1, each for ``burst_seconds``."""
    if scenario.burst_cv <= 0.0:
        return rates
    shape = 1.0 / scenario.burst_cv**2
    step = max(int(scenario.burst_seconds), 1)
    factors = np.random.default_rng([seed, 4]).gamma(shape, 1.0 / shape, math.ceil(len(rates) / step))
    return rates * np.repeat(factors, step)[: len(rates)]


class _Run:
    """One simulation: from one change (tick, scrape, pod ready, schedule) to the next, the kernel serves."""

    def __init__(self, scenario: Scenario, rates: Floats, seed: int) -> None:
        self.scenario, self.rates = scenario, rates
        self.seconds = float(len(rates))
        generator = np.random.default_rng([seed, 0])
        self.laws = laws_of(scenario, generator)
        self.slots = Slots(self.laws)
        self.fleets = [
            PodFleet(pool, self.slots, np.random.default_rng([seed, 3, i])) for i, pool in enumerate(scenario.pools)
        ]
        words = np.random.default_rng([seed, 1]).integers(1, 1 << 63, size=3).astype(np.uint64)
        self.arrivals, self.choices, self.services = (words[i : i + 1].copy() for i in range(3))
        minutes = math.ceil(self.seconds / 60.0)
        self.tally = empty_tally(scenario, minutes, math.ceil(self.seconds / scenario.scrape_seconds) + 1)
        self.monitor = Monitor(scenario, self.tally)
        self.weights = {pool.name: pool.initial_weight for pool in scenario.pools}
        self.replica_seconds = np.zeros((len(scenario.pools), minutes))
        self.ready_seconds = np.zeros((len(scenario.pools), minutes))
        self.clock = np.array([-1.0])
        self.scalings = 0
        changes = {since for p in scenario.pools for s in (p.schedulable, p.slowdown) for since, _ in s}
        self.changes = sorted(changes | {since for p in scenario.pools for since in p.refreshes})

    def run(
        self, progress: Callable[[float], None] | None, give_up: Callable[[int, int, float], bool] | None
    ) -> Generator[Observation, Decision, Result]:
        """Tick by tick to the end of the load."""
        for fleet in self.fleets:
            fleet.begin(fleet.pool.initial_replicas or 0)
        decisions: list[Decision] = []
        deciding = 0.0
        now = 0.0
        tick = self.scenario.tick_seconds
        while now < self.seconds:
            observation = self.monitor.observe(now, self.fleets, self._shares(now))
            before = time.perf_counter()
            decision = yield observation
            deciding += time.perf_counter() - before
            decisions.append(decision)
            self._act(now, decision)
            until = min(now + tick, self.seconds)
            self._advance(now, until)
            hour_done, may_end = (until // every > now // every for every in (3600.0, GIVE_UP_EVERY_SECONDS))
            now = until
            if progress is not None and hour_done:
                progress(until / self.seconds)
            if give_up is not None and may_end and now < self.seconds:
                so_far = self._result(decisions, deciding, finished=False)
                if give_up(int(now / 60.0), int(so_far.over.sum()), float(so_far.cost.sum())):
                    return so_far
        return self._result(decisions, deciding, finished=True)

    def _result(self, decisions: list[Decision], deciding: float, *, finished: bool) -> Result:
        price = np.array([pool.price for pool in self.scenario.pools])
        names = [pool.name for pool in self.scenario.pools]
        return Result(
            scenario=self.scenario,
            tally=self.tally,
            replicas={name: self.replica_seconds[i] / 60.0 for i, name in enumerate(names)},
            ready={name: self.ready_seconds[i] / 60.0 for i, name in enumerate(names)},
            cost=price @ self.replica_seconds / 3600.0,
            scalings=self.scalings,
            decide_seconds=deciding / len(decisions),
            decisions=tuple(decisions),
            finished=finished,
        )

    def _act(self, now: float, decision: Decision) -> None:
        for index, fleet in enumerate(self.fleets):
            wanted = decision.pools.get(fleet.pool.name)
            if wanted is None:
                continue
            before = fleet.desired
            for pod in fleet.order(now, wanted.replicas):
                self._drain(now, index, pod.slot)
            self.scalings += fleet.desired != before
            if math.isfinite(wanted.weight) and wanted.weight >= 0.0:
                self.weights[fleet.pool.name] = wanted.weight

    def _drain(self, now: float, index: int, slot: int) -> None:
        pool = self.scenario.pools[index]
        factor = value_at(pool.slowdown, now)
        end = drain(now, index, slot, self.laws, self.slots.servers, self.tally, factor, self.services)
        self.slots.give_back(slot, end)
        self.replica_seconds[index, int(now / 60.0)] += min(end, self.seconds) - now

    def _advance(self, since: float, until: float) -> None:
        now = since
        while now < until:
            for index, fleet in enumerate(self.fleets):
                for pod in [*fleet.schedule(now), *fleet.refresh(now)]:
                    self._drain(now, index, pod.slot)
            end = min(until, self._next_change(now))
            serve(
                end, self.clock, self.rates, self._routing(now), self.laws, self.slots.servers, self.tally,
                self.arrivals, self.choices, self.services,
            )  # fmt: skip
            self._account(now, end)
            now = end

    def _next_change(self, now: float) -> float:
        scrape = self.scenario.scrape_seconds
        moments = [(math.floor(now / scrape + 1e-9) + 1) * scrape, (math.floor(now / 60.0 + 1e-9) + 1) * 60.0]
        moments += [fleet.next_ready(now) for fleet in self.fleets]
        moments += [since for since in self.changes if since > now]
        return min(moments)

    def _account(self, since: float, until: float) -> None:
        minute = int(since / 60.0 + 1e-9)
        scrape = self.scenario.scrape_seconds
        interval = int(since / scrape + 1e-9)
        for index, fleet in enumerate(self.fleets):
            ready = fleet.ready(since)
            paid = len(fleet.pods) - (0 if self.scenario.charge_pending else fleet.pending())
            self.replica_seconds[index, minute] += paid * (until - since)
            self.ready_seconds[index, minute] += len(ready) * (until - since)
            servers = fleet.pool.workers if fleet.pool.kind == "worker" else 1
            self.monitor.server_seconds[index, interval] += len(ready) * servers * (until - since)
            fleet.note_ready(since, until)
            if until >= (interval + 1) * scrape - 1e-9:
                slots = np.array(ready, np.int64)
                self.monitor.queue[index, interval + 1] = waiting(until, index, slots, self.laws, self.slots.servers)

    def _shares(self, now: float) -> dict[str, float]:
        """The share of the traffic that each pool gets now, in 0..1."""
        ready = {fleet.pool.name: len(fleet.ready(now)) for fleet in self.fleets}
        weights = {name: self.weights[name] if count else 0.0 for name, count in ready.items()}
        if sum(weights.values()) <= 0.0:
            weights = {name: float(count) for name, count in ready.items()}
        total = sum(weights.values())
        return {name: weight / total if total > 0.0 else 0.0 for name, weight in weights.items()}

    def _routing(self, now: float) -> Routing:
        slots = [fleet.ready(now) for fleet in self.fleets]
        shares = self._shares(now)
        cumulative = np.cumsum([shares[pool.name] for pool in self.scenario.pools])
        if cumulative[-1] > 0.0:
            last = int(np.flatnonzero([shares[pool.name] > 0.0 for pool in self.scenario.pools])[-1])
            cumulative[last:] = 1.0
        ready = np.zeros((len(slots), max(1, *map(len, slots))), np.int64)
        for index, chosen in enumerate(slots):
            ready[index, : len(chosen)] = chosen
        slowdown = np.array([value_at(pool.slowdown, now) for pool in self.scenario.pools])
        return Routing(cumulative, ready, np.array([len(s) for s in slots], np.int64), slowdown)
