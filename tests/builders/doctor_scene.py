"""A cluster and a Prometheus as ``recmodel doctor`` sees them, both over HTTP on the loopback. All is well until a test spoils it."""

from __future__ import annotations

import copy
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from threading import Thread
from typing import Any

from builders.good_spec import GOOD
from builders.prometheus_server import Quiet, Server, body, success

Rows = list[tuple[dict[str, str], float]]
RELEASE = "ops/recmodel"
NOBODY = "http://127.0.0.1:1"


def ago(seconds: float) -> str:
    """So long before now, as the API writes it."""
    return (datetime.now(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def held(holder: str, seconds: float = 1.0) -> dict[str, Any]:
    """A Lease that somebody renewed so long ago."""
    return {"spec": {"holderIdentity": holder, "renewTime": ago(seconds)}}


def recmodel(namespace: str = "shop", name: str = "feed", profile: str = "mlserver") -> dict[str, Any]:
    """One that serves, and that was decided on just now."""
    found = copy.deepcopy(GOOD)
    found["metadata"] = {"namespace": namespace, "name": name, "creationTimestamp": ago(86400.0)}
    found["spec"]["metrics"] = {"profile": profile}
    ready = {"type": "Ready", "status": "True", "reason": "Serving", "message": "1 of 1 pools serve"}
    found["status"] = {"lastDecisionTime": ago(5.0), "conditions": [ready], "message": "load 3/s"}
    return found


def server_edges(namespace: str, model: str, *edges: str) -> Rows:
    """One histogram of the pool cpu of a model, as MLServer's."""
    labels = {"namespace": namespace, "recmodel_dev_model": model, "recmodel_dev_pool": "cpu"}
    return [({**labels, "le": le}, 1.0) for le in (*edges, "+Inf")]


@dataclass
class Scene:
    """What the two servers answer."""

    kinds: set[str] = field(default_factory=lambda: {"recmodels", "httproutes"})
    denied: set[tuple[str, str]] = field(default_factory=set)  # verb and resource
    token_is_refused: bool = False
    leases: dict[str, Any] = field(
        default_factory=lambda: {
            RELEASE: held("recmodel-1"),
            "default/all.recmodel.dev": held(RELEASE),
            "shop/recmodel.dev": held(RELEASE),
        }
    )
    recmodels: list[dict[str, Any]] = field(default_factory=lambda: [recmodel()])
    spacing_seconds: float | None = 15.0
    edges: Rows = field(default_factory=lambda: server_edges("shop", "feed", "0.05", "0.1"))
    refused_queries: str = "none at all"  # a regular expression
    prometheus_is_away: bool = False

    def api(self, path: str, asked: dict[str, Any] | None) -> tuple[dict[str, Any], int]:
        """One answer of the API server, and its status. ``asked``: what was posted."""
        parts = path.partition("?")[0].strip("/").split("/")
        if self.token_is_refused:
            return {"message": "Unauthorized"}, 401
        if asked is not None:
            attributes = asked["spec"]["resourceAttributes"]
            return {"status": {"allowed": (attributes["verb"], attributes["resource"]) not in self.denied}}, 201
        if len(parts) == 3:
            return {"resources": [{"name": kind} for kind in self.kinds]}, 200
        if "leases" in parts:
            lease = self.leases.get(f"{parts[-3]}/{parts[-1]}")
            return (lease, 200) if lease else ({"message": "leases not found"}, 404)
        if "recmodels" not in self.kinds:
            return {"message": "the server could not find the requested resource"}, 404
        if ("list", "recmodels") in self.denied:
            return {"message": "forbidden"}, 403
        where = parts[parts.index("namespaces") + 1] if "namespaces" in parts else None
        items = [found for found in self.recmodels if where in (None, found["metadata"]["namespace"])]
        return {"items": items, "metadata": {"resourceVersion": "1"}}, 200

    def prometheus(self, handler: Any) -> None:
        """One answer of Prometheus. What its matchers choose is another test's matter: here it finds too much."""
        query = handler.form["query"]
        if re.search(self.refused_queries, query):
            body(json.dumps({"status": "error", "errorType": "bad_data"}), 422)(handler)
            return
        spacing: Rows = [] if self.spacing_seconds is None else [({}, self.spacing_seconds)]
        rows = self.edges if "_bucket" in query else spacing if "count_over_time" in query else [({}, 1.0)]
        success([{"metric": labels, "value": [time.time(), str(value)]} for labels, value in rows])(handler)

    @contextmanager
    def served(self) -> Iterator[tuple[str, str]]:
        """The addresses of the API server and of Prometheus."""
        scene = self

        class Api(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._say(*scene.api(self.path, None))

            def do_POST(self) -> None:
                self._say(*scene.api(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))

            def _say(self, answer: dict[str, Any], status: int) -> None:
                body(json.dumps(answer), status, {"Content-Type": "application/json"})(self)

            def log_message(self, *_: object) -> None:
                pass

        with Quiet(("127.0.0.1", 0), Api) as api, Server() as prometheus:
            api.daemon_threads = True
            thread = Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            prometheus.replies = [self.prometheus]
            yield f"http://127.0.0.1:{api.server_address[1]}", NOBODY if self.prometheus_is_away else prometheus.url
            api.shutdown()
            thread.join()
