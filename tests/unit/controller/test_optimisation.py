"""The Job of spec.optimisation in the whole operator: its course is said, told and exported, and nothing waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from builders.operator_stage import Api, operated, recmodel
from builders.variant_records import config_map, record
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.controller.operator import Operator


def optimising(**metadata: Any) -> dict[str, Any]:
    body = recmodel(**metadata)
    container = {"name": "optimise", "image": "optimiser:1"}
    body["spec"] |= {
        "variants": [{"name": "int8"}],
        "optimisation": {"template": {"spec": {"containers": [container]}}},
    }
    return body


def said(api: Api, kind: str) -> tuple[str, str]:
    """A condition in the status that was written last."""
    return next((c["status"], c["reason"]) for c in api.status["conditions"] if c["type"] == kind)


def exported(operator: Operator) -> list[tuple[str, str]]:
    """The same in the metric: status and reason of each series."""
    (family,) = operator._metrics.variants_ready.collect()
    return [(s.labels["status"], s.labels["reason"]) for s in family.samples if s.value == 1]


def ended(job: dict[str, Any], kind: str, reason: str) -> dict[str, Any]:
    """The Job as the API's word of its end has it."""
    condition = {"type": kind, "status": "True", "reason": reason, "message": "said so"}
    metadata = {**job["metadata"], "resourceVersion": "2"}
    return {**job, "metadata": metadata, "status": {"conditions": [condition]}}


def test_a_job_that_fails_is_said_and_told_and_changes_nothing_that_serves() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(optimising())
        operator.listed()
        await asyncio.sleep(2.2)
        (job,) = api.jobs
        assert said(api, "VariantsReady") == ("Unknown", "OptimisationRunning")
        assert exported(operator) == [("Unknown", "OptimisationRunning")]
        assert api.status["optimisationJob"] == job["metadata"]["name"]
        ready, writes = said(api, "Ready"), len(api.cluster.writes)
        operator.inventory.see(names.JOB, "MODIFIED", ended(job, "Failed", "DeadlineExceeded"))
        await asyncio.sleep(1.5)
        assert said(api, "VariantsReady") == ("False", "OptimisationFailed")
        assert exported(operator) == [("False", "OptimisationFailed")]
        (event,) = [event for event in api.events if event["reason"] == "OptimisationFailed"]
        assert event["type"] == "Warning"
        assert "DeadlineExceeded: said so" in event["message"]
        assert said(api, "Ready") == ready
        assert (len(api.cluster.writes), len(api.jobs)) == (writes, 1)
        operator.observe(recmodel(generation=2))
        await asyncio.sleep(1.2)
        assert exported(operator) == [], "without spec.optimisation there is nothing to say of a Job"

    operated(story)


def test_the_metric_of_a_job_goes_with_its_recmodel() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(optimising())
        operator.listed()
        await asyncio.sleep(1.2)
        tracked = operator.reconciler.models["shop/feed"]
        assert exported(operator) == [("Unknown", "OptimisationRunning")]
        operator.forget("shop/feed")
        operator._report(tracked)  # a worker may still be at it
        assert exported(operator) == []

    operated(story)


@pytest.mark.parametrize(("hidden", "serves"), [("jobs", True), ("pods", False)])
def test_nothing_that_serves_waits_for_the_right_to_see_jobs(hidden: str, serves: bool) -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(optimising())
        operator.listed()
        await asyncio.sleep(2.2)
        assert bool(api.cluster.writes) == serves
        assert ("Ready" in {c["type"] for c in api.status.get("conditions", [])}) == serves

    operated(story, hides=hidden)


def test_a_job_that_ended_well_and_is_gone_is_still_known_to_a_new_process() -> None:
    async def first(operator: Operator, api: Api) -> None:
        operator.inventory.see(names.CONFIG_MAP, "ADDED", config_map(record()))
        operator.observe(optimising())
        operator.listed()
        await asyncio.sleep(1.2)
        operator.inventory.see(names.JOB, "MODIFIED", ended(api.jobs[0], "Complete", "CompletionsReached"))
        await asyncio.sleep(1.5)
        assert said(api, "VariantsReady") == ("True", "OptimisationComplete")
        assert "OptimisationComplete" in [event["reason"] for event in api.events]
        operator.inventory.see(names.JOB, "DELETED", api.jobs[0])
        await asyncio.sleep(1.5)
        assert said(api, "VariantsReady") == ("True", "OptimisationComplete")
        assert len(api.jobs) == 1

    stands = operated(first).status

    async def second(operator: Operator, api: Api) -> None:
        operator.inventory.see(names.CONFIG_MAP, "ADDED", config_map(record()))
        operator.observe({**optimising(), "status": stands})
        operator.listed()
        await asyncio.sleep(1.5)
        assert api.jobs == []
        operator.observe({**optimising(generation=2), "status": stands})  # has the status written, whatever stands
        await asyncio.sleep(1.5)
        assert said(api, "VariantsReady") == ("True", "OptimisationComplete")
        assert "OptimisationComplete" not in [event["reason"] for event in api.events]
        assert api.jobs == []

    operated(second)


def test_a_refused_job_is_said_by_degraded_and_what_serves_is_ready() -> None:
    async def story(operator: Operator, api: Api) -> None:
        api.jobs_refused = "jobs.batch is forbidden: exceeded quota: no-jobs"
        operator.observe(optimising())
        operator.listed()
        await until(lambda: bool(api.status) and said(api, "Degraded") == ("True", "ApiRefused"))
        degraded, ready = (
            next(c for c in api.status["conditions"] if c["type"] == kind) for kind in ("Degraded", "Ready")
        )
        assert "exceeded quota: no-jobs" in degraded["message"]
        assert ready["reason"] == "Starting", "as its pods have not started, and not for the Job"

    operated(story)
