"""The stage for stories of the whole operator: all but kopf, against an API server over HTTP and a Prometheus of its own."""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import web

from builders import virtual_time
from builders.fake_cluster import FakeCluster
from builders.good_spec import GOOD
from builders.served_api import client_of
from recmodel.cluster import names
from recmodel.cluster.transport.errors import ApiRefused
from recmodel.controller import watches
from recmodel.controller.decider import Decider
from recmodel.controller.metrics import Metrics
from recmodel.controller.operator import Operator
from recmodel.controller.settings import Settings
from recmodel.prometheus import GatherSettings, ModelReading, ModelView, PoolReading, Readings, Verdict


class Api:
    """An API server over HTTP: lists and watches that stay silent, writes into a dictionary; what the role ``hides`` may
    not be listed. RecModels may be listed once ``recmodels`` says which there are, or that their CRD is not installed.
    While it is ``away``, all that it answers is 503.
    """

    def __init__(self, hides: str = "", away: bool = False) -> None:
        self.hides = hides
        self.away = away
        self.cluster = FakeCluster()
        self.status: dict[str, Any] = {}  # that was written last
        self.statuses: dict[str, dict[str, Any]] = {}  # by RecModel
        self.events: list[dict[str, Any]] = []
        self.leases: dict[str, dict[str, Any]] = {}  # by namespace/name
        self.leases_refused: dict[str, str] = {}  # by namespace, the sentence with which their writes are
        self.jobs: list[dict[str, Any]] = []
        self.monitors = False  # whether the CRD of PodMonitors is installed
        self.buffers: names.Kind | None = None  # which CapacityBuffers the CRD of the node autoscaler serves
        self.jobs_refused = ""  # the sentence with which they are
        self._watches_end = asyncio.Event()
        self.requests: list[tuple[str, str]] = []
        self.recmodels: list[dict[str, Any]] | str = "forbidden"
        self._kinds = {kind.plural: kind for kind in names.OWNED_KINDS}

    def end_watches(self) -> None:
        """Ends all watches that are open."""
        self._watches_end.set()
        self._watches_end = asyncio.Event()

    @property
    def lease(self) -> dict[str, Any] | None:
        """The release's own."""
        return self.leases.get("here/recmodel")

    @lease.setter
    def lease(self, body: dict[str, Any]) -> None:
        self.leases["here/recmodel"] = body

    async def _lease(self, request: web.Request, parts: list[str]) -> web.Response:
        if request.method == "GET" and parts[-1] == "leases":
            found = [body for place, body in self.leases.items() if place.startswith(f"{parts[-2]}/")]
            return web.json_response({"items": found, "metadata": {"resourceVersion": "1"}})
        if request.method == "GET":
            body = self.leases.get(f"{parts[-3]}/{parts[-1]}")
            return web.json_response(body or {"message": "no"}, status=200 if body else 404)
        body = await request.json()
        place = f"{body['metadata']['namespace']}/{body['metadata']['name']}"
        if said := self.leases_refused.get(body["metadata"]["namespace"]):
            return web.json_response({"kind": "Status", "message": said}, status=403)
        before = self.leases.get(place, {"metadata": {}})["metadata"].get("resourceVersion")
        if body["metadata"].get("resourceVersion") != before:
            return web.json_response({"message": "written since"}, status=409)
        body["metadata"]["resourceVersion"] = str(int(before or 0) + 1)
        self.leases[place] = body
        return web.json_response(body)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        self.requests.append((request.method, request.path))
        if self.away:
            return web.json_response({"message": "starting"}, status=503)
        if self.monitors and request.path == f"/apis/{names.POD_MONITOR.group_version}":
            return web.json_response({"resources": [{"name": names.POD_MONITOR.plural}]})
        if self.buffers is not None and request.path == self.buffers.root:
            return web.json_response({"resources": [{"name": self.buffers.plural}]})
        if request.method == "GET" and parts[-1] == "recmodels" and isinstance(self.recmodels, str):
            return web.json_response({"message": "no"}, status=404 if self.recmodels == "absent" else 403)
        if request.query.get("watch"):
            response = web.StreamResponse()
            await response.prepare(request)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(30):
                    await self._watches_end.wait()
            return response
        if "leases" in parts:
            return await self._lease(request, parts)
        if request.method == "POST" and parts[-1] == names.JOB.plural:
            if self.jobs_refused:
                return web.json_response({"kind": "Status", "message": self.jobs_refused}, status=403)
            made = await request.json()
            made["metadata"] |= {"uid": f"job-{len(self.jobs)}", "resourceVersion": "1"}
            self.jobs.append(made)
            return web.json_response(made, status=201)
        if request.method == "POST":
            self.events.append(await request.json())
            return web.json_response({}, status=201)
        if request.method == "GET" and parts[-1] == "recmodels":
            where = parts[parts.index("namespaces") + 1] if "namespaces" in parts else None
            items = [
                body
                for body in self.recmodels
                if isinstance(body, dict) and where in (None, body["metadata"].get("namespace"))
            ]
            return web.json_response({"items": items, "metadata": {"resourceVersion": "1"}})
        if "recmodels" in parts:
            self.status = self.statuses[parts[-2]] = (await request.json())["status"]
            return web.json_response({})
        if request.method == "GET":
            if "namespaces" not in parts:
                if parts[-1] == self.hides:
                    return web.json_response({"message": "forbidden"}, status=403)
                if parts[-1] in self._kinds or parts[-1] in ("pods", "horizontalpodautoscalers"):
                    return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})
                return web.json_response({"message": "no"}, status=404)
            return web.json_response({"message": "no"}, status=404)
        kind = self._kinds[parts[parts.index("namespaces") + 2]]
        if request.method == "DELETE":
            uid = self.cluster.objects[kind.kind, parts[-1]]["metadata"]["uid"]
            await self.cluster.delete(kind, "shop", parts[-1], uid)
            return web.json_response({})
        body = await request.json()
        if parts[-1] == "scale":
            uid, replicas = body["metadata"]["uid"], body["spec"]["replicas"]
            scale = await self.cluster.apply_replicas(kind, "shop", parts[-2], uid, replicas)
            return web.json_response(scale)
        try:
            return web.json_response(await self.cluster.apply(kind, body, request.query["force"] == "true"))
        except ApiRefused as error:
            return web.json_response({"kind": "Status", "message": error.said}, status=error.status)


