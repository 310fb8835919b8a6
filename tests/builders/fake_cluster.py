"""A cluster in a dictionary, with server-side apply's rules as far as needed, and specs for it."""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner, initial_replicas
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.transport.errors import ApiUnavailable, Conflict, NotFound
from recmodel.cluster.transport.request import RETRIES
from recmodel.cluster.writing.apply import Actor
from recmodel.prometheus.profile import profile_for

OWNER = Owner("shop", "feed", "u-1")


def pool(name: str, minimum: int = 1, image: str = "server:1", cost: str = "1.0") -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "server", "image": image}]}}
    replicas = {"min": minimum, "max": 9}
    return {"name": name, "replicas": replicas, "costPerHour": cost, "port": 8080, "template": template}


def spec(*pools: dict[str, Any], **more: Any) -> RecModelSpec:
    route = {"parentRefs": [{"name": "edge"}]}
    objective = {"latency": {"threshold": "100ms"}}
    return RecModelSpec.model_validate({"objective": objective, "route": route, "pools": list(pools), **more})


class FakeCluster:
    """The client's surface over a dictionary. ``writes`` is what was written; ``fail_at`` breaks off at that one; ``refused``
    are the errors of those that are refused, by ``"Kind name"``; ``retries`` how often each attempt might have been sent again.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.scaled_by_us: set[tuple[str, str]] = set()
        self.owns_replicas: set[tuple[str, str]] = set()
        self.writes: list[str] = []
        self.fail_at: int | None = None
        self.refused: dict[str, Exception] = {}
        self.retries: dict[str, list[int]] = defaultdict(list)
        self._version = 0

    async def get(self, kind: names.Kind, namespace: str, name: str) -> dict[str, Any]:
        if (kind.kind, name) not in self.objects:
            raise NotFound(f"{kind.kind} {name}", 404)
        return copy.deepcopy(self.objects[kind.kind, name])

    async def apply(
        self, kind: names.Kind, body: dict[str, Any], force: bool = True, retries: int = RETRIES
    ) -> dict[str, Any]:
        name = body["metadata"]["name"]
        what = f"{kind.kind} {name}"
        where = (kind.kind, name)
        live = self.objects.get(where)
        self.retries[what].append(retries)
        if error := self.refused.get(what):
            raise error
        self._check(what, body["metadata"].get("uid"), live, force)
        if kind in names.ROUTES:
            what += " " + " ".join(str(b["weight"]) for b in body["spec"]["rules"][0]["backendRefs"])
        self._write(what)
        new = copy.deepcopy(body)
        new["metadata"]["uid"] = live["metadata"]["uid"] if live else f"{kind.kind}-{name}-{self._version}"
        new["metadata"]["managedFields"] = [{"manager": "recmodel", "operation": "Apply", "fieldsV1": fields(body)}]
        if kind == names.DEPLOYMENT:
            if "replicas" in body["spec"]:
                self.owns_replicas.add(where)
            else:  # what we no longer apply goes, unless the scale subresource's entry holds it
                kept = live["spec"]["replicas"] if live and where in self.scaled_by_us else 1
                new["spec"]["replicas"] = kept
        return self._store(where, new, live)

    async def apply_replicas(
        self, kind: names.Kind, namespace: str, name: str, uid: str, replicas: int, retries: int = RETRIES
    ) -> dict[str, Any]:
        where = (kind.kind, name)
        live = self.objects[where]
        self.retries[f"scale {name}"].append(retries)
        if error := self.refused.get(f"scale {name}"):
            raise error
        self._check(f"scale {name}", uid, live, True)
        self._write(f"scale {name} {replicas}")
        new = copy.deepcopy(live)
        new["spec"]["replicas"] = replicas
        self.scaled_by_us.add(where)
        stored = self._store(where, new, live)
        zero = {} if replicas == 0 else {"replicas": replicas}  # as the real API answers
        return {"kind": "Scale", "metadata": stored["metadata"], "spec": zero}

    def edit(self, kind: str, name: str, *path: str | int, value: Any = None, manager: str = "kubectl-edit") -> None:
        """Somebody else sets a field, or removes it; the field is theirs from then on."""
        new = copy.deepcopy(self.objects[kind, name])
        at: Any = new
        owned = new["metadata"]["managedFields"][0]["fieldsV1"]
        for step in path[:-1]:
            at = at[step]
            owned = owned.get(f"f:{step}" if isinstance(step, str) else key_of(at), {})
        owned.pop(f"f:{path[-1]}", None)
        if value is None:
            at.pop(path[-1])
        else:
            at[path[-1]] = value
        theirs: dict[str, Any] = {}
        for step in reversed(path):
            theirs = {f"f:{step}": theirs}
        new["metadata"]["managedFields"].append({"manager": manager, "operation": "Update", "fieldsV1": theirs})
        self._store((kind, name), new, self.objects[kind, name])

    def _check(self, what: str, uid: str | None, live: dict[str, Any] | None, force: bool) -> None:
        if uid is not None and (live is None or live["metadata"]["uid"] != uid):
            raise Conflict(f"{what}: uid mismatch", 409)
        if not force and live is not None:
            raise Conflict(f"{what}: conflict with its field manager", 409)

    async def delete(self, kind: names.Kind, namespace: str, name: str, uid: str, retries: int = RETRIES) -> None:
        if error := self.refused.get(f"{kind.kind} {name}"):
            raise error
        self._write(f"delete {kind.kind} {name}")
        self.objects.pop((kind.kind, name), None)

    def _write(self, what: str) -> None:
        if self.fail_at is not None and len(self.writes) >= self.fail_at:
            raise ApiUnavailable("the process was killed here")
        self.writes.append(what)

    def _store(self, where: tuple[str, str], new: dict[str, Any], live: dict[str, Any] | None) -> dict[str, Any]:
        if live is None or live["spec"] != new["spec"]:
            generation = live["metadata"].get("generation", 0) if live else 0
            new["metadata"]["generation"] = generation + 1
        else:
            new["metadata"]["generation"] = live["metadata"]["generation"]
        if live is None or {**live, "metadata": {**live["metadata"], "resourceVersion": ""}} != {
            **new,
            "metadata": {**new["metadata"], "resourceVersion": ""},
        }:
            self._version += 1
        new["metadata"]["resourceVersion"] = str(self._version)
        self.objects[where] = new
        return copy.deepcopy(new)

    def weights(self, model: str = "feed", kind: names.Kind = names.ROUTE) -> list[int]:
        route = self.objects[kind.kind, model]
        return [backend["weight"] for backend in route["spec"]["rules"][0]["backendRefs"]]

    def replicas(self, name: str) -> int:
        return int(self.objects["Deployment", name]["spec"]["replicas"])

    def inventory(self) -> Inventory:
        """A new inventory, listed from here: what a new process knows."""
        result = Inventory()
        kinds = {kind.kind: kind for kind in names.CHILD_KINDS}
        for (kind, _), obj in self.objects.items():
            result.see(kinds[kind], "ADDED", copy.deepcopy(obj))
        return result


def fields(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of what is applied, as the API server keeps them."""
    metadata = {key: value for key, value in body["metadata"].items() if key not in ("name", "namespace", "uid")}
    return {"f:metadata": _fields(metadata), "f:spec": _fields(body["spec"])}


def _fields(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {f"f:{key}": {} if key == "selector" else _fields(part) for key, part in value.items()}
    if isinstance(value, list) and value and all(isinstance(item, dict) and "name" in item for item in value):
        return {key_of(item): {".": {}, **_fields(item)} for item in value}
    return {}


def key_of(item: dict[str, Any]) -> str:
    return f'k:{{"name":"{item["name"]}"}}'


def actor(cluster: FakeCluster, inventory: Inventory | None = None) -> Actor:
    return Actor(cluster, inventory or cluster.inventory())  # type: ignore[arg-type]


def apply(cluster: FakeCluster, wanted: RecModelSpec, by: Actor | None = None) -> list[str]:
    before = len(cluster.writes)
    page = profile_for(wanted.metrics).pod_page
    outcome = asyncio.run((by or actor(cluster)).apply_children(OWNER, wanted, page, initial_replicas(wanted)))
    for failure in outcome.failures:
        raise failure.error
    return cluster.writes[before:]
