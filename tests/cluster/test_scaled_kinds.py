"""Workloads of which only the scale says how many replicas there are and which pods are theirs: a kind of the test's own, an Argo Rollout
with its controller, and a LeaderWorkerSet by its CRD, whose controller is the test.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from custom_kinds import ANYTHING, CRD
from figures import measured
from installed import ROOT
from kube import Kube, Object, eventually, run, throughout
from operator_account import asked
from requests_sent import Load, failed
from serving import Pool, Served
from test_attach import granted

from recmodel.api.v1alpha1 import API_VERSION, KIND
from recmodel.cluster import names

pytestmark = pytest.mark.cluster

WIDGET = names.Kind("Widget", "shop.example/v1", "widgets")
TARGET = {"apiVersion": WIDGET.group_version, "kind": WIDGET.kind, "name": "ranker"}
ROLLOUT = names.Kind("Rollout", "argoproj.io/v1alpha1", "rollouts")
SET = names.Kind("LeaderWorkerSet", "leaderworkerset.x-k8s.io/v1", "leaderworkersets")
SCRIPT = ROOT / "hack" / "cluster" / "workload-kinds.sh"
LABELS = {"app": "ranker", "prometheus.io/scrape": "true"}
OF_SET = "leaderworkerset.sigs.k8s.io"
PER_SECOND = 15.0
METRICS = {"profile": "custom", "custom": {"latency": {"name": "request_seconds", "unit": "s"}}}


@contextlib.contextmanager
def installed(kube: Kube) -> Iterator[None]:
    """Its CRD, which keeps the replicas in ``spec.size``, for the time of the test."""
    scale = {
        "specReplicasPath": ".spec.size",
        "statusReplicasPath": ".status.size",
        "labelSelectorPath": ".status.selector",
    }
    version = {
        "name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": ANYTHING},
        "subresources": {"status": {}, "scale": scale},
    }  # fmt: skip
    called = {"kind": WIDGET.kind, "plural": WIDGET.plural, "singular": "widget"}
    spec = {"group": WIDGET.group, "scope": "Namespaced", "names": called, "versions": [version]}
    name = WIDGET.resource
    try:
        kube.create(CRD, None, {"metadata": {"name": name}, "spec": spec})
        run("kubectl", "wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")
        yield
    finally:
        kube.delete(CRD, None, name)


def referring(namespace: str, target: Object = TARGET, mode: str = "Auto") -> Object:
    pool = {"name": "cpu", "replicas": {"min": 2, "max": 4}, "costPerHour": "1.0", "targetRef": target}
    spec = {"mode": mode, "objective": {"latency": {"threshold": "100ms"}}, "metrics": METRICS, "pools": [pool]}
    metadata = {"name": "ranker", "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": KIND, "metadata": metadata, "spec": spec}


def controlled(kube: Kube, namespace: str, count: int, selector: str = "app=ranker") -> None:
    """What its controller does: so many pods, and a status that says so."""
    for number in range(len(kube.list(names.POD, namespace, "app=ranker")), count):
        pod = Pool().spec()["template"]["spec"]
        metadata = {"name": f"ranker-{number}", "labels": {"app": "ranker", "prometheus.io/scrape": "true"}}
        kube.create(names.POD, namespace, {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod})
    kube.merge(WIDGET, namespace, "ranker", {"status": {"size": count, "selector": selector}}, "status")


def size(kube: Kube, namespace: str) -> int:
    return int(kube.get(WIDGET, namespace, "ranker")["spec"]["size"])


def test_a_kind_that_comes_later_is_found_scaled_through_its_scale_alone_and_left_to_its_autoscaler(
    kube: Kube, namespace: str
) -> None:
    served = Served(kube, referring(namespace))
    eventually("its kind is named", served.has("Ready", "False", "TargetKindNotServed"), 60.0)
    with installed(kube):
        eventually("it is looked for", served.has("Ready", "False", "TargetMissing"), 60.0)
        body = {
            "apiVersion": WIDGET.group_version,
            "kind": WIDGET.kind,
            "metadata": {"name": "ranker"},
            "spec": {"size": 1},
        }
        kube.create(WIDGET, namespace, body)
        eventually("its empty selector is told", served.has("Ready", "False", "TargetUnreadable"), 30.0)
        assert "status.selector of its scale is empty" in served.condition("Ready")["message"]
        before = kube.get(WIDGET, namespace, "ranker")
        controlled(kube, namespace, 1)
        eventually("it gets its minimum", lambda: size(kube, namespace) == 2, 30.0)
        now = kube.get(WIDGET, namespace, "ranker")
        (ours,) = [entry for entry in now["metadata"]["managedFields"] if entry["manager"] == names.FIELD_MANAGER]
        assert (ours["subresource"], ours["fieldsV1"]) == ("scale", {"f:spec": {"f:size": {}}})
        assert {key: now["metadata"].get(key) for key in ("labels", "annotations", "ownerReferences")} == {
            key: before["metadata"].get(key) for key in ("labels", "annotations", "ownerReferences")
        }
        controlled(kube, namespace, 2)
        eventually("its pods are ready", lambda: served.status()["pools"][0]["ready"] == 2, 60.0)
        eventually("it serves", served.has("Ready", "True"), 30.0)
        kube.merge(WIDGET, namespace, "ranker", {"spec": {"size": 1}})  # as a tool does that keeps it from Git
        eventually("it is put right", lambda: size(kube, namespace) == 2, 30.0)
        scaler = {"scaleTargetRef": TARGET, "minReplicas": 1, "maxReplicas": 4}
        hpa = {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "ranker"},
            "spec": scaler,
        }
        kube.create(names.AUTOSCALER, namespace, hpa)
        eventually("who scales it is named", served.has("Degraded", "True", "AnotherAutoscaler"), 30.0)
        kube.merge(WIDGET, namespace, "ranker", {"spec": {"size": 1}})
        throughout(8.0, lambda: _is(size(kube, namespace), 1))
        kube.delete(names.AUTOSCALER, namespace, "ranker")
        eventually("it is ours again", lambda: size(kube, namespace) == 2, 30.0)


def _is(found: int, expected: int) -> None:
    assert found == expected


def test_who_may_not_scale_a_widget_or_refers_to_a_kind_that_is_not_named_gets_no_recmodel_that_does(
    kube: Kube, namespace: str
) -> None:
    """By group and kind: neither the plural of another group nor a word that looks like one opens anything."""
    author = f"author-{namespace}"
    granted(namespace, author, "writes", "recmodel.dev", "recmodels", ["create"])
    looks, acts = (referring(namespace, mode=mode) for mode in ("Recommend", "Auto"))
    eventually("the author may write RecModels", lambda: asked(author, "create", looks).returncode == 0, 30.0)
    refused = asked(author, "create", acts)
    assert f"{author} may neither update nor patch widgets/scale of it in namespace {namespace}" in refused.stderr
    granted(namespace, author, "other", "other.example", "widgets/scale", ["update"])
    granted(namespace, author, "all", "*", "gadgets/scale", ["*"])
    for target in (
        {**TARGET, "apiVersion": "other.example/v1"},
        {**TARGET, "kind": "Gadget"},
        {**TARGET, "apiVersion": "shop.example.apps/v1", "kind": "Deployment"},
    ):
        unnamed = asked(author, "create", referring(namespace, target))
        assert "which the setting scaleTargets of the operator does not name" in unnamed.stderr, target
    assert asked(author, "create", acts).returncode != 0
    granted(namespace, author, "one", "shop.example", "widgets/scale", ["patch"])
    eventually("one that may scale it is taken", lambda: asked(author, "create", acts).returncode == 0, 30.0)


@pytest.fixture(scope="module")
def real_kinds(kube: Kube, operator: None) -> Iterator[None]:
    """Argo Rollouts, and the CRD of LeaderWorkerSets."""
    if any(kube.find(CRD, None, kind.resource) is not None for kind in (ROLLOUT, SET)):
        pytest.skip("the cluster has these kinds of its own")
    try:
        subprocess.run([SCRIPT, "up"], check=True, timeout=1800)
        yield
    finally:
        subprocess.run([SCRIPT, "down"], check=True, timeout=300)


def made(kube: Kube, namespace: str, kind: names.Kind, spec: Object) -> Object:
    body = {"apiVersion": kind.group_version, "kind": kind.kind, "metadata": {"name": "ranker"}, "spec": spec}
    return kube.create(kind, namespace, body)


def target_of(kind: names.Kind) -> Object:
    return {"apiVersion": kind.group_version, "kind": kind.kind, "name": "ranker"}


def template(**labels: str) -> Object:
    return {"metadata": {"labels": labels}, "spec": Pool().spec()["template"]["spec"]}


def ours(obj: Object) -> Any:
    """What the operator has written of it, and where."""
    (entry,) = [one for one in obj["metadata"]["managedFields"] if one["manager"] == names.FIELD_MANAGER]
    return entry["subresource"], entry["fieldsV1"]


def test_an_argo_rollout_is_scaled_and_rolled_out_by_its_own_controller(
    kube: Kube, namespace: str, real_kinds: None
) -> None:
    strategy = {"canary": {"steps": [{"setWeight": 50}, {"pause": {"duration": "5s"}}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "ranker"}}, "strategy": strategy}
    made(kube, namespace, ROLLOUT, {**spec, "template": template(**LABELS)})
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    service = {"metadata": {"name": "ranker"}, "spec": {"selector": {"app": "ranker"}, "ports": ports}}
    kube.create(names.SERVICE, namespace, {"apiVersion": "v1", "kind": "Service", **service})

    def rollout() -> Object:
        return kube.get(ROLLOUT, namespace, "ranker")

    eventually("its controller has made a pod", lambda: rollout().get("status", {}).get("readyReplicas") == 1, 90.0)
    served = Served(kube, referring(namespace, target_of(ROLLOUT)))
    eventually("it gets its minimum", lambda: rollout()["spec"]["replicas"] == 2, 60.0)
    assert ours(rollout()) == ("scale", {"f:spec": {"f:replicas": {}}})
    eventually("its pods are ready", lambda: served.status()["pools"][0]["ready"] == 2, 60.0)
    with Load(served, PER_SECOND, url=f"http://ranker.{namespace}/") as load:
        eventually("the load is seen", served.has("MetricsAvailable", "True"), 60.0)
        assert served.condition("Degraded")["status"] == "False", "it is no release tool of its own workload"
        note = {"metadata": {"annotations": {"version": "2"}}}
        kube.merge(ROLLOUT, namespace, "ranker", {"spec": {"template": note}})

        def rolled_out() -> bool:
            status = rollout()["status"]
            return bool(status["phase"] == "Healthy" and status["updatedReplicas"] == 2 == status["replicas"])

        eventually("another template is rolled out", rolled_out, 120.0)
        eventually("two are ready again", lambda: served.status()["pools"][0]["ready"] == 2, 60.0)
        eventually("it serves", served.has("Ready", "True"), 60.0)
        assert rollout()["spec"]["replicas"] == 2
        measured(
            "An Argo Rollout by reference, one new template",
            f"{len(load.answers())} requests, failed: {failed(load.answers())}",
        )


def test_of_a_leader_worker_set_each_group_is_one_replica(kube: Kube, namespace: str, real_kinds: None) -> None:
    group = {"size": 2, "workerTemplate": template(app="ranker")}
    made(kube, namespace, SET, {"replicas": 1, "leaderWorkerTemplate": group})

    def groups() -> int:
        return int(kube.get(SET, namespace, "ranker")["spec"]["replicas"])

    def as_its_controller() -> None:
        """A leader and a worker for each group, and the status."""
        pod = Pool().spec()["template"]["spec"]
        for number in range(groups()):
            for index, name in enumerate((f"ranker-{number}", f"ranker-{number}-1")):
                labels = {f"{OF_SET}/name": "ranker", f"{OF_SET}/worker-index": str(index)}
                seen = {"prometheus.io/scrape": "true"} if index == 0 else {}
                body = {"metadata": {"name": name, "labels": {**labels, **seen}}, "spec": pod}
                if kube.find(names.POD, namespace, name) is None:
                    kube.create(names.POD, namespace, {"apiVersion": "v1", "kind": "Pod", **body})
        selector = f"{OF_SET}/name=ranker,{OF_SET}/worker-index=0"
        status = {"replicas": groups(), "readyReplicas": groups(), "hpaPodSelector": selector}
        kube.merge(SET, namespace, "ranker", {"status": status}, "status")

    as_its_controller()
    served = Served(kube, referring(namespace, target_of(SET)))
    eventually("it gets its minimum", lambda: groups() == 2, 60.0)
    assert ours(kube.get(SET, namespace, "ranker")) == ("scale", {"f:spec": {"f:replicas": {}}})
    as_its_controller()
    eventually("its leaders are ready", lambda: served.status()["pools"][0]["ready"] == 2, 60.0)
    eventually("it serves", served.has("Ready", "True"), 60.0)
    assert len(kube.list(names.POD, namespace)) == 4
