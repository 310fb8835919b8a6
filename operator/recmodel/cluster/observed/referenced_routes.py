"""What stands of the routes that RecModels refer to, as their own watches tell. Nothing here is ours but the weights of a rule."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recmodel.api.route import RouteRef
from recmodel.api.route_reference import ServiceRef
from recmodel.cluster import names
from recmodel.cluster.observed.objects import read_route
from recmodel.cluster.observed.route_rule import RouteRule, RouteState, rule_of
from recmodel.cluster.observed.unreadable import UnreadableObjects, consequence
from recmodel.cluster.transport.errors import ApiRefused, Unreadable
from recmodel.cluster.transport.resource_version import is_older
from recmodel.core.types import Reason

# Reasons of conditions. API: never renamed.
ROUTE_MISSING = "RouteMissing"
ROUTE_UNREADABLE = "RouteUnreadable"

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class NamedRoute:
    """A route that somebody refers to."""

    kind: names.Kind
    namespace: str
    name: str

    @property
    def shown(self) -> str:
        """For messages: ``HTTPRoute shop/ranker``."""
        return f"{self.kind.kind} {self.namespace}/{self.name}"


@dataclass(slots=True)
class _Standing:
    moved_at: float  # when its rules were last seen to be others than before
    state: RouteState | None = None
    problems: dict[str, Reason] = field(default_factory=dict)  # by what cannot be read, why


class ReferencedRoutes:
    """Of each route what stands; ``unreadable`` counts those that cannot be read, ``clock`` is monotonic."""

    def __init__(self, unreadable: UnreadableObjects, clock: Callable[[], float]) -> None:
        self._unreadable = unreadable
        self._clock = clock
        self._standing: dict[NamedRoute, _Standing] = {}

    def begin(self, route: NamedRoute) -> None:
        """One that is referred to from now on."""
        self._standing.setdefault(route, _Standing(self._clock()))

    def end(self, route: NamedRoute) -> None:
        """One that nobody refers to any more."""
        self._standing.pop(route, None)
        self._unreadable.listed(route.kind, (), None, route.shown)

    def see(self, route: NamedRoute, obj: Object | None) -> None:
        """The route as it stands; None: it is not there. Where it cannot be read, what was known of it stays, and is left as it is. What
        a watch says of the time before an answer to our own write is no news.
        """
        standing = self._standing.get(route)
        if standing is None:
            return
        identity, known = (route.namespace, route.name), standing.state
        try:
            found = read_route(route.kind, obj) if obj is not None else None
        except Unreadable as problem:
            standing.problems["object"] = Reason(ROUTE_UNREADABLE, str(problem))
            self._unreadable.add(route.kind, identity, consequence(problem, known is not None), route.shown)
            return
        if found is not None and known is not None and is_older(found, known):
            return
        standing.problems.pop("object", None)
        self._unreadable.remove(route.kind, identity, route.shown)
        if found is None or known is None or found.rules != known.rules:
            standing.moved_at = self._clock()
        standing.state = found

    def rewound(self, route: NamedRoute) -> None:
        """The API server's resource versions went back: its next word counts, whatever its version."""
        standing = self._standing.get(route)
        if standing is not None and standing.state is not None:
            standing.state = replace(standing.state, resource_version="")

    def looked(self, route: NamedRoute, error: Exception | None) -> bool:
        """What came of the last look; None: it was read. Returns whether that is an answer: that the API server is away is none."""
        standing = self._standing.get(route)
        if standing is None or (error is not None and not isinstance(error, ApiRefused)):
            return False
        if error is None:
            standing.problems.pop("list", None)
        else:
            said = f"{route.shown}: {error}: let the operator's account list and watch {route.kind.plural}"
            standing.problems["list"] = Reason(ROUTE_UNREADABLE, said)
        return True

    def state(self, route: NamedRoute) -> RouteState | None:
        """The route, as it was last seen; None where it is not there or was never read."""
        standing = self._standing.get(route)
        return standing.state if standing is not None else None

    def settled_seconds(self, route: NamedRoute) -> float:
        """For how long its rules have been as they are, as far as was seen."""
        standing = self._standing.get(route)
        return self._clock() - standing.moved_at if standing is not None else 0.0

    def rule(self, route: NamedRoute, ref: RouteRef, services: Mapping[str, ServiceRef]) -> RouteRule:
        """The rule that sends to the pools' services. What is not there or cannot be read says why, and nothing of it is known."""
        standing = self._standing.get(route, _Standing(0.0))
        problem = next(iter(standing.problems.values()), None)
        known = rule_of(standing.state, ref, services, route.namespace) if standing.state is not None else None
        if problem is not None:
            return RouteRule(problem, known.weights if known is not None else None)
        if known is None:
            said = f"there is no {route.shown}: create it, or correct route.ref"
            return RouteRule(Reason(ROUTE_MISSING, said))
        return known
