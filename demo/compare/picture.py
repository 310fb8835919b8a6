"""docs/images/comparison.png: replicas, late requests and cost of one seed over the recorded minutes, in the style of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from compare.outcome import OBJECTIVE_RATIO, Outcome
from compare.plan import Plan, Who
from recmodel.lab import style
from recmodel.lab.past.words import minutes_text

NAMES = {Who.RECMODEL: "RecModel", Who.KEDA: "KEDA, best target", Who.HPA: "HPA"}
LOWEST_RATIO = 1e-3  # where the scale of late shares turns from a line into a logarithm
Line = tuple[Outcome, dict[str, Any]]


def draw(outcomes: Sequence[Outcome], plan: Plan, path: Path) -> None:
    """Writes the PNG."""
    lines = list(_lines(outcomes))
    with mpl.rc_context(style.settings()):  # type: ignore[arg-type]
        figure = Figure(figsize=(11.5, 8.3), dpi=110, layout="constrained")
        panels: Sequence[Axes] = figure.subplots(3, 1, sharex=True, height_ratios=(2.6, 2.4, 2.3))
        for number, (panel, fill) in enumerate(zip(panels, (_replicas, _late, _spent), strict=True)):
            _load(panel, outcomes[0], labelled=number == 0)
            _headed(panel, fill(panel, lines))
        panels[-1].set_xlim(0.0, plan.recorded_minutes)
        panels[-1].set_xlabel(f"recorded minutes, each replayed in {plan.minute_seconds} s")
        figure.suptitle(
            f"{plan.recorded_minutes} recorded minutes on a real cluster, scaled three ways (seed {outcomes[0].seed})",
            x=0.012, ha="left", fontsize=13, fontweight="bold",
        )  # fmt: skip
        figure.savefig(path, metadata={"Software": None})


def _lines(outcomes: Sequence[Outcome]) -> Iterator[Line]:
    """RecModel's is whole and blue, and drawn above the others; these have dashes and colours of their own."""
    rivals = [one for one in outcomes if one.who is not Who.RECMODEL]
    for number, one in enumerate(reversed(rivals)):
        yield one, {"color": style.RIVALS[number], "ls": style.DASHES[number], "lw": 1.6}
    for one in outcomes:
        if one.who is Who.RECMODEL:
            yield one, {"color": style.ENGINE, "ls": "solid", "lw": 1.6}


def _replicas(panel: Axes, lines: Sequence[Line]) -> str:
    for one, look in lines:
        panel.step(
            _edges(one),
            _closed(one.replicas),
            where="post",
            label=f"{NAMES[one.who]}: {one.replicas.mean():.1f} in the mean",
            **look,
        )
    panel.set_ylim(0.0, None)
    panel.yaxis.set_major_locator(MaxNLocator(integer=True))
    panel.set_ylabel("replicas")
    return "Replicas that were asked for"


def _late(panel: Axes, lines: Sequence[Line]) -> str:
    budget = 100.0 * (1.0 - OBJECTIVE_RATIO)
    panel.axhline(budget, color=style.OBJECTIVE, lw=0.9)
    panel.annotate(
        f"objective: at most {budget:.0f} %", (0.0, budget), xytext=(4.0, 3.0), textcoords="offset points", color=style.OBJECTIVE,
        fontsize=9,
    )  # fmt: skip
    for one, look in lines:
        late = 100.0 * one.late_ratios
        at = np.arange(len(late)) + 0.5
        over = np.array(one.over)
        panel.plot(
            at,
            late,
            label=f"{NAMES[one.who]}: {one.late_ratio:.2%}, {minutes_text(sum(one.over))} over",
            **(look | {"lw": 1.2}),
        )
        panel.plot(at[over], late[over], "o", ms=4.5, color=look["color"])
    panel.set_yscale("symlog", linthresh=100.0 * LOWEST_RATIO)
    panel.set_ylim(0.0, 100.0)
    panel.yaxis.set_minor_locator(NullLocator())
    panel.set_yticks([0.0, 0.1, 1.0, 5.0, 20.0, 100.0], ["0", "0.1", "1", "5", "20", "100"])
    panel.set_ylabel("% a minute")
    return "Late or failed requests (a dot: a minute over the objective)"


def _spent(panel: Axes, lines: Sequence[Line]) -> str:
    for one, look in lines:
        spent = np.concatenate([[0.0], np.cumsum(one.replicas) * one.cost / one.replicas.sum()])
        panel.plot(_edges(one), spent, label=f"{NAMES[one.who]}: {one.cost:.2f}", **look)
    panel.set_ylim(0.0, None)
    panel.set_ylabel("cost so far")
    return "Cost, in recorded time"


def _load(panel: Axes, one: Outcome, *, labelled: bool) -> None:
    """Behind everything, on a scale of its own."""
    behind = panel.twinx()
    behind.fill_between(_edges(one), 0.0, _closed(one.load_per_second), step="post", color=style.LOAD, lw=0)
    behind.set_ylim(0.0, 1.08 * float(one.load_per_second.max()))
    behind.grid(visible=False)
    if labelled:
        behind.yaxis.set_major_locator(MaxNLocator(4))
        behind.set_ylabel("load (grey), requests/s")
    else:
        behind.set_yticks([])
    panel.set_zorder(behind.get_zorder() + 1)
    panel.patch.set_visible(False)


def _headed(panel: Axes, heading: str) -> None:
    """A heading, and the legend on a line of its own below it, where it covers nothing; RecModel first."""
    handles, labels = panel.get_legend_handles_labels()
    panel.set_title(heading, pad=23)
    panel.legend(
        handles[::-1], labels[::-1], loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=4,
        borderpad=0.0, borderaxespad=0.4, handlelength=2.6, columnspacing=1.6,
    )  # fmt: skip


def _edges(one: Outcome) -> np.ndarray[Any, Any]:
    return np.arange(len(one.over) + 1, dtype=np.float64)


def _closed(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.append(values, values[-1])
