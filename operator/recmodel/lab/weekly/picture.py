"""The report's charts as one PNG, for a chat or a slide: the same values as the page's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from recmodel.lab import style
from recmodel.lab.weekly.charts import Chart, Series, Values, charts
from recmodel.lab.weekly.clock import HOURS
from recmodel.lab.weekly.svg import nice
from recmodel.lab.weekly.values import Report

INCHES_WIDE, INCHES_A_ROW, COLUMNS = 11.5, 2.7, 2
COLOURS = (style.ENGINE, *(style.RIVALS[i] for i in (0, 3, 2, 4, 5)))
SOLID = "-"


def drawn(report: Report, path: Path) -> str:
    """Writes the PNG, and says so; without matplotlib it says why there is none."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError:
        return (
            f"no picture: {path} needs matplotlib, which the operator's image has not; run it from a checkout for one"
        )
    with mpl.rc_context(style.settings() | {"text.parse_math": False}):  # type: ignore[arg-type]
        _draw(Figure, report, path)
    return f"picture: {path}"


def _draw(figure_of: Any, report: Report, path: Path) -> None:
    known = [chart for chart in charts(report) if chart.known]
    rows = max(-(-len(known) // COLUMNS), 1)
    figure = figure_of(figsize=(INCHES_WIDE, 1.0 + INCHES_A_ROW * rows), dpi=110, layout="constrained")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).flat
    for panel, chart in zip(panels, known, strict=False):
        _panel(panel, chart)
    for panel in list(figure.axes)[len(known) :]:
        panel.set_axis_off()
    said = f"{report.title}, {report.span}\n{report.first_line}"
    figure.suptitle(said, x=0.012, ha="left", fontsize=11, fontweight="bold", wrap=True)
    figure.savefig(path, metadata={"Software": None})


def _panel(panel: Any, chart: Chart) -> None:
    top = nice(chart.top, chart.whole)
    below = [0.0] * HOURS
    for series in chart.series:
        colour = COLOURS[series.colour % len(COLOURS)]
        if series.shape == "bars":
            known = [value or 0.0 for value in series.values]
            panel.bar(_middles(), known, 0.9, bottom=below, color=colour, label=series.name)
            below = [low + value for low, value in zip(below, known, strict=True)]
        elif series.shape == "band":
            _band(panel, series, top, colour)
        else:
            dashes = SOLID if series.colour == 0 else style.DASHES[(series.colour - 1) % len(style.DASHES)]
            panel.plot(
                _middles(), _numbers(series.values), color=colour, linestyle=dashes, marker=".", label=series.name
            )
    if chart.limit is not None:
        panel.axhline(chart.limit[0], color=style.OBJECTIVE, linewidth=0.9, linestyle="--", label=chart.limit[1])
    panel.set_title(chart.title)
    panel.set_ylabel(chart.unit)
    panel.set_xlim(0, HOURS)
    panel.set_ylim(0, top * 1.02)
    panel.set_xticks(range(0, HOURS + 1, 6), [f"{hour:02d}" for hour in range(0, HOURS + 1, 6)])
    panel.grid(visible=False, axis="x")
    panel.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=3, borderaxespad=0.1, fontsize=8)


def _band(panel: Any, series: Series, top: float, colour: str) -> None:
    high = [math.nan if value is None else min(value, top) for value in series.values]
    low = [math.nan if value is None else min(value, top) for value in series.low]
    heights = [max(above - under, top / 150) for above, under in zip(high, low, strict=True)]
    panel.bar(_middles(), heights, 0.9, bottom=low, color=colour, alpha=0.45, label=series.name)


def _middles() -> list[float]:
    return [hour + 0.5 for hour in range(HOURS)]


def _numbers(values: Values) -> list[float]:
    return [math.nan if value is None else value for value in values]
