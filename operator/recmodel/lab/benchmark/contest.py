"""One plant on one day: the engine, the best HPA and the best KEDA in hindsight, and the clairvoyant."""

from __future__ import annotations

import math
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict

import numpy as np

from recmodel.core.capacity.evidence import PLANNED_LATE_RATIO
from recmodel.core.types import PoolEstimate
from recmodel.lab.benchmark.cost_parts import cost_parts, rounding_cost
from recmodel.lab.benchmark.drawn_days import draw_day
from recmodel.lab.benchmark.plants import Plant, draw_plant
from recmodel.lab.benchmark.releases import longest_unreleased_minutes
from recmodel.lab.controllers.clairvoyant import capacity_table, clairvoyant
from recmodel.lab.controllers.engine import EngineController
from recmodel.lab.controllers.hindsight import ALLOWED_OVER_RATIO, Kind, Search, SettingRun, best_in_hindsight
from recmodel.lab.controllers.truth import WithTruth
from recmodel.lab.simulator.result import Result
from recmodel.lab.simulator.scenario import Floats
from recmodel.lab.simulator.simulation import simulate

SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)  # of the traffic to the GPU pool, in the search
RIVALS: tuple[Kind, ...] = ("hpa", "keda")
# The search runs in slow motion, down to this mean load, and up to this threshold, which must stay short against a tick.
ENOUGH_PER_SECOND, SLOW_SECONDS = 60.0, 2.5
CAPACITY_SIZES = (1, 2, 4, 8, 16, 32)  # ready replicas, to the nearest of which a capacity error is filed
CAPACITY_AFTER_SECONDS = 1800.0


@dataclass(frozen=True)
class Heat:
    """What is drawn: a plant of a family, a kind of day, a seed for both, and how long."""

    family: str
    day: str
    seed: int
    hours: float
    told: bool = False  # whether the engine is run again and told the truth about one thing and another

    def __str__(self) -> str:
        return f"{self.family}, {self.day}, seed {self.seed}, {self.hours:g} h"


@dataclass(frozen=True)
class Rival:
    """The best setting of one kind."""

    target_ratio: float
    gpu_share: float
    over_ratio: float
    cost: float


@dataclass(frozen=True)
class Told:
    """The engine told the truth about something."""

    over_ratio: float
    cost: float


@dataclass(frozen=True)
class CapacityErrors:
    """Over ticks: relative errors of what a replica is believed to carry and is planned with, at about so many ready ones."""

    ticks: int
    believed: float  # median
    planned: float  # median
    planned_absolute: float  # mean


@dataclass(frozen=True)
class Outcome:
    """What a heat came to. Costs are replica-hours times price; hours are replica-hours by pool."""

    heat: Heat
    day: str  # with its trace, where it has one
    plant: str
    over_ratio: float
    late_ratio: float
    worst_late_ratio: float  # of one minute's requests
    unreleased_minutes: int  # in a row, with far too much ready
    cost: float
    bound_cost: float
    hours: dict[str, float]
    bound_hours: dict[str, float]
    scalings: int
    rivals: dict[str, Rival | None]  # None: no setting of the grid is over so rarely
    parts: dict[str, float]  # of the cost above the clairvoyant's
    rounding: float  # of the clairvoyant's own cost
    capacity_errors: dict[int, CapacityErrors]
    told: dict[str, Told]  # by what it was told; empty where it was not run

    @property
    def best_cost(self) -> float | None:
        """Of the cheaper rival."""
        return min((rival.cost for rival in self.rivals.values() if rival is not None), default=None)


