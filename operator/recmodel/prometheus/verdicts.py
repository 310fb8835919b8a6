"""Judging the readings of one model: can they be decided on, and if not, why, in one reason and one sentence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from recmodel.core.types import Reason
from recmodel.prometheus import readings
from recmodel.prometheus.edge_words import place, shown_edge, shown_time, way_to_an_edge
from recmodel.prometheus.histogram import Bracket, edge_bracket, served_bracket
from recmodel.prometheus.known import (
    COVERED_RATIO,
    NEAR_RATIO,
    PART_MISSING,
    is_near,
    known,
    none_ready,
    not_all_reported,
    serving,
    uncovered,
)
from recmodel.prometheus.profile import Histogram, Profile
from recmodel.prometheus.readings import ModelReading, ModelView, PoolReading, Verdict

MOST_EDGES = 5  # in a message
NONE_READY = "no pool has a ready pod: requests reach none of them, and no series of a pool shows how many come; Ready says why none is"
ALL_FAILED_RATIO = 0.99  # the two counters are extrapolated each alone


def way_out(profile: Profile) -> str:
    """What to do where requests are counted and the histogram is not there."""
    if profile.without_histogram is not None:
        return profile.without_histogram
    name = f"{profile.latency.name}_bucket" if profile.latency else "a histogram"
    other = "" if profile.scope == "gateway" else ", or use a gateway's profile (envoy-gateway, istio, linkerd)"
    return f"{name} must be on the page and reach Prometheus{other}"


def judge(model: ModelView, pools: Mapping[str, PoolReading], profile: Profile, *, partial: bool) -> ModelReading:
    """The verdict on one model and its pools' readings, which keep only what is known under it. ``partial``: the server
    said that parts may be missing.
    """
    lacking = (
        _unknown_rates(model, pools)
        or _uncovered(pools)
        or ((Verdict.PARTIAL, PART_MISSING.reason, PART_MISSING.message) if partial else None)
    )
    verdict, reason, message = lacking or _histogram(model, pools, profile)
    if lacking is None and not_all_reported(pools):
        unread = [pool.unread for pool in pools.values() if pool.unread]
        message += f"; {unread[0] if unread else 'not every ready pod reported yet'}: until then nothing is released"
    within = None if lacking else model_within(model, pools)
    return ModelReading(verdict, reason, message, known(model, pools, partial=partial), within)


_Judgement = tuple[Verdict, str, str]


def _unknown_rates(model: ModelView, pools: Mapping[str, PoolReading]) -> _Judgement | None:
    candidates = [p.name for p in model.pools if serving(p)] or [p.name for p in model.pools]
    unknown = {name: pools[name].reason for name in candidates if pools[name].rate_per_second is None}
    if not unknown:
        return None
    if none_ready(model):
        return Verdict.MISSING, readings.NO_READY_POOL, NONE_READY
    said = [reason for reason in unknown.values() if reason]
    message = "; ".join(f"pool {name}: {reason.message}" for name, reason in unknown.items() if reason)
    for reason, verdict in (
        (readings.SEVERAL_MODELS, Verdict.UNUSABLE),
        (readings.DUPLICATE_SCRAPES, Verdict.UNUSABLE),
        (readings.RATE_IMPLAUSIBLE, Verdict.UNUSABLE),
        (readings.BACKENDS_MOVED, Verdict.PARTIAL),
        (readings.SERIES_STALE, Verdict.STALE),
        (readings.VALUES_INVALID, Verdict.UNUSABLE),
    ):
        if any(s.reason == reason for s in said):
            return verdict, reason, message
    if len(unknown) < len(candidates):
        return Verdict.PARTIAL, readings.POOL_MISSING, message
    if all(s.reason == readings.NO_REQUESTS_SEEN for s in said):
        hint = "the series begin with the first request; if some are sent, Prometheus does not scrape where they are counted"
        return Verdict.MISSING, readings.NO_REQUESTS_SEEN, f"{message}: {hint}"
    return Verdict.MISSING, readings.NO_SERIES, message


def _uncovered(pools: Mapping[str, PoolReading]) -> _Judgement | None:
    few = uncovered(pools)
    if not few:
        return None
    parts = ", ".join(f"{name} {ratio:.0%}" for name, ratio in few.items())
    unread = [said for name in few if (said := pools[name].unread)]
    if unread:
        return (
            Verdict.PARTIAL,
            readings.PODS_MISSING,
            f"too few of the gateway's pods are read ({parts}; at least {COVERED_RATIO:.0%} must be): {unread[0]}; let "
            "Prometheus scrape each pod of the gateway that serves, and no pod that is over",
        )
    return (
        Verdict.PARTIAL,
        readings.PODS_MISSING,
        f"too few of the ready pods reported ({parts}; at least {COVERED_RATIO:.0%} must)",
    )


def _histogram(model: ModelView, pools: Mapping[str, PoolReading], profile: Profile) -> _Judgement:
    busy = {name: pool for name, pool in pools.items() if pool.rate_per_second}
    if not busy:
        return Verdict.AVAILABLE, readings.NO_TRAFFIC, "no requests in the window"
    # Envoy makes the histogram at the first answer of a pod: a pool that only ever failed has none, and that is known.
    failing = [name for name, pool in busy.items() if pool.latency is None and _all_failed(pool)]
    busy = {name: pool for name, pool in busy.items() if name not in failing}
    if not busy:
        return Verdict.AVAILABLE, readings.NOTHING_SERVED, f"all requests of pool {', '.join(failing)} failed"
    bare = [name for name, pool in busy.items() if pool.latency is None]
    histogram = profile.latency
    if bare or histogram is None:
        invalid = [p.reason for p in busy.values() if p.reason and p.reason.reason == readings.VALUES_INVALID]
        if invalid:
            return Verdict.UNUSABLE, readings.VALUES_INVALID, invalid[0].message
        return (
            Verdict.UNUSABLE,
            readings.NO_HISTOGRAM,
            f"no latency histogram of pool {', '.join(bare)}, though its requests are counted: {way_out(profile)}",
        )
    return max(
        (_edges(model.threshold_seconds, pool.latency or {}, pool.uneven_edges, histogram) for pool in busy.values()),
        key=lambda judged: _SEVERITY[judged[1]],
    )


def _all_failed(pool: PoolReading) -> bool:
    rate, errors, no_reason = pool.rate_per_second, pool.errors_per_second, pool.reason is None
    return bool(no_reason and rate and errors is not None and errors >= ALL_FAILED_RATIO * rate)


_SEVERITY = {
    readings.METRICS_FOUND: 0,
    readings.THRESHOLD_BETWEEN_EDGES: 1,
    readings.NO_EDGE_NEAR_THRESHOLD: 2,
    readings.THRESHOLD_ABOVE_EDGES: 3,
}


def _edges(
    threshold_seconds: float, latency: Mapping[float, float], uneven: Sequence[float], histogram: Histogram
) -> _Judgement:
    edges = edge_bracket(latency, threshold_seconds)
    if math.isclose(edges.lower, edges.upper, rel_tol=1e-6):
        return Verdict.AVAILABLE, readings.METRICS_FOUND, "the latency histogram has an edge at the threshold"
    lies = f"the threshold, {shown_time(threshold_seconds)}, is {place(edges, histogram)}"
    some = ", ".join(shown_edge(edge, histogram) for edge in uneven[:MOST_EDGES])
    some += ", ..." if len(uneven) > MOST_EDGES else ""
    rest = f"; left out as not all servers have them: {some}: give all of them the same edges" if uneven else ""
    if any(is_near(edge, threshold_seconds) for edge in edges):
        message = f"{lies}: the share within it is known as a bracket{rest}"
        return Verdict.AVAILABLE, readings.THRESHOLD_BETWEEN_EDGES, message
    way = way_to_an_edge(threshold_seconds, edges, histogram)
    if math.isinf(edges.upper) and edges.lower > 0.0:
        return Verdict.UNUSABLE, readings.THRESHOLD_ABOVE_EDGES, f"{lies}: {way}{rest}"
    return (
        Verdict.UNUSABLE,
        readings.NO_EDGE_NEAR_THRESHOLD,
        f"{lies}, and none is within {NEAR_RATIO:.0%} of it: {way}{rest}",
    )


def model_within(model: ModelView, pools: Mapping[str, PoolReading]) -> Bracket | None:
    """The share of the model's requests answered well within its threshold: its pools', weighed by their requests. None
    where no request came, or where the share of one pool is not known.
    """
    lower = upper = requests = 0.0
    for pool in pools.values():
        rate = pool.rate_per_second
        if not rate:
            continue
        if pool.latency is None and _all_failed(pool):
            requests += rate
            continue
        bracket = served_bracket(pool.latency or {}, model.threshold_seconds, rate, pool.errors_per_second)
        if bracket is None:
            return None
        lower, upper, requests = lower + bracket.lower * rate, upper + bracket.upper * rate, requests + rate
    return Bracket(lower / requests, upper / requests) if requests > 0 else None


def unusable(model: ModelView, reason: Reason, verdict: Verdict) -> ModelReading:
    """A model of which nothing was read."""
    empty = {pool.name: PoolReading(reason=reason) for pool in model.pools}
    return ModelReading(verdict, reason.reason, reason.message, empty)
