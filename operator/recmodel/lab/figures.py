"""Pictures of simulated days, as PNG."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # no display is needed, and none is there in a container
import matplotlib.pyplot as plt
import numpy as np

from recmodel.lab.controllers.clairvoyant import Clairvoyant
from recmodel.lab.simulator.result import Result

COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown", "tab:pink")
INCHES_WIDE, INCHES_A_ROW = 11.0, 2.2


def draw_day(results: Mapping[str, Result], path: Path, bound: Clairvoyant | None = None, title: str = "") -> None:
    """The load, each pool's replicas, the share late by minute and the cost so far, for each controller by name."""
    first = next(iter(results.values()))
    pools = [pool.name for pool in first.scenario.pools]
    rows = len(pools) + 3
    figure, axes = plt.subplots(rows, 1, sharex=True, figsize=(INCHES_WIDE, INCHES_A_ROW * rows), layout="constrained")
    hours = np.arange(len(first.requests)) / 60.0
    _load(axes[0], hours, first, title)
    for row, name in enumerate(pools, start=1):
        _replicas(axes[row], hours, results, bound, name)
    _late(axes[-2], hours, results, first)
    _cost(axes[-1], hours, results, bound)
    handles, labels = axes[1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize="small", ncols=len(labels))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _load(axis: Any, hours: Any, first: Result, title: str) -> None:
    axis.plot(hours, first.requests / 60.0, color="black", linewidth=0.8)
    axis.set_ylabel("requests/s")
    axis.set_title(title)
    axis.set_ylim(bottom=0)


def _replicas(axis: Any, hours: Any, results: Mapping[str, Result], bound: Clairvoyant | None, pool: str) -> None:
    if bound is not None:
        axis.step(hours, bound.replicas[pool], color="0.7", linewidth=1.0, label="clairvoyant", where="post")
    for (name, result), colour in zip(results.items(), COLOURS, strict=False):
        axis.step(hours, result.replicas[pool], color=colour, linewidth=1.0, label=name, where="post")
    axis.set_ylabel(f"{pool} replicas")
    axis.set_ylim(bottom=0)


def _late(axis: Any, hours: Any, results: Mapping[str, Result], first: Result) -> None:
    budget = 1.0 - first.scenario.within_ratio
    for (name, result), colour in zip(results.items(), COLOURS, strict=False):
        axis.plot(hours, 100.0 * result.late_ratio, color=colour, linewidth=0.7, label=name)
    axis.axhline(100.0 * budget, color="black", linestyle=":", linewidth=0.8)
    axis.set_yscale("symlog", linthresh=100.0 * budget)
    axis.set_ylim(0, 100)
    axis.set_ylabel("late, % a minute")


def _cost(axis: Any, hours: Any, results: Mapping[str, Result], bound: Clairvoyant | None) -> None:
    if bound is not None:
        axis.plot(hours, np.cumsum(bound.cost_by_minute), color="0.7", linewidth=1.0, label="clairvoyant")
    for (name, result), colour in zip(results.items(), COLOURS, strict=False):
        axis.plot(hours, np.cumsum(result.cost), color=colour, linewidth=1.0, label=name)
    axis.set_ylabel("cost so far")
    axis.set_xlabel("hours")
    axis.set_ylim(bottom=0)
