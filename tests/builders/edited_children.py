"""The children of a model with two pools, and what somebody edits of them by hand."""

from __future__ import annotations

import copy
from typing import Any

from builders.fake_cluster import FakeCluster, apply, pool, spec
from recmodel.cluster import names
from recmodel.cluster.writing.apply import Actor

WANTED = spec(pool("cpu", 2), pool("gpu", 1), metrics={"profile": "triton"})
CONTAINER = ("spec", "template", "spec", "containers", 0)
BARE = [{"backendRefs": [{"name": f"feed-{pool}", "weight": weight} for pool, weight in (("cpu", 50), ("gpu", 50))]}]
EDITS: dict[str, tuple[Any, ...]] = {
    "a Service's selector": ("Service", "feed-cpu", "spec", "selector", {"app": "other"}),
    "an image": ("Deployment", "feed-cpu", *CONTAINER, "image", "other:1"),
    "a probe taken out": ("Deployment", "feed-cpu", *CONTAINER, "readinessProbe", None),
    "the token mounted": ("Deployment", "feed-gpu", "spec", "template", "spec", "automountServiceAccountToken", None),
    "a budget": ("PodDisruptionBudget", "feed-gpu", "spec", "maxUnavailable", "100%"),
    "a Service of another type": ("Service", "feed-cpu", "spec", "type", "ExternalName"),
    "hostnames of a route that has none": ("HTTPRoute", "feed", "spec", "hostnames", ["other.example"]),
    "the parents of the route": ("HTTPRoute", "feed", "spec", "parentRefs", [{"name": "other"}]),
    "the filters of the route, and the total of its weights": ("HTTPRoute", "feed", "spec", "rules", BARE),
    "an endpoint of the monitor": ("PodMonitor", "feed", "spec", "podMetricsEndpoints", []),
    "the label that is watched": ("Service", "feed-cpu", "metadata", "labels", names.MODEL_LABEL, None),
    "the label of another model": ("Service", "feed-gpu", "metadata", "labels", names.MODEL_LABEL, "other"),
    "a label": ("Deployment", "feed-cpu", "metadata", "labels", "app.kubernetes.io/name", "other"),
    "the owner": ("PodDisruptionBudget", "feed-cpu", "metadata", "ownerReferences", None),
    "the hash of what was applied": ("Deployment", "feed-cpu", "metadata", "annotations", names.APPLIED_ANNOTATION, "x"),
}  # fmt: skip


def applied(cluster: FakeCluster, by: Actor) -> list[str]:
    by.monitors = True
    return apply(cluster, WANTED, by)


def edit(cluster: FakeCluster, what: str, **more: Any) -> tuple[str, str]:
    kind, name, *path, value = EDITS[what]
    cluster.edit(kind, name, *path, value=value, **more)
    return kind, name


def contents(cluster: FakeCluster) -> dict[Any, Any]:
    """The objects without what every write moves, and without what others wrote down of themselves."""
    result = {}
    for where, obj in copy.deepcopy(cluster.objects).items():
        for key in ("generation", "resourceVersion", "managedFields"):
            obj["metadata"].pop(key)
        result[where] = obj
    return result
