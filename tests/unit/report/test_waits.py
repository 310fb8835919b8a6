"""Why pods do not start: the cluster's own words, from a pod or Deployment to the conditions and Events, whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders.inventories import KEY, deployment, inventory, pod
from builders.status_scene import NOW, STATE, decision, status, tracked
from recmodel.api.status import Condition, RecModelStatus
from recmodel.cluster import names
from recmodel.report.events import changes, event
from recmodel.report.status import judge, worth_writing

Object = dict[str, Any]
LONG = "x" * 700 + " THE-END"
PULL = f'Back-off pulling image "registry.example/{LONG}": ErrImagePull: not found'
QUOTA = 'pods "feed-cpu-7d9" is forbidden: exceeded quota: compute, requested: pods=1, used: pods=0, limited: pods=0'
SECURITY = (
    'pods "a" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true (pod or container "s")'
)
NODES = f"0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). {LONG}"


def waiting(reason: str, message: str, **more: Any) -> Object:
    return {"name": "server", "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}, **more}


def ended(code: int, reason: str, message: str = "") -> Object:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def a_pod(*containers: Object, init: Object | None = None, name: str = "feed-cpu-7d9-x1", **more: Any) -> Object:
    found = pod(name, ready=all(one.get("ready") for one in containers), **more)
    found["status"]["containerStatuses"] = list(containers)
    found["status"]["initContainerStatuses"] = [init] if init else []
    return found


def homeless(name: str = "p") -> Object:
    found = pod(name, ready=False, unschedulable=True)
    found["status"]["conditions"][-1]["message"] = NODES
    return found


def refused(message: str) -> Object:
    return deployment(
        conditions=[{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}]
    )


def said(*pods: Object, of: Object | None = None) -> RecModelStatus:
    found, _ = inventory((names.DEPLOYMENT, of or deployment()), *((names.POD, one) for one in pods))
    return judge(
        tracked(decision=decision()).snapshot(), {"cpu": found.pool(KEY, "cpu")}, {"cpu": 1000}, NOW, RecModelStatus()
    )


def of(status: RecModelStatus, kind: str) -> Condition:
    return next(c for c in status.conditions if c.type == kind)


BACK_OFF = "back-off 10s restarting failed container=server pod=feed-cpu-7d9-x1_shop(uid-feed-cpu-7d9-x1)"
CRASH = waiting("CrashLoopBackOff", BACK_OFF, restartCount=3, lastState=ended(137, "OOMKilled"))
RETRIED = {"name": "server", "restartCount": 1, "state": {"running": {}}, "lastState": ended(1, "Error", "no model")}
CASES: dict[str, tuple[RecModelStatus, str, str, list[str]]] = {
    "an image that is not there": (
        said(a_pod(waiting("ImagePullBackOff", PULL))), "Degraded", "PodsNotStarting",
        [f"pool cpu: 1 pod: container server: ImagePullBackOff: {PULL}"]),
    "a container that crashes, and how": (
        said(a_pod(CRASH)), "Degraded", "PodsNotStarting",
        [f"CrashLoopBackOff: {BACK_OFF}; it ended with exit code 137 (OOMKilled)"]),
    "one that is tried once more": (
        said(a_pod(RETRIED)), "Degraded", "PodsNotStarting", ["Error: it ended with exit code 1 (Error): no model"]),
    "an init container that fails": (
        said(a_pod(waiting("PodInitializing", ""), init={"name": "fetch", "restartCount": 0, "state": ended(2, "Error")})),
        "Degraded", "PodsNotStarting", ["container fetch: Error: it ended with exit code 2"]),
    "a ConfigMap that is missing": (
        said(a_pod(waiting("CreateContainerConfigError", 'configmap "model" not found'))), "Degraded", "PodsNotStarting",
        ['CreateContainerConfigError: configmap "model" not found']),
    "a quota": (said(of=refused(QUOTA)), "Degraded", "PodsRefused", [f"pool cpu: FailedCreate: {QUOTA}"]),
    "a quota, of the capacity": (said(of=refused(QUOTA)), "CapacityAvailable", "PoolUnschedulable", [QUOTA]),
    "PodSecurity": (said(of=refused(SECURITY)), "Degraded", "PodsRefused", [SECURITY]),
    "no node": (
        said(homeless("a"), homeless("b")), "CapacityAvailable", "PoolUnschedulable", [f"2 pods: Unschedulable: {NODES}"]),
    "no node, and nothing is ready": (said(homeless()), "Ready", "Starting", [NODES]),
    "nothing is ready": (said(a_pod(CRASH)), "Ready", "PodsNotStarting", ["no replica is ready: ", BACK_OFF]),
    "nothing may be created": (said(of=refused(QUOTA)), "Ready", "PodsRefused", ["no replica is ready: ", QUOTA]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_why_pods_do_not_start_is_said_whole_in_a_condition_and_an_event(case: str) -> None:
    status, kind, reason, words = CASES[case]
    found = of(status, kind)
    assert found.status == ("True" if kind == "Degraded" else "False")
    assert found.reason == reason
    assert all(part in found.message for part in words), found.message
    owner = {"metadata": {"uid": "u", "name": "feed", "namespace": "shop"}}
    told = [event(owner, level, r, NOW) for level, r in changes(status, RecModelStatus()) if level == "Warning"]
    assert any(words[-1] in one["message"] for one in told)


def test_pods_that_merely_start_are_no_trouble_and_leave_nothing_behind() -> None:
    for one in (
        a_pod(waiting("ContainerCreating", "")),
        a_pod(
            waiting("PodInitializing", ""), init={"name": "fetch", "restartCount": 0, "state": ended(0, "Completed")}
        ),
        a_pod(waiting("ImagePullBackOff", PULL), deleting=True),
        a_pod({"name": "server", "ready": True, "restartCount": 4, "lastState": ended(1, "Error")}),
    ):
        assert of(said(one), "Degraded").reason == "AsWished"


def test_the_same_trouble_of_many_pods_is_one_sentence_and_different_ones_are_bounded() -> None:
    same = [
        a_pod(waiting("CrashLoopBackOff", f"back-off {i}0s restarting pod=p{i}_shop(uid-p{i})"), name=f"p{i}")
        for i in range(1, 8)
    ]
    assert of(said(*same), "Degraded").message.startswith(
        "pool cpu: 7 pods: container server: CrashLoopBackOff: back-off 10s"
    )
    other = [a_pod(waiting("ErrImagePull", chr(97 + i) * 5000), name=f"p{i}") for i in range(26)]
    message = of(said(*other), "Degraded").message
    assert message.count("ErrImagePull") <= 4
    assert len(message) <= 4096


def test_turns_of_the_kubelet_are_no_news_and_another_trouble_is() -> None:
    pulling, backing_off = (
        said(a_pod(waiting("ErrImagePull", "not found"))),
        said(a_pod(waiting("ImagePullBackOff", PULL))),
    )
    crashing = said(a_pod(CRASH))
    assert worth_writing(backing_off, pulling)
    assert [reason.reason for _, reason in changes(backing_off, pulling)] == ["PodsNotStarting"] * 2  # Ready, Degraded
    assert not worth_writing(pulling, backing_off)
    assert not changes(pulling, backing_off)
    assert worth_writing(crashing, backing_off)


@pytest.mark.parametrize(
    ("replicas", "updated", "reason"),
    [(1, 1, "Scaling"), (0, 0, "Scaling"), (3, 0, "RollingOut"), (2, 1, "RollingOut")],
)
def test_pods_that_a_quota_refuses_are_a_roll_out_only_where_they_replace_others(
    replicas: int, updated: int, reason: str
) -> None:
    of = refused(QUOTA)
    of["spec"]["replicas"] = 3
    of["status"] |= {"replicas": replicas, "updatedReplicas": updated}
    progressing = next(c for c in said(of=of).conditions if c.type == "Progressing")
    assert (progressing.status, progressing.reason) == ("True", reason)
    assert "new pods of cpu are refused: see the condition Degraded" in progressing.message


def test_what_recent_pods_waited_for_a_node_is_said_while_pods_wait_and_never_guessed() -> None:
    def capacity(scheduling_seconds: float | None) -> str:
        pools = {
            "cpu": replace(STATE, unschedulable=2, scheduling_seconds=scheduling_seconds),
            "gpu": replace(STATE, scheduling_seconds=7.0),
        }
        return of(status(pools=pools), "CapacityAvailable").message

    assert capacity(140.4).endswith(
        "2 of pool cpu; pods of pool cpu that got a node lately waited 140 s for it (median)"
    )
    assert "median" not in capacity(None)
