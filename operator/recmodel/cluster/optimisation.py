"""The Job that makes lighter variants of a RecModel's model, as a plain dictionary. Pure.

Its name holds the hash of what the user wrote, so another template is another Job and the same one exists once. A finished Job
stays as the mark that it ran; deleting it has it run again with the next change of the RecModel, or start of the operator.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children import Owner

# Not the label of children: the pods of this Job serve nothing and belong to no pool.
OPTIMISES_LABEL = "recmodel.dev/optimises"
LONGEST_OWNER = 44  # with the rest of the name it still is a valid label, which the Job's pods carry
RETRIES = 2


def job(owner: Owner, spec: RecModelSpec) -> dict[str, Any] | None:
    """The Job of ``spec.optimisation``; None where there is none."""
    if spec.optimisation is None:
        return None
    written = spec.optimisation.model_dump(by_alias=True, exclude_none=True)
    digest = hashlib.sha256(json.dumps(written, sort_keys=True).encode()).hexdigest()[:8]
    labels = {OPTIMISES_LABEL: owner.name, "app.kubernetes.io/managed-by": "recmodel"}
    metadata, pod = written["template"].get("metadata", {}), written["template"]["spec"]
    pod["restartPolicy"] = "Never"
    pod["automountServiceAccountToken"] = "serviceAccountName" in pod
    pod["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}, **pod.get("securityContext", {})}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        container["securityContext"] = {"allowPrivilegeEscalation": False, **container.get("securityContext", {})}
    return {
        "apiVersion": names.JOB.group_version,
        "kind": names.JOB.kind,
        "metadata": {
            "name": f"{owner.name[:LONGEST_OWNER].rstrip('-.')}-optimise-{digest}",
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
