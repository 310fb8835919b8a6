"""The client of the Kubernetes API in front of a server in the same process, for stories in virtual time."""

from __future__ import annotations

import contextlib
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from builders import virtual_time
from recmodel.cluster.transport import client as client_module
from recmodel.cluster.transport import connection
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.credentials import Credentials

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


BODY = {"metadata": {"namespace": "shop", "name": "feed"}, "spec": {}}


@contextlib.asynccontextmanager
async def unix_socket(handler: Handler) -> AsyncIterator[str]:
    """The path of a Unix socket behind which a server answers everything with ``handler``."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    with tempfile.TemporaryDirectory() as folder:
        await web.UnixSite(runner, f"{folder}/socket", backlog=1024).start()
        try:
            yield f"{folder}/socket"
        finally:
            await runner.cleanup()


@contextlib.asynccontextmanager
async def client_of(handler: Handler, token: str | None = None) -> AsyncIterator[Client]:
    """A client of a server that answers everything with ``handler``. HTTP is as real as ever; it goes through a Unix
    socket. Whoever uses the client opens it.
    """
    configuration = Configuration()
    if token is not None:
        configuration.api_key["BearerToken"] = f"bearer {token}"
    async with unix_socket(handler) as path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(client_module, "connector", _through(path))
            yield Client(Credentials("http://api", False, configuration))


def _through(path: str) -> Callable[[ssl.SSLContext | bool], aiohttp.BaseConnector]:
    def connector(tls: ssl.SSLContext | bool) -> aiohttp.BaseConnector:
        real = connection.connector(tls)
        return aiohttp.UnixConnector(path, limit=real.limit, limit_per_host=real.limit_per_host)

    return connector


def served(handler: Handler, story: Callable[[Client], Awaitable[Any]], token: str | None = None) -> Any:
    """Runs a story with a client of a server that answers everything with ``handler``."""

    async def run() -> Any:
        async with client_of(handler, token) as client, client:
            return await story(client)

    return virtual_time.run(run())


def answers(*statuses: int, headers: dict[str, str] | None = None) -> tuple[Handler, list[web.Request]]:
    """A handler that answers with these statuses in turn, the last one for ever; and the requests that it got."""
    left, seen = list(statuses), []

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        seen.append(request)
        status = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response({"message": f"said {status}", "metadata": {}}, status=status, headers=headers)

    return handler, seen
