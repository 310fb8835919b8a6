"""A Prometheus that holds some minutes of the past of a Deployment: pods with a histogram, and what kube-state-metrics says of them."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from builders.prometheus_server import Server, body, success

Value = Callable[[float], float | None]  # by the minute that ends then, counted from the begin; None: a gap


@dataclass(frozen=True)
class Other:
    """What is answered where all ``words`` are in the question."""

    words: tuple[str, ...]
    labels: Mapping[str, str]
    value: Value


WORKLOAD = {"namespace": "shop", "recmodel_pod_prefix": "ranker-"}


@dataclass
class PastShop:
    """What each series was, a value a minute. Without ``state`` there is no kube-state-metrics."""

    begin_seconds: float  # Unix time of minute 0
    minutes: int
    load: Value = lambda _: 60.0
    late: Value = lambda _: 0.0
    replicas: Value = lambda _: 2.0
    edges: tuple[str, ...] = ("0.05", "0.1")
    state: bool = True
    histogram: str = "request_seconds"
    replies: Callable[[BaseHTTPRequestHandler], None] | None = None  # to whatever is asked
    more: Mapping[str, str] = field(default_factory=dict)  # labels of each row
    others: tuple[Other, ...] = ()  # answers to questions that hold such words, before all of these
    refuses: tuple[str, ...] = ()  # questions that hold such a word
    fails: tuple[str, ...] = ()  # questions with such a word: an answer of a server that is not able to give one
    asked: list[str] = field(default_factory=list)

    @contextmanager
    def served(self) -> Iterator[str]:
        """Its address."""
        with Server() as server:
            server.replies = [self.replies or self._answer]
            yield server.url

    def _answer(self, handler: Any) -> None:
        form = handler.form
        query = form["query"]
        self.asked.append(query)
        if any(word in query for word in self.refuses):
            refusal(422)(handler)
            return
        if any(word in query for word in self.fails):
            refusal(503)(handler)
            return
        if handler.path.endswith("query_range"):
            begin, end, step = (float(form[name]) for name in ("start", "end", "step"))
            moments = [begin + i * step for i in range(int((end - begin) / step) + 1)]
            rows = [
                (labels, [[t, str(v)] for t in moments if (v := self._at(value, t)) is not None])
                for labels, value in self._range(query)
            ]
            success([{"metric": labels, "values": values} for labels, values in rows if values])(handler)
            return
        success([{"metric": labels, "value": [float(form["time"]), text]} for labels, text in self._instant(query)])(
            handler
        )

    def _at(self, value: Value, moment: float) -> float | None:
        minute = (moment - self.begin_seconds) / 60.0
        found = value(minute) if 1 <= minute <= self.minutes else None
        return None if found is None or math.isnan(found) else found

    def _range(self, query: str) -> list[tuple[dict[str, str], Value]]:
        if others := self._others(query):
            return [(dict(other.labels), other.value) for other in others]
        workload = WORKLOAD
        if "kube_" in query:
            return [({"deployment": "ranker"}, self.replicas)] if self.state and "kube_deployment" in query else []
        if f"{self.histogram}_bucket" in query:
            les = re.search(r'le=~"([^"]*)"', query)
            wanted = [text.replace("\\\\", "") for text in les[1].split("|")] if les else []
            split = ", le)" in query
            return [
                ({**workload, "le": le} if split else workload, self._bucket(le))
                for le in (*self.edges, "+Inf")
                if le in wanted
            ]
        if "up{" in query:
            return [(workload, self.replicas)]
        return [(workload, self.load)] if f"{self.histogram}_count" in query else []

    def _bucket(self, le: str) -> Value:
        def within(minute: float) -> float | None:
            load, late = self.load(minute), self.late(minute)
            if load is None or late is None:
                return None
            edge = math.inf if le == "+Inf" else float(le)
            return load if math.isinf(edge) else load * (1.0 - late) * min(edge / 0.1, 1.0) if edge <= 0.1 else load

        return within

    def _others(self, query: str) -> list[Other]:
        return [other for other in self.others if all(word in query for word in other.words)]

    def _instant(self, query: str) -> list[tuple[dict[str, str], str]]:
        if others := self._others(query):
            return [(dict(other.labels), str(other.value(float(self.minutes)))) for other in others]
        if "__name__" in query:
            return [({"__name__": f"{self.histogram}_bucket"}, "8")]
        if f"{self.histogram}_bucket" in query:
            return [({**WORKLOAD, "le": le}, "2") for le in (*self.edges, "+Inf")]
        if "count_over_time" in query:
            return [({}, "15")]
        hpa = {"horizontalpodautoscaler": "keda-hpa-ranker"}
        answers = {
            "horizontalpodautoscaler_info": ({**hpa, "scaletargetref_name": "ranker"}, "1"),
            "spec_min_replicas": (hpa, "1"),
            "spec_max_replicas": (hpa, "8"),
            "spec_target_metric": ({**hpa, "metric_name": "s0-prometheus"}, "20"),
            "kube_pod_status_ready_time": ({}, "31"),
        }
        return [row for name, row in answers.items() if self.state and name in query]


def refusal(status: int) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer with this status, whatever is asked."""
    return body(json.dumps({"status": "error", "errorType": "execution", "error": "no"}), status)


def recent(**more: Any) -> PastShop:
    """The last forty minutes."""
    minutes = 40
    return PastShop(math.floor(time.time() / 60.0) * 60.0 - minutes * 60.0, minutes, **more)


OPERATOR = Path(__file__).resolve().parents[2] / "operator"
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(("numba", "matplotlib")))
from recmodel.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run_as_in_the_image(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line where neither the compiler of the request-level simulator nor matplotlib is there."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, *arguments], env={**os.environ, "PYTHONPATH": str(OPERATOR)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
