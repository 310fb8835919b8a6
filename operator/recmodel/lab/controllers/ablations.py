"""The engine with one part taken out, as controllers: what each part is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recmodel.core.arrays.observed import see, total_load
from recmodel.core.engine import step
from recmodel.core.forecast import candidates, season
from recmodel.core.forecast.candidates import CANDIDATES, LEVEL, ForecastMemory
from recmodel.core.forecast.errors import ERROR_BINS, ERROR_LOW, ERROR_STEP
from recmodel.core.plan.mix import propose
from recmodel.core.plan.situation import Situation, assumed_capacity, least_replicas
from recmodel.core.pods import STARTUP_SECONDS_UNKNOWN, horizon, slower
from recmodel.core.traffic import weights
from recmodel.core.traffic.context import TrafficContext
from recmodel.core.types import Decision, Observation, PoolDecision
from recmodel.lab.controllers.baselines import Stabiliser
from recmodel.lab.controllers.engine import EngineController, begun
from recmodel.lab.controllers.truth import known_capacity
from recmodel.lab.simulator.scenario import Scenario
from recmodel.lab.trace import Trace

CERTAIN = 1e9  # residuals: so many that one day's own change nothing
FIXED_RATIO = 0.6  # of a saturated replica: what an owner writes down who wants to be safe, as KEDA's default here


class WithoutForecast:
    """The engine that takes the load of now for the largest one to come: no trend, no season, no head-room."""

    def __init__(self, scenario: Scenario) -> None:
        self._memory = begun(scenario, history=None)

    def decide(self, observation: Observation) -> Decision:
        """One tick, before which the forecaster forgets all but the level."""
        blank = _level_only(self._memory.forecast)
        memory = replace(self._memory, forecast=blank)
        self._memory, decisions = step(memory, [observation], observation.time_seconds)
        return decisions.unsplit(0)


class WithoutJointPlan:
    """An engine for each pool, each alone with a fixed share of the traffic: forecasts and learns, but mixes nothing."""

    def __init__(self, scenario: Scenario, gpu_share: float, history: Trace | None = None) -> None:
        fast, slow = scenario.pools
        self._shares = {fast.name: 1.0 - gpu_share, slow.name: gpu_share}
        self._engines = {}
        for pool in scenario.pools:
            share = self._shares[pool.name]
            if share > 0.0:
                # A pool that must carry its share cannot go to nothing.
                alone = replace(scenario, pools=(replace(pool, min_replicas=max(pool.min_replicas, 1)),))
                past = None if history is None else replace(history, rates=history.rates * share)
                self._engines[pool.name] = EngineController(alone, past)
        self._least = {pool.name: pool.min_replicas for pool in scenario.pools}

    def decide(self, observation: Observation) -> Decision:
        """One tick of every pool's own engine."""
        pools = {}
        for name, least in self._least.items():
            replicas = least
            if name in self._engines:
                alone = Observation(observation.time_seconds, {name: observation.pools[name]})
                replicas = self._engines[name].decide(alone).pools[name].replicas
            pools[name] = PoolDecision(replicas, self._shares[name])
        return Decision(observation.time_seconds, pools, "Tracking", ())


class WithoutLearning:
    """The engine's forecast and plan on a requests-per-replica that is written down (0.6 of a saturated one), HPA's way down."""

    def __init__(self, scenario: Scenario, history: Trace | None = None) -> None:
        memory = begun(scenario, history)
        self._forecast, self._fleet = memory.forecast, memory.fleet
        each = np.array([[FIXED_RATIO * pool.nominal_capacity_per_second() for pool in scenario.pools]])
        self._capacity = known_capacity(self._fleet, each)
        self._stabilisers = [Stabiliser() for _ in scenario.pools]
        self._seen_at = -np.inf

    def decide(self, observation: Observation) -> Decision:
        """One tick: forecast, plan, stabilise, weigh."""
        now, fleet = observation.time_seconds, self._fleet
        seen = see(fleet, [observation])
        load = total_load(fleet, seen)
        self._seen_at = now if np.isfinite(load[0]) else self._seen_at
        startup = np.where(np.isfinite(seen.startup_seconds), seen.startup_seconds, STARTUP_SECONDS_UNKNOWN)
        counting = candidates.Counting(fleet.tick_seconds, fleet.rate_window_seconds)
        self._forecast = candidates.observe(self._forecast, load, now, counting, fleet.calendars)
        blind_seconds = np.array([now - self._seen_at])
        ahead, self._forecast = candidates.predict(
            self._forecast, horizon(fleet, startup), now, blind_seconds, fleet.calendars
        )
        every, later = np.ones(startup.shape), slower(fleet, startup)
        each, assumed = assumed_capacity(fleet, self._capacity, seen.ready)
        proposal = propose(
            Situation(
                fleet=fleet,
                seen=seen,
                forecast=ahead,
                capacity=self._capacity,
                each=each,
                assumed=assumed,
                least=least_replicas(fleet),
                most=fleet.max_replicas,
                recent_loads=candidates.recent_loads(self._forecast),
                held=seen.desired,
                startup_seconds=startup,
                slower=later,
                allowed=every,
                dearer_seconds=np.zeros(startup.shape),
            )
        )
        wanted = proposal.replicas if np.isfinite(self._seen_at) else seen.desired
        replicas = np.array(
            [
                [
                    stabiliser.limit(now, int(seen.desired[0, k]), int(wanted[0, k]))
                    for k, stabiliser in enumerate(self._stabilisers)
                ]
            ]
        )
        shares = weights.weigh(
            TrafficContext(
                fleet=fleet,
                seen=seen,
                replicas=replicas,
                capacity=self._capacity,
                each=proposal.per_replica,
                load=load,
                rises=np.zeros(len(load), bool),
                slower=later,
                blind_seconds=blind_seconds,
            )
        )
        names = [pool.name for pool in fleet.models[0].pools]
        pools = {name: PoolDecision(int(replicas[0, k]), float(shares[0, k])) for k, name in enumerate(names)}
        return Decision(now, pools, "Tracking", ())


def _level_only(memory: ForecastMemory) -> ForecastMemory:
    """The same level, and the certainty that it stays: every quantile is the level, to within one bin of errors."""
    errors = np.zeros_like(memory.errors)
    errors[..., min(int(-ERROR_LOW / ERROR_STEP) - 1, ERROR_BINS - 1)] = CERTAIN
    loss = np.ones_like(memory.loss)
    loss[..., LEVEL % CANDIDATES] = 0.0
    return replace(memory, errors=errors, loss=loss, season=season.empty(len(memory.level)))
