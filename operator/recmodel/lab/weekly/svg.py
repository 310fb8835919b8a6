"""Charts as SVG within the page: readable on a phone, coloured by the page's style, named for those who cannot see them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from recmodel.lab.weekly import words
from recmodel.lab.weekly.charts import Chart, Series, Values
from recmodel.lab.weekly.clock import HOURS
from recmodel.lab.weekly.markup import el
from recmodel.lab.weekly.values import Day

WIDE, HIGH = 360.0, 190.0  # as wide as a phone: its letters are as large there as those of the page
LEFT, RIGHT, TOP, BOTTOM = 38.0, 6.0, 10.0, 22.0
STEP = (WIDE - LEFT - RIGHT) / HOURS
TICKS, GAP = 4, 1.2
COLOURS = 6
ROW, DAY_LEFT = 15.0, 74.0
STATES = {
    "over": "over the objective", "perhaps": "perhaps over", "within": "within", "idle": "no requests",
    words.GONE: "no such hour", "": "not known",
}  # fmt: skip


def chart_svg(chart: Chart, name: str) -> Element:
    """The drawing; ``name``: an id that no other one on the page has."""
    top = nice(chart.top, chart.whole)
    root = _root(name, HIGH, f"{chart.title}, {chart.unit}, by hour of the day", _told(chart))
    ticks = round(min(top, TICKS)) if chart.whole else TICKS
    for i in range(ticks + 1):
        value = top * i / ticks
        y = _y(value, top)
        root.append(el("line", x1=LEFT, x2=WIDE - RIGHT, y1=y, y2=y, class_="grid"))
        root.append(el("text", _tick(value), x=LEFT - 4, y=y + 3.5, class_="end"))
    for hour in range(0, HOURS + 1, 6):
        root.append(el("text", f"{hour:02d}", x=LEFT + hour * STEP, y=HIGH - 6, class_="mid"))
    below = [0.0] * HOURS
    for series in chart.series:
        colour = f"c{series.colour % COLOURS}"
        if series.shape == "bars":
            root.extend(list(_bars(series, top, below, colour)))
            below = [low + (value or 0.0) for low, value in zip(below, series.values, strict=True)]
        elif series.shape == "band":
            root.extend(list(_bands(series, top, colour)))
        else:
            root.extend(list(_lines(series.values, top, colour)))
    if chart.limit is not None:
        y = _y(chart.limit[0], top)
        root.append(el("line", x1=LEFT, x2=WIDE - RIGHT, y1=y, y2=y, class_="limit"))
    return root


def days_svg(days: Sequence[Day], name: str) -> Element:
    """A row a day, a cell an hour."""
    high = TOP + ROW * len(days) + BOTTOM
    step = (WIDE - DAY_LEFT - RIGHT) / HOURS
    over = sum(state == "over" for day in days for state in day.hours)
    root = _root(name, high, "Hours over the objective, by day", f"{over} hours were over the objective")
    for row, day in enumerate(days):
        y = TOP + ROW * row
        root.append(el("text", day.name, x=DAY_LEFT - 6, y=y + 10.5, class_="end"))
        for hour, state in enumerate(day.hours):
            cell = el(
                "rect", el("title", f"{day.name}, {words.clock(hour)}: {STATES[state]}"), x=DAY_LEFT + hour * step, y=y
            )
            cell.attrib |= {"width": f"{step - GAP:g}", "height": f"{ROW - GAP:g}", "class": f"s {state or 'unknown'}"}
            root.append(cell)
    for hour in range(0, HOURS + 1, 6):
        root.append(el("text", f"{hour:02d}", x=DAY_LEFT + hour * step, y=high - 6, class_="mid"))
    return root


def nice(value: float, whole: bool = False) -> float:
    """A round number that is not below it: 84 is 100, 0.013 is 0.02."""
    if whole:
        return (
            max(float(TICKS * math.ceil(value / TICKS)), float(TICKS)) if value > TICKS else max(math.ceil(value), 1.0)
        )
    size = 10.0 ** math.floor(math.log10(value))
    return next(step * size for step in (1.0, 1.2, 1.6, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0) if step * size >= value * 0.9999)


def _root(name: str, high: float, title: str, said: str) -> Element:
    named = (el("title", title, id=f"{name}-t"), el("desc", said, id=f"{name}-d"))
    return el("svg", *named, view_box=f"0 0 {WIDE:g} {high:g}", role="img", aria_labelledby=f"{name}-t {name}-d")


def _told(chart: Chart) -> str:
    """Its largest values, in words."""
    parts = []
    for series in chart.series:
        known = [
            (value, hour) for hour, value in enumerate(series.values) if value is not None and math.isfinite(value)
        ]
        if known:
            value, hour = max(known, key=lambda pair: pair[0])
            parts.append(f"{series.name}: at most {words.number(value)} ({words.clock(hour)})")
    return "; ".join(parts) or words.UNKNOWN


def _bars(series: Series, top: float, below: Sequence[float], colour: str) -> Iterator[Element]:
    for hour, value in enumerate(series.values):
        if value:
            y = _y(below[hour] + value, top)
            yield el(
                "rect", x=LEFT + hour * STEP, y=y, width=STEP - GAP, height=_y(below[hour], top) - y, class_=colour
            )


def _bands(series: Series, top: float, colour: str) -> Iterator[Element]:
    for hour, (low, high) in enumerate(zip(series.low, series.values, strict=True)):
        if low is None or high is None:
            continue
        y = _y(high, top)
        open_end = " open" if math.isinf(high) else ""
        height = max(_y(low, top) - y, 1.5)
        x, classes = LEFT + hour * STEP, f"{colour} band{open_end}"
        yield el("rect", x=x, y=y, width=STEP - GAP, height=height, class_=classes)


def _lines(values: Values, top: float, colour: str) -> Iterator[Element]:
    """A line through the known hours that follow each other; a point where there is one alone."""
    run: list[tuple[float, float]] = []
    for hour in range(HOURS + 1):
        value = values[hour] if hour < HOURS else None
        if value is not None:
            run.append((LEFT + (hour + 0.5) * STEP, _y(value, top)))
            continue
        if len(run) > 1:
            yield el("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in run), class_=f"{colour} line")
        if len(run) == 1:
            yield el("circle", cx=run[0][0], cy=run[0][1], r=2.5, class_=colour)
        run = []


def _y(value: float, top: float) -> float:
    return TOP + (HIGH - TOP - BOTTOM) * (1.0 - min(value, top) / top)


def _tick(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 10_000 else f"{value:.4g}"
