"""What the worth of a mechanism is measured on: drawn plants and days, and days with a trouble, as the rows of one fleet."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from recmodel.lab.benchmark.drawn_days import draw_day
from recmodel.lab.benchmark.plants import Plant, draw_plant
from recmodel.lab.benchmark.variations import Variation
from recmodel.lab.controllers.fleet_engine import FleetEngine
from recmodel.lab.controllers.mechanisms import without
from recmodel.lab.simulator.scenario import Scenario
from recmodel.lab.simulator.together import Row, simulate_together
from recmodel.lab.trace import DAY_SECONDS, Trace

START_SECONDS = 21 * DAY_SECONDS  # of every row: a past of 14 days lies after time 0
BLIND_SECONDS, SLOWER_FACTOR = 900.0, 1.3
TROUBLED_FAMILIES, TROUBLED_DAY = ("parity", "tiny fleet"), "calm"


def _blind(scenario: Scenario, seconds: float) -> Scenario:
    return replace(scenario, blind=((seconds / 2, seconds / 2 + BLIND_SECONDS),))


def _without_gpus(scenario: Scenario, seconds: float) -> Scenario:
    cpu, gpu = scenario.pools
    room = ((0.0, float(gpu.max_replicas)), (seconds / 3, 0.0), (2 * seconds / 3, float(gpu.max_replicas)))
    return replace(scenario, pools=(cpu, replace(gpu, schedulable=room, cap_evicts=True)))


def _slower(scenario: Scenario, seconds: float) -> Scenario:
    slowdown = ((0.0, 1.0), (seconds / 2, SLOWER_FACTOR))
    return replace(scenario, pools=tuple(replace(pool, slowdown=slowdown) for pool in scenario.pools))


TROUBLES: Mapping[str, Callable[[Scenario, float], Scenario]] = {
    "no metrics for 15 minutes": _blind,
    "no GPU for a third of the time": _without_gpus,
    "30 % slower from the middle on": _slower,
}


@dataclass(frozen=True)
class NamedRow:
    """A row of the fleet, with the past that its engine knows."""

    name: str
    row: Row
    history: Trace | None


@dataclass(frozen=True)
class Figures:
    """What one row came to."""

    cost: float
    over_ratio: float


def draw_rows(
    families: Sequence[str], days: Sequence[str], seed: int, hours: float, traces: Sequence[Path]
) -> list[NamedRow]:
    """Every family on every kind of day, and a few of them with each trouble."""
    rows = []
    for family in families:
        plant = draw_plant(family, seed)
        rows += [_row(f"{family}, {day}", plant, day, hours, traces) for day in days]
        if family in TROUBLED_FAMILIES:
            for trouble, make in TROUBLES.items():
                calm = _row(f"{family}, {trouble}", plant, TROUBLED_DAY, hours, traces)
                scenario = make(calm.row.scenario, hours * 3600.0)
                rows.append(replace(calm, row=replace(calm.row, scenario=scenario)))
    return rows


def _row(name: str, plant: Plant, kind: str, hours: float, traces: Sequence[Path]) -> NamedRow:
    """On the common clock: a past keeps its distance."""
    day = draw_day(kind, plant.seed, hours, traces)
    rates = day.rates * plant.peak_per_second
    scenario = plant.running(float(rates[:60].mean()), START_SECONDS)
    past = day.history
    if past is not None:
        begins = past.start_seconds + START_SECONDS - day.start_seconds
        past = replace(past, rates=past.rates * plant.peak_per_second, start_seconds=begins)
    return NamedRow(name, Row(scenario, rates, plant.seed), past)


def run_rows(rows: Sequence[NamedRow], variation: Variation) -> list[Figures]:
    """What each row came to under the engine with this change; a number or a guard must be changed already (``install``)."""
    if variation.kind == "mechanism":
        with without(variation.name):
            return run_rows(rows, Variation("nothing"))
    never = variation.name if variation.kind == "candidate" else None
    engine = FleetEngine([row.row.scenario for row in rows], [row.history for row in rows], never)
    results = simulate_together([row.row for row in rows], engine)
    return [Figures(float(result.cost.sum()), float(result.over.mean())) for result in results]


def write_rows(path: Path, rows: Sequence[NamedRow]) -> None:
    """For other processes of this program; all or nothing."""
    whole = path.with_suffix(".part")
    whole.write_bytes(pickle.dumps(list(rows)))
    whole.replace(path)


def read_rows(path: Path) -> list[NamedRow]:
    """What :func:`write_rows` wrote."""
    rows: list[NamedRow] = pickle.loads(path.read_bytes())  # noqa: S301  written by this program, in its own cache
    return rows
