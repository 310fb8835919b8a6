"""Objects of another team that nobody can read, and children that are refused, stop nothing else: on a real API server."""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import custom_kinds
import pytest
from installed import OPERATOR_NAMESPACE, operator_pod
from kube import Kube, Object, eventually
from serving import Pool, Served
from side_by_side import together

from recmodel.cluster import names
from recmodel.cluster.names import Kind

pytestmark = pytest.mark.cluster

ABSENT_KIND_SECONDS = 60.0  # how often the operator looks whether a CRD has come
QUOTA = Kind("ResourceQuota", "v1", "resourcequotas")
WEBHOOK = Kind("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1", "validatingwebhookconfigurations")
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


@contextlib.contextmanager
def a_webhook_for_budgets_that_is_down(kube: Kube, namespace: str) -> Iterator[None]:
    """To each write of a PodDisruptionBudget in the namespace the API server answers HTTP 500."""
    rule = {"apiGroups": ["policy"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"],
            "resources": ["poddisruptionbudgets"]}  # fmt: skip
    hook = {
        "name": "budgets.example.com", "clientConfig": {"url": "https://127.0.0.1:9/"}, "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}, "failurePolicy": "Fail",
        "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
    }  # fmt: skip
    kube.create(WEBHOOK, None, {"metadata": {"name": namespace}, "webhooks": [hook]})
    try:
        yield
    finally:
        kube.delete(WEBHOOK, None, namespace)


def quota_counts(kube: Kube, namespace: str, hard: dict[str, str]) -> bool:
    """Makes a quota, and whether it counts within ten seconds. Kubernetes' controller looks for new kinds every half minute. A quota
    that it met before it knew the kind, it looks at again after five minutes: so one that does not count is taken away.
    """
    kube.create(QUOTA, namespace, {"metadata": {"name": "none"}, "spec": {"hard": hard}})
    until = time.monotonic() + 10.0
    while time.monotonic() < until:
        if kube.get(QUOTA, namespace, "none").get("status", {}).get("used"):
            return True
        time.sleep(0.25)
    kube.delete(QUOTA, namespace, "none")
    return False


@together
def test_a_refused_monitor_and_writes_that_end_in_http_500_stop_nothing_else(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    """The quota refuses what only observes; the webhook makes the API server answer 500 for one kind."""
    none = {"count/podmonitors.monitoring.coreos.com": "0"}
    with custom_kinds.served(kube, names.POD_MONITOR):
        eventually("the quota counts", lambda: quota_counts(kube, namespace, none), 90.0)
        with a_webhook_for_budgets_that_is_down(kube, namespace):
            spare = Pool("spare", start_seconds=8.0)
            served = serve(Pool(), spare, metrics={"port": "http"})
            served.wait_ready(cpu=1, spare=1)
            served.change_pools(Pool(least=2), spare)
            served.wait_ready(cpu=2, spare=1)

            def told() -> bool:
                said = served.condition("Degraded")["message"]
                assert "PodMonitor" in said, said
                assert "exceeded quota: none" in said, said
                assert "PodDisruptionBudget" in said, said
                assert 'failed calling webhook "budgets.example.com"' in said, said
                return True

            # The CRD is looked for once a minute.
            eventually("both sentences of the API are in the condition", told, ABSENT_KIND_SECONDS + 40.0)
            assert served.has("Ready", "True")()
            (pod,) = served.pods("spare")
            kube.delete(names.POD, namespace, pod["metadata"]["name"], grace_seconds=0)
            eventually("a dead pool loses its traffic", lambda: served.weights()["spare"] == 0, 15.0)
            served.wait_ready(cpu=2, spare=1)
            assert kube.list(names.DISRUPTION_BUDGET, namespace) == []
            assert kube.list(names.POD_MONITOR, namespace) == []
        kube.delete(QUOTA, namespace, "none")
        eventually("what was refused is made", lambda: kube.list(names.POD_MONITOR, namespace), 90.0)
        eventually("the budgets, too", lambda: len(kube.list(names.DISRUPTION_BUDGET, namespace)) == 2, 90.0)
        eventually("all is well", served.has("Degraded", "False"), 30.0)
