"""What ``recmodel doctor`` finds in Prometheus: how often it reads the pages, and which edges the histograms have. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.core.types import Reason
from recmodel.prometheus.edge_words import bounds, place, shown_time, way_to_an_edge
from recmodel.prometheus.histogram import edge_bracket
from recmodel.prometheus.profile import Histogram, Profile
from recmodel.prometheus.readings import PROMETHEUS_UNAVAILABLE
from recmodel.report.checks import Check, Level, listed

WINDOW_SCRAPES = 4  # samples that a rate window must hold
SPACING_TOLERANCE_RATIO = 1.5  # of the setting: scrapes come with some delay, and the span may lack one
WINDOW_TOLERANCE_RATIO = 1.2  # for the same reason


def unanswered(url: str, why: Reason) -> Check:
    """Prometheus does not answer as it must: all decisions hold what is."""
    way_out = "see prometheus.url of the chart's values, and whether a NetworkPolicy lets the operator's pod go there"
    if why.reason != PROMETHEUS_UNAVAILABLE:
        way_out = (
            "see whether prometheus.url of the chart's values is Prometheus' own, and what else they have for it (token, "
            "headers, parameters)"
        )
    return Check("problem", "Prometheus", f"{url}: {why.message}: {way_out}")


def about(profile: Profile) -> str:
    """What a check of a profile's pages is on."""
    which = ", pods of a targetRef" if profile.identity.named else ", gRPC" if profile.calls else ""
    return f"profile {profile.name}{which}"


def spacing(profile: Profile, seconds: float, interval_seconds: float, window_seconds: float) -> Check:
    """How often the pages of a profile are read. ``seconds``: between two samples; ``interval_seconds``: what the setting
    says; ``window_seconds``: of the rates, which are never shorter than four of the setting's intervals.
    """
    whose, every = about(profile), f"{seconds:.3g} s"
    if seconds > interval_seconds * SPACING_TOLERANCE_RATIO:
        return Check(
            "problem", whose, f"scraped every {every}, and prometheus.scrapeIntervalSeconds is {interval_seconds:g}: set it to "
            f"{math.ceil(seconds)}, or scrape more often (where Prometheus began to read it just now, look again in a minute)",
        )  # fmt: skip
    if window_seconds * WINDOW_TOLERANCE_RATIO < WINDOW_SCRAPES * seconds:
        return Check(
            "problem", whose, f"a rate window of {window_seconds:g} s holds {window_seconds / seconds:.1f} scrapes of {every}: set "
            f"prometheus.rateWindowSeconds to {WINDOW_SCRAPES * math.ceil(seconds)} at least, or scrape more often",
        )  # fmt: skip
    return Check("ok", whose, f"scraped every {every}, rates over {window_seconds:g} s")


def no_series(profile: Profile, span_seconds: float, needed_by: Sequence[str]) -> Check:
    """Prometheus has no sample of a profile within the span; ``needed_by``: the RecModels that it is to measure."""
    where = "the gateway's pods" if profile.scope == "gateway" else "the pools' pods"
    return Check(
        "warning", about(profile), f"Prometheus has had no series of {profile.title} for {span_seconds:g} s, which "
        f"{listed(needed_by)} {'need' if len(needed_by) > 1 else 'needs'}: let it scrape {where}",
    )  # fmt: skip


def edges(key: str, spec: RecModelSpec, profile: Profile, pools: Mapping[str, Mapping[str, float]]) -> list[Check]:
    """Whether there is an edge at the objective's threshold: between two edges only a bracket is known.

    ``pools``: by pool, how many of its own histograms have each ``le``. A pool without any is as yet unknown: whether it ought
    to have one, its condition MetricsAvailable says.
    """
    if profile.latency is None:
        return []
    threshold = spec.objective.latency.threshold_seconds
    said: dict[tuple[Level, str], list[str]] = {}
    for pool in spec.pools:
        if found := bounds(pools.get(pool.name, {}), profile.latency):
            said.setdefault(edge(found, threshold, profile.latency), []).append(pool.name)
    if not said:
        return [
            Check(
                "warning", key, f"Prometheus has no histogram of its pools ({profile.latency.name}_bucket), so whether there is an "
                f"edge at objective.latency.threshold, {shown_time(threshold)}, is not known: send a request, and see its "
                "condition MetricsAvailable",
            )
        ]  # fmt: skip
    return [
        Check(level, key, f"pool{'s' if len(names) > 1 else ''} {', '.join(names)}: {message}")
        for (level, message), names in said.items()
    ]


def statuses(key: str, needs: str) -> Check:
    """Prometheus has no status of the gRPC calls of a RecModel; ``needs``: what has to be set for it."""
    return Check(
        "warning",
        key,
        f"Prometheus has no gRPC status of its calls, so how many of them fail is not known: send a call, and set {needs} "
        "(docs/metrics.md, gRPC)",
    )


def edge(found: Mapping[float, float], threshold_seconds: float, histogram: Histogram) -> tuple[Level, str]:
    """What is said of one pool. ``found``: how many of its histograms have each edge, by upper bound in seconds; only those
    that all of them have count.
    """
    every = found.get(math.inf, max(found.values()))
    nearest = edge_bracket({bound: count for bound, count in found.items() if count >= every}, threshold_seconds)
    threshold = shown_time(threshold_seconds)
    if nearest.lower == nearest.upper:
        return "ok", f"there is an edge at {threshold}"
    some = edge_bracket(found, threshold_seconds)
    where = (
        f"an edge of only {found[some.lower]:g} of {every:g} histograms"
        if some.lower == some.upper
        else place(nearest, histogram)
    )
    return "warning", (
        f"objective.latency.threshold, {threshold}, is {where}: the share of late requests is known only roughly; "
        f"{way_to_an_edge(threshold_seconds, nearest, histogram)}"
    )
