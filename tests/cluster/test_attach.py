"""Workloads that stand already, with a Service, an autoscaler and traffic of their own: a RecModel that refers to them says what
runs and what would run, and changes nothing; in mode Auto it scales them, and changes nothing else.
"""

from __future__ import annotations

import re
import subprocess
import time
from typing import Any

import pytest
import yaml
from chart import run
from figures import measured
from installed import OPERATOR_NAMESPACE, RELEASE
from kube import FIELD_MANAGER, Kube, Object, Refused, eventually, throughout
from operator_account import asked
from requests_sent import Load
from serving import Pool, Served
from side_by_side import together

from recmodel.api.v1alpha1 import API_VERSION, KIND
from recmodel.cluster import names

pytestmark = pytest.mark.cluster

# One pod carries 50 requests/s and gets 15 first, then 45: two are wanted at once.
BUSY = Pool(service_ms=20.0, slots=1)
CALM_PER_SECOND, PER_SECOND = 15.0, 45.0
LABELS = {"app": "shop-ranker", "prometheus.io/scrape": "true"}
SPARE = {"app": "shop-spare", "prometheus.io/scrape": "true"}
WORKLOADS = ((names.DEPLOYMENT, "shop-ranker"), (names.STATEFUL_SET, "shop-spare"))
METRICS = {"profile": "custom", "custom": {"latency": {"name": "request_seconds", "unit": "s"}}}


def existing(kube: Kube, namespace: str) -> None:
    """What a team runs: nothing of it knows of the operator."""
    for (kind, name), labels in zip(WORKLOADS, (LABELS, SPARE), strict=True):
        template = {"metadata": {"labels": labels}, "spec": BUSY.spec()["template"]["spec"]}
        spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
        made(kube, namespace, kind, name, {**spec, **({"serviceName": name} if kind == names.STATEFUL_SET else {})})
    ports = [{"name": "http", "port": 80, "targetPort": 8080}]
    made(kube, namespace, names.SERVICE, "shop-ranker", {"selector": {"app": "shop-ranker"}, "ports": ports})
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop-ranker"}
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
    }
    made(
        kube,
        namespace,
        names.AUTOSCALER,
        "shop-ranker",
        {"scaleTargetRef": target, "minReplicas": 1, "maxReplicas": 4, "metrics": [metric]},
    )


def wait_until_it_answers(kube: Kube, namespace: str) -> None:
    for kind, name in WORKLOADS:
        eventually(
            f"{name} answers",
            lambda k=kind, n=name: kube.get(k, namespace, n)["status"].get("readyReplicas") == 1,
            60.0,
        )


# The cluster has no metrics of CPU, which the autoscaler finds out after a while.
NAMED_AS_IT_IS = re.compile(
    r"HorizontalPodAutoscaler shop-ranker (?:scales cpu|\(cannot scale now: FailedGetResourceMetric\) is to scale cpu)"
)


def made(kube: Kube, namespace: str, kind: names.Kind, name: str, spec: Object) -> None:
    body = {"apiVersion": kind.group_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}
    kube.create(kind, namespace, body)


def referring(namespace: str, **more: Any) -> Object:
    """A RecModel of nothing but references."""
    pools = [
        {
            "name": pool,
            "replicas": {"min": 0, "max": 4},
            "costPerHour": cost,
            "targetRef": {"kind": kind.kind, "name": name},
        }
        for (kind, name), pool, cost in zip(WORKLOADS, ("cpu", "spare"), ("1.0", "3.0"), strict=True)
    ]
    spec = {"mode": "Recommend", "objective": {"latency": {"threshold": "100ms"}}, "metrics": METRICS, "pools": pools}
    return {
        "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "ranker", "namespace": namespace},
        "spec": {**spec, **more},
    }  # fmt: skip


def standing(kube: Kube, namespace: str) -> dict[str, Object]:
    """Workloads and Service as they stand, whole, and what others may not write of pods and autoscalers."""
    found: dict[str, Object] = {name: kube.get(kind, namespace, name) for kind, name in WORKLOADS}
    found["service"] = kube.get(names.SERVICE, namespace, "shop-ranker")
    found["autoscaler"] = kube.get(names.AUTOSCALER, namespace, "shop-ranker")["spec"]
    for pod in kube.list(names.POD, namespace):
        if pod["metadata"].get("labels", {}).get("app"):  # not the load
            metadata = pod["metadata"]
            found[metadata["name"]] = {"labels": metadata["labels"], "annotations": metadata.get("annotations")}
    return found


