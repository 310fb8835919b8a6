"""The demo's own RecModel: a real model behind a real runtime, answered through the gateway."""

from __future__ import annotations

import json
import os
import time

import pytest
import yaml
from figures import measured
from kube import Kube, Object, eventually
from samples import SAMPLE
from serving import GATEWAY, GATEWAY_NAMESPACE, Served, generate, hostname

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

SECONDS = 15


def test_the_sample_ranker_answers_inference_requests_through_the_gateway(kube: Kube, namespace: str) -> None:
    prefix = os.environ.get("IMAGE_PREFIX", "localhost/")
    body: Object = yaml.safe_load(SAMPLE.read_text(encoding="utf-8").replace("localhost/", prefix))
    body["metadata"]["namespace"] = namespace
    body["spec"]["route"] = {
        "parentRefs": [{"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}],
        "hostnames": [hostname(namespace, "ranker")],
    }
    began = time.monotonic()
    served = Served(kube, body)
    served.wait_ready(cpu=1)
    measured("the sample ranker, apply to Ready", f"{time.monotonic() - began:.1f} s")
    told = generated(served, prefix)
    assert told["due"] > 0
    assert told["ok"] == told["due"], told
    assert told["pools"] == {"cpu": told["ok"]}  # MLServer's own name: the pool's header reached the model's pods
    measured(
        "the sample ranker at 10 requests/s", f"p95 {told['p95_ms']} ms, {told['within']} of {told['due']} in time"
    )
    eventually("the operator saw the traffic", served.has("MetricsAvailable", "True"), 60.0)


def generated(served: Served, prefix: str, *more: str) -> Object:
    """The summary of the demo's load generator, run as a pod."""
    generate(served, prefix, 10, SECONDS, *more)

    def through() -> bool:
        phase = served.kube.get(names.POD, served.namespace, "generator")["status"].get("phase")
        assert phase != "Failed", served.kube.log(served.namespace, "generator")[-2000:]
        return bool(phase == "Succeeded")

    eventually("the load is through", through, SECONDS + 90.0, every_seconds=1.0)
    return dict(json.loads(served.kube.log(served.namespace, "generator").splitlines()[-1]))
