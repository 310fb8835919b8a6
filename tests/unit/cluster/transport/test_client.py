"""The API client against a real HTTP server: retries, time limits, refusals, tokens."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from builders.served_api import BODY, Handler, answers, served
from recmodel.cluster import names
from recmodel.cluster.transport import client as client_module
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, ApiUnavailable, Conflict, NotFound


def test_an_apply_is_a_forced_server_side_apply_of_our_field_manager() -> None:
    handler, seen = answers(200)
    served(handler, lambda c: c.apply(names.ROUTE, BODY), token="secret")
    (request,) = seen
    assert request.method == "PATCH"
    assert request.path == "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/feed"
    assert dict(request.query) == {"fieldManager": "recmodel", "force": "true"}
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"
    assert request.headers["Authorization"] == "Bearer secret"


def test_replicas_go_through_the_scale_subresource() -> None:
    bodies = []

    async def handler(request: web.Request) -> web.Response:
        bodies.append((request.path, await request.json()))
        return web.json_response({})

    served(handler, lambda c: c.apply_replicas(names.DEPLOYMENT, "shop", "feed-cpu", "u-1", 3))
    ((path, body),) = bodies
    assert path == "/apis/apps/v1/namespaces/shop/deployments/feed-cpu/scale"
    assert body["kind"] == "Scale"
    assert body["spec"] == {"replicas": 3}
    assert body["metadata"]["uid"] == "u-1"  # of no other Deployment that has the name by now


def says(message: str, status: int, reason: str | None = None) -> tuple[Handler, list[web.Request]]:
    """A handler that answers with this Status object, for ever; and the requests that it got."""
    seen: list[web.Request] = []
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "code": status,
    }

    async def handler(request: web.Request) -> web.Response:
        await request.read()
        seen.append(request)
        return web.json_response({**body, **({"reason": reason} if reason else {})}, status=status)

    return handler, seen


OBJECT = "(shop/feed-cpu; apps/v1, Kind=Deployment)"
PLACE = '.spec.template.spec.containers[name="s"]'


@pytest.mark.parametrize(  # the first five as Kubernetes 1.36 answered them
    ("message", "status", "requests"),
    [
        (f"failed to create typed patch object {OBJECT}: {PLACE}.readinessProbe.failureThresold: field not declared in schema", 500, 1),
        (f"failed to create typed patch object {OBJECT}: {PLACE}.readinessProbe.periodSeconds: expected numeric, got string", 500, 1),
        (f'failed to create typed patch object {OBJECT}: .spec.template.spec.containers: duplicate entries for key [name="s"]', 500, 1),
        (f"failed to create typed patch object {OBJECT}: .spec.template.spec.volumes: expected list, got &{{x}}", 500, 1),
        (f"failed to convert new object {OBJECT} to proper version: quantities must match the regular expression", 500, 1),
        ('admission webhook "images.example" denied the request: image server:1 is not signed', 500, 1),
        ('admission webhook "images.example" denied the request: image server:1 is not signed', 503, 1),
        ("strict decoding error: a sentence of a later release", 500, 2),
    ],
)  # fmt: skip
def test_a_5xx_about_the_request_is_a_refusal_with_the_apis_sentence(message: str, status: int, requests: int) -> None:
    handler, seen = says(message, status)
    with pytest.raises(ApiRefused) as raised:
        served(handler, lambda c: c.apply(names.DEPLOYMENT, BODY))
    assert (raised.value.status, raised.value.said, len(seen)) == (status, message, requests)


@pytest.mark.parametrize(
    ("message", "status", "reason"),
    [
        ("etcdserver: request timed out", 500, None),
        ("rpc error: code = Unavailable desc = transport is closing", 500, None),
        ('Internal error occurred: failed calling webhook "images.example": connection refused', 500, "InternalError"),
        ("the server is currently unable to handle the request", 503, "ServiceUnavailable"),
    ],
)
def test_a_server_in_trouble_is_tried_again_and_its_sentence_is_kept(
    message: str, status: int, reason: str | None
) -> None:
    handler, seen = says(message, status, reason)
    with pytest.raises(ApiUnavailable) as raised:
        served(handler, lambda c: c.apply(names.DEPLOYMENT, BODY))
    assert len(seen) == 5
    assert (message in str(raised.value), raised.value.status) == (True, status)


def test_a_write_is_sent_again_as_often_as_its_sender_says() -> None:
    down = "Internal error occurred: failed calling webhook: connection refused"
    handler, seen = says(down, 500, "InternalError")
    with pytest.raises(ApiUnavailable, match=r"connection refused$"):
        served(handler, lambda c: c.apply(names.DISRUPTION_BUDGET, BODY, retries=0))
    assert len(seen) == 1
    with pytest.raises(ApiUnavailable, match=r"connection refused, 3 times$"):
        served(handler, lambda c: c.apply_replicas(names.DEPLOYMENT, "shop", "feed-cpu", "u-1", 3, retries=2))
    assert len(seen) == 4


def test_a_long_refusal_keeps_the_object_and_the_rule() -> None:
    message = f'Deployment.apps "feed-cpu" is invalid: {"x" * 9000}: field is immutable'
    handler, _ = says(message, 422, "Invalid")
    with pytest.raises(ApiRefused) as raised:
        served(handler, lambda c: c.apply(names.DEPLOYMENT, BODY))
    assert raised.value.said.startswith('Deployment.apps "feed-cpu" is invalid')
    assert raised.value.said.endswith("field is immutable")
    assert len(raised.value.said) == 1500


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_the_server_cannot_do_now_is_tried_again(status: int) -> None:
    handler, seen = answers(status, status, 200)
    served(handler, lambda c: c.apply(names.ROUTE, BODY))
    assert len(seen) == 3


def test_retries_are_bounded() -> None:
    handler, seen = answers(503)
    with pytest.raises(ApiUnavailable, match=r"PATCH /apis/.*: HTTP 503: said 503, 5 times"):
        served(handler, lambda c: c.apply(names.ROUTE, BODY))
    assert len(seen) == 5


def test_retry_after_is_honoured() -> None:
    handler, _ = answers(429, 200, headers={"Retry-After": "7"})

    async def story(client: Client) -> float:
        began = time.monotonic()
        await client.get(names.POD, "shop", "x")
        return time.monotonic() - began

    assert served(handler, story) == pytest.approx(7.0)


@pytest.mark.parametrize(
    ("status", "error"), [(400, ApiRefused), (403, ApiRefused), (404, NotFound), (409, Conflict), (422, ApiRefused)]
)
def test_a_refusal_is_not_tried_again_and_says_what_was_done(status: int, error: type[ApiRefused]) -> None:
    handler, seen = answers(status)
    with pytest.raises(error, match=f"PATCH /apis/.*feed: HTTP {status}: said {status}"):
        served(handler, lambda c: c.apply(names.ROUTE, BODY))
    assert len(seen) == 1


def test_a_token_that_rotates_just_now_costs_one_retry() -> None:
    handler, seen = answers(401, 200)
    served(handler, lambda c: c.get(names.POD, "shop", "x"), token="old")
    assert len(seen) == 2
    handler, seen = answers(401)
    with pytest.raises(ApiRefused):
        served(handler, lambda c: c.get(names.POD, "shop", "x"), token="old")


def test_the_token_is_read_again_for_each_request() -> None:
    tokens = iter(["one", "two"])

    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"got": request.headers["Authorization"]})

    async def story(client: Client) -> list[str]:
        def refresh(configuration: Configuration) -> None:
            configuration.api_key["BearerToken"] = f"bearer {next(tokens)}"

        client._credentials.configuration.refresh_api_key_hook = refresh
        return [(await client.get(names.POD, "shop", "x"))["got"] for _ in range(2)]

    assert served(handler, story) == ["Bearer one", "Bearer two"]


def test_a_silent_server_is_given_up() -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(600)
        return web.json_response({})

    with pytest.raises(ApiUnavailable, match=r"[Tt]imeout"):
        served(handler, lambda c: c.get(names.POD, "shop", "x"))


def test_an_answer_that_is_no_json_is_no_answer() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="application/json")

    with pytest.raises(ApiUnavailable):
        served(handler, lambda c: c.get(names.POD, "shop", "x"))


def test_a_redirect_is_not_followed() -> None:
    handler, seen = answers(307, headers={"Location": "http://127.0.0.1:1/"})
    with pytest.raises(ApiRefused, match="HTTP 307"):
        served(handler, lambda c: c.get(names.POD, "shop", "x"), token="secret")
    assert len(seen) == 1


def test_a_list_is_read_in_pages() -> None:
    async def handler(request: web.Request) -> web.Response:
        more = request.query.get("continue", "") != "next"
        items = [{"page": 1}] if more else [{"page": 2}]
        assert request.query["labelSelector"] == "recmodel.dev/model"
        return web.json_response(
            {"items": items, "metadata": {"resourceVersion": "9", **({"continue": "next"} if more else {})}}
        )

    items, version = served(handler, lambda c: c.list(names.POD, labels="recmodel.dev/model"))
    assert items == [{"page": 1}, {"page": 2}]
    assert version == "9"


@pytest.mark.parametrize("body", [b"null", b"[1]", b'"text"', b"1", b"\xff\xfe", b"", b"[" * 5000])
def test_an_answer_that_is_no_object_is_no_answer(body: bytes) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    for call in (
        lambda c: c.get(names.LEASE, "shop", "x"),
        lambda c: c.list(names.POD),
        lambda c: c.apply(names.ROUTE, BODY),
    ):
        with pytest.raises(ApiUnavailable):
            served(handler, call)


@pytest.mark.parametrize("patience", ["\u00b2", "-1", "9" * 400, "Wed, 21 Oct 2026 07:28:00 GMT", "1.5", "\u0663"])
def test_a_retry_after_that_is_no_whole_number_is_none(patience: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "LONGEST_WAIT_SECONDS", 0.01)
    handler, seen = answers(503, 200, headers={"Retry-After": patience})
    served(handler, lambda c: c.get(names.POD, "shop", "x"))
    assert len(seen) == 2


@pytest.mark.parametrize(("resources", "known"), [(None, False), ([], False), ([{}, {"name": "pods"}], True)])
def test_a_kind_is_known_where_its_group_names_it(resources: Any, known: bool) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response({"kind": "APIResourceList", "resources": resources})

    assert served(handler, lambda c: c.serves(names.POD)) is known
