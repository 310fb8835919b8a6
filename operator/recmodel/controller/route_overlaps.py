"""RecModels that ask for the same requests: of two with the same Gateway, hostname and path, the older route wins."""

from __future__ import annotations

from collections.abc import Sequence

from recmodel.cluster import names
from recmodel.cluster.observed.inventory import Inventory
from recmodel.controller.tracked import Tracked
from recmodel.report.overlapping_routes import Object, overlaps


def route_of(tracked: Tracked, inventory: Inventory) -> Object | None:
    """The HTTPRoute of a RecModel as it stands; None where it has or wants none."""
    routed = tracked.spec is not None and tracked.spec.route is not None
    return inventory.child(names.ROUTE, tracked.owner.namespace, tracked.owner.name) if routed else None


def mark(models: Sequence[Tracked], inventory: Inventory) -> None:
    """Tells each of all RecModels whether it loses requests to another one."""
    lost = overlaps((t.owner, t.spec, route_of(t, inventory)) for t in models if t.spec is not None)
    for tracked in models:
        tracked.overlap = lost.get(tracked.key)
