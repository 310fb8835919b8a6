"""Acts on the cluster: brings the children, the route's weights and the replicas to what is given, writing only what
differs.

What is refused of one child stops none of the others: what serves goes on, and what only observes comes last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names, route_places, weight_steps
from recmodel.cluster.children import builders, optimiser_job
from recmodel.cluster.children.versions import Serving
from recmodel.cluster.observed.backends import is_marked
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.leaving import holds, leaving, places
from recmodel.cluster.transport.client import Client, Object
from recmodel.cluster.transport.errors import Conflict, NameTaken
from recmodel.cluster.transport.request import RETRIES
from recmodel.cluster.writing.attempts import Attempts
from recmodel.cluster.writing.drift import Child, applied_hash
from recmodel.cluster.writing.outcome import Failure, Outcome
from recmodel.cluster.writing.writer import Writer


class Actor:
    """Writes to the cluster through one client, and keeps the inventory up to date."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory
        self._writer = Writer(client, inventory)
        self.monitors = False  # whether the cluster knows PodMonitors

    def drifted(
        self, owner: builders.Owner, spec: RecModelSpec, page: tuple[str, str] | None, serving: Mapping[str, Serving]
    ) -> dict[Child, Object]:
        """The children that are missing or that somebody changed, each with what it is to be. Nothing is built where each
        still has the mark that it had when it was last as wanted.
        """
        route = self._permitted_route(owner, spec, builders.initial_weights(spec))
        expected = self._expected(owner, spec, page) - ({_route_of(owner, spec)} if route is None else set())
        suspects = {child for child in expected if self._writer.suspect(owner, child)}
        if not suspects:
            return {}
        wanted = builders.children(owner, spec, self.monitors, page, serving)
        if route is not None:
            wanted.append((builders.route_kind(spec), route))
        bodies = {(kind, body["metadata"]["name"]): body for kind, body in wanted}
        return {child: bodies[child] for child in suspects if not self._writer.stands(owner, child[0], bodies[child])}

    def forget(self, key: str) -> None:
        """Lets go of a RecModel that is gone."""
        self._writer.forget(key)

    async def apply_children(
        self,
        owner: builders.Owner,
        spec: RecModelSpec,
        page: tuple[str, str] | None,
        replicas: Mapping[str, int],
        serving: Mapping[str, Serving] = MappingProxyType({}),
        attempts: Attempts | None = None,
    ) -> Outcome:
        """Applies what is missing or changed and removes what the spec no longer asks for. One child that is refused stops
        none of the others; an API server that does not answer stops all.

        Weights, and replicas of Deployments that exist, stay as they are; a new Deployment gets its pool's number from
        ``replicas``. A new pool has no weight, unless the whole route is new. ``serving`` says which version each pool serves,
        ``attempts`` which children stay as they are.
        """
        attempts = attempts or Attempts()
        wanted = builders.children(owner, spec, self.monitors, page, serving)
        observing = [(kind, body) for kind, body in wanted if kind == names.POD_MONITOR]
        for kind, body in [each for each in wanted if each not in observing]:
            await attempts.make(_child_of(kind, body), partial(self._child, owner, kind, body, replicas))
        stale = self._stale(owner, spec, self._expected(owner, spec, page))
        held = holds(self._inventory, owner, spec)
        if not held:
            away = {pool.name for pool in spec.pools if self.cut_off(owner, pool.name, attempts.failures)}
            await attempts.make(_route_of(owner, spec), partial(self._route, owner, spec, away))
        for kind, body in observing:
            await attempts.make(_child_of(kind, body), partial(self._child, owner, kind, body, replicas))
        if not held:
            await self._remove(_route_of(owner, spec), owner, stale, attempts)
        return Outcome(tuple(attempts.written), tuple(attempts.failures), held)

    async def _remove(
        self, route: Child, owner: builders.Owner, stale: list[tuple[names.Kind, Object]], attempts: Attempts
    ) -> None:
        """Removes what the spec no longer asks for; not while the route is left as somebody else has made it."""
        if route in attempts.left and all(failure.child != route for failure in attempts.failures):
            attempts.left |= {_child_of(kind, obj) for kind, obj in stale}
        if any(_child_of(kind, obj) not in attempts.left for kind, obj in stale):
            # Requests under way in a pool that has left the route end before its pods do.
            await asyncio.sleep(weight_steps.LEAVE_SETTLE_SECONDS)
        for kind, obj in stale:
            await attempts.make(_child_of(kind, obj), partial(self._writer.remove, owner, kind, obj), serves=False)

    def _expected(self, owner: builders.Owner, spec: RecModelSpec, page: tuple[str, str] | None) -> set[Child]:
        return builders.expected(owner, spec, self.monitors and builders.wants_monitor(spec, page))

    def route_differs(self, owner: builders.Owner, spec: RecModelSpec, weights: Mapping[str, int]) -> bool:
        """Whether the route in the cluster is to be other than it is; False for a model without a route."""
        body = self._permitted_route(owner, spec, weights)
        if body is None or holds(self._inventory, owner, spec):
            return False
        kind = builders.route_kind(spec)
        live = self._inventory.child(kind, owner.namespace, owner.name)
        return (
            live is None
            or not self._writer.stands(owner, kind, body)
            or not is_marked(live, self._inventory.clock())
            or not _contains(live["spec"], body["spec"])
        )

    async def apply_weights(
        self, owner: builders.Owner, spec: RecModelSpec, weights: Mapping[str, int], retries: int = RETRIES
    ) -> bool:
        """Applies the route with these weights where it differs; returns whether it did."""
        if spec.own_route is None:
            return False
        kind = builders.route_kind(spec)
        live = await self._writer.live(owner, kind, owner.name)
        body = self._permitted_route(owner, spec, weights)
        if body is None or not self.route_differs(owner, spec, weights):
            return False
        if live is not None:
            live = await self._pass(owner, kind, live, body)
        await self._writer.apply(owner, kind, body, live, retries)
        return True

    def _permitted_route(self, owner: builders.Owner, spec: RecModelSpec, weights: Mapping[str, int]) -> Object | None:
        """The route as it may be written: mode Recommend neither makes one without hostnames, nor takes away those of one
        that stands.
        """
        if spec.own_route is not None and builders.wide_open(spec):
            if (live := self._writer.ours(owner, *_route_of(owner, spec))) is None:
                return None
            route = spec.own_route.model_copy(update={"hostnames": live["spec"].get("hostnames")})
            spec = spec.model_copy(update={"route": route})
        return builders.route(owner, spec, weights, places(self._inventory, owner, spec))

    async def apply_replicas(self, owner: builders.Owner, pool: str, replicas: int, retries: int = RETRIES) -> None:
        """Applies a pool's replicas; ``NotFound`` where it has no Deployment."""
        await self._writer.apply_replicas(owner, pool, replicas, retries)

    async def overwriters(self, owner: builders.Owner, child: Child, body: Object) -> list[str]:
        """The field managers that hold fields which we apply of a child."""
        return await self._writer.holders(owner, child, body)

    def made(self, owner: builders.Owner, pool: str) -> bool:
        """Whether a pool has a Deployment that is this very RecModel's."""
        return self._writer.ours(owner, names.DEPLOYMENT, names.child_name(owner.name, pool)) is not None

    def cut_off(self, owner: builders.Owner, pool: str, failures: Iterable[Failure]) -> bool:
        """Whether a pool has no Service of its own, by what failed of the children: it could not be made, or its name is
        another RecModel's or somebody else's. Its requests would go to theirs.
        """
        service = (names.SERVICE, names.child_name(owner.name, pool))
        return any(f.child == service for f in failures) and self._writer.ours(owner, *service) is None

    async def optimise(self, owner: builders.Owner, spec: RecModelSpec, retries: int = RETRIES) -> str | None:
        """Starts the Job of ``spec.optimisation`` unless it was started before; its name, None where there is none. ``NameTaken``
        while there is one that an earlier RecModel of this name has left behind.
        """
        body = optimiser_job.job(owner, spec)
        if body is None:
            return None
        name = str(body["metadata"]["name"])
        try:
            self._inventory.see(names.JOB, "MODIFIED", await self._client.create(names.JOB, body, retries))
        except Conflict as error:  # it exists
            live = self._inventory.child(names.JOB, owner.namespace, name)
            if live is not None and not owner.owns(live):
                raise NameTaken(
                    f"Job {owner.namespace}/{name} exists and is not owned by this RecModel (uid {owner.uid}): it is made "
                    "when that one is gone"
                ) from error
        return name

    async def _child(
        self, owner: builders.Owner, kind: names.Kind, body: Object, replicas: Mapping[str, int], retries: int
    ) -> bool:
        """Brings one child to ``body``; returns whether it was written."""
        live = await self._writer.live(owner, kind, body["metadata"]["name"])
        if live is not None and self._writer.stands(owner, kind, body):
            return False
        if kind == names.DEPLOYMENT:
            await self._deployment(owner, body, live, replicas, retries)
        else:
            await self._writer.apply(owner, kind, body, live, retries)
        return True

    async def _deployment(
        self, owner: builders.Owner, body: Object, live: Object | None, replicas: Mapping[str, int], retries: int
    ) -> None:
        """Applies a Deployment without replicas; a new one gets its first replicas in the same write.

        The scale subresource's entry must own the number before the Deployment's own entry drops it, else it would fall
        back to 1 with the next apply.
        """
        pool = body["metadata"]["labels"][names.POOL_LABEL]
        if live is not None:
            await self.apply_replicas(owner, pool, int(live["spec"].get("replicas", 1)), retries)
        else:
            body = {**body, "spec": {**body["spec"], "replicas": replicas[pool]}}
        await self._writer.apply(owner, names.DEPLOYMENT, body, live, retries)
        if live is None:
            await self.apply_replicas(owner, pool, replicas[pool], retries)

    async def _route(
        self,
        owner: builders.Owner,
        spec: RecModelSpec,
        cut_off: Collection[str],
        retries: int,
    ) -> bool:
        weights = self._weights_to_keep(owner, spec, places(self._inventory, owner, spec))
        serving = {name: 0 if name in cut_off else weight for name, weight in weights.items()}
        return await self.apply_weights(owner, spec, serving, retries)

    def _stale(
        self, owner: builders.Owner, spec: RecModelSpec, expected: set[Child]
    ) -> list[tuple[names.Kind, Object]]:
        """What the spec no longer asks for and that may go: not what a pool that leaves still answers with."""
        found, stays = self._inventory.children_of(owner.key), leaving(self._inventory, owner, spec)
        kept = expected | {
            (kind, names.child_name(owner.name, pool))
            for pool in stays
            for kind in (names.SERVICE, names.DISRUPTION_BUDGET, names.DEPLOYMENT)
        }
        return [(k, o) for k, o in found if (k, o["metadata"]["name"]) not in kept and owner.owns(o)]

    async def _pass(self, owner: builders.Owner, kind: names.Kind, live: Object, body: Object) -> Object:
        """Brings the backends that leave or move to where ``body`` loses none under weight; returns what stands then."""
        (rule, *_), (wanted, *_) = live["spec"].get("rules") or [{}], body["spec"]["rules"]
        for backends in route_places.passages(rule.get("backendRefs") or [], wanted["backendRefs"]):
            spec = {**live["spec"], "rules": [{**rule, "backendRefs": backends}]}
            step = builders.as_child(kind, owner, spec, applied_hash(live) or "")
            await self._writer.apply(owner, kind, step, live)
            await asyncio.sleep(weight_steps.JOIN_SETTLE_SECONDS)
            live = self._inventory.child(kind, owner.namespace, owner.name) or live
        return live

    def _weights_to_keep(self, owner: builders.Owner, spec: RecModelSpec, pools: list[str]) -> dict[str, int]:
        """The weights as they are; the first ones where there is no route yet, or where no pool that stays bears
        any.
        """
        weights = self._inventory.weights(owner.key, pools, builders.route_kind(spec))
        if weights is None or not any(weights.values()):
            return builders.initial_weights(spec)
        return scaled(weights)


def scaled(weights: Mapping[str, int]) -> dict[str, int]:
    """The same proportions out of 1,000, as somebody else may have written any total; 0 stays 0."""
    if sum(weights.values()) == weight_steps.TOTAL:
        return dict(weights)
    bearing = weight_steps.spread({name: float(weight) for name, weight in weights.items() if weight > 0})
    return {name: bearing.get(name, 0) for name in weights}


def _route_of(owner: builders.Owner, spec: RecModelSpec) -> Child:
    return builders.route_kind(spec), owner.name


def _child_of(kind: names.Kind, body: Object) -> Child:
    return kind, str(body["metadata"]["name"])


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
