"""What the inventory makes of watch events, in whatever order they come."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from builders.fake_cluster import pool, spec
from builders.inventories import KEY, deployment, inventory, pod
from recmodel.api.status import RecModelStatus
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.controller.tracked import Tracked
from recmodel.report.conditions import conditions
from recmodel.report.snapshot import Desired


def test_ready_pods_are_those_that_answer_and_stay() -> None:
    found, _ = inventory(
        (names.POD, pod("a")),
        (names.POD, pod("b", ready=False)),
        (names.POD, pod("c", deleting=True)),
        (names.POD, pod("d", ready=False, unschedulable=True)),
        (names.POD, pod("e", pool="gpu")),
    )
    state = found.pool(KEY, "cpu")
    assert (state.ready, state.unschedulable, state.pods) == (1, 1, ("a", "b", "c", "d"))


def test_an_older_word_never_replaces_a_newer_one() -> None:
    found, _ = inventory((names.POD, pod(version=5, ready=False)), (names.POD, pod(version=4, ready=True)))
    assert found.pool(KEY, "cpu").ready == 0
    found.see(names.DEPLOYMENT, "MODIFIED", deployment(7, 9))
    found.see(names.DEPLOYMENT, "MODIFIED", deployment(6, 2))
    assert found.pool(KEY, "cpu").desired == 9


def test_a_successor_of_the_same_name_counts_and_the_late_deletion_of_the_first_does_not() -> None:
    found, _ = inventory((names.POD, pod(version=5, uid="first")), (names.POD, pod(version=9, uid="second")))
    found.see(names.POD, "DELETED", pod(version=8, uid="first"))
    assert found.pool(KEY, "cpu").ready == 1
    found.see(names.POD, "DELETED", pod(version=10, uid="second"))
    assert found.pool(KEY, "cpu").ready == 0


def test_a_job_is_known_but_no_child_whatever_its_labels() -> None:
    job = deployment(version=3)
    found, changed = inventory((names.JOB, job))
    kept = found.child(names.JOB, "shop", "feed-cpu")
    assert kept is not None
    assert kept["metadata"]["uid"] == "d"
    assert found.children_of(KEY) == []  # what is a child and not expected is deleted
    found.see(names.DEPLOYMENT, "ADDED", deployment())
    found.see(names.JOB, "DELETED", job)
    assert found.child(names.JOB, "shop", "feed-cpu") is None
    assert [kind for kind, _ in found.children_of(KEY)] == [names.DEPLOYMENT]
    assert changed == [KEY]


def test_a_list_drops_what_is_gone_but_only_in_its_namespace() -> None:
    other = pod("x")
    other["metadata"]["namespace"] = "other"
    found, _ = inventory((names.POD, pod("a")), (names.POD, other), (names.DEPLOYMENT, deployment()))
    found.replace(names.POD, [pod("b", version=3)], "shop")
    assert found.pool(KEY, "cpu").pods == ("b",)
    assert found.pool("other/feed", "cpu").pods == ("x",)
    found.replace(names.DEPLOYMENT, [], None)
    assert not found.pool(KEY, "cpu").exists


def test_only_changes_that_matter_wake_the_model() -> None:
    found, changed = inventory((names.POD, pod(version=1)))
    changed.clear()
    found.see(names.POD, "MODIFIED", pod(version=2))
    assert changed == []
    found.see(names.POD, "MODIFIED", pod(version=3, ready=False))
    assert changed == [KEY]


def test_pods_that_a_quota_forbids_count_as_unschedulable() -> None:
    failure = [{"type": "ReplicaFailure", "status": "True"}]
    found, _ = inventory((names.DEPLOYMENT, deployment(replicas=4, conditions=failure)), (names.POD, pod("a")))
    assert found.pool(KEY, "cpu").unschedulable == 3


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_pods_that_are_over_count_for_nothing(phase: str) -> None:
    failure = [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]
    found, changed = inventory((names.DEPLOYMENT, deployment(replicas=6, conditions=failure)))
    for name in "abcd":
        found.see(names.POD, "ADDED", pod(name))
    assert (found.pool(KEY, "cpu").ready, found.pool(KEY, "cpu").unschedulable) == (4, 2)
    changed.clear()
    over = pod("d", version=2, ready=False, unschedulable=True)  # evicted: it lingers until somebody collects it
    over["status"] |= {"phase": phase, "reason": "Evicted"}
    found.see(names.POD, "MODIFIED", over)
    found.see(names.POD, "ADDED", {**over, "metadata": {**over["metadata"], "name": "e", "uid": "e"}})
    state = found.pool(KEY, "cpu")
    assert (state.ready, state.unschedulable, state.pods) == (3, 3, ("a", "b", "c"))
    assert changed == [KEY]
    found.see(names.POD, "DELETED", over)
    assert found.pool(KEY, "cpu").pods == ("a", "b", "c")


def test_pods_that_a_gate_holds_wait_and_the_condition_says_for_whom() -> None:
    gated = pod("b", ready=False)
    gated["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "Scheduling is blocked"}
    ]
    found, _ = inventory((names.POD, pod("a", ready=False, unschedulable=True)), (names.POD, gated))
    state = found.pool(KEY, "cpu")
    assert (state.unschedulable, state.gated) == (2, 1)
    tracked = Tracked(Owner("shop", "feed", "u"), desired=Desired(spec=spec(pool("cpu"))))
    told = {
        c.type: c
        for c in conditions(tracked.snapshot(), {"cpu": state}, datetime(2026, 1, 1, tzinfo=UTC), RecModelStatus())
    }
    assert told["CapacityAvailable"].status == "False"
    assert "2 of pool cpu; of these, 1 of pool cpu are held by a scheduling gate" in told["CapacityAvailable"].message


def test_somebody_elses_autoscaler_is_seen_until_it_goes() -> None:
    scaler = {
        "metadata": {"namespace": "shop", "name": "h", "uid": "h"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "feed-cpu"}},
    }
    found, _ = inventory((names.AUTOSCALER, scaler))
    assert found.pool(KEY, "cpu").autoscaler == "shop/h"
    assert found.pool("other/feed", "cpu").autoscaler is None
    found.see(names.AUTOSCALER, "DELETED", scaler)
    assert found.pool(KEY, "cpu").autoscaler is None


def test_weights_are_read_by_service_name() -> None:
    backends = [{"name": "feed-gpu", "weight": 3}, {"name": "feed-cpu"}, {"name": "stranger", "weight": 5}]
    route = {
        "metadata": {"namespace": "shop", "name": "feed", "uid": "r", "resourceVersion": "1"},
        "spec": {"rules": [{"backendRefs": backends}]},
    }
    found, _ = inventory((names.ROUTE, route))
    assert found.weights(KEY, ["cpu", "gpu"], names.ROUTE) == {"cpu": 1, "gpu": 3}
    assert found.weights("shop/other", ["cpu"], names.ROUTE) is None


def test_what_is_large_and_never_read_is_not_kept() -> None:
    found, _ = inventory((names.DEPLOYMENT, deployment()))
    kept = found.child(names.DEPLOYMENT, "shop", "feed-cpu")
    assert kept is not None
    assert "managedFields" not in kept["metadata"]


def test_records_are_found_by_the_models_name_on_their_label() -> None:
    def records(name: str, model: str, version: int) -> dict[str, Any]:
        labels = {"recmodel.dev/variants-of": model}
        metadata = {"namespace": "shop", "name": name, "uid": name, "resourceVersion": str(version), "labels": labels}
        return {"metadata": metadata, "data": {}}

    found, _ = inventory((names.CONFIG_MAP, records("b", "feed", 1)), (names.CONFIG_MAP, records("a", "feed", 2)))
    assert [obj["metadata"]["name"] for obj in found.records_of(KEY)] == ["a", "b"]
    found.see(names.CONFIG_MAP, "MODIFIED", records("a", "other", 3))
    assert [obj["metadata"]["name"] for obj in found.records_of(KEY)] == ["b"]
    found.replace(names.CONFIG_MAP, [], "shop")
    assert found.records_of(KEY) == found.records_of("shop/other") == []


def test_tools_that_release_a_deployment_by_themselves_are_found() -> None:
    found, _ = inventory((names.DEPLOYMENT, deployment()))
    target = {"kind": "Deployment", "name": "feed-cpu"}
    for kind, field in ((names.CANARY, "targetRef"), (names.ARGO_ROLLOUT, "workloadRef")):
        tool = {"metadata": {"namespace": "shop", "name": "tool", "uid": "t"}, "spec": {field: target}}
        found.see(kind, "ADDED", tool)
        assert found.pool(KEY, "cpu").releaser == f"{kind.kind} shop/tool"
        found.see(kind, "DELETED", tool)
        assert found.pool(KEY, "cpu").releaser is None
    # A Rollout with a pod template of its own has nothing to do with us.
    found.see(names.ARGO_ROLLOUT, "ADDED", {"metadata": tool["metadata"], "spec": {"template": {}}})
    assert found.pool(KEY, "cpu").releaser is None


def test_a_roll_out_whose_pods_never_became_ready_is_stalled() -> None:
    condition = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
    found, _ = inventory((names.DEPLOYMENT, deployment(conditions=[condition])))
    assert found.pool(KEY, "cpu").stalled
