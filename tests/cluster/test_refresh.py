"""Refresh while serving: ten versions of a model, one after the other, under load."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from figures import measured
from kube import Kube, eventually
from requests_sent import Load, failed, within
from serving import Pool, Served
from versions import QUICK, proven, publish, record

pytestmark = pytest.mark.cluster

PER_SECOND, REFRESHES = 60.0, 10
RULES = {**QUICK, "stepDuration": "1s"}  # after each of the new pods, and once all are new


def test_ten_refreshes_under_load_lose_no_request(kube: Kube, namespace: str, serve: Callable[..., Served]) -> None:
    publish(kube, namespace, "ranker", record("full", "0"))
    served = serve(Pool(least=2, most=3, variant="full"), variants=[{"name": "full"}], rollout=RULES)
    served.wait_ready(cpu=2)
    took = []
    with Load(served, PER_SECOND) as load:
        eventually("the objective is met", served.has("ObjectiveMet", "True"), 60.0)
        for version in range(1, REFRESHES + 1):
            began = time.monotonic()
            publish(kube, namespace, "ranker", record("full", str(version)))
            eventually(f"version {version} serves", proven(served, str(version), "cpu"), 60.0, 0.5)
            took.append(time.monotonic() - began)
            objective = served.condition("ObjectiveMet")
            assert objective["status"] != "False", objective["message"]
    answers = load.answers()
    windows = [
        within([a for a in answers if start <= a.sent - answers[0].sent < start + 10.0])
        for start in range(0, int(answers[-1].sent - answers[0].sent) - 10, 10)
    ]
    measured(
        f"{REFRESHES} refreshes of two pods at {PER_SECOND:g} requests/s",
        f"{sum(took):.0f} s, longest {max(took):.0f} s; {len(answers)} requests, {failed(answers)}, "
        f"{100 * within(answers):.2f} % within 100 ms, worst 10 s {100 * min(windows):.1f} %",
    )
    assert failed(answers) == {}
    assert min(windows) >= 0.95
