"""The section of the benchmark's page on drawn plants and days: standings by family and by day, and where the cost comes from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from recmodel.lab.benchmark.contest import SHARES, Outcome
from recmodel.lab.benchmark.cost_parts import PARTS
from recmodel.lab.benchmark.drawn_days import BURSTY, KINDS
from recmodel.lab.benchmark.page import GOAL_BOUND_RATIO
from recmodel.lab.benchmark.plants import FAMILIES
from recmodel.lab.benchmark.sections import LIKELY, listed, table, verdict
from recmodel.lab.controllers.hindsight import ALLOWED_OVER_RATIO, TARGETS

GOAL_MEAN_RATIO, GOAL_WORST_RATIO = 0.90, 1.00  # of the best HPA or KEDA
GOAL_CALM_OVER_RATIO, GOAL_BURSTY_OVER_RATIO = 0.005, 0.02
WORST_SHOWN = 10

Figure = Callable[[Outcome], float | None]


def section(outcomes: Sequence[Outcome], command: str) -> str:
    """The whole section as Markdown, its heading included."""
    seeds, hours = sorted({o.heat.seed for o in outcomes}), sorted({o.heat.hours for o in outcomes})
    parts = [
        "## Drawn plants and days",
        f"Made by `{command}`: {len(outcomes)} runs, {'seed' if len(seeds) == 1 else 'seeds'} {listed([str(seed) for seed in seeds])}, "
        f"{' and '.join(f'{hours:g}' for hours in hours)} hours each. {_setting()}",
        goals(outcomes),
        "### By plant",
        standings(outcomes, lambda o: o.heat.family, FAMILIES),
        "\n".join(f"- *{name}*: {family.summary}." for name, family in FAMILIES.items()),
        "### By day",
        standings(outcomes, lambda o: o.heat.day, KINDS),
        "### Where the cost above the clairvoyant comes from",
        parts_table(outcomes),
        told_table(outcomes),
        "### Capacity by number of replicas",
        capacity_table(outcomes),
        f"### The {WORST_SHOWN} worst",
        worst_table(outcomes),
    ]
    return "\n\n".join(parts) + "\n"


def best_ratio(outcome: Outcome) -> float | None:
    """Cost relative to the cheaper of the best HPA and the best KEDA in hindsight; None where neither has a setting."""
    return None if outcome.best_cost is None else outcome.cost / outcome.best_cost


def bound_ratio(outcome: Outcome) -> float:
    """Cost relative to the clairvoyant's."""
    return outcome.cost / outcome.bound_cost


def goals(outcomes: Sequence[Outcome]) -> str:
    """Each goal, met or not, with its figure and its standard error."""
    calm = [o for o in outcomes if o.heat.day not in BURSTY]
    bursty = [o for o in outcomes if o.heat.day in BURSTY]
    ratios = _figures(outcomes, best_ratio)
    lines = [
        _goal("cost over the best HPA or KEDA, mean", ratios, GOAL_MEAN_RATIO, np.mean, "{:.3f}"),
        _goal("the same, worst", ratios, GOAL_WORST_RATIO, np.max, "{:.3f}"),
        _goal("cost over the clairvoyant, calm days, mean", _figures(calm, bound_ratio), GOAL_BOUND_RATIO, np.mean, "{:.3f}"),
        _goal("minutes over, calm days, mean", _figures(calm, _over), GOAL_CALM_OVER_RATIO, np.mean, "{:.2%}"),
        _goal("minutes over, bursts and plateaus, mean", _figures(bursty, _over), GOAL_BURSTY_OVER_RATIO, np.mean, "{:.2%}"),
    ]  # fmt: skip
    none = sum(best_ratio(o) is None for o in outcomes)
    return table(("goal", "at most", "is", "noise", ""), [line for line in lines if line]) + (
        f"\n\nNoise is the standard error of a mean; within {LIKELY:g} of them of its goal, a figure may be so by chance. In "
        f"{none} of {len(outcomes)} runs no setting of HPA or KEDA is over as rarely as allowed: none is compared there."
    )


