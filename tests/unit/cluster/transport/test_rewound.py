"""After a restore of etcd the resource versions go back: what was known is listed again within seconds, and counts."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web

from builders.inventories import KEY, deployment, inventory, pod
from builders.served_api import served
from builders.watched_server import Server, followed
from recmodel.cluster import names
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.watch import Selection, follow

EVENTS = "application/json;stream=watch"


class Restored:
    """An API server with one Deployment, which goes back to a backup. As the real one does, it is silent to a watch from a
    version that is still to come, and says nothing of versions that the watch knows already.
    """

    def __init__(self) -> None:
        self.version, self.replicas = 1000, 7
        self.running = asyncio.Event()
        self.running.set()
        self.watching: list[asyncio.Task[Any]] = []
        self.lists = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if not self.running.is_set():
            return web.json_response({"message": "etcdserver: no leader"}, status=503)
        if "watch" in request.query:
            return await self._watch(request)
        self.lists += request.query["limit"] != "1"
        metadata = {"resourceVersion": str(self.version)}
        return web.json_response({"metadata": metadata, "items": [deployment(self.version, self.replicas)]})

    async def restore(self, version: int, replicas: int, away_seconds: float) -> None:
        self.running.clear()
        for task in self.watching:
            task.cancel()
        self.version, self.replicas = version, replicas
        await asyncio.sleep(away_seconds)
        self.running.set()

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        said = int(request.query["resourceVersion"])
        response = web.StreamResponse(headers={"Content-Type": EVENTS})
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self.watching.append(task)
        while True:
            if self.version > said:
                said = self.version
                event = {"type": "MODIFIED", "object": deployment(self.version, self.replicas)}
                await response.write(json.dumps(event).encode() + b"\n")
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("away_seconds", [0.0, 8.0])
def test_after_a_restore_of_etcd_what_stands_is_known_within_seconds(away_seconds: float) -> None:
    async def story(client: Client) -> None:
        known, synced = Inventory(), asyncio.Event()
        following = asyncio.create_task(
            follow(client, Selection(names.DEPLOYMENT, "shop", names.MODEL_LABEL), known, synced=synced)
        )
        await synced.wait()
        await asyncio.sleep(5.0)
        server.version, server.replicas = 1001, 8
        await asyncio.sleep(1.0)
        assert known.pool(KEY, "cpu").desired == 8
        assert server.lists == 1
        await server.restore(500, 3, away_seconds)
        await asyncio.sleep(10.0)
        assert known.pool(KEY, "cpu").desired == 3, "the backup's number counts"
        server.version, server.replicas = 501, 4
        await asyncio.sleep(1.0)
        assert known.pool(KEY, "cpu").desired == 4, "and so does the next change, whose version was passed long ago"
        assert server.lists == 2
        following.cancel()
        await asyncio.wait([following])

    server = Restored()
    served(server.handle, story)


def test_a_word_from_before_the_place_is_a_place_lost() -> None:
    server = Server([("MODIFIED", "11"), ("MODIFIED", "4"), ("MODIFIED", "12")], lists=[[[{"n": 1}], "10"], [[], "5"]])
    told, _ = followed(server)
    assert told.calls == ["replace 1", "MODIFIED 11", "rewound", "replace 0"]
    assert server.asked == ["list", "watch 10", "list", "watch 5"]


def test_versions_without_an_order_are_never_behind() -> None:
    server = Server([("MODIFIED", "b"), ("MODIFIED", "a")], lists=[[[{"n": 1}], "c"]])
    told, _ = followed(server)
    assert told.calls == ["replace 1", "MODIFIED b", "MODIFIED a"]


def test_only_what_was_rewound_is_read_again() -> None:
    found, _ = inventory(
        (names.POD, pod("a", version=900, ready=False)), (names.DEPLOYMENT, deployment(900, replicas=9))
    )
    found.rewound(names.POD, "elsewhere")
    found.replace(names.POD, [pod("a", version=400)], "shop")
    assert found.pool(KEY, "cpu").ready == 0
    found.rewound(names.POD, "shop")
    found.replace(names.POD, [pod("a", version=400)], "shop")
    found.see(names.DEPLOYMENT, "MODIFIED", deployment(400, replicas=2))
    state = found.pool(KEY, "cpu")
    assert (state.ready, state.desired) == (1, 9)
    found.see(names.POD, "MODIFIED", pod("a", version=399, ready=False))
    assert found.pool(KEY, "cpu").ready == 1, "from then on an older word is old again"
