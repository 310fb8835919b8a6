"""RecModels that refer to a rule of a route that stands already, and an API server that has such a route and takes JSON patches of it."""

from __future__ import annotations

import copy
from typing import Any

from aiohttp import web

from builders.references import TARGET, ExistingWorkloads, pod, reference_recmodel, referring, workload

Object = dict[str, Any]
REF = {"kind": "HTTPRoute", "name": "shop", "rule": 1}
FILTERS = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "y"}]}}]


def backend(name: str, weight: int | None, **more: Any) -> Object:
    given = {} if weight is None else {"weight": weight}
    return {"group": "", "kind": "Service", "name": name, "port": 80, **given, **more}


def route(cpu: int | None = 60, gpu: int | None = 40, *, accepted: str = "True", **more: Any) -> Object:
    """An HTTPRoute as somebody else made it: the second of its rules sends to the pools' Services."""
    parent = {"name": "edge", "namespace": "infra"}
    rules = [
        {"matches": [{"path": {"type": "Exact", "value": "/health"}}], "backendRefs": [backend("health", 1)]},
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "filters": copy.deepcopy(FILTERS),
            "backendRefs": [backend("ranker-cpu", cpu, filters=copy.deepcopy(FILTERS)), backend("ranker-gpu", gpu)],
            "timeouts": {"request": "10s"},
        },
    ]
    condition = {"type": "Accepted", "status": accepted, "reason": "Said", "message": "so"}
    answer = {"parentRef": parent, "controllerName": "x", "conditions": [condition]}
    return {
        "metadata": {
            "namespace": "shop", "name": "shop", "uid": "r-shop", "resourceVersion": "20", "generation": 3,
            "managedFields": [{"manager": "helm", "operation": "Update", "fieldsV1": {"f:spec": {"f:rules": {}}}}],
        },
        "spec": {"parentRefs": [parent], "hostnames": ["shop.example"], "rules": rules, **more},
        "status": {"parents": [answer] if accepted != "Unknown" else []},
    }  # fmt: skip


def served(name: str, service: str, minimum: int = 0, **more: Any) -> Object:
    """A pool by reference, with its Service."""
    target = {**TARGET, "name": f"ranker-{name}"}
    replicas = {"min": minimum, "max": 9}
    return referring(target, name=name, replicas=replicas, service={"name": service, "port": 80}, **more)


def pools() -> list[Object]:
    return [served("cpu", "ranker-cpu", costPerHour="1.0"), served("gpu", "ranker-gpu", costPerHour="3.0")]


def routed_recmodel(*given: Object, name: str = "feed", **more: Any) -> Object:
    body = reference_recmodel(*(given or pools()), name=name, **{"mode": "Auto", "route": {"ref": dict(REF)}, **more})
    body["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    return body


class ExistingRoutes(ExistingWorkloads):
    """Has routes of others. ``patches`` are the JSON patches that were sent; ``conflicts`` says how many of the next writes somebody
    else comes before; ``lost``: a write is done, and its answer is 504.
    """

    def __init__(self, *routes: Object, **objects: list[Object]) -> None:
        two = [workload("ranker-cpu", 2), workload("ranker-gpu", 1)]
        ready = [pod("c1"), pod("c2"), pod("g1", app="ranker-gpu")]
        found = {"deployments": two, "pods": ready, "httproutes": list(routes) or [route()], "grpcroutes": []}
        super().__init__(**{**found, **objects})
        self.patches: list[list[Object]] = []
        self.conflicts = 0
        self.lost = False
        self.route_refused: tuple[int, str] | None = None

    @property
    def route(self) -> Object:
        return self.existing["httproutes"][0]

    @property
    def weights(self) -> list[int]:
        return [b.get("weight", 1) for b in self.route["spec"]["rules"][1]["backendRefs"]]

    def set_route(self, body: Object, manager: str = "argocd-controller") -> Object:
        """Somebody writes the whole route."""
        found = copy.deepcopy(body)
        before = int(self.route["metadata"]["resourceVersion"]) if self.existing["httproutes"] else 20
        found["metadata"]["resourceVersion"] = str(before + 1)
        fields: Object = {"f:spec": {"f:rules": {}}}
        found["metadata"]["managedFields"] = [{"manager": manager, "operation": "Update", "fieldsV1": fields}]
        self.existing["httproutes"] = [found]
        return found

    def set_weights(self, *weights: int, manager: str = "argocd-controller") -> Object:
        """Somebody writes the weights of the rule."""
        body = copy.deepcopy(self.route)
        for one, weight in zip(body["spec"]["rules"][1]["backendRefs"], weights, strict=True):
            one["weight"] = weight
        return self.set_route(body, manager)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if request.method == "GET" and parts[-2] == "httproutes":
            self.requests.append((request.method, request.path))
            found = [body for body in self.existing["httproutes"] if body["metadata"]["name"] == parts[-1]]
            return web.json_response(found[0]) if found else _status(404, "not found")
        if request.method == "PATCH" and parts[-2] == "httproutes":
            self.requests.append((request.method, request.path))
            assert request.content_type == "application/json-patch+json"
            assert request.query["fieldManager"] == "recmodel"
            return self._patched(await request.json())
        return await super().answer(request)

    def _patched(self, patch: list[Object]) -> web.Response:
        self.patches.append(patch)
        if self.route_refused is not None:
            return _status(*self.route_refused)
        if self.conflicts:
            self.conflicts -= 1
            self.set_route(self.route, "somebody")
            return _status(409 if self.conflicts % 2 else 422, "the server rejected our request: testing path failed")
        body = copy.deepcopy(self.route)
        for step in patch:
            at: Any = body
            *way, last = step["path"].strip("/").split("/")
            for part in way:
                at = at[int(part)] if isinstance(at, list) else at[part]
            if step["op"] == "test":
                if at.get(last) != step["value"]:
                    return _status(422, "the server rejected our request due to an error in our request: testing path")
                continue
            assert step["op"] == "add"
            assert last == "weight", step
            at[last] = step["value"]
        now = self.set_route(body, "recmodel")
        if self.lost:
            self.lost = False
            return _status(504, "etcdserver: request timed out")
        return web.json_response(now)


def but_weights(body: Object) -> Object:
    """All of a route but the weights, and what the API server keeps of each write."""
    found = copy.deepcopy(body)
    for rule in found["spec"]["rules"]:
        for one in rule["backendRefs"]:
            one.pop("weight", None)
    for key in ("resourceVersion", "managedFields"):
        found["metadata"].pop(key)
    return found


def _status(code: int, said: str) -> web.Response:
    return web.json_response({"kind": "Status", "message": said, "code": code}, status=code)
