"""Pools by reference in mode Auto: their replicas follow the decisions, nothing else of the workloads is written, and whoever else
writes them is left alone and named.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builders.deciding import Deciding
from builders.operator_stage import operated
from builders.references import (
    HPA,
    ExistingWorkloads,
    condition,
    pod,
    reference_recmodel,
    referring,
    rest,
    workload,
)
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.controller.operator import Operator


def existing(**more: list[dict[str, Any]]) -> ExistingWorkloads:
    return ExistingWorkloads(
        **{"deployments": [workload(), workload("others")], "pods": [pod("a"), pod("b"), pod("c")], **more}
    )


def automatic(name: str = "feed", created: str = "2026-01-02T00:00:00Z", **more: Any) -> dict[str, Any]:
    body = reference_recmodel(**{"name": name, "mode": "Auto", **more})
    body["metadata"]["creationTimestamp"] = created
    return body


def replicas(api: ExistingWorkloads) -> int:
    return int(api.existing["deployments"][0]["spec"]["replicas"])


def written(api: ExistingWorkloads) -> list[int]:
    return [body["spec"]["replicas"] for _, body in api.scales]


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


async def minutes(count: float) -> None:
    await asyncio.sleep(60.0 * count)


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


def test_what_an_autoscaler_scales_is_left_alone_until_it_is_gone() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        await minutes(0.5)
        found = condition(api, "Degraded")
        assert (found["status"], found["reason"]) == ("True", "AnotherAutoscaler")
        assert found["message"].startswith("pool cpu: HorizontalPodAutoscaler ranker scales Deployment ranker-cpu")
        assert "delete HorizontalPodAutoscaler ranker" in found["message"]
        assert api.status["recommendation"]["message"].startswith("runs cpu 3 at 4.50 an hour (Horizontal")
        assert api.scales == []
        operator.inventory.see(names.AUTOSCALER, "DELETED", HPA)
        await until(lambda: replicas(api) == 5, 5.0)
        await until(lambda: condition(api, "Degraded")["status"] == "False", 5.0)

    operated(story, Deciding(), api=existing(horizontalpodautoscalers=[HPA]))


@pytest.mark.parametrize("kind", ["horizontalpodautoscalers", "canaries"])
def test_without_knowing_who_scales_nothing_is_scaled_and_that_is_told(kind: str) -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        await minutes(1)
        assert api.scales == []
        found = condition(api, "Degraded")
        assert (found["status"], found["reason"]) == ("True", "ScalersUnknown")
        assert f"let the operator's account list and watch {kind}" in found["message"]
        assert condition(api, "Ready")["status"] == "True"

    api = existing()
    api.existing.pop(kind, None)
    api.hides = kind
    operated(story, Deciding(), api=api)


def test_of_two_recmodels_on_one_workload_the_older_one_acts_and_the_other_says_so() -> None:
    judge = Deciding()

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic("young", "2026-03-01T00:00:00Z"))
        operator.observe(automatic("old", "2026-01-01T00:00:00Z"))
        operator.observe(automatic("looks", "2025-01-01T00:00:00Z", mode="Recommend"))
        operator.listed()
        await minutes(0.5)
        assert written(api) == [5]
        assert judge.acting == {"shop/young": False, "shop/old": True, "shop/looks": False}
        (found,) = (c for c in api.statuses["young"]["conditions"] if c["type"] == "Degraded")
        assert (found["status"], found["reason"]) == ("True", "AnotherRecModel")
        assert "RecModel old scales Deployment ranker-cpu, too, and is older" in found["message"]
        assert "set mode: Recommend in one of the two, or delete one" in found["message"]
        assert api.statuses["young"]["recommendation"]["recommended"], "as in mode Recommend"
        operator.forget("shop/old")
        judge.wanted = 7
        await until(lambda: replicas(api) == 7, 5.0)
        assert judge.acting == {"shop/young": True, "shop/looks": False}

    operated(story, judge, api=existing())


def test_a_workload_that_another_recmodel_has_made_is_left_alone() -> None:
    owned = workload()
    owned["metadata"]["ownerReferences"] = [{"kind": "RecModel", "name": "other", "uid": "o", "controller": True}]

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        await minutes(0.5)
        assert api.scales == []
        found = condition(api, "Degraded")
        assert found["reason"] == "AnotherRecModel"
        assert "is made and scaled by RecModel other" in found["message"]

    operated(story, Deciding(), api=existing(deployments=[owned]))


def test_one_workload_that_an_autoscaler_scales_keeps_no_other_from_being_scaled() -> None:
    other = referring({"kind": "Deployment", "name": "others"}, name="gpu")

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        body = automatic()
        body["spec"]["pools"].append(other)
        operator.observe(body)
        operator.listed()
        await until(lambda: api.existing["deployments"][1]["spec"]["replicas"] == 5, 10.0)
        await minutes(0.5)
        assert [name for name, _ in api.scales] == ["others"]
        assert [pool["desired"] for pool in api.status["pools"]] == [3, 5]
        assert condition(api, "Degraded")["reason"] == "AnotherAutoscaler"

    operated(story, Deciding(), api=existing(horizontalpodautoscalers=[HPA]))


class Lossy(ExistingWorkloads):
    """Writes what it is asked for, and answers that it timed out: the watch has told of it before the next attempt."""

    lost = False
    told: Any = None

    def _scaled(self, path: str, body: dict[str, Any]) -> web.Response:
        answer = super()._scaled(path, body)
        if self.lost and answer.status == 200:
            self.told()
            return web.json_response({"kind": "Status", "message": "etcdserver: request timed out"}, status=504)
        return answer


def test_our_own_number_whose_answer_was_lost_is_nobody_elses() -> None:
    judge, api = Deciding(wanted=4), Lossy(deployments=[workload()], pods=[pod("a"), pod("b"), pod("c")])

    async def story(operator: Operator, api: Lossy) -> None:
        def told() -> None:
            (watched,) = operator._references._watched
            operator._references.seen(watched, copy.deepcopy(api.existing["deployments"][0]))

        api.told = told
        operator.observe(automatic())
        operator.listed()
        for count in (5, 6, 7, 8):
            api.lost, judge.wanted = True, count
            await until(lambda: replicas(api) == count, 5.0)  # noqa: B023
            await minutes(0.2)
            api.lost, judge.wanted = False, count + 10
            await until(lambda: replicas(api) == count + 10, 5.0)  # noqa: B023
        await minutes(0.2)
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, judge, api=api)


async def overwritten(operator: Operator, api: ExistingWorkloads, manager: str = "argocd-controller") -> None:
    """Waits for the next write of ours, and has somebody write 3 over it, as the watch tells."""
    count = len(api.scales)
    await until(lambda: len(api.scales) > count, 700.0)
    await minutes(0.1)
    put_back(operator, api, manager)


def put_back(operator: Operator, api: ExistingWorkloads, manager: str) -> None:
    api.write("ranker-cpu", 3, manager)
    (watched,) = operator._references._watched
    operator._references.seen(watched, copy.deepcopy(api.existing["deployments"][0]))


def test_replicas_that_somebody_writes_back_three_times_are_left_alone_and_the_writer_is_named() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        for _ in range(3):
            await overwritten(operator, api)
        await minutes(0.5)
        assert written(api) == [5, 5, 5], "the third time it is left alone"
        found = condition(api, "Degraded")
        assert (found["status"], found["reason"]) == ("True", "Contested")
        assert "pool cpu: the field manager argocd-controller keeps writing over spec.replicas" in found["message"]
        assert "ignoreDifferences: [{group: apps, kind: Deployment, name: ranker-cpu, " in found["message"]
        assert api.status["state"] == "Recommending"
        await minutes(1)
        assert written(api) == [5, 5, 5]
        await minutes(1)
        assert written(api) == [5, 5, 5, 5], "after two minutes it is tried again"
        put_back(operator, api, "argocd-controller")
        await minutes(3.5)
        assert written(api) == [5, 5, 5, 5], "and then for twice as long"
        await minutes(1)
        assert written(api) == [5, 5, 5, 5, 5]
        assert condition(api, "Degraded")["reason"] == "Contested"
        await minutes(20)  # the field stays
        assert written(api) == [5, 5, 5, 5, 5]
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, Deciding(), api=existing())


def restarted(operator: Operator, api: ExistingWorkloads, **status: Any) -> None:
    """All that this process knows of the RecModel is gone, and another one begins with the status that stands."""
    operator.forget("shop/feed")
    operator.observe({**automatic(), "status": {**copy.deepcopy(api.status), **status}})


def test_a_restart_goes_on_with_a_contest_where_it_stood() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        for _ in range(3):
            await overwritten(operator, api)
        await until(lambda: condition(api, "Degraded").get("reason") == "Contested", 30.0)
        said = condition(api, "Degraded")
        for _ in range(5):
            await minutes(0.3)
            restarted(operator, api)
            await minutes(0.05)
            assert condition(api, "Degraded") == said
        assert written(api) == [5, 5, 5], "it is left alone for the two minutes that it would have been"
        await until(lambda: len(api.scales) == 4, 30.0)
        put_back(operator, api, "argocd-controller")
        await minutes(0.1)
        assert api.status["pools"][0]["contested"]["times"] == 4
        restarted(operator, api)
        await minutes(3.5)
        assert written(api) == [5, 5, 5, 5], "and then for twice as long"
        await until(lambda: len(api.scales) == 5, 60.0)
        await minutes(0.1)
        restarted(operator, api)  # the field stays, and this process has written none of it
        await minutes(2)
        assert condition(api, "Degraded")["reason"] == "Contested"
        await minutes(10)
        assert condition(api, "Degraded")["status"] == "False"
        assert "contested" not in api.status["pools"][0]
        assert written(api) == [5] * 5

    operated(story, Deciding(), api=existing())


def test_a_contest_of_another_workload_or_that_cannot_be_read_is_not_gone_on_with() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        for _ in range(3):
            await overwritten(operator, api)
        await until(lambda: condition(api, "Degraded").get("reason") == "Contested", 30.0)
        (pool,) = copy.deepcopy(api.status["pools"])
        strange: tuple[dict[str, Any], ...] = (
            {"target": "Deployment others"}, {"times": "x"}, {"lastTime": "soon"}, {"lastTime": "9999-12-31T23:59:59-12:00"},
            {"lastTime": "0001-01-01T00:00:00+14:00"}, {"lastTime": "2199-01-01T00:00:00Z"}, {"stoodSeconds": 10**30}, {"times": 2**63 - 1},
            {"stoodSeconds": 31 * 86_400},
        )  # fmt: skip
        for change in strange:
            put_back(operator, api, "argocd-controller")
            count = len(api.scales)
            restarted(operator, api, pools=[{**pool, "contested": {**pool["contested"], **change}}])
            await until(lambda: len(api.scales) == count + 1, 20.0)  # noqa: B023
            await until(lambda: condition(api, "Degraded")["status"] == "False", 20.0)

    operated(story, Deciding(), api=existing())


def test_whoever_takes_over_goes_on_with_a_contest() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        body = automatic()
        operator.observe(body)
        operator.listed()
        for _ in range(3):
            await overwritten(operator, api)
        await until(lambda: condition(api, "Degraded").get("reason") == "Contested", 30.0)
        operator._acting_changed("shop", False)
        operator.observe({**body, "status": copy.deepcopy(api.status)})
        operator._acting_changed("shop", True)
        await minutes(1.5)
        assert written(api) == [5, 5, 5]
        assert condition(api, "Degraded")["reason"] == "Contested"
        await until(lambda: len(api.scales) == 4, 40.0)
        await minutes(20)
        assert condition(api, "Degraded")["status"] == "False"
        another = copy.deepcopy(api.status)  # in which another process says that it is over
        operator.reconciler.models["shop/feed"].contests.made([(names.DEPLOYMENT, "ranker-cpu")] * 3, 1e9)
        operator.observe({**body, "status": another})
        operator._acting_changed("shop", True)
        assert operator.reconciler.models["shop/feed"].contests.fighting(0.0) == set()

    operated(story, Deciding(), api=existing())


def test_a_change_by_hand_is_put_back_by_the_next_decision_and_is_no_contest() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(automatic())
        operator.listed()
        await until(lambda: replicas(api) == 5, 5.0)
        for pause in (0, 0, 25):
            await minutes(pause)
            put_back(operator, api, "kubectl-edit")
            await until(lambda: replicas(api) == 5, 5.0)
        await minutes(0.1)
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, Deciding(), api=existing())


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
