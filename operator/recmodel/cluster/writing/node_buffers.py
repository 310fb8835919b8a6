"""Writes the CapacityBuffers of a RecModel: made and sized as the decision says, and removed where nobody asks for them."""

from __future__ import annotations

from recmodel.api.pool import PoolSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Object, Owner
from recmodel.cluster.children.node_buffer import node_buffer
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.request import RETRIES
from recmodel.cluster.writing.drift import Child
from recmodel.cluster.writing.writer import Writer


class NodeBufferWriter:
    """Writes through one client, and keeps the inventory up to date."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._inventory = inventory
        self._writer = Writer(client, inventory)

    def standing(self, owner: Owner, kind: names.Kind, pool: str) -> Object | None:
        """A pool's buffer as it is known to stand, if it is this very RecModel's."""
        return self._writer.ours(owner, kind, names.child_name(owner.name, pool))

    def differs(self, owner: Owner, kind: names.Kind, pool: PoolSpec, replicas: int) -> bool:
        """Whether a pool's buffer is to be other than it is known to be."""
        return not self._writer.stands(owner, kind, node_buffer(kind, owner, pool, replicas))

    async def size(self, owner: Owner, kind: names.Kind, pool: PoolSpec, replicas: int, retries: int = RETRIES) -> bool:
        """Brings a pool's buffer to so many replicas; returns whether it wrote. ``NameTaken`` where its name is somebody else's."""
        body = node_buffer(kind, owner, pool, replicas)
        live = await self._writer.live(owner, kind, body["metadata"]["name"])
        if live is not None and self._writer.stands(owner, kind, body):
            return False
        await self._writer.apply(owner, kind, body, live, retries)
        return True

    def stale(self, owner: Owner, kind: names.Kind, pools: set[str]) -> dict[Child, Object]:
        """The buffers of this very RecModel but those of ``pools``."""
        kept = {names.child_name(owner.name, pool) for pool in pools}
        found = [body for body in self._inventory.buffers_of(owner.key, kind) if owner.owns(body)]
        named = {str(body["metadata"]["name"]): body for body in found}
        return {(kind, name): body for name, body in named.items() if name not in kept}

    async def remove(self, owner: Owner, kind: names.Kind, body: Object, retries: int = RETRIES) -> bool:
        """Removes one of them."""
        return await self._writer.remove(owner, kind, body, retries)

    def forget(self, key: str) -> None:
        """Lets go of a RecModel that is gone."""
        self._writer.forget(key)
