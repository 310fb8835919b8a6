"""What is known of each RecModel's route: how the gateways answer to it, and which older route gets its requests."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from recmodel.cluster.children.builders import route_kind, wide_open
from recmodel.cluster.observed.backends import Backend
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.route_status import route_status
from recmodel.controller.tracked import Tracked
from recmodel.report.overlapping_routes import Object, overlaps

logger = logging.getLogger(__name__)


def read_route(tracked: Tracked, inventory: Inventory) -> None:
    """Takes over what the gateways say of the route as it stands, and whether it is withheld."""
    if tracked.spec is None:
        return
    route = _route_of(tracked, inventory)
    status = route_status(route, route_kind(tracked.spec))
    if wide_open(tracked.spec) and (route is None or route["spec"].get("hostnames")):
        status = replace(status, withheld=True)
    tracked.route = replace(tracked.route, status=status)


def backends(tracked: Tracked, inventory: Inventory) -> tuple[Backend, ...]:
    """The backends of a RecModel's route in their order, each with the time since when it stands there."""
    return inventory.backends(tracked.key, route_kind(tracked.spec)) if tracked.spec is not None else ()


def compare_routes(models: Sequence[Tracked], inventory: Inventory) -> None:
    """Takes over, for each of all RecModels, whether it loses requests to another one, and which ones lose some to it. What cannot be
    compared stays as it was known.
    """
    try:
        found = overlaps((t.owner, _route_of(t, inventory)) for t in models)
    except Exception:
        logger.exception("the routes of %d RecModels cannot be compared", len(models))
        return
    for tracked in models:
        tracked.route = replace(
            tracked.route,
            overlap=found.lost.get(tracked.key),
            younger=found.younger.get(tracked.key, frozenset()),
            mixed=found.mixed.get(tracked.key),
        )


def _route_of(tracked: Tracked, inventory: Inventory) -> Object | None:
    """The route of a RecModel as it stands; None where it has or wants none."""
    if tracked.spec is None or tracked.spec.own_route is None:
        return None
    return inventory.child(route_kind(tracked.spec), tracked.owner.namespace, tracked.owner.name)
