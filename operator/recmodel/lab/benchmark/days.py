"""The benchmark's judged days: which traces, which part of each, and what every controller made of it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from recmodel.core.types import Decision
from recmodel.lab.benchmark.drawn_days import COARSE_STEP_SECONDS, wobble
from recmodel.lab.benchmark.forecast_scores import Score, score_day
from recmodel.lab.benchmark.minute_models import installed_forecasters
from recmodel.lab.controllers.ablations import WithoutForecast, WithoutJointPlan, WithoutLearning
from recmodel.lab.controllers.baselines import Hpa
from recmodel.lab.controllers.clairvoyant import capacity_table, clairvoyant
from recmodel.lab.controllers.engine import EngineController
from recmodel.lab.controllers.hindsight import ALLOWED_OVER_RATIO, Search, Setting, best_in_hindsight
from recmodel.lab.simulator.result import Result, Summary
from recmodel.lab.simulator.scenario import CPU_POOL, GPU_POOL, Floats, Scenario
from recmodel.lab.simulator.simulation import Controller, simulate
from recmodel.lab.trace import DAY_SECONDS, Trace, read_trace

CHECKOUT = Path(__file__).resolve().parents[4]
PEAK_PER_SECOND = 1500.0  # 10 to 11 CPU pods of the scenario
GPU_PRICE = 1.6
SHARES = (0.0, 0.5, 0.7, 0.8, 0.9)  # of the traffic to the GPU pool, in the search
SLOWER = 16.0  # the search runs in slow motion; its winner is run again at full load
LEARNING_MINUTES = (15, 30, 60)
FALLBACK_SHARE = 0.8
RUNNING_RATIO = 0.6  # of a saturated replica, as the simulator starts pools

Tell = Callable[[str, float], None]


@dataclass(frozen=True)
class Case:
    """One judged stretch of load."""

    name: str
    rates: Floats  # requests/s, one value a second
    history: Trace | None
    scenario: Scenario


@dataclass(frozen=True)
class CapacityError:
    """Of a replica's capacity, relative to the true one: 0 is right, 0.5 is half as much again."""

    believed_ratio: float  # the middle of the belief
    relied_ratio: float  # what the plan relies on


@dataclass(frozen=True)
class Judged:
    """What a case came to."""

    name: str
    hours: float
    history_days: float
    engine: Summary
    hpa: Summary
    best: Setting | None  # None: no setting of the grid has so few minutes over
    bound_cost: float
    scores: dict[str, dict[str, Score]]
    capacity_errors: dict[str, dict[int, CapacityError]]  # by pool, by minute
    ablations: dict[str, Summary]
    seeds: tuple[Summary, ...]  # the engine on the same load with other arrivals and services, the first as above


def find_traces() -> list[Path]:
    """Traces of the checkout, and of ``RECMODEL_TRACES`` or a folder shared/traces beside it; each name once."""
    outside = os.environ.get("RECMODEL_TRACES")
    folders = [
        CHECKOUT / "demo/data/traces",
        CHECKOUT / "tests/data/traces",
        Path(outside) if outside else CHECKOUT.parent / "shared/traces",
    ]
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("*.csv.gz")):
            found.setdefault(path.name, path)
    return [found[name] for name in sorted(found)]


def cut(
    path: Path,
    *,
    hours: float = 24.0,
    seed: int = 0,
    first_hour: float | None = None,
    peak_per_second: float = PEAK_PER_SECOND,
    number: int | None = None,
) -> Case:
    """A day of a trace, by default the last whole one (or the middle ``hours`` of it), with up to 14 days before it as history.

    The stretch's own peak becomes ``peak_per_second``. A trace shorter than a day is judged whole, without a history.
    """
    trace = read_trace(path)
    whole = trace.whole_days
    first = (24.0 - hours) / 2.0 if first_hour is None else first_hour
    begin = None if whole < 1 else (whole - 1 if number is None else number) + first / 24.0
    plant = Scenario((CPU_POOL, replace(GPU_POOL, price=GPU_PRICE)))
    return stretch(path.name.removesuffix(".csv.gz"), trace, plant, begin, (hours, peak_per_second), seed)


def stretch(
    name: str, trace: Trace, plant: Scenario, begin: float | None, size: tuple[float, float], seed: int = 0
) -> Case:
    """The ``size`` (hours, and requests/s at the peak) of a trace from a day on; None: the whole trace, without a history.

    Thin counts are smoothed, a load in steps of more than a minute is made to wobble, and every pool of the plant runs at the start.
    """
    hours, peak_per_second = size
    trace = trace.smoothed()
    day = trace if begin is None else trace.between(begin, begin + hours / 24.0)
    past = None if begin is None else trace.history_before(begin)
    rates = day.per_second()
    if day.step_seconds > COARSE_STEP_SECONDS:
        rates = rates * wobble(len(rates), np.random.default_rng([seed, 7]))
    scale = peak_per_second / float(rates.max())
    history = None if past is None else replace(past, rates=past.rates * scale)
    plant = replace(plant, start_seconds=day.start_seconds)
    return Case(name, rates * scale, history, running(plant, float(rates[:60].mean()) * scale))


