"""The picture of what was tried: loss against latency, the frontier, and names only for what is on it and the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Apart for the colour-blind (Okabe and Ito's), and by the marker where there are no colours.
COLOURS = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#3d4349")
MARKERS = ("o", "s", "^", "v", "P", "X")
CHOSEN, OTHER, LIMIT, BASELINE = "#d55e00", "#c4c9cf", "#a40e26", "#1f2328"
HIGHEST, LOWEST = 4.0, -1.5  # budgets that the axis shows; what lies higher is drawn at its end


@dataclass(frozen=True)
class Point:
    """One candidate. The latency is the median of a request; losses are relative to the full model's metric."""

    name: str
    latency_seconds: float
    loss_ratio: float
    loss_interval: tuple[float, float]
    chosen: bool = False
    baseline: bool = False


@dataclass(frozen=True)
class Picture:
    """What the points are of."""

    title: str
    metric: str
    size: int  # candidates in a request
    budget_ratio: float


def frontier(points: Sequence[Point], budget_ratio: float) -> list[Point]:
    """Those within the budget that no other one beats in both latency and loss, the fastest first.

    Worked: (1 ms, 0.2 %), (2 ms, 0.1 %), (3 ms, 0.3 %) gives the first two.
    """
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.latency_seconds, p.loss_ratio)):
        if point.loss_ratio <= budget_ratio and (not found or point.loss_ratio < found[-1].loss_ratio):
            found.append(point)
    return found


def draw(points: Sequence[Point], picture: Picture, path: Path) -> None:
    """A PNG."""
    from matplotlib.figure import Figure  # takes a second to import: only for who asks for a picture

    figure = Figure(figsize=(10.5, 6.2), dpi=120, layout="constrained")
    axes = figure.subplots()
    best = frontier(points, picture.budget_ratio)
    axes.plot(
        [1e3 * p.latency_seconds for p in best], [100 * p.loss_ratio for p in best],
        drawstyle="steps-post", color="#7a7a7a", lw=1.0, label="frontier: nothing is faster and loses less",
    )  # fmt: skip
    named = [*best, *(p for p in points if (p.chosen or p.baseline) and p not in best)]
    others = [p for p in points if p not in named]
    top = HIGHEST * picture.budget_ratio
    for number, point in enumerate(others):
        _mark(
            axes,
            point,
            top,
            OTHER,
            "o",
            5.0,
            "other candidates (triangle: loses more than is shown)" if number == 0 else None,
        )
    for number, point in enumerate(named):
        kind = number % len(COLOURS)
        colour = BASELINE if point.baseline else CHOSEN if point.chosen else COLOURS[kind]
        marker = "*" if point.baseline else "D" if point.chosen else MARKERS[kind]
        says = " (chosen)" if point.chosen else " (baseline)" if point.baseline else ""
        label = f"{point.name}{says}: {1e3 * point.latency_seconds:.2f} ms, {point.loss_ratio:+.2%}"
        _mark(axes, point, top, colour, marker, 11.0 if point.baseline else 8.0, label)
    limit = 100 * picture.budget_ratio
    axes.axhline(limit, color=LIMIT, lw=1.0, ls=(0, (5, 2)), label=f"budget: a loss of {picture.budget_ratio:.1%}")
    axes.set_ylim(100 * LOWEST * picture.budget_ratio, 100 * top * 1.05)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:.0e}"[0] in "235" else "")
    axes.set_xlabel(f"median latency of a request with {picture.size} candidates, ms (log scale)")
    axes.set_ylabel(f"relative loss of {picture.metric}, % (bars: 95 % intervals)")
    axes.set_title(
        f"{picture.title}: what each candidate loses, and how fast it is", loc="left", fontweight="bold", fontsize=12
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e6e8eb", lw=0.8)
    axes.set_axisbelow(True)
    axes.legend(loc="upper right", frameon=True, framealpha=1.0, edgecolor="#e6e8eb", fontsize=9)
    figure.savefig(path, metadata={"Software": None})


def _mark(axes: Axes, point: Point, top: float, colour: str, marker: str, size: float, label: str | None) -> None:  # noqa: PLR0913
    low, high = point.loss_interval
    inside = point.loss_ratio <= top
    spread = [[100 * max(0.0, point.loss_ratio - low)], [100 * max(0.0, high - point.loss_ratio)]]
    axes.errorbar(
        1e3 * point.latency_seconds, 100 * min(point.loss_ratio, top), yerr=spread if inside else None,
        fmt=marker if inside else "^", color=colour, ms=size, elinewidth=0.9, capsize=0, label=label,
        mec="white", mew=0.7, zorder=2 if colour == OTHER else 3,
    )  # fmt: skip
