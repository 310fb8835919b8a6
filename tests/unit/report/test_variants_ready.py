"""The condition VariantsReady: how far the Job of spec.optimisation has come, or how it ended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders.status_scene import condition, status, with_records
from builders.variant_records import config_map, record
from recmodel.api.status import RecModelStatus
from recmodel.cluster.children.optimiser_job import JobProgress
from recmodel.controller.recalled import Recalled, recall
from recmodel.controller.tracked import Tracked
from recmodel.report.events import changes
from recmodel.report.status import as_object, worth_writing


def optimised(
    job_progress: JobProgress, *records: dict[str, Any], job: str = "feed-optimise-1", mode: str = "Auto"
) -> Tracked:
    t = with_records(*records)
    assert t.spec is not None
    spec = t.spec.model_copy(update={"mode": mode})
    t.desired = replace(t.desired, spec=spec, job=job, job_progress=job_progress)
    return t


RUNNING, COMPLETE = JobProgress("Running", "1 of 3 attempts failed so far"), JobProgress("Complete")
FAILED = JobProgress("Failed", "BackoffLimitExceeded: Job has reached the specified backoff limit")
CHOSEN = config_map(record(), record("tiny", chosen=False))
UNLISTED = config_map(record("tiny"))  # the spec has no such variant
BAD = config_map(record(value="good"))
# Each stage after nothing, and after what was said before of the same Job.
OPTIMISED = {
    "not started yet": (optimised(JobProgress()), None, ("Unknown", "NotObserved", "not started yet")),
    "not started in this mode": (
        optimised(JobProgress(), mode="Recommend"), None, ("Unknown", "ModeRecommend", "the mode is not Auto")),
    "running": (optimised(RUNNING), None, ("Unknown", "OptimisationRunning", "has not ended; 1 of 3 attempts failed so far")),
    "running, in a mode of later": (optimised(RUNNING, mode="Paused"), None, ("Unknown", "OptimisationRunning", "")),
    "running beside an old record": (optimised(RUNNING, CHOSEN), None, ("Unknown", "OptimisationRunning", "has not ended")),
    "complete": (
        optimised(COMPLETE, CHOSEN), None,
        ("True", "OptimisationComplete", "Job feed-optimise-1 is complete; chosen: int8, version 7: the fastest within the budget")),
    "complete, of a variant that is not in the spec": (
        optimised(COMPLETE, UNLISTED), None, ("True", "OptimisationComplete", "chosen: tiny, version 7")),
    "complete, and nothing chosen": (
        optimised(COMPLETE, config_map(record(chosen=False))), None, ("True", "OptimisationComplete", "chosen: none")),
    "complete without a record": (
        optimised(COMPLETE), None, ("False", "RecordMissing", "no ConfigMap has the label recmodel.dev/variants-of: feed")),
    "complete with a bad record": (
        optimised(COMPLETE, BAD), None, ("False", "RecordMissing", "int8.json in ConfigMap feed-variants: value is 'good'")),
    "failed": (
        optimised(FAILED), None,
        ("False", "OptimisationFailed", f"Job feed-optimise-1 failed: {FAILED.said}; "
         "look: kubectl -n shop logs job/feed-optimise-1")),
    "failed with much to say": (
        optimised(JobProgress("Failed", "x" * 5000)), None,
        ("False", "OptimisationFailed", "xx; look: kubectl -n shop logs job/feed-optimise-1")),
    "failed beside an old record": (optimised(FAILED, CHOSEN), None, ("False", "OptimisationFailed", "")),
    "deleted after it ended well": (
        optimised(JobProgress(), CHOSEN), optimised(COMPLETE, CHOSEN), ("True", "OptimisationComplete", "chosen: int8")),
    "deleted after it ended well, and its record, too": (
        optimised(JobProgress()), optimised(COMPLETE, CHOSEN), ("False", "RecordMissing", "")),
    "deleted after it ended well, and the record written again": (
        optimised(JobProgress(), CHOSEN), optimised(COMPLETE), ("True", "OptimisationComplete", "")),
    "deleted after it failed": (
        optimised(JobProgress(), CHOSEN), optimised(FAILED), ("False", "OptimisationFailed", FAILED.said)),
    "deleted while it ran": (
        optimised(JobProgress(), CHOSEN), optimised(RUNNING), ("Unknown", "NotObserved", "deleted before its end was seen")),
    "started again after it failed": (optimised(RUNNING), optimised(FAILED), ("Unknown", "OptimisationRunning", "")),
    "another one after one that ended well": (
        optimised(JobProgress(), CHOSEN, job="feed-optimise-2"), optimised(COMPLETE, CHOSEN), ("Unknown", "NotObserved", "")),
    "another one after one that failed": (
        optimised(JobProgress(), CHOSEN, job="feed-optimise-2"), optimised(FAILED), ("Unknown", "NotObserved", "")),
}  # fmt: skip


@pytest.mark.parametrize("case", OPTIMISED)
def test_how_far_the_job_has_come(case: str) -> None:
    now, earlier, (state, reason, said) = OPTIMISED[case]
    found = status(now, written=status(earlier) if earlier else RecModelStatus())
    (told,) = [c for c in found.conditions if c.type == "VariantsReady"]
    assert (told.status, told.reason) == (state, reason)
    assert said in told.message
    assert found.optimisation_job == now.desired.job
    assert condition("Ready", found) == ("True", "Serving")


def test_without_an_optimisation_nothing_is_said_of_a_job() -> None:
    found = status(with_records(CHOSEN), written=status(optimised(COMPLETE, CHOSEN)))
    assert "VariantsReady" not in {c.type for c in found.conditions}
    assert found.optimisation_job is None


def test_the_end_of_a_job_is_told_once_and_its_course_is_not() -> None:
    running = status(optimised(RUNNING))
    assert "OptimisationRunning" not in [told.reason for _, told in changes(running, RecModelStatus())]
    for job_progress, found, told in (
        (FAILED, (), ("Warning", "OptimisationFailed")),
        (COMPLETE, (), ("Warning", "RecordMissing")),
        (COMPLETE, (UNLISTED,), ("Normal", "OptimisationComplete")),
    ):
        ended = status(optimised(job_progress, *found), written=running)
        assert [(kind, reason.reason) for kind, reason in changes(ended, running)] == [told]
        assert changes(status(optimised(job_progress, *found), written=ended), ended) == []


def test_another_job_with_the_same_end_and_another_attempt_are_worth_a_write() -> None:
    first, second = (status(optimised(FAILED, job=f"feed-optimise-{n}")) for n in (10000001, 10000002))
    assert worth_writing(second, first)
    tried = status(optimised(JobProgress("Running", "2 of 3 attempts failed so far")))
    assert worth_writing(tried, status(optimised(RUNNING)))
    assert not worth_writing(first, first)


def test_a_job_that_ended_well_is_known_to_a_new_process() -> None:
    for job_progress, finished in ((COMPLETE, "feed-optimise-1"), (FAILED, None), (RUNNING, None)):
        stands = {"status": as_object(status(optimised(job_progress, CHOSEN)))}
        assert recall(stands, Recalled(), 0.0).finished_job == finished
