"""Fencing: the client asks who acts before every attempt of every write, and a write ends before another may begin."""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from builders.served_api import BODY, answers, served
from recmodel.cluster import names
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiUnavailable, ClusterError, LeadershipLost
from recmodel.cluster.transport.write_fence import Term

WRITES: dict[str, Callable[[Client], Awaitable[Any]]] = {
    "children and weights": lambda c: c.apply(names.ROUTE, BODY),
    "replicas": lambda c: c.apply_replicas(names.DEPLOYMENT, "shop", "feed-cpu", "u", 3),
    "status": lambda c: c.apply_status(names.RECMODEL, "shop", "feed", "u", {}),
    "repairs": lambda c: c.patch(names.SERVICE, {"namespace": "shop", "name": "feed-cpu"}, [], "json-patch"),
    "deletes": lambda c: c.delete(names.SERVICE, "shop", "feed-cpu", "u"),
    "jobs": lambda c: c.create(names.JOB, BODY),
    "events": lambda c: c.create_event("shop", {}),
}


class Acting:
    """Says who acts; a test sets it. ``asked`` namespaces."""

    def __init__(self, number: int = 1, seconds_left: float = 7.0) -> None:
        self.term = Term((number,), seconds_left)
        self.asked: set[str] = set()

    def __call__(self, namespace: str) -> Term:
        self.asked.add(namespace)
        return self.term


def told(
    write: Callable[[Client], Awaitable[Any]], acting: Acting, *statuses: int, then: Callable[[], None] | None = None
) -> tuple[int, Exception | None]:
    """How many requests came, and how the write ended; ``then`` happens as the first one is answered."""
    handler, seen = answers(*statuses)

    async def answering(request: web.Request) -> web.StreamResponse:
        if then is not None:
            then()
        return await handler(request)

    async def story(client: Client) -> Exception | None:
        client.fence = acting
        try:
            await write(client)
        except ClusterError as error:
            return error
        return None

    ended = served(answering, story)
    return len(seen), ended


@pytest.mark.parametrize("what", WRITES)
def test_no_write_of_any_kind_is_sent_without_leadership(what: str) -> None:
    for lost in (Acting(seconds_left=0.0), Acting(seconds_left=-math.inf)):
        requests, error = told(WRITES[what], lost, 200)
        assert requests == 0
        assert isinstance(error, LeadershipLost)
        assert "this operator does not act in shop any more" in str(error)
        assert lost.asked == {"shop"}
    assert told(WRITES[what], Acting(), 200) == (1, None)


@pytest.mark.parametrize("what", WRITES)
@pytest.mark.parametrize("after", [Term((1,), -1.0), Term((2,), 7.0)], ids=["lost", "lost and regained"])
def test_no_retry_outlives_the_term_in_which_the_write_was_asked_for(what: str, after: Term) -> None:
    acting = Acting()
    requests, error = told(WRITES[what], acting, 503, then=lambda: setattr(acting, "term", after))
    assert requests == 1
    assert isinstance(error, LeadershipLost)


def test_a_renewal_between_two_attempts_is_the_same_term() -> None:
    acting = Acting(seconds_left=2.0)
    renewed = Term((1,), 7.0)
    assert told(WRITES["replicas"], acting, 503, 503, 200, then=lambda: setattr(acting, "term", renewed)) == (3, None)


@pytest.mark.parametrize("what", WRITES)
def test_a_write_that_waits_for_a_token_asks_again_when_it_has_it(what: str) -> None:
    handler, seen = answers(200)
    acting = Acting()

    async def story(client: Client) -> list[Any]:
        client.fence = acting
        client._acts.burst = client._reports.burst = 1
        for bucket in (client._acts, client._reports):
            bucket.per_second, bucket._tokens = 10.0, 1.0
        both = asyncio.gather(*(WRITES[what](client) for _ in range(2)), return_exceptions=True)
        await asyncio.sleep(0.05)
        acting.term = Term((1,), 0.0)
        return await both

    first, second = served(handler, story)
    assert len(seen) == 1
    assert not isinstance(first, Exception)
    assert isinstance(second, LeadershipLost)


def test_a_write_ends_with_the_time_left_here_and_at_the_server() -> None:
    asked = []

    async def silent(request: web.Request) -> web.Response:
        asked.append(request.query.get("timeout"))
        await asyncio.sleep(600)
        return web.json_response({})

    async def story(client: Client) -> float:
        began = time.monotonic()
        client.fence = lambda namespace: Term((1,), began + 0.4 - time.monotonic())
        with pytest.raises(LeadershipLost):
            await client.apply(names.ROUTE, BODY)
        return time.monotonic() - began

    assert 0.4 <= served(silent, story) <= 0.4 + 0.3  # and the pause before the attempt that is not made
    assert len(asked) == 1
    assert asked[0] is not None
    assert asked[0].endswith("s")
    assert 0.0 < float(asked[0][:-1]) <= 0.4


def test_reads_and_the_lease_itself_are_not_fenced() -> None:
    handler, seen = answers(200)

    async def story(client: Client) -> None:
        client.fence = Acting(seconds_left=-1.0)
        await client.get(names.ROUTE, "shop", "feed")
        await client.create_lease(BODY)
        await client.replace_lease(BODY)

    served(handler, story)
    assert [request.method for request in seen] == ["GET", "POST", "PUT"]
    assert all("timeout" not in request.query for request in seen)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
def test_what_the_network_held_back_is_not_delivered_after_another_may_act() -> None:
    from recmodel.cluster.leases.lease import ACT_SECONDS, LEASE_SECONDS
    from recmodel.cluster.transport.connection import UNDELIVERED_SECONDS, connector

    assert ACT_SECONDS + UNDELIVERED_SECONDS <= LEASE_SECONDS

    async def story() -> int:
        made = connector(False)
        opened = made._socket_factory((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1)))  # type: ignore[misc]
        await made.close()
        with opened:
            return opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)

    assert asyncio.run(story()) == UNDELIVERED_SECONDS * 1000


def test_lost_leadership_is_an_error_of_its_own() -> None:
    assert issubclass(LeadershipLost, ClusterError)
    assert not issubclass(LeadershipLost, ApiUnavailable)