def writers(kube: Kube, namespace: str) -> set[str]:
    """Everybody who wrote anything of any object of the namespace but the RecModel."""
    kinds = (*names.CHILD_KINDS, names.STATEFUL_SET, names.POD, names.AUTOSCALER, names.CONFIG_MAP)
    found = set()
    for kind in kinds:
        try:
            objects = kube.list(kind, namespace)
        except Refused:  # a cluster without PodMonitors
            continue
        found |= {entry["manager"] for obj in objects for entry in obj["metadata"].get("managedFields", [])}
    return found


@together
def test_what_stands_is_looked_at_and_nothing_of_it_is_written(kube: Kube, namespace: str) -> None:
    existing(kube, namespace)
    wait_until_it_answers(kube, namespace)
    before = standing(kube, namespace)
    served = Served(kube, referring(namespace))
    with Load(served, CALM_PER_SECOND, url=f"http://shop-ranker.{namespace}/") as load:
        eventually("the load is seen", served.has("MetricsAvailable", "True"), 60.0)
        eventually("what a pod carries is learned", lambda: served.status()["pools"][0].get("capacityPerReplica"), 60.0)
        load.rate(PER_SECOND)

        def told() -> Object | None:
            found = served.status().get("recommendation", {})
            assert found.get("recommended", {}).get("replicas", {}).get("cpu", 0) > 1, found.get("message")
            return dict(found)

        found = eventually("more is recommended than runs", told, 40.0)
        measured("A Deployment by reference under load", found["message"])
        assert found["running"] == {"replicas": {"cpu": 1, "spare": 1}, "costPerHour": "4.00"}
        assert NAMED_AS_IT_IS.search(found["message"]), found["message"]
        running, wanted = (float(found[mix]["costPerHour"]) for mix in ("running", "recommended"))
        assert float(found["savingPerHour"]) == pytest.approx(running - wanted)
        throughout(10.0, lambda: _same(standing(kube, namespace), before))
        status = served.status()
    cpu, spare = status["pools"]
    assert (cpu["ready"], spare["ready"]) == (1, 1)
    assert float(cpu["loadPerSecond"]) > 0.5 * PER_SECOND
    measured("What a pod of 50/s is believed to carry", f"{cpu['capacityPerReplica']}/s")
    assert cpu["weight"] > 900
    assert served.condition("Degraded")["status"] == "False", "who scales a reference is not in our way"
    kube.delete(names.RECMODEL, namespace, "ranker")
    eventually("the RecModel is gone", lambda: kube.find(names.RECMODEL, namespace, "ranker") is None, 30.0)
    throughout(5.0, lambda: _same(standing(kube, namespace), before))
    assert not {names.FIELD_MANAGER, names.REPAIRING} & writers(kube, namespace)
    assert [
        o["metadata"]["name"] for kind in (names.DEPLOYMENT, names.SERVICE) for o in kube.list(kind, namespace)
    ] == ["shop-ranker"] * 2
    assert [kind.kind for kind in (names.ROUTE, names.DISRUPTION_BUDGET) if kube.list(kind, namespace)] == []


def _same(now: dict[str, Object], before: dict[str, Object]) -> None:
    assert now == before


