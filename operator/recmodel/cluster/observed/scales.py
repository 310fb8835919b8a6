"""What counts of a workload of any kind with a scale subresource: its scale says replicas and pods, and the object whose it is.

The object itself is read by what all objects have. Of its spec only the limits of a pod template are, where it holds one as a
Deployment does; elsewhere what a pod may use is not known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from recmodel.api.shown import shown
from recmodel.api.v1alpha1 import KIND
from recmodel.cluster.children import ownership
from recmodel.cluster.observed.shapes import Count, Metadata, Said, Shape
from recmodel.cluster.observed.workloads import PodTemplate, WorkloadState, cpu_limit_cores

LONGEST_SELECTOR = 2048  # characters: it is a part of the URL of each list of pods
_PREFIX = r"[a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?/"
_NAME = r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?:{_PREFIX})?{_NAME}"
_VALUE = rf"(?:{_NAME})?"
_REQUIREMENT = re.compile(
    rf"\s*(?:(?P<no>!)\s*{_KEY}|{_KEY}(?:\s*(?:==?|(?P<other>!=))\s*{_VALUE}"
    rf"|\s+(?:in|(?P<out>notin))\s*\(\s*{_VALUE}(?:\s*,\s*{_VALUE})*\s*\))?)\s*(?=,|$)"
)


class ScaleMetadata(Shape):
    """Whose scale it is, and at which version."""

    uid: Said = ""
    resource_version: Said = ""


class ScaleSpec(Shape):
    """How many replicas there are to be; 0 is left out."""

    replicas: Count = 0


class ScaleStatus(Shape):
    """How many replicas there are, and which pods are theirs."""

    replicas: Count = 0
    selector: Said = ""


class ScaleShape(Shape):
    """A scale. Its spec is always there: without one the replicas are not known, and not 0."""

    metadata: ScaleMetadata = ScaleMetadata()
    spec: ScaleSpec
    status: ScaleStatus = ScaleStatus()


class Scaled(Shape):
    """The object whose scale it is."""

    metadata: Metadata
    spec: dict[str, Any] = {}
    status: dict[str, Any] = {}


def scaled_state(obj: Mapping[str, Any], scale: Any, path: ownership.Path) -> WorkloadState:
    """The workload's state; ``path`` is where the object is known to keep its replicas. ``ValueError`` where the scale names no
    pods.
    """
    found, read = Scaled.model_validate(obj), ScaleShape.model_validate(scale)
    metadata = found.metadata
    if read.metadata.uid not in ("", metadata.uid):
        raise ValueError("its scale is that of another object of this name")
    observed = _number(found.status.get("observedGeneration"))
    unseen = observed is not None and observed < metadata.generation
    owners = metadata.owner_references
    path = ownership.replicas_path(obj) or path
    return WorkloadState(
        selector=pod_selector(read.status.selector),
        desired=read.spec.replicas,
        updating=unseen,
        unseen=unseen,
        stalled=False,
        forbidden=None,
        cpu_limit_cores=_limit(found.spec.get("template")),
        uid=metadata.uid,
        resource_version=read.metadata.resource_version or metadata.resource_version,
        made_by=next((owner.name for owner in owners if owner.controller and owner.kind == KIND), None),
        replicas_holders=ownership.replicas_holders(obj, path),
        replicas_path=path,
        replicas_now=read.status.replicas,
    )


def pod_selector(text: str) -> str:
    """The selector of a scale as a list of pods takes it; ``ValueError`` where it names no label that the pods have."""
    where = "status.selector of its scale"
    if not text.strip():
        raise ValueError(f"{where} is empty, so its pods are not known: its controller must set it")
    if len(text) > LONGEST_SELECTOR:
        raise ValueError(f"{where} has {len(text)} characters: it must have at most {LONGEST_SELECTOR}")
    at, names = 0, False
    while at <= len(text):
        match = _REQUIREMENT.match(text, at)
        if match is None:
            raise ValueError(f"{where} must be a label selector, and is {shown(text)}")
        names = names or not any(match[part] for part in ("no", "other", "out"))
        at = match.end() + 1
    if not names:
        raise ValueError(f"{where} must name a label that its pods have, and is {shown(text)}")
    return text.strip()


def _number(value: Any) -> int | None:
    """A generation, which some kinds keep as a text."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _limit(template: Any) -> float | None:
    """Of a pod template as a Deployment has one; None where it is none."""
    try:
        return cpu_limit_cores(PodTemplate.model_validate(template).spec)
    except ValueError:
        return None
