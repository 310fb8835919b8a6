"""What ``recmodel doctor`` finds: each thing that has to be right, whether it is, and the way out. Pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.rights import Right
from recmodel.prometheus.edge_words import bounds, milliseconds, place, way_to_an_edge
from recmodel.prometheus.histogram import edge_bracket
from recmodel.prometheus.profile import Profile
from recmodel.report.causes import by_cause, said

Level = Literal["ok", "warning", "problem"]
WINDOW_SCRAPES = 4  # samples that a rate window must hold
SPACING_TOLERANCE_RATIO = 1.5  # of the setting: scrapes come with some delay, and the last minute may lack one
WINDOW_TOLERANCE_RATIO = 1.2  # for the same reason
OLD_LEASE_SECONDS = 30.0  # renewed every two seconds; the clocks of nodes differ
# The status of each condition that is bad, and how bad it is; Progressing is neither good nor bad.
BAD: Mapping[str, tuple[str, Level]] = {
    "Ready": ("False", "problem"),
    "MetricsAvailable": ("False", "problem"),
    "CapacityAvailable": ("False", "problem"),
    "ObjectiveMet": ("False", "problem"),
    "Degraded": ("True", "problem"),
    "Stalled": ("True", "problem"),
    "RolledOut": ("False", "warning"),
    "VariantsMeasured": ("False", "warning"),
    "VariantsReady": ("False", "warning"),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    level: Level
    about: str
    message: str


def kinds(served: Mapping[str, bool]) -> list[Check]:
    """The kinds that the cluster serves, by the plural of their name."""
    found = []
    if served["recmodels"]:
        found.append(Check("ok", "CRD", "recmodels.recmodel.dev is served"))
    else:
        found.append(
            Check("problem", "CRD", "recmodels.recmodel.dev is not served: install the chart with crds.install=true")
        )
    if not served["httproutes"]:
        found.append(
            Check(
                "warning", "CRD", "httproutes.gateway.networking.k8s.io is not served: spec.route needs the Gateway API"
            )
        )
    return found


def rights(denied: Mapping[str | None, Sequence[tuple[Right, str]]]) -> list[Check]:
    """What may not be done, by namespace (None: in all of them)."""
    found = []
    for namespace, lacking in denied.items():
        where = f"in namespace {namespace}" if namespace else "in all namespaces"
        verbs: dict[str, list[str]] = {}
        for right, verb in lacking:
            verbs.setdefault(right.shown, []).append(verb)
        for resource, missing in verbs.items():
            found.append(
                Check(
                    "problem", "rights", f"may not {', '.join(missing)} {resource} {where}: install the chart with "
                    "rbac.create=true, or grant it to the operator's service account",
                )
            )  # fmt: skip
    return found or [Check("ok", "rights", "everything that the operator does is allowed")]


def lease(body: Mapping[str, Any], now: datetime) -> Check:
    """Which pod of the release acts."""
    spec = body.get("spec") or {}
    holder, renewed = spec.get("holderIdentity"), spec.get("renewTime")
    if not holder or not renewed:
        return Check("problem", "Lease", "nobody holds it: no pod of this release acts; see whether its pods are ready")
    age = (now - _time(renewed)).total_seconds()
    if age > OLD_LEASE_SECONDS:
        return Check(
            "problem", "Lease", f"{holder} holds it and renewed it {age:.0f} s ago: see whether that pod is alive"
        )
    return Check("ok", "Lease", f"{holder} acts")


def spacing(profile: Profile, seconds: float | None, interval_seconds: float, window_seconds: float) -> list[Check]:
    """How often the pages of a profile are read, against the settings. ``seconds``: between two samples; None: no series."""
    about = f"profile {profile.name}"
    if seconds is None:
        where = "the gateway's pods" if profile.scope == "gateway" else "the pools' pods"
        return [
            Check(
                "warning", about, f"Prometheus has had no series of {profile.title} for a minute: let it scrape {where}"
            )
        ]
    found = []
    if seconds > interval_seconds * SPACING_TOLERANCE_RATIO:
        found.append(
            Check(
                "problem", about, f"scraped every {seconds:.0f} s, and prometheus.scrapeIntervalSeconds is {interval_seconds:g}: set "
                f"it to {seconds:.0f}, or scrape more often",
            )
        )  # fmt: skip
    if window_seconds * WINDOW_TOLERANCE_RATIO < WINDOW_SCRAPES * seconds:
        found.append(
            Check(
                "problem", about, f"a rate window of {window_seconds:g} s holds {window_seconds / seconds:.1f} scrapes of "
                f"{seconds:.0f} s: set prometheus.rateWindowSeconds to {WINDOW_SCRAPES * math.ceil(seconds)} at least",
            )
        )  # fmt: skip
    return found or [Check("ok", about, f"scraped every {seconds:.0f} s, rates over {window_seconds:g} s")]


def edges(key: str, spec: RecModelSpec, profile: Profile, counts: Mapping[str, float]) -> list[Check]:
    """Whether there is an edge at the objective's threshold: between two edges only a bracket is known.

    ``counts``: how many histograms of the profile have each ``le``, whosever they are. What the model's own say is in its
    condition MetricsAvailable.
    """
    histogram = profile.latency
    found = bounds(counts, histogram) if histogram else {}
    if histogram is None or not found:
        return []
    threshold = spec.objective.latency.threshold_seconds
    nearest = edge_bracket(found, threshold)
    if nearest.lower == nearest.upper:
        having, all_of_them = found[nearest.lower], max(found.values())
        some = "" if having >= all_of_them else f"{having:g} of "
        there = f"{some}the histograms that Prometheus has for {profile.name} have an edge at {milliseconds(threshold)}"
        return [Check("ok", key, there)]
    return [
        Check(
            "warning", key, f"objective.latency.threshold, {milliseconds(threshold)}, is {place(nearest, histogram)}, in the "
            f"histograms that Prometheus has for {profile.name}: the share of late requests is known only roughly; "
            f"{way_to_an_edge(threshold, nearest, histogram)}",
        )
    ]  # fmt: skip


def recmodels(
    bodies: Mapping[str, Mapping[str, Any]],
    refused: Mapping[str, str],
    lacking: Mapping[str, str],
    now: datetime,
    old_after_seconds: float,
) -> list[Check]:
    """What is said of all of them, by ``namespace/name``. ``refused``: why a spec is not valid; ``lacking``: why one that was
    asked for was not found; ``old_after_seconds``: how old a decision in a status is at most while nothing is wrong.
    """
    found = [
        check for key, body in bodies.items() for check in recmodel(body, now, refused.get(key), old_after_seconds)
    ]
    return [*found, *(Check("problem", key, why) for key, why in lacking.items())]


def recmodel(body: Mapping[str, Any], now: datetime, refused: str | None, old_after_seconds: float) -> list[Check]:
    """What the status of one RecModel says. ``refused``: why its spec is not valid; ``old_after_seconds`` as above."""
    metadata, status = body["metadata"], body.get("status") or {}
    key = f"{metadata['namespace']}/{metadata['name']}"
    if refused is not None:
        return [Check("problem", key, refused)]
    decided = status.get("lastDecisionTime")
    found = []
    if decided is None and (body.get("spec") or {}).get("mode") != "Paused":
        found.append(
            Check(
                "problem",
                key,
                "no decision was made yet: see the operator's log, and whether it acts in this namespace",
            )
        )
    elif decided is not None and (age := (now - _time(decided)).total_seconds()) > old_after_seconds:
        found.append(
            Check(
                "problem",
                key,
                f"the last decision in its status is {age:.0f} s old, and it may be {old_after_seconds:.0f} s: no operator "
                "decides on it, or its status cannot be written; see which pod acts (Lease), and that pod's log",
            )
        )
    levels = {
        condition["type"]: level
        for condition in status.get("conditions") or []
        if (level := _level(condition["type"], condition["status"])) != "ok"
    }
    bad = [condition for condition in status.get("conditions") or [] if condition["type"] in levels]
    for group in by_cause(bad):
        worst: Level = "problem" if "problem" in {levels[condition["type"]] for condition in group} else "warning"
        found.append(Check(worst, key, said(group)))
    return found or [Check("ok", key, str(status.get("message") or "nothing is wrong with it"))]


def text(checks: Collection[Check]) -> str:
    """A line each, the problems marked, and a sum."""
    lines = [
        f"{check.level.upper() if check.level != 'ok' else 'ok':<8} {check.about}: {check.message}" for check in checks
    ]
    problems = sum(check.level == "problem" for check in checks)
    warnings = sum(check.level == "warning" for check in checks)
    counted = ((len(checks), "check"), (problems, "problem"), (warnings, "warning"))
    total = ", ".join(f"{number} {what}" + ("" if number == 1 else "s") for number, what in counted)
    return "\n".join([*lines, total])


def _level(kind: str, status: str) -> Level:
    """How bad it is that a condition has this status."""
    bad, level = BAD.get(kind, ("", "ok"))
    if status == bad:
        return level
    return "warning" if status == "Unknown" and bad else "ok"


def _time(written: str) -> datetime:
    return datetime.fromisoformat(written.replace("Z", "+00:00"))