def _goal(name: str, values: Sequence[float], most: float, of: Callable[..., float], style: str) -> tuple[str, ...]:
    if not values:
        return ()
    figure = float(of(values))
    noise, near = f"{sum(value > most for value in values)} of {len(values)} above", False
    if of is np.mean:
        error = _standard_error(values)
        noise, near = (
            f"± {style.format(error)}" if len(values) > 1 else "one run",
            not abs(figure - most) > LIKELY * error,
        )
    return (name, style.format(most), style.format(figure), noise, verdict(figure <= most, near))


def standings(outcomes: Sequence[Outcome], group: Callable[[Outcome], str], order: Iterable[str]) -> str:
    """A row a group, and one for all of them."""
    rows = [(name, *_standing(members)) for name in order if (members := [o for o in outcomes if group(o) == name])]
    rows.append(("**all**", *_standing(outcomes)))
    head = (
        "", "runs", "x best", "worst", "x best HPA", "x best KEDA", "x clairvoyant", "worst",
        "over", "worst", "late", "worst minute", "unreleased", "GPU-hours", "CPU-hours",
    )  # fmt: skip
    return (
        table(head, rows)
        + "\n\nMeans ± their standard errors. *x best*: of the cheaper of the two. *Worst minute*: the largest share late of one "
        "minute's requests. *Unreleased*: minutes in a row in which one replica less would have carried twice the load and none "
        "was released, at most. Replica-hours are relative to the clairvoyant's (-: it uses none)."
    )


