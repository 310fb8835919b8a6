"""What is read of workloads that are referred to: replicas, the selector of the pods, and what cannot be read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from builders.hostile_objects import HOSTILE, paths, spoiled
from builders.references import pod, workload
from recmodel.cluster import names
from recmodel.cluster.observed.conflicting_controllers import target_of
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.objects import read_workload
from recmodel.cluster.observed.referenced import TARGET_MISSING, TARGET_UNREADABLE, Referenced, Workload
from recmodel.cluster.observed.unreadable import UnreadableObjects
from recmodel.cluster.transport.errors import ApiRefused, ApiUnavailable, Unreadable

CPU = Workload(names.DEPLOYMENT, "shop", "ranker-cpu")


def known(
    *pods: dict[str, Any],
    obj: dict[str, Any] | None = None,
    on_unreadable: Callable[[str, int], None] = lambda kind, count: None,
) -> Referenced:
    found = Referenced(lambda kind, identity: (), UnreadableObjects(on_unreadable))
    found.begin(CPU)
    found.see(CPU, obj or workload())
    found.list_pods(CPU, list(pods))
    return found


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ({"matchLabels": {"b": "2", "a": "1"}}, "a=1,b=2"),
        ({"matchLabels": {"a": ""}}, "a="),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, "a in (1,2)"),
        ({"matchExpressions": [{"key": "a/b", "operator": "NotIn", "values": ["1"]}]}, "a/b notin (1)"),
        ({"matchLabels": {"x": "1"}, "matchExpressions": [{"key": "a", "operator": "Exists"}]}, "x=1,a"),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, "!a"),
    ],
)
def test_the_selector_is_written_as_a_list_takes_it(selector: dict[str, Any], said: str) -> None:
    assert read_workload(names.DEPLOYMENT, workload(selector=selector)).selector == said


@pytest.mark.parametrize(
    ("selector", "said"),
    [
        ({}, "all pods of the namespace would be its"),
        ({"matchLabels": {}}, "all pods of the namespace would be its"),
        ({"matchLabels": {"a": "1,b=2"}}, "which is no part of a label"),
        ({"matchExpressions": [{"key": "a", "operator": "Like", "values": ["1"]}]}, "operator 'Like'"),
        ({"matchExpressions": [{"key": "a", "operator": "In"}]}, "with 0 values"),
        (None, "selector"),
    ],
)
def test_a_selector_that_names_no_pods_is_unreadable(selector: dict[str, Any] | None, said: str) -> None:
    with pytest.raises(Unreadable, match="Deployment shop/ranker-cpu cannot be read") as error:
        read_workload(names.DEPLOYMENT, workload(selector=selector))
    assert said in str(error.value)


def test_a_pool_is_what_the_workload_asks_for_and_its_ready_pods() -> None:
    state = known(pod("a"), pod("b", ready=False), pod("c", deletionTimestamp="2026-01-01T00:01:00Z")).pool(CPU)
    assert (state.exists, state.desired, state.ready, state.pods) == (True, 3, 1, ("a", "b", "c"))
    assert state.reference is not None
    assert (state.reference.shown, state.reference.problem) == ("Deployment ranker-cpu", None)
    assert state.reference.cpu_limit_cores == 1.5


def test_pods_come_and_go_and_a_start_up_that_was_seen_teaches() -> None:
    found = known(pod("a"))
    found.see_pod(CPU, "ADDED", {**pod("b"), "status": {}})
    found.see_pod(CPU, "MODIFIED", pod("b"))
    assert found.pool(CPU).startup_seconds == 40.0  # 38 s on its node, and 2 s until it had one
    found.see_pod(CPU, "DELETED", pod("a"))
    found.see_pod(CPU, "MODIFIED", {"metadata": pod("b")["metadata"], "status": {"conditions": 3}})  # stays as known
    assert found.pool(CPU).pods == ("b",)
    found.list_pods(CPU, [])
    assert found.pool(CPU).ready == 0
    found.end(CPU)
    found.see(CPU, workload())
    assert found.pool(CPU).startup_seconds is None


def test_the_answer_to_a_write_counts_unless_the_watch_has_told_of_a_later_one() -> None:
    found = known(pod("a"))
    assert found.pool(CPU).updating is False
    found.scaled(CPU, {"metadata": {"resourceVersion": "8"}, "spec": {"replicas": 5}})
    assert (found.pool(CPU).desired, found.pool(CPU).updating) == (5, True)
    later = workload(replicas=2)
    later["metadata"] |= {"resourceVersion": "11", "managedFields": [entry("argocd-controller"), entry("recmodel")]}
    found.see(CPU, later)
    found.scaled(CPU, {"metadata": {"resourceVersion": "10"}, "spec": {}})
    state = found.pool(CPU)
    assert state.desired == 2
    assert state.reference is not None
    assert state.reference.replicas_holders == ("argocd-controller",)
    found.scaled(CPU, {"metadata": {"resourceVersion": "12"}, "spec": {}})  # as the API says 0
    assert found.pool(CPU).desired == 0


def entry(manager: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}


def test_a_workload_that_is_not_there_says_the_way_out_and_one_that_comes_is_known() -> None:
    found = known()
    found.see(CPU, None)
    state = found.pool(CPU)
    assert state.reference is not None
    assert state.reference.problem is not None
    assert (state.exists, state.ready, state.reference.problem.reason) == (False, 0, TARGET_MISSING)
    assert "there is no Deployment shop/ranker-cpu: create it" in state.reference.problem.message
    found.see(CPU, workload(replicas=0))
    back = found.pool(CPU).reference
    assert back is not None
    assert back.problem is None


def test_what_is_refused_or_unreadable_says_so_and_keeps_what_was_known() -> None:
    found = known(pod("a"))
    for spoil in (
        lambda: found.see(CPU, workload(replicas="many")),
        lambda: found.looked(CPU, names.POD, ApiRefused("GET x", 403, "forbidden")),
    ):
        spoil()
        state = found.pool(CPU)
        assert (state.exists, state.desired, state.ready) == (True, 3, 1)
        assert state.reference is not None
        assert state.reference.problem is not None
        assert state.reference.problem.reason == TARGET_UNREADABLE
        found.see(CPU, workload())
    assert not found.looked(CPU, names.POD, ApiUnavailable("away"))  # which says nothing of the pods
    assert found.looked(CPU, names.POD, None)
    again = found.pool(CPU).reference
    assert again is not None
    assert again.problem is None


def test_what_cannot_be_read_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[tuple[str, int]] = []
    found = known(pod("a"), on_unreadable=lambda *count: counted.append(count))
    odd = [{"metadata": pod(name)["metadata"], "status": {"conditions": 3}} for name in ("a", "new")]
    for _ in range(3):
        for one in odd:
            found.see_pod(CPU, "MODIFIED", one)
        found.see(CPU, workload(replicas="many"))
    assert counted == [("Pod", 1), ("Pod", 2), ("Deployment", 1)]
    said = [record.message for record in caplog.records]
    assert said[0].startswith("Pod shop/a cannot be read: status.conditions is 3")
    assert [line.rpartition("; ")[2] for line in said] == [
        "what was known of it stays in effect", "it is left out", "what was known of it stays in effect",
    ]  # fmt: skip
    found.see_pod(CPU, "DELETED", odd[1])
    found.list_pods(CPU, [pod("a")])
    found.end(CPU)
    assert counted[3:] == [("Pod", 1), ("Pod", 0), ("Deployment", 0)]


def test_a_stateful_set_rolls_out_while_its_revisions_differ() -> None:
    obj = workload()
    obj["status"] = {
        "observedGeneration": 4,
        "replicas": 3,
        "updatedReplicas": 0,
        "currentRevision": "a",
        "updateRevision": "a",
    }
    assert not read_workload(names.STATEFUL_SET, obj).updating
    obj["status"]["updateRevision"] = "b"
    assert read_workload(names.STATEFUL_SET, obj).updating


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_who_scales_it_now_is_named_with_its_maker(kind: str) -> None:
    inventory = Inventory()
    owner = {"kind": "ScaledObject", "name": "ranker", "uid": "s", "controller": True}
    metadata = {"namespace": "shop", "name": "keda-hpa-ranker", "uid": "h", "ownerReferences": [owner]}
    spec = {"scaleTargetRef": {"kind": kind, "name": "ranker-cpu"}}
    inventory.see(names.AUTOSCALER, "ADDED", {"metadata": metadata, "spec": spec})
    said = ("HorizontalPodAutoscaler keda-hpa-ranker (ScaledObject ranker)",)
    assert inventory.acting_on(names.REFERABLE[kind], ("shop", "ranker-cpu")) == said
    others = {"Deployment": names.STATEFUL_SET, "StatefulSet": names.DEPLOYMENT}
    assert inventory.acting_on(others[kind], ("shop", "ranker-cpu")) == ()


@pytest.mark.parametrize(
    ("target", "counts"),
    [
        ({"apiVersion": "shop.example/v1", "kind": "Widget"}, True),
        ({"apiVersion": "shop.example/v2beta1", "kind": "Widget"}, True),  # one object is served in each version
        ({"kind": "Widget"}, True),  # whatever group it means
        ({"apiVersion": 3, "kind": "Widget"}, True),
        ({"apiVersion": "other.example/v1", "kind": "Widget"}, False),
        ({"apiVersion": "shop.example/v1", "kind": "Gadget"}, False),
        ({"apiVersion": "apps/v1", "kind": "Deployment"}, False),
    ],
)
def test_who_scales_a_workload_of_another_kind_is_known_by_group_kind_and_name(
    target: dict[str, Any], counts: bool
) -> None:
    inventory, autoscaler = Inventory(), {"namespace": "shop", "name": "hpa", "uid": "h"}
    spec = {"scaleTargetRef": {"name": "ranker-cpu", **target}}
    inventory.see(names.AUTOSCALER, "ADDED", {"metadata": autoscaler, "spec": spec})
    widget = names.Kind("Widget", "shop.example/v1", "widgets")
    assert inventory.acting_on(widget, ("shop", "ranker-cpu")) == (("HorizontalPodAutoscaler hpa",) if counts else ())
    inventory.replace(names.AUTOSCALER, [], None)
    assert inventory.acting_on(widget, ("shop", "ranker-cpu")) == ()


def test_a_deployment_of_another_group_is_no_deployment() -> None:
    of_old = {"apiVersion": "extensions/v1beta1", "kind": "Deployment", "name": "x"}
    assert target_of(names.AUTOSCALER, {"scaleTargetRef": of_old}).group == "apps"
    other = {**of_old, "apiVersion": "shop.example/v1"}
    assert target_of(names.AUTOSCALER, {"scaleTargetRef": other}).group == "shop.example"


def test_an_autoscaler_that_cannot_scale_is_named_with_why_until_it_can() -> None:
    inventory, version = Inventory(), itertools.count(1)
    spec = {"scaleTargetRef": {"kind": "Deployment", "name": "ranker-cpu"}}

    def said(status: Any) -> tuple[str, ...]:
        metadata = {"namespace": "shop", "name": "hpa", "uid": "h", "resourceVersion": str(next(version))}
        inventory.see(names.AUTOSCALER, "MODIFIED", {"metadata": metadata, "spec": spec, "status": status})
        return inventory.acting_on(names.DEPLOYMENT, ("shop", "ranker-cpu"))

    def condition(kind: str, status: str, reason: str) -> dict[str, str]:
        return {"type": kind, "status": status, "reason": reason, "message": "m"}

    scales = ("HorizontalPodAutoscaler hpa",)
    able = condition("AbleToScale", "True", "SucceededGetScale")
    blind = condition("ScalingActive", "False", "FailedGetResourceMetric")
    assert said({"conditions": [able, blind]}) == (f"{scales[0]} (cannot scale now: FailedGetResourceMetric)",)
    assert said({"conditions": [condition("AbleToScale", "False", "FailedGetScale"), blind]})[0].endswith(
        "FailedGetScale)"
    )
    assert said({"conditions": [condition("ScalingActive", "False", "a b; c")]})[0].endswith("ScalingActive is False)")
    assert said({"conditions": [able, condition("ScalingActive", "True", "ValidMetricFound")]}) == scales
    for unread in (None, {}, [], "x", {"conditions": 3}, {"conditions": [{"type": "ScalingActive", "status": False}]}):
        assert said(unread) == scales


def test_whatever_stands_in_a_workload_or_a_pod_nothing_is_raised_and_the_rest_stays_known() -> None:
    found = known(pod("a"))
    for path in paths(workload()):
        for value in HOSTILE:
            found.see(CPU, spoiled(workload(), path, value))
            assert found.pool(CPU).desired >= 0
    found.see(CPU, workload())
    for path in paths(pod("b")):
        for value in HOSTILE:
            found.see_pod(CPU, "MODIFIED", spoiled(pod("b"), path, value))
            assert "a" in found.pool(CPU).pods
    found.list_pods(CPU, [None, [], {}, pod("a")])  # type: ignore[list-item]
    assert found.pool(CPU).pods == ("a",)
