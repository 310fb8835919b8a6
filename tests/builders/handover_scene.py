"""A namespace with workloads and what scales them, for stories of ``recmodel handover``: an API server over HTTP, with KEDA and the
operator as far as they answer to what is written.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from builders import virtual_time
from builders.references import reference_recmodel, referring, workload
from builders.served_api import unix_socket
from recmodel.cluster.transport import client as client_module
from recmodel.cluster.transport.credentials import Credentials
from recmodel.cluster.transport.user_client import UserClient
from recmodel.controller import handover
from recmodel.report.handover.found import FALSE, HELD, PAUSED
from recmodel.report.handover.store import RESTORE

Object = dict[str, Any]
GROUPS = {
    "recmodels": "recmodel.dev/v1alpha1", "deployments": "apps/v1", "statefulsets": "apps/v1", "configmaps": "v1",
    "horizontalpodautoscalers": "autoscaling/v2", "scaledobjects": "keda.sh/v1alpha1", "events": "v1",
}  # fmt: skip
LAG_READS = 7  # until KEDA and the operator have seen a write
FUTURE = "2099-01-01T00:00:00Z"  # of a decision: never old


def autoscaler(name: str = "ranker-cpu", target: str = "ranker-cpu", **metadata: Any) -> Object:
    """A HorizontalPodAutoscaler with all that must come back, and all that must not."""
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}
    behavior = {
        "scaleDown": {
            "stabilizationWindowSeconds": 300,
            "policies": [{"type": "Percent", "value": 10, "periodSeconds": 60}],
        }
    }
    ref = {"apiVersion": "apps/v1", "kind": "Deployment", "name": target}
    return {
        "metadata": {
            "namespace": "shop", "name": name, "uid": f"h-{name}", "resourceVersion": "7", "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"team": "ranking"}, "annotations": {"note": 'of "ours", ü', "empty": ""},
            "managedFields": [{"manager": "helm", "operation": "Update"}], **metadata,
        },
        "spec": {"scaleTargetRef": ref, "minReplicas": 2, "maxReplicas": 40, "metrics": [cpu], "behavior": behavior},
        "status": {"currentReplicas": 3, "desiredReplicas": 3},
    }  # fmt: skip


def scaled_object(name: str = "ranker-gpu", target: str = "ranker-gpu", **annotations: str) -> Object:
    """A ScaledObject of KEDA, which names no kind."""
    metadata = {"namespace": "shop", "name": name, "uid": f"s-{name}", "annotations": annotations}
    return {"metadata": metadata, "spec": {"scaleTargetRef": {"name": target}, "triggers": [{"type": "cron"}]}}


def of_keda(name: str = "ranker-gpu") -> Object:
    """The autoscaler that KEDA makes of it."""
    owner = {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "name": name,
        "uid": f"s-{name}",
        "controller": True,
    }
    return autoscaler(f"keda-hpa-{name}", name, ownerReferences=[owner])


def pools() -> list[Object]:
    """Both of them by reference."""
    gpu = referring({"apiVersion": "apps/v1", "kind": "Deployment", "name": "ranker-gpu"}, name="gpu")
    return [referring(), gpu]


class Namespace:
    """What the API server has of namespace ``shop``. ``denied``: verb and plural; ``broken``: writes that answer 500, as
    ``"DELETE horizontalpodautoscalers/ranker-cpu"``; ``refused``: those that are refused, with a sentence; ``unserved``: kinds that are
    not there. KEDA and the operator run until a test says otherwise.
    """

    def __init__(self, mode: str = "Recommend", *scalers: Object) -> None:
        self.objects: dict[str, dict[str, Object]] = {plural: {} for plural in GROUPS}
        self._made = self._pending = 0
        self.add("recmodels", reference_recmodel(*pools(), name="ranker", mode=mode))
        self.add("deployments", workload("ranker-cpu", 3), workload("ranker-gpu", 1))
        for body in scalers or (autoscaler(), scaled_object(), of_keda()):
            self.add("scaledobjects" if "triggers" in body["spec"] else "horizontalpodautoscalers", body)
        self.denied: set[tuple[str, str]] = set()
        self.broken: set[str] = set()
        self.unserved: set[str] = set()  # plurals
        self.gone_groups: set[str] = set()
        self.by_name: set[str] = (
            set()
        )  # plurals of which only single objects may be listed, as by resourceNames of a Role
        self.refused: dict[str, str] = {}
        self.writes: list[str] = []
        self.keda_runs = self.operator_runs = True
        self.keda_installed = True
        self.noted: list[Object] = []  # conditions that the operator adds
        # Somebody else, who acts just before a write, or after it.
        self.before_write: Callable[[str], None] = lambda write: None
        self.on_write: Callable[[str], None] = lambda write: None
        self.play()

    def add(self, plural: str, *bodies: Object) -> None:
        for body in bodies:
            self._made += 1
            metadata = {"resourceVersion": f"a{self._made}", **body["metadata"]}
            self.objects[plural][metadata["name"]] = copy.deepcopy(body | {"metadata": metadata})

    def look(self, plural: str, name: str) -> Object | None:
        return copy.deepcopy(self.objects[plural].get(name))

    @property
    def mode(self) -> str:
        return str(self.objects["recmodels"]["ranker"]["spec"]["mode"])

    @property
    def autoscalers(self) -> list[str]:
        return sorted(self.objects["horizontalpodautoscalers"])

    def run(self, command: str, *, yes: bool = True, on_delete: str = RESTORE, name: str = "ranker") -> tuple[int, str]:
        """The exit code and what is printed; a refusal counts 2, as in ``recmodel.cli``."""
        said: list[str] = []

        async def story(client: UserClient) -> int:
            try:
                return await handover.perform(client, command, ("shop", name), yes, said.append, on_delete)
            except ValueError as error:
                said.append(str(error))
                return 2

        code = self.served(story)
        self.play()
        return code, "\n".join(said)

    def served(self, story: Callable[[UserClient], Awaitable[int]]) -> int:
        """A story of the client that a user has."""

        async def run() -> int:
            async with unix_socket(self.answer) as path:
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(client_module, "connector", lambda tls: aiohttp.UnixConnector(path))
                    client = UserClient(Credentials("http://api", False, Configuration()))
                    async with client:
                        return await story(client)

        return int(virtual_time.run(run()))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if parts[-1] == "selfsubjectaccessreviews":
            asked = (await request.json())["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in self.denied
            return web.json_response({"status": {"allowed": allowed}}, status=201)
        if parts[-1] in self.gone_groups:
            return web.Response(text="404 page not found", status=404)
        if "namespaces" not in parts:
            found = [
                {"name": p}
                for p, group in GROUPS.items()
                if group in request.path and (self.keda_installed or "keda" not in group)
            ]
            return web.json_response({"resources": found})
        plural, *names = parts[parts.index("namespaces") + 2 :]
        if request.method == "GET":
            return self._list(plural, request.query.get("fieldSelector", "").removeprefix("metadata.name="))
        body = await request.json()
        name = names[0] if names else body["metadata"]["name"]
        if said := self.refused.get(f"{request.method} {plural}/{name}"):
            return web.json_response({"kind": "Status", "message": said}, status=422)
        # As the API server does: of a DELETE with a body the query is not read.
        if "dryRun" in (body if request.method == "DELETE" else request.query):
            return web.json_response(self.look(plural, name) or body)
        if notes := body.get("metadata", {}).get("annotations") if request.method == "PATCH" else None:
            owned: Object = {
                "f:metadata": {"f:annotations": {f"f:{note}": {} for note, text in notes.items() if text is not None}}
            }
            body["metadata"]["managedFields"] = [{"manager": request.query["fieldManager"], "fieldsV1": owned}]
        return self._write(request.method, plural, name, body)

    def _list(self, plural: str, name: str) -> web.Response:
        if plural in self.unserved:
            return web.Response(text="404 page not found", status=404)
        if ("list", plural) in self.denied or (plural in self.by_name and not name):
            return web.json_response({"kind": "Status", "message": f"{plural} is forbidden"}, status=403)
        self._pending -= 1
        if self._pending == 0:
            self.play()
        found = [body for key, body in self.objects[plural].items() if name in ("", key)]
        return web.json_response({"items": found, "metadata": {"resourceVersion": "1"}})

    def _write(self, method: str, plural: str, name: str, body: Object) -> web.Response:
        write, here = f"{method} {plural}/{name}", self.objects[plural]
        self.before_write(write)
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete"}[method]
        if (verb, plural) in self.denied:
            return web.json_response({"message": f"{plural} is forbidden"}, status=403)
        if write in self.broken:
            return web.json_response({"kind": "Status", "message": "etcdserver: no leader"}, status=500)
        if method == "POST" and name in here:
            return web.json_response({"message": f"{name} already exists"}, status=409)
        if method != "POST" and name not in here:
            return web.json_response({"message": f"{name} not found"}, status=404)
        seen = body["preconditions"] if method == "DELETE" else body.get("metadata", {}) if method == "PATCH" else {}
        if any(
            seen.get(key, here[name]["metadata"][key]) != here[name]["metadata"][key]
            for key in ("uid", "resourceVersion")
            if seen
        ):
            return web.json_response({"message": "the object has been modified"}, status=409)
        self.writes.append(write)
        answer = here.pop(name) if method == "DELETE" else self._stored(method, plural, name, body)
        self._pending = LAG_READS
        self.on_write(write)
        return web.json_response(answer)

    def _stored(self, method: str, plural: str, name: str, body: Object) -> Object:
        self._made += 1
        if method == "POST":
            new = copy.deepcopy(body)
            new["metadata"] |= {
                "uid": f"new-{self._made}",
                "resourceVersion": str(self._made),
                "managedFields": [{"manager": "x"}],
            }
        else:
            new = merged(self.objects[plural][name], body)
            new["metadata"]["resourceVersion"] = f"p{self._made}"
            new["metadata"]["generation"] = new["metadata"].get("generation", 0) + ("spec" in body)
        self.objects[plural][name] = new
        return new

    def degraded(self, recmodel: Object) -> Object:
        acting = [name for name in self.autoscalers if recmodel["spec"]["mode"] == "Auto"]
        reason, said = ("AnotherAutoscaler", f"{acting} scales it") if acting else ("AsDeclared", "all is as declared")
        return {"type": "Degraded", "status": str(bool(acting)), "reason": reason, "message": said}

    def play(self) -> None:
        """What KEDA and the operator do at once."""
        for name, scaled in self.objects["scaledobjects"].items() if self.keda_runs else ():
            notes, made = scaled["metadata"]["annotations"], f"keda-hpa-{name}"
            if notes.get(PAUSED, "false") not in FALSE or HELD in notes:
                self.objects["horizontalpodautoscalers"].pop(made, None)
            elif made not in self.objects["horizontalpodautoscalers"]:
                self.add("horizontalpodautoscalers", of_keda(name))
        for recmodel in self.objects["recmodels"].values() if self.operator_runs else ():
            recmodel["status"] = {
                "observedGeneration": recmodel["metadata"]["generation"], "lastDecisionTime": FUTURE,
                "conditions": [self.degraded(recmodel), *self.noted],
            }  # fmt: skip


def merged(old: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    new = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            new.pop(key, None)
        else:
            new[key] = merged(new.get(key), value)
    return new


def same(one: Object | None, other: Object | None) -> bool:
    """Byte for byte the same spec, labels and annotations."""
    return _text(one) == _text(other)


def _text(body: Object | None) -> str:
    assert body is not None
    return json.dumps(
        [body["spec"], body["metadata"].get("labels"), body["metadata"].get("annotations")], sort_keys=True
    )
