"""Who keeps writing over the children of a RecModel, for its status."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from recmodel.cluster.transport.errors import ApiRefused
from recmodel.cluster.writing.apply import Actor
from recmodel.cluster.writing.drift import Child
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Reason
from recmodel.report import refusals


async def overwriting(
    actor: Actor, tracked: Tracked, drifted: Mapping[Child, dict[str, Any]], now: float
) -> Reason | None:
    """Who keeps writing over our fields, once they have been put back several times in a row; None: nobody."""
    fighting = tracked.backoffs.fighting(now)
    fought = {child: body for child, body in drifted.items() if child in fighting}
    if not fighting:
        return None
    if fought:
        child, body = min(fought.items(), key=lambda item: (item[0][0].kind, item[0][1]))
        managers: list[str] = []
        with contextlib.suppress(ApiRefused):  # gone, or not to be read: then nobody can be named
            managers = await actor.overwriters(tracked.owner, child, body)
        return refusals.overwritten(fought, managers)
    return tracked.applied.overwritten