def running(scenario: Scenario, first_per_second: float) -> Scenario:
    """All pools run at the start, each with enough for the whole of the first load at 60 %.

    Without GPUs running, every setting with a GPU share would be late in its first minutes, which says nothing of its day.
    """
    pools = []
    for pool in scenario.pools:
        enough = math.ceil(first_per_second / (RUNNING_RATIO * pool.nominal_capacity_per_second()))
        pools.append(replace(pool, initial_replicas=min(max(enough, 1), pool.max_replicas)))
    return replace(scenario, pools=tuple(pools))


def judge(
    case: Case, tables: dict[str, Floats], tell: Tell, *, seed: int = 0, seeds: int = 1, ablate: bool = False
) -> Judged:
    """Run everything on one case; the engine with ``seeds`` seeds, from ``seed`` on."""
    scenario, rates = case.scenario, case.rates
    bound = clairvoyant(scenario, rates, tables)

    def run(name: str, controller: Controller) -> Result:
        return simulate(scenario, rates, controller, seed, lambda done: tell(f"{case.name}: {name}", done))

    result = run("engine", EngineController(scenario, case.history))
    engine = result.summary()
    hpa = run("default HPA", Hpa(scenario, 0.7, 0.0)).summary()
    search = Search(
        max(engine.minutes_over_ratio, ALLOWED_OVER_RATIO),
        kinds=("keda", "hpa"),
        shares=SHARES,
        floor_cost_by_minute=bound.cost_by_minute,
        slower=SLOWER,
        seed=seed,
    )
    best = best_in_hindsight(scenario, rates, search, lambda done: tell(f"{case.name}: best in hindsight", done))
    ablations: dict[str, Summary] = {}
    if ablate:
        share = best.gpu_share if best is not None else FALLBACK_SHARE
        without: dict[str, Controller] = {
            "no forecast": WithoutForecast(scenario),
            "no joint plan": WithoutJointPlan(scenario, share, case.history),
            "no learning": WithoutLearning(scenario, case.history),
        }
        ablations = {name: run(name, controller).summary() for name, controller in without.items()}
    fitted = installed_forecasters(rates, case.history, lambda done: tell(f"{case.name}: fitted forecasters", done))
    return Judged(
        name=case.name,
        hours=len(rates) / 3600.0,
        history_days=0.0 if case.history is None else case.history.days,
        engine=engine,
        hpa=hpa,
        best=best,
        bound_cost=bound.cost,
        scores=score_day(rates, result.decisions, case.history, scenario.tick_seconds, fitted),
        capacity_errors=capacity_errors_by_minute(result.decisions, result.ready, tables, scenario.tick_seconds),
        ablations=ablations,
        seeds=(engine, *engine_again(case, range(seed + 1, seed + seeds), tell)),
    )


def engine_again(case: Case, seeds: Iterable[int], tell: Tell) -> list[Summary]:
    """The engine on the same load with arrivals and service times of each seed."""
    return [
        simulate(
            case.scenario,
            case.rates,
            EngineController(case.scenario, case.history),
            seed,
            partial(tell, f"{case.name}: engine, seed {seed}"),
        ).summary()
        for seed in seeds
    ]


def true_capacities(scenario: Scenario) -> dict[str, Floats]:
    """The largest load that each number of replicas carries, by pool: the same for all cases."""
    return {pool.name: capacity_table(scenario, pool) for pool in scenario.pools}


def capacity_errors_by_minute(
    decisions: tuple[Decision, ...], ready: dict[str, Floats], tables: dict[str, Floats], tick_seconds: float
) -> dict[str, dict[int, CapacityError]]:
    """The believed capacity of the ready replicas against the true one, as a ratio less 1; only where some were ready."""
    errors: dict[str, dict[int, CapacityError]] = {pool: {} for pool in tables}
    for minute in LEARNING_MINUTES:
        tick = round(minute * 60.0 / tick_seconds)
        for pool, table in tables.items():
            replicas = math.floor(ready[pool][minute]) if minute < len(ready[pool]) else 0
            estimate = decisions[tick].estimates.get(pool) if tick < len(decisions) else None
            if (
                replicas < 1
                or estimate is None
                or estimate.capacity_per_replica is None
                or estimate.capacity_lower is None
            ):
                continue
            true = float(table[replicas]) / replicas
            errors[pool][minute] = CapacityError(
                estimate.capacity_per_replica / true - 1.0, estimate.capacity_lower / true - 1.0
            )
    return errors


def day_hours(quick: bool) -> float:
    """How much of the last day is judged."""
    return 12.0 if quick else DAY_SECONDS / 3600.0
