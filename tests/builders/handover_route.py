"""The namespace of ``handover_scene`` with a route whose weights the operator sets: it takes JSON patches, and the pods that a scale asks
for become ready or not.
"""

from __future__ import annotations

import copy
from typing import Any

from aiohttp import web

from builders.handover_scene import GROUPS, Namespace
from builders.references import reference_recmodel, referring
from builders.route_world import route

Object = dict[str, Any]
GROUPS |= dict.fromkeys(("httproutes", "grpcroutes"), "gateway.networking.k8s.io/v1")


def routed_pools() -> list[Object]:
    gpu = referring({"apiVersion": "apps/v1", "kind": "Deployment", "name": "ranker-gpu"}, name="gpu")
    return [{**pool, "service": {"name": f"ranker-{pool['name']}", "port": 80}} for pool in (referring(), gpu)]


class Routed(Namespace):
    """``weights`` are those of the rule; ``starts``: whether pods become ready; ``later``: what the field manager ``latecomer`` sets them
    to after a write.
    """

    def __init__(
        self, *scalers: Object, weights: tuple[int, int] = (60, 40), mode: str = "Recommend", kind: str = "HTTPRoute"
    ) -> None:
        self.kind, self.plural = kind, f"{kind.lower()}s"
        self.starts = True
        self.later: list[tuple[int, int]] = []
        self.latecomer = "recmodel"
        super().__init__(mode, *scalers)
        spec = self.objects["recmodels"]["ranker"]["spec"]
        spec |= {"route": {"ref": {"kind": kind, "name": "shop", "rule": 1}}, "pools": routed_pools()}
        self.add(self.plural, route(*weights))
        for name in ("ranker-cpu", "ranker-gpu"):
            self.is_ready(name)

    @property
    def weights(self) -> list[int]:
        return [b["weight"] for b in self.objects[self.plural]["shop"]["spec"]["rules"][1]["backendRefs"]]

    def set_weights(self, *weights: int, manager: str = "recmodel") -> None:
        """Somebody writes the weights of the rule; by default the operator does."""
        found = self.objects[self.plural]["shop"]
        for one, weight in zip(found["spec"]["rules"][1]["backendRefs"], weights, strict=True):
            one["weight"] = weight
        self._made += 1
        rules: Object = {"f:spec": {"f:rules": {}}}
        owner = {"manager": manager, "operation": "Update", "fieldsV1": rules}
        found["metadata"] |= {"resourceVersion": f"r{self._made}", "managedFields": [owner]}

    def another(self, mode: str = "Auto") -> None:
        """There is another RecModel that refers to the same rule."""
        ref = {"kind": self.kind, "name": "shop", "rule": 1}
        self.add("recmodels", reference_recmodel(*routed_pools(), name="another", mode=mode, route={"ref": ref}))

    def runs(self, name: str, replicas: int) -> None:
        self.objects["deployments"][name]["spec"]["replicas"] = replicas
        self.is_ready(name)

    def is_ready(self, name: str) -> None:
        found = self.objects["deployments"][name]
        found["status"]["readyReplicas"] = found["spec"]["replicas"]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if request.method != "PATCH" or parts[-2] not in (self.plural, "ranker-cpu", "ranker-gpu"):
            return await super().answer(request)
        if parts[-1] == "scale":
            answer = await super().answer(request)
            if "dryRun" not in request.query and self.starts:
                self.is_ready(parts[-2])
            return answer
        assert request.query["fieldManager"] == "recmodel-handover"
        return self.patched(await request.json())

    def patched(self, patch: list[Object]) -> web.Response:
        """The answer to a JSON patch of the route."""
        body = copy.deepcopy(self.objects[self.plural]["shop"])
        for step in patch:
            at: Any = body
            *way, last = step["path"].strip("/").split("/")
            for part in way:
                at = at[int(part)] if isinstance(at, list) else at[part]
            if step["op"] == "test" and at.get(last) != step["value"]:
                return web.json_response({"kind": "Status", "message": "testing path failed"}, status=422)
            if step["op"] == "add":
                assert last == "weight", step
                at[last] = step["value"]
        self.writes.append(f"PATCH {self.plural}/shop")
        self.objects[self.plural]["shop"] = body
        self.set_weights(*self.weights, manager="recmodel-handover")
        if self.later:
            self.set_weights(*self.later.pop(), manager=self.latecomer)
        return web.json_response(body)


def weights_moved(*scalers: Object) -> Routed:
    """One whose weights were stored, and which the operator has moved since."""
    shop = Routed(*scalers)
    code, said = shop.run("handover")
    assert code == 0, said
    shop.set_weights(999, 1)
    return shop
