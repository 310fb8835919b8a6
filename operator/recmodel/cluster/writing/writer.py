"""One write to one child: made for an object that is known to be this very RecModel's, and for no other.

A write over an object carries its uid, so that the API refuses it where another has taken the name meanwhile; a write that
makes one is not forced, so that it changes nothing of somebody else's. Every answer goes into the inventory at once.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator

from recmodel.cluster import names
from recmodel.cluster.children import ownership
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed import backends
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.objects import read
from recmodel.cluster.transport.client import Client, Object
from recmodel.cluster.transport.errors import ApiRefused, Conflict, NameTaken, NotFound
from recmodel.cluster.transport.request import RETRIES
from recmodel.cluster.writing.drift import Child, Drift

INVALID = 422
NAMED_AT_MOST = 5  # fields in a message
MERGED = (names.DEPLOYMENT, names.SERVICE, names.DISRUPTION_BUDGET)  # kinds that know strategic merge patches


class Writer:
    """Looks at children and writes them, one at a time."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory
        self._drift = Drift()

    async def live(self, owner: Owner, kind: names.Kind, name: str) -> Object | None:
        """The child as it stands; ``NameTaken`` where it is not this very RecModel's."""
        if (known := self.ours(owner, kind, name)) is not None:
            return known
        # Without our label it is not watched: it may be there all the same, or be another one by now.
        try:
            live = await self._client.get(kind, owner.namespace, name)
        except NotFound:
            return None
        read(kind, live)  # one that cannot be read is there all the same: it is neither made again nor overwritten
        if not owner.owns(live):
            if kind in names.ROUTES:
                self._inventory.free_routes.taken(kind, (owner.namespace, name))
            raise NameTaken(
                f"{kind.kind} {owner.namespace}/{name} exists and is not owned by this RecModel (uid {owner.uid}): "
                "delete or rename one of the two"
            )
        self._inventory.see(kind, "MODIFIED", live)
        return live

    def ours(self, owner: Owner, kind: names.Kind, name: str) -> Object | None:
        """The child as the inventory has it, if it is this very RecModel's."""
        live = self._inventory.child(kind, owner.namespace, name)
        return live if live is not None and owner.owns(live) else None

    def suspect(self, owner: Owner, child: Child) -> bool:
        """Whether a child is missing, or other than when it was last as wanted. Cheap."""
        live = self.ours(owner, *child)
        return live is None or self._drift.changed(owner.key, child, live)

    def stands(self, owner: Owner, kind: names.Kind, body: Object) -> bool:
        """Whether a child is there as ``body`` says, weights and replicas aside."""
        live = self.ours(owner, kind, body["metadata"]["name"])
        return live is not None and self._drift.as_wanted(owner.key, kind, body, live)

    async def holders(self, owner: Owner, child: Child, body: Object) -> list[str]:
        """The field managers that hold fields which we apply of a child."""
        live = await self._client.get(child[0], owner.namespace, child[1])
        return ownership.holders(body, live, ownership.lost(body, ownership.ours(live)))

    def forget(self, key: str) -> None:
        """Lets go of a RecModel that is gone."""
        self._drift.forget(key)

    async def apply(
        self, owner: Owner, kind: names.Kind, body: Object, live: Object | None, retries: int = RETRIES
    ) -> None:
        """Applies a child: over ``live``, which is known to be ours, and over no other; None makes it."""
        if kind in names.ROUTES:
            body = self._with_times(owner, kind, body, live)
        if live is None:
            answer = await self._client.apply(kind, body, force=False, retries=retries)
        else:
            with self._forgetting(kind, live):
                metadata = {**body["metadata"], "uid": live["metadata"]["uid"]}
                answer = await self._over(kind, {**body, "metadata": metadata}, retries)
        self._drift.applied(owner.key, kind, body, answer)
        self._inventory.see(kind, "MODIFIED", answer)

    async def _over(self, kind: names.Kind, body: Object, retries: int) -> Object:
        """Applies over what stands. Where the API does not take our fields beside those that somebody else has put in their
        place, these are taken away first.
        """
        metadata = body["metadata"]
        try:
            return await self._client.apply(kind, body, retries=retries)
        except ApiRefused as refusal:
            if refusal.status != INVALID or kind not in MERGED:
                raise
            live = await self._client.get(kind, metadata["namespace"], metadata["name"])
            cleared = ownership.cleared(body, live)
            if cleared is None:
                raise _told(refusal, live) from refusal
            try:
                await self._client.patch(kind, metadata, cleared, "strategic-merge-patch")
                answer = await self._client.apply(kind, body)
            except ApiRefused as again:
                raise _told(refusal, live) from again
        # What the patch has set is applied by now, too: it must not stay when the spec drops it.
        with contextlib.suppress(ApiRefused):
            answer = await self._client.patch(kind, metadata, ownership.without(names.REPAIRING, answer), "json-patch")
        return answer

    def _with_times(self, owner: Owner, kind: names.Kind, route: Object, live: Object | None) -> Object:
        where, free = (owner.namespace, owner.name), self._inventory.free_routes
        if live is None and self._inventory.child(kind, *where) is not None:
            free.left(kind, where, self._inventory.clock())  # the watch has not reported yet that it is gone
        return backends.with_times(route, live, self._inventory.clock(), free.since(kind, where))

    async def remove(self, owner: Owner, kind: names.Kind, obj: Object, retries: int = RETRIES) -> bool:
        """Deletes a child that is known to be ours."""
        metadata = obj["metadata"]
        await self._client.delete(kind, metadata["namespace"], metadata["name"], metadata["uid"], retries)
        self._drift.forget(owner.key, (kind, metadata["name"]))
        return True

    async def apply_replicas(self, owner: Owner, pool: str, replicas: int, retries: int = RETRIES) -> None:
        """Applies a pool's replicas; ``NotFound`` where it has no Deployment."""
        name = names.child_name(owner.name, pool)
        live = await self.live(owner, names.DEPLOYMENT, name)
        if live is None:
            raise NotFound(f"Deployment {owner.namespace}/{name} is not there to be scaled", 404)
        uid = live["metadata"]["uid"]
        with self._forgetting(names.DEPLOYMENT, live):
            scale = await self._client.apply_replicas(names.DEPLOYMENT, owner.namespace, name, uid, replicas, retries)
        # The answer is a Scale; with its version and number the Deployment is what the watch will say soon.
        updated = copy.deepcopy(live)
        metadata, before = updated["metadata"], updated["spec"].get("replicas", 1)
        updated["spec"]["replicas"] = scale["spec"].get("replicas", 0)
        metadata["resourceVersion"] = scale["metadata"]["resourceVersion"]
        if before != updated["spec"]["replicas"]:
            metadata["generation"] = metadata.get("generation", 0) + 1
        self._inventory.see(names.DEPLOYMENT, "MODIFIED", updated)

    @contextlib.contextmanager
    def _forgetting(self, kind: names.Kind, live: Object) -> Iterator[None]:
        """Where the API says that the object is gone or another one by now, the next look asks for it again."""
        try:
            yield
        except ApiRefused as error:
            if isinstance(error, NotFound | Conflict) or "metadata.uid" in error.said:
                self._inventory.see(kind, "DELETED", live)
            raise


def _told(refusal: ApiRefused, live: Object) -> ApiRefused:
    """The refusal, with what others have added to the pods where that may be the cause."""
    if not (added := ownership.beside(live)):
        return refusal
    more = f" and {len(added) - NAMED_AT_MOST} more" if len(added) > NAMED_AT_MOST else ""
    hint = (
        f"the operator does not apply {', '.join(added[:NAMED_AT_MOST])}{more}: "
        "where the refusal is about such a field, remove it from the object"
    )
    return ApiRefused(f"{refusal}; {hint}", refusal.status, f"{refusal.said}; {hint}")
