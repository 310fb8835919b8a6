"""Asking a large fleet for fewer buckets: those around the thresholds in use, once it is known which edges exist.

Ten thousand models of two pools with thirty edges are 600,000 buckets a tick, 70 MB of JSON. What the decision needs
is the share within the threshold: the edges next to it, and ``+Inf``. A small fleet is asked for all of them, which
shows percentiles too.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from recmodel.prometheus.client import Vector
from recmodel.prometheus.histogram import edge_bracket, upper_bound_seconds
from recmodel.prometheus.profile import Histogram, Profile
from recmodel.prometheus.queries import edges_of, with_edges

LARGE_FLEET_MODELS = 500
MOST_LAYOUTS = 8
FORGET_SECONDS = 6000.0
LEARN_AGAIN_SECONDS = 600.0  # edges change only with a server's or gateway's configuration


@dataclass(frozen=True, slots=True)
class _Learned:
    at_seconds: float
    edges: tuple[frozenset[str], ...]  # values of ``le`` as Prometheus stores them (100 and 100.0 are two), by layout


@dataclass(slots=True)
class EdgeMemory:
    """Which edges each profile's histogram has. One for the process; losing it costs one query a profile."""

    learned: dict[str, _Learned] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def question(self, profile: Profile, models: int, now_seconds: float, scope: Sequence[str] = ()) -> str | None:
        """The query that must be asked first; None for a small fleet, or while the edges are known."""
        if models < LARGE_FLEET_MODELS or profile.latency is None:
            return None
        known = self.learned.get(_key(profile))
        fresh = known is not None and 0 <= now_seconds - known.at_seconds < LEARN_AGAIN_SECONDS
        return None if fresh else edges_of(profile, scope)

    def learn(self, profile: Profile, answer: Vector, now_seconds: float) -> None:
        """Remember what the query was answered."""
        edges = layouts({labels["le"]: count for labels, count in answer.rows if "le" in labels})
        with self._lock:
            # Shapes that nobody has any more: those in use are learned again long before.
            for old in [k for k, found in self.learned.items() if now_seconds - found.at_seconds > FORGET_SECONDS]:
                del self.learned[old]
            self.learned[_key(profile)] = _Learned(now_seconds, edges)

    def narrowed(
        self,
        profile: Profile,
        query: str,
        models: int,
        thresholds_seconds: Iterable[float],
        scope: Sequence[str] = (),
    ) -> str:
        """``query`` for the edges next to the thresholds, where that is worth it and they are known; else unchanged."""
        known = self.learned.get(_key(profile))
        if models < LARGE_FLEET_MODELS or known is None or profile.latency is None:
            return query
        thresholds = set(thresholds_seconds)
        chosen = frozenset().union(*(nearest(edges, profile.latency, thresholds) for edges in known.edges))
        return with_edges(query, profile, chosen, scope) if chosen else query


def layouts(counts: Mapping[str, float]) -> tuple[frozenset[str], ...]:
    """All edges, and those that as many buckets have: of servers with different edges each kind needs its own next to a
    threshold. The commonest ``MOST_LAYOUTS`` of them.
    """
    by_count: dict[float, set[str]] = {}
    for edge, count in counts.items():
        by_count.setdefault(count, set()).add(edge)
    if not counts:
        return ()
    commonest = [frozenset(by_count[count]) for count in sorted(by_count, reverse=True)[:MOST_LAYOUTS]]
    return tuple(dict.fromkeys((frozenset(counts), *commonest)))


def nearest(edges: Iterable[str], histogram: Histogram, thresholds_seconds: Iterable[float]) -> frozenset[str]:
    """The edges at or next to the thresholds, and ``+Inf``: of 25, 50, 99 and 200 (whole ms) for 0.1 s, 99 and +Inf."""
    bounds: dict[float, set[str]] = {}
    for edge in edges:
        try:
            bounds.setdefault(upper_bound_seconds(edge, histogram.unit, whole_units=histogram.whole_units), set()).add(
                edge
            )
        except ValueError:
            continue
    wanted = {math.inf} | {
        bound for t in set(thresholds_seconds) for bound in edge_bracket(dict.fromkeys(bounds, 0.0), t)
    }
    return frozenset(edge for bound in wanted for edge in bounds.get(bound, ()))


def _key(profile: Profile) -> str:
    series = profile.latency.model_dump_json() if profile.latency else profile.name
    return f"{series}{' by name' if profile.identity.named else ' over gRPC' if profile.calls else ''}"
