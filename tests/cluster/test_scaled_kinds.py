"""A workload of a kind of its own, of which only the scale says how many replicas there are and which pods are theirs. The test is its
controller.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from custom_kinds import ANYTHING, CRD
from kube import Kube, Object, eventually, run, throughout
from operator_account import asked
from serving import Pool, Served
from test_attach import granted

from recmodel.api.v1alpha1 import API_VERSION, KIND
from recmodel.cluster import names

pytestmark = pytest.mark.cluster

WIDGET = names.Kind("Widget", "shop.example/v1", "widgets")
TARGET = {"apiVersion": WIDGET.group_version, "kind": WIDGET.kind, "name": "ranker"}
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
