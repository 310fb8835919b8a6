"""Pools by reference in mode Auto: a workload that somebody else scales, releases or has made is left alone, and who it is is told."""

from __future__ import annotations

import pytest

from builders.acting_references import automatic, existing, minutes, replicas, written
from builders.deciding import Deciding
from builders.operator_stage import operated
from builders.references import (
    HPA,
    ExistingWorkloads,
    condition,
    referring,
    workload,
)
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.controller.operator import Operator


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
