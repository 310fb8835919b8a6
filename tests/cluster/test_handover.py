"""Workloads that an autoscaler and a ScaledObject scale are handed over to the operator, and back, by the user's own rights."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import custom_kinds
import pytest
from figures import measured
from installed import OPERATOR_NAMESPACE, RELEASE
from kube import Kube, Object, eventually
from requests_sent import Load, failed
from serving import Served
from side_by_side import together
from test_attach import CALM_PER_SECOND, WORKLOADS, existing, made, referring, wait_until_it_answers

from recmodel.cluster import names
from recmodel.report.handover.found import PAUSED
from recmodel.report.handover.store import store_name

pytestmark = pytest.mark.cluster

INSIDE = ("kubectl", "exec", "-n", OPERATOR_NAMESPACE, f"deployment/{RELEASE}", "--", "recmodel")
MINE = (sys.executable, "-m", "recmodel.cli")
NOTES = {"team": 'of "ranking", ü', "empty": "", "kubectl.kubernetes.io/last-applied-configuration": '{"kind":"x"}\n'}


def recmodel(*arguments: str, by: tuple[str, ...] = MINE) -> subprocess.CompletedProcess[str]:
    """One run of the command line, by the user's kubeconfig or in the operator's pod."""
    return subprocess.run([*by, *arguments], capture_output=True, text=True, timeout=300, check=False)


def asked(body: Object) -> Any:
    """What must be the same afterwards."""
    return body["spec"], body["metadata"].get("labels"), body["metadata"].get("annotations")


def of_one(kube: Kube, namespace: str, number: int, name: str) -> Served:
    """A RecModel of one of the workloads, which keeps the replica that it has."""
    body = referring(namespace)
    body["metadata"]["name"] = name
    (pool,) = body["spec"]["pools"] = [body["spec"]["pools"][number]]
    pool["replicas"]["min"] = 1
    served = Served(kube, body)
    eventually("the workload is found", served.has("Ready", "True"), 60.0)
    return served


def replicas(kube: Kube, namespace: str) -> list[int]:
    return [kube.get(kind, namespace, name)["spec"]["replicas"] for kind, name in WORKLOADS]


def carried_out(command: str, served: Served) -> str:
    """What it prints."""
    done = recmodel(command, served.name, "-n", served.namespace, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    return done.stdout


def given_back_by_deletion(kube: Kube, namespace: str, name: str) -> None:
    """By the operator, which finds the store whose RecModel is gone."""
    kube.delete(names.RECMODEL, namespace, name)
    store = store_name(name)
    eventually("the store is gone", lambda: kube.find(names.CONFIG_MAP, namespace, store) is None, 90.0)
    told = [e["reason"] for e in kube.list(names.EVENT, namespace) if e["involvedObject"]["name"] == store]
    assert sorted(told) == ["HandedBack", "HandingBack"]


@together
def test_a_workload_is_handed_over_and_back_and_the_operator_itself_may_do_neither(kube: Kube, namespace: str) -> None:
    existing(kube, namespace)
    wait_until_it_answers(kube, namespace)
    kube.merge(
        names.AUTOSCALER, namespace, "shop-ranker", {"metadata": {"labels": {"team": "ranking"}, "annotations": NOTES}}
    )
    served = of_one(kube, namespace, 0, "ranker")
    before = asked(kube.get(names.AUTOSCALER, namespace, "shop-ranker"))
    key = ("ranker", "-n", namespace)
    plan, refused = (recmodel("handover", *key, *yes, by=INSIDE) for yes in ((), ("--yes",)))
    assert (plan.returncode, refused.returncode) == (0, 2), plan.stderr + refused.stderr
    assert "this account may not delete horizontalpodautoscalers.autoscaling in namespace" in plan.stdout
    assert "nothing was changed: this account may not" in refused.stderr
    plan = recmodel("handover", *key)
    print(plan.stdout)
    assert (plan.returncode, "WARNING" in plan.stdout) == (0, False), plan.stdout + plan.stderr
    assert asked(kube.get(names.AUTOSCALER, namespace, "shop-ranker")) == before
    assert served.body()["spec"]["mode"] == "Recommend"
    assert kube.find(names.CONFIG_MAP, namespace, store_name("ranker")) is None

    with Load(served, CALM_PER_SECOND, url=f"http://shop-ranker.{namespace}/") as load:
        eventually("the load is seen", served.has("MetricsAvailable", "True"), 60.0)
        said = carried_out("handover", served)
        assert "Replicas before: cpu 1; now: cpu 1." in said
        assert (replicas(kube, namespace), served.body()["spec"]["mode"]) == ([1, 1], "Auto")
        assert kube.list(names.AUTOSCALER, namespace) == []
        assert "is handed over: its mode is Auto" in carried_out("handover", served)

        running = replicas(kube, namespace)
        carried_out("handback", served)
        assert asked(kube.get(names.AUTOSCALER, namespace, "shop-ranker")) == before
        assert (replicas(kube, namespace), served.body()["spec"]["mode"]) == (running, "Recommend")
        assert kube.find(names.CONFIG_MAP, namespace, store_name("ranker")) is None

        carried_out("handover", served)
        given_back_by_deletion(kube, namespace, "ranker")
        assert asked(kube.get(names.AUTOSCALER, namespace, "shop-ranker")) == before
    answers = load.answers()
    measured("Requests over a handover and back", f"{len(answers)}, failed: {failed(answers) or 'none'}")
    assert failed(answers) == {}


def test_a_scaled_object_is_paused_and_goes_on(kube: Kube, namespace: str) -> None:
    """The kind without KEDA: test_keda.py has KEDA itself."""
    existing(kube, namespace)
    wait_until_it_answers(kube, namespace)
    with custom_kinds.served(kube, names.SCALED_OBJECT):
        target = {"kind": "StatefulSet", "name": "shop-spare"}
        made(kube, namespace, names.SCALED_OBJECT, "shop-spare", {"scaleTargetRef": target, "triggers": []})
        served = of_one(kube, namespace, 1, "spare")
        before = asked(kube.get(names.SCALED_OBJECT, namespace, "shop-spare"))
        carried_out("handover", served)
        paused = kube.get(names.SCALED_OBJECT, namespace, "shop-spare")
        assert (paused["metadata"]["annotations"], paused["spec"]) == ({PAUSED: "true"}, before[0])
        assert served.body()["spec"]["mode"] == "Auto"
        given_back_by_deletion(kube, namespace, "spare")
        assert asked(kube.get(names.SCALED_OBJECT, namespace, "shop-spare")) == before
        assert replicas(kube, namespace) == [1, 1]
