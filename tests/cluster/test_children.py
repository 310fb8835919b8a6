"""A RecModel's children: made, served through the gateway, kept as they are, left to another autoscaler, and gone."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest
import yaml
from figures import measured
from installed import ROOT
from kube import Kube, Object, eventually, run, throughout
from requests_sent import Load, failed
from serving import GATEWAY, GATEWAY_NAMESPACE, GPU, IMAGE, Pool, Served, hostname, weights_of
from side_by_side import together

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

KINDS = (names.DEPLOYMENT, names.SERVICE, names.DISRUPTION_BUDGET, names.ROUTE)


def children(served: Served) -> dict[tuple[str, str], Object]:
    """All children by kind and name."""
    labels = f"{names.MODEL_LABEL}={served.name}"
    found = [(kind, body) for kind in KINDS for body in served.kube.list(kind, served.namespace, labels)]
    return {(kind.kind, body["metadata"]["name"]): body for kind, body in found}


@together
def test_apply_is_ready_and_traffic_flows_through_the_gateway(serve: Callable[..., Served]) -> None:
    began = time.monotonic()
    served = serve(Pool(), GPU)
    eventually("it is Ready", served.has("Ready", "True"), 120.0)
    measured("apply to Ready", f"{time.monotonic() - began:.1f} s")
    eventually("nobody has asked yet", served.has("MetricsAvailable", "Unknown", "NoRequestsSeen"), 30.0)
    assert served.status()["state"] == "AwaitingRequests"
    with Load(served, 20.0) as load:
        eventually("metrics come", served.has("MetricsAvailable", "True"), 60.0)
        eventually("the objective is met", served.has("ObjectiveMet", "True"), 60.0)
    answers = load.answers()
    assert failed(answers) == {}
    assert {answer.pool for answer in answers} <= {"cpu", "gpu"}
    header, row = run("kubectl", "get", "rmo", "-n", served.namespace).splitlines()
    assert header.split() == [
        "NAME",
        "READY",
        "OBJECTIVE",
        "WITHIN",
        "METRICS",
        "LOAD/S",
        "REPLICAS",
        "COST/H",
        "STATE",
        "REASON",
        "DECIDED",
        "AGE",
    ]
    assert row.split()[:3] == ["ranker", "True", "True"]
    assert "cpu 1/1" in row


@together
def test_children_are_owned_labelled_and_of_one_field_manager(serve: Callable[..., Served]) -> None:
    served = serve(Pool(), GPU)
    served.wait_ready(cpu=1)
    found = children(served)
    each = {(kind.kind, f"ranker-{pool}"): pool for kind in KINDS[:3] for pool in served.pools}
    assert set(found) == {*each, ("HTTPRoute", "ranker")}
    uid = served.body()["metadata"]["uid"]
    for (kind, name), body in found.items():
        (owner,) = body["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("RecModel", "ranker", uid, True)
        assert body["metadata"]["labels"].items() >= names.labels("ranker", each.get((kind, name))).items()
        applied = [entry for entry in body["metadata"]["managedFields"] if entry["operation"] == "Apply"]
        assert {entry["manager"] for entry in applied} == {"recmodel"}
        if kind == "Deployment":  # the number is applied apart, so that applying the template never resets it
            (scale,) = [entry for entry in applied if entry.get("subresource") == "scale"]
            assert "f:replicas" in scale["fieldsV1"]["f:spec"]
    assert served.body()["metadata"].get("finalizers", []) == []


@together
def test_deleting_it_leaves_nothing_behind(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(Pool(), GPU)
    served.wait_ready(cpu=1)
    assert len(children(served)) == 7
    began = time.monotonic()
    kube.delete(names.RECMODEL, served.namespace, served.name)
    eventually("the RecModel is gone", lambda: kube.find(names.RECMODEL, served.namespace, served.name) is None, 10.0)

    def nothing() -> bool:
        left = [*children(served), *(pod["metadata"]["name"] for pod in served.pods())]
        assert left == [], f"left: {left}"
        return True

    eventually("nothing of it is left", nothing, 90.0)
    measured("delete to nothing left, pods included", f"{time.monotonic() - began:.1f} s")
    # Nor does the operator recreate anything, for which it gets the time of some ticks.
    throughout(12.0, lambda: nothing() and None)


@pytest.mark.parametrize(
    ("parent", "told"),
    [
        ({"name": "nowhere", "namespace": GATEWAY_NAMESPACE}, f"Gateway {GATEWAY_NAMESPACE}/nowhere does not answer"),
        (
            {"name": GATEWAY, "namespace": GATEWAY_NAMESPACE, "sectionName": "nowhere"},
            f"Gateway {GATEWAY_NAMESPACE}/{GATEWAY} (nowhere): Accepted is False",
        ),
    ],
    ids=["a gateway that is not there", "a listener that is not there"],
)
@together
def test_a_route_that_no_gateway_takes_is_told_and_the_right_name_heals_it(
    serve: Callable[..., Served], parent: Object, told: str
) -> None:
    served = serve(Pool())
    served.wait_ready(cpu=1)
    right = served.body()["spec"]["route"]["parentRefs"]
    served.change({"route": {"parentRefs": [parent]}})
    eventually("it is told", served.has("Ready", "False", "RouteNotAccepted"), 30.0)
    assert told in served.condition("Ready")["message"]
    served.change({"route": {"parentRefs": right}})
    eventually("it is Ready again", served.has("Ready", "True"), 30.0)


@together
def test_weights_edited_by_hand_are_put_back(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(Pool("cpu", least=2, most=2), Pool("spare", least=1, most=1))
    served.wait_ready(cpu=2, spare=1)
    before = eventually("no change under way", lambda: settled(served), 60.0)
    took = []
    with kube.watching(names.ROUTE, served.namespace) as events:
        other = 1 if before["cpu"] != 1 else 2  # 1 is what a pool keeps that became ready after the other one
        edit = [{"op": "replace", "path": "/spec/rules/0/backendRefs/0/weight", "value": other}]
        kube.json_patch(names.ROUTE, served.namespace, served.name, edit)

        def back() -> bool:
            seen = [(event.at, weights_of(event.object, served.name)) for event in events]
            edited = next((n for n, (_, weights) in enumerate(seen) if weights["cpu"] == other), None)
            assert edited is not None, f"the edit has not been seen yet, only {seen}; it was {before}"
            # By their order: the answer may come with the edit, in one piece and at one time.
            later = [at - seen[edited][0] for at, weights in seen[edited + 1 :] if weights == before]
            took[:] = later
            return bool(later)

        eventually("the weights are as they were", back, 30.0)
    measured("weights edited by hand to put back", f"{1000 * took[0]:.0f} ms")


def settled(served: Served) -> dict[str, int] | None:
    """The weights, if they do not move for two ticks."""
    before = served.weights()
    time.sleep(11.0)
    return before if served.weights() == before else None


@together
def test_another_autoscaler_is_refused_and_without_it_the_loop_goes_on(
    kube: Kube, serve: Callable[..., Served]
) -> None:
    served = serve(Pool())
    served.wait_ready(cpu=1)
    kube.create(names.AUTOSCALER, served.namespace, {
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "other"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ranker-cpu"},
            "minReplicas": 1, "maxReplicas": 3,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}],
        },
    })  # fmt: skip
    eventually("it is refused", served.has("Degraded", "True", "AnotherAutoscaler"), 30.0)
    assert "other scales pool cpu" in served.condition("Degraded")["message"]
    served.change_pools(Pool(least=2))

    def untouched() -> None:
        assert served.replicas() == {"cpu": 1}

    throughout(15.0, untouched)
    kube.delete(names.AUTOSCALER, served.namespace, "other")
    eventually("the condition is gone", served.has("Degraded", "False"), 30.0)
    eventually("the loop goes on", lambda: served.replicas() == {"cpu": 2}, 30.0)


ASKS = """
import sys, time, urllib.request
until = time.monotonic() + 120
while True:
    try:
        request = urllib.request.Request(sys.argv[1], headers={"Host": sys.argv[2]})
        print(urllib.request.urlopen(request, timeout=5).status)
        sys.exit(0)
    except OSError as error:
        print(error, flush=True)
    if time.monotonic() > until:
        sys.exit(1)
    time.sleep(1)
