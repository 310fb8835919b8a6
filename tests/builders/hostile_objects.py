"""Objects of every watched kind as a cluster has them, and what somebody may have made of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from recmodel.api.records import RECORD_LABEL
from recmodel.cluster import names
from recmodel.cluster.children.optimiser_job import OPTIMISES_LABEL
from recmodel.cluster.children.versions import ModelVersion, Serving, annotation

NAMESPACE, MODEL = "other", "victim"
Object = dict[str, Any]


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


HOSTILE: tuple[Any, ...] = (
    None, "", "abc", "\ud800", "\n", "a/b", "日本", "²", "[" * 5_000, "9" * 5_000, "2026-13-01T00:00:00Z",
    "0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00", -1, 0, 2**63, 10**30, 1.5, float("nan"), float("inf"), True,
    [], {}, [None], [[]], [{}], {"a": None}, {"": {}}, _nested(3_000),
)  # fmt: skip
# A table of all characters takes hypothesis seconds to make; each kind of them is here.
_TEXTS = st.text("a/\n\0²日\u202e\U0001f600", max_size=3)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=8,
)


def _metadata(name: str, pool: str | None = None, **more: Any) -> Object:
    labels = names.labels(MODEL, pool)
    owner = {
        "apiVersion": "recmodel.dev/v1alpha1",
        "kind": "RecModel",
        "name": MODEL,
        "uid": f"uid-{MODEL}",
        "controller": True,
    }
    return {
        "namespace": NAMESPACE, "name": name, "uid": f"uid-{name}", "resourceVersion": "5", "generation": 1, "labels": labels,
        "annotations": {"x": "y"}, "ownerReferences": [owner], "creationTimestamp": "2026-01-01T00:00:00Z", **more,
    }  # fmt: skip


def _condition(kind: str, status: str = "True") -> Object:
    return {"type": kind, "status": status, "reason": "R", "message": "m", "lastTransitionTime": "2026-01-01T00:00:05Z"}


def _recmodel() -> Object:
    container = {"name": "server", "image": "server:1"}
    pool = {"name": "cpu", "replicas": {"min": 1, "max": 9}, "costPerHour": "1.0", "port": 8080,
            "template": {"spec": {"containers": [container]}}}  # fmt: skip
    spec = {"mode": "Auto", "objective": {"latency": {"percentile": 95, "threshold": "100ms"}}, "pools": [pool],
            "variants": [{"name": "full"}], "route": {"parentRefs": [{"name": "edge"}]}}  # fmt: skip
    status = {
        "observedGeneration": 1, "state": "Tracking", "conditions": [{**_condition("Ready"), "observedGeneration": 1}],
        "pools": [{"name": "cpu", "desired": 1, "ready": 1, "weight": 1000, "startupSeconds": "40"}],
        "accuracyBudgetLeft": "50%",
        "rollouts": [{"pool": "cpu", "to": "full@7", "phase": "Running", "since": "2026-01-01T00:00:00Z", "reason": "R",
                      "message": "m", "memory": "{}"}],
        "decisions": [{"time": "2026-01-01T00:00:00Z", "state": "Tracking", "replicas": {"cpu": 1},
                       "weights": {"cpu": 1000}, "reason": "R", "message": "m"}],
    }  # fmt: skip
    return {"metadata": _metadata(MODEL), "spec": spec, "status": status}


def _pod() -> Object:
    container = {
        "name": "server",
        "restartCount": 0,
        "lastState": {},
        "state": {"waiting": {"reason": "R", "message": "m"}},
    }
    runs = {
        "name": "other",
        "ready": False,
        "started": False,
        "state": {"running": {"startedAt": "2026-01-01T00:00:05Z"}},
    }
    probe = {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 5}
    asked = {"name": "other", "ports": [{"name": "http", "containerPort": 80}], "readinessProbe": probe}
    status = {"phase": "Running", "startTime": "2026-01-01T00:00:01Z", "containerStatuses": [container, runs],
              "conditions": [_condition("PodScheduled"), _condition("Ready", "False")]}  # fmt: skip
    return {"metadata": _metadata("victim-cpu-1", "cpu"), "spec": {"containers": [asked]}, "status": status}


def _deployment() -> Object:
    env = [{"name": "RECMODEL_MODEL_VERSION", "value": "7"}]
    template = {"metadata": {"labels": {names.VERSION_LABEL: "7"}}, "spec": {"containers": [{"name": "s", "env": env}]}}
    notes = {**annotation(Serving(ModelVersion("full", "7"))), names.APPLIED_ANNOTATION: "0"}
    conditions = [_condition("Progressing"), _condition("ReplicaFailure", "False")]
    status = {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "conditions": conditions}
    spec = {"replicas": 1, "template": template}
    return {"metadata": _metadata("victim-cpu", "cpu", annotations=notes), "spec": spec, "status": status}


def _route() -> Object:
    parent = {"name": "edge", "namespace": "gateways", "sectionName": "http", "port": 80}
    matches = [{"path": {"type": "PathPrefix", "value": "/x"}}]
    rules = [{"matches": matches, "backendRefs": [{"name": "victim-cpu", "weight": 1000}]}]
    answer = {"parentRef": parent, "conditions": [_condition("Accepted"), _condition("ResolvedRefs", "False")]}
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": _metadata(MODEL),
            "spec": {"parentRefs": [parent], "hostnames": ["victim.example"], "rules": rules}, "status": {"parents": [answer]}}  # fmt: skip


def _acting(field: str) -> Object:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "victim-cpu"}
    return {"metadata": _metadata("rival"), "spec": {field: target}}


def _records() -> Object:
    record = {
        "variant": "full", "version": "7", "uri": "oci://m:7", "sha256": "a" * 64, "dataset": "d", "metric": "AUC",
        "value": 0.8, "interval": [0.79, 0.81], "lossInterval": [0.0, 0.01], "latencySeconds": {"1": 0.001},
        "throughputPerSecond": {"1": 900.0}, "sizeBytes": 10, "baseline": "full", "chosen": True, "reason": "r",
    }  # fmt: skip
    return {"metadata": _metadata("records", labels={RECORD_LABEL: MODEL}), "data": {"full.json": json.dumps(record)}}


def _job() -> Object:
    return {"metadata": _metadata("job", labels={OPTIMISES_LABEL: MODEL}),
            "status": {"failed": 1, "conditions": [_condition("Failed")]}}  # fmt: skip


GOOD: dict[names.Kind, Object] = {
    names.RECMODEL: _recmodel(), names.POD: _pod(), names.DEPLOYMENT: _deployment(), names.ROUTE: _route(),
    names.SERVICE: {"metadata": _metadata("victim-cpu", "cpu"), "spec": {"selector": {}}},
    names.DISRUPTION_BUDGET: {"metadata": _metadata("victim-cpu", "cpu"), "spec": {}},
    names.POD_MONITOR: {"metadata": _metadata(MODEL), "spec": {}},
    names.AUTOSCALER: _acting("scaleTargetRef"), names.CANARY: _acting("targetRef"),
    names.ARGO_ROLLOUT: _acting("workloadRef"), names.CONFIG_MAP: _records(), names.JOB: _job(),
}  # fmt: skip


def paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places in an object, each as its keys and indices."""
    if before:
        yield before
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from paths(value[key], (*before, key))


PLACES = [(kind, path) for kind, obj in GOOD.items() for path in [*paths(obj), ()]]
CHOICES = len(PLACES) * (len(HOSTILE) + 1)


def chosen(number: int, anything: Any) -> tuple[names.Kind, tuple[Any, ...], Any]:
    """One of the ``CHOICES``: a kind, a place in its good object, and a hostile value or ``anything``."""
    kind, path = PLACES[number % len(PLACES)]
    return kind, path, (*HOSTILE, anything)[number // len(PLACES)]


def changed(kind: names.Kind, path: tuple[Any, ...], value: Any, version: int) -> Any:
    """The good object of this kind with one place changed; without a path all of it is."""
    if not path:
        return value
    good = spoiled(
        spoiled(GOOD[kind], ("metadata", "resourceVersion"), str(version)), ("metadata", "generation"), version
    )
    return spoiled(good, path, value)


def spoiled(inside: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with one place changed."""
    if not path:
        return value
    result = inside.copy()
    result[path[0]] = spoiled(inside[path[0]], path[1:], value)
    return result
