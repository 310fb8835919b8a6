"""The Job that makes lighter variants of a RecModel's model, as a plain dictionary, and how far it has come. Pure.

Its name holds the hash of what the user wrote, so another template is another Job and the same one exists once. A finished Job
stays as the mark that it ran, and where it ended well the RecModel's status is that mark, too.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from recmodel.api.pool import Optimisation
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.children.pod_template import restricted

# Not the label of children: the pods of this Job serve nothing and belong to no pool.
OPTIMISES_LABEL = "recmodel.dev/optimises"
LONGEST_OWNER = 44  # with the rest of the name it still is a valid label, which the Job's pods carry
RETRIES = 2


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far the Job has come."""

    stage: Literal["Absent", "Running", "Complete", "Failed"] = "Absent"
    said: str = ""  # the Job's own reason and message where it failed; what went wrong so far while it runs


def job_name(owner: Owner, optimisation: Optimisation) -> str:
    """The name of the Job, which says what it was made from."""
    written = optimisation.model_dump(by_alias=True, exclude_none=True)
    digest = hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:8]
    return f"{owner.name[:LONGEST_OWNER].rstrip('-.')}-optimise-{digest}"


def job_progress(owner: Owner, live: Mapping[str, Any] | None) -> JobProgress:
    """What the Job's status says; one of an earlier RecModel of the same name counts as absent."""
    if live is None or not owner.owns(live):
        return JobProgress()
    status = live.get("status") or {}
    ends = {c["type"]: c for c in status.get("conditions") or [] if c["status"] == "True"}
    if "Complete" in ends:
        return JobProgress("Complete")
    if failed := ends.get("Failed"):
        return JobProgress("Failed", ": ".join(filter(None, (failed.get("reason"), failed.get("message")))))
    attempts = status.get("failed", 0)
    return JobProgress("Running", f"{attempts} of {RETRIES + 1} attempts failed so far" if attempts else "")


def job(owner: Owner, spec: RecModelSpec) -> dict[str, Any] | None:
    """The Job of ``spec.optimisation``; None where there is none."""
    if spec.optimisation is None:
        return None
    written = spec.optimisation.model_dump(by_alias=True, exclude_none=True)
    labels = {OPTIMISES_LABEL: owner.name, "app.kubernetes.io/managed-by": "recmodel"}
    metadata, pod = written["template"].get("metadata", {}), restricted(written["template"]["spec"])
    pod["restartPolicy"] = "Never"
    return {
        "apiVersion": names.JOB.group_version,
        "kind": names.JOB.kind,
        "metadata": {
            "name": job_name(owner, spec.optimisation),
            "namespace": owner.namespace,
            "labels": labels,
            "ownerReferences": [owner.reference()],
        },
        "spec": {
            "backoffLimit": RETRIES,
            "activeDeadlineSeconds": max(1, math.ceil(spec.optimisation.deadline_seconds)),
            "template": {
                "metadata": {**metadata, "labels": {**metadata.get("labels", {}), **labels}},
                "spec": pod,
            },
        },
    }
