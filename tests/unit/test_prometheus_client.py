"""The client against a real HTTP server on loopback: bounded in time, size and tries, and silent about secrets."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from recmodel.prometheus.client import Matrix, PrometheusClient, Vector
from recmodel.prometheus.session import (
    AnswerUnusable,
    Connection,
    PrometheusError,
    PrometheusUnavailable,
    QueryRefused,
)

Reply = Callable[[BaseHTTPRequestHandler], None]


class Server:
    """Answers with ``replies`` in turn, the last one again and again, and remembers what it was asked."""

    def __init__(self) -> None:
        self.replies: list[Reply] = []
        self.asked: list[tuple[str, str, dict[str, str], dict[str, str]]] = []  # method, path, headers, form
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                form = {key: values[0] for key, values in parse_qs(body).items()}
                server.asked.append((self.command, self.path, dict(self.headers), form))
                reply = server.replies.pop(0) if len(server.replies) > 1 else server.replies[0]
                reply(self)

            def do_GET(self) -> None:
                server.asked.append((self.command, self.path, dict(self.headers), {}))

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.http.shutdown()
    made.http.server_close()
    made.thread.join()


@pytest.fixture
def client(server: Server) -> Iterator[PrometheusClient]:
    made = PrometheusClient(Connection(url=server.url + "/", read_timeout_seconds=0.4, deadline_seconds=1.5))
    yield made
    made.close()


def body(text: str | bytes, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    data = text.encode() if isinstance(text, str) else text

    def reply(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def success(result: object, **more: object) -> Reply:
    return body(json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}, **more}))


ONE = [{"metric": {"pool": "cpu"}, "value": [1.0, "2.5"]}]


def test_an_instant_query_gives_labels_and_numbers(server: Server, client: PrometheusClient) -> None:
    server.replies = [success(ONE)]
    assert client.query('up{a="b"}', 12.3456) == Vector((({"pool": "cpu"}, 2.5),))
    method, path, headers, form = server.asked[0]
    assert (method, path) == ("POST", "/api/v1/query")  # nothing of the query in the address
    assert form["query"] == 'up{a="b"}'
    assert form["time"] == "12.346"
    assert 0 < float(form["timeout"]) <= 0.4  # Prometheus, too, gives up when nobody listens any more
    assert headers["Accept-Encoding"] == "identity"


def test_a_range_query_gives_the_values_of_each_series(server: Server, client: PrometheusClient) -> None:
    server.replies = [success([{"metric": {}, "values": [[300, "1"], [600, "NaN"]]}])]
    answer = client.query_range("up", 300, 600, 300)
    assert isinstance(answer, Matrix)
    assert answer.rows[0][1][0] == (300.0, 1.0)
    assert answer.rows[0][1][1][1] != answer.rows[0][1][1][1]  # NaN
    assert server.asked[0][1] == "/api/v1/query_range"
    assert {k: server.asked[0][3][k] for k in ("start", "end", "step")} == {
        "start": "300",
        "end": "600",
        "step": "300.000",
    }


def test_special_values_are_kept_for_the_reader_to_judge(server: Server, client: PrometheusClient) -> None:
    server.replies = [success([{"metric": {}, "value": [1, text]} for text in ("+Inf", "-Inf", "NaN")])]
    values = [value for _, value in client.query("up", 1).rows]
    assert values[0] == float("inf")
    assert values[1] == -float("inf")
    assert values[2] != values[2]


def test_warnings_make_an_answer_partial_and_infos_do_not(server: Server, client: PrometheusClient) -> None:
    server.replies = [success(ONE, warnings=["store 3 is away"]), success(ONE, infos=["metric might not be a counter"])]
    assert client.query("up", 1).partial is True
    assert client.query("up", 1).partial is False


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


def test_an_error_type_that_prometheus_does_not_have_is_not_repeated(server: Server, client: PrometheusClient) -> None:
    server.replies = [body('{"errorType": "<script>"}', 400)]
    with pytest.raises(QueryRefused, match=r"status 400$"):
        client.query("up", 1)


def test_a_redirect_is_not_followed(server: Server, client: PrometheusClient) -> None:
    server.replies = [body("", 302, {"Location": server.url + "/elsewhere"})]
    with pytest.raises(QueryRefused, match="redirects are not followed"):
        client.query("up", 1)
    assert [path for _, path, _, _ in server.asked] == ["/api/v1/query"]


@pytest.mark.parametrize(
    "text",
    [
        "<html>login</html>",
        "[]",
        "{}",
        '{"data": {}}',
        '{"data": {"result": "x"}}',
        '{"data": {"result": [1]}}',
        '{"data": {"result": [{"metric": {}, "value": [1, "abc"]}]}}',
        '{"data": {"result": [{"metric": [], "value": [1, "1"]}]}}',
        '{"data": {"result": [{"metric": {}, "value": []}]}}',
        "[" * 100_000,
    ],
)
def test_an_answer_that_cannot_be_read_is_an_error_of_its_own(
    server: Server, client: PrometheusClient, text: str
) -> None:
    server.replies = [body(text)]
    with pytest.raises(AnswerUnusable):
        client.query("up", 1)
    assert len(server.asked) == 1


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
    server.replies = [lambda handler: time.sleep(1.0)]
    began = time.monotonic()
    with pytest.raises(PrometheusUnavailable, match="in time"):
        client.query("up", 1)
    assert time.monotonic() - began < 1.6


def test_an_answer_that_drips_in_costs_no_more_than_the_deadline(server: Server, client: PrometheusClient) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        try:
            for _ in range(40):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.1)
        except OSError:
            handler.close_connection = True

    server.replies = [drip]
    began = time.monotonic()
    with pytest.raises(PrometheusUnavailable, match="deadline"):
        client.query("up", 1)
    assert time.monotonic() - began < 2.0


def test_the_budget_of_a_tick_is_shared_by_its_queries(server: Server, client: PrometheusClient) -> None:
    server.replies = [lambda handler: time.sleep(1.0)]
    began = time.monotonic()
    answers = client.query_all([f"up{i}" for i in range(30)], 1, budget_seconds=0.6)
    assert time.monotonic() - began < 1.2
    assert all(isinstance(answer, PrometheusUnavailable) for answer in answers.values())
    assert len(answers) == 30


def test_one_bad_query_does_not_spoil_the_others(server: Server, client: PrometheusClient) -> None:
    server.replies = [success(ONE)]
    assert set(client.query_all(["a", "b", "a"], 1, 1.0)) == {"a", "b"}
    server.replies = [body("", 400)]
    assert isinstance(client.query_all(["a"], 1, 1.0)["a"], QueryRefused)


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
