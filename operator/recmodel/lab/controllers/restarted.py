"""The engine of an operator that ends and begins again, with what the next process finds of what was learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np

from recmodel.core.engine import step
from recmodel.core.kept import keep, with_kept
from recmodel.core.types import Decision, Observation
from recmodel.lab.controllers.engine import begun
from recmodel.lab.simulator.scenario import Floats, Scenario
from recmodel.lab.trace import Trace

Finds = Literal["all", "kept", "kept, no past", "past", "nothing"]
AWAY_TICKS = 2  # in which nobody decides
HISTORY_STEP_SECONDS = 120.0  # of the operator's setting ``history_step_seconds``


class Restarted:
    """One model under the engine, which ends at ``at_seconds`` of the simulation. The next one ``finds`` what was kept of it, and the
    past in Prometheus; ``all``: it never ended.
    """

    def __init__(self, scenario: Scenario, past: Trace, rates: Floats, at_seconds: float, finds: Finds) -> None:
        self._scenario, self._past, self._rates, self._finds = scenario, past, rates, finds
        self._memory = begun(scenario, past)
        self._away = [at_seconds + scenario.tick_seconds * tick for tick in range(AWAY_TICKS + 1)]
        self._last: Decision | None = None

    def decide(self, observation: Observation) -> Decision:
        """One tick of the engine; while nobody decides, the decision stands."""
        now = observation.time_seconds - self._scenario.start_seconds
        if self._finds != "all" and self._last is not None:
            if self._away[0] <= now < self._away[-1]:
                return self._last
            if now == self._away[-1]:
                self._begin_again(observation.time_seconds)
        self._memory, decisions = step(self._memory, [observation], observation.time_seconds)
        self._last = decisions.unsplit(0)
        return self._last

    def _begin_again(self, now_seconds: float) -> None:
        """What is kept is of the last tick before the end, as after an end in order. Start-up times come back either way."""
        before, kept = self._memory, keep(self._memory, 0)
        past = self._read() if self._finds in ("kept", "past") else None
        memory = begun(self._scenario, past)
        if kept is not None and self._finds in ("kept", "kept, no past"):
            memory = with_kept(memory, {memory.fleet.models[0].key: kept}, now_seconds)
        pods = replace(memory.pods, startup_seconds=before.pods.startup_seconds)
        self._memory = replace(memory, pods=pods)

    def _read(self) -> Trace:
        """The past as Prometheus has it then."""
        begin, end = self._past.start_seconds, self._scenario.start_seconds + self._away[-1]
        seconds = np.arange(begin, end - HISTORY_STEP_SECONDS, HISTORY_STEP_SECONDS)
        since = self._scenario.start_seconds + np.arange(len(self._rates)) + 0.5
        known = np.concatenate([self._past.seconds + 0.5 * self._past.step_seconds, since])
        loads = np.concatenate([self._past.rates, self._rates])
        return Trace(begin, HISTORY_STEP_SECONDS, np.interp(seconds + 0.5 * HISTORY_STEP_SECONDS, known, loads))
