"""One model, one load, several controllers: a table and a picture of how the day would have gone under each."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from recmodel.core.types import Model
from recmodel.lab.controllers.baselines import Hpa, Keda, Static
from recmodel.lab.controllers.clairvoyant import Clairvoyant, capacity_table, clairvoyant
from recmodel.lab.controllers.engine import EngineController
from recmodel.lab.controllers.hindsight import Search, best_in_hindsight
from recmodel.lab.simulator.result import Result
from recmodel.lab.simulator.scenario import GPU_POOL, Floats, PoolScenario, Scenario
from recmodel.lab.simulator.simulation import Controller, simulate
from recmodel.lab.trace import Trace

ABOVE_ZERO = ("workers", "service_seconds", "max_batch", "item_seconds")
ENOUGH_PER_SECOND = 75.0  # of which a minute's share late is known to 0.3 points: the search may run in slow motion

Progress = Callable[[str, float], None]  # what is being done, and the share of it done


@dataclass(frozen=True)
class Comparison:
    """The same day under several controllers, by name, in the order asked for; and the lower bound."""

    results: Mapping[str, Result]
    bound: Clairvoyant

    def table(self) -> str:
        """One line a controller; cost relative to the clairvoyant's."""
        head = ("controller", "minutes over", "late", "failed", "cost", "x clairvoyant", "scalings", "replica-hours")
        rows = [head, *(self._row(name, result) for name, result in self.results.items())]
        rows.append(("clairvoyant", "", "", "", f"{self.bound.cost:.1f}", "1.000", "", _hours(self._bound_hours())))
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )

    def _row(self, name: str, result: Result) -> tuple[str, ...]:
        summary = result.summary()
        return (
            name,
            f"{summary.minutes_over} ({summary.minutes_over_ratio:.2%})",
            f"{summary.late_ratio:.3%}",
            f"{summary.failed_ratio:.3%}",
            f"{summary.cost:.1f}",
            f"{summary.cost / self.bound.cost:.3f}",
            str(summary.scalings),
            _hours(summary.replica_hours),
        )

    def _bound_hours(self) -> dict[str, float]:
        return {name: float(replicas.sum()) / 60.0 for name, replicas in self.bound.replicas.items()}


def scenario_of(model: Model, accelerated: Sequence[str] = (), settings: Sequence[str] = ()) -> Scenario:
    """A scenario for a model: its objective, and its pools with their limits and prices.

    ``accelerated`` pools are simulated as batching ones, the others as worker pools, both as in the benchmark unless
    ``settings`` say otherwise: ``cpu.service_seconds=0.03``, ``gpu.startup_seconds=240``, ``timeout_seconds=2``.
    """
    strangers = sorted(set(accelerated) - {pool.name for pool in model.pools})
    if strangers:
        raise ValueError(
            f"--accelerated {strangers[0]}: the model has no such pool, only {', '.join(p.name for p in model.pools)}"
        )
    pools = []
    for pool in model.pools:
        kind = GPU_POOL if pool.name in accelerated else PoolScenario(pool.name)
        most = pool.max_replicas
        pools.append(
            replace(kind, name=pool.name, price=pool.cost_per_hour, min_replicas=pool.min_replicas, max_replicas=most)
        )
    scenario = Scenario(
        tuple(pools),
        threshold_seconds=model.threshold_seconds,
        within_ratio=model.within_ratio,
        calendar=model.calendar,
    )
    for setting in settings:
        scenario = _with_setting(scenario, setting)
    return scenario


def assumed(scenario: Scenario) -> str:
    """How the pools are taken to serve, a line each: no load shows it."""
    lines = []
    for p in scenario.pools:
        serves = (
            f"{p.workers} workers of {1000 * p.service_seconds:g} ms"
            if p.kind == "worker"
            else f"batches of up to {p.max_batch} in {1000 * p.base_seconds:g} ms + {1000 * p.item_seconds:g} ms a request"
        )
        lines.append(
            f"assumed: pool {p.name}: {serves} ({p.nominal_capacity_per_second():.0f} requests/s at most), ready after "
            f"{p.startup_seconds:g} s, {p.price:g} an hour; change it with --set, --accelerated"
        )
    return "\n".join(lines)


