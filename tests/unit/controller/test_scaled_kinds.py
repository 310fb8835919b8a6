"""Pools by reference to a kind of which only the scale is known, in the whole operator: it is found, looked at and scaled as a
Deployment is, and what is the matter with one is told of that one alone.
"""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from builders.deciding import Deciding
from builders.operator_stage import operated
from builders.references import pod, reference_recmodel, referring, workload
from builders.scaled_workloads import TARGET, WIDGETS, ScaledWorkloads, widget
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.controller.operator import Operator

ALLOWED = {"scale_targets": (WIDGETS,)}
OTHER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "others"}


def api_of(*widgets: dict[str, Any], **more: list[dict[str, Any]]) -> ScaledWorkloads:
    pods = {"pods": [pod(f"ranker-cpu-{n}") for n in range(3)], **more}
    return ScaledWorkloads(*(widgets or (widget(),)), deployments=[workload("others")], **pods)


def automatic(target: dict[str, Any] | None = None, name: str = "feed", **more: Any) -> dict[str, Any]:
    body = reference_recmodel(referring(dict(target or TARGET)), name=name, **{"mode": "Auto", **more})
    body["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    return body


def condition(api: ScaledWorkloads, kind: str) -> dict[str, Any]:
    return next((dict(c) for c in api.status.get("conditions", ()) if c["type"] == kind), {})


def replicas(api: ScaledWorkloads) -> int:
    return int(api.existing["widgets"][0]["spec"]["replicas"])


def begun(operator: Operator, *bodies: dict[str, Any]) -> None:
    for body in bodies or (automatic(),):
        operator.observe(body)
    operator.listed()


def test_it_is_scaled_over_what_was_seen_and_nothing_else_of_it_is_written() -> None:
    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        before = copy.deepcopy(api.existing["widgets"][0])
        begun(operator)
        await until(lambda: replicas(api) == 5, 20.0)
        assert api.scales == [
            ("ranker-cpu", {"metadata": {"uid": "w-1", "resourceVersion": "10"}, "spec": {"replicas": 5}})
        ]
        assert [path for method, path in api.writes if method == "PATCH" and "recmodels" not in path] == [
            "/apis/shop.example/v1/namespaces/shop/widgets/ranker-cpu/scale"
        ]
        assert api.existing["widgets"][0]["status"] == before["status"]
        await asyncio.sleep(30.0)
        (cpu,) = api.status["pools"]
        assert (cpu["desired"], cpu["ready"]) == (5, 3)
        assert condition(api, "Ready")["status"] == "True"
        assert condition(api, "Degraded")["status"] == "False"
        assert len(api.scales) == 1
        assert api.scale_reads <= 3, "it is read when the object changes and once a minute, and not at each tick"
        operator.forget("shop/feed")
        running = len(operator._tasks._tasks)
        await asyncio.sleep(30.0)
        assert len(operator._tasks._tasks) == running
        assert not any("widget" in task.get_name().lower() for task in operator._tasks._tasks)

    operated(story, Deciding(), api=api_of(), **ALLOWED)


def test_in_mode_recommend_it_is_looked_at_and_nothing_is_written() -> None:
    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator, automatic(mode="Recommend"))
        await until(lambda: "recommended" in api.status.get("recommendation", {}), 20.0)
        assert api.status["recommendation"]["running"] == {"replicas": {"cpu": 3}, "costPerHour": "4.50"}
        await asyncio.sleep(30.0)
        assert api.scales == []

    operated(story, api=api_of(), **ALLOWED)


