"""The product's own engine for many simulations at once, as the rows of one fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recmodel.core.capacity.posterior import CapacityMemory
from recmodel.core.engine import step
from recmodel.core.failures import memory as failures
from recmodel.core.forecast import candidates
from recmodel.core.memory import begin
from recmodel.core.types import Decision, Observation, PoolDecision
from recmodel.lab.simulator.scenario import Scenario
from recmodel.lab.trace import Trace

NEVER_CHOSEN = 1e9  # a loss that no candidate of the forecast has, and that no tick brings down


class FleetEngine:
    """Models with the same ticks and rate windows, each with its past load or None; ``never`` is a candidate of the forecast that
    is never chosen, ``capacity`` what is known of the replicas before the first tick.
    """

    def __init__(
        self,
        scenarios: Sequence[Scenario],
        histories: Sequence[Trace | None],
        never: str | None = None,
        capacity: CapacityMemory | None = None,
    ) -> None:
        self._memory = begin(
            [scenario.model(f"lab/{number}") for number, scenario in enumerate(scenarios)],
            tick_seconds=scenarios[0].tick_seconds,
            history=[None if past is None else (past.seconds, past.rates) for past in histories],
            rate_window_seconds=scenarios[0].window_seconds,
        )
        if capacity is not None:
            self._memory = replace(self._memory, capacity=capacity, failing=failures.empty(capacity.evidence))
        self._never: int | None = None if never is None else getattr(candidates, never)

    def decide(self, observations: Sequence[Observation]) -> list[Decision]:
        """One tick: replicas and weights alone, since records with their reasons take longer than the decisions."""
        if self._never is not None:
            loss = np.where(np.arange(candidates.CANDIDATES) == self._never, NEVER_CHOSEN, self._memory.forecast.loss)
            self._memory = replace(self._memory, forecast=replace(self._memory.forecast, loss=loss))
        now = observations[0].time_seconds
        self._memory, decided = step(self._memory, observations, now)
        return [
            Decision(
                now,
                {
                    pool.name: PoolDecision(int(decided.replicas[i, k]), round(float(decided.weights[i, k]), 3))
                    for k, pool in enumerate(model.pools)
                },
                "Tracking",
                (),
            )
            for i, model in enumerate(self._memory.fleet.models)
        ]
