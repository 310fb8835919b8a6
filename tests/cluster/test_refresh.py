"""Refresh while serving: ten versions of a model, one after the other, under load; and a real ranker's new version."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest
import yaml
from figures import measured
from kube import Kube, Object, eventually
from requests_sent import Load, failed, within
from samples import SAMPLE
from serving import GATEWAY, GATEWAY_NAMESPACE, Pool, Served, generate, hostname
from versions import QUICK, proven, publish, record

pytestmark = pytest.mark.cluster

PER_SECOND, REFRESHES = 60.0, 10
RANKER_PER_SECOND = 10
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


def test_a_real_ranker_is_refreshed_without_a_failed_request(kube: Kube, namespace: str) -> None:
    prefix = os.environ.get("IMAGE_PREFIX", "localhost/")
    body: Object = yaml.safe_load(SAMPLE.read_text(encoding="utf-8").replace("localhost/", prefix))
    body["metadata"]["namespace"] = namespace
    pool = body["spec"]["pools"][0]
    pool |= {"variant": "full", "replicas": {"min": 2, "max": 3}}
    for variable in pool["template"]["spec"]["containers"][0]["env"]:
        if variable["name"] == "MLSERVER_MODEL_URI":
            variable["value"] = "$(RECMODEL_MODEL_URI)"
    route = {
        "parentRefs": [{"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}],
        "hostnames": [hostname(namespace, "ranker")],
    }
    body["spec"] |= {"route": route, "pools": [pool], "variants": [{"name": "full"}], "rollout": RULES}
    files = {version: f"./ranker-{kind}.onnx" for version, kind in (("1", "fp32"), ("2", "int8"))}
    records = {v: record("full", v).model_copy(update={"uri": uri}) for v, uri in files.items()}
    publish(kube, namespace, "ranker", records["1"])
    served = Served(kube, body)
    served.wait_ready(cpu=2)
    generate(served, prefix, RANKER_PER_SECOND, 400)  # for longer than the refresh takes
    eventually("the objective is met", served.has("ObjectiveMet", "True"), 60.0)
    publish(kube, namespace, "ranker", records["2"])
    began = time.monotonic()
    eventually("version 2 serves", proven(served, "2", "cpu"), 120.0, 1.0)
    took = time.monotonic() - began
    lines = kube.log(namespace, "generator").splitlines()
    seconds = [json.loads(line) for line in lines if '"second"' in line]
    due, ok, in_time = (sum(second[what] for second in seconds) for what in ("due", "ok", "within"))
    worst = max(seconds, key=lambda second: second["due"] - second["within"])
    measured(
        f"the sample ranker refreshed, two pods at {RANKER_PER_SECOND} requests/s",
        f"{took:.0f} s; of {due} requests {due - ok} failed, {due - in_time} late; "
        f"worst second {worst['within']} of {worst['due']} in time",
    )
    assert ok == due > 300
    assert in_time >= 0.95 * due
