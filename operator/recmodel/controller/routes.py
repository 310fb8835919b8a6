"""What is known of each RecModel's route: how the gateways answer to it, and which older route gets its requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from recmodel.cluster import names
from recmodel.cluster.children.builders import wide_open
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.route_status import route_status
from recmodel.controller.tracked import Tracked
from recmodel.report.overlapping_routes import Object, overlaps


def read_route(tracked: Tracked, inventory: Inventory) -> None:
    """Takes over what the gateways say of the route as it stands, and whether it is withheld."""
    route = _route_of(tracked, inventory)
    status = route_status(route)
    if tracked.spec is not None and wide_open(tracked.spec) and (route is None or route["spec"].get("hostnames")):
        status = replace(status, withheld=True)
    tracked.route = replace(tracked.route, status=status)


def compare_routes(models: Sequence[Tracked], inventory: Inventory) -> None:
    """Takes over, for each of all RecModels, whether it loses requests to another one, and which ones lose some to it."""
    found = overlaps((t.owner, _route_of(t, inventory)) for t in models)
    for tracked in models:
        tracked.route = replace(
            tracked.route,
            overlap=found.lost.get(tracked.key),
            younger=found.younger.get(tracked.key, frozenset()),
        )


def _route_of(tracked: Tracked, inventory: Inventory) -> Object | None:
    """The HTTPRoute of a RecModel as it stands; None where it has or wants none."""
    routed = tracked.spec is not None and tracked.spec.route is not None
    return inventory.child(names.ROUTE, tracked.owner.namespace, tracked.owner.name) if routed else None
