"""Pools that the spec has no more and that still answer: nothing of them goes before the others carry the load."""

from __future__ import annotations

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner, route_kind
from recmodel.cluster.observed.backends import services
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.pool_state import PoolState, leaves
from recmodel.cluster.route_places import arranged


def leaving(inventory: Inventory, owner: Owner, spec: RecModelSpec) -> tuple[str, ...]:
    """Their names: with ready pods and a weight in the route, so that requests reach them. What stands says it, so a new process
    knows as much.

    Where decisions are not carried out, nobody moves their weight away: they stay only until a pool of the spec is ready. So do
    those of a model without a route, or whose route is somebody else's.
    """
    pools = [pool.name for pool in spec.pools]
    answering = _answering(inventory, owner, pools)
    if spec.by_reference or not answering:
        return ()
    states = [inventory.pool(owner.key, pool, owner.uid) for pool in pools]
    route = inventory.child(route_kind(spec), owner.namespace, owner.name) if spec.route is not None else None
    ours = route is not None and owner.owns(route)
    weights = inventory.weights(owner.key, answering, route_kind(spec)) if ours else None
    drains = spec.mode == "Auto" and weights is not None and not any(state.left_alone for state in states)
    if weights is not None and drains:
        return tuple(name for name in answering if weights[name] > 0)
    return () if any(state.ready for state in states) else tuple(answering)


def states_of_leaving(inventory: Inventory, owner: Owner, spec: RecModelSpec) -> dict[str, PoolState]:
    """What stands of them by name. Whoever else scales or releases one does not keep it."""
    states = {name: inventory.pool(owner.key, name, owner.uid) for name in leaving(inventory, owner, spec)}
    return {name: leaves(state) for name, state in states.items()}


def holds(inventory: Inventory, owner: Owner, spec: RecModelSpec) -> bool:
    """Whether only pools that left the spec serve: they, and the route to them, stay as they are until one that is in it is ready."""
    ready = any(inventory.pool(owner.key, pool.name, owner.uid).ready for pool in spec.pools)
    return not ready and bool(leaving(inventory, owner, spec))


def places(inventory: Inventory, owner: Owner, spec: RecModelSpec) -> list[str]:
    """The pools in their order in the route, those that leave included: each where it stands (``cluster.route_places``); in the
    order of the spec where there is no route yet.
    """
    pools = [pool.name for pool in spec.pools]
    live = inventory.child(route_kind(spec), owner.namespace, owner.name)
    if live is None:
        return pools
    by_service = {names.child_name(owner.name, pool): pool for pool in (*pools, *leaving(inventory, owner, spec))}
    return [by_service[service] for service in arranged(services(live), list(by_service))]


def _answering(inventory: Inventory, owner: Owner, pools: list[str]) -> list[str]:
    """The pools beside ``pools`` that have a Deployment and a Service of this very RecModel, and ready pods."""
    found = inventory.children_of(owner.key)
    owned = {(kind, body["metadata"]["name"]): body for kind, body in found if owner.owns(body)}
    named = {
        str((body["metadata"].get("labels") or {}).get(names.POOL_LABEL)): name
        for (kind, name), body in owned.items()
        if kind == names.DEPLOYMENT
    }
    return sorted(
        pool
        for pool, name in named.items()
        if pool not in pools
        and name == names.child_name(owner.name, pool)
        and (names.SERVICE, name) in owned
        and inventory.pool(owner.key, pool, owner.uid).ready
    )
