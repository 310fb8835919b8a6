"""Pods that run and are not Ready, or do not start, and nobody says why: explained in time, and not before their time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from builders.inventories import KEY, deployment, inventory, pod
from builders.status_scene import NOW, STATE, condition, decision, tracked
from recmodel.api.status import RecModelStatus
from recmodel.cluster import names
from recmodel.cluster.children.versions import VERSION_ON_TRIAL, ModelVersion, Serving
from recmodel.cluster.observed.objects import read
from recmodel.cluster.observed.pods import PodState
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.report.events import changes
from recmodel.report.status import judge

Object = dict[str, Any]
PLACED_SECONDS = 10.0  # before its containers start
UNREADY = "ContainersNotReady: containers with unready status: [server]"
WRONG_PORT = {"httpGet": {"path": "/ready", "port": 9999, "scheme": "HTTP"}, "periodSeconds": 10}


def at(seconds: float) -> str:
    """So long before now, as the API writes it."""
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def running(seconds: float, probe: Object | None = WRONG_PORT, name: str = "feed-cpu-x1", **more: Any) -> Object:
    """A pod of which the container started so long ago and never was ready."""
    found = pod(name, ready=False)
    placed = at(seconds + PLACED_SECONDS)
    found["status"] = {
        "phase": "Running", "startTime": placed,
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": placed},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": placed,
             "message": "containers with unready status: [server]", **more.pop("ready", {})}],
        "containerStatuses": [
            {"name": "server", "ready": False, "started": True, "restartCount": 0,
             "state": {"running": {"startedAt": at(seconds)}}, **more.pop("container", {})}],
        **more.pop("status", {}),
    }  # fmt: skip
    server = {"name": "server", "ports": [{"name": "http", "containerPort": 8080}], **more.pop("spec", {})}
    found["spec"] = {"containers": [{**server, "readinessProbe": probe} if probe else server]}
    return found


def creating(
    seconds: float, init: Object | None = None, prepared: str | None = "False", reason: str = "ContainerCreating"
) -> Object:
    """A pod that got a node so long ago and of which no container has run."""
    found = running(seconds - PLACED_SECONDS)
    found["status"]["containerStatuses"][0] |= {"started": False, "state": {"waiting": {"reason": reason}}}
    found["status"]["initContainerStatuses"] = [init] if init else []
    if prepared is not None:
        found["status"]["conditions"].append({"type": "PodReadyToStartContainers", "status": prepared})
    return found


def silent(seconds: float) -> Object:
    found = creating(seconds)
    found["status"] = {"phase": "Pending", "conditions": found["status"]["conditions"][:1]}
    return found


def pool(*pods: Object, **more: Any) -> PoolState:
    found, _ = inventory((names.DEPLOYMENT, deployment()), *((names.POD, one) for one in pods))
    return replace(found.pool(KEY, "cpu"), **more)


def said(
    state: PoolState, now: datetime = NOW, written: RecModelStatus | None = None, **others: PoolState
) -> RecModelStatus:
    return judge(
        tracked(decision=decision()).snapshot(),
        {"cpu": state, **others},
        {"cpu": 1000},
        now,
        written or RecModelStatus(),
    )


def message(kind: str, found: RecModelStatus) -> str:
    return next(c.message for c in found.conditions if c.type == kind)


DEAD = {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": at(90)}]}
GRPC = {"grpc": {"port": 9000}}
STARTING = {"httpGet": {"path": "live", "port": "http"}, "periodSeconds": 5, "failureThreshold": 3}
FETCH = {
    "name": "fetch",
    "ready": False,
    "started": True,
    "restartCount": 0,
    "state": {"running": {"startedAt": at(80)}},
}
# By what is the matter: the pool, the reason, and what is said.
OVERDUE: dict[str, tuple[PoolState, str, list[str]]] = {
    "a probe that asks another port": (pool(running(75)), "PodsNotReady", [
        "pool cpu: 1 pod has not been Ready for 75 s (what a start-up of the pool takes is not known yet): " + UNREADY,
        "readiness probe of container server: GET :9999/ready, the port of the pool is 8080: check that the container answers "
        "there, and its log: kubectl -n shop logs feed-cpu-x1 -c server", "declare it with a startupProbe"]),
    "a usual start-up that is known": (pool(running(75), starting_seconds=20.0), "PodsNotReady", [
        "for 75 s (start-ups of the pool usually take 20 s)"]),
    "one that another process had learned": (pool(running(500), recalled_startup_seconds=300.0), "PodsNotReady", [
        "for 500 s (start-ups of the pool usually take 300 s)"]),
    "several pods": (pool(running(75, name="a"), running(700, name="b"), running(10, name="c")), "PodsNotReady", [
        "2 pods are not Ready, the first for 12 min", "logs b -c server"]),
    "the named port of the container": (
        pool(running(75, {"tcpSocket": {"port": "http"}})), "PodsNotReady", ["server: TCP :8080 (port http), the port"]),
    "a name that no port has": (pool(running(75, {"httpGet": {"port": "web", "scheme": "HTTPS"}})), "PodsNotReady", [
        "GET :web/ (no port of the container is named web) by HTTPS"]),
    "gRPC": (pool(running(75, GRPC)), "PodsNotReady", ["readiness probe of container server: gRPC :9000"]),
    "a command, of which the words stay private": (
        pool(running(75, {"exec": {"command": ["check", "--key=s3cret"]}})), "PodsNotReady", ["server: command check, the port"]),
    "a startup probe that does not succeed": (
        pool(running(75, spec={"startupProbe": STARTING}, container={"started": False})), "PodsNotReady", [
            "startup probe of container server: GET :8080/live (port http)"]),
    "a container that ends well again and again": (
        pool(running(2, container={"restartCount": 4}, ready={"lastTransitionTime": at(90)})), "PodsNotReady", [
            "1 pod has not been Ready for 90 s, restarts of container server: 4"]),
    "a pod that was Ready before": (
        pool(running(9000, ready={"lastTransitionTime": at(65)})), "PodsNotReady", ["has not been Ready for 65 s"]),
    "no probe": (pool(running(75, None)), "PodsNotReady", [
        "no probe of container server says why: look at its log: kubectl -n shop logs feed-cpu-x1 -c server"]),
    "a readiness gate, or a node that is gone": (
        pool(running(900, container={"ready": True}, status=DEAD)), "PodsNotReady", [
            "1 pod has not been Ready for 90 s", "look at its readiness gates and its node: kubectl -n shop describe pod"]),
    "a volume that is missing": (pool(creating(75)), "PodsNotStarted", [
        "pool cpu: 1 pod has not started, 75 s after it got a node (what a start-up of the pool takes is not known yet): container "
        "server: ContainerCreating, its volumes or its network are not ready (PodReadyToStartContainers is False)",
        "what it waits for (an image, a volume, the network): kubectl -n shop describe pod feed-cpu-x1"]),
    "an image that is pulled": (pool(creating(75, prepared="True")), "PodsNotStarted", [
        "ContainerCreating, its volumes and its network are ready, so an image is pulled"]),
    "a cluster that does not tell which": (pool(creating(75, prepared=None)), "PodsNotStarted", [": ContainerCreating; the"]),
    "an init container that does not end": (
        pool(creating(75, init=FETCH, prepared="True", reason="PodInitializing")), "PodsNotStarted", [
            "container server: PodInitializing, init container fetch runs; the Events"]),
    "a kubelet that says nothing": (pool(silent(75)), "PodsNotStarted", [
        "75 s after it got a node", "the kubelet of its node has said nothing of its containers"]),
    "a new version": (
        pool(running(75), ready=2, serving=Serving(ModelVersion("full", "8"), trial=VERSION_ON_TRIAL)), "PodsNotReady", [
            "version full@8 is rolled back where its pods are not Ready in 30 min"]),
}  # fmt: skip


@pytest.mark.parametrize("case", OVERDUE)
def test_pods_that_are_not_ready_in_time_are_explained_with_the_way_out(case: str) -> None:
    state, reason, words = OVERDUE[case]
    for pools in ({}, {"gpu": STATE}):  # none is ready, and another pool serves
        found = said(state, **pools)
        assert condition("Degraded", found) == ("True", reason)
        ready = ("True", "Serving") if pools or state.ready else ("False", reason)
        assert condition("Ready", found) == ready
        for kind in ("Degraded", *(["Ready"] if ready[0] == "False" else [])):
            assert all(part in message(kind, found) for part in words), message(kind, found)
        assert condition("Progressing", found)[0] == "True"
        assert "pods of cpu are not Ready in time: see the condition Degraded" in message("Progressing", found)


SLOW = {"httpGet": {"port": 8080}, "periodSeconds": 10, "failureThreshold": 60}
IN_TIME: dict[str, PoolState] = {
    "the first minute": pool(running(59)),
    "a minute from its start, not from its image": pool(running(30), starting_seconds=35.0),
    "a start-up of 300 s that was seen": pool(running(440), starting_seconds=300.0),
    "one that another process had seen": pool(running(440), recalled_startup_seconds=300.0),
    "one that the startup probe declares": pool(running(599, spec={"startupProbe": SLOW}, container={"started": False})),
    "one that the readiness probe declares": pool(running(300, {**WRONG_PORT, "initialDelaySeconds": 300})),
    "a probe that asks every two minutes": pool(running(115, {**WRONG_PORT, "periodSeconds": 120})),
    "images that take 200 s": pool(creating(290), starting_seconds=200.0),
    "a pod that has just got its node": pool(creating(59), silent(59) | {"metadata": pod("b")["metadata"]}),
    "a clock of the node that is ahead": pool(running(-500)),
    "nothing is known of the time": pool(running(900, ready={"lastTransitionTime": None}, container={"state": {"running": {}}})),
    "a pod that is Ready": pool(running(900, ready={"status": "True"}, container={"ready": True})),
    "a pod that leaves": pool(running(900) | {"metadata": pod(deleting=True)["metadata"]}),
}  # fmt: skip


@pytest.mark.parametrize("case", IN_TIME)
def test_a_pool_that_takes_its_time_is_not_called_faulty(case: str) -> None:
    found = said(IN_TIME[case])
    assert condition("Degraded", found) == ("False", "AsWished")
    assert condition("Ready", found)[1] in ("Starting", "Serving")
    assert "in time" not in message("Progressing", found)


def test_one_fact_has_one_explanation() -> None:
    """What the cluster names is said in its words alone; after the progress deadline the pods are explained as before it."""
    back_off = running(900, container={"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}})
    assert condition("Degraded", said(pool(back_off))) == ("True", "PodsNotStarting")
    assert "not been Ready" not in message("Degraded", said(pool(back_off)))
    stalled = said(pool(running(1900), stalled=True))
    assert condition("Degraded", stalled) == ("True", "PodsNotReady")
    assert "ProgressDeadlineExceeded" not in message("Degraded", stalled)
    both = said(pool(running(900, name="a"), back_off | {"metadata": pod("b")["metadata"]}))
    assert condition("Ready", both) == ("False", "PodsNotStarting")
    assert "CrashLoopBackOff" in message("Ready", both)
    assert "not been Ready for 15 min" in message("Ready", both)


def test_what_is_overdue_is_an_event_once_and_goes_with_the_first_ready_pod() -> None:
    before = said(pool(running(30)))
    overdue = said(pool(running(75)), written=before)
    told = [(kind, reason.reason) for kind, reason in changes(overdue, before)]
    assert told == [("Warning", "PodsNotReady")] * 2  # Ready and Degraded
    assert not changes(said(pool(running(300)), written=overdue), overdue)
    well = said(pool(running(300, ready={"status": "True"}, container={"ready": True})), written=overdue)
    assert condition("Ready", well) == ("True", "Serving")
    assert condition("Degraded", well) == ("False", "AsWished")


def test_a_probe_of_any_form_that_the_api_takes_is_read_and_another_word_of_the_kubelet_wakes_nobody() -> None:
    form = {"httpGet": {"port": "http", "path": None}, "initialDelaySeconds": None}
    one, other = (
        read(names.POD, found).facts for found in (running(75, form), running(75, ready={"message": "other"}))
    )
    assert one == other  # only what a decision depends on is compared
    assert isinstance(one, PodState)
    assert one.unready is not None
    assert one.unready.probe.endswith("GET :8080/ (port http)")
