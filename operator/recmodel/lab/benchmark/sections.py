"""The benchmark page's sections below its main table: what each part is worth, noise, forecasts, capacity, time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from recmodel.core.capacity.evidence import PLANNED_LATE_RATIO
from recmodel.lab.benchmark import minute_models
from recmodel.lab.benchmark.days import LEARNING_MINUTES, Judged
from recmodel.lab.benchmark.fleet_cost import FleetCost
from recmodel.lab.simulator.result import Summary

# And those that a library fits, where it is installed.
FORECASTERS = ("engine", "seasonal naive", "EWMA", "Holt, damped")
GOAL_ONE_SECONDS, GOAL_MANY_SECONDS, GOAL_MANY_MEGABYTES, MANY = 0.005, 1.0, 500.0, 10_000
LIKELY = 2.0  # standard deviations: what chance alone exceeds once in 22 times


def ablation_table(judged: Sequence[Judged]) -> str:
    """The engine, and the engine with one part taken out."""
    cases = [case for case in judged if case.ablations]
    if not cases:
        return "None of the traces with ablations was run."
    rows = []
    for case in cases:
        for name, summary in {"engine": case.engine, **case.ablations}.items():
            rows.append((case.name, name, *_outcome(summary), f"{summary.cost / case.bound_cost:.3f}"))
    return (
        table(("trace", "controller", "over", "late", "cost", "x clairvoyant"), rows)
        + "\n\n*No forecast*: the load of now is taken for the largest to come. *No joint plan*: an engine a pool, each with the "
        "fixed traffic share of the best setting in hindsight, which an owner would not know. *No learning*: the "
        "engine's forecast and plan on 0.6 of a saturated replica's requests/s, HPA's way down."
    )


def _outcome(summary: Summary) -> tuple[str, str, str]:
    return f"{summary.minutes_over_ratio:.2%}", f"{summary.late_ratio:.2%}", f"{summary.cost:.1f}"


def seeds_table(judged: Sequence[Judged]) -> str:
    """The engine again and again on the same load, with other arrivals and service times."""
    cases = [case for case in judged if len(case.seeds) > 1]
    if not cases:
        return "None of the traces that are run with more than one seed was run."
    rows = []
    for case in cases:
        costs, over = _bound_ratios(case), [summary.minutes_over_ratio for summary in case.seeds]
        late = [summary.late_ratio for summary in case.seeds]
        rows.append(
            (
                case.name,
                str(len(case.seeds)),
                f"{np.mean(costs):.3f}",
                f"{np.std(costs, ddof=1):.4f}",
                f"{min(costs):.3f} to {max(costs):.3f}",
                f"{np.mean(over):.2%}",
                f"{max(over):.2%}",
                f"{np.mean(late):.2%}",
            )
        )
    head = ("trace", "seeds", "x clairvoyant, mean", "standard deviation", "range", "over, mean", "worst", "late, mean")
    return (
        "The engine on the same day with other seeds, each with arrivals and service times of its own; the load, its history and the "
        "clairvoyant stay. So this is the noise of one figure above, not how days differ.\n\n" + table(head, rows)
    )


def noise_sentence(judged: Sequence[Judged]) -> str:
    """How large a difference between two costs has to be to say anything."""
    ratios = {
        case.name: float(np.std(c := _bound_ratios(case), ddof=1) / np.mean(c))
        for case in judged
        if len(case.seeds) > 1
    }
    if not ratios:
        return "One seed and one day a trace; how much of a difference is noise was not measured with these traces."
    each = listed([f"{ratio:.2%} on {name}" for name, ratio in ratios.items()])
    least = LIKELY * math.sqrt(2.0) * max(ratios.values())  # of two runs, neither with the other's arrivals
    return (
        f"One day a trace, and one seed: over {max(len(case.seeds) for case in judged)} seeds the engine's cost has a standard "
        f"deviation of {each} (below), so a difference of less than about {least:.1%} between two runs may be noise. How much "
        f"days differ, it does not say."
    )


def _bound_ratios(case: Judged) -> list[float]:
    return [summary.cost / case.bound_cost for summary in case.seeds]


def forecast_table(judged: Sequence[Judged]) -> str:
    """Coverage and loss of every forecaster on every trace and horizon."""
    scored = {name for case in judged for scores in case.scores.values() for name in scores}
    fitted = tuple(name for name in minute_models.NAMES if name in scored)
    names = (*FORECASTERS, *fitted)
    rows = []
    for case in judged:
        for pool, scores in case.scores.items():
            cells = [
                f"{scores[name].coverage_ratio:.1%}, {100 * scores[name].pinball_ratio:.2f}" if name in scores else "-"
                for name in names
            ]
            rows.append((case.name, pool, *cells))
    pools = sorted({pool for case in judged for pool in case.scores})
    for pool in pools:
        if any(name not in case.scores[pool] for case in judged if pool in case.scores for name in fitted):
            rows.append(
                ("**mean of the simple ones**", pool, *_mean_scores(judged, pool, FORECASTERS), *["-"] * len(fitted))
            )
        rows.append(("**mean**", pool, *_mean_scores(judged, pool, names)))
    return (
        "Coverage of the 95 % quantile of the largest minute within the pool's horizon (95 % is right, more is dear), and its "
        "pinball loss in % of the mean load (less is better). The simple forecasters' quantiles come from their own misses on the same "
        f"day; the first two hours are not scored. {_fitted_sentence(fitted)}\n\n"
        + table(("trace", "horizon of", *names), rows)
    )


def _fitted_sentence(fitted: Sequence[str]) -> str:
    both = " and ".join(minute_models.NAMES)
    if not fitted:
        return (
            f"{both} were not run: statsforecast is not installed (`hack/venv.sh bench` makes an environment with it)."
        )
    return (
        f"{both} are statsforecast's, without a season, on the minute means of the last {minute_models.WINDOW_SECONDS // 3600} hours "
        f"(of the day alone, where the history is known in longer steps than a minute): fitted again every "
        f"{minute_models.REFIT_SECONDS // 60} minutes, and at each tick run with these parameters over the newest minutes, which end "
        f"at the tick; their point is the largest from now up to the horizon, their quantile comes from their own misses too. All "
        f"but the engine are given the load itself; the engine has scrapes."
    )


def _mean_scores(judged: Sequence[Judged], pool: str, names: Sequence[str]) -> list[str]:
    """Over the cases for which all forecasters have a score, so that the means compare."""
    scores = [case.scores[pool] for case in judged if all(n in case.scores.get(pool, {}) for n in names)]
    if not scores:
        return ["-"] * len(names)
    cells = []
    for name in names:
        coverage = float(np.mean([score[name].coverage_ratio for score in scores]))
        cells.append(f"**{coverage:.1%}, {100 * np.mean([score[name].pinball_ratio for score in scores]):.2f}**")
    return cells


def capacity_table(judged: Sequence[Judged]) -> str:
    """How far off what was known of the capacity was, at some minutes."""
    pools = sorted({pool for case in judged for pool in case.capacity_errors})
    rows = []
    for pool in pools:
        for minute in LEARNING_MINUTES:
            errors = [c.capacity_errors[pool][minute] for c in judged if minute in c.capacity_errors.get(pool, {})]
            if errors:
                relied = _spread([error.relied_ratio for error in errors])
                rows.append(
                    (pool, str(minute), str(len(errors)), relied, _spread([error.believed_ratio for error in errors]))
                )
    return (
        "The capacity of the ready replicas over what they carry at 5 % late, less 1: median (lowest to highest) over the traces. "
        f"Nothing is known at the start. *Relied on* is what the plan counts on, for {5.0 * PLANNED_LATE_RATIO:.3g} % late, so it should "
        "be a little low; *believed* is the middle of the belief, which is no more than a hope where a pool was never loaded far.\n\n"
        + table(("pool", "after, min", "traces", "relied on", "believed"), rows)
    )


def _spread(errors: Sequence[float]) -> str:
    return f"{np.median(errors):+.0%} ({min(errors):+.0%} to {max(errors):+.0%})"


def fleet_table(fleets: Sequence[FleetCost]) -> str:
    """What one tick takes, by the number of models."""
    rows = [
        (
            f"{fleet.models:,}",
            f"{1000 * fleet.tick_seconds:.1f}",
            f"{1000 * fleet.slowest_tick_seconds:.1f}",
            f"{1e6 * fleet.tick_seconds / fleet.models:.0f}",
            f"{fleet.resident_megabytes:.0f}",
        )
        for fleet in fleets
    ]
    head = ("models x 2 pools", "one tick, ms", "slowest, ms", "a model, µs", "resident memory, MB")
    return (
        "Each size in a process of its own; memory is the largest of the whole process, the interpreter and the observations included.\n\n"
        + "\n\n".join([table(head, rows), *_fleet_goals(fleets)])
    )


def _fleet_goals(fleets: Sequence[FleetCost]) -> list[str]:
    """Met or not, as far as the sizes were measured; within the noise where the median and the slowest tick differ in that."""
    by_size = {fleet.models: fleet for fleet in fleets}
    rows = []
    for models, most in ((1, GOAL_ONE_SECONDS), (MANY, GOAL_MANY_SECONDS)):
        if fleet := by_size.get(models):
            noisy = (fleet.tick_seconds <= most) != (fleet.slowest_tick_seconds <= most)
            figures = (
                f"{1000 * most:g} ms",
                f"{1000 * fleet.tick_seconds:.1f} ms",
                f"{1000 * fleet.slowest_tick_seconds:.1f} ms",
            )
            rows.append(
                (
                    f"one tick of {models:,} model{'' if models == 1 else 's'}",
                    *figures,
                    verdict(fleet.tick_seconds <= most, noisy),
                )
            )
    if fleet := by_size.get(MANY):
        met = fleet.resident_megabytes <= GOAL_MANY_MEGABYTES
        cells = (f"{GOAL_MANY_MEGABYTES:g} MB", f"{fleet.resident_megabytes:.0f} MB", "", verdict(met, False))
        rows.append((f"memory of {MANY:,} models", *cells))
    return [table(("goal", "at most", "is", "slowest", ""), rows)] if rows else []


def verdict(met: bool, within_noise: bool) -> str:
    """Of a goal."""
    return ("met" if met else "**not met**") + (", within the noise" if within_noise else "")


def listed(names: Sequence[str]) -> str:
    """As in a sentence; none has a word too."""
    return ", ".join(names) if names else "none"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
