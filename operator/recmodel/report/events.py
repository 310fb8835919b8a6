"""Kubernetes Events: what changed and why, where ``kubectl describe`` shows it. One per change of a decision or flip
of a condition.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from recmodel.api.status import RecModelStatus, timestamp
from recmodel.cluster import names
from recmodel.cluster.transport.errors import shortened
from recmodel.core import reasons
from recmodel.core.types import Reason
from recmodel.report.conditions import STARTING
from recmodel.report.status import is_news

# Which status of a condition is the worrying one; a flip to it is a Warning, a flip from it is Normal.
_BAD = {
    "Ready": "False",
    "ObjectiveMet": "False",
    "MetricsAvailable": "False",
    "CapacityAvailable": "False",
    "Degraded": "True",
    "Stalled": "True",
    "VariantsMeasured": "False",
    "VariantsReady": "False",
}
_NEWS = ("Ready", "VariantsReady")  # to become so is worth an Event even where nothing was wrong before
SPEC_ACCEPTED = "SpecAccepted"
MESSAGE_CHARACTERS = 1024  # the API's limit


def changes(new: RecModelStatus, old: RecModelStatus) -> list[tuple[str, Reason]]:
    """What is worth an Event, each as (Normal or Warning, reason): conditions that flipped, and a decision that changed
    replicas.
    """
    before = {condition.type: condition.status for condition in old.conditions}
    said = {condition.type: condition.message for condition in old.conditions}
    found = [
        ("Warning" if _BAD[c.type] == c.status else "Normal", Reason(c.reason, f"{c.type} is {c.status}: {c.message}"))
        for c in new.conditions
        if c.type in _BAD
        and (before.get(c.type) != c.status or (_BAD[c.type] == c.status and is_news(c.type, c.message, said[c.type])))
        # The first "nothing is wrong" of a new RecModel is no news; nor is Unknown, nor that a new one is starting.
        and c.status != "Unknown"
        and not (c.reason == STARTING and c.type not in before)
        and (_BAD[c.type] == c.status or before.get(c.type) not in (None, "Unknown") or c.type in _NEWS)
    ]
    if before.get("Stalled") == "True" and all(c.type != "Stalled" for c in new.conditions):
        found.append(("Normal", Reason(SPEC_ACCEPTED, "the newest spec is valid and is served")))
    stood = {rollout.pool: (rollout.to, rollout.phase, rollout.step) for rollout in old.rollouts}
    found += [
        ("Warning" if rollout.phase == "RolledBack" else "Normal", Reason(rollout.reason, rollout.message))
        for rollout in new.rollouts
        if stood.get(rollout.pool) != (rollout.to, rollout.phase, rollout.step)
    ]
    latest = new.decisions[0] if new.decisions else None
    previous = old.decisions[0] if old.decisions else None
    if latest is not None and previous is not None and latest.replicas != previous.replicas:
        moves = ", ".join(
            f"{name} {previous.replicas.get(name, 0)} -> {count}"
            for name, count in latest.replicas.items()
            if previous.replicas.get(name) != count
        )
        kind = "Warning" if latest.state in (reasons.DEGRADED, reasons.HOLDING) else "Normal"
        found.append((kind, Reason(latest.reason, f"{moves}: {latest.message}")))
    return found


def event(
    owner: Mapping[str, Any], kind: str, reason: Reason, now: datetime, about: names.Kind = names.RECMODEL
) -> dict[str, Any]:
    """The Event about a RecModel, or ``about`` an object of another kind. Its name comes from its content, so that a repeated write
    is refused and not shown twice.
    """
    metadata = owner["metadata"]
    time = timestamp(now)
    digest = hashlib.sha256(f"{metadata['uid']}{time}{reason.reason}{reason.message}".encode()).hexdigest()[:16]
    return {
        "apiVersion": "v1", "kind": "Event",
        "metadata": {"name": f"{metadata['name']}.{digest}", "namespace": metadata["namespace"]},
        "involvedObject": {
            "apiVersion": about.group_version, "kind": about.kind, "name": metadata["name"],
            "namespace": metadata["namespace"], "uid": metadata["uid"],
        },
        "reason": reason.reason, "message": shortened(reason.message, MESSAGE_CHARACTERS), "type": kind,
        "source": {"component": "recmodel"}, "firstTimestamp": time, "lastTimestamp": time, "count": 1,
    }  # fmt: skip
