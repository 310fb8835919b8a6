"""The steps of a plan: writes in their order, each with its sentence, and what is waited for between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.report.handover.shapes import RecModelShape, Replicated
from recmodel.report.handover.store import Object, leaving
from recmodel.report.handover.weights import StoredRule
from recmodel.report.pool_problems import ANOTHER_AUTOSCALER, RIGHTS_OBSERVE_ONLY

READY_SECONDS = 600.0  # a node and a large model take their time
NOTED_SECONDS = 120.0  # some ticks, and a status that waits behind those of other models
GONE_SECONDS = 60.0  # KEDA takes a second or two, a finalizer of somebody else its time
OLD_SECONDS = 300.0  # while nothing changes, a status is written at least this often with up to 600 RecModels
AUTO = "Auto"


@dataclass(frozen=True, slots=True)
class Write:
    """One write, by the account of whoever runs the command."""

    verb: Literal["create", "patch", "delete"]
    kind: Kind
    name: str
    said: str  # what it does, as the plan says it: ``delete HorizontalPodAutoscaler ranker-cpu``
    by_hand: str  # what does the same without this command
    body: Object | None = None  # to create, or the merge patch
    uid: str = ""  # to delete no other of this name
    version: str = ""  # to delete it only as it was read
    follows: bool = False  # it cannot be tried before the step before it was done
    takes: Object | None = None  # of what scales: as it was stored, without which it is not taken away
    subresource: str = ""
    rule: StoredRule | None = None  # the weights that a route is given back
    needs: tuple[tuple[Kind, str, str], ...] = ()  # workloads that must have a ready pod then, each with its weight

    @property
    def rights(self) -> tuple[str, ...]:
        """The verbs that it takes; a ScaledObject is looked at first."""
        return ("list", self.verb) if self.kind == names.SCALED_OBJECT else (self.verb,)

    @property
    def restores(self) -> bool:
        """Whether it gives a pool back to what scaled it: the others are given back if this fails."""
        return self.takes is None and self.kind in (names.AUTOSCALER, names.SCALED_OBJECT)


@dataclass(frozen=True, slots=True)
class Wait:
    """Until the operator has taken note of mode ``Auto`` (``noted``), and says that it leaves alone what an autoscaler scales
    (``left alone``); until it scales (``scaled``); until an object is gone; or until a workload has a ready pod.
    """

    until: Literal["noted", "left alone", "scaled", "gone", "ready"]
    kind: Kind
    name: str
    said: str
    otherwise: str  # what is said where it does not come

    @property
    def seconds(self) -> float:
        """At most."""
        return {"gone": GONE_SECONDS, "ready": READY_SECONDS}.get(self.until, NOTED_SECONDS)

    @property
    def restores(self) -> bool:
        """As of a write: one that is gone can be created again."""
        return self.until == "gone"


Step = Write | Wait


def still_lacking(wait: Wait, body: Mapping[str, Any] | None, now: datetime) -> str:
    """What is still waited for; empty where it has come, ``ValueError`` where it will not."""
    if wait.until == "ready":
        return "" if ready(body) else "no pod of it is ready"
    if wait.until == "gone":
        finalizers = ((body or {}).get("metadata") or {}).get("finalizers") or []
        waits = f", and its finalizers {', '.join(map(str, finalizers))} keep it" if finalizers else ""
        return f"it is still there{waits}" if body is not None else ""
    acts(body)
    try:
        found = RecModelShape.model_validate(body)
    except ValidationError:
        return "its status cannot be read"
    return _not_noted(found, now) or (_holds(found) if wait.until != "scaled" else _not_scaled(found)) or (
        _not_left_alone(found) if wait.until == "left alone" else ""
    )  # fmt: skip


def asked_for(workload: Mapping[str, Any]) -> int | None:
    """How many replicas a workload asks for; None where that cannot be read."""
    try:
        return Replicated.model_validate(workload).spec.replicas
    except ValidationError:
        return None


def ready(workload: Mapping[str, Any] | None) -> bool:
    """Whether a workload has a ready pod."""
    try:
        return (Replicated.model_validate(workload).status.ready_replicas or 0) > 0
    except ValidationError:
        return False


def acts(recmodel: Mapping[str, Any] | None) -> None:
    """``ValueError`` where a RecModel is not in mode ``Auto``, in which it was put."""
    if recmodel is None:
        raise ValueError("the RecModel was deleted")
    spec = recmodel.get("spec")
    mode = spec.get("mode", AUTO) if isinstance(spec, Mapping) else None
    if mode != AUTO or leaving(recmodel):
        raise ValueError(
            f"somebody has set spec.mode of the RecModel to {mode}, or deletes it: see who keeps it, such as a tool that syncs it from Git"
        )


def _not_noted(found: RecModelShape, now: datetime) -> str:
    status = found.status
    if status.observed_generation < found.metadata.generation:
        return "its status is of an older spec"
    for condition in status.conditions:
        if condition.reason == RIGHTS_OBSERVE_ONLY:
            raise ValueError(condition.message)
    stalled = status.condition("Stalled")
    if stalled is not None and stalled.status == "True":
        raise ValueError(f"its spec is refused: {stalled.message}")
    if status.last_decision_time is None:
        return "no decision was made yet"
    age_seconds = now.timestamp() - status.last_decision_time
    return f"its last decision is {age_seconds:.0f} s old" if age_seconds > OLD_SECONDS else ""


def _holds(found: RecModelShape) -> str:
    """What keeps the operator from scaling, beside an autoscaler that stands: its load is not known, or something else is wrong."""
    metrics, degraded = found.status.condition("MetricsAvailable"), found.status.condition("Degraded")
    if metrics is not None and metrics.status == "False":
        return f"the operator does not know the load: {metrics.message}"
    if degraded is not None and degraded.status == "True" and degraded.reason != ANOTHER_AUTOSCALER:
        return f"something keeps it from scaling: {degraded.message}"
    return ""


def _not_left_alone(found: RecModelShape) -> str:
    degraded = found.status.condition("Degraded")
    seen = degraded is not None and degraded.status == "True"
    return "" if seen else "the operator does not say yet that it leaves alone what an autoscaler scales"


def _not_scaled(found: RecModelShape) -> str:
    degraded = found.status.condition("Degraded")
    if degraded is None or degraded.status != "False":
        return (
            degraded.message if degraded is not None else "it does not say yet whether anything keeps it from scaling"
        )
    return ""


def kept_from_scaling(recmodel: Mapping[str, Any]) -> str:
    """What the operator says that keeps it from scaling; empty where it says nothing of it."""
    try:
        degraded = RecModelShape.model_validate(recmodel).status.condition("Degraded")
    except ValidationError:
        return ""
    return degraded.message if degraded is not None and degraded.status == "True" else ""
