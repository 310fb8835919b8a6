"""The product's own engine as a controller of the lab: the same core that runs in the cluster."""

from __future__ import annotations

from recmodel.core.engine import step
from recmodel.core.memory import Memory, begin
from recmodel.core.types import Decision, Observation
from recmodel.lab.simulator.scenario import Scenario
from recmodel.lab.trace import Trace


def begun(scenario: Scenario, history: Trace | None) -> Memory:
    """The engine's memory before the first tick of a simulation."""
    return begin(
        [scenario.model()],
        tick_seconds=scenario.tick_seconds,
        history=None if history is None else [(history.seconds, history.rates)],
        rate_window_seconds=scenario.window_seconds,
    )


class EngineController:
    """One model under the engine; ``history`` is its load before the simulation, on the same clock."""

    def __init__(self, scenario: Scenario, history: Trace | None = None) -> None:
        self._memory = begun(scenario, history)

    def decide(self, observation: Observation) -> Decision:
        """One tick of the engine."""
        self._memory, decisions = step(self._memory, [observation], observation.time_seconds)
        return decisions.unsplit(0)