def _standing(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    best, bound, over = _figures(outcomes, best_ratio), _figures(outcomes, bound_ratio), _figures(outcomes, _over)
    return (
        str(len(outcomes)),
        _mean(best),
        f"{max(best):.3f}" if best else "-",
        _mean(_figures(outcomes, lambda o: _rival_ratio(o, "hpa"))),
        _mean(_figures(outcomes, lambda o: _rival_ratio(o, "keda"))),
        _mean(bound),
        f"{max(bound):.3f}",
        _mean(over, "{:.2%}"),
        f"{max(over):.2%}",
        f"{np.mean([o.late_ratio for o in outcomes]):.2%}",
        f"{max(o.worst_late_ratio for o in outcomes):.0%}",
        str(max(o.unreleased_minutes for o in outcomes)),
        _hours(outcomes, "gpu"),
        _hours(outcomes, "cpu"),
    )


def parts_table(outcomes: Sequence[Outcome]) -> str:
    """In % of the clairvoyant's cost, by family and by day."""
    rows = []
    for name in (*FAMILIES, *KINDS):
        members = [o for o in outcomes if name in (o.heat.family, o.heat.day)]
        if members:
            rows.append((name, *_parts(members)))
    rows.append(("**all**", *_parts(outcomes)))
    return (
        table(("", *PARTS, "sum", "rounding"), rows)
        + "\n\nIn % of the clairvoyant's cost: one thing after the other that the engine goes by is replaced with the truth, so the parts "
        "add up. *Forecast*: the upper forecast instead of the load of the minute. *Late budget*: capacity at the late share "
        "that is planned for instead of the whole budget. *Capacity*: what is counted on instead of the true capacity. *Mix*: "
        "what the plan proposes instead of the cheapest mix by the same forecast and capacity. *Holds and guards*: what is "
        "paid instead. *Rounding* is no part of the sum: what whole replicas and minima cost the clairvoyant itself."
    )


def _parts(outcomes: Sequence[Outcome]) -> list[str]:
    shares = [np.mean([o.parts[part] / o.bound_cost for o in outcomes]) for part in PARTS]
    rounding = np.mean([o.rounding / o.bound_cost for o in outcomes])
    return [*(f"{100 * share:.0f}" for share in (*shares, sum(shares), rounding))]


def told_table(outcomes: Sequence[Outcome]) -> str:
    """The engine told the truth, over the engine, where that was run."""
    runs = [o for o in outcomes if o.told]
    if not runs:
        return "The engine was not run told the truth (`--told`)."
    rows = [("nothing", _mean(_figures(runs, bound_ratio)), "", _mean(_figures(runs, _over), "{:.2%}"))]
    for name in runs[0].told:
        bound = [o.told[name].cost / o.bound_cost for o in runs]
        saved = [1.0 - o.told[name].cost / o.cost for o in runs]
        over = [o.told[name].over_ratio for o in runs]
        rows.append((name, _mean(bound), _mean(saved, "{:.1%}"), _mean(over, "{:.2%}")))
    return (
        f"The engine on {len(runs)} of the runs again, told the truth and learning as ever. The capacity is that of the ready "
        "replicas, at the late share planned for or at the whole budget.\n\n"
        + table(("told", "x clairvoyant", "saves", "over"), rows)
    )


def capacity_table(outcomes: Sequence[Outcome]) -> str:
    """By the number of ready replicas."""
    rows = []
    for size in sorted({size for o in outcomes for size in o.capacity_errors}):
        errors = [o.capacity_errors[size] for o in outcomes if size in o.capacity_errors]
        rows.append(
            (
                str(size),
                str(len(errors)),
                f"{sum(error.ticks for error in errors)}",
                f"{np.median([error.believed for error in errors]):+.0%}",
                f"{np.median([error.planned for error in errors]):+.0%}",
                f"{np.average([error.planned_absolute for error in errors], weights=[error.ticks for error in errors]):.0%}",
            )
        )
    return (
        "What is known of a replica's capacity over what it carries at the whole late budget, less 1, after the first half hour: both "
        "pools, by the nearest number of ready replicas. *Believed*, *planned with*: the median over runs of their medians; "
        "*off by*: the mean of the absolute error of the latter.\n\n"
        + table(("ready replicas", "runs", "ticks", "believed", "planned with", "off by"), rows)
    )


def worst_table(outcomes: Sequence[Outcome]) -> str:
    """The dearest relative to the best in hindsight."""
    compared = sorted((o for o in outcomes if best_ratio(o) is not None), key=lambda o: -(best_ratio(o) or 0.0))
    rows = []
    for o in compared[:WORST_SHOWN]:
        kind, rival = min(
            ((kind, rival) for kind, rival in o.rivals.items() if rival is not None), key=lambda pair: pair[1].cost
        )
        rows.append(
            (
                o.heat.family,
                o.day,
                str(o.heat.seed),
                f"{best_ratio(o):.3f}",
                f"{bound_ratio(o):.3f}",
                f"{o.over_ratio:.2%}",
                f"{kind.upper()} {rival.target_ratio:g}, share {rival.gpu_share:g}",
                f"{rival.over_ratio:.2%}",
                _pair(o, "gpu"),
                _pair(o, "cpu"),
            )
        )
    head = (
        "plant", "day", "seed", "x best", "x clairvoyant", "over", "best in hindsight", "its over",
        "GPU-hours (clairvoyant's)", "CPU-hours (clairvoyant's)",
    )  # fmt: skip
    return table(head, rows)


def _setting() -> str:
    return (
        f"Plants and days are drawn by seed. A threshold is an edge of the latency histogram; CPU pods that carry the first load run "
        f"at first (one alone in *cold start*), and no GPU. Only a trace comes with a history. The bar is the cheapest setting of HPA, "
        f"and of KEDA, that is over no more often than the engine or {ALLOWED_OVER_RATIO:.1%} of the minutes, found with the day known: "
        f"{len(TARGETS)} targets from {TARGETS[0]:g} to {TARGETS[-1]:g} x GPU shares {', '.join(f'{share:g}' for share in SHARES)}."
    )


def _over(outcome: Outcome) -> float:
    return outcome.over_ratio


def _rival_ratio(outcome: Outcome, kind: str) -> float | None:
    rival = outcome.rivals[kind]
    return None if rival is None else outcome.cost / rival.cost


def _figures(outcomes: Sequence[Outcome], figure: Figure) -> list[float]:
    return [value for value in map(figure, outcomes) if value is not None]


def _standard_error(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else math.nan


def _mean(values: Sequence[float], style: str = "{:.3f}") -> str:
    if not values:
        return "-"
    error = f" ± {style.format(_standard_error(values))}" if len(values) > 1 else ""
    return style.format(np.mean(values)) + error


def _hours(outcomes: Sequence[Outcome], pool: str) -> str:
    theirs = sum(o.bound_hours[pool] for o in outcomes)
    return f"{sum(o.hours[pool] for o in outcomes) / theirs:.2f}" if theirs > 0.0 else "-"


def _pair(outcome: Outcome, pool: str) -> str:
    return f"{outcome.hours[pool]:.1f} ({outcome.bound_hours[pool]:.1f})"
