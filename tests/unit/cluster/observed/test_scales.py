"""Workloads of any kind, by their scale: replicas and selector, what cannot be read, and whether one replica is one pod."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.hostile_objects import HOSTILE, paths, spoiled
from builders.references import pod
from builders.scaled_workloads import WIDGET, scale_of, widget
from builders.scaled_workloads import WIDGETS as SETTING
from recmodel.cluster.children import ownership
from recmodel.cluster.observed.discovered import unscalable
from recmodel.cluster.observed.objects import read_scaled
from recmodel.cluster.observed.referenced import REPLICAS_ARE_NOT_PODS, TARGET_UNREADABLE, Referenced, Workload
from recmodel.cluster.observed.replica_pods import LASTING_SECONDS
from recmodel.cluster.observed.scales import LONGEST_SELECTOR, pod_selector
from recmodel.cluster.observed.unreadable import UnreadableObjects
from recmodel.cluster.observed.workloads import WorkloadState
from recmodel.cluster.scale_targets import Referable, kind_of
from recmodel.cluster.transport.errors import Unreadable

WORKLOAD = Workload(WIDGET, "shop", "ranker-cpu")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def read(obj: dict[str, Any], scale: Any = None) -> WorkloadState:
    return read_scaled(WIDGET, obj, scale if scale is not None else scale_of(obj), ownership.REPLICAS)


def known(*pods: dict[str, Any], obj: dict[str, Any] | None = None, clock: Clock | None = None) -> Referenced:
    found = Referenced(lambda kind, identity: (), UnreadableObjects(lambda kind, count: None), clock or Clock())
    found.begin(WORKLOAD)
    found.see(WORKLOAD, obj or widget(), scale_of(obj or widget()))
    found.list_pods(WORKLOAD, list(pods))
    return found


def problem(found: Referenced) -> tuple[str, str]:
    reference = found.pool(WORKLOAD).reference
    assert reference is not None
    return (reference.problem.reason, reference.problem.message) if reference.problem is not None else ("", "")


@pytest.mark.parametrize(
    "text",
    ["a=b", "app.example/name==x", "a in (1, 2),b notin (3)", "!old,app", " app = x , tier!=y ", "a=", "app=x,!a/b"],
)
def test_a_selector_is_taken_as_a_list_of_pods_takes_it(text: str) -> None:
    assert pod_selector(text) == text.strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("a=b,", "must be a label selector"),
        (",a=b", "must be a label selector"),
        ("a=b c=d", "must be a label selector"),
        ("a=b&limit=1", "must be a label selector"),
        ("map[app:x]", "must be a label selector"),
        ('{"matchLabels":{"a":"b"}}', "must be a label selector"),
        ("a in ()x", "must be a label selector"),
        ("a>1", "must be a label selector"),
        ("a=" + "b" * 64, "must be a label selector"),
        ("!old", "must name a label"),
        ("a!=b", "must name a label"),
        ("a notin (b,c),!d", "must name a label"),
        ("a=b," * LONGEST_SELECTOR, "must have at most"),
    ],
)
def test_a_selector_that_may_be_all_pods_or_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="of its scale") as error:
        pod_selector(text)
    assert said in str(error.value)


@given(st.text("ab=!,() innot\n", max_size=30))
def test_whatever_stands_in_a_selector_it_is_taken_or_refused(text: str) -> None:
    try:
        found = pod_selector(text)
    except ValueError:
        return
    assert found == text.strip()
    assert re.search(r"(^|,)\s*[abinot]", found), "it names a label"


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ({"spec": {"replicas": "3"}}, "spec.replicas is '3'"),
        ({"spec": {"replicas": -1}}, "spec.replicas is -1"),
        ({"spec": {"replicas": 2**31}}, "spec.replicas is 2147483648"),
        ({"spec": {"replicas": 1.5}}, "spec.replicas is 1.5"),
        ({"spec": None}, "spec is"),  # unknown, and not 0
        ({"spec": {"replicas": 1}, "status": {"selector": {"app": "x"}}}, "status.selector is {'app': 'x'}"),
        ({"spec": {"replicas": 1}, "status": {"replicas": 1}}, "status.selector of its scale is empty"),
        ({"spec": {"replicas": 1}, "status": {"replicas": "1"}}, "status.replicas is '1'"),
        ({**scale_of(widget()), "metadata": {"uid": "other"}}, "that of another object of this name"),
        ([], "Input should be"),
    ],
)
def test_a_scale_that_is_none_is_refused_with_the_field_and_the_value(scale: Any, said: str) -> None:
    with pytest.raises(Unreadable, match="Widget shop/ranker-cpu cannot be read") as error:
        read(widget(), scale)
    assert said in str(error.value)


def test_replicas_and_version_are_those_of_the_scale_and_zero_is_left_out() -> None:
    newer = scale_of(widget(0))
    newer["metadata"]["resourceVersion"] = "11"
    state = read(widget(), newer)
    assert (state.desired, state.resource_version, state.selector) == (0, "11", "app=ranker-cpu")


@pytest.mark.parametrize(
    ("observed", "unseen"),
    [(4, False), ("4", False), (3, True), ("3", True), (None, False), ("x", False), (True, False)],
)
def test_a_kind_that_says_so_is_rolled_out_once_its_newest_spec_was_seen(observed: Any, unseen: bool) -> None:
    state = read(widget(observedGeneration=observed))
    assert (state.updating, state.unseen) == (unseen, unseen)


def test_the_limits_are_known_where_the_template_is_that_of_a_deployment() -> None:
    obj = widget()
    assert read(obj).cpu_limit_cores is None
    containers = [{"name": "s", "resources": {"limits": {"cpu": "1500m"}}}]
    obj["spec"]["template"] = {"spec": {"containers": containers}}
    assert read(obj, scale_of(widget())).cpu_limit_cores == 1.5
    obj["spec"]["template"] = [containers]
    assert read(obj, scale_of(widget())).cpu_limit_cores is None


def test_who_owns_the_replicas_is_known_wherever_the_kind_keeps_them() -> None:
    found, obj = known(), widget()
    ours = {"manager": "recmodel", "subresource": "scale", "fieldsV1": {"f:spec": {"f:worker": {"f:count": {}}}}}
    obj["metadata"] |= {"resourceVersion": "11", "managedFields": [ours]}
    found.see(WORKLOAD, obj, scale_of(obj))
    obj["metadata"] |= {"resourceVersion": "12", "managedFields": [{**ours, "manager": "argocd", "subresource": ""}]}
    found.see(WORKLOAD, obj, scale_of(obj))
    reference = found.pool(WORKLOAD).reference
    assert reference is not None
    assert (reference.replicas_holders, reference.replicas_at) == (("argocd",), "/spec/worker/count")


def test_a_group_of_pods_for_each_replica_is_told_at_once_and_ends_when_the_selector_matches_one_of_each() -> None:
    pods = [pod(f"ranker-cpu-{n}-{m}") for n in range(3) for m in range(4)]
    found = known(*pods)
    reason, message = problem(found)
    assert reason == REPLICAS_ARE_NOT_PODS
    assert "Widget shop/ranker-cpu has 3 replicas by its scale, and 12 pods match the selector" in message
    assert "have the selector match one pod of each replica and no other" in message
    found.list_pods(WORKLOAD, pods[::4])
    assert problem(found) == ("", "")


def test_of_a_kind_with_one_pod_a_replica_a_difference_has_to_last() -> None:
    clock = Clock()
    found = known(pod("a"), pod("b"), pod("c"), clock=clock)
    found.see_pod(WORKLOAD, "ADDED", pod("d"))  # of a roll-out, or its scale is read a moment later
    assert problem(found)[0] == ""
    clock.now = LASTING_SECONDS
    assert problem(found)[0] == REPLICAS_ARE_NOT_PODS
    found.see_pod(WORKLOAD, "MODIFIED", pod("d", deletionTimestamp="2026-01-01T00:01:00Z"))
    assert problem(found)[0] == "", "one that leaves is none of the scale's replicas"


def test_fewer_pods_than_replicas_are_a_start_up_and_none_at_all_are_nobodys() -> None:
    clock = Clock()
    found = known(pod("a"), clock=clock)
    clock.now = 1000.0
    assert problem(found)[0] == ""
    found.list_pods(WORKLOAD, [])
    assert problem(found)[0] == ""
    clock.now += LASTING_SECONDS
    assert "3 replicas by its scale, and 0 pods match" in problem(found)[1]
    found.see(WORKLOAD, widget(0), scale_of(widget(0)))
    assert problem(found)[0] == "", "a pool that is off has no pods"


def test_whatever_stands_in_a_scale_or_its_object_nothing_is_raised_and_the_rest_stays_known() -> None:
    found = known(pod("a"), pod("b"), pod("c"))
    whole = {**widget(), "scale": scale_of(widget())}
    for path in paths(whole):
        for value in HOSTILE:
            obj = spoiled(whole, path, value)
            scale = obj.pop("scale", None) if isinstance(obj, dict) else None
            found.see(WORKLOAD, obj, scale)
            state = found.pool(WORKLOAD)
            assert 0 <= state.desired < 2**31
            assert found.selector(WORKLOAD)
    found.see(WORKLOAD, widget(), {"spec": {"replicas": "many"}})
    reason, message = problem(found)
    assert reason == TARGET_UNREADABLE
    assert "its replicas are left alone until its scale can be read" in message
    found.see(WORKLOAD, widget(), scale_of(widget()))
    assert problem(found) == ("", "")


WIDGETS = {"name": "widgets", "kind": "Widget", "namespaced": True}
SCALE = {"name": "widgets/scale", "kind": "Scale", "namespaced": True}


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ([WIDGETS, SCALE], None),
        ([], "the cluster serves no Widget of shop.example/v1: install it"),
        ([{**WIDGETS, "name": 3}, SCALE, {}], "the cluster serves no Widget"),
        ([{**WIDGETS, "name": "gadgets"}, SCALE], "is the resource widgets, and the cluster serves it as 'gadgets': correct"),
        ([{**WIDGETS, "namespaced": False}, SCALE], "is not of a namespace"),
        ([WIDGETS, {"name": "widgets/status", "kind": "Widget"}], "has no scale subresource"),
    ],
)  # fmt: skip
def test_what_the_api_server_serves_says_whether_a_kind_can_be_scaled(resources: Any, said: str | None) -> None:
    found = unscalable(WIDGET, resources)
    assert (found is None) if said is None else (found is not None and said in found)


def test_a_kind_is_the_resource_that_the_setting_says_in_every_version_and_no_other_is_known() -> None:

    referable = Referable([SETTING])
    assert referable.served(kind_of("shop.example/v2", "Widget")).path("shop", "a", "scale") == (
        "/apis/shop.example/v2/namespaces/shop/widgets/a/scale"
    )
    for version, kind in (("other.example/v1", "Widget"), ("shop.example/v1", "Gadget"), ("apps/v1", "Widget")):
        assert referable.served(kind_of(version, kind)).plural == ""
    assert referable.served(kind_of("apps/v1", "Deployment")).plural == "deployments"
