"""Pools by reference in mode Auto: their replicas follow the decisions, and nothing else of the workloads is written."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.acting_references import automatic, existing, minutes, put_back, replicas, written
from builders.deciding import Deciding
from builders.operator_stage import operated
from builders.references import (
    HPA,
    ExistingWorkloads,
    condition,
    referring,
    rest,
    workload,
)
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.controller.operator import Operator


def nothing_else_is_written(api: ExistingWorkloads, before: dict[str, list[dict[str, Any]]]) -> None:
    """Of no object more than its replicas, and what the API server keeps of each write."""
    last = {(method, path.rsplit("/", 1)[-1]) for method, path in api.writes}
    assert last <= {("PATCH", "status"), ("PATCH", "scale"), ("POST", "events")}
    assert api.cluster.writes == []
    for _, body in api.scales:
        assert body.keys() == {"metadata", "spec"}
        assert (body["metadata"].keys(), body["spec"].keys()) == ({"uid", "resourceVersion"}, {"replicas"})
    assert {kind: [rest(obj) for obj in objects] for kind, objects in api.existing.items()} == {
        kind: [rest(obj) for obj in objects] for kind, objects in before.items()
    }


def test_replicas_follow_from_what_runs_and_a_deleted_recmodel_leaves_them() -> None:
    judge, api = Deciding(wanted=3), existing()
    before = copy.deepcopy(api.existing)

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        await minutes(0.5)
        assert api.scales == [], "what runs is as decided"
        judge.wanted = 5
        await until(lambda: replicas(api) == 5, 5.0)
        assert api.scales[0] == (
            "ranker-cpu",
            {"metadata": {"uid": "w-ranker-cpu", "resourceVersion": "7"}, "spec": {"replicas": 5}},
        )
        judge.wanted = 2
        await until(lambda: replicas(api) == 2, 5.0)
        await minutes(0.5)
        assert written(api) == [5, 2]
        assert (api.status["state"], api.status["pools"][0]["desired"]) == ("Tracking", 2)
        assert condition(api, "Degraded")["status"] == "False"
        assert "recommendation" not in api.status, "it runs what it would run"
        operator.forget("shop/feed")
        await minutes(1)
        assert replicas(api) == 2
        nothing_else_is_written(api, before)

    operated(story, judge, api=api)


@pytest.mark.parametrize(("mode", "more"), [("Recommend", {}), ("Paused", {}), ("Auto", {"rights": "observe"})])
def test_without_mode_auto_and_the_right_nothing_is_written(mode: str, more: dict[str, str]) -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        before = copy.deepcopy(api.existing)
        operator.observe(automatic(mode=mode))
        operator.listed()
        await minutes(1)
        operator.reconciler.start_over(operator.reconciler.models.values())
        await minutes(1)
        assert api.scales == []
        assert api.existing == before
        found = condition(api, "Degraded")
        if more:
            assert (found["status"], found["reason"]) == ("True", "RightsObserveOnly")
            assert "it scales nothing: set mode: Recommend, or install it with rights: act" in found["message"]
            assert condition(api, "Ready")["status"] == "True"
        else:
            assert found["status"] == "False"

    operated(story, Deciding(), api=existing(), **more)


def test_a_write_over_an_older_state_is_repeated_over_the_newer_one_and_never_over_other_replicas() -> None:
    judge, api = Deciding(wanted=3), existing()

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        await minutes(0.2)
        api.write("ranker-cpu", 3, "kube-controller-manager")  # its status, of which the watch has not told yet
        judge.wanted = 5
        await until(lambda: len(api.scales) == 1, 5.0)
        assert replicas(api) == 3
        (watched,) = operator._references._watched
        operator._references.seen(watched, copy.deepcopy(api.existing["deployments"][0]))
        await until(lambda: replicas(api) == 5, 5.0)
        assert [body["metadata"]["resourceVersion"] for _, body in api.scales] == ["7", "8"]
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, judge, api=api)


def test_what_a_watch_tells_of_the_time_before_our_write_is_no_news() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        stale = copy.deepcopy(api.existing["deployments"][0])
        operator.observe(automatic())
        operator.listed()
        await until(lambda: replicas(api) == 5, 5.0)
        (watched,) = operator._references._watched
        operator._references.seen(watched, stale)
        assert operator.referenced.pool(watched).desired == 5
        operator.referenced.rewound(watched)  # after a restore of etcd its word counts
        operator._references.seen(watched, stale)
        assert operator.referenced.pool(watched).desired == 3

    operated(story, Deciding(), api=existing())


def test_a_refused_write_is_told_with_the_sentence_of_the_api_server() -> None:
    api = existing()
    api.refused = (403, "deployments/scale is forbidden: a policy says no")

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        await minutes(0.5)
        found = condition(api, "Degraded")
        assert (found["status"], found["reason"]) == ("True", "ApiRefused")
        assert "a policy says no" in found["message"]
        api.refused = None
        await until(lambda: replicas(api) == 5, 120.0)
        await until(lambda: condition(api, "Degraded")["status"] == "False", 5.0)

    operated(story, Deciding(), api=api)


def test_what_was_decided_for_one_workload_is_never_written_to_another() -> None:
    api = existing(deployments=[workload(), workload("others", replicas=4)])
    api.refused = (403, "deployments/scale is forbidden")
    judge = Deciding(wanted=1)

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        await until(lambda: condition(api, "Degraded").get("reason") == "ApiRefused", 30.0)
        judge.decide = lambda *_: ({}, {})  # type: ignore[method-assign,assignment]
        body = automatic()
        body["metadata"]["generation"] = 2
        body["spec"]["pools"][0]["targetRef"]["name"] = "others"
        api.refused = None
        operator.observe(body)
        await minutes(1)
        assert written(api) == []
        assert api.existing["deployments"][1]["spec"]["replicas"] == 4

    operated(story, judge, api=api)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("want"), st.integers(0, 9)),
        st.tuples(st.just("mode"), st.sampled_from(["Auto", "Recommend", "Paused"])),
        st.tuples(st.just("write"), st.sampled_from(["argocd-controller", "kubectl"])),
        st.tuples(st.just("scaler"), st.booleans()),
        st.tuples(st.just("refuse"), st.booleans()),
        st.tuples(st.just("rest"), st.integers(1, 200)),
    ),
    min_size=3,
    max_size=12,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_nothing_but_replicas_is_written_and_only_in_mode_auto(steps: list[tuple[str, Any]]) -> None:
    judge, api = Deciding(), existing()
    before = copy.deepcopy(api.existing)

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        mode, generation = "Auto", 1
        operator.observe(automatic())
        operator.listed()
        for what, value in [*steps, ("rest", 5)]:
            count = len(api.scales)
            if what == "want":
                judge.wanted = value
            elif what == "mode":
                mode, generation = value, generation + 1
                body = automatic(mode=mode)
                body["metadata"]["generation"] = generation
                operator.observe(body)
            elif what == "write":
                put_back(operator, api, value)
            elif what == "scaler":
                operator.inventory.see(names.AUTOSCALER, "ADDED" if value else "DELETED", HPA)
            elif what == "refuse":
                api.refused = (500, "etcdserver: request timed out") if value else None
            await minutes((value if what == "rest" else 3) / 60)
            assert mode == "Auto" or len(api.scales) == count
        operator.forget("shop/feed")
        nothing_else_is_written(api, before)

    operated(story, judge, api=api)


def test_a_stateful_set_is_scaled_as_a_deployment_is() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        pools = referring({"kind": "StatefulSet", "name": "ranker-cpu"})
        body = automatic()
        body["spec"]["pools"] = [pools]
        operator.observe(body)
        operator.listed()
        await until(lambda: api.existing["statefulsets"][0]["spec"]["replicas"] == 5, 10.0)
        assert ("PATCH", "/apis/apps/v1/namespaces/shop/statefulsets/ranker-cpu/scale") in api.writes

    operated(story, Deciding(), api=existing(deployments=[], statefulsets=[workload()]))
