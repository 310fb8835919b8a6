"""Real model servers that answer gRPC behind the real gateway: calls reach them, weights move, and failed calls are counted."""

from __future__ import annotations

import asyncio
import copy
import os

import pytest
import yaml
from figures import measured
from kube import Kube, Object, eventually
from requests_sent import Answer, GrpcLoad, failed, share
from samples import SAMPLE
from serving import GATEWAY, GATEWAY_NAMESPACE, Served, hostname
from test_ranker import generated
from test_weights import write_weights

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

GRPC_PORT = 8081  # MLServer's own default


def ranker(namespace: str, *pools: str, mode: str) -> Object:
    """The sample ranker on MLServer, with these pools, that all answer gRPC."""
    prefix = os.environ.get("IMAGE_PREFIX", "localhost/")
    body: Object = yaml.safe_load(SAMPLE.read_text(encoding="utf-8").replace("localhost/", prefix))
    (first, *_) = body["spec"]["pools"]
    body["metadata"]["namespace"] = namespace
    body["spec"]["mode"] = mode
    body["spec"]["pools"] = [answering(first, name) for name in pools]
    body["spec"]["route"] = {
        "parentRefs": [{"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}],
        "hostnames": [hostname(namespace, "ranker")],
    }
    return body


def answering(pool: Object, name: str) -> Object:
    """The pool under another name, on the port where its server answers gRPC."""
    made = copy.deepcopy(pool)
    (container,) = made["template"]["spec"]["containers"]
    container["ports"].append({"name": "grpc", "containerPort": GRPC_PORT})
    for variable in container["env"]:
        if variable["name"] == "MLSERVER_SERVER_NAME":
            variable["value"] = name
    return {**made, "name": name, "replicas": {"min": 1, "max": 2}, "protocol": "GRPC", "port": GRPC_PORT}


def test_weights_move_between_two_pools_that_answer_grpc_and_no_call_fails(kube: Kube, namespace: str) -> None:
    """Then one of the pools leaves the spec, and is drained, while calls go on."""
    body = ranker(namespace, "cpu", "spare", mode="Recommend")  # so that the loop leaves the weights to this test
    served = Served(kube, body)
    served.wait_ready(cpu=1, spare=1)
    (service,) = kube.get(names.SERVICE, namespace, "ranker-cpu")["spec"]["ports"]
    assert service["appProtocol"] == "kubernetes.io/h2c"
    assert kube.find(names.ROUTE, namespace, "ranker") is None
    changes = [{"cpu": high, "spare": 1000 - high} for high in (999, 1, 500, 900, 100, 999, 1, 700)]
    with GrpcLoad(served, 20.0) as load:
        asyncio.run(write_weights(served, changes, 3.0))
        moved = load.answers()
        eventually("the operator saw the calls", served.has("MetricsAvailable", "True"), 60.0)
        eventually("all are in time", served.has("ObjectiveMet", "True"), 60.0)
        (kept, _) = body["spec"]["pools"]
        served.change({"pools": [kept]})
        gone = lambda: kube.find(names.DEPLOYMENT, namespace, "ranker-spare") is None  # noqa: E731
        eventually("the pool that left is drained and gone", gone, 180.0)
        eventually("the other one answers all", lambda: share(load.answers()[-40:], "cpu") == 1.0, 30.0)
    answers = load.answers()
    measured("weights and a drain under 20 gRPC calls/s", f"{len(answers)} calls, {failed(answers)}")
    assert failed(answers) == {}
    assert len(answers) > 400
    assert 0.3 < share(moved, "cpu") < 0.9  # the mean of the weights is 0.65
    assert longest_stay(moved, "cpu") > 20  # at weight 999
    assert longest_stay(moved, "spare") > 20  # at weight 1


def longest_stay(answers: list[Answer], pool: str) -> int:
    """How many calls in a row a pool answered at most."""
    longest = now = 0
    for answer in answers:
        now = now + 1 if answer.pool == pool else 0
        longest = max(longest, now)
    return longest


def test_calls_that_the_server_refuses_count_as_failed(kube: Kube, namespace: str) -> None:
    """A third of the calls ends with INTERNAL, after an answer with HTTP status 200 and in time."""
    served = Served(kube, ranker(namespace, "cpu", mode="Recommend"))
    served.wait_ready(cpu=1)
    told = generated(served, os.environ.get("IMAGE_PREFIX", "localhost/"), "--grpc")  # by the demo's load generator
    assert told["ok"] == told["due"] > 0, told
    assert told["pools"] == {"cpu": told["ok"]}
    measured(
        "the sample ranker at 10 gRPC calls/s", f"p95 {told['p95_ms']} ms, {told['within']} of {told['due']} in time"
    )
    with GrpcLoad(served, 10.0, failing=0.33) as load:
        eventually("the failed ones miss the objective", served.has("ObjectiveMet", "False"), 60.0)
        # The window holds calls of the load before for a while.
        said = eventually("all of the window is of this load", lambda: third_failed(served), 120.0)
    assert failed(load.answers()).keys() == {"INTERNAL"}
    measured("a third of the gRPC calls with INTERNAL", f"within the threshold: {said}")


def third_failed(served: Served) -> str:
    """What the status says of the share in time, where about a third is not; else nothing."""
    said = str(served.status().get("withinThreshold", ""))
    return said if said and 55.0 < float(said.rstrip("%").split("-")[0].rstrip("%")) < 80.0 else ""
