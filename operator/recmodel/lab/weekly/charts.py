"""What is drawn, as values: by hour of the day, with the numbers that stand in the table beside it; page and picture draw the same."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from recmodel.lab.weekly import words
from recmodel.lab.weekly.values import PoolFigures, Report
from recmodel.prometheus.histogram import Bracket

Values = tuple[float | None, ...]
LEAST_TOP = 1e-9  # less is nothing, whatever the unit
HALF, REST, UNSAID = 4, 5, 3  # colours of the cost, which are those of no pool of the first three


@dataclass(frozen=True)
class Series:
    """A value an hour of the day. A ``band`` reaches from ``low`` to the value, which may be infinite; ``bars`` stand on each other.
    ``colour``: a pool has the same one in every chart.
    """

    name: str
    values: Values
    shape: Literal["line", "bars", "band"] = "line"
    low: Values = ()
    said: tuple[str, ...] = ()  # the cells of the table; none: the values with three digits
    colour: int = 0


@dataclass(frozen=True)
class Chart:
    """One chart. ``limit``: a level to compare with, and what it is. ``whole``: no half of a unit is on the axis."""

    title: str
    unit: str
    series: tuple[Series, ...]
    limit: tuple[float, str] | None = None
    note: str = ""
    whole: bool = False

    @property
    def known(self) -> bool:
        """Whether there is anything to draw."""
        return any(value is not None for one in self.series for value in (*one.values, *one.low))

    @property
    def top(self) -> float:
        """The largest value that is drawn, the stacks of bars included."""
        single = [
            value
            for one in self.series
            if one.shape != "bars"
            for value in (*one.values, *one.low)
            if value is not None
        ]
        bars = [one.values for one in self.series if one.shape == "bars"]
        stacks = [sum(value or 0.0 for value in hour) for hour in zip(*bars, strict=True)]
        level = [self.limit[0]] if self.limit else []
        found = max((value for value in (*single, *stacks, *level) if math.isfinite(value)), default=0.0)
        return found if found > LEAST_TOP else 1.0


def charts(report: Report) -> Iterator[Chart]:
    """In the order of the page; those of which nothing is known are among them, and say so."""
    yield _latency(report)
    yield _late(report)
    hours = report.hours
    yield Chart(
        "Load",
        "requests/s",
        (
            Series("mean", tuple(found.load_per_second for found in hours), "bars"),
            Series("busiest minute", tuple(found.peak_per_second for found in hours), colour=1),
        ),
    )
    yield _of_pools(report, "CPU utilisation", "%", "cpu_ratio", limit=(100.0, "limit"))
    yield _of_pools(report, "GPU utilisation", "%", "gpu_ratio", limit=(100.0, "all of it"))
    yield _of_pools(report, "Queue", "requests that wait, a replica", "queue")
    yield Chart(
        "Bottleneck",
        "days",
        tuple(
            Series(pool, tuple(map(float, times)), "bars", said=tuple(map(str, times)), colour=place)
            for place, (pool, times) in enumerate(report.limit_times.items())
        )
        if any(report.judged_times)
        else (),
        note="On how many days a pool was the bottleneck: it had more late requests than the objective allows, or was busiest, above 80 % "
        "of its CPU, its GPU or what its replicas are known to carry.",
        whole=True,
    )
    yield _of_pools(report, "Replicas", "mean", "replicas")
    yield _cost(report)
    if report.kinds:
        named = f"Mean latency by {report.kinds_by}"
        of = {kind: tuple(_thousand(found.mean_seconds) for found in each) for kind, each in report.kinds.items()}
        yield Chart(named, "ms", tuple(Series(kind, values, colour=i) for i, (kind, values) in enumerate(of.items())))


def _latency(report: Report) -> Chart:
    hours, name = report.hours, report.percentile_name
    edges = [found.percentile for found in hours]
    band = Series(
        name,
        tuple(None if b is None else 1000.0 * b.upper for b in edges),
        "band",
        tuple(None if b is None else 1000.0 * b.lower for b in edges),
        tuple(map(words.time_bracket, edges)),
    )
    mean = Series("mean", tuple(_thousand(found.mean_seconds) for found in hours), colour=1)
    return Chart(
        "Latency",
        "ms",
        (band, mean),
        (1000.0 * report.threshold_seconds, "objective"),
        f"{name} lies between the two edges of the histogram that the band shows. A band without an end is above the last edge.",
    )


def _late(report: Report) -> Chart:
    late = [found.late for found in report.hours]
    return Chart(
        "Late or failed requests",
        "% of the requests",
        (
            Series(
                "late",
                tuple(_hundred(b, "upper") for b in late),
                "band",
                tuple(_hundred(b, "lower") if b is None or b.lower != b.upper else 0.0 for b in late),
                tuple(map(words.share_bracket, late)),
            ),
        ),
        (100.0 * report.allowed_ratio, "as many as may be"),
    )


def _of_pools(
    report: Report,
    title: str,
    unit: str,
    field: str,
    limit: tuple[float, str] | None = None,
) -> Chart:
    scale = 100.0 if unit == "%" else 1.0
    shape: Literal["bars", "line"] = "bars" if field == "replicas" else "line"

    def values(hours: Sequence[PoolFigures]) -> Values:
        found = (getattr(hour, field) for hour in hours)
        return tuple(None if value is None else scale * value for value in found)

    each = [Series(pool, values(of), shape, colour=i) for i, (pool, of) in enumerate(report.pools.items())]
    known = tuple(one for one in each if any(value is not None for value in one.values))
    return Chart(title, unit, known, limit, whole=shape == "bars")


def _cost(report: Report) -> Chart:
    spent = report.spent
    if spent is None:
        return Chart("Cost", "an hour", ())
    unit = "an hour" if spent.of == "money" else "replica-hours an hour"
    note = f"From {spent.source}." if spent.of == "money" else "No price is given: --cost NAME=PRICE."
    if spent.half_ratio is None:
        return Chart("Cost", unit, (Series("spent", spent.hours, "bars", colour=REST),), note=note)
    unknown = tuple(whole if half is None else None for whole, half in zip(spent.hours, spent.half_hours, strict=True))
    nothing_said = (Series("load not known", unknown, "bars", colour=UNSAID),) if any(unknown) else ()
    least = " No replica was loaded to its limit, so more of it may be under half." if spent.half_at_least else ""
    return Chart(
        "Cost",
        unit,
        (
            Series("at under half load", spent.half_hours, "bars", colour=HALF),
            Series("the rest", spent.rest_hours, "bars", colour=REST),
            *nothing_said,
        ),
        note=f"{note} Half load is half of what a replica is known to carry.{least}",
    )


def _thousand(value: float | None) -> float | None:
    return None if value is None else 1000.0 * value


def _hundred(bracket: Bracket | None, end: str) -> float | None:
    return None if bracket is None else 100.0 * float(getattr(bracket, end))