@together
def test_what_stands_is_scaled_and_nothing_else_of_it_is_written(kube: Kube, namespace: str) -> None:
    existing(kube, namespace)
    wait_until_it_answers(kube, namespace)
    before = standing(kube, namespace)
    body = referring(namespace, mode="Auto")
    for pool, least in zip(body["spec"]["pools"], (1, 2), strict=True):
        pool["replicas"]["min"] = least
    served = Served(kube, body)
    eventually("who scales is named", served.has("Degraded", "True", "AnotherAutoscaler"), 60.0)
    assert "delete HorizontalPodAutoscaler shop-ranker" in served.condition("Degraded")["message"]
    eventually("the other one gets its minimum", lambda: replicas(kube, namespace)["shop-spare"] == 2, 60.0)
    held = {"shop-ranker": before["shop-ranker"]}
    throughout(3.0, lambda: _same({"shop-ranker": kube.get(names.DEPLOYMENT, namespace, "shop-ranker")}, held))
    kube.delete(names.AUTOSCALER, namespace, "shop-ranker")
    with Load(served, CALM_PER_SECOND, url=f"http://shop-ranker.{namespace}/") as load:
        eventually("what a pod carries is learned", lambda: served.status()["pools"][0].get("capacityPerReplica"), 90.0)
        assert replicas(kube, namespace)["shop-ranker"] in (1, 2), "it begins with the one that runs"
        load.rate(PER_SECOND)
        found = eventually("more replicas run", lambda: more_than_one(kube, namespace), 60.0)
        measured("A Deployment by reference in mode Auto, at 45/s of 50/s a pod", f"{found} replicas")
        eventually("nothing is in the way", served.has("Degraded", "False"), 30.0)
    for kind, name in WORKLOADS:
        now = kube.get(kind, namespace, name)
        assert but_replicas(now) == but_replicas(before[name])
        (ours,) = [entry for entry in now["metadata"]["managedFields"] if entry["manager"] == names.FIELD_MANAGER]
        assert (ours["subresource"], ours["fieldsV1"]) == ("scale", {"f:spec": {"f:replicas": {}}})
    for _ in range(3):  # as a tool does that keeps the number from Git
        kube.merge(names.STATEFUL_SET, namespace, "shop-spare", {"spec": {"replicas": 1}})
        eventually("it is put right, or left alone", lambda: put_right(kube, served), 60.0)
    eventually("the writer is named", served.has("Degraded", "True", "Contested"), 60.0)
    assert f"the field manager {FIELD_MANAGER} keeps writing" in served.condition("Degraded")["message"]
    throughout(10.0, lambda: _same(replicas(kube, namespace), {**replicas(kube, namespace), "shop-spare": 1}))
    last = {kind: kube.get(kind, namespace, name) for kind, name in WORKLOADS}
    kube.delete(names.RECMODEL, namespace, "ranker")
    eventually("the RecModel is gone", lambda: kube.find(names.RECMODEL, namespace, "ranker") is None, 30.0)
    time.sleep(5.0)
    for kind, name in WORKLOADS:
        now = kube.get(kind, namespace, name)
        assert (but_replicas(now), now["spec"]["replicas"]) == (
            but_replicas(last[kind]),
            last[kind]["spec"]["replicas"],
        )


def replicas(kube: Kube, namespace: str) -> dict[str, int]:
    return {name: kube.get(kind, namespace, name)["spec"]["replicas"] for kind, name in WORKLOADS}


def more_than_one(kube: Kube, namespace: str) -> int:
    found = replicas(kube, namespace)["shop-ranker"]
    return found if found > 1 else 0


def put_right(kube: Kube, served: Served) -> bool:
    contested = served.condition("Degraded")["reason"] == "Contested"
    return contested or replicas(kube, served.namespace)["shop-spare"] == 2


def but_replicas(obj: Object) -> Object:
    """All but the number, and what the API server and the workload's own controller keep of it."""
    metadata = {
        key: value
        for key, value in obj["metadata"].items()
        if key not in ("resourceVersion", "generation", "managedFields")
    }
    spec = {key: value for key, value in obj["spec"].items() if key != "replicas"}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": metadata, "spec": spec}


@together
def test_a_pool_is_made_beside_one_that_stands(kube: Kube, namespace: str) -> None:
    existing(kube, namespace)
    wait_until_it_answers(kube, namespace)
    before = standing(kube, namespace)
    body = referring(namespace, mode="Auto")
    _, spare = body["spec"]["pools"]
    spare["replicas"]["min"] = 1
    own = {**BUSY.spec(), "name": "made", "replicas": {"min": 1, "max": 3}, "costPerHour": "1.0"}
    body["spec"]["pools"] = [spare, own]
    served = Served(kube, body)
    eventually("both are ready", lambda: [p["ready"] for p in served.status().get("pools", [])] == [1, 1], 90.0)

    def loads() -> list[float]:
        return [float(pool.get("loadPerSecond") or 0.0) for pool in served.status()["pools"]]

    with Load(served, CALM_PER_SECOND, url=f"http://ranker-made.{namespace}/"):
        eventually("the load of the new one is seen", lambda: loads()[1] > 0.5 * CALM_PER_SECOND, 60.0)
        measured("A pool that was made beside a StatefulSet by reference", f"{loads()} of {CALM_PER_SECOND}/s")
    spare_now = kube.get(names.STATEFUL_SET, namespace, "shop-spare")
    assert but_replicas(spare_now) == but_replicas(before["shop-spare"])
    assert kube.list(names.ROUTE, namespace) == []
    kube.delete(names.RECMODEL, namespace, "ranker")
    eventually("what was made is gone", lambda: kube.find(names.DEPLOYMENT, namespace, "ranker-made") is None, 60.0)
    assert kube.get(names.STATEFUL_SET, namespace, "shop-spare")["spec"]["replicas"] == 1


