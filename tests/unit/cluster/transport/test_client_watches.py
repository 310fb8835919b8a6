"""Watches of the API client against a real HTTP server: lines, ends, lost places, and the connections that they leave."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client import Configuration

from builders.served_api import Handler, answers, served
from recmodel.cluster import names
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.credentials import Credentials
from recmodel.cluster.transport.errors import ApiRefused, ApiUnavailable, Gone


def test_watches_leave_connections_for_everything_else() -> None:
    """Each kind in each namespace that is served has a watch of its own."""
    open_watches = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal open_watches
        if "watch" not in request.query:
            return web.json_response({"metadata": {}})
        open_watches += 1
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(10)
        return response

    async def story(client: Client) -> Any:
        watches = [asyncio.create_task(watched(client)) for _ in range(150)]
        async with asyncio.timeout(5):
            while open_watches < len(watches):
                await asyncio.sleep(0.01)
            found = await client.get(names.LEASE, "shop", "x")
        for watch in watches:
            watch.cancel()
        await asyncio.gather(*watches, return_exceptions=True)
        return found

    assert served(handler, story) == {"metadata": {}}


def stream(*events: dict[str, Any] | bytes) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in events:
            await response.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
        return response

    return handler


async def watched(client: Client) -> list[tuple[str, Any]]:
    return [change async for change in client.watch(names.POD, "1")]


def test_a_watch_gives_each_change_however_large() -> None:
    large = {"type": "MODIFIED", "object": {"pad": "x" * 1_500_000}}
    changes = served(stream({"type": "ADDED", "object": {"a": 1}}, large), watched)
    assert [kind for kind, _ in changes] == ["ADDED", "MODIFIED"]


def test_a_watch_in_single_bytes_is_the_same_watch() -> None:
    line = json.dumps({"type": "ADDED", "object": {"a": 1}}).encode() + b"\n"
    assert served(stream(*[line[i : i + 1] for i in range(len(line))]), watched) == [("ADDED", {"a": 1})]


def test_a_watch_whose_place_is_lost_is_gone() -> None:
    error = {"type": "ERROR", "object": {"code": 410, "message": "too old"}}
    with pytest.raises(Gone):
        served(stream(error), watched)
    handler, _ = answers(410)
    with pytest.raises(Gone):
        served(handler, watched)


@pytest.mark.parametrize(
    "line", [b"null", b"[]", b"1", b"{}", b'{"type": "ADDED"}', b'{"type": 1, "object": {}}', b'{"type": "ERROR", "object": 1}',
             b'{"type": "ERROR", "object": {"code": "x"}}', b'{"type": "ERROR", "object": {"code": [1]}}']
)  # fmt: skip
def test_a_line_of_a_watch_that_tells_of_no_object_is_unavailable(line: bytes) -> None:
    with pytest.raises(ApiUnavailable):
        served(stream(line + b"\n"), watched)


def test_an_error_of_a_watch_without_a_code_is_a_refusal() -> None:
    with pytest.raises(ApiRefused):
        served(stream({"type": "ERROR", "object": {"code": None}}), watched)


def test_a_watch_that_breaks_off_in_the_middle_of_a_line_is_unavailable() -> None:
    with pytest.raises(ApiUnavailable):
        served(stream(b'{"type": "ADD'), watched)


def test_a_silent_watch_ends_so_that_a_fresh_one_follows() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await asyncio.sleep(600)
        return response

    assert served(handler, watched) == []


def test_calls_and_watches_go_through_the_clients_own_connections() -> None:
    """The other tests put a Unix socket in the place of TCP."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if "watch" in request.query:
            return await stream({"type": "ADDED", "object": {"a": 1}})(request)
        return web.json_response({"metadata": {"name": "x"}})

    async def run() -> tuple[Any, Any]:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        async with TestServer(app) as server:
            credentials = Credentials(str(server.make_url("")).rstrip("/"), False, Configuration())
            async with Client(credentials) as client:
                return await client.get(names.POD, "shop", "x"), await watched(client)

    assert asyncio.run(run()) == ({"metadata": {"name": "x"}}, [("ADDED", {"a": 1})])
