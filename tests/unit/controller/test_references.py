"""Pools by reference in the whole operator: what stands is reported, nothing but that is written, and only what is referred to is
watched.
"""

from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest

from builders.operator_stage import Seeing, operated, recmodel
from builders.reconciler_world import World, run_story
from builders.references import ExistingWorkloads, pod, reference_recmodel, reference_spec, referring, workload
from builders.virtual_time import until
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.controller.operator import Operator
from recmodel.controller.reference_watch import ReferenceWatch
from recmodel.controller.tasks import Tasks
from recmodel.prometheus import GatherSettings
from recmodel.report.explain import explain

HPA = {
    "metadata": {"namespace": "shop", "name": "ranker", "uid": "h", "resourceVersion": "3"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "ranker-cpu"}, "maxReplicas": 6},
}


def existing(**more: list[dict[str, Any]]) -> ExistingWorkloads:
    return ExistingWorkloads(
        **{
            "deployments": [workload(), workload("others")],
            "pods": [pod("a"), pod("b"), pod("c"), pod("x", app="others")],
            "horizontalpodautoscalers": [HPA],
            **more,
        }
    )


def condition(api: ExistingWorkloads, kind: str) -> dict[str, Any]:
    return next(dict(c) for c in api.status["conditions"] if c["type"] == kind)


def test_what_runs_is_reported_and_nothing_but_the_status_and_events_is_written() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        before = copy.deepcopy(api.existing)
        operator.observe(reference_recmodel())
        operator.listed()
        await asyncio.sleep(45.0)  # past two sweeps
        (cpu,) = api.status["pools"]
        assert (cpu["desired"], cpu["ready"], cpu["weight"], cpu["loadPerSecond"]) == (3, 3, 1000, "5.00")
        found = api.status["recommendation"]
        assert found["running"] == {"replicas": {"cpu": 3}, "costPerHour": "4.50"}
        assert found["message"].startswith(
            "runs cpu 3 at 4.50 an hour (HorizontalPodAutoscaler ranker scales cpu); would run "
        )
        saving = float(found["running"]["costPerHour"]) - float(found["recommended"]["costPerHour"])
        assert float(found["savingPerHour"]) == saving
        labels = {"namespace": "shop", "model": "feed"}
        exported = operator._metrics.registry.get_sample_value("recmodel_recommended_cost_per_hour", labels)
        assert exported == float(found["recommended"]["costPerHour"])
        assert api.status["state"] == "Recommending"
        assert condition(api, "Ready")["status"] == "True"
        degraded = condition(api, "Degraded")
        assert degraded["status"] == "False", "who scales a reference is not in our way"
        operator.forget("shop/feed")
        await asyncio.sleep(1.0)
        assert {(method, path.rsplit("/", 1)[-1]) for method, path in api.writes} == {
            ("PATCH", "status"),
            ("POST", "events"),
        }
        assert all("/recmodels/feed/status" in path for method, path in api.writes if method == "PATCH")
        assert api.cluster.writes == []
        assert api.existing == before

    operated(story, api=existing())


def test_only_what_is_referred_to_is_followed_and_once_for_two_recmodels() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(reference_recmodel())
        operator.observe(reference_recmodel(name="twin"))
        operator.listed()
        await asyncio.sleep(3.0)
        assert sorted(api.selections) == [("deployments", "metadata.name=ranker-cpu"), ("pods", "app=ranker-cpu")]
        running = len(operator._tasks._tasks)
        operator.forget("shop/feed")
        assert len(operator._tasks._tasks) == running
        operator.forget("shop/twin")
        assert len(operator._tasks._tasks) == running - 2

    operated(story, api=existing())


def test_a_target_that_is_missing_is_told_with_the_way_out_and_stops_no_other_recmodel() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(recmodel(name="own", uid="o"))
        operator.observe(reference_recmodel())
        operator.listed()
        await until(lambda: any(c["reason"] == "TargetMissing" for c in api.status.get("conditions", ())), 10.0)
        await until(lambda: operator.reconciler.models["shop/own"].decision is not None, 10.0)
        ready = condition(api, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", "TargetMissing")
        assert (
            "pool cpu: there is no Deployment shop/ranker-cpu: create it, or correct the pool's targetRef"
            in ready["message"]
        )
        assert condition(api, "Degraded")["reason"] == "TargetMissing"
        assert "recommendation" not in api.status
        api.existing["deployments"] = [workload()]
        api.end_watches()
        api.existing["pods"] = [pod("a")]

    operated(story, api=existing(deployments=[], pods=[]))


def test_a_target_that_may_not_be_read_is_told_with_the_right_that_lacks() -> None:
    api = existing(statefulsets=[])
    api.forbidden = {"statefulsets"}

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(reference_recmodel(referring({"kind": "StatefulSet", "name": "ranker-cpu"})))
        operator.listed()
        await until(lambda: bool(api.status), 20.0)
        ready = condition(api, "Ready")
        assert ready["reason"] == "TargetUnreadable"
        assert "statefulsets is forbidden" in ready["message"]
        assert "let the operator's account list and watch statefulsets" in ready["message"]

    operated(story, api=api)


def test_without_a_known_load_nothing_is_recommended() -> None:
    class Blind(Seeing):
        def gather(self, views: Any, now_seconds: float) -> Any:
            return super().gather([], now_seconds)

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(reference_recmodel())
        operator.listed()
        await until(lambda: bool(api.status), 10.0)
        found = api.status["recommendation"]
        assert "recommended" not in found
        assert "what the operator would run is not known yet" in found["message"]
        assert "weight" not in api.status["pools"][0]
        story = explain(json.dumps({"kind": "RecModel", "metadata": {"name": "feed"}, "status": api.status}))
        assert found["message"] in story
        assert "3 of 3 ready, weight not known" in story

    blind = Blind(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
    operated(story, blind, api=existing())


@pytest.mark.parametrize("mode", ["Recommend", "Auto", "Paused"])
def test_the_reconciler_writes_nothing_for_references_whatever_it_is_told(mode: str) -> None:
    """No child in any mode; and in mode Auto no replicas of what no watch of references knows."""
    spec = RecModelSpec.model_validate(reference_spec()).model_copy(update={"mode": mode})

    async def story(world: World) -> None:
        world.inventory.see(names.DEPLOYMENT, "ADDED", workload())
        for replicas, weight in ((5, 1.0), (0, 0.0), (9, 3.0)):
            world.decide(cpu=(replicas, weight))
            world.reconciler.wake(world.tracked.key)
            await asyncio.sleep(30.0)
        world.reconciler.start_over([world.tracked])
        await asyncio.sleep(30.0)
        world.reconciler.forget(world.tracked.key)
        await asyncio.sleep(30.0)
        assert world.tracked.applied.failed is None

    world = run_story(spec, story)
    assert world.cluster.writes == []
    assert world.cluster.objects == {}


def test_a_selector_that_changes_is_followed_anew() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(reference_recmodel())
        operator.listed()
        await asyncio.sleep(2.0)
        api.existing["deployments"] = [workload(selector={"matchLabels": {"app": "others"}})]
        (watched,) = operator._references._watched
        operator._references.seen(watched, api.existing["deployments"][0])
        await asyncio.sleep(2.0)
        assert operator.referenced.pool(watched).pods == ("x",)

    operated(story, api=existing())


def test_nothing_is_asked_of_a_recmodel_without_references() -> None:
    watch = ReferenceWatch(None, None, Tasks())  # type: ignore[arg-type]
    watch.want("shop/feed", {})
    assert watch._of == watch._watched == {}
