"""What asking Prometheus may cost: time, whatever hangs; memory, whatever it answers; and one group of queries nothing
of another's.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Hashable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.prometheus_server import ONE, Server, body, success
from recmodel.api.v1alpha1 import Metrics, ProfileName
from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.profile import load_profile
from recmodel.prometheus.queries import profile_queries
from recmodel.prometheus.readings import ModelView, PoolView
from recmodel.prometheus.session import AnswerUnusable, Connection, PrometheusError, PrometheusUnavailable

ROOT = Path(__file__).parents[3]


def test_looking_up_a_name_counts_against_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    found, ends = socket.getaddrinfo, threading.Event()

    def lookup(host: Any, *more: Any, **named: Any) -> Any:
        if host == "prometheus.example":
            ends.wait(60.0)
        return found("127.0.0.1" if host == "prometheus.example" else host, *more, **named)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with Server() as server:
        server.replies = [success(ONE)]
        port = server.url.rsplit(":", 1)[1]
        client = PrometheusClient(Connection(url=f"http://prometheus.example:{port}"))
        began = time.monotonic()
        answers = client.query_all([f"up{i}" for i in range(20)], 1, budget_seconds=0.3)
        assert {type(answer) for answer in answers.values()} == {PrometheusUnavailable}
        with pytest.raises(PrometheusUnavailable, match="in time"):
            client.query("up", 1, budget_seconds=0.1)
        client.close()
        assert time.monotonic() - began < 30.0, (
            "neither a query nor the end waits for the name, for which it takes a minute"
        )
        ends.set()


def test_a_group_that_hangs_takes_nothing_from_the_others() -> None:
    def reply(handler: Any) -> None:
        (server.hang if "hung" in handler.form["query"] else success(ONE))(handler)

    patient = {"read_timeout_seconds": 60.0, "deadline_seconds": 60.0}  # a query that hangs takes all of the budget
    with Server() as server, closing(PrometheusClient(Connection(server.url, **patient))) as client:
        server.replies = [reply]
        hung = [f"hung{i}" for i in range(8)]
        others = [[f"good{i}{j}" for j in range(8)] for i in range(3)]
        groups = {query: number for number, group in enumerate([hung, *others]) for query in group}
        answers = client.query_all(groups, 1, budget_seconds=4.0)
    assert all(isinstance(answers[query], PrometheusUnavailable) for query in hung)
    good = [query for group in others for query in group]
    assert all(isinstance(answers[query], Vector) for query in good), "a hung profile must not blind another one"


def test_what_two_profiles_ask_waits_for_neither_of_them() -> None:
    asked: dict[str, object] = {}

    class Noting(PrometheusClient):
        def query_all(
            self, queries: Iterable[str] | Mapping[str, Hashable], at_seconds: float, budget_seconds: float
        ) -> dict[str, Vector | PrometheusError]:
            assert isinstance(queries, Mapping)
            asked.update(queries)
            return {query: Vector(()) for query in queries}

    def model(name: str, profile: ProfileName) -> ModelView:
        return ModelView(
            "demo", name, 0.1, 0.95, Metrics(profile=profile), (PoolView("cpu", 1.0, 1),), {"pod-1": "cpu"}
        )

    models = [model("a", "triton"), model("b", "mlserver")]
    gather(Noting(Connection(url="http://127.0.0.1:1")), models, 1.0)
    triton, mlserver = ({*profile_queries(load_profile(name), 60.0).all()} for name in ("triton", "mlserver"))
    groups = [{asked[query] for query in some} for some in (triton - mlserver, mlserver - triton, triton & mlserver)]
    assert all(len(group) == 1 for group in groups)
    assert len(set.union(*groups, {asked[query] for query in asked.keys() - triton - mlserver})) == 4


def test_the_message_of_a_too_large_answer_names_the_setting(server: Server) -> None:
    server.replies = [body(b" " * 2**21)]
    client = PrometheusClient(Connection(url=server.url, max_answer_bytes=2**20))
    with pytest.raises(AnswerUnusable, match=r"1048576 bytes allowed \(prometheus.maxAnswerMebibytes\)"):
        client.query("up", 1)
    client.close()


@pytest.mark.parametrize(
    ("element", "kind"), [('{"metric":{},"value":[1,"1"]}', "Vector"), ("{}", "AnswerUnusable")], ids=["series", "none"]
)
def test_the_largest_answer_fits_the_charts_memory_limit(server: Server, element: str, kind: str) -> None:
    """Several smaller ones at once, in a process of its own, whose highest memory is then known."""
    size = 4 * 2**20
    head, tail = '{"status":"success","data":{"resultType":"vector","result":[', "]}}"
    server.replies = [body(head + ",".join([element] * ((size - len(head)) // (len(element) + 1) - 1)) + tail)]
    program = f"""
import resource
import recmodel.controller.operator
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.session import Connection

def peak():
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

client = PrometheusClient(Connection({server.url!r}, deadline_seconds=60.0, read_timeout_seconds=60.0))
before = peak()
answers = client.query_all({{name: name for name in "abc"[:{1 if kind == "Vector" else 3}]}}, 1, 60.0)
print(*{{type(answer).__name__ for answer in answers.values()}}, before, peak())
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=100)
    kinds, before, peak = result.stdout.split()
    assert kinds == kind
    largest = Connection(server.url).max_answer_bytes
    limits = yaml.safe_load((ROOT / "charts" / "recmodel" / "values.yaml").read_text())["resources"]["limits"]
    assert limits["memory"] == "1Gi"
    assert int(before) + (int(peak) - int(before)) / size * largest < 2**30
