"""A server whose clock is ahead of ours or behind it is asked by its own, whatever our process takes the time to be."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler

import pytest

from builders.envoy_page import NOW, SETTINGS, Canned, by_pool, page, view
from builders.prometheus_server import ONE, Server
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.clock import NOTICED_SECONDS, ServerClock
from recmodel.prometheus.gather import gather
from recmodel.prometheus.readings import BackendView, ModelReading


class Skewed:
    """Answers by a clock that is ``ahead_seconds`` of ours."""

    def __init__(self, ahead_seconds: float) -> None:
        self.ahead_seconds = ahead_seconds

    def __call__(self, handler: BaseHTTPRequestHandler) -> None:
        rows = ONE
        if handler.path.endswith("query_range"):
            form: dict[str, str] = handler.form  # type: ignore[attr-defined]
            rows = [{"metric": {}, "values": [[int(form["start"]), "7"]]}]
        data = json.dumps({"status": "success", "data": {"resultType": "vector", "result": rows}}).encode()
        handler.send_response_only(200)
        handler.send_header("Date", formatdate(time.time() + self.ahead_seconds, usegmt=True))
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)


def times(server: Server) -> list[float]:
    """For which time each question was asked."""
    return [float(form["time"]) for *_, form in server.asked if "time" in form]


@pytest.mark.parametrize("ahead_seconds", [-600.0, -90.0, -20.0, 20.0, 90.0, 600.0])
def test_the_server_is_asked_by_its_own_clock_from_the_first_answer_on(
    server: Server, client: PrometheusClient, ahead_seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    server.replies = [Skewed(ahead_seconds)]
    now = time.time()
    assert client.query("a", now).rows
    assert [at - now for at in times(server)] == pytest.approx([0.0, ahead_seconds], abs=NOTICED_SECONDS)
    answers = client.query_all(["b", "c", "d"], now, 5.0)
    assert len(server.asked) == 5, "no question is asked twice once the clock is known"
    assert all(not isinstance(answer, Exception) for answer in answers.values())
    assert times(server)[2:] == pytest.approx([now + ahead_seconds] * 3, abs=NOTICED_SECONDS)
    (said,) = {record.getMessage() for record in caplog.records}
    side = "ahead of" if ahead_seconds > 0 else "behind"
    assert f"s {side} the operator's" in said


def test_the_past_is_asked_by_the_servers_clock_and_told_by_ours(server: Server, client: PrometheusClient) -> None:
    server.replies = [Skewed(300.0)]
    answer = client.query_range("a", 1_000_000, 1_000_600, 300)
    assert answer.rows[0][1] == ((1_000_000.0, 7.0),)
    starts = [int(form["start"]) for *_, form in server.asked]
    assert starts == pytest.approx([1_000_000, 1_000_300], abs=NOTICED_SECONDS)


def test_a_clock_in_step_changes_nothing(server: Server, client: PrometheusClient) -> None:
    server.replies = [Skewed(0.0)]
    for i in range(30):
        client.query(f"a{i}", 1_000_000.0)
        time.sleep(0.04)
    assert times(server) == [1_000_000.0] * 30


def test_a_clock_that_is_put_right_is_seen_at_once(server: Server, client: PrometheusClient) -> None:
    skewed = Skewed(90.0)
    server.replies = [skewed]
    client.query("a", 1_000_000.0)
    skewed.ahead_seconds = 0.0
    client.query("a", 1_000_000.0)
    assert times(server)[-1] == pytest.approx(1_000_000.0, abs=NOTICED_SECONDS)


@pytest.mark.parametrize("date", [None, "", "yesterday", "Sat, 99 Nov 2026 25:00:00 GMT"])
def test_an_answer_without_a_date_tells_nothing(date: str | None) -> None:
    clock = ServerClock()
    clock.see(formatdate(1090.0, usegmt=True), 1000.0, 1000.1)
    known = clock.ahead_seconds
    clock.see(date, 1000.0, 1000.1)
    assert clock.ahead_seconds == known == pytest.approx(89.9)


def test_a_slow_answer_tells_no_more_than_it_can() -> None:
    clock = ServerClock()
    clock.see(formatdate(1004.0, usegmt=True), 1000.0, 1008.0)  # written somewhen in eight seconds
    assert clock.ahead_seconds == 0.0
    clock.see(formatdate(1030.0, usegmt=True), 1009.0, 1001.0)  # our clock was put back meanwhile
    assert clock.ahead_seconds == 0.0


def test_samples_that_are_old_by_the_servers_clock_name_it() -> None:
    client = Canned(page(age=by_pool({0: 200.0, 1: 200.0})))
    client.clock.see(formatdate(1093.0, usegmt=True), 1000.0, 1000.0)
    reading = gather(client, [view()], NOW, SETTINGS).models["demo/ranker"]
    assert reading.reason == "SeriesStale"
    assert "200 s old by Prometheus' clock, which is 93 s ahead of the operator's (17 s allowed)" in reading.message


def test_a_place_in_the_route_that_is_younger_than_now_names_the_clocks() -> None:
    def moved(seconds_ago: float) -> ModelReading:
        backends = (BackendView("cpu", NOW - seconds_ago), BackendView("gpu", NOW - 5000.0))
        return gather(Canned(page()), [replace(view(), backends=backends)], NOW, SETTINGS).models["demo/ranker"]

    for seconds_ago, said in (
        (-40.0, "40 s after the operator's now: the clocks of the nodes differ"),
        (3.0, "3 s ago"),
    ):
        assert moved(seconds_ago).reason == "BackendsMoved"
        assert said in moved(seconds_ago).message