class Seeing(Decider):
    """A decider whose Prometheus says the same all the time."""

    def gather(self, views: Sequence[ModelView], now_seconds: float) -> Readings:
        pools = {"cpu": PoolReading(rate_per_second=5.0, latency={0.1: 5.0, float("inf"): 5.0})}
        reading = ModelReading(Verdict.AVAILABLE, "MetricsFound", "found", pools)
        return Readings(now_seconds, {view.key: reading for view in views}, queries=7)


def recmodel(**metadata: Any) -> dict[str, Any]:
    body = copy.deepcopy(GOOD)
    body["metadata"] |= {"uid": "u", "generation": 1, **metadata}
    body["spec"]["route"] = {"parentRefs": [{"name": "edge"}]}
    return body


def invalid_recmodel(**metadata: Any) -> dict[str, Any]:
    """The same after an edit that is refused."""
    body = recmodel(generation=2, **metadata)
    body["spec"]["pools"][0]["template"]["spec"]["serviceAccountName"] = "admin"
    return body


def operated(
    story: Any,
    judge: Decider | None = None,
    hides: str = "",
    listed: Sequence[Any] = (),
    away: bool = False,
    api: Api | None = None,
    **more: Any,
) -> Api:
    """Runs a story in virtual time with the whole operator but kopf, against the API server above, or ``api``."""
    given = api

    async def run() -> Api:
        api = given or Api(hides, away)
        if listed:
            api.recmodels = list(listed)
        async with client_of(api.answer) as client:
            settings = Settings(tick_seconds=1.0, **{"history_seconds": 0, **more})
            seen = judge or Seeing(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
            operator = Operator(settings, client, seen, Metrics())
            await operator.start()
            try:
                await story(operator, api)
                assert operator.healthy
            finally:
                await operator.stop()
        return api

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watches, "START_SECONDS", 0.5)  # what is refused here is refused for good
        return virtual_time.run(run())
