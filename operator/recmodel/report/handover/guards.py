"""Whether what scales may still be taken away as it was planned: asked of each object just before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recmodel.cluster import names
from recmodel.report.handover.found import HELD, PAUSED
from recmodel.report.handover.shapes import ScaledObjectShape
from recmodel.report.handover.steps import Write, acts
from recmodel.report.handover.store import Object, difference, restorable, stored

AGAIN = "somebody else hands over or back as well, or changes it: run this again"


def taken(annotation: str | None) -> Object:
    """A pause annotation as a write that takes a ScaledObject away carries it."""
    return {PAUSED: annotation}


def to_be_taken(
    write: Write, recmodel: Mapping[str, Any] | None, store: Mapping[str, Any] | None, live: Mapping[str, Any]
) -> bool:
    """Whether it is still to be done; ``ValueError`` where it must not: the RecModel does not act any more, the store does not hold
    ``live`` as it is to be restored, or it is not as it was planned.
    """
    acts(recmodel)
    if store is None:
        raise ValueError(f"the ConfigMap that keeps it is gone: {AGAIN}")
    kept, takes = stored(store), write.takes or {}
    if write.kind == names.AUTOSCALER:
        if kept.autoscalers.get(write.name) != takes:
            raise ValueError(f"the ConfigMap does not hold it as it was planned: {AGAIN}")
        if different := difference(restorable(live), takes):
            raise ValueError(
                f"it was changed since it was stored ({different}): run this again, which stores the change"
            )
        return True
    if write.name not in kept.paused or taken(kept.paused[write.name]) != takes:
        raise ValueError(f"the ConfigMap does not hold its annotation as it was planned: {AGAIN}")
    metadata = ScaledObjectShape.model_validate(live).metadata
    if metadata.annotations.get(PAUSED) == "true" and names.HANDING_OVER in metadata.owner_of(PAUSED):
        return False  # by an attempt whose answer was lost
    if taken(metadata.annotations.get(PAUSED)) != takes or HELD in metadata.annotations:
        raise ValueError("somebody has paused it, or gone on with it, since it was looked at: run this again")
    return True
