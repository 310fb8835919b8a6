"""What counts of a workload that is not ours and that a pool refers to: its replicas, which pods are its, and what one may use.

A Deployment and a StatefulSet have the same fields as far as they are read here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from recmodel.api.quantity import amount
from recmodel.api.shown import shown
from recmodel.api.v1alpha1 import KIND
from recmodel.cluster.children import ownership
from recmodel.cluster.observed.deployments import forbidden
from recmodel.cluster.observed.shapes import (
    Count,
    DeploymentStatus,
    Labels,
    LabelText,
    Listed,
    Metadata,
    Said,
    Shape,
    Word,
)
from recmodel.cluster.observed.waits import Waits

_KEY = re.compile(r"[A-Za-z0-9][-A-Za-z0-9._/]*")
_VALUE = re.compile(r"[-A-Za-z0-9._]*")
_SETS = {"In": "in", "NotIn": "notin"}


class Requirement(Shape):
    """One expression of a selector."""

    key: Word
    operator: Word
    values: Listed[LabelText] = []


class LabelSelector(Shape):
    """Which pods are the workload's."""

    match_labels: Labels = {}
    match_expressions: Listed[Requirement] = []


class Resources(Shape):
    """What a container may use at most."""

    limits: dict[str, Any] = {}


class LimitedContainer(Shape):
    """A container with its limits."""

    restart_policy: Said = ""
    resources: Resources = Resources()


class LimitedPodSpec(Shape):
    """The containers of the pods."""

    containers: Listed[LimitedContainer] = []
    init_containers: Listed[LimitedContainer] = []


class PodTemplate(Shape):
    """What the pods are made from."""

    spec: LimitedPodSpec = LimitedPodSpec()


class WorkloadSpec(Shape):
    """What the workload is to be."""

    replicas: Count = 1
    selector: LabelSelector
    template: PodTemplate = PodTemplate()


class WorkloadStatus(DeploymentStatus):
    """How far it is."""

    current_revision: Said = ""  # of a StatefulSet
    update_revision: Said = ""


class WorkloadShape(Shape):
    """A Deployment or StatefulSet."""

    metadata: Metadata
    spec: WorkloadSpec
    status: WorkloadStatus = WorkloadStatus()


@dataclass(frozen=True, slots=True)
class WorkloadState:
    """One workload, as a pool by reference needs it."""

    selector: str  # of its pods, as the API takes it in a list
    desired: int
    updating: bool  # a roll-out is under way, or may be: see unseen
    unseen: bool  # the cluster has not acted on the newest spec, of whatever change
    stalled: bool  # its new pods did not become ready in time
    forbidden: Waits | None  # why the API refuses to create its pods; None: it does not
    cpu_limit_cores: float | None  # of one pod; None where a container has none
    uid: str
    resource_version: str  # of the object that says all this
    made_by: str | None  # the name of the RecModel whose child it is
    replicas_holders: tuple[str, ...]  # the field managers that own its replicas, ours aside
    replicas_path: ownership.Path = ownership.REPLICAS  # where the object keeps its replicas
    replicas_now: int | None = None  # as its scale counts them; None: its pods are not compared with them


def workload_state(workload: WorkloadShape, replicas_holders: tuple[str, ...] = ()) -> WorkloadState:
    """The workload's state; ``ValueError`` where its selector is none that the API would take."""
    owners = workload.metadata.owner_references
    spec, status = workload.spec, workload.status
    progress = status.condition("Progressing")
    stale = status.observed_generation < workload.metadata.generation
    by_revision = bool(status.update_revision)  # a StatefulSet counts updated pods only while it updates
    old_pods = (
        status.current_revision != status.update_revision if by_revision else status.replicas > status.updated_replicas
    )
    return WorkloadState(
        selector=_selector(spec.selector),
        desired=spec.replicas,
        updating=stale or old_pods,
        unseen=stale,
        stalled=progress is not None and progress.reason == "ProgressDeadlineExceeded",
        forbidden=forbidden(status),
        cpu_limit_cores=cpu_limit_cores(spec.template.spec),
        uid=workload.metadata.uid,
        resource_version=workload.metadata.resource_version,
        made_by=next((owner.name for owner in owners if owner.controller and owner.kind == KIND), None),
        replicas_holders=replicas_holders,
    )


def _selector(selector: LabelSelector) -> str:
    parts = [f"{_checked(_KEY, key)}={_checked(_VALUE, value)}" for key, value in sorted(selector.match_labels.items())]
    parts += [_requirement(requirement) for requirement in selector.match_expressions]
    if not parts:
        raise ValueError("spec.selector is empty: all pods of the namespace would be its")
    return ",".join(parts)


def _requirement(requirement: Requirement) -> str:
    key, operator = _checked(_KEY, requirement.key), requirement.operator
    if operator in _SETS and requirement.values:
        values = ",".join(_checked(_VALUE, value) for value in requirement.values)
        return f"{key} {_SETS[operator]} ({values})"
    if operator in ("Exists", "DoesNotExist"):
        return key if operator == "Exists" else f"!{key}"
    raise ValueError(f"spec.selector has the operator {shown(operator)} with {len(requirement.values)} values")


def _checked(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError(f"spec.selector has {shown(text)}, which is no part of a label")
    return text


def cpu_limit_cores(pod: LimitedPodSpec) -> float | None:
    """Of one pod; None where a container has none. A side-car counts; an init container that has ended does not."""
    sidecars = [container for container in pod.init_containers if container.restart_policy == "Always"]
    limits = [container.resources.limits.get("cpu") for container in [*pod.containers, *sidecars]]
    try:
        known = [amount(str(limit)) for limit in limits if limit is not None]
    except ValueError:  # of a kind that this operator does not know: then the use of it is not known
        return None
    return sum(known) if limits and len(known) == len(limits) else None
