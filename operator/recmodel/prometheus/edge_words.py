"""What is said of a threshold that is no edge of the histogram: the edges as they are configured, and the way out. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from recmodel.prometheus.histogram import UNIT_SECONDS, Bracket, upper_bound_seconds
from recmodel.prometheus.profile import Histogram

_SAME = 1e-9  # relative: 0.17 / 0.001 is 170


def shown_time(seconds: float) -> str:
    """For messages, and as ``spec.objective.latency.threshold`` takes it: 0.1 is ``100ms``, 2.5 is ``2.5s``."""
    if math.isinf(seconds):
        return "infinity"
    if seconds >= 1.0 and math.isclose(
        seconds, round(seconds, 3), rel_tol=_SAME
    ):  # it takes three digits behind the point
        return f"{round(seconds, 3):.10g}s"
    return f"{seconds * 1000:.10g}ms"


def configured(bound_seconds: float, histogram: Histogram) -> str | None:
    """The value to configure for a bucket that ends at ``bound_seconds``; None where no bucket can end there.

    0.17 is ``0.17`` in s, ``170`` in ms, and ``169`` in whole ms: a time of 169.9 ms is cut to 169.
    """
    value = bound_seconds / UNIT_SECONDS[histogram.unit]
    if histogram.whole_units:
        if round(value) < 1 or not math.isclose(value, round(value), rel_tol=_SAME):
            return None
        value = round(value) - 1
    return f"{value:.12g}"


def shown_edge(bound_seconds: float, histogram: Histogram) -> str:
    """``200ms``; of whole units with what is configured: ``151ms (le="150")``."""
    said = histogram.whole_units and 0 < bound_seconds < math.inf
    label = configured(bound_seconds, histogram) if said else None
    return shown_time(bound_seconds) + (f' (le="{label}")' if label is not None else "")


def place(nearest: Bracket, histogram: Histogram) -> str:
    """Where a threshold lies that is no edge, from the nearest edges on both sides (0 and infinity: there is none)."""
    below, above = (shown_edge(bound, histogram) for bound in nearest)
    if math.isinf(nearest.upper):
        return f"above the highest edge, {below}" if nearest.lower > 0 else "without any edge beside it"
    return f"between the edges {below} and {above}" if nearest.lower > 0 else f"below the lowest edge, {above}"


def way_to_an_edge(threshold_seconds: float, nearest: Bracket, histogram: Histogram) -> str:
    """The edge to configure for the threshold, or the edges that are there to take as one."""
    label = configured(threshold_seconds, histogram)
    there = [shown_edge(bound, histogram) for bound in nearest if 0 < bound < math.inf]
    take = f"take {' or '.join(there)} as the threshold" if there else "take another threshold"
    if label is None:
        return f"times are cut to whole {histogram.unit}, so no edge can be there: {take}"
    if not histogram.whole_units:
        return f'configure an edge there (le="{label}", in {histogram.unit}), or {take}'
    cut = f"times are cut to whole {histogram.unit}, so it holds all under {shown_time(threshold_seconds)}"
    return f'configure the edge le="{label}" ({cut}), or {take}'


def bounds(counts: Mapping[str, float], histogram: Histogram) -> dict[float, float]:
    """How many histograms have each edge, by its upper bound in seconds, from the same by ``le``; what is no edge is left out."""
    found: dict[float, float] = {}
    for le, count in counts.items():
        try:
            bound = upper_bound_seconds(le, histogram.unit, whole_units=histogram.whole_units)
        except ValueError:
            continue
        found[bound] = found.get(bound, 0.0) + count
    return found
