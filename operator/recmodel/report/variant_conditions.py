"""The conditions about a RecModel's variants: what is known of their accuracy, and how the Job that makes them ended. Pure."""

from __future__ import annotations

from recmodel.api.records import RECORD_LABEL
from recmodel.api.status import Condition
from recmodel.core import reasons
from recmodel.core.types import Reason
from recmodel.report.pool_problems import withheld
from recmodel.report.snapshot import Snapshot

# Reasons of these conditions. API: never renamed.
ALL_MEASURED = "AllMeasured"
INVALID_RECORD = "InvalidRecord"
VARIANT_UNMEASURED = "VariantUnmeasured"
NOT_OBSERVED = "NotObserved"  # also of the other conditions
OPTIMISATION_RUNNING = "OptimisationRunning"
OPTIMISATION_COMPLETE = "OptimisationComplete"
OPTIMISATION_FAILED = "OptimisationFailed"
RECORD_MISSING = "RecordMissing"
SAID_CHARACTERS = 600  # of a Job's own message: how to look comes after it, and must fit


def measured(snapshot: Snapshot) -> tuple[str, Reason]:
    """Status and reason of VariantsMeasured: whether every record is valid, and each accuracy that is needed is known."""
    desired = snapshot.desired
    variants, budget = desired.variants, desired.spec.objective.accuracy if desired.spec else None
    if variants is not None and variants.problems:
        shown, more = variants.problems[:3], len(variants.problems) - 3
        said = "; ".join(shown) + (f"; and {more} more" if more > 0 else "")
        return "False", Reason(INVALID_RECORD, f"{said}; what was known before stays in effect")
    if variants is not None and variants.unmeasured and budget is not None:
        said = f"no measured accuracy of {', '.join(variants.unmeasured)}: no traffic while others are measured"
        return "False", Reason(VARIANT_UNMEASURED, said)
    return "True", Reason(ALL_MEASURED, "the accuracy of each variant that needs one is known")


def optimised(snapshot: Snapshot, job: str, before: Condition | None) -> tuple[str, Reason]:
    """Status and reason of VariantsReady; True: the Job ended well and left a record.

    ``before`` is what was said of this Job: its end is what is known of one that somebody deleted afterwards.
    """
    job_progress, namespace = snapshot.desired.job_progress, snapshot.owner.namespace
    ended = before.reason if before is not None and job_progress.stage == "Absent" else None
    if before is not None and ended == OPTIMISATION_FAILED:
        return "False", Reason(OPTIMISATION_FAILED, before.message)
    if job_progress.stage == "Failed":
        said = f"Job {job} failed: {job_progress.said[:SAID_CHARACTERS]}; look: kubectl -n {namespace} logs job/{job}"
        return "False", Reason(OPTIMISATION_FAILED, said)
    if job_progress.stage == "Complete" or ended in (OPTIMISATION_COMPLETE, RECORD_MISSING):
        return _recorded(snapshot, job)
    if job_progress.stage == "Running":
        return "Unknown", Reason(
            OPTIMISATION_RUNNING, f"Job {job} has not ended; {job_progress.said}".removesuffix("; ")
        )
    if unmade := withheld(snapshot.desired):
        return "Unknown", Reason(unmade.reason, f"Job {job} is not started: {unmade.message}")
    if not snapshot.desired.acts:
        return "Unknown", Reason(reasons.MODE_RECOMMEND, f"Job {job} is not started: the mode is not Auto")
    return "Unknown", Reason(NOT_OBSERVED, f"no Job {job}: not started yet, or deleted before its end was seen")


def _recorded(snapshot: Snapshot, job: str) -> tuple[str, Reason]:
    records = snapshot.desired.variants.recorded if snapshot.desired.variants else ()
    if not records:
        problems = snapshot.desired.variants.problems if snapshot.desired.variants else ()
        said = problems[0] if problems else f"no ConfigMap has the label {RECORD_LABEL}: {snapshot.owner.name}"
        return "False", Reason(RECORD_MISSING, f"Job {job} is complete, but there is no record of a variant: {said}")
    chosen = [f"{r.variant}, version {r.version}: {r.reason}" for r in records if r.chosen]
    return "True", Reason(OPTIMISATION_COMPLETE, f"Job {job} is complete; chosen: {'; '.join(chosen) or 'none'}")
