"""What counts of a pod: which pool it is of, whether it answers, whether a node can take it, how long it took to
start.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from recmodel.cluster.names import MODEL_LABEL, POOL_LABEL


@dataclass(frozen=True, slots=True)
class PodState:
    """One pod."""

    key: str  # of its model, "namespace/name"
    pool: str
    name: str
    uid: str
    version: int
    ready: bool  # Ready, and not being deleted
    unschedulable: bool
    startup_seconds: float | None  # creation to Ready; None before that, or where a restart hides it


def pod_state(pod: Mapping[str, Any]) -> PodState | None:
    """The pod's state; None where it is no pool's pod."""
    metadata, status = pod["metadata"], pod.get("status", {})
    labels = metadata.get("labels", {})
    if MODEL_LABEL not in labels or POOL_LABEL not in labels:
        return None
    conditions = {condition["type"]: condition for condition in status.get("conditions") or []}
    ready = conditions.get("Ready", {}).get("status") == "True"
    scheduled = conditions.get("PodScheduled", {})
    restarted = any(container.get("restartCount", 0) for container in status.get("containerStatuses") or [])
    startup_seconds = None
    if ready and not restarted and "lastTransitionTime" in conditions["Ready"]:
        since, created = conditions["Ready"]["lastTransitionTime"], metadata["creationTimestamp"]
        startup_seconds = max(0.0, (instant(since) - instant(created)).total_seconds())
    leaving = "deletionTimestamp" in metadata
    return PodState(
        key=f"{metadata['namespace']}/{labels[MODEL_LABEL]}",
        pool=labels[POOL_LABEL],
        name=metadata["name"],
        uid=metadata["uid"],
        version=version(pod),
        ready=ready and not leaving,
        unschedulable=scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable" and not leaving,
        startup_seconds=startup_seconds,
    )


def instant(time: str) -> datetime:
    """An API time such as ``2026-01-31T12:00:00Z``."""
    return datetime.fromisoformat(time.replace("Z", "+00:00"))


def version(obj: Mapping[str, Any]) -> int:
    """The resource version as a number that grows (KEP-5504); 0 where a server sends anything else, which counts
    as new.
    """
    text = obj["metadata"].get("resourceVersion", "")
    return int(text) if text.isdigit() else 0
