"""Objects of another team that nobody can read stop neither the operator nor another model: on a real API server."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable

import custom_kinds
import pytest
from installed import OPERATOR_NAMESPACE, operator_pod
from kube import Kube, Object, eventually
from serving import Pool, Served
from side_by_side import together

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

ABSENT_KIND_SECONDS = 60.0  # how often the operator looks whether a CRD has come
TARGETS: list[object] = [{"kind": "Deployment"}, {"kind": "Deployment", "name": 7}, "abc", [[[]]]]


def unreadable(kube: Kube) -> dict[str, float]:
    """How many objects of each kind the running operator cannot read."""
    page = kube.proxied(OPERATOR_NAMESPACE, operator_pod(kube)["metadata"]["name"], 9090, "/metrics")
    found = re.findall(r'^recmodel_unreadable_objects\{kind="(\w+)"\} (\S+)$', page, re.MULTILINE)
    return {kind: float(count) for kind, count in found}


def decided_at(kube: Kube, served: Served) -> float:
    """When the running operator last decided for this RecModel, Unix time; 0 before that."""
    page = kube.proxied(OPERATOR_NAMESPACE, operator_pod(kube)["metadata"]["name"], 9090, "/metrics")
    labels = rf'\{{model="{served.name}",namespace="{served.namespace}"\}}'
    found = re.search(rf"^recmodel_decision_timestamp_seconds{labels} (\S+)$", page, re.MULTILINE)
    return float(found[1]) if found else 0.0


def restarts(pod: Object) -> list[int]:
    """How often each container of a pod was started again."""
    return [int(container["restartCount"]) for container in pod["status"]["containerStatuses"]]


@together
def test_objects_that_nobody_can_read_stop_no_other_model(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    with custom_kinds.served(kube, names.ARGO_ROLLOUT):
        hostile_objects_stop_nobody(kube, namespace, serve)


def hostile_objects_stop_nobody(kube: Kube, namespace: str, serve: Callable[..., Served]) -> None:
    victim, healthy = serve(Pool(), name="victim"), serve(Pool(), name="healthy")
    for model in (victim, healthy):
        model.wait_ready(cpu=1)
    operator_before = operator_pod(kube)
    for number, target in enumerate(TARGETS):
        body: Object = {"apiVersion": names.ARGO_ROLLOUT.group_version, "kind": names.ARGO_ROLLOUT.kind,
                        "metadata": {"name": f"hostile-{number}"}, "spec": {"workloadRef": target}}  # fmt: skip
        kube.create(names.ARGO_ROLLOUT, namespace, body)
    deep = json.dumps({**body, "metadata": {"name": "deep", "namespace": namespace}, "spec": {"a": "DEEP"}})
    deep = deep.replace('"DEEP"', '{"b": [' * 1_500 + "]}" * 1_500)
    subprocess.run(["kubectl", "create", "-f", "-"], input=deep, text=True, check=True, capture_output=True, timeout=60)
    child = names.child_name(victim.name, "cpu")
    serving = {"metadata": {"annotations": {names.SERVING_ANNOTATION: "[" * 100_000}}}
    kube.merge(names.DEPLOYMENT, namespace, child, serving)
    labels = {"recmodel.dev/variants-of": victim.name}
    for number in range(3):
        keys = {f"k{i}.json": "{}" for i in range(30_000)}
        records: Object = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"r{number}", "labels": labels},
        }
        kube.create(names.CONFIG_MAP, namespace, {**records, "data": keys})
    for pod in victim.pods():
        notes = {"annotations": {"x": "[" * 50_000}, "labels": {names.POOL_LABEL: ""}}
        kube.merge(names.POD, namespace, pod["metadata"]["name"], {"metadata": notes})

    def counted() -> bool:
        return unreadable(kube).get("Rollout") == len(TARGETS)

    eventually("the unreadable Rollouts are counted", counted, ABSENT_KIND_SECONDS + 30.0)
    before = decided_at(kube, healthy)
    healthy.change_pools(Pool(least=2))
    healthy.wait_ready(cpu=2)
    eventually("it is decided on again", lambda: decided_at(kube, healthy) > before, 60.0)
    victim.change_pools(Pool(least=2))
    victim.wait_ready(cpu=2)
    pod = operator_pod(kube)
    assert pod["metadata"]["name"] == operator_before["metadata"]["name"]
    assert restarts(pod) == restarts(operator_before)
