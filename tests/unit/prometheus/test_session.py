"""The session against a real HTTP server: bounded in time, size and tries, and silent about secrets."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from builders.prometheus_server import ONE, Server, body, success
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.session import AnswerUnusable, Connection, PrometheusError, PrometheusUnavailable, QueryRefused


def test_a_server_that_recovers_within_the_retry_is_not_an_error(server: Server, client: PrometheusClient) -> None:
    server.replies = [body("", 503), success(ONE)]
    assert client.query("up", 1).rows
    assert len(server.asked) == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_overloaded_server_is_asked_twice_and_no_more(server: Server, client: PrometheusClient, status: int) -> None:
    server.replies = [body("secret details", status)]
    with pytest.raises(PrometheusUnavailable, match=f"status {status}") as caught:
        client.query("up", 1)
    assert len(server.asked) == 2
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_final_and_its_body_is_not_repeated(server: Server, client: PrometheusClient, status: int) -> None:
    server.replies = [body(json.dumps({"status": "error", "errorType": "bad_data", "error": "secret details"}), status)]
    with pytest.raises(QueryRefused, match=rf"status {status} \(bad_data\)") as caught:
        client.query("up", 1)
    assert len(server.asked) == 1
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [None, {"resultType": "vector", "result": []}, {"resultType": "vector", "result": ONE}]
)
def test_an_error_with_status_200_is_no_answer(server: Server, client: PrometheusClient, data: object) -> None:
    said = {"status": "error", "errorType": "timeout", "error": "secret details", "data": data}
    server.replies = [body(json.dumps(said))]
    with pytest.raises(PrometheusUnavailable, match=r"answered with an error \(timeout\)$"):
        client.query("up", 1)
    server.replies = [body(json.dumps(said)), success(ONE)]
    assert client.query("up", 1).rows, "asked again, as after a 503"


def test_an_error_type_that_prometheus_does_not_have_is_not_repeated(server: Server, client: PrometheusClient) -> None:
    server.replies = [body('{"errorType": "<script>"}', 400)]
    with pytest.raises(QueryRefused, match=r"status 400$"):
        client.query("up", 1)


def test_a_redirect_is_not_followed(server: Server, client: PrometheusClient) -> None:
    server.replies = [body("", 302, {"Location": server.url + "/elsewhere"})]
    with pytest.raises(QueryRefused, match="redirects are not followed"):
        client.query("up", 1)
    assert [path for _, path, _, _ in server.asked] == ["/api/v1/query"]


def test_an_answer_above_the_size_limit_is_cut_off(server: Server) -> None:
    server.replies = [body(b"x" * 100_000)]
    client = PrometheusClient(Connection(url=server.url, max_answer_bytes=50_000))
    with pytest.raises(AnswerUnusable, match="larger than the 50000 bytes"):
        client.query("up", 1)
    client.close()


def test_a_compressed_answer_is_refused_since_its_size_is_not_known(server: Server, client: PrometheusClient) -> None:
    server.replies = [body(b"\x1f\x8b", 200, {"Content-Encoding": "gzip"})]
    with pytest.raises(AnswerUnusable, match="compressed"):
        client.query("up", 1)


def test_a_silent_server_costs_no_more_than_the_deadline(server: Server, client: PrometheusClient) -> None:
    server.replies = [server.hang]
    with pytest.raises(PrometheusUnavailable, match="in time"):
        client.query("up", 1)


def test_an_answer_that_drips_in_costs_no_more_than_the_deadline(server: Server, client: PrometheusClient) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.1)
        except OSError:
            handler.close_connection = True

    server.replies = [drip]
    with pytest.raises(PrometheusUnavailable, match=r"deadline|in time"):
        client.query("up", 1)


def test_nobody_listening_is_unavailable() -> None:
    client = PrometheusClient(Connection(url="http://127.0.0.1:1", deadline_seconds=1.0))
    with pytest.raises(PrometheusUnavailable, match="could not be reached"):
        client.query("up", 1)
    client.close()


def test_the_token_is_read_again_for_each_request(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "token"
    connection = Connection(
        url=server.url, bearer_token_file=str(file), headers={"X-Scope-OrgID": "a"}, parameters={"dedup": "true"}
    )
    client = PrometheusClient(connection)
    server.replies = [success(ONE)]
    for token in ("first", "second"):
        file.write_text(token + "\n")
        client.query("up", 1)
    assert [headers["Authorization"] for _, _, headers, _ in server.asked] == ["Bearer first", "Bearer second"]
    assert server.asked[0][2]["X-Scope-OrgID"] == "a"
    assert server.asked[0][3]["dedup"] == "true"
    server.replies = [success([{"metric": {}, "values": [[300, "1"]]}])]
    client.query_range("up", 300, 600, 300)  # the history, too
    assert server.asked[-1][2]["X-Scope-OrgID"] == "a"
    assert server.asked[-1][3]["dedup"] == "true"
    file.write_text("two words")
    with pytest.raises(PrometheusError, match="one word") as caught:
        client.query("up", 1)
    assert "two words" not in str(caught.value)
    file.unlink()
    with pytest.raises(PrometheusUnavailable, match="can not be read"):
        client.query("up", 1)
    client.close()


def test_neither_proxies_nor_netrc_of_the_surroundings_count(
    server: Server, client: PrometheusClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    server.replies = [success(ONE)]
    assert client.query("up", 1).rows


@pytest.mark.parametrize(
    "url",
    [
        "",
        "prometheus:9090",
        "file:///etc/passwd",
        "http://",
        "http://user:word@host",
        "http://host?x=1",
        "http://host#x",
    ],
)
def test_the_address_must_be_plain_http(url: str) -> None:
    with pytest.raises(ValueError, match="address of Prometheus") as caught:
        Connection(url=url)
    assert "word" not in str(caught.value)


def test_secrets_are_not_in_a_connections_text() -> None:
    assert "hush" not in repr(
        Connection(url="http://host", headers={"Authorization": "hush"}, parameters={"key": "hush"})
    )
