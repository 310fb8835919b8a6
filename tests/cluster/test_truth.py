"""What goes wrong is said by the RecModel itself, in the cluster's own words, within a minute, in a condition and an Event."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
from kube import Kube, Object, eventually
from serving import Pool, Served, recmodel
from side_by_side import together

from recmodel.cluster import names
from recmodel.cluster.names import Kind

pytestmark = pytest.mark.cluster

EVENT = Kind("Event", "v1", "events")
QUOTA = Kind("ResourceQuota", "v1", "resourcequotas")
SAID_SECONDS = 60.0
OVERDUE_SECONDS = 90.0  # a pod has a minute from when its containers run, and the operator looks at it every 15 s


def broken(name: str, change: Callable[[Object], object], namespace: str) -> Object:
    """A RecModel of which the container is changed."""
    body = copy.deepcopy(recmodel(namespace, name, Pool()))
    change(body["spec"]["pools"][0]["template"]["spec"]["containers"][0])
    return body


def says(served: Served, kind: str, *words: str, within: float = SAID_SECONDS) -> None:
    """Waits until a condition and an Event have these words."""

    def look() -> bool:
        message = served.condition(kind)["message"]
        assert all(word in message for word in words), f"{kind}: {message}"
        told = [
            e["message"]
            for e in served.kube.list(EVENT, served.namespace)
            if e["involvedObject"]["name"] == served.name
        ]
        assert any(all(word in one for word in words) for one in told), f"Events: {told}"
        return True

    eventually(f"{served.name} says {words}", look, within)


@together
def test_why_pods_do_not_start_is_said_in_the_clusters_own_words(kube: Kube, namespace: str) -> None:
    image = "localhost:1/nobody/has-this:1"
    bodies = {
        "image": lambda c: c.update(image=image, imagePullPolicy="Always"),
        "crash": lambda c: c.update(command=["python", "-c", "raise SystemExit(3)"]),
        "config": lambda c: c["env"].append(
            {"name": "X", "valueFrom": {"configMapKeyRef": {"name": "not-there", "key": "x"}}}
        ),
        "node": lambda c: c["resources"]["requests"].update(memory="90000Gi") or c["resources"].pop("limits"),
    }
    served = {name: Served(kube, broken(name, change, namespace)) for name, change in bodies.items()}
    says(served["image"], "Degraded", "container server: ImagePullBackOff", image)
    says(served["crash"], "Degraded", "CrashLoopBackOff", "it ended with exit code 3")
    says(served["config"], "Degraded", "CreateContainerConfigError", 'configmap "not-there" not found')
    says(served["node"], "CapacityAvailable", "Unschedulable", "nodes are available", "Insufficient memory")
    quota = {"metadata": {"name": "none", "namespace": namespace}, "spec": {"hard": {"pods": "0"}}}
    kube.create(QUOTA, namespace, {"apiVersion": "v1", "kind": "ResourceQuota", **quota})
    refused = Served(kube, recmodel(namespace, "quota", Pool()))
    says(refused, "Degraded", "exceeded quota: none", "limited: pods=0")
    assert refused.condition("Ready")["reason"] == "PodsRefused"
    assert served["crash"].condition("Ready")["reason"] == "PodsNotStarting"
    assert kube.list(names.DEPLOYMENT, namespace)
    assert served["crash"].status()["lastDecisionTime"]


@together
def test_pods_that_run_and_never_become_ready_are_explained_within_90_seconds(kube: Kube, namespace: str) -> None:
    def wrong_port(container: Object) -> None:
        container["readinessProbe"]["httpGet"]["port"] = 9999

    def slow(container: Object) -> None:
        wrong_port(container)
        container["startupProbe"] = {**container["readinessProbe"], "periodSeconds": 10, "failureThreshold": 60}

    def no_volume(body: Object) -> Object:
        body["spec"]["pools"][0]["template"]["spec"]["volumes"][0]["configMap"]["name"] = "not-there"
        return body

    declared = Served(kube, broken("declared", slow, namespace))
    port = Served(kube, broken("port", wrong_port, namespace))
    volume = Served(kube, no_volume(recmodel(namespace, "volume", Pool())))
    two = recmodel(namespace, "two", Pool(), Pool("spare"))
    wrong_port(two["spec"]["pools"][1]["template"]["spec"]["containers"][0])
    beside = Served(kube, two)
    said = (
        "not been Ready for",
        "containers with unready status: [server]",
        "GET :9999/ready, the port of the pool is 8080",
    )
    says(
        port, "Degraded", "pool cpu: 1 pod has", *said, f"kubectl -n {namespace} logs port-cpu-", within=OVERDUE_SECONDS
    )
    says(port, "Ready", "no replica is ready: pool cpu", *said)
    assert port.condition("Ready")["reason"] == port.condition("Degraded")["reason"] == "PodsNotReady"
    says(beside, "Degraded", "pool spare: 1 pod has", *said)
    assert beside.condition("Ready")["status"] == "True"
    says(volume, "Degraded", "has not started", "ContainerCreating", "volumes or its network are not ready")
    assert volume.condition("Ready")["reason"] == "PodsNotStarted"
    assert declared.condition("Ready")["reason"] == "Starting"  # it has ten minutes
    assert declared.condition("Degraded")["status"] == "False"
