"""An operator with ``rights: observe``: it reports, and tries no write that its account is refused."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from builders.operator_stage import operated, recmodel
from builders.references import ExistingWorkloads, pod, reference_recmodel, workload
from builders.virtual_time import until
from recmodel.controller.operator import Operator
from recmodel.controller.settings import from_environment


def condition(api: ExistingWorkloads, kind: str) -> dict[str, Any]:
    return next(dict(c) for c in api.status["conditions"] if c["type"] == kind)


def templated(mode: str) -> dict[str, Any]:
    body = recmodel(name="own", uid="o")
    body["spec"]["mode"] = mode
    return body


@pytest.mark.parametrize("mode", ["Auto", "Recommend"])
def test_pools_with_a_template_are_told_the_way_out_and_nothing_is_tried(mode: str) -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(templated(mode))
        operator.listed()
        await asyncio.sleep(60.0)  # past three sweeps
        operator.reconciler.start_over(operator.reconciler.models.values())
        await asyncio.sleep(30.0)
        for kind, status in (("Ready", "False"), ("Degraded", "True"), ("Progressing", "False")):
            found = condition(api, kind)
            assert (found["status"], found["reason"]) == (status, "RightsObserveOnly")
            assert "refer to workloads that run (targetRef, mode Recommend)" in found["message"]
            assert "install it with rights: act" in found["message"]
        assert {(method, path.rsplit("/", 1)[-1]) for method, path in api.writes} <= {
            ("PATCH", "status"),
            ("POST", "events"),
        }
        assert api.cluster.writes == []

    operated(story, api=ExistingWorkloads(), rights="observe")


def test_what_the_same_operator_would_make_with_rights_to_act() -> None:
    """The spec is as good as before: after an upgrade to ``act`` its pools are made."""

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(templated("Auto"))
        operator.listed()
        await until(lambda: ("Deployment", "own-cpu") in api.cluster.objects, 10.0)

    operated(story, api=ExistingWorkloads(), rights="act")


def test_pools_that_serve_already_go_on_as_they_are_and_the_status_says_why() -> None:
    made = ExistingWorkloads()

    async def before(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(templated("Auto"))
        operator.listed()
        await until(lambda: ("HTTPRoute", "own") in api.cluster.objects, 10.0)

    operated(before, api=made, rights="act")
    api = ExistingWorkloads(deployments=[made.cluster.objects["Deployment", "own-cpu"]])

    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(templated("Auto"))
        operator.listed()
        await asyncio.sleep(45.0)
        tracked = operator.reconciler.models["shop/own"]
        assert operator._pools(tracked)["cpu"].exists
        assert condition(api, "Ready")["reason"] != "RightsObserveOnly"
        assert condition(api, "Degraded")["reason"] == "RightsObserveOnly"
        assert tracked.decision is not None
        assert tracked.decision.state == "Recommending"
        assert api.cluster.writes == []

    operated(story, api=api, rights="observe")


def test_a_recmodel_by_reference_gets_its_recommendation_as_with_rights_to_act() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(reference_recmodel())
        operator.listed()
        await asyncio.sleep(45.0)
        assert api.status["recommendation"]["message"].startswith("runs cpu 3 at 4.50 an hour; would run ")
        assert (condition(api, "Ready")["status"], condition(api, "Degraded")["status"]) == ("True", "False")

    existing = ExistingWorkloads(deployments=[workload()], pods=[pod("a"), pod("b"), pod("c")])
    operated(story, api=existing, rights="observe")


def test_mode_paused_says_paused() -> None:
    async def story(operator: Operator, api: ExistingWorkloads) -> None:
        operator.observe(templated("Paused"))
        operator.listed()
        await until(lambda: bool(api.status), 10.0)
        assert condition(api, "Degraded")["reason"] == "Paused"

    operated(story, api=ExistingWorkloads(), rights="observe")


def test_the_chart_tells_it_by_its_environment() -> None:
    assert from_environment({}).permitted.acting
    assert not from_environment({"RECMODEL_RIGHTS": "observe"}).permitted.acting
    with pytest.raises(ValueError, match="rights"):
        from_environment({"RECMODEL_RIGHTS": "look"})
