"""A pool that is made beside one that stands already: each is treated as what it is, and both are decided on together."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from builders.deciding import Deciding
from builders.fake_cluster import OWNER
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
from builders.refused_references import OWN
from builders.status_scene import STATE
from builders.virtual_time import until
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.versions import ModelVersion, Serving
from recmodel.cluster.observed.pool_state import Reference
from recmodel.controller.operator import Operator
from recmodel.controller.tracked import Tracked
from recmodel.controller.views import core_model
from recmodel.prometheus import ModelView, Readings
from recmodel.report.snapshot import Desired, Versions

CHILDREN = {("Deployment", "feed-gpu"), ("Service", "feed-gpu"), ("PodDisruptionBudget", "feed-gpu")}


def mixed(mode: str = "Auto") -> dict[str, Any]:
    body = reference_recmodel(referring(), copy.deepcopy(OWN), mode=mode)
    body["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    return body


def existing(**more: list[dict[str, Any]]) -> ExistingWorkloads:
    return ExistingWorkloads(**{"deployments": [workload()], "pods": [pod("a"), pod("b"), pod("c")], **more})


def own_replicas(api: ExistingWorkloads) -> int:
    return int(api.cluster.objects["Deployment", "feed-gpu"]["spec"]["replicas"])


class Asking(Deciding):
    """Keeps what was asked of Prometheus."""

    views: Sequence[ModelView] = ()

    def gather(self, views: Sequence[ModelView], now_seconds: float) -> Readings:
        self.views = views
        return super().gather(views, now_seconds)


def test_replicas_of_both_follow_the_decision_and_only_one_of_them_has_children() -> None:
    judge, api = Asking(wanted=2), existing()
    before = copy.deepcopy(api.existing)

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(mixed())
        operator.listed()
        await until(lambda: [body["spec"]["replicas"] for _, body in api.scales] == [2], 30.0)
        await until(lambda: api.cluster.objects.keys() == CHILDREN and own_replicas(api) == 2, 30.0)
        assert [name for name, _ in api.scales] == ["ranker-cpu"]
        await asyncio.sleep(2.0)
        assert [(pool["name"], pool["desired"]) for pool in api.status["pools"]] == [("cpu", 2), ("gpu", 2)]
        (view,) = judge.views
        assert [pool.pod_prefix for pool in view.pools] == ["ranker-cpu-", "feed-gpu-"]
        assert view.by_name, "one is measured as the other is"
        judge.wanted = 1
        await until(lambda: own_replicas(api) == 1 and len(api.scales) == 2, 30.0)
        await asyncio.sleep(60.0)  # past some sweeps
        assert [rest(obj) for obj in api.existing["deployments"]] == [rest(obj) for obj in before["deployments"]]
        assert api.cluster.objects.keys() == CHILDREN, "and no route"

    operated(story, judge, api=api)


def test_an_autoscaler_of_the_one_keeps_nobody_from_scaling_the_other() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(mixed())
        operator.listed()
        await until(lambda: api.cluster.objects.keys() == CHILDREN and own_replicas(api) == 2, 30.0)
        await until(lambda: condition(api, "Degraded").get("reason") == "AnotherAutoscaler", 30.0)
        assert api.scales == []

    operated(story, Deciding(wanted=2), api=existing(horizontalpodautoscalers=[HPA]))


@pytest.mark.parametrize(("mode", "more"), [("Recommend", {}), ("Paused", {}), ("Auto", {"rights": "observe"})])
def test_without_mode_auto_and_the_right_the_one_is_only_looked_at(mode: str, more: dict[str, str]) -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(mixed(mode))
        operator.listed()
        await asyncio.sleep(60.0)
        assert api.scales == []
        assert api.cluster.objects.keys() == (CHILDREN if mode == "Recommend" else set())
        if mode == "Recommend":
            assert own_replicas(api) == 0, "its minimum: what stands already answers"
            assert api.status["recommendation"]["running"]["replicas"] == {"cpu": 3, "gpu": 0}
        if more:
            assert "it makes and changes no pools: refer to workloads that run" in condition(api, "Degraded")["message"]

    operated(story, Deciding(wanted=2), api=existing(), **more)


def test_a_version_of_the_one_is_none_of_the_other() -> None:
    spec = RecModelSpec.model_validate(mixed()["spec"])
    desired, version = Desired(spec=spec, model=spec.model("shop/feed")), ModelVersion("full", "2")
    tracked = Tracked(OWNER, desired, versions=Versions({"gpu": Serving(version)}))
    pools = {"cpu": replace(STATE, reference=Reference("Deployment ranker-cpu")), "gpu": STATE}
    model = core_model(tracked, pools)
    assert [pool.version for pool in model.pools] == ["Deployment ranker-cpu", version.name]
    assert not model.routed, "the traffic of neither is the operator's to share out"