def compare(
    scenario: Scenario,
    day: Trace,
    controllers: Sequence[str] = ("engine", "hpa:0.7:0.5", "keda:0.6:0.5"),
    history: Trace | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Run a day under each controller.

    Controllers: ``engine``; ``hpa:TARGET:SHARE`` and ``keda:TARGET:SHARE`` (share of the traffic to the second pool);
    ``best:RATIO``, the cheapest of those with at most this ratio of the minutes over; ``static``, the clairvoyant's
    largest mix all day. A ValueError names a controller that is none of these.
    """
    scenario = replace(scenario, start_seconds=day.start_seconds)
    parsed = {name: _parsed(name, len(scenario.pools)) for name in controllers}
    rates = day.per_second()
    tables = {pool.name: capacity_table(scenario, pool) for pool in scenario.pools}
    study = _Study(scenario, rates, clairvoyant(scenario, rates, tables), history, seed)
    results: dict[str, Result] = {}
    for name, (kind, numbers) in parsed.items():

        def report(done: float, name: str = name) -> None:
            if progress is not None:
                progress(name, done)

        label, controller = _controller(name, kind, numbers, study, report)
        results[label] = simulate(scenario, rates, controller, seed, report)
    return Comparison(results, study.bound)


def write_figure(comparison: Comparison, path: Path, title: str = "") -> None:
    """The comparison as a PNG."""
    from recmodel.lab.figures import draw_day  # matplotlib takes a second to import: only for who asks for a picture

    draw_day(comparison.results, path, comparison.bound, title)


def _parsed(name: str, pools: int) -> tuple[str, tuple[float, ...]]:
    """A controller's kind and its numbers; a ValueError says what is wrong, before the first of them runs for minutes."""
    kind, *texts = name.split(":")
    try:
        numbers = tuple(map(float, texts))
    except ValueError:
        numbers = (math.nan,)
    match kind, numbers:
        case "engine" | "static", ():
            return kind, numbers
        case "hpa" | "keda", (target, share) if 0.0 < target <= 1.0 and 0.0 <= share <= 1.0 and pools <= 2:
            return kind, numbers
        case "best", (ratio,) if 0.0 <= ratio <= 1.0 and pools <= 2:
            return kind, numbers
    raise ValueError(
        f"--controller {name}: must be engine, static, or, for one or two pools (here are {pools}), hpa:TARGET:SHARE, "
        "keda:TARGET:SHARE or best:RATIO with TARGET above 0, and TARGET, SHARE and RATIO at most 1"
    )


@dataclass(frozen=True)
class _Study:
    """What every controller is run on: ``rates`` in requests/s, a value a second."""

    scenario: Scenario
    rates: Floats
    bound: Clairvoyant
    history: Trace | None
    seed: int


def _controller(
    name: str, kind: str, numbers: tuple[float, ...], study: _Study, report: Callable[[float], None]
) -> tuple[str, Controller]:
    """The controller, and what it is called in the table."""
    scenario, bound = study.scenario, study.bound
    match kind:
        case "engine":
            return name, EngineController(scenario, study.history)
        case "static":
            peak = int(bound.cost_by_minute.argmax())
            replicas = {pool: int(values[peak]) for pool, values in bound.replicas.items()}
            capacity = {p.name: p.nominal_capacity_per_second() * replicas[p.name] for p in scenario.pools}
            return name, Static(scenario, replicas, capacity)
        case "hpa":
            return name, Hpa(scenario, *numbers)
        case "keda":
            return name, Keda(scenario, *numbers)
    (ratio,) = numbers
    search = Search(
        ratio,
        floor_cost_by_minute=bound.cost_by_minute,
        slower=max(1.0, min(4.0, float(study.rates.mean()) / ENOUGH_PER_SECOND)),
        seed=study.seed,
    )
    best = best_in_hindsight(scenario, study.rates, search, report)
    if best is None:
        raise ValueError(f"no setting of HPA or KEDA has at most {ratio:.2%} of the minutes over")
    found = Hpa if best.kind == "hpa" else Keda
    label = f"best {best.kind}:{best.target_ratio:g}:{best.gpu_share:g}"
    return label, found(scenario, best.target_ratio, best.gpu_share)


def _with_setting(scenario: Scenario, setting: str) -> Scenario:
    path, separator, text = setting.partition("=")
    pool_name, dot, field = path.rpartition(".")
    target = next((p for p in scenario.pools if p.name == pool_name), None) if dot else scenario
    kinds = {f.name: f.type for f in dataclasses.fields(target)} if target is not None else {}
    if not separator or target is None or kinds.get(field) not in ("int", "float", "int | None"):
        fields = [f.name for f in dataclasses.fields(PoolScenario) if f.type in ("int", "float", "int | None")]
        raise ValueError(
            f"--set {setting}: must be POOL.FIELD=NUMBER with a pool of the model and a field of {', '.join(fields)}"
        )
    value = float(text)
    least = 1e-9 if field in ABOVE_ZERO else 0.0
    if not math.isfinite(value) or value < least:
        raise ValueError(f"--set {setting}: the value must be finite and {'above' if least else 'at least'} 0")
    if kinds[field] != "float" and value != int(value):
        raise ValueError(f"--set {setting}: must be a whole number")
    number: Any = value if kinds[field] == "float" else int(value)
    if isinstance(target, Scenario):
        return replace(scenario, **{field: number})
    changed = replace(target, **{field: number})
    return replace(scenario, pools=tuple(changed if p.name == pool_name else p for p in scenario.pools))


def _hours(hours: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.1f}" for name, value in hours.items())
