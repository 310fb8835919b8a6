"""RecModels whose pools refer to workloads that stand already, and an API server that has such workloads."""

from __future__ import annotations

import copy
from typing import Any

from aiohttp import web

from builders.operator_stage import Api
from recmodel.cluster.names import MODEL_LABEL

Object = dict[str, Any]
TARGET = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ranker-cpu"}
HPA = {
    "metadata": {"namespace": "shop", "name": "ranker", "uid": "h", "resourceVersion": "3"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "ranker-cpu"}, "maxReplicas": 6},
}


def referring(target: Object | None = None, **more: Any) -> Object:
    """A pool by reference."""
    return {
        "name": "cpu",
        "replicas": {"min": 1, "max": 9},
        "costPerHour": "1.5",
        "targetRef": target or copy.deepcopy(TARGET),
        **more,
    }


def reference_spec(*pools: Object, **more: Any) -> Object:
    """A spec of nothing but references."""
    return {
        "mode": "Recommend",
        "objective": {"latency": {"threshold": "100ms"}},
        "metrics": {"profile": "triton"},
        "pools": list(pools) or [referring()],
        **more,
    }


def reference_recmodel(*pools: Object, name: str = "feed", **more: Any) -> Object:
    """The whole object as a watch tells of it."""
    return {
        "metadata": {"name": name, "namespace": "shop", "uid": f"u-{name}", "generation": 1},
        "spec": reference_spec(*pools, **more),
    }


def workload(name: str = "ranker-cpu", replicas: int = 3, **more: Any) -> Object:
    """A Deployment as somebody else made it; ``more`` goes into its spec."""
    labels = {"app": name}
    container = {"name": "server", "resources": {"limits": {"cpu": "1500m"}}}
    return {
        "metadata": {"namespace": "shop", "name": name, "uid": f"w-{name}", "resourceVersion": "7", "generation": 4},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            **more,
        },
        "status": {"observedGeneration": 4, "replicas": replicas, "updatedReplicas": replicas},
    }


def pod(name: str, ready: bool = True, app: str = "ranker-cpu", **metadata: Any) -> Object:
    """A pod of it, which has no label of ours."""
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:40Z"}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-01T00:00:02Z"}
    return {
        "metadata": {
            "namespace": "shop", "name": name, "uid": f"p-{name}", "resourceVersion": "7",
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"app": app}, **metadata,
        },
        "status": {"conditions": [scheduled, condition], "startTime": "2026-01-01T00:00:02Z"},
    }  # fmt: skip


class ExistingWorkloads(Api):
    """An API server that has workloads, pods and autoscalers of others, by the plural of their kind. ``forbidden`` are the kinds
    that may not be listed in a namespace. ``selections`` is what was asked for of them. Replicas are written through their scale,
    over the version that the write names; ``scales`` are the bodies, ``refused`` a status and a sentence for all of them.
    """

    def __init__(self, **objects: list[Object]) -> None:
        super().__init__()
        self.existing = {"deployments": [], "statefulsets": [], "pods": [], "horizontalpodautoscalers": [], **objects}
        self.forbidden: set[str] = set()
        self.selections: list[tuple[str, str]] = []
        self.scales: list[tuple[str, Object]] = []
        self.refused: tuple[int, str] | None = None

    @property
    def writes(self) -> list[tuple[str, str]]:
        """All that was sent and is no read."""
        return [(method, path) for method, path in self.requests if method != "GET"]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        kind = request.path.rsplit("/", 1)[-1]
        if request.method == "PATCH" and kind == "scale" and request.content_type == "application/merge-patch+json":
            self.requests.append((request.method, request.path))
            return self._scaled(request.path, await request.json())
        if request.method != "GET" or kind not in self.existing or request.query.get("watch"):
            return await super().answer(request)
        self.requests.append((request.method, request.path))
        labels, fields = request.query.get("labelSelector", ""), request.query.get("fieldSelector", "")
        if "/namespaces/" in request.path:
            if kind in self.forbidden:
                said = {"kind": "Status", "message": f"{kind} is forbidden", "code": 403}
                return web.json_response(said, status=403)
            self.selections.append((kind, labels or fields))
        found = [obj for obj in self.existing[kind] if _chosen(obj, labels, fields)]
        return web.json_response({"items": found, "metadata": {"resourceVersion": "9"}})

    def write(self, name: str, replicas: int, manager: str) -> None:
        """Somebody writes the replicas of a workload, and is in ``managedFields`` for it."""
        for objects in self.existing.values():
            for at, obj in enumerate(objects):
                if obj["metadata"]["name"] == name and "replicas" in obj.get("spec", {}):
                    objects[at] = _written(obj, replicas, manager)

    def _scaled(self, path: str, body: Object) -> web.Response:
        kind, name = path.split("/")[-3:-1]
        found = next((obj for obj in self.existing[kind] if obj["metadata"]["name"] == name), None)
        if self.refused is not None:
            return _status(*self.refused)
        if found is None:
            return _status(404, f"{kind} {name} not found")
        self.scales.append((name, body))
        if any(found["metadata"].get(key) != value for key, value in body["metadata"].items()):
            return _status(409, f"{kind} {name}: the object has been modified")
        self.write(name, body["spec"]["replicas"], "recmodel")
        (now,) = (obj for obj in self.existing[kind] if obj["metadata"]["name"] == name)
        count = now["spec"]["replicas"]
        return web.json_response({"metadata": now["metadata"], "spec": {"replicas": count} if count else {}})


def _written(obj: Object, replicas: int, manager: str) -> Object:
    found = copy.deepcopy(obj)
    metadata = found["metadata"]
    metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
    metadata["generation"] += 1
    found["spec"]["replicas"] = replicas
    fields: Object = {"f:spec": {"f:replicas": {}}}
    metadata["managedFields"] = [{"manager": manager, "operation": "Update", "fieldsV1": fields}]
    return found


def _status(code: int, said: str) -> web.Response:
    return web.json_response({"kind": "Status", "message": said, "code": code}, status=code)


def _chosen(obj: Object, labels: str, fields: str) -> bool:
    metadata = obj["metadata"]
    if labels == MODEL_LABEL:
        return labels in metadata.get("labels", {})
    wanted = dict(part.split("=") for part in labels.split(",") if part)
    named = fields.removeprefix("metadata.name=") if fields else metadata["name"]
    return bool(wanted.items() <= metadata.get("labels", {}).items() and metadata["name"] == named)


def condition(api: ExistingWorkloads, kind: str) -> dict[str, Any]:
    return next((dict(c) for c in api.status.get("conditions", ()) if c["type"] == kind), {})


def rest(obj: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(obj)
    found.get("spec", {}).pop("replicas", None)
    for name in ("resourceVersion", "generation", "managedFields"):
        found["metadata"].pop(name, None)
    return found
