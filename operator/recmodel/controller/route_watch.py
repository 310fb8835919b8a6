"""The watches of routes that RecModels refer to: one of each route by its name. They carry no label of ours, and what nobody refers
to is not watched.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.observed.referenced_routes import NamedRoute, ReferencedRoutes
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.watch import Selection, follow
from recmodel.controller.tasks import Tasks

Object = dict[str, Any]
KINDS = {kind.kind: kind for kind in names.ROUTES}


def route_of(namespace: str, spec: RecModelSpec | None) -> NamedRoute | None:
    """The route that a spec refers to; None where it refers to none."""
    ref = spec.route_ref if spec is not None else None
    return NamedRoute(KINDS[ref.kind], namespace, ref.name) if ref is not None else None


@dataclass(slots=True)
class _Watched:
    task: asyncio.Task[None]
    by: set[str] = field(default_factory=set)  # keys of the RecModels that refer to it
    answered: bool = False


class RouteWatch:
    """Follows what is referred to, and keeps ``routes`` up to date. ``on_change`` is called with the key of each RecModel whose route
    changed.
    """

    def __init__(
        self, client: Client, routes: ReferencedRoutes, tasks: Tasks, on_change: Callable[[str], None]
    ) -> None:
        self._client = client
        self._routes = routes
        self._tasks = tasks
        self._on_change = on_change
        self._watched: dict[NamedRoute, _Watched] = {}
        self._of: dict[str, NamedRoute] = {}  # by RecModel

    def want(self, key: str, wanted: NamedRoute | None) -> bool:
        """What a RecModel refers to from now on; None: it refers to no route, or is gone. Returns whether it is other than before."""
        before = self._of.pop(key, None)
        if wanted is not None:
            self._of[key] = wanted
        if before == wanted:
            return False
        if wanted is not None:
            self._begin(wanted).by.add(key)
        if before is not None:
            self._end(before, key)
        return True

    def missing(self, key: str) -> list[str]:
        """What deciding for a RecModel needs and was never read; empty where it is known, or known to be refused."""
        route = self._of.get(key)
        return [route.shown] if route is not None and not self._watched[route].answered else []

    def referring(self, route: NamedRoute) -> frozenset[str]:
        """The keys of the RecModels that refer to it."""
        watched = self._watched.get(route)
        return frozenset(watched.by) if watched is not None else frozenset()

    def seen(self, route: NamedRoute, obj: Object | None) -> None:
        """The route as it stands now; None: it is not there."""
        self._routes.see(route, obj)
        for key in self.referring(route):
            self._on_change(key)

    def rewound(self, route: NamedRoute) -> None:
        """Its versions may be lower from now on."""
        self._routes.rewound(route)

    def _begin(self, route: NamedRoute) -> _Watched:
        if route not in self._watched:
            self._routes.begin(route)
            selection = Selection(route.kind, route.namespace, fields=f"metadata.name={route.name}")
            following = functools.partial(
                follow,
                self._client,
                selection,
                _Follower(self, route),
                synced=asyncio.Event(),
                on_turn=functools.partial(self._turned, route),
            )
            self._watched[route] = _Watched(self._tasks.keep(following, f"following {route.shown}"))
        return self._watched[route]

    def _end(self, route: NamedRoute, key: str) -> None:
        watched = self._watched[route]
        watched.by.discard(key)
        if not watched.by:
            self._tasks.end(watched.task)
            del self._watched[route]
            self._routes.end(route)

    def _turned(self, route: NamedRoute, problem: Exception | None) -> None:
        watched = self._watched.get(route)
        if watched is None or not self._routes.looked(route, problem):
            return
        watched.answered = True
        for key in watched.by:
            self._on_change(key)


@dataclass(frozen=True, slots=True)
class _Follower:
    """Receives the route: a list of one, or of none."""

    watch: RouteWatch
    route: NamedRoute

    def replace(self, kind: names.Kind, objects: list[Object], namespace: str | None) -> None:  # noqa: ARG002
        self.watch.seen(self.route, objects[0] if objects else None)

    def see(self, kind: names.Kind, change: str, obj: Object) -> None:  # noqa: ARG002
        self.watch.seen(self.route, obj if change != "DELETED" else None)

    def rewound(self, kind: names.Kind, namespace: str | None) -> None:  # noqa: ARG002
        self.watch.rewound(self.route)
