"""The client against a real HTTP server: what it asks, and what it makes of the answers."""

from __future__ import annotations

import time

import pytest

from builders.prometheus_server import ONE, Server, body, success
from recmodel.prometheus.client import Matrix, PrometheusClient, Vector
from recmodel.prometheus.session import AnswerUnusable, PrometheusUnavailable, QueryRefused


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


INFO = 'PromQL info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: "x" (1:60)'
WARNING = 'PromQL warning: bucket label "le" is missing or has a malformed value of "x" (1:9)'


@pytest.mark.parametrize(
    ("more", "partial"),
    [
        ({"warnings": ["store 3 is away"]}, True),
        ({"warnings": "store 3 is away"}, True),
        ({"warnings": [INFO, "receive store: rpc error"]}, True),
        ({"warnings": [{"store": 3}]}, True),
        ({"isPartial": True}, True),  # VictoriaMetrics
        ({"isPartial": True, "warnings": [INFO]}, True),
        ({"infos": ["metric might not be a counter"]}, False),  # Prometheus
        ({"warnings": [INFO, WARNING]}, False),  # Thanos, which has no infos
        ({"warnings": []}, False),
        ({"warnings": None, "isPartial": False}, False),
    ],
)
def test_an_answer_that_may_lack_a_part_is_partial_and_a_note_on_the_expression_lacks_nothing(
    server: Server, client: PrometheusClient, more: dict[str, object], partial: bool
) -> None:
    server.replies = [success(ONE, **more), success([{"metric": {}, "values": [[300, "1"]]}], **more)]
    assert client.query("up", 1).partial is partial
    assert client.query_range("up", 300, 600, 300).partial is partial


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


@pytest.mark.parametrize(
    ("field", "odd"),
    [
        ("metric", {"namespace": ["shop"]}),
        ("metric", {"namespace": 7}),
        ("metric", {"namespace": None}),
        ("value", "15"),
        ("value", {"1": "5"}),
        ("value", [300, "1", "2"]),
        ("value", [300, True]),
        ("value", [300, 10**400]),
        ("value", [None, "1"]),
        ("value", [float("nan"), "1"]),
        ("value", [float("inf"), "1"]),
        ("value", ["soon", "1"]),
    ],
)
def test_a_row_that_is_none_is_an_error_of_its_own(
    server: Server, client: PrometheusClient, field: str, odd: object
) -> None:
    """Whose it is cannot be known, so it is nobody's: behind this each label is a text, and each time and value a number."""
    row = {"metric": {}, "value": [300, "1"], field: odd}
    server.replies = [success([row]), success([{"metric": row["metric"], "values": [row["value"]]}])]
    with pytest.raises(AnswerUnusable):
        client.query("up", 300)
    with pytest.raises(AnswerUnusable):
        client.query_range("up", 300, 600, 300)


def test_the_budget_of_a_tick_is_shared_by_its_queries(server: Server, client: PrometheusClient) -> None:
    server.replies = [server.hang]
    began = time.monotonic()
    answers = client.query_all([f"up{i}" for i in range(300)], 1, budget_seconds=0.6)
    assert time.monotonic() - began < 20.0, "each alone would take a second, two at a time"
    assert all(isinstance(answer, PrometheusUnavailable) for answer in answers.values())
    assert len(answers) == 300


def test_one_bad_query_does_not_spoil_the_others(server: Server, client: PrometheusClient) -> None:
    server.replies = [success(ONE)]
    assert set(client.query_all(["a", "b", "a"], 1, 1.0)) == {"a", "b"}
    server.replies = [body("", 400)]
    assert isinstance(client.query_all(["a"], 1, 1.0)["a"], QueryRefused)
