"""Acts on the cluster: brings the children, the route's weights and the replicas to what is given, writing only what
differs.

Every answer goes into the inventory at once, so that the next decision sees this write and not the one before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import children as build
from recmodel.cluster import names, optimisation, traffic
from recmodel.cluster.client import Client, Object
from recmodel.cluster.errors import ClusterError, Conflict, NotFound
from recmodel.cluster.inventory import Inventory
from recmodel.cluster.versions import Serving


class NameTaken(ClusterError):
    """An object with a child's name exists and belongs to somebody else: it is left alone."""


class Actor:
    """Writes to the cluster through one client, and tells the inventory."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory
        self.monitors = False  # whether the cluster knows PodMonitors
        self._generations: dict[str, int] = {}  # of each Deployment after our last write, by uid

    def intact(self, owner: build.Owner, spec: RecModelSpec) -> bool:
        """Whether all children are there and nobody has changed a Deployment since our last write."""
        children = self._inventory.children_of(owner.key)
        found = {(kind.kind, obj["metadata"]["name"]) for kind, obj in children if owner.owns(obj)}
        touched = any(kind == names.DEPLOYMENT and self._touched(obj) for kind, obj in children)
        return not touched and build.expected(owner, spec, self.monitors) <= found

    async def children(
        self,
        owner: build.Owner,
        spec: RecModelSpec,
        page: tuple[str, str] | None,
        replicas: Mapping[str, int],
        serving: Mapping[str, Serving] = MappingProxyType({}),
    ) -> list[str]:
        """Applies what is missing or changed and removes what the spec no longer asks for; returns the names written.

        ``NameTaken`` where a child's name belongs to somebody else. Weights, and replicas of Deployments that exist,
        stay as they are; a new Deployment gets its pool's number from ``replicas``. A new pool has no weight, unless
        the whole route is new. ``serving`` says which version each pool serves.
        """
        wanted = build.children(owner, spec, self.monitors, page, serving)
        written = []
        for kind, body in wanted:
            live = await self._live(owner, kind, body["metadata"]["name"])
            if live is not None and _applied(live) == _applied(body) and not self._touched(live):
                continue
            if kind == names.DEPLOYMENT:
                await self._deployment(owner, body, live, replicas)
            else:
                self._inventory.see(kind, "MODIFIED", await self._client.apply(kind, body))
            written.append(f"{kind.kind} {body['metadata']['name']}")
        pools = [pool.name for pool in spec.pools]
        stale = self._stale(owner, build.expected(owner, spec, self.monitors))
        await self._drain(owner, stale)
        if spec.route is not None and await self.weights(owner, spec, self._weights_to_keep(owner, spec, pools)):
            written.append(f"{names.ROUTE.kind} {owner.name}")
        if stale:
            # Requests under way in a pool that has left the route end before its pods do.
            await asyncio.sleep(traffic.LEAVE_SETTLE_SECONDS)
        for kind, obj in stale:
            metadata = obj["metadata"]
            await self._client.delete(kind, metadata["namespace"], metadata["name"], metadata["uid"])
            written.append(f"{kind.kind} {metadata['name']}")
        return written

    def route_differs(self, owner: build.Owner, spec: RecModelSpec, weights: Mapping[str, int]) -> bool:
        """Whether the route in the cluster is not the one with these weights; False for a model without a route."""
        body = build.route(owner, spec, weights)
        live = self._inventory.child(names.ROUTE, owner.namespace, owner.name)
        if body is None or live is None:
            return body is not None
        return _applied(live) != _applied(body) or not _contains(live["spec"], body["spec"])

    async def weights(self, owner: build.Owner, spec: RecModelSpec, weights: Mapping[str, int]) -> bool:
        """Applies the route with these weights where it differs; returns whether it did."""
        body = build.route(owner, spec, weights)
        if body is None:
            return False
        await self._live(owner, names.ROUTE, owner.name)
        if not self.route_differs(owner, spec, weights):
            return False
        self._inventory.see(names.ROUTE, "MODIFIED", await self._client.apply(names.ROUTE, body))
        return True

    async def replicas(self, owner: build.Owner, pool: str, replicas: int) -> None:
        """Applies a pool's replicas."""
        name = names.child_name(owner.name, pool)
        live = self._inventory.child(names.DEPLOYMENT, owner.namespace, name)
        scale = await self._client.apply_replicas(names.DEPLOYMENT, owner.namespace, name, replicas)
        if live is None:
            return
        # The answer is a Scale; with its version and number the Deployment is what the watch will say soon.
        updated = copy.deepcopy(live)
        metadata, before = updated["metadata"], updated["spec"].get("replicas", 1)
        updated["spec"]["replicas"] = scale["spec"].get("replicas", 0)
        metadata["resourceVersion"] = scale["metadata"]["resourceVersion"]
        if before != updated["spec"]["replicas"]:
            metadata["generation"] = metadata.get("generation", 0) + 1
            if metadata["uid"] in self._generations:
                self._generations[metadata["uid"]] += 1
        self._inventory.see(names.DEPLOYMENT, "MODIFIED", updated)

    async def optimise(self, owner: build.Owner, spec: RecModelSpec) -> str | None:
        """Starts the Job of ``spec.optimisation`` unless it was started before; its name, None where there is none."""
        body = optimisation.job(owner, spec)
        if body is None:
            return None
        with contextlib.suppress(Conflict):  # it exists
            self._inventory.see(names.JOB, "MODIFIED", await self._client.create(names.JOB, body))
        return str(body["metadata"]["name"])

    async def _deployment(
        self, owner: build.Owner, body: Object, live: Object | None, replicas: Mapping[str, int]
    ) -> None:
        """Applies a Deployment without replicas; a new one gets its first replicas in the same write.

        The scale subresource's entry must own the number before the Deployment's own entry drops it, else it would fall
        back to 1 with the next apply.
        """
        pool = body["metadata"]["labels"][names.POOL_LABEL]
        if live is not None:
            await self.replicas(owner, pool, int(live["spec"].get("replicas", 1)))
        else:
            body = {**body, "spec": {**body["spec"], "replicas": replicas[pool]}}
        applied = await self._client.apply(names.DEPLOYMENT, body)
        self._generations[applied["metadata"]["uid"]] = applied["metadata"]["generation"]
        self._inventory.see(names.DEPLOYMENT, "MODIFIED", applied)
        if live is None:
            await self.replicas(owner, pool, replicas[pool])

    def _touched(self, obj: Object) -> bool:
        """Whether somebody changed a Deployment's spec since our last write; False where we have not written it yet.

        A comparison with what we apply would not do: the API rewrites quantities ("0.5" becomes "500m").
        """
        known = self._generations.get(obj["metadata"]["uid"])
        return known is not None and obj["metadata"].get("generation", known) > known

    async def _live(self, owner: build.Owner, kind: names.Kind, name: str) -> Object | None:
        """The child as it stands; ``NameTaken`` where it is not this very RecModel's."""
        live = self._inventory.child(kind, owner.namespace, name)
        if live is None:  # not watched, since it lacks our label, or not there
            try:
                live = await self._client.get(kind, owner.namespace, name)
            except NotFound:
                return None
            self._inventory.see(kind, "MODIFIED", live)
        if not owner.owns(live):
            raise NameTaken(
                f"{kind.kind} {owner.namespace}/{name} exists and is not owned by this RecModel (uid {owner.uid}): "
                "delete or rename one of the two"
            )
        return live

    def _stale(self, owner: build.Owner, expected: set[tuple[str, str]]) -> list[tuple[names.Kind, Object]]:
        found = self._inventory.children_of(owner.key)
        return [(k, o) for k, o in found if (k.kind, o["metadata"]["name"]) not in expected and owner.owns(o)]

    async def _drain(self, owner: build.Owner, stale: list[tuple[names.Kind, Object]]) -> None:
        """Brings the weights of pools that leave the spec to 1 before the route loses them: the way out without an
        error.
        """
        live = self._inventory.child(names.ROUTE, owner.namespace, owner.name)
        leaving = {obj["metadata"]["name"] for kind, obj in stale if kind == names.SERVICE}
        if live is None or not leaving:
            return
        rules = copy.deepcopy(live["spec"]["rules"])
        backends = [backend for rule in rules for backend in rule.get("backendRefs", [])]
        others = any(b["name"] not in leaving and b.get("weight", 1) > 1 for b in backends)
        heavy = [backend for backend in backends if backend["name"] in leaving and backend.get("weight", 1) > 1]
        if not heavy or not others:
            return
        for backend in heavy:
            backend["weight"] = 1
        metadata = {
            key: live["metadata"][key] for key in ("name", "namespace", "labels", "annotations", "ownerReferences")
        }
        body = {"apiVersion": live["apiVersion"], "kind": live["kind"], "metadata": metadata}
        body["spec"] = {**live["spec"], "rules": rules}
        self._inventory.see(names.ROUTE, "MODIFIED", await self._client.apply(names.ROUTE, body))
        await asyncio.sleep(traffic.JOIN_SETTLE_SECONDS)

    def _weights_to_keep(self, owner: build.Owner, spec: RecModelSpec, pools: list[str]) -> dict[str, int]:
        """The weights as they are; the first ones where there is no route yet, or where no pool that stays bears
        any.
        """
        weights = self._inventory.weights(owner.key, pools)
        if weights is None or not any(weights.values()):
            return build.initial_weights(spec)
        return scaled(weights)


def scaled(weights: Mapping[str, int]) -> dict[str, int]:
    """The same proportions out of 1,000, as somebody else may have written any total; 0 stays 0."""
    if sum(weights.values()) == traffic.TOTAL:
        return dict(weights)
    bearing = traffic.spread({name: float(weight) for name, weight in weights.items() if weight > 0})
    return {name: bearing.get(name, 0) for name in weights}


def _applied(obj: Object) -> str | None:
    found: str | None = obj["metadata"].get("annotations", {}).get(names.APPLIED_ANNOTATION)
    return found


def _contains(live: Any, wanted: Any) -> bool:
    """Whether all of ``wanted`` stands in ``live``; what the API filled in, or others added beside it, may be there
    too.
    """
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            key in live and _contains(live[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        same_length = isinstance(live, list) and len(live) == len(wanted)
        return same_length and all(_contains(x, y) for x, y in zip(live, wanted, strict=True))
    return bool(live == wanted)
