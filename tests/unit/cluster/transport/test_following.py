"""What is refused, or ends, again and again: the API server is asked at growing intervals, and never given up."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from builders import virtual_time
from builders.served_api import served
from builders.watched_server import Recorder, Server, followed
from recmodel.cluster.names import POD
from recmodel.cluster.transport import client as client_module
from recmodel.cluster.transport import watch as watch_module
from recmodel.cluster.transport.errors import ApiRefused, ApiUnavailable, Gone, NotFound
from recmodel.cluster.transport.watch import Selection, follow
from recmodel.controller.tasks import Tasks

FOREVER = 5000


@pytest.mark.parametrize(
    "server",
    [
        pytest.param(lambda: Server(*[Gone("too old", 410)] * FOREVER), id="410 on each watch"),
        pytest.param(lambda: Server(*[ApiRefused("forbidden", 403)] * FOREVER), id="403 on each watch"),
        pytest.param(lambda: Server(*[ApiRefused("who are you", 401)] * FOREVER), id="401 on each watch"),
        pytest.param(lambda: Server(*[ApiRefused("bad version", 400)] * FOREVER), id="400 on each watch"),
        pytest.param(lambda: Server(lists=[Gone("token expired", 410)] * FOREVER), id="410 on each list"),
        pytest.param(lambda: Server(lists=[ApiRefused("forbidden", 403)] * FOREVER), id="403 on each list"),
        pytest.param(lambda: Server(*[[] for _ in range(FOREVER)]), id="each watch ends at once"),
        pytest.param(lambda: Server(*[[("ADDED", "1")] for _ in range(FOREVER)]), id="each ends after one event"),
        pytest.param(lambda: Server(*[ApiUnavailable("reset")] * FOREVER), id="each watch breaks"),
    ],
)
def test_nothing_is_asked_at_full_speed(server: Any) -> None:
    asked = server()
    followed(asked, 16.0)
    assert 2 <= len(asked.asked) <= 24, len(asked.asked)


def test_a_place_lost_after_a_long_while_is_found_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "STEADY_SECONDS", 0.0)
    server = Server(*[Gone("too old", 410)] * 3)
    followed(server, 9.0)
    assert server.asked.count("list") == 4


def test_a_kind_that_is_gone_has_no_objects_but_a_single_404_is_believed_only_twice() -> None:
    async def run(*lists: Any) -> list[str]:
        recorder, synced = Recorder(), asyncio.Event()
        server = Server(ApiUnavailable("reset"), lists=list(lists))
        work = asyncio.create_task(follow(server, Selection(POD), recorder, synced=synced, absent_seconds=0.02))  # type: ignore[arg-type]
        await asyncio.sleep(0.15)
        work.cancel()
        await asyncio.wait([work])
        return recorder.calls

    gone, there = NotFound("no such kind", 404), [[{"n": 1}], "10"]
    assert virtual_time.run(run(gone, there)) == ["replace 1"]
    assert virtual_time.run(run(gone, gone, gone, there)) == ["replace 0", "replace 1"]


@pytest.mark.parametrize(
    ("pages", "problem"),
    [
        pytest.param(lambda n: {"items": [], "metadata": {"continue": "same"}}, "do not end", id="the same token"),
        pytest.param(lambda n: {"items": [], "metadata": {"continue": str(n % 2)}}, "do not end", id="two in turn"),
        pytest.param(lambda n: {"items": [], "metadata": {"continue": str(n)}}, "do not end", id="always another"),
        pytest.param(lambda n: {"metadata": {}}, "no list", id="no items"),
        pytest.param(lambda n: {"items": 7, "metadata": {}}, "no list", id="items that are none"),
        pytest.param(lambda n: {"items": []}, "no list", id="no metadata"),
    ],
)
def test_a_list_that_does_not_end_or_is_none_is_given_up(
    pages: Any, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MOST_PAGES", 20)
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.json_response(pages(len(asked)))

    with pytest.raises(ApiUnavailable, match=problem):
        served(answer, lambda client: client.list(POD))
    assert len(asked) <= 20


@pytest.mark.parametrize(
    "odd", [{}, {"metadata": None}, {"metadata": "x"}, {"metadata": {}}, {"metadata": {"resourceVersion": 7}}], ids=repr
)
def test_an_object_without_a_resource_version_ends_no_watch(odd: dict[str, Any]) -> None:
    """Whoever follows the kind judges the object; the watch goes on from the last version that was told."""
    seen: list[Any] = []

    class Watching(Server):
        async def watch(self, kind: Any, version: str, *_: Any) -> AsyncIterator[tuple[str, Any]]:
            self.asked.append(f"watch {version}")
            if len(self.asked) > 2:
                await asyncio.sleep(600)
            yield "MODIFIED", odd
            yield "MODIFIED", {"metadata": {"resourceVersion": "12"}}
            yield "MODIFIED", odd

    class Following(Recorder):
        def see(self, kind: Any, change: str, obj: dict[str, Any]) -> None:
            seen.append(obj)

    server = Watching()

    async def run() -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                await follow(server, Selection(POD), Following(), synced=asyncio.Event())  # type: ignore[arg-type]

    virtual_time.run(run())
    assert seen == [odd, {"metadata": {"resourceVersion": "12"}}, odd]
    assert server.asked == ["list", "watch 10", "watch 12"]


def test_a_follower_that_dies_is_begun_again_and_the_process_counts_as_alive(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("recmodel.controller.tasks.backoff_seconds", lambda failures: 0.01)
    turns: list[bool] = []

    class Poisoned(Recorder):
        def replace(self, kind: Any, objects: list[Any], namespace: str | None) -> None:
            super().replace(kind, objects, namespace)
            if len(self.calls) < 4:
                raise KeyError("metadata")

    async def run() -> tuple[list[str], bool, bool]:
        tasks, recorder, synced = Tasks(), Poisoned(), asyncio.Event()
        tasks.keep(
            lambda: follow(Server(), Selection(POD), recorder, synced=synced, on_turn=turns.append), "following pods"
        )  # type: ignore[arg-type]
        await asyncio.sleep(0.3)
        found = recorder.calls, synced.is_set(), tasks.dead
        await tasks.stop()
        return found

    assert virtual_time.run(run()) == (["replace 1"] * 4, True, False)
    assert [problem is None for problem in turns] == [False, False, False, True]
    assert "following pods died; it is started again" in caplog.text
