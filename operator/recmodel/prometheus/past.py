"""What ran in the past, read from Prometheus alone: the load, the late share and the replicas of each pool, by the minute.

Pods are found by the names of their workloads, as those of a RecModel by reference. What is not known is NaN, and never zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recmodel.prometheus.answers import spacing_seconds
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.histogram import Bracket, edge_bracket, served_bracket, upper_bound_seconds
from recmodel.prometheus.history import by_pool
from recmodel.prometheus.past_scaling import Counted
from recmodel.prometheus.pod_names import by_workload
from recmodel.prometheus.profile import Histogram, Profile, Selector
from recmodel.prometheus.promql import any_of, duration, ours, rates, selector
from recmodel.prometheus.queries import scrape_spacing
from recmodel.prometheus.readings import ModelView

Floats = NDArray[np.float64]
STEP_SECONDS = 60.0
BY_STATE, BY_PAGES = "kube-state-metrics", "the pods whose pages are read"  # where replicas are counted, in words
SCRAPES_A_WINDOW = 4
SCRAPE_SECONDS = 15.0  # where the spacing of the samples does not tell
SPACING_SPAN_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class PoolPast:
    """One workload, a value a minute. The late shares are of all requests, failed ones included: what is certain, and what is possible
    where the threshold is no edge of the histogram. They are NaN in a minute without requests.
    """

    name: str
    per_second: Floats  # arrivals
    late_low: Floats
    late_high: Floats
    running: Floats  # replicas that exist, ready or not: they are paid for
    ready: Floats
    edges: (
        Bracket  # the histogram's edges, in seconds, on both sides of the threshold: the same one where it is an edge
    )


@dataclass(frozen=True, slots=True)
class Past:
    """Several workloads that served one model, on one grid. ``seconds``: when each minute begins (Unix time)."""

    seconds: Floats
    pools: tuple[PoolPast, ...]
    window_seconds: float  # of the rates
    counted_by: str  # where the replicas are from, in words
    partial: bool = False  # the server said that a part of an answer may be missing

    @property
    def step_seconds(self) -> float:
        """Between two values."""
        return STEP_SECONDS


@dataclass(frozen=True, slots=True)
class PastQueries:
    """What is asked of the pods of one model, by workload; a rate of buckets for each set of edges, as they are spelled."""

    requests: str
    failures: str | None
    buckets: Mapping[tuple[str, ...], str]
    ready: str
    running: str


class NothingThere(ValueError):
    """Prometheus answers, and has nothing of what was asked: ``question`` gave no usable row."""

    def __init__(self, message: str, question: str) -> None:
        super().__init__(message)
        self.question = question


def profile_of(view: ModelView) -> tuple[Profile, ModelView]:
    """The profile of the pods by name, and the view that it is asked for. ``ValueError`` for a profile without a histogram."""
    groups = by_profile([view])
    for why in groups.refused.values():
        raise ValueError(f"metrics profile {view.metrics.profile}: {why.message}")
    ((profile, (found,)),) = groups.members
    return profile, found


def window_of(client: PrometheusClient, profile: Profile, at_seconds: float, scope: Sequence[str] = ()) -> float:
    """Seconds of a rate window: a minute, or four scrapes where that is more."""
    spacing = spacing_seconds(client.query(scrape_spacing(profile, scope, SPACING_SPAN_SECONDS), at_seconds))
    return max(STEP_SECONDS, SCRAPES_A_WINDOW * round(spacing or SCRAPE_SECONDS))


def past_queries(
    profile: Profile, view: ModelView, les: Iterable[tuple[str, ...]], window_seconds: float, scope: Sequence[str] = ()
) -> PastQueries:
    """The questions; ``les``: the edges, as they are spelled, whose buckets are asked for."""
    if profile.latency is None:
        raise ValueError(f"profile {profile.name} has no histogram")
    mine, by = (*ours(profile), *scope), ", ".join(profile.identity.labels)
    window = f"[{duration(window_seconds)}]"

    def whole(query: str) -> str:
        return by_workload(query, profile, [view])

    buckets = {
        which: whole(
            f"sum by ({by}) (rate({selector(profile.latency, (*mine, f'le{any_of(which)}'), '_bucket')}{window}))"
        )
        for which in sorted({*les})
    }
    up = selector(Selector(name="up"), mine)
    has_series = f"group by (namespace, pod) ({selector(profile.requests[0], mine)})"
    return PastQueries(
        requests=whole(rates(profile.requests, mine, by, window)),
        failures=whole(rates(profile.failures, mine, by, window)) if profile.failures else None,
        buckets=buckets,
        ready=whole(f"max by (namespace, pod) ({up}) or {has_series}"),
        running=whole(f"group by (namespace, pod) ({up}) or {has_series}"),
    )


def read_past(
    client: PrometheusClient,
    view: ModelView,
    moments: Floats,
    counts: Mapping[str, Mapping[str, float]],
    counted: Mapping[str, Counted],
    scope: Sequence[str] = (),
) -> Past:
    """The past at ``moments`` (whole minutes, Unix time), each of which ends a minute.

    ``counts``: by pool, how many histograms have each ``le``. ``counted``: replicas by pool, of those of which the cluster's state
    is known; the others are counted by their pods' pages. Raises ``PrometheusError``, and ``NothingThere``.
    """
    profile, view = profile_of(view)
    histogram = profile.latency
    if histogram is None:
        raise ValueError(f"profile {profile.name} has no histogram")
    window = window_of(client, profile, float(moments[-1]), scope)
    brackets = {
        pool.name: _bracket(counts.get(pool.name, {}), histogram, view.threshold_seconds) for pool in view.pools
    }
    partial = False

    def read(query: str) -> dict[str, Floats]:
        nonlocal partial
        found, lacking = by_pool(client, query, profile, [view], moments, STEP_SECONDS)
        partial |= bool(lacking)
        return {pool: values for (_, pool), values in found.items()}

    les = {pool.name: _les(counts.get(pool.name, {}), brackets[pool.name], histogram) for pool in view.pools}
    asked = past_queries(profile, view, (which for mine in les.values() for which in mine.values()), window, scope)
    arrivals = read(asked.requests)
    silent = [pool.name for pool in view.pools if not np.isfinite(arrivals.get(pool.name, np.full(1, math.nan))).any()]
    if silent:
        raise NothingThere(
            f"Prometheus has no requests of the pods of {', '.join(silent)} in this range, or their pages count several models",
            asked.requests,
        )
    buckets = {which: read(query) for which, query in asked.buckets.items()}
    failures = read(asked.failures) if asked.failures else {}
    by_pages = any(pool.name not in counted for pool in view.pools)
    pages = (read(asked.running), read(asked.ready)) if by_pages else ({}, {})
    unknown = np.full(moments.size, math.nan)
    pools = []
    for pool in view.pools:
        name = pool.name
        mine = {bound: buckets[which].get(name, unknown) for bound, which in les[name].items()}
        low, high = _late(arrivals[name], failures.get(name), mine, view.threshold_seconds)
        state = counted.get(name) or Counted(pages[0].get(name, unknown), pages[1].get(name, unknown))
        # A workload that is known to have no replica answered nothing: its series are gone, and no request is missing.
        asleep = (state.running == 0) & np.isnan(arrivals[name])
        load = np.where(asleep, 0.0, arrivals[name])
        pools.append(PoolPast(name, load, low, high, state.running, state.ready, brackets[name]))
    return Past(moments - STEP_SECONDS, tuple(pools), window, BY_PAGES if by_pages else BY_STATE, partial)


def _bracket(counts: Mapping[str, float], histogram: Histogram, threshold_seconds: float) -> Bracket:
    return edge_bracket(dict.fromkeys(bounds_of(counts, histogram), 0.0), threshold_seconds)


def bounds_of(counts: Mapping[str, float], histogram: Histogram) -> dict[float, list[str]]:
    """How each upper bound in seconds is spelled. An edge that only some of the servers have tells nothing of the others."""
    found: dict[float, list[str]] = {}
    sums: dict[float, float] = {}
    for le, count in counts.items():
        try:
            bound = upper_bound_seconds(le, histogram.unit, whole_units=histogram.whole_units)
        except ValueError:
            continue
        found.setdefault(bound, []).append(le)
        sums[bound] = sums.get(bound, 0.0) + count
    every = sums.get(math.inf, max(sums.values(), default=0.0))
    return {bound: les for bound, les in found.items() if sums[bound] >= every}


def _les(counts: Mapping[str, float], edges: Bracket, histogram: Histogram) -> dict[float, tuple[str, ...]]:
    """How the edges on both sides of the threshold, and the last one, are spelled, by upper bound in seconds."""
    bounds = bounds_of(counts, histogram)
    return {bound: tuple(sorted(bounds[bound])) for bound in {*edges, math.inf} if bound in bounds}


def _late(
    arrivals: Floats, failures: Floats | None, buckets: Mapping[float, Floats], threshold_seconds: float
) -> tuple[Floats, Floats]:
    """Late shares by the minute, certain and possible; ``buckets``: requests/s by upper bound in seconds."""
    low, high = np.full(arrivals.size, math.nan), np.full(arrivals.size, math.nan)
    every = buckets.get(math.inf, low)
    for minute in np.flatnonzero(np.isfinite(arrivals) & (arrivals > 0) & (every > 0)):
        latency = {bound: float(values[minute]) for bound, values in buckets.items() if np.isfinite(values[minute])}
        failed = None if failures is None or np.isnan(failures[minute]) else float(failures[minute])
        within = served_bracket(latency, threshold_seconds, float(arrivals[minute]), failed)
        if within is not None:
            low[minute], high[minute] = max(1.0 - within.upper, 0.0), min(1.0 - within.lower, 1.0)
    return low, high
