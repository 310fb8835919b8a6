"""Simulations that run side by side under one engine: a tick of several models costs hardly more than a tick of one."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

from recmodel.core.engine import step
from recmodel.core.explanation.sentences import Decisions
from recmodel.core.memory import Memory, begin
from recmodel.core.types import Decision, Observation
from recmodel.lab.simulator.result import Result
from recmodel.lab.simulator.scenario import Floats, Scenario
from recmodel.lab.simulator.simulation import simulate


class Together:
    """One engine for as many runs as there are seeds: each waits at a tick until all have said what they see."""

    def __init__(self, scenario: Scenario, runs: int) -> None:
        models = [replace(scenario.model(), key=f"lab/{run}") for run in range(runs)]
        self.memory: Memory = begin(models, scenario.tick_seconds, None, scenario.window_seconds)
        self.seen: dict[int, Observation] = {}
        self.decisions: Decisions | None = None
        self.all_have_seen = Barrier(runs, action=self.step)

    def step(self) -> None:
        seen = [self.seen[run] for run in range(len(self.seen))]
        self.memory, self.decisions = step(self.memory, seen, seen[0].time_seconds)


class OneOf:
    """The controller of one run."""

    def __init__(self, together: Together, run: int) -> None:
        self.together, self.run = together, run

    def decide(self, observation: Observation) -> Decision:
        self.together.seen[self.run] = observation
        self.together.all_have_seen.wait(60.0)
        assert self.together.decisions is not None
        return self.together.decisions.unsplit(self.run)


def simulate_side_by_side(scenario: Scenario, load: Floats, seeds: Sequence[int]) -> list[Result]:
    """The runs of these seeds, each as it is alone."""
    together = Together(scenario, len(seeds))

    def one(run: int) -> Result:
        try:
            return simulate(scenario, load, OneOf(together, run), seed=seeds[run])
        except BaseException:
            together.all_have_seen.abort()  # the others do not wait for one that failed
            raise

    with ThreadPoolExecutor(len(seeds)) as threads:
        return list(threads.map(one, range(len(seeds))))
