"""Why a HorizontalPodAutoscaler that stands scales nothing now, as its own conditions tell."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from recmodel.cluster.observed.shapes import Conditions

_REASON = re.compile(r"[A-Za-z][A-Za-z0-9]{0,63}")


def hindrance(status: Any) -> str:
    """``FailedGetResourceMetric`` where its metrics are unknown; empty where it scales, or where that is not known."""
    try:
        found = Conditions.model_validate(status)
    except ValidationError:  # it counts as one that scales, since what scales is left alone
        return ""
    for kind in ("AbleToScale", "ScalingActive"):
        condition = found.condition(kind)
        if condition is not None and condition.status == "False":
            return condition.reason if _REASON.fullmatch(condition.reason) else f"{kind} is False"
    return ""