def test_what_scales_it_already_is_left_alone_and_named() -> None:
    owner = {"kind": "ScaledObject", "name": "ranker", "uid": "s", "controller": True}
    metadata = {
        "namespace": "shop",
        "name": "keda-hpa-ranker",
        "uid": "h",
        "resourceVersion": "3",
        "ownerReferences": [owner],
    }
    hpa = {"metadata": metadata, "spec": {"scaleTargetRef": TARGET, "maxReplicas": 6}}  # fmt: skip

    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator)
        await until(lambda: condition(api, "Degraded").get("reason") == "AnotherAutoscaler", 20.0)
        assert "keda-hpa-ranker (ScaledObject ranker) scales Widget ranker-cpu" in condition(api, "Degraded")["message"]
        await asyncio.sleep(10.0)
        assert api.scales == []
        operator.inventory.see(names.AUTOSCALER, "DELETED", hpa)
        await until(lambda: replicas(api) == 5, 5.0)

    operated(story, Deciding(), api=api_of(horizontalpodautoscalers=[hpa]), **ALLOWED)


def test_a_kind_that_is_installed_later_is_found_within_a_minute_and_is_asked_for_at_growing_intervals() -> None:
    api = api_of()
    api.served = False

    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator, automatic(), automatic(name="twin"))
        await until(lambda: condition(api, "Ready").get("reason") == "TargetKindNotServed", 20.0)
        said = "Widget shop/ranker-cpu: the cluster serves no Widget of shop.example/v1: install it, or correct the pool's targetRef"
        assert said in condition(api, "Ready")["message"]
        assert condition(api, "Degraded")["reason"] == "TargetKindNotServed"
        await asyncio.sleep(600.0)
        asked = sum(path.endswith("shop.example/v1") for _, path in api.requests)
        assert 15 < asked < 40, "once for both, and not more often than each half minute"
        assert api.scales == []
        api.served = True
        await until(lambda: replicas(api) == 5, 60.0)
        await until(lambda: condition(api, "Ready")["status"] == "True", 10.0)

    operated(story, Deciding(), api=api, **ALLOWED)


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ([{"name": "widgets", "kind": "Widget", "namespaced": True}], "has no scale subresource"),
        ([{"name": "gadgets", "kind": "Widget", "namespaced": True}], "the cluster serves it as 'gadgets': correct"),
        (3, "the cluster serves no Widget"),
    ],
)
def test_a_kind_that_cannot_be_scaled_is_told_and_nothing_of_it_is_read(resources: Any, said: str) -> None:
    api = api_of()
    api.resources = resources

    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator)
        await until(lambda: condition(api, "Ready").get("reason") == "TargetKindNotServed", 20.0)
        assert said in condition(api, "Ready")["message"]
        assert not any("widgets" in path for _, path in api.requests)

    operated(story, Deciding(), api=api, **ALLOWED)


def test_a_kind_that_the_setting_does_not_name_is_told_and_nothing_is_asked_of_it() -> None:
    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator)
        await until(lambda: condition(api, "Ready").get("reason") == "TargetKindNotAllowed", 20.0)
        said = "the operator's setting scaleTargets does not name Widget.shop.example: have the platform team add its group"
        assert said in condition(api, "Ready")["message"]
        assert not any("shop.example" in path for _, path in api.requests)
        assert api.scales == []

    operated(story, Deciding(), api=api_of())


