"""Pictures of simulated days, as PNG: the load behind what each controller cost, how late it was, and what it ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from recmodel.lab import style
from recmodel.lab.controllers.clairvoyant import Clairvoyant
from recmodel.lab.past.words import minutes_text
from recmodel.lab.simulator.result import Result
from recmodel.lab.simulator.scenario import Floats

INCHES_WIDE, INCHES_HEAD = 11.5, 0.9
SMOOTHED_MINUTES = 15  # of cost and load: a line a minute is a thicket
DAY_HOURS = 24.0
LEGEND_COLUMNS, POINTS_A_ROW = 3, 15


@dataclass(frozen=True)
class Line:
    """One controller: its name in the legend, its result, colour and dashes."""

    name: str
    result: Result
    colour: str
    dashes: object


def draw_verdict(results: Mapping[str, Result], path: Path, title: str) -> None:
    """What each cost an hour and how late it was: the two that a verdict is about. The first is the engine's."""
    _draw(results, path, title, ("cost", "late"), None)


def draw_day(results: Mapping[str, Result], path: Path, bound: Clairvoyant | None = None, title: str = "") -> None:
    """The same, and the replicas of each pool."""
    first = next(iter(results.values()))
    _draw(results, path, title, ("cost", "late", *(f"pool {pool.name}" for pool in first.scenario.pools)), bound)


def _draw(
    results: Mapping[str, Result], path: Path, title: str, panels: tuple[str, ...], bound: Clairvoyant | None
) -> None:
    lines = list(_lines(results))
    heights = [2.9 if panel == "cost" else 2.3 for panel in panels]
    with mpl.rc_context(style.settings()):  # type: ignore[arg-type]
        figure = Figure(figsize=(INCHES_WIDE, INCHES_HEAD + sum(heights)), dpi=110, layout="constrained")
        axes = np.atleast_1d(figure.subplots(len(panels), 1, sharex=True, height_ratios=heights))
        for axis, panel in zip(axes, panels, strict=True):
            _load(axis, lines[0].result, labelled=panel == "cost")
            if panel == "cost":
                heading = _cost(axis, lines, bound)
            elif panel == "late":
                heading = _late(axis, lines)
            else:
                heading = _replicas(axis, lines, bound, panel.removeprefix("pool "))
            _headed(axis, heading)
        _hours_below(axes[-1], lines[0].result)
        figure.suptitle(title, x=0.012, ha="left", fontsize=13, fontweight="bold")
        figure.savefig(path, metadata={"Software": None})  # without a version: the same bytes for the same figures


def _lines(results: Mapping[str, Result]) -> Iterator[Line]:
    """The engine's is whole and blue; the others have dashes and colours of their own."""
    rivals = 0
    for number, (name, result) in enumerate(results.items()):
        if number == 0:
            yield Line(name, result, style.ENGINE, "solid")
            continue
        yield Line(name, result, style.RIVALS[rivals % len(style.RIVALS)], style.DASHES[rivals % len(style.DASHES)])
        rivals += 1


def _hours(result: Result) -> Floats:
    """Of the day, on the trace's clock; past midnight it goes on above 24."""
    begin = result.scenario.start_seconds / 3600.0 % DAY_HOURS
    return np.asarray(begin + np.arange(len(result.requests)) / 60.0)


def _load(axis: Axes, result: Result, *, labelled: bool) -> None:
    """Behind everything, on a scale of its own."""
    behind = axis.twinx()
    load = _smooth(result.requests / 60.0)
    behind.fill_between(_hours(result), 0.0, load, color=style.LOAD, lw=0)
    behind.set_ylim(0.0, 1.08 * max(float(load.max()), 1e-9))
    behind.grid(visible=False)
    behind.yaxis.set_major_locator(MaxNLocator(4))
    if labelled:
        behind.set_ylabel("load (grey), requests/s")
    else:
        behind.set_yticks([])
    axis.set_zorder(behind.get_zorder() + 1)
    axis.patch.set_visible(False)


