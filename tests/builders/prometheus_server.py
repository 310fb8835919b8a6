"""A real HTTP server on loopback that answers as a test says, and a client that has little patience with it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.session import Connection

Reply = Callable[[BaseHTTPRequestHandler], None]


class Quiet(ThreadingHTTPServer):
    """Prints nothing of what is no fault."""

    request_queue_size = 128  # of five, more connections at once wait a second for TCP to try again

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes without the answer is none of the server's errors."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


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
                self.form = {key: values[0] for key, values in parse_qs(body).items()}
                server.asked.append((self.command, self.path, dict(self.headers), self.form))
                reply = server.replies.pop(0) if len(server.replies) > 1 else server.replies[0]
                reply(self)

            def do_GET(self) -> None:
                server.asked.append((self.command, self.path, dict(self.headers), {}))

            def log_message(self, *_: object) -> None:
                pass

        self.http = Quiet(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self._ended = threading.Event()
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.thread.start()

    def __enter__(self) -> Server:
        return self

    def hang(self, handler: BaseHTTPRequestHandler) -> None:
        """A reply that never comes: whoever waits for it waits until the server ends."""
        self._ended.wait()
        handler.close_connection = True

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def asking(server: Server) -> closing[PrometheusClient]:
    """A client of the server, with limits that a test can wait for."""
    return closing(PrometheusClient(Connection(url=server.url + "/", read_timeout_seconds=0.4, deadline_seconds=1.5)))


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
