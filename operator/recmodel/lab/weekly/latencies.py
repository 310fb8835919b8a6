"""Latencies of some hours together: the mean, and the two edges of the histogram between which a percentile lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.lab.weekly.clock import Ints, known_ratio, largest, means, sums
from recmodel.lab.weekly.values import Figures
from recmodel.prometheus.histogram import Bracket, percentile_bracket, within_bracket
from recmodel.prometheus.slot_questions import Latencies


def together(each: Sequence[Latencies]) -> Latencies:
    """Of several pools, at the edges that all of them have; a slot holds those of whom something is known."""
    known = [one for one in each if any(np.isfinite(values).any() for values in one.buckets.values())]
    if not known:
        return each[0]
    bounds = sorted(set.intersection(*({*one.buckets} for one in known)))
    totals = {bound: _total([one.buckets[bound] for one in known]) for bound in bounds}
    # Requests of a pool of whom one edge tells nothing would else be in the total alone, and so late at that edge.
    for bound, values in totals.items():
        for one in known:
            values[np.isnan(one.buckets[bound]) & (one.buckets.get(math.inf, 0.0 * values) > 0)] = math.nan
    return Latencies(totals, _spent(known))


def lacking_ratio(latencies: Latencies) -> float:
    """The share of the slots with requests of which not all edges are known, so that no percentile has them."""
    every = latencies.buckets.get(math.inf)
    if every is None or not (every > 0).any():
        return 0.0
    some = np.isnan(list(latencies.buckets.values())).any(0)
    return float((some & (every > 0)).sum() / (every > 0).sum())


def kinds_together(kinds: Mapping[str, Latencies]) -> dict[str, Latencies]:
    """The same kinds; one without a series had no requests in the slots in which another one had a series."""
    counted = [one.buckets[math.inf] for one in kinds.values() if math.inf in one.buckets]
    some = np.isfinite(counted).any(0) if counted else np.False_
    return {
        kind: replace(
            one,
            buckets={
                bound: np.where(some & np.isnan(one.buckets[math.inf]), 0.0, values)
                for bound, values in one.buckets.items()
            },
        )
        if math.inf in one.buckets
        else one
        for kind, one in kinds.items()
    }


def figures(
    latencies: Latencies, places: Ints, number: int, within_ratio: float, threshold_seconds: float
) -> tuple[Figures, ...]:
    """Of each place: of requests whose load is known from their histogram alone."""
    every = latencies.buckets.get(math.inf, np.full(len(places), math.nan))
    load, peak = means(every, places, number), largest(every, places, number)
    mean = mean_seconds(latencies, places, number)
    found = []
    for place, held in enumerate(_held(latencies, places, number)):
        within = within_bracket(held, threshold_seconds)
        found.append(
            Figures(
                known(load[place]),
                known(peak[place]),
                known(mean[place]),
                percentile_bracket(held, within_ratio),
                None if within is None else Bracket(1.0 - within.upper, 1.0 - within.lower),
            )
        )
    return tuple(found)


def percentiles(latencies: Latencies, places: Ints, number: int, within_ratio: float) -> list[Bracket | None]:
    """In seconds, of each place."""
    return [percentile_bracket(held, within_ratio) for held in _held(latencies, places, number)]


def mean_seconds(latencies: Latencies, places: Ints, number: int) -> Floats:
    """Of a request, of each place; NaN where it is not known."""
    every = latencies.buckets.get(math.inf, np.full(len(places), math.nan))
    both = np.isfinite(every) & np.isfinite(latencies.spent) & (every > 0)
    counted, spent = (sums(np.where(both, values, np.nan), places, number) for values in (every, latencies.spent))
    return known_ratio(spent, counted)


def known(value: float) -> float | None:
    """None in place of NaN."""
    return float(value) if math.isfinite(value) else None


def _held(latencies: Latencies, places: Ints, number: int) -> list[dict[float, float]]:
    """The histogram of each place, of the slots in which all of its edges are known."""
    if not latencies.buckets:
        return [{} for _ in range(number)]
    whole = np.isfinite(np.array(list(latencies.buckets.values()))).all(0)
    held = {bound: sums(np.where(whole, values, np.nan), places, number) for bound, values in latencies.buckets.items()}
    return [
        {bound: float(values[place]) for bound, values in held.items() if math.isfinite(values[place])}
        for place in range(number)
    ]


def _spent(each: Sequence[Latencies]) -> Floats:
    """The time spent on all requests: not known where it is not known of a pool that has some, as the mean would be too low."""
    lacking = [np.isnan(one.spent) & (one.buckets[math.inf] > 0) for one in each if math.inf in one.buckets]
    return np.where(np.any(lacking, axis=0), np.nan, _total([one.spent for one in each]))


def _total(rows: Sequence[Floats]) -> Floats:
    some = np.isfinite(rows).any(0)
    return np.where(some, np.nansum(rows, axis=0), np.nan)
