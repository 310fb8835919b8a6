"""Which pool stands at which place among the route's backends, and since when.

Envoy Gateway names a pool's statistics by its place (``.../backend/1``). Where a pool is inserted, removed or moved, the
window of a rate would hold the requests of two pools under one name. So the route carries the time since which each
place is whose, in the same write as the places: a new process finds it there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recmodel.cluster.children.ownership import changed_seconds
from recmodel.cluster.names import BACKENDS_ANNOTATION, Kind

REMEMBERED_SECONDS = 7200.0  # a route that is gone: longer than any window of a rate
Object = dict[str, Any]
AHEAD_SECONDS = 60.0  # by which the clock of whoever wrote a time may have been ahead of ours
Identity = tuple[str, str]  # namespace and name
Backend = tuple[str, float | None]  # name of its Service, and Unix time since when it stands there; None: not known


def services(route: Mapping[str, Any]) -> list[str]:
    """The Services of the route's first rule, in their order."""
    rules = route["spec"].get("rules") or [{}]
    return [str(backend["name"]) for backend in rules[0].get("backendRefs") or []]


def standing(route: Mapping[str, Any]) -> tuple[Backend, ...]:
    """The backends as they stand, each with the time that the route's annotation gives. Where it gives none, or one of another
    backend, as the route of an older operator, nothing has moved since the route last changed; None where that is not known either.
    """
    marked = _marks(route)
    unchanged_since = changed_seconds(route)
    return tuple(
        (name, marked[place][1] if _is_marked(marked, place, name) else unchanged_since)
        for place, name in enumerate(services(route))
    )


def in_doubt(since: float | None, now_seconds: float) -> bool:
    """Whether a time is unknown, or lies in the future and so cannot be right."""
    return since is None or since > now_seconds + AHEAD_SECONDS


def is_marked(route: Mapping[str, Any], now_seconds: float) -> bool:
    """Whether the route's annotation gives the time of each of its backends, and none is in doubt."""
    marked = _marks(route)
    return all(
        _is_marked(marked, place, name) and not in_doubt(marked[place][1], now_seconds)
        for place, name in enumerate(services(route))
    )


def with_times(
    route: Object, live: Mapping[str, Any] | None, now_seconds: float, free_since_seconds: float | None = None
) -> Object:
    """A route that is about to replace ``live``, with the times: kept by whoever keeps its place, else of now.

    The places of a new route are as old as its name is free: nobody else's requests were counted under it. Where that is not
    known, one of the same name may have been deleted a moment ago, and they are of now.
    """
    before: Sequence[Backend] = standing(live) if live is not None else ()
    fresh = now_seconds if live is not None or free_since_seconds is None else min(now_seconds, free_since_seconds)
    parts = []
    for place, name in enumerate(services(route)):
        same = place < len(before) and before[place][0] == name
        since = before[place][1] if same else None
        parts.append(f"{name}={math.ceil(fresh if since is None or in_doubt(since, now_seconds) else since)}")
    metadata = route["metadata"]
    annotations = {**(metadata.get("annotations") or {}), BACKENDS_ANNOTATION: ",".join(parts)}
    return {**route, "metadata": {**metadata, "annotations": annotations}}


class FreeNames:
    """Since when there is no route of a kind and name, as far as was watched."""

    def __init__(self) -> None:
        # By kind and namespace, None for all of them: when its routes were first listed.
        self._listed: dict[tuple[Kind, str | None], float] = {}
        self._left: dict[tuple[Kind, Identity], float] = {}

    def listed(self, kind: Kind, namespace: str | None, now_seconds: float) -> None:
        """All routes of a kind in a namespace (None: in all) are known from now on."""
        self._listed.setdefault((kind, namespace), now_seconds)

    def left(self, kind: Kind, route: Identity, now_seconds: float) -> None:
        """A route is gone."""
        for old in [name for name, left in self._left.items() if left < now_seconds - REMEMBERED_SECONDS]:
            del self._left[old]
        self._left[kind, route] = now_seconds

    def taken(self, kind: Kind, route: Identity) -> None:
        """A route that is not watched has the name, and nothing reports when it goes."""
        self._left[kind, route] = math.inf

    def since(self, kind: Kind, route: Identity) -> float | None:
        """Unix time since when the name is free; infinity: it may have been taken until now; None: not known."""
        listed = [self._listed[kind, place] for place in (route[0], None) if (kind, place) in self._listed]
        return max(min(listed), self._left.get((kind, route), -math.inf)) if listed else None


def _marks(route: Mapping[str, Any]) -> list[Backend]:
    text = (route["metadata"].get("annotations") or {}).get(BACKENDS_ANNOTATION, "")
    return [_mark(part) for part in text.split(",")]


def _is_marked(marked: Sequence[Backend], place: int, name: str) -> bool:
    return place < len(marked) and marked[place][0] == name and marked[place][1] is not None


def _mark(part: str) -> Backend:
    name, _, since = part.partition("=")
    try:
        seconds = float(since)
    except ValueError:
        return name, None
    return name, seconds if math.isfinite(seconds) else None