@pytest.mark.parametrize(
    ("change", "refused", "said"),
    [
        (lambda obj: obj["status"].pop("selector"), None, "status.selector of its scale is empty"),
        (lambda obj: obj["status"].update(selector="x{"), None, "must be a label selector"),
        (lambda obj: obj["spec"].update(replicas="3"), None, "spec.replicas is '3'"),
        (lambda obj: obj["spec"].update(replicas=-2), None, "spec.replicas is -2"),
        (lambda obj: obj["spec"].update(replicas=2**40), None, "spec.replicas is 1099511627776"),
        (None, (403, "widgets/scale is forbidden"), "the operator's account may get widgets/scale.shop.example"),
        (None, (404, "not found"), "see whether the kind still has a scale subresource"),
        (None, (500, 'the spec replicas field ".spec.replicas" does not exist'), 'the spec replicas field ".spec.replicas"'),
        (None, (500, "broken"), "broken"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("from_the_start", [True, False])
def test_a_scale_that_cannot_be_had_or_read_is_told_of_that_recmodel_alone_and_nothing_is_written(
    change: Any, refused: tuple[int, str] | None, said: str, from_the_start: bool
) -> None:
    api, judge = api_of(), Deciding(wanted=3)

    def spoil() -> None:
        api.scale_refused = refused
        api.change(change or (lambda obj: None))

    if from_the_start:
        spoil()

    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator, automatic(OTHER, name="other"))
        begun(operator)
        await asyncio.sleep(60.0)
        if not from_the_start:
            assert replicas(api) == 3
            spoil()
            await asyncio.sleep(60.0)
        judge.wanted = 5
        await asyncio.sleep(60.0)
        feed = operator.reconciler.models["shop/feed"]
        status = operator.reporter.report(feed, operator._pools(feed), operator.tick.weights(feed))
        ready = next(c for c in status.conditions if c.type == "Ready")
        assert (ready.status, ready.reason) == ("False", "TargetUnreadable"), ready.message
        assert said in ready.message
        assert [name for name, _ in api.scales] == ["others"], "the other one is scaled as ever"

    operated(story, judge, api=api, **ALLOWED)


def test_a_scale_that_does_not_come_is_told_in_the_end_and_keeps_no_other_recmodel_waiting() -> None:
    api = api_of()
    api.scale_hangs = True

    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator, automatic(OTHER, name="other"), automatic())
        await until(lambda: [name for name, _ in api.scales] == ["others"], 20.0)
        await until(lambda: not operator._missing(operator.reconciler.models["shop/feed"]), 300.0)
        await until(lambda: condition(api, "Ready").get("reason") == "TargetUnreadable", 30.0)
        assert "it is read again, and its replicas are left alone until then" in condition(api, "Ready")["message"]
        api.scale_hangs = False
        await until(lambda: replicas(api) == 5, 120.0)

    operated(story, Deciding(), api=api, **ALLOWED)


def test_a_group_of_pods_for_each_replica_is_left_alone_and_told() -> None:
    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator)
        await until(lambda: condition(api, "Degraded").get("reason") == "ReplicasAreNotPods", 20.0)
        message = condition(api, "Degraded")["message"]
        assert message.count("has 3 replicas by its scale, and 12 pods match") == 1
        await asyncio.sleep(60.0)
        assert api.scales == []
        api.tell("pods", "MODIFIED", pod("ranker-cpu-0"))
        assert "recommendation" not in api.status

    operated(story, Deciding(), api=api_of(pods=[pod(f"ranker-cpu-{n}") for n in range(12)]), **ALLOWED)


def test_one_that_goes_is_missing_and_one_that_comes_is_scaled() -> None:
    api = api_of()
    made = api.existing["widgets"].pop()

    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator)
        await until(lambda: condition(api, "Ready").get("reason") == "TargetMissing", 20.0)
        api.existing["widgets"].append(made)
        api.tell("widgets", "ADDED", made)
        await until(lambda: replicas(api) == 5, 5.0)
        gone = api.existing["widgets"].pop()
        api.tell("widgets", "DELETED", gone)
        await until(lambda: condition(api, "Ready").get("reason") == "TargetMissing", 5.0)

    operated(story, Deciding(), api=api, **ALLOWED)


def test_somebody_who_writes_over_the_replicas_is_named_with_his_way_out() -> None:
    async def story(operator: Operator, api: ScaledWorkloads) -> None:
        begun(operator)
        await until(lambda: replicas(api) == 5, 20.0)
        for _ in range(4):
            api.write("ranker-cpu", 2, "argocd-controller")
            await asyncio.sleep(5.0)
        found = condition(api, "Degraded")
        assert found["reason"] == "Contested"
        assert "{group: shop.example, kind: Widget, name: ranker-cpu" in found["message"]

    operated(story, Deciding(), api=api_of(), **ALLOWED)