def _cost(axis: Axes, lines: list[Line], bound: Clairvoyant | None) -> str:
    if bound is not None:
        axis.plot(
            _hours(lines[0].result), _smooth(60.0 * bound.cost_by_minute), color=style.INK, lw=0.9,
            label=f"clairvoyant: {bound.cost:.1f} in all",
        )  # fmt: skip
    for line in reversed(lines):
        total = float(line.result.cost.sum())
        axis.plot(
            _hours(line.result), _smooth(60.0 * line.result.cost), color=line.colour, ls=line.dashes,
            label=f"{line.name}: {total:.1f} in all",
        )  # fmt: skip
    axis.set_ylim(0.0, None)
    axis.set_ylabel("cost an hour")
    return "Cost"


def _late(axis: Axes, lines: list[Line]) -> str:
    result = lines[0].result
    budget = 100.0 * (1.0 - result.scenario.within_ratio)
    axis.axhline(budget, color=style.OBJECTIVE, lw=0.9, label=f"objective: at most {budget:g} %")
    for line in reversed(lines):
        summary = line.result.summary()
        late = 100.0 * line.result.late_ratio
        axis.plot(
            _hours(line.result), late, color=line.colour, ls=line.dashes, lw=1.2,
            label=f"{line.name}: {summary.late_ratio:.2%}, {minutes_text(summary.minutes_over)} over",
        )  # fmt: skip
        over = line.result.over
        axis.plot(_hours(line.result)[over], late[over], "o", ms=4.5, color=line.colour)
    axis.set_ylim(0.0, max(2.0 * budget, 1.1 * axis.get_ylim()[1]))
    axis.set_ylabel("% a minute")
    return "Late or failed requests (a dot: a minute over the objective)"


def _replicas(axis: Axes, lines: list[Line], bound: Clairvoyant | None, pool: str) -> str:
    if bound is not None:
        hours = float(bound.replicas[pool].sum()) / 60.0
        axis.step(
            _hours(lines[0].result), bound.replicas[pool], where="post", color=style.INK, lw=0.9,
            label=f"clairvoyant: {hours:.0f} replica-hours",
        )  # fmt: skip
    for line in reversed(lines):
        replicas = line.result.replicas[pool]
        axis.step(
            _hours(line.result), np.round(replicas), where="post", color=line.colour, ls=line.dashes, lw=1.4,
            label=f"{line.name}: {replicas.sum() / 60.0:.0f} replica-hours",
        )  # fmt: skip
    axis.set_ylim(0.0, max(1.08 * axis.get_ylim()[1], 1.0))
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel("replicas")
    return f"Replicas of {pool}"


def _headed(axis: Axes, heading: str) -> None:
    """A heading, and the legend on lines of its own below it, where it covers nothing; the engine first."""
    handles, labels = axis.get_legend_handles_labels()
    rows = -(-len(labels) // LEGEND_COLUMNS)
    axis.set_title(heading, pad=8 + POINTS_A_ROW * rows)
    axis.legend(
        handles[::-1], labels[::-1], loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=LEGEND_COLUMNS,
        borderpad=0.0, borderaxespad=0.4, handlelength=2.6, columnspacing=1.6,
    )  # fmt: skip


def _hours_below(axis: Axes, result: Result) -> None:
    hours = _hours(result)
    axis.set_xlim(hours[0], hours[-1] + 1.0 / 60.0)
    if hours[-1] - hours[0] >= 2.0:
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 3, 6]))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{int(value) % 24:02d}:00"))
    axis.set_xlabel("hour of the recorded day")


def _smooth(values: Floats) -> Floats:
    """A moving mean, shorter at the ends."""
    kernel = np.ones(min(SMOOTHED_MINUTES, len(values)))
    return np.asarray(
        np.convolve(values, kernel, mode="same") / np.convolve(np.ones(len(values)), kernel, mode="same"), np.float64
    )
