"""What a classic histogram says for certain: brackets between its edges, never an interpolated value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

INFINITY = math.inf
UNIT_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
_SAME_EDGE = 1e-9  # relative: 100 * 0.001 and 0.1 are one edge


class Bracket(NamedTuple):
    """What is certain: the value is neither below ``lower`` nor above ``upper``; they are equal where it is exact."""

    lower: float
    upper: float


def upper_bound_seconds(edge: str | float, unit: str, *, whole_units: bool) -> float:
    """The upper bound in seconds of a bucket labelled ``le="edge"``; ``ValueError`` if that is no number of at least 0.

    ``whole_units``: the source cuts times to whole units, so ``le="99"`` in ms holds all that took *under* 100 ms: 0.1.
    """
    value = float(edge)
    if math.isnan(value) or value < 0:
        raise ValueError(f"bucket edge {edge!r} is not a number of at least 0")
    if math.isinf(value):
        return INFINITY
    if whole_units:
        value = math.floor(value) + 1.0
    return round(value * UNIT_SECONDS[unit], 12)


def cumulative(latency: Mapping[float, float]) -> list[tuple[float, float]]:
    """The buckets by rising upper bound, each at least as large as the one before.

    Buckets of one scrape can differ by a request that came between their reading, and ``rate`` extrapolates each alone.
    """
    rows: list[tuple[float, float]] = []
    largest = 0.0
    for bound in sorted(latency):
        largest = max(largest, latency[bound])
        rows.append((bound, largest))
    return rows


def within_bracket(latency: Mapping[float, float], threshold_seconds: float) -> Bracket | None:
    """The share (0 to 1) of requests within the threshold; exact at an edge. None: no requests, or no ``+Inf``.

    ``{0.05: 40, 0.1: 90, inf: 100}`` gives (0.9, 0.9) at 0.1 and (0.4, 0.9) at 0.06.
    """
    rows = cumulative(latency)
    if not rows or not math.isinf(rows[-1][0]) or not 0.0 < rows[-1][1] < INFINITY:
        return None
    total = rows[-1][1]
    lower, upper = 0.0, total
    for bound, value in reversed(rows):
        same = math.isclose(bound, threshold_seconds, rel_tol=_SAME_EDGE)
        if same or bound > threshold_seconds:
            upper = value
        if same or bound < threshold_seconds:
            lower = value
            break
    return Bracket(lower / total, upper / total)


def served_bracket(
    latency: Mapping[float, float], threshold_seconds: float, rate_per_second: float, errors_per_second: float | None
) -> Bracket | None:
    """The share of *all* requests that were answered well and within the threshold: a failure is never within it.

    Failures that got no answer from a pod (shed, no connection, given up by the client) are in no histogram; the others
    are, and a quick error would pass for a quick answer. None: no requests. Unknown errors: the histogram alone counts.

    ``{0.1: 90, inf: 100}`` with 120 requests/s, 30 of them failing, of which 20 are in no histogram and 10 may be quick
    or slow ones, gives (80 / 120, 90 / 120) at 0.1.
    """
    within = within_bracket(latency, threshold_seconds)
    if within is None or errors_per_second is None:
        return within
    counted = cumulative(latency)[-1][1]
    # Not more than the errors: buckets lag behind counters, and what is merely late is no failure.
    outside = min(max(0.0, rate_per_second - counted), errors_per_second)
    inside = min(counted, errors_per_second - outside)
    lower = max(0.0, within.lower * counted - inside)
    upper = min(within.upper * counted, counted - inside)
    return Bracket(lower / (counted + outside), upper / (counted + outside))


def percentile_bracket(latency: Mapping[float, float], ratio: float) -> Bracket | None:
    """The two edges, in seconds, between which the ``ratio`` percentile lies; ``upper`` is infinite above all edges.

    ``{0.05: 40, 0.1: 96, inf: 100}`` gives (0.05, 0.1) at 0.95.
    """
    rows = cumulative(latency)
    if not rows or not math.isinf(rows[-1][0]) or not 0.0 < rows[-1][1] < INFINITY:
        return None
    lower = 0.0
    for bound, value in rows:
        if value >= ratio * rows[-1][1]:
            return Bracket(lower, bound)
        lower = bound
    return None


def edge_bracket(latency: Mapping[float, float], threshold_seconds: float) -> Bracket:
    """The nearest edges on both sides, in seconds: (0, first edge) below all of them, (last edge, inf) above."""
    below = [b for b in latency if b <= threshold_seconds * (1 + _SAME_EDGE)]
    above = [b for b in latency if b >= threshold_seconds * (1 - _SAME_EDGE)]
    return Bracket(max(below, default=0.0), min(above, default=INFINITY))