def run_heat(heat: Heat, traces: Sequence[Path], runs: MutableMapping[str, SettingRun]) -> Outcome:
    """Draw and run all of it. ``runs`` are those of earlier searches on the same heat; new ones are added."""
    plant = draw_plant(heat.family, heat.seed)
    day = draw_day(heat.day, heat.seed, heat.hours, traces)
    rates = day.rates * plant.peak_per_second
    past = None if day.history is None else replace(day.history, rates=day.history.rates * plant.peak_per_second)
    scenario = plant.running(float(rates[:60].mean()), day.start_seconds)
    bound = clairvoyant(scenario, rates, plant.tables)
    result = simulate(scenario, rates, EngineController(scenario, past), heat.seed)
    engine = result.summary()
    rivals: dict[str, Rival | None] = {}
    for kind in RIVALS:
        search = Search(
            max(engine.minutes_over_ratio, ALLOWED_OVER_RATIO),
            kinds=(kind,),
            shares=SHARES,
            floor_cost_by_minute=bound.cost_by_minute,
            slower=max(min(float(rates.mean()) / ENOUGH_PER_SECOND, SLOW_SECONDS / scenario.threshold_seconds), 1.0),
            seed=heat.seed,
            runs=runs,
        )
        best = best_in_hindsight(scenario, rates, search)
        rivals[kind] = (
            None
            if best is None
            else Rival(best.target_ratio, best.gpu_share, best.summary.minutes_over_ratio, best.summary.cost)
        )
    strict = planned_tables(plant)
    told = {
        name: WithTruth(scenario, past, **truth) for name, truth in _truths(rates, plant, strict).items() if heat.told
    }
    return Outcome(
        heat=heat,
        day=day.name,
        plant=str(plant),
        over_ratio=engine.minutes_over_ratio,
        late_ratio=engine.late_ratio,
        worst_late_ratio=float(result.late_ratio.max()),
        unreleased_minutes=longest_unreleased_minutes(plant, rates, result),
        cost=engine.cost,
        bound_cost=bound.cost,
        hours=engine.replica_hours,
        bound_hours={name: float(replicas.sum()) / 60.0 for name, replicas in bound.replicas.items()},
        scalings=engine.scalings,
        rivals=rivals,
        parts=cost_parts(plant, strict, result, bound),
        rounding=rounding_cost(plant, rates, bound),
        capacity_errors=capacity_errors_by_size(plant, result),
        told={name: _told(simulate(scenario, rates, controller, heat.seed)) for name, controller in told.items()},
    )


class Truth(TypedDict, total=False):
    """What an engine is told, as arguments of :class:`WithTruth`."""

    rates: Floats
    tables: dict[str, Floats]


def _truths(rates: Floats, plant: Plant, strict: dict[str, Floats]) -> dict[str, Truth]:
    return {
        "the load to come": Truth(rates=rates),
        "the capacity": Truth(tables=strict),
        "the capacity, for the whole budget": Truth(tables=plant.tables),
        "both, for the whole budget": Truth(rates=rates, tables=plant.tables),
    }


def _told(result: Result) -> Told:
    return Told(float(result.over.mean()), float(result.cost.sum()))


def planned_tables(plant: Plant) -> dict[str, Floats]:
    """Capacities at the late share that the engine plans for, by pool."""
    budget = PLANNED_LATE_RATIO * (1.0 - plant.scenario.within_ratio)
    strict = replace(plant.scenario, within_ratio=1.0 - budget)
    return {pool.name: capacity_table(strict, pool) for pool in strict.pools}


def capacity_errors_by_size(plant: Plant, result: Result) -> dict[int, CapacityErrors]:
    """What was known of a replica's capacity against the truth, by the nearest of :data:`CAPACITY_SIZES`; both pools."""
    tick = plant.scenario.tick_seconds
    pairs: dict[int, list[tuple[float, float]]] = {}
    for number, decision in enumerate(result.decisions):
        if number * tick < CAPACITY_AFTER_SECONDS:
            continue
        for name, table in plant.tables.items():
            ready = math.floor(result.ready[name][int(number * tick / 60.0)] + 1e-6)
            both = _known(decision.estimates.get(name))
            if ready >= 1 and both is not None and ready < len(table):
                true = float(table[ready]) / ready
                size = min(CAPACITY_SIZES, key=lambda size: abs(math.log(size / ready)))
                pairs.setdefault(size, []).append((both[0] / true - 1.0, both[1] / true - 1.0))
    errors = {}
    for size, found in sorted(pairs.items()):
        believed, planned = np.array(found).T
        errors[size] = CapacityErrors(
            len(found), float(np.median(believed)), float(np.median(planned)), float(np.abs(planned).mean())
        )
    return errors


def _known(estimate: PoolEstimate | None) -> tuple[float, float] | None:
    """Requests/s a replica: believed, and planned with."""
    if estimate is None or estimate.capacity_per_replica is None or estimate.planned_per_replica is None:
        return None
    return estimate.capacity_per_replica, estimate.planned_per_replica
