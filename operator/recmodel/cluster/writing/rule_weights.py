"""The one write to a route that is not ours: the weights of the backends of one rule, over what was last seen of it.

A JSON patch tests the version and the name of each backend first, so the order, the filters, the matches and the other rules stay
as they are, byte for byte, and no weight lands at another backend.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from recmodel.cluster.names import FIELD_MANAGER
from recmodel.cluster.observed.referenced_routes import NamedRoute, ReferencedRoutes
from recmodel.cluster.observed.route_rule import RouteState
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, NotFound

logger = logging.getLogger(__name__)

CONFLICTS = (409, 422)  # 422 where a test of the patch failed


class RuleWeights:
    """Writes through one client, and keeps ``routes`` up to date."""

    def __init__(self, client: Client, routes: ReferencedRoutes) -> None:
        self._client = client
        self._routes = routes

    async def write(self, route: NamedRoute, rule: int, places: Mapping[str, int], weights: Mapping[str, int]) -> bool:
        """Writes the weights by pool at their places; False where somebody else has written the route since it was seen. Then it is read
        again, and what stands is for the next look. What the API server refuses of the weights themselves is raised.
        """
        state = self._routes.state(route)
        if state is None or not state.resource_version or rule >= len(state.rules):
            return False
        patch = weights_patch(state, rule, {places[pool]: weight for pool, weight in weights.items()})
        metadata = {"namespace": route.namespace, "name": route.name}
        try:
            answer = await self._client.patch(route.kind, metadata, patch, "json-patch", FIELD_MANAGER)
        except NotFound:
            self._routes.see(route, None)
            return False
        except ApiRefused as error:
            if error.status not in CONFLICTS or not await self._moved(route, state):
                raise
            logger.info("%s: its weights are left to the next look, as somebody else writes it just now", route.shown)
            return False
        self._routes.see(route, answer)
        return True

    async def _moved(self, route: NamedRoute, before: RouteState) -> bool:
        """Reads the route again, and returns whether it is another one than the write was made for."""
        live: dict[str, Any] | None = None
        with contextlib.suppress(NotFound):
            live = await self._client.get(route.kind, route.namespace, route.name)
        self._routes.see(route, live)
        now = self._routes.state(route)
        return now is None or (now.uid, now.resource_version) != (before.uid, before.resource_version)


def weights_patch(state: RouteState, rule: int, weights: Mapping[int, int]) -> list[dict[str, Any]]:
    """The JSON patch that sets weights by place, over this very state."""
    tests: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/uid", "value": state.uid},
        {"op": "test", "path": "/metadata/resourceVersion", "value": state.resource_version},
    ]
    writes = []
    for place, weight in sorted(weights.items()):
        path = f"/spec/rules/{rule}/backendRefs/{place}"
        tests.append({"op": "test", "path": f"{path}/name", "value": state.rules[rule][place].name})
        if state.rules[rule][place].weight != weight:
            writes.append({"op": "add", "path": f"{path}/weight", "value": weight})
    return [*tests, *writes]
