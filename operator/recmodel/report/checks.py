"""What ``recmodel doctor`` finds: each thing that has to be right, whether it is, and the way out. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from recmodel.cluster.rights import Right
from recmodel.report.by_cause import by_cause, told

Level = Literal["ok", "warning", "problem"]
OLD_LEASE_SECONDS = 30.0  # renewed every two seconds; the clocks of nodes differ
OLD_CLAIM_SECONDS = 60.0  # renewed every ten seconds, and free after forty
MOST_NAMES = 5  # in a message
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


def grpc_routes(needed_by: Sequence[str]) -> list[Check]:
    """The cluster does not serve GRPCRoutes; ``needed_by``: the RecModels that have one."""
    if not needed_by:
        return []
    return [
        Check(
            "problem", "CRD", "grpcroutes.gateway.networking.k8s.io is not served as v1, and the route of pools with protocol GRPC is "
            f"one ({listed(needed_by)}): install the Gateway API 1.1 or later",
        )
    ]  # fmt: skip


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
    holder, age_seconds = spec.get("holderIdentity"), _age_seconds(spec.get("renewTime"), now)
    if not holder or age_seconds is None:
        return Check("problem", "Lease", "nobody holds it: no pod of this release acts; see whether its pods are ready")
    if age_seconds > OLD_LEASE_SECONDS:
        said = f"{holder} holds it and renewed it {age_seconds:.0f} s ago: see whether that pod is alive"
        return Check("problem", "Lease", said)
    return Check("ok", "Lease", f"{holder} acts")


def external_scaler(failed: bool | None, why: str = "") -> Check:
    """Whether KEDA's external scaler, which is switched on, can be served by this pod; None: ``why`` that is not known."""
    if failed is None:
        return Check("warning", "external scaler", f"it is not known whether it is served: {why}")
    if failed:
        said = "it cannot be served, or not with its newest certificates: the log of this pod says why, at 'KEDA's external scaler'"
        return Check("problem", "external scaler", said)
    return Check("ok", "external scaler", "KEDA is answered while this pod acts")


def claims(held: Mapping[str, Mapping[str, Any]], release: str, now: datetime) -> list[Check]:
    """Which release acts in which namespace. ``held``: the claims by ``namespace/name``, an empty one where there is none;
    ``release``: this one's Lease, ``namespace/name``.
    """
    places: dict[str, list[str]] = {}  # by holder; "": nobody
    for place, body in held.items():
        spec = body.get("spec") or {}
        age_seconds = _age_seconds(spec.get("renewTime"), now)
        lives = age_seconds is not None and age_seconds <= OLD_CLAIM_SECONDS
        places.setdefault(str(spec.get("holderIdentity") or "") if lives else "", []).append(place)
    found = []
    for holder, held_by_it in places.items():
        named = listed(held_by_it)
        if holder == release:
            found.append(Check("ok", "claims", f"this release holds {named}, so it acts there"))
        elif holder:
            found.append(
                Check(
                    "problem", "claims", f"the release of Lease {holder} holds {named} and acts there, and this one ({release}) "
                    "stands by: uninstall one of the two, or give them watchNamespaces that do not overlap",
                )
            )  # fmt: skip
        else:
            found.append(
                Check(
                    "problem", "claims", f"nobody has renewed {named} in the last {OLD_CLAIM_SECONDS:g} s, so no release acts there: "
                    f"see the log of the pod that holds the Lease {release}",
                )
            )  # fmt: skip
    return found


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
    found = _decided(key, body, now, old_after_seconds)
    levels = {
        condition["type"]: level
        for condition in status.get("conditions") or []
        if (level := _level(condition["type"], condition["status"])) != "ok"
    }
    bad = [condition for condition in status.get("conditions") or [] if condition["type"] in levels]
    for group in by_cause(bad):
        worst: Level = "problem" if "problem" in {levels[condition["type"]] for condition in group} else "warning"
        found.append(Check(worst, key, told(group)))
    return found or [Check("ok", key, str(status.get("message") or "nothing is wrong with it"))]


def metrics_said(bodies: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Of each RecModel whose status says that its metrics are missing, or not known: the reason, by ``namespace/name``."""
    return {
        key: condition["reason"]
        for key, body in bodies.items()
        for condition in (body.get("status") or {}).get("conditions") or []
        if condition["type"] == "MetricsAvailable" and condition["status"] != "True"
    }


def none_at_all(namespaces: Collection[str]) -> Check:
    """There is nothing that the operator could serve."""
    where = f"in {', '.join(namespaces)}, and watchNamespaces has no other" if namespaces else "in any namespace"
    return Check(
        "warning", "RecModels", f"there is none {where}: apply one, and what concerns its metrics is looked at too"
    )


def absent(key: str, namespaces: Collection[str], known: Collection[str]) -> str:
    """Why a RecModel that was asked for is not there, among those that were listed. ``namespaces``: those served; none: all."""
    namespace, _, name = key.partition("/")
    if not name:
        alike = sorted(other for other in known if other.partition("/")[2] == key)
        return f"is no NAMESPACE/NAME{_perhaps(alike)}"
    if namespaces and namespace not in namespaces:
        return (
            f"not looked for: watchNamespaces of this operator is {', '.join(namespaces)}; add its namespace there, or ask the "
            "operator that serves it"
        )
    alike = sorted(other for other in known if name == other.partition("/")[2] or namespace == other.partition("/")[0])
    return f"there is no such RecModel{_perhaps(alike)}"


def listed(words: Sequence[str]) -> str:
    return ", ".join(words[:MOST_NAMES]) + (", ..." if len(words) > MOST_NAMES else "")


def _perhaps(alike: Sequence[str]) -> str:
    return f"; there is {listed(alike)}" if alike else ": `kubectl get recmodels -A` lists those there are"


def exit_code(checks: Collection[Check]) -> int:
    """1 where something is a problem, else 0: a warning is none."""
    return int(any(check.level == "problem" for check in checks))


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


def _decided(key: str, body: Mapping[str, Any], now: datetime, old_after_seconds: float) -> list[Check]:
    """Whether an operator decides on a RecModel."""
    written = (body.get("status") or {}).get("lastDecisionTime")
    if written is not None:
        age_seconds = _age_seconds(written, now)
        if age_seconds is None:
            said = f"status.lastDecisionTime is {written!r}, which is no time: somebody else wrote it"
            return [Check("problem", key, said)]
        if age_seconds <= old_after_seconds:
            return []
        return [
            Check(
                "problem", key, f"the last decision in its status is {age_seconds:.0f} s old, and {old_after_seconds:.0f} s are "
                "usual at most: no operator decides on it, or its status cannot be written; see which pod acts (Lease), and that "
                "pod's log",
            )
        ]  # fmt: skip
    if (body.get("spec") or {}).get("mode") == "Paused":
        return []
    exists_seconds = _age_seconds(body["metadata"].get("creationTimestamp"), now)
    if exists_seconds is not None and exists_seconds <= old_after_seconds:
        said = f"no decision was made yet: it was created {exists_seconds:.0f} s ago, look again in a minute"
        return [Check("warning", key, said)]
    return [Check("problem", key, "no decision was made yet: see which pod acts (Lease), and that pod's log")]


def _age_seconds(written: Any, now: datetime) -> float | None:
    """None: what is written is no time."""
    try:
        return (now - datetime.fromisoformat(written.replace("Z", "+00:00"))).total_seconds()
    except (AttributeError, TypeError, ValueError):
        return None