@together
def test_who_may_not_scale_a_workload_gets_no_recmodel_that_does(kube: Kube, namespace: str) -> None:
    """The operator's own writes of the status, and mode Recommend, are not looked at."""
    author = f"author-{namespace}"
    granted(namespace, author, "writes", "recmodel.dev", "recmodels", ["create", "get", "patch"])
    acts, looks = (referring(namespace, mode=mode) for mode in ("Auto", "Recommend"))
    eventually("the author may write RecModels", lambda: asked(author, "create", looks).returncode == 0, 30.0)
    refused = asked(author, "create", acts)
    assert refused.returncode != 0
    said = f"spec.pools[0].targetRef is Deployment shop-ranker: in mode Auto it is scaled, and {author} may neither update nor patch"
    assert f"{said} deployments/scale of it in namespace {namespace}" in refused.stderr
    granted(namespace, author, "one", "apps", "deployments/scale", ["update"])
    eventually("of two targets one may be scaled", lambda: "pools[1]" in asked(author, "create", acts).stderr, 30.0)
    granted(namespace, author, "other", "apps", "statefulsets/scale", ["patch"])
    eventually("both may be scaled", lambda: asked(author, "create", acts).returncode == 0, 30.0)
    served = Served(kube, looks)
    eventually("the operator writes the status", served.has("Ready", "False", "TargetMissing"), 60.0)
    mode = ("recmodel", "ranker", "-n", namespace, "--type=merge", "--dry-run=server", "-p", '{"spec":{"mode":"Auto"}}')
    assert run("kubectl", "--as", author, "patch", *mode).returncode == 0
    run("kubectl", "-n", namespace, "delete", "rolebinding", "other")

    def refuses() -> bool:
        answer = run("kubectl", "--as", author, "patch", *mode)
        return answer.returncode != 0 and "statefulsets/scale" in answer.stderr

    eventually("an edit is refused as well", refuses, 30.0)


def granted(namespace: str, user: str, name: str, group: str, resource: str, verbs: list[str]) -> None:
    """Lets somebody do something in the namespace."""
    metadata, api = {"name": name, "namespace": namespace}, "rbac.authorization.k8s.io"
    rules = [{"apiGroups": [group], "resources": [resource], "verbs": verbs}]
    role = {"apiVersion": f"{api}/v1", "kind": "Role", "metadata": metadata, "rules": rules}
    binding = {
        "apiVersion": f"{api}/v1", "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
        "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
    }  # fmt: skip
    answer = run("kubectl", "apply", "-f", "-", given=yaml.safe_dump_all([role, binding]))
    assert answer.returncode == 0, answer.stderr


@together
def test_a_target_that_is_missing_is_named_and_found_when_it_comes(kube: Kube, namespace: str) -> None:
    served = Served(kube, referring(namespace))
    eventually("the missing target is told", served.has("Ready", "False", "TargetMissing"), 30.0)
    assert f"there is no Deployment {namespace}/shop-ranker: create it" in served.condition("Ready")["message"]
    existing(kube, namespace)
    eventually("both are found", served.has("Ready", "True"), 60.0)


@together
def test_what_adopt_prints_is_taken_as_it_is_printed(kube: Kube, namespace: str) -> None:
    existing(kube, namespace)
    wait_until_it_answers(kube, namespace)

    def adopted() -> str:
        inside = ("kubectl", "exec", "-n", OPERATOR_NAMESPACE, f"deployment/{RELEASE}", "--", "recmodel", "adopt")
        asked = (f"{kind.kind.lower()}/{name}" for kind, name in WORKLOADS)
        answer = subprocess.run(
            [*inside, *asked, "-n", namespace, "--cost", "spare=3.0"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        assert 'name: "request_seconds"' in answer.stdout, answer.stdout
        return answer.stdout

    text = eventually("the pods' histogram is found", adopted, 60.0)
    assert re.search("HorizontalPodAutoscaler shop-ranker (scales|is to scale) it on cpu at 70%", text)
    as_printed = ["kubectl", "apply", "--dry-run=server", "-f", "-"]
    subprocess.run(as_printed, input=text, text=True, timeout=60, check=True)
    served = Served(kube, yaml.safe_load(text))
    eventually("both workloads are found", served.has("Ready", "True"), 60.0)
    assert served.body()["spec"]["pools"][0]["replicas"] == {"min": 1, "max": 4}


def test_templates_cannot_become_references(kube: Kube, namespace: str) -> None:
    pool = Pool().spec()
    own = referring(namespace, pools=[pool], mode="Paused", metrics={"profile": "triton"})
    kube.create(names.RECMODEL, namespace, own)
    pools = referring(namespace)["spec"]["pools"]
    with pytest.raises(Refused, match="cannot become a reference: give the pool with the targetRef another name"):
        kube.merge(
            names.RECMODEL, namespace, "ranker", {"spec": {"mode": "Recommend", "metrics": METRICS, "pools": pools}}
        )
