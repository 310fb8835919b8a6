"""Inventories with pods and Deployments in them."""

from __future__ import annotations

from typing import Any

from recmodel.cluster import names
from recmodel.cluster.observed.inventory import Inventory

KEY = "shop/feed"


def pod(name: str = "p1", version: int = 1, pool: str = "cpu", ready: bool = True, **more: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:40Z"}]
    if more.pop("unschedulable", False):
        conditions.append({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"})
    metadata = {
        "namespace": "shop", "name": name, "uid": more.pop("uid", f"uid-{name}"), "resourceVersion": str(version),
        "creationTimestamp": more.pop("created", "2026-01-01T00:00:00Z"),
        "labels": {names.MODEL_LABEL: "feed", names.POOL_LABEL: pool},
    }  # fmt: skip
    if more.pop("deleting", False):
        metadata["deletionTimestamp"] = "2026-01-01T01:00:00Z"
    containers = [{"restartCount": more.pop("restarts", 0)}]
    return {"metadata": metadata, "status": {"conditions": conditions, "containerStatuses": containers}}


def deployment(version: int = 1, replicas: int = 3, uid: str = "d", **status: Any) -> dict[str, Any]:
    metadata = {
        "namespace": "shop", "name": "feed-cpu", "uid": uid, "resourceVersion": str(version), "generation": 1,
        "labels": {names.MODEL_LABEL: "feed", names.POOL_LABEL: "cpu"}, "managedFields": [{"large": 1}],
    }  # fmt: skip
    return {"metadata": metadata, "spec": {"replicas": replicas}, "status": {"observedGeneration": 1, **status}}


def inventory(*objects: tuple[names.Kind, dict[str, Any]]) -> tuple[Inventory, list[str]]:
    changed: list[str] = []
    result = Inventory(changed.append)
    for kind, obj in objects:
        result.see(kind, "ADDED", obj)
    return result, changed
