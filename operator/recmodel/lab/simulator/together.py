"""Many simulations in step with each other, so that one engine decides for all of them as one fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recmodel.core.types import Decision, Observation
from recmodel.lab.simulator.result import Result
from recmodel.lab.simulator.scenario import Floats, Scenario
from recmodel.lab.simulator.simulation import ticks


@dataclass(frozen=True, slots=True)
class Row:
    """One model of the fleet: its plant, its load in requests/s by second, and the seed of its arrivals and services."""

    scenario: Scenario
    rates_per_second: Floats
    seed: int = 0


class FleetController(Protocol):
    """Whoever decides for all rows at once."""

    def decide(self, observations: Sequence[Observation]) -> Sequence[Decision]:
        """A decision for each row, in their order."""


def simulate_together(rows: Sequence[Row], controller: FleetController) -> list[Result]:
    """Each row's result, in their order. A ValueError where the rows do not tick at the same times and as often.

    A row is what :func:`recmodel.lab.simulator.simulation.simulate` makes of it alone; only ``decide_seconds`` is that of the fleet.
    """
    clocks = {(row.scenario.start_seconds, row.scenario.tick_seconds, len(row.rates_per_second)) for row in rows}
    if len(clocks) != 1:
        raise ValueError(f"rows of a fleet share start, tick and length, but there are {len(clocks)} different ones")
    runs = [ticks(row.scenario, row.rates_per_second, row.seed) for row in rows]
    observations = [next(run) for run in runs]
    while True:
        results: list[Result] = []
        for place, (run, decision) in enumerate(zip(runs, controller.decide(observations), strict=True)):
            try:
                observations[place] = run.send(decision)
            except StopIteration as ended:
                results.append(ended.value)
        if results:
            return results
