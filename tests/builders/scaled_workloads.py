"""An API server with workloads of a kind that only its scale tells of: a ``Widget``, of which nothing but that is known."""

from __future__ import annotations

import asyncio
import copy
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from aiohttp import web

from builders.references import ExistingWorkloads, Object
from recmodel.cluster.names import Kind
from recmodel.cluster.scale_targets import ScaleTarget

WIDGET = Kind("Widget", "shop.example/v1", "widgets")
WIDGETS = ScaleTarget("shop.example", "Widget", "widgets")
TARGET = {"apiVersion": "shop.example/v1", "kind": "Widget", "name": "ranker-cpu"}


def widget(replicas: Any = 3, **status: Any) -> Object:
    """One as its controller keeps it; ``status`` goes into its status."""
    return {
        "metadata": {
            "namespace": "shop",
            "name": "ranker-cpu",
            "uid": "w-1",
            "resourceVersion": "10",
            "generation": 4,
        },
        "spec": {"replicas": replicas},
        "status": {"replicas": replicas, "selector": "app=ranker-cpu", "observedGeneration": 4, **status},
    }


def scale_of(obj: Object) -> Object:
    """Its scale, as the API server makes it."""
    metadata = {key: obj["metadata"].get(key) for key in ("namespace", "name", "uid", "resourceVersion")}
    status = {key: obj["status"][key] for key in ("replicas", "selector") if key in obj["status"]}
    spec = {} if obj["spec"].get("replicas") == 0 else dict(obj["spec"])
    return {"kind": "Scale", "metadata": metadata, "spec": spec, "status": status}


class ScaledWorkloads(ExistingWorkloads):
    """``resources`` is what is served of the group and version, ``served`` whether it is; ``scale_refused`` refuses each read,
    and ``scale_hangs`` answers none.
    """

    def __init__(self, *widgets: Object, **objects: list[Object]) -> None:
        super().__init__(widgets=list(widgets), **objects)
        self.served = True
        self.resources: list[Object] = [
            {"name": "widgets", "kind": "Widget", "namespaced": True},
            {"name": "widgets/scale", "kind": "Scale", "namespaced": True},
        ]
        self.scale_refused: tuple[int, str] | None = None
        self.scale_hangs = False
        self.scale_reads = 0
        self._watching: dict[str, list[asyncio.Queue[Object]]] = defaultdict(list)  # by plural

    async def answer(self, request: web.Request) -> web.StreamResponse:
        parts = request.path.strip("/").split("/")
        if request.path == WIDGET.root:
            self.requests.append((request.method, request.path))
            return web.json_response({"resources": self.resources}) if self.served else _status(404, "not found")
        if not self.served and "widgets" in parts:
            return _status(404, "not found")
        if request.method == "GET" and parts[-1] == "scale":
            self.scale_reads += 1
            if self.scale_hangs:
                await asyncio.sleep(3600.0)
            found = next((obj for obj in self.existing["widgets"] if obj["metadata"]["name"] == parts[-2]), None)
            if self.scale_refused is not None:
                return _status(*self.scale_refused)
            return web.json_response(scale_of(found)) if found is not None else _status(404, "not found")
        if request.query.get("watch") and parts[-1] in ("widgets", "pods"):
            return await self._told(request, self._watching[parts[-1]])
        return await super().answer(request)

    async def _told(self, request: web.Request, watching: list[asyncio.Queue[Object]]) -> web.StreamResponse:
        """A watch that tells of what was changed after the version that it is from."""
        changes: asyncio.Queue[Object] = asyncio.Queue()
        watching.append(changes)
        for obj in self.existing[request.path.rsplit("/", 1)[-1]]:
            if int(obj["metadata"]["resourceVersion"]) > int(request.query["resourceVersion"]):
                changes.put_nowait({"type": "MODIFIED", "object": copy.deepcopy(obj)})
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(json.dumps(await asyncio.wait_for(changes.get(), 30)).encode() + b"\n")
        except TimeoutError:
            return response
        finally:
            watching.remove(changes)

    def tell(self, plural: str, change: str, obj: Object) -> None:
        """One change, to all that watch the kind."""
        for changes in self._watching[plural]:
            changes.put_nowait({"type": change, "object": copy.deepcopy(obj)})

    def write(self, name: str, replicas: int, manager: str) -> None:
        super().write(name, replicas, manager)
        for obj in self.existing["widgets"]:
            self.tell("widgets", "MODIFIED", obj)

    def change(self, change: Callable[[Object], object]) -> None:
        """Somebody changes the only one."""
        (before,) = self.existing["widgets"]
        obj = copy.deepcopy(before)
        change(obj)
        obj["metadata"]["resourceVersion"] = str(int(obj["metadata"]["resourceVersion"]) + 1)
        self.existing["widgets"] = [obj]
        self.tell("widgets", "MODIFIED", obj)


def _status(code: int, said: str) -> web.Response:
    return web.json_response({"kind": "Status", "message": said, "code": code}, status=code)
