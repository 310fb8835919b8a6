"""Nodes ahead of need on a real API server, with the API's own CRD. No node autoscaler runs here: the test says what one would."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from custom_kinds import CRD
from figures import measured
from installed import OPERATOR_NAMESPACE, RELEASE, ROOT
from kube import Kube, Object, eventually, run, throughout
from requests_sent import Load
from serving import Pool, Served
from test_attach import BUSY, LABELS, METRICS, made

from recmodel.api.v1alpha1 import API_VERSION, KIND
from recmodel.cluster import names

pytestmark = pytest.mark.cluster

BUFFER = names.CAPACITY_BUFFERS[0]
SCRIPT = ROOT / "hack" / "cluster" / "capacity-buffers.sh"
FOUND_SECONDS = 90.0  # the operator looks once a minute for a kind that was not there
# 50 requests/s a pod.
SMALL = Pool("small", least=1, most=12, service_ms=20.0, slots=1)
# In two steps, so that nobody is late: replicas that are added for that leave no node to be asked for.
CALM_PER_SECOND, HALF_WAY_PER_SECOND, PER_SECOND = 15.0, 30.0, 60.0


def allowed(enabled: bool) -> None:
    run(
        "helm", "upgrade", RELEASE, str(ROOT / "charts" / "recmodel"), "-n", OPERATOR_NAMESPACE, "--reset-then-reuse-values", "--wait",
        "--timeout", "180s", "--set", f"nodeBuffers={str(enabled).lower()}", seconds=240.0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def node_autoscaler(kube: Kube, operator: None) -> Iterator[Callable[[], None]]:
    """Installs its CRD when it is called; the operator may make buffers from the beginning."""
    if kube.find(CRD, None, BUFFER.resource) is not None:
        pytest.skip("the cluster has CapacityBuffers of its own")
    allowed(True)
    try:
        yield lambda: subprocess.run([SCRIPT, "up"], check=True, timeout=300) and None
    finally:
        allowed(False)
        subprocess.run([SCRIPT, "down"], check=True, timeout=120)


def asking(pool: Pool, **buffer: str) -> Object:
    return {**pool.spec(), "nodeBuffer": buffer}


def found(kube: Kube, served: Served, name: str) -> Object | None:
    return kube.find(BUFFER, served.namespace, name)


def wanted(served: Served) -> tuple[int, int]:
    """Replicas that are decided, and those for which nodes are asked for beside them, once the status has both."""
    pool = served.status()["pools"][0]
    assert (pool.get("nodeBuffer") or {}).get("replicas") is not None, pool.get("nodeBuffer")
    return pool["desired"], pool["nodeBuffer"]["replicas"]


def test_a_pool_that_asks_has_a_buffer_that_follows_the_load_where_the_kind_is_served(
    kube: Kube, serve: Callable[..., Served], node_autoscaler: Callable[[], None]
) -> None:
    served = serve(SMALL)
    name = names.child_name(served.name, "small")
    served.wait_ready(small=1)
    served.change({"pools": [asking(SMALL)]})

    def told(words: str) -> Callable[[], bool]:
        def look() -> bool:
            message = served.condition("CapacityAvailable")["message"]
            assert words in message, message
            return True

        return look

    eventually("it is said that the kind is not there", told("the cluster serves no CapacityBuffer"), 30.0)
    assert served.condition("CapacityAvailable")["status"] == "True"
    node_autoscaler()
    with Load(served, CALM_PER_SECOND) as load:
        body = eventually("there is a buffer", lambda: found(kube, served, name), FOUND_SECONDS)
        assert body["spec"]["scalableRef"] == {"apiGroup": "apps", "kind": "Deployment", "name": name}
        assert body["spec"]["provisioningStrategy"] == "buffer.x-k8s.io/active-capacity", "the API's default"
        (owner,) = body["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"]) == ("RecModel", served.name)
        eventually("a decision says how many", lambda: wanted(served) and True, 30.0)
        calm = sum(wanted(served))
        load.rate(HALF_WAY_PER_SECOND)
        eventually("a second replica is ready", lambda: served.ready()["small"] > 1, 60.0)
        load.rate(PER_SECOND)
        eventually("nodes for more are asked for", lambda: sum(wanted(served)) > calm and wanted(served)[1] > 0, 90.0)

        def same() -> bool:
            decided, ahead = wanted(served)
            stands = kube.get(BUFFER, served.namespace, name)["spec"]["replicas"]
            assert ahead == stands, (ahead, stands)
            assert decided + stands <= SMALL.most
            return True

        eventually("the buffer says what is decided", same, 30.0)
        decided, ahead = wanted(served)
        measured(
            f"node buffer at {PER_SECOND:.0f} requests/s",
            f"{decided} decided and nodes for {ahead} more, {calm} in all at {CALM_PER_SECOND:.0f} requests/s",
        )
        eventually("nobody has taken it up", told("no node autoscaler has taken it up"), 30.0)
        condition = {
            "type": "ReadyForProvisioning", "status": "False", "reason": "Odd", "message": "no such pods",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }  # fmt: skip
        kube.merge(BUFFER, served.namespace, name, {"status": {"conditions": [condition]}}, "status")
        eventually("what it says is told", told("ReadyForProvisioning is False (Odd): no such pods"), 30.0)
        kube.merge(BUFFER, served.namespace, name, {"spec": {"replicas": 77}})
        eventually("an edit is put back", lambda: (found(kube, served, name) or {})["spec"]["replicas"] < 77, 30.0)
        served.change({"mode": "Recommend"})
        eventually("it recommends", lambda: served.status()["state"] == "Recommending", 30.0)
        version = kube.get(BUFFER, served.namespace, name)["metadata"]["generation"]
        load.rate(CALM_PER_SECOND)
        throughout(15.0, lambda: unchanged(kube.get(BUFFER, served.namespace, name), version))
        served.change({"mode": "Auto", "pools": [SMALL.spec()]})
        eventually("it goes when nobody asks for it", lambda: found(kube, served, name) is None, 30.0)
        served.change({"pools": [asking(SMALL, leadTime="60s")]})
        eventually("it is made again", lambda: found(kube, served, name), 60.0)
        kube.delete(names.RECMODEL, served.namespace, served.name)
        eventually("it goes with the RecModel", lambda: found(kube, served, name) is None, 60.0)


def unchanged(body: Object, generation: int) -> None:
    assert body["metadata"]["generation"] == generation


def test_a_workload_by_reference_has_one_too_and_is_named_by_it(
    kube: Kube, namespace: str, node_autoscaler: Callable[[], None]
) -> None:
    node_autoscaler()
    template = {"metadata": {"labels": LABELS}, "spec": BUSY.spec()["template"]["spec"]}
    selector = {"matchLabels": {"app": LABELS["app"]}}
    made(kube, namespace, names.DEPLOYMENT, "shop-ranker", {"replicas": 1, "selector": selector, "template": template})
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    made(kube, namespace, names.SERVICE, "shop-ranker", {"selector": {"app": LABELS["app"]}, "ports": ports})
    pool: dict[str, Any] = {
        "name": "cpu", "replicas": {"min": 1, "max": 4}, "costPerHour": "1.0", "nodeBuffer": {},
        "targetRef": {"kind": "Deployment", "name": "shop-ranker"},
    }  # fmt: skip
    spec = {"objective": {"latency": {"threshold": "100ms"}}, "metrics": METRICS, "pools": [pool]}
    metadata = {"name": "ranker", "namespace": namespace}
    served = Served(kube, {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec})
    with Load(served, CALM_PER_SECOND, url=f"http://shop-ranker.{namespace}/"):
        body = eventually("there is a buffer", lambda: found(kube, served, "ranker-cpu"), FOUND_SECONDS)
        assert body["spec"]["scalableRef"] == {"apiGroup": "apps", "kind": "Deployment", "name": "shop-ranker"}
        managers = {
            e["manager"] for e in kube.get(names.DEPLOYMENT, namespace, "shop-ranker")["metadata"]["managedFields"]
        }
        assert managers - {names.FIELD_MANAGER} == {"recmodel-tests", "kube-controller-manager"}
        served.change({"pools": [{key: value for key, value in pool.items() if key != "nodeBuffer"}]})
        eventually("it goes when nobody asks for it", lambda: found(kube, served, "ranker-cpu") is None, 30.0)
