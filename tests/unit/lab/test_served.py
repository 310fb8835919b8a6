"""The report over HTTP, from a fake Prometheus: read at most once a minute, kept while it cannot be read, and nothing but read."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from builders.past_prometheus import OPERATOR, recent
from builders.weekly_past import week
from recmodel.arguments import parser
from recmodel.cli import main
from recmodel.controller.weekly import question_of
from recmodel.lab.weekly.figures import report_of
from recmodel.lab.weekly.served import Answer, Live, server_of
from recmodel.lab.weekly.values import Report
from recmodel.report_command import _weekly

ASKED = ("report", "--namespace", "shop", "--deployment", "ranker", "--from", "40m")
NOON = 1_767_614_400.0  # Mon 5 Jan 2026, 12:00 UTC
REPORT = report_of(week(1))


@dataclass
class Reading:
    """What a reading gives: a report, or an error; how often it was asked for, and what time it is."""

    gives: Report | Exception = REPORT
    now: float = NOON
    times: int = 0
    may_end: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.may_end.set()

    def __call__(self) -> Report:
        self.times += 1
        self.may_end.wait(10.0)
        if isinstance(self.gives, Exception):
            raise self.gives
        return self.gives

    def live(self) -> Live:
        return Live(self, lambda: self.now)


def test_it_is_read_once_a_minute_however_often_it_is_looked_at() -> None:
    reading = Reading()
    live = reading.live()
    first = live.answer()
    assert first.status == 200
    assert "Read at 2026-01-05 12:00:00 UTC, 0 s ago." in first.text
    reading.now += 59.0
    assert "Read at 2026-01-05 12:00:00 UTC, 59 s ago." in live.answer().text
    assert reading.times == 1
    reading.now += 1.0
    assert "Read at 2026-01-05 12:01:00 UTC, 0 s ago." in live.answer().text
    assert reading.times == 2


def test_the_last_good_page_stays_with_its_age_while_prometheus_does_not_answer() -> None:
    reading = Reading()
    live = reading.live()
    live.answer()
    reading.gives, reading.now = ValueError("http://p:9090: Prometheus could not be reached"), NOON + 840.0
    kept = live.answer()
    assert kept.status == 200
    assert REPORT.first_line in kept.text
    assert (
        "Read at 2026-01-05 12:00:00 UTC, 14 minutes ago. It could not be read again. The last try was at 2026-01-05 12:14:00 UTC: "
        "http://p:9090: Prometheus could not be reached" in kept.text
    )
    reading.now += 30.0
    live.answer()
    assert reading.times == 2, "what fails is not tried more often"
    reading.gives, reading.now = REPORT, reading.now + 30.0
    again = live.answer().text
    assert "could not be read" not in again
    assert "Read at 2026-01-05 12:15:00 UTC, 0 s ago." in again


def test_without_any_page_the_reason_is_shown() -> None:
    failed = Reading(gives=ValueError("no <histogram> of ranker")).live().answer()
    assert failed.status == 503
    assert (
        "There is no report yet. The last try was at 2026-01-05 12:00:00 UTC: no &lt;histogram&gt; of ranker"
        in failed.text
    )


def test_a_fault_of_ours_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    reading = Reading(gives=ZeroDivisionError("secret"))
    live = reading.live()
    failed = live.answer()
    assert "ZeroDivisionError while the report was made" in failed.text
    assert "secret" not in failed.text
    assert "secret" in capfd.readouterr().err
    reading.gives, reading.now = REPORT, NOON + 60.0
    assert live.answer().status == 200


def test_nobody_waits_for_a_slow_reading_and_two_never_run_at_once() -> None:
    reading = Reading()
    reading.may_end.clear()
    live = reading.live()
    begun = [live.answer(wait_seconds=0.01), live.answer(wait_seconds=0.01)]
    assert [(found.status, found.again_seconds) for found in begun] == [(503, 3)] * 2
    assert "is being read from Prometheus" in begun[0].text
    reading.may_end.set()
    assert live.answer().status == 200
    reading.may_end.clear()
    reading.now += 300.0
    old: Answer = live.answer(wait_seconds=0.01)
    assert (old.status, old.again_seconds) == (200, 3)
    assert "5 minutes ago. It is being read again." in old.text
    reading.may_end.set()
    assert "0 s ago." in live.answer().text
    assert reading.times == 2


@contextmanager
def serving(live: Live, address: str = "127.0.0.1") -> Iterator[int]:
    """Its port."""
    server = server_of(live, address, 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def asked(port: int, method: str = "GET", path: str = "/", host: str = "localhost") -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, headers={"Host": host})
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()
    finally:
        connection.close()


def test_the_page_of_a_fake_prometheus_has_the_headers_of_a_page_that_runs_nothing() -> None:
    with recent().served() as url:
        options = parser().parse_args([*ASKED, "--prometheus", url, "--serve"])
        question = question_of(options)
        with serving(Live(lambda: _weekly(question), lambda: NOON)) as port:
            status, headers, text = asked(port)
            head = asked(port, "HEAD")
    assert status == 200
    assert "p95 was 50 to 100 ms in the busiest hour" in text
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Python" not in headers["Server"]
    assert url not in text, "where Prometheus is stands in no page that could be read"
    assert (head[0], head[2], head[1]["Content-Length"]) == (200, "", headers["Content-Length"])


@pytest.mark.parametrize(
    ("case", "method", "path", "host", "status"),
    [
        ("the report", "GET", "/", "localhost:8000", 200),
        ("with a query", "GET", "/?x", "127.0.0.1:8000", 200),
        ("by its other name", "GET", "/", "[::1]:8000", 200),
        ("a page whose name was pointed here", "GET", "/", "evil.example", 403),
        ("without a name", "GET", "/", "", 403),
        ("no name at all", "GET", "/", "[", 403),
        ("another address", "GET", "/../etc/passwd", "localhost", 404),
        ("a change", "POST", "/", "localhost", 405),
        ("a removal", "DELETE", "/", "localhost", 405),
        ("an unknown method", "<script>", "/", "localhost", 405),
    ],
)
def test_one_address_is_read_and_nothing_else(case: str, method: str, path: str, host: str, status: int) -> None:
    reading = Reading()
    with serving(reading.live()) as port:
        found, headers, text = asked(port, method, path, host)
    assert found == status, case
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert "evil" not in text
    assert "script" not in text
    assert reading.times == (1 if status == 200 else 0)


def test_whoever_opens_it_to_others_has_it_read_by_its_own_name() -> None:
    with serving(Reading().live(), "0.0.0.0") as port:
        assert asked(port, host="report.example")[0] == 200


def test_a_client_that_breaks_off_ends_nothing() -> None:
    with serving(Reading().live()) as port:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.connect()
        connection.sock.sendall(b"\x16\x03\x01\x00\x01\n\n")
        connection.close()
        assert asked(port)[0] == 200


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_ended(how: signal.Signals) -> None:
    with recent().served() as url:
        command = [sys.executable, "-m", "recmodel.cli", *ASKED, "--prometheus", url, "--serve", "--port", "0"]
        environment = {**os.environ, "PYTHONPATH": str(OPERATOR)}
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout
            said = process.stdout.readline()
            found = re.fullmatch(r"the report is at http://127\.0\.0\.1:(\d+)/ until Ctrl-C\n", said)
            assert found, said
            status, _, text = asked(int(found[1]))
            process.send_signal(how)
            _, errors = process.communicate(timeout=30)
    assert (status, process.returncode, errors) == (200, 0, "ended\n")
    assert "p95 was 50 to 100 ms" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--serve", "--html", "week.html"), "--serve writes no file: leave --html and --figure out"),
        (("--serve", "--figure", "week.png"), "--serve writes no file: leave --html and --figure out"),
        (("--port", "8000"), "--port and --address are of a page that is served: add --serve"),
        (("--serve", "--address", "localhost"), "--address 'localhost': write an IP address, such as 127.0.0.1"),
        (("--serve", "--from", "yesterday"), "--from 'yesterday': write how long ago it is"),
        (("--serve", "--time-zone", "Berlin"), "--time-zone 'Berlin' must be a name"),
    ],
)
def test_what_can_not_be_served_is_said_at_once(
    arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ASKED, "--prometheus", "http://127.0.0.1:9", *arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith(f"recmodel report: {said}")
    assert printed.count("\n") == 1


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with serving(Reading().live()) as port:
        taken = [*ASKED, "--prometheus", "http://127.0.0.1:9", "--serve", "--port", str(port)]
        assert main(taken) == 2
    assert capsys.readouterr().err == (
        f"recmodel report: --port {port}: Address already in use at 127.0.0.1: name another one\n"
    )