"""


def asked(served: Served, path: str) -> None:
    """A pod asks the gateway until it answers with 200."""
    command = ["python", "-c", ASKS, f"http://{os.environ['GATEWAY_ADDRESS']}{path}", served.host]
    container = {"name": "asks", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": command}
    spec = {"restartPolicy": "Never", "containers": [container]}
    served.kube.create(names.POD, served.namespace, {"metadata": {"name": "asks"}, "spec": spec})

    def answered() -> bool:
        phase = served.kube.get(names.POD, served.namespace, "asks")["status"].get("phase")
        assert phase != "Failed", served.kube.log(served.namespace, "asks")[-500:]
        return bool(phase == "Succeeded")

    eventually("the gateway answers", answered, 140.0)


@together
def test_the_smallest_sample_serves_as_it_stands_but_for_what_it_asks_to_put_in(kube: Kube, namespace: str) -> None:
    """Its header asks for a namespace, a hostname, images, ports and a Gateway; the image has a server on its port."""
    text = (ROOT / "manifests" / "samples" / "minimal.yaml").read_text(encoding="utf-8")
    image = f"{os.environ.get('IMAGE_PREFIX', 'localhost/')}recmodel-ranker:dev"
    put_in = {
        "namespace: shop": f"namespace: {namespace}",
        "home-feed.shop.example": hostname(namespace, "home-feed"),
        "image: server:1": f"image: {image}",
        "{name: edge, namespace: gateways}": f"{{name: {GATEWAY}, namespace: {GATEWAY_NAMESPACE}}}",
    }
    for written, meant in put_in.items():
        assert written in text
        text = text.replace(written, meant)
    began = time.monotonic()
    served = Served(kube, yaml.safe_load(text))
    served.wait_ready(cpu=1)
    asked(served, "/v2/health/ready")
    measured("the smallest sample, apply to its first answer", f"{time.monotonic() - began:.1f} s")
