"""``recmodel report --serve``: the page over HTTP, read again when somebody looks at it, and at most once a minute.

Nothing can be changed by it: it answers GET and HEAD of one address. While Prometheus does not answer, the last good page stays, and
says how old it is.
"""

from __future__ import annotations

import ipaddress
import math
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from urllib.parse import urlsplit

from recmodel.lab.weekly import words
from recmodel.lab.weekly.page import POLICY, bare, page
from recmodel.lab.weekly.values import Report

ADDRESS, PORT = "127.0.0.1", 8000
LEAST_SECONDS = 60.0  # from the end of one reading to the next
WAIT_SECONDS = 5.0  # for a reading under way; then what there is is shown
SOON_SECONDS = 3  # a browser asks again after so long while there is no page yet
SLOWEST_CLIENT_SECONDS = 20.0
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": f"{POLICY}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Answer:
    """What is sent. ``again_seconds``: after which the browser asks again."""

    status: int
    text: str
    again_seconds: int


@dataclass(frozen=True)
class _Read:
    """The last good report and when it was read, on the wall clock; why the newest reading failed, and when it ended."""

    report: Report | None = None
    at: float = math.nan
    problem: str = ""
    ended: float = -math.inf


class Live:
    """The newest report that could be read. ``read`` may take minutes; a ValueError or OSError of it says why there is none."""

    def __init__(self, read: Callable[[], Report], clock: Callable[[], float]) -> None:
        self._read, self._clock = read, clock
        self._turn = threading.Condition()
        self._reading = False
        self._found = _Read()

    def answer(self, wait_seconds: float = WAIT_SECONDS) -> Answer:
        """The page as it is now; a reading begins where the last one ended a minute ago, and is waited for a while."""
        with self._turn:
            since = self._clock() - self._found.ended
            if not self._reading and not 0.0 <= since < LEAST_SECONDS:  # below 0: the clock was set back
                self._reading = True
                threading.Thread(target=self._again, daemon=True).start()
            self._turn.wait_for(lambda: not self._reading, wait_seconds)
            found, reading = self._found, self._reading
        return _shown(found, reading, self._clock())

    def _again(self) -> None:
        before, problem, report = self._found, "", None
        try:
            report = self._read()
        except (ValueError, OSError) as error:
            problem = str(error)
        except Exception as error:  # a fault of ours: the server goes on, and its log has where it was
            traceback.print_exc()
            problem = f"{type(error).__name__} while the report was made: the log of recmodel report has more"
        now = self._clock()
        good = _Read(report, now, "", now) if report is not None else _Read(before.report, before.at, problem, now)
        with self._turn:
            self._found, self._reading = good, False
            self._turn.notify_all()


def _shown(found: _Read, reading: bool, now: float) -> Answer:
    if found.report is None and not found.problem:
        said = "The report is being read from Prometheus. A week takes up to some minutes; this page shows it then."
        return Answer(503, bare(said), SOON_SECONDS)
    tried = f"The last try was at {_time(found.ended)}: {found.problem}"
    if found.report is None:
        return Answer(503, bare(f"There is no report yet. {tried}"), round(LEAST_SECONDS))
    live = f"Read at {_time(found.at)}, {words.age(max(now - found.at, 0.0))} ago."
    if found.problem:
        return Answer(
            200, page(found.report, f"{live} It could not be read again. {tried}", stale=True), round(LEAST_SECONDS)
        )
    live += " It is being read again." if reading else ""
    return Answer(200, page(found.report, live), SOON_SECONDS if reading else round(LEAST_SECONDS))


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def server_of(live: Live, address: str, port: int) -> ThreadingHTTPServer:
    """Bound, and not running yet; ``ValueError`` where that cannot be."""
    try:
        host = ipaddress.ip_address(address)
    except ValueError as error:
        raise ValueError(
            f"--address {address!r}: write an IP address, such as 127.0.0.1, or 0.0.0.0 for all"
        ) from error

    class Handler(_Handler):
        live_page = live
        only_local = host.is_loopback

    class Server(ThreadingHTTPServer):
        address_family = AF_INET6 if host.version == 6 else ThreadingHTTPServer.address_family
        daemon_threads = True

    try:
        return Server((address, port), Handler)
    except OSError as error:
        raise ValueError(f"--port {port}: {error.strerror or error} at {address}: name another one") from error


class _Handler(BaseHTTPRequestHandler):
    """Of one address, and of nothing else."""

    live_page: Live
    only_local: bool
    server_version, sys_version = "recmodel", ""
    timeout = SLOWEST_CLIENT_SECONDS

    def do_GET(self) -> None:
        self._reply(body=True)

    def do_HEAD(self) -> None:
        self._reply(body=False)

    def _reply(self, body: bool) -> None:
        if self.only_local and not _is_local(self.headers.get("Host", "")):
            # Somebody's page in the owner's browser may have its own name point here, and would read what this says.
            answer = Answer(
                403, bare("This page is for localhost alone: open it by that name, or start it with --address."), 0
            )
        elif urlsplit(self.path).path != "/":
            answer = Answer(404, bare("There is nothing here: the report is at /."), 0)
        else:
            answer = self.live_page.answer()
        text = answer.text.encode()
        self.send_response(answer.status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if answer.again_seconds:
            self.send_header("Refresh", str(answer.again_seconds))
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if body:
            self.wfile.write(text)

    def send_error(self, code: int, *_: object, **__: object) -> None:
        """As all answers: what was asked for is not in it."""
        text = bare("This is not answered: the report is read with GET.").encode()
        self.send_response(405 if code == 501 else code)
        for name, value in {
            **HEADERS,
            "Allow": "GET, HEAD",
            "Content-Length": str(len(text)),
            "Connection": "close",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nothing: a browser asks every minute."""


def _is_local(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in LOCAL_NAMES
    except ValueError:
        return False


def url_of(server: ThreadingHTTPServer) -> str:
    """Where a browser finds it."""
    host, port = server.server_address[:2]
    return f"http://[{host!s}]:{port}/" if ":" in str(host) else f"http://{host!s}:{port}/"
