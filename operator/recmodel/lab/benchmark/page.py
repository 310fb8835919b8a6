"""The benchmark's page and picture."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from recmodel.lab import style
from recmodel.lab.benchmark.days import (
    GPU_PRICE,
    PEAK_PER_SECOND,
    SHARES,
    SLOWER,
    Judged,
)
from recmodel.lab.benchmark.fleet_cost import FleetCost
from recmodel.lab.benchmark.sections import (
    ablation_table,
    capacity_table,
    fleet_table,
    forecast_table,
    listed,
    noise_sentence,
    seeds_table,
    table,
)
from recmodel.lab.controllers.hindsight import ALLOWED_OVER_RATIO, TARGETS

GOAL_BEST_RATIO = 0.93
GOAL_OVER_RATIO = 0.02
GOAL_BOUND_RATIO = 1.15  # on calm days
SHOWN_RATIO = 1.8  # the picture ends here; a higher bar still has its figure
FIGURE_HEIGHT = 0.03  # of the figures: at the foot of the bars, off the line at 1


def page(judged: Sequence[Judged], fleets: Sequence[FleetCost], command: str, seed: int) -> str:
    """The whole page as Markdown."""
    parts = [
        "# Benchmark",
        f"Made by `{command}` (seed {seed}). Do not edit it by hand: run the command again. Timings and memory were taken on a "
        f"machine of {os.cpu_count()} cores, one of them used.",
        _setting(judged),
        "## Against HPA, KEDA and a clairvoyant",
        _days_table(judged),
        "![cost relative to the best setting in hindsight and to the clairvoyant](images/benchmark.png)",
        _reading(judged),
        "## What each part is worth",
        ablation_table(judged),
        "## How much is noise",
        seeds_table(judged),
        "## The upper forecast",
        forecast_table(judged),
        "## What was known of the capacity, and when",
        capacity_table(judged),
        "## Time and memory of a decision",
        fleet_table(fleets),
    ]
    return "\n\n".join(parts) + "\n"


def draw(judged: Sequence[Judged], path: Path) -> None:
    """Two bars a trace: cost relative to the best in hindsight and to the clairvoyant; 1 is a draw."""
    import matplotlib  # takes a second to import: only for who asks for a picture

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(10.0, 4.2), layout="constrained")
    places = np.arange(len(judged))
    series: tuple[tuple[str, str, str, list[float | None]], ...] = (
        ("x best HPA or KEDA in hindsight", style.ENGINE, "white", [best_ratio(case) for case in judged]),
        ("x clairvoyant with instant starts", "#b8bec5", style.INK, [bound_ratio(case) for case in judged]),
    )
    for offset, (label, colour, ink, values) in zip((-0.2, 0.2), series, strict=True):
        heights = np.array([np.nan if value is None else value for value in values])
        axis.bar(places + offset, heights, 0.38, color=colour, label=label)
        for place, value in zip(places + offset, values, strict=True):
            text, colour_of_text = ("none", style.INK) if value is None else (f"{value:.2f}", ink)
            axis.text(place, FIGURE_HEIGHT, text, ha="center", va="bottom", fontsize=7, color=colour_of_text)
    axis.axhline(1.0, color=style.INK, linewidth=0.8)
    names = [f"{case.name}\n{case.engine.minutes_over_ratio:.1%} over" for case in judged]
    axis.set_xticks(places, names, rotation=40, ha="right", fontsize=8)
    axis.set_ylabel("cost of the engine, relative")
    axis.set_ylim(0.0, SHOWN_RATIO)
    axis.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, 1.14), ncols=2, frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120, metadata={"Software": None})  # without a version: the same bytes for the same figures
    plt.close(figure)


def best_ratio(case: Judged) -> float | None:
    """Cost relative to the best in hindsight; None where no setting of the grid is over so rarely."""
    return None if case.best is None else case.engine.cost / case.best.summary.cost


def bound_ratio(case: Judged) -> float:
    """Cost relative to the clairvoyant."""
    return case.engine.cost / case.bound_cost


def _setting(judged: Sequence[Judged]) -> str:
    longest = max(case.hours for case in judged)
    return (
        f"One model at p95 <= 100 ms, simulated request by request: CPU pods (4 workers of 25 ms, ready after 45 s, price 1) and "
        f"batching GPU pods (batches of up to 32 in 10 ms + 1.2 ms a request, ready after 180 s, minimum 0, price {GPU_PRICE:g}); "
        f"scrapes and ticks of 15 s, a rate window of 60 s, Poisson arrivals within the load. Judged is the last whole day of each "
        f"trace{'' if longest > 12 else ' (its middle 12 hours)'}, which nobody chose, with up to 14 days before it as history and "
        f"its peak at {PEAK_PER_SECOND:g} requests/s (a shorter trace: all of it, no history). Loads known in steps longer than a "
        f"minute are interpolated and made to wobble by 5 %. Everyone "
        f"starts with either pool large enough for the whole load at 60 %. The engine runs with its defaults.\n\n"
        f"- *over*: minutes of which more than 5 % of the requests were late or failed. *late*: requests late or failed.\n"
        f"- *clairvoyant*: knows every minute's load and the true capacities, starts pods in no time: not reachable.\n"
        f"- *default HPA*: 70 % utilisation, CPU pods only.\n"
        f"- *best*: the cheapest setting of HPA (utilisation) or KEDA (requests per replica) that is over no more often than the "
        f"engine or {ALLOWED_OVER_RATIO:.1%} of the minutes, found with the day known: {len(TARGETS)} targets from "
        f"{TARGETS[0]:g} to {TARGETS[-1]:g} x GPU shares {', '.join(f'{share:g}' for share in SHARES)}, the target by halving, "
        f"searched with services {SLOWER:g} times as long at a load divided by the same; its winner run at full load. A finer "
        f"grid may hold a slightly cheaper one. Price and share of the GPU pool are free to it; the engine finds them out."
    )


def _days_table(judged: Sequence[Judged]) -> str:
    head = (
        "trace", "hours", "history, days", "over", "late", "cost", "x clairvoyant", "x default HPA", "its over",
        "x best", "best in hindsight", "its over", "scalings",
    )  # fmt: skip
    rows = [_day_row(case) for case in judged]
    days = _with_history(judged)
    best = [ratio for ratio in map(best_ratio, days) if ratio is not None]
    over = float(np.mean([case.engine.minutes_over_ratio for case in days]))
    late = float(np.mean([case.engine.late_ratio for case in days]))
    bound = float(np.mean([bound_ratio(case) for case in days]))
    hpa = float(np.mean([case.engine.cost / case.hpa.cost for case in days]))
    hpa_over = float(np.mean([case.hpa.minutes_over_ratio for case in days]))
    last = f"**{np.mean(best):.3f}**" if best else "-"
    means = (f"{over:.2%}", f"{late:.2%}", "", f"**{bound:.3f}**", f"**{hpa:.3f}**", f"{hpa_over:.2%}", last)
    rows.append(("**mean of those with a history**", "", "", *means, "", "", ""))
    return table(head, rows)


def _with_history(judged: Sequence[Judged]) -> Sequence[Judged]:
    """Those that the means are over; all where none has a history."""
    return [case for case in judged if case.history_days > 0.0] or judged


def _day_row(case: Judged) -> tuple[str, ...]:
    ratio = best_ratio(case)
    setting, its_over = "none is over so rarely", "-"
    if case.best is not None:
        setting = f"{case.best.kind.upper()} {case.best.target_ratio:g}, share {case.best.gpu_share:g}"
        its_over = f"{case.best.summary.minutes_over_ratio:.2%}"
    return (
        case.name,
        f"{case.hours:.0f}",
        f"{case.history_days:.1f}",
        f"{case.engine.minutes_over_ratio:.2%}",
        f"{case.engine.late_ratio:.2%}",
        f"{case.engine.cost:.1f}",
        f"{bound_ratio(case):.3f}",
        f"{case.engine.cost / case.hpa.cost:.3f}",
        f"{case.hpa.minutes_over_ratio:.2%}",
        "-" if ratio is None else f"{ratio:.3f}",
        setting,
        its_over,
        str(case.engine.scalings),
    )


def _reading(judged: Sequence[Judged]) -> str:
    """What the table says, the losses first."""
    ratios = {case.name: ratio for case in judged if (ratio := best_ratio(case)) is not None}
    lost = [f"{name} ({ratio:.3f})" for name, ratio in ratios.items() if ratio > 1.0]
    often = [
        f"{c.name} ({c.engine.minutes_over_ratio:.2%})" for c in judged if c.engine.minutes_over_ratio > GOAL_OVER_RATIO
    ]
    dear = [f"{case.name} ({bound_ratio(case):.2f})" for case in judged if bound_ratio(case) > GOAL_BOUND_RATIO]
    hpa = [c.name for c in judged if c.hpa.minutes_over < c.engine.minutes_over]
    none = [case.name for case in judged if case.best is None]
    lines = [
        f"Dearer than the best setting in hindsight: {listed(lost)} of {len(ratios)} compared.",
        f"More than {GOAL_BOUND_RATIO:g} times the clairvoyant: {listed(dear)}.",
        f"Over more than {GOAL_OVER_RATIO:.0%} of the minutes: {listed(often)}.",
        f"Default HPA is over less often (and costs more where its ratio is below 1): {listed(hpa)}.",
    ]
    days = [case.name for case in _with_history(judged)]
    compared = [ratio for name, ratio in ratios.items() if name in days]
    if compared:
        mean = float(np.mean(compared))
        reached = "reached" if mean <= GOAL_BEST_RATIO else "not reached"
        lines.append(
            f"The goal of {GOAL_BEST_RATIO:g} of the best in hindsight on average is {reached}: {mean:.3f} "
            f"(the mean row's, of {len(compared)} compared)."
        )
    apart = [f"{name} ({ratio:.3f})" for name, ratio in ratios.items() if name not in days]
    if apart:
        lines.append(f"Without a history, too short to hold a day, and in no mean: {listed(apart)}.")
    if none:
        lines.append(f"No setting of the grid is over as rarely as allowed, so none is compared: {listed(none)}.")
    lines.append(noise_sentence(judged))
    return "Read honestly:\n\n" + "\n".join(f"- {line}" for line in lines)
