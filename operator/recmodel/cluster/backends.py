"""Which pool stands at which place among the route's backends, and since when.

Envoy Gateway names a pool's statistics by its place (``.../backend/1``). Where a pool is inserted, removed or moved, the
window of a rate would hold the requests of two pools under one name. So the route carries the time since which each
place is whose, in the same write as the places: a new process finds it there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recmodel.cluster.names import BACKENDS_ANNOTATION

Object = dict[str, Any]
AHEAD_SECONDS = 60.0  # by which the clock of whoever wrote a time may have been ahead of ours
Backend = tuple[str, float | None]  # name of its Service, and Unix time since when it stands there; None: not known


def services(route: Mapping[str, Any]) -> list[str]:
    """The Services of the route's first rule, in their order."""
    rules = route["spec"].get("rules") or [{}]
    return [str(backend["name"]) for backend in rules[0].get("backendRefs") or []]


def standing(route: Mapping[str, Any]) -> tuple[Backend, ...]:
    """The backends as they stand, each with the time that the route says; None where it says another one, or nothing."""
    text = (route["metadata"].get("annotations") or {}).get(BACKENDS_ANNOTATION, "")
    told = [_told(part) for part in text.split(",")]
    return tuple(
        (name, told[place][1] if place < len(told) and told[place][0] == name else None)
        for place, name in enumerate(services(route))
    )


def in_doubt(since: float | None, now_seconds: float) -> bool:
    """Whether a time is not known, or lies in the future: then it says nothing, and would for as long as it does."""
    return since is None or since > now_seconds + AHEAD_SECONDS


def with_times(route: Object, live: Mapping[str, Any] | None, now_seconds: float) -> Object:
    """A route that is about to replace ``live``, with the times: kept by whoever keeps its place, else of now.

    A new route counts as of now too, as one of the same name may have been deleted a moment ago.
    """
    before: Sequence[Backend] = standing(live) if live is not None else ()
    parts = []
    for place, name in enumerate(services(route)):
        same = place < len(before) and before[place][0] == name
        since = before[place][1] if same else None
        parts.append(f"{name}={math.ceil(now_seconds if since is None or in_doubt(since, now_seconds) else since)}")
    metadata = route["metadata"]
    annotations = {**(metadata.get("annotations") or {}), BACKENDS_ANNOTATION: ",".join(parts)}
    return {**route, "metadata": {**metadata, "annotations": annotations}}


def _told(part: str) -> Backend:
    name, _, since = part.partition("=")
    try:
        seconds = float(since)
    except ValueError:
        return name, None
    return name, seconds if math.isfinite(seconds) else None
