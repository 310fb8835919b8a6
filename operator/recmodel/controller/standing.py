"""What stands in the cluster for the pools of a RecModel: those that are made, those that leave, and those by reference."""

from __future__ import annotations

from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.leaving import states_of_leaving
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.cluster.writing.apply import Actor
from recmodel.controller.reference_pools import ReferencePools
from recmodel.controller.tracked import Tracked
from recmodel.controller.views import pool_state


def standing_pools(
    tracked: Tracked, inventory: Inventory, actor: Actor, reference_pools: ReferencePools
) -> dict[str, PoolState]:
    """By pool, in the order of the spec; empty where there has been no valid one."""
    spec = tracked.spec
    if spec is None:
        return {}
    stand = {p.name: inventory.pool(tracked.key, p.name, tracked.owner.uid) for p in spec.made_pools}
    stand |= states_of_leaving(inventory, tracked.owner, spec)
    cut_off = {name for name in stand if actor.cut_off(tracked.owner, name, tracked.applied.refusals)}
    stand |= reference_pools.states(tracked)
    found = {name: stand[name] for name in dict.fromkeys([*(pool.name for pool in spec.pools), *stand])}
    return {name: pool_state(tracked, name, state, name in cut_off) for name, state in found.items()}
