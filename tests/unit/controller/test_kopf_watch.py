"""What kopf's own watch of RecModels does where the operator must go on: the reasons of docs/decisions/0002, kept true.

A test that fails here says that kopf has changed; then the decision is worth another look.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import kopf
import pytest
from aiohttp import web

from builders import virtual_time
from builders.served_api import unix_socket
from recmodel.api.v1alpha1 import GROUP, PLURAL, VERSION
from recmodel.controller import handlers

RESOURCE = {
    "name": PLURAL, "singularName": "recmodel", "kind": "RecModel", "namespaced": True,
    "verbs": ["get", "list", "watch", "patch"],
}  # fmt: skip
SERVER = "http://api"

Answer = tuple[int, dict[str, Any]]


def found(*names: str) -> Answer:
    """A list of RecModels."""
    items = [{"metadata": {"name": name, "namespace": "shop", "uid": name, "resourceVersion": "1"}} for name in names]
    return 200, {"kind": "RecModelList", "items": items, "metadata": {"resourceVersion": "1"}}


def refused(status: int) -> Answer:
    """An answer of the API server that refuses."""
    return status, {"kind": "Status", "code": status, "message": "no"}


def told(status: int) -> Answer:
    """A watch that is open and tells of an error."""
    return 200, {"type": "ERROR", "object": {"kind": "Status", "code": status, "message": "etcdserver: leader changed"}}


def group(name: str) -> dict[str, Any]:
    """A group of kinds, as the API server tells of it."""
    version = {"groupVersion": name, "version": name.split("/")[1]}
    return {"name": name.split("/")[0], "versions": [version], "preferredVersion": version}


class Cluster:
    """An API server: the answers to each list and each watch in turn, the last one for ever; a watch without one is silent."""

    def __init__(self, lists: list[Answer], watches: list[Answer], installed: bool = True) -> None:
        self.lists, self.watches, self.installed = lists, watches, installed
        self.hides: Answer | None = None  # the answer about the kinds that there are
        self.definitions: list[Answer] = []  # what the watch of CRDs tells
        self.asked: list[str] = []

    def answer(self, path: str) -> Answer | None:
        url = urlsplit(path)
        self.asked.append(url.path)
        if self.hides is not None:
            return self.hides
        if url.path == "/apis":
            groups = ["apiextensions.k8s.io/v1", *([f"{GROUP}/{VERSION}"] if self.installed else [])]
            return 200, {"groups": [group(name) for name in groups]}
        if url.path == "/api":
            return 200, {"versions": ["v1"]}
        if url.path == "/api/v1":  # kopf starts no watch before it has seen the kinds of namespaces
            return 200, {"resources": [{**RESOURCE, "name": "namespaces", "kind": "Namespace", "namespaced": False}]}
        if url.path == f"/apis/{GROUP}/{VERSION}":
            return 200, {"resources": [RESOURCE]}
        if url.path == "/apis/apiextensions.k8s.io/v1":
            return 200, {"resources": [{**RESOURCE, "name": "customresourcedefinitions", "namespaced": False}]}
        if url.path.endswith("/customresourcedefinitions") and "watch" not in parse_qs(url.query):
            return found()
        if url.path.endswith("/customresourcedefinitions"):
            return self.definitions.pop(0) if self.definitions else None
        turns = self.watches if "watch" in parse_qs(url.query) else self.lists
        return (turns.pop(0) if len(turns) > 1 else turns[0]) if turns else None


@contextlib.asynccontextmanager
async def serving(cluster: Cluster) -> AsyncIterator[None]:
    """Has ``cluster`` answer whatever kopf asks any API server."""
    ends = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        found = cluster.answer(request.path_qs)
        if found is not None:
            return web.Response(status=found[0], text=json.dumps(found[1]) + "\n", content_type="application/json")
        silent = web.StreamResponse()
        await silent.prepare(request)
        await ends.wait()
        return silent

    async with unix_socket(answer) as path:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aiohttp, "TCPConnector", lambda **_: aiohttp.UnixConnector(path, limit=0))
            yield
        ends.set()


def operated(
    cluster: Cluster, seconds: float, meanwhile: Callable[[], None] = lambda: None, scanning: bool = False
) -> tuple[list[Any], Any]:
    """Runs kopf in virtual time with an event handler for RecModels; what the handler was told, and what ended kopf, if
    anything did. ``meanwhile`` is called at half-time; ``scanning``: kopf watches CRDs.
    """
    registry, events = kopf.OperatorRegistry(), list[Any]()

    @kopf.on.startup(registry=registry)
    async def start(settings: kopf.OperatorSettings, **_: Any) -> None:
        settings.scanning.disabled = (
            not scanning
        )  # with namespaced Roles alone neither CRDs nor namespaces may be watched
        settings.posting.enabled = False
        settings.process.ultimate_exiting_timeout = None
        settings.networking.error_backoffs = (0.1, 0.1)

    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        return kopf.ConnectionInfo(server=SERVER)

    @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
    async def event(event: kopf.RawEvent, **_: Any) -> None:
        events.append((event["type"], event["object"]["metadata"]["name"]))

    async def run() -> BaseException | None:
        async with serving(cluster):
            work = asyncio.create_task(kopf.operator(registry=registry, standalone=True, clusterwide=True))
            await asyncio.wait([work], timeout=seconds / 2)
            meanwhile()
            await asyncio.wait([work], timeout=seconds / 2)
            ended = work.exception() if work.done() else None
            work.cancel()
            await asyncio.wait([work])
            return ended

    ended = virtual_time.run(run())
    return events, ended


@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param(lambda: Cluster([refused(404)], []), id="404 on a list: the CRD went"),
        pytest.param(lambda: Cluster([found("a")], [refused(404)]), id="404 on a watch: the CRD went"),
        pytest.param(lambda: Cluster([refused(403)], []), id="403 on a list, after the retries"),
        pytest.param(lambda: Cluster([refused(410)], []), id="410 on a list: the pages' token is too old"),
        pytest.param(lambda: Cluster([found("a")], [told(500)]), id="an error in an open watch"),
        pytest.param(lambda: Cluster([found("a")], [refused(503)]), id="503 on a watch, after the retries"),
    ],
)
def test_what_the_api_server_refuses_ends_kopf(cluster: Callable[[], Cluster]) -> None:
    _, ended = operated(cluster(), 20.0)
    assert isinstance(ended, Exception), "kopf lives on"


def test_what_went_during_a_gap_is_never_told() -> None:
    cluster = Cluster([found("a", "b"), found("a")], [told(410)])
    events, ended = operated(cluster, 20.0)
    assert ended is None
    assert {(None, "a"), (None, "b")} == set(events)
    assert cluster.asked.count(f"/apis/{GROUP}/{VERSION}/{PLURAL}") > 4, "the list without b was read again and again"


def test_a_crd_that_comes_later_is_not_seen_without_rights_to_all_crds() -> None:
    cluster = Cluster([found("a")], [], installed=False)

    def install() -> None:
        cluster.installed = True

    events, ended = operated(cluster, 20.0, install)
    assert (events, ended) == ([], None)
    assert cluster.asked.count("/apis") == 1, "it never looks again"


@pytest.mark.parametrize("lags", [True, False])
def test_a_crd_whose_last_event_comes_before_discovery_knows_it_is_missed(lags: bool) -> None:
    cluster = Cluster([found("a")], [], installed=not lags)
    definition = {"metadata": {"name": f"{PLURAL}.{GROUP}", "uid": "c"}, "spec": {"group": GROUP}}
    cluster.definitions.append((200, {"type": "MODIFIED", "object": definition}))

    def known() -> None:
        cluster.installed = True

    events, ended = operated(cluster, 20.0, known, scanning=True)
    assert ended is None
    assert cluster.asked.count("/apis") == 2, "at the start, and on the event"
    assert events == ([] if lags else [(None, "a")])


class Idle:
    """Stands in for the operator, whose own work goes on beside kopf's."""

    illness: str | None = None

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass


@pytest.mark.parametrize("status", [403, 503])
def test_kopf_as_it_ships_outlives_an_api_server_that_refuses(
    status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(handlers, "backoff_seconds", lambda failures: 0.02)
    cluster = Cluster([], [])
    cluster.hides = refused(status)
    context = {"name": "c", "context": {"cluster": "k", "user": "u"}}
    server = {"name": "k", "cluster": {"server": SERVER}}
    user = {"name": "u", "user": {"token": "t"}}
    config = {"current-context": "c", "contexts": [context], "clusters": [server], "users": [user]}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))

    async def story() -> bool:
        registry = handlers.register(Idle())  # type: ignore[arg-type]
        async with serving(cluster):
            work = asyncio.create_task(kopf.operator(registry=registry, standalone=True, clusterwide=True))
            await asyncio.wait([work], timeout=2.0)
            refusals = len(cluster.asked)
            cluster.hides = None
            await asyncio.wait([work], timeout=1.0)
            lives = not work.done() and refusals > 20 and "/api/v1" in cluster.asked
            work.cancel()
            await asyncio.wait([work])
            return lives

    assert virtual_time.run(story())
