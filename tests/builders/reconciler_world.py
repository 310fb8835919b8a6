"""A reconciler at work over a cluster in a dictionary, for stories of what it writes."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from builders import virtual_time
from builders.fake_cluster import OWNER, FakeCluster, pool, spec
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names, weight_steps
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.referenced import Referenced
from recmodel.cluster.writing.apply import Actor
from recmodel.controller.metrics import Metrics
from recmodel.controller.node_buffers import NodeBuffers
from recmodel.controller.reconciler import Reconciler
from recmodel.controller.reference_pools import ReferencePools
from recmodel.controller.reference_watch import ReferenceWatch
from recmodel.controller.route_rules import RouteRules
from recmodel.controller.tasks import Tasks
from recmodel.controller.tracked import Tracked
from recmodel.controller.traffic_shift import TrafficShift
from recmodel.core.types import Decision, PoolDecision
from recmodel.report.snapshot import Desired

LEAVE_SECONDS, JOIN_SECONDS = 0.06, 0.02
KINDS = {kind.kind: kind for kind in names.CHILD_KINDS}


class World:
    """A reconciler over a cluster in a dictionary; pods become ready as a test says."""

    def __init__(self, wanted: RecModelSpec, cluster: FakeCluster | None = None) -> None:
        self.cluster = cluster or FakeCluster()
        self.inventory = Inventory(lambda key: self.reconciler.wake(key))
        self.reports: list[str | None] = []
        actor = Actor(self.cluster, self.inventory)  # type: ignore[arg-type]
        referenced = Referenced(self.inventory.acting_on, self.inventory.unreadable)
        watch = ReferenceWatch(self.cluster, referenced, Tasks())  # type: ignore[arg-type]
        rules = RouteRules(self.cluster, Tasks(), self.inventory.unreadable, self._known, lambda _: None)  # type: ignore[arg-type]
        references = ReferencePools(self.cluster, referenced, watch, self._known, lambda _: [], rules)  # type: ignore[arg-type]
        self.node_buffers = NodeBuffers(self.cluster, self.inventory, None, lambda: None)  # type: ignore[arg-type]
        self.reconciler = Reconciler(
            actor,
            self.inventory,
            (TrafficShift(actor, self.inventory, references, Metrics()), self.node_buffers),
            lambda t: self.reports.append(t.applied.failed.reason if t.applied.failed else None),
        )
        self.tracked = self._tracked(wanted)
        if cluster is not None:  # a new process lists what stands before anything is woken
            for (kind, _), obj in cluster.objects.items():
                self.inventory.see(KINDS[kind], "ADDED", copy.deepcopy(obj))
        self.reconciler.wake(OWNER.key)

    def _known(self, key: str) -> Tracked | None:
        return self.reconciler.models.get(key)

    def _tracked(self, wanted: RecModelSpec) -> Tracked:
        tracked = self.reconciler.models[OWNER.key] = Tracked(OWNER, Desired(generation=1, spec=wanted))
        return tracked

    def made_again(self, wanted: RecModelSpec) -> None:
        """The RecModel is deleted, its children go with it, and another one takes its name."""
        self.reconciler.forget(OWNER.key)
        self.inventory.forget(OWNER.key)
        for (kind, _), obj in self.cluster.objects.items():
            self.inventory.see(KINDS[kind], "DELETED", obj)
        self.cluster.objects.clear()
        self.tracked = self._tracked(wanted)
        self.reconciler.wake(OWNER.key)

    def specify(self, wanted: RecModelSpec, generation: int) -> None:
        self.tracked.desired = Desired(generation=generation, spec=wanted)

    def decide(self, **pools: tuple[int, float]) -> None:
        states = {name: self.inventory.pool(OWNER.key, name) for name in pools}
        decided = {name: PoolDecision(*values) for name, values in pools.items()}
        self.reconciler.decided(self.tracked, Decision(0.0, decided, "Tracking", ()), states)

    def see(self, kind: str, name: str) -> None:
        """A watch tells of a child as it stands."""
        self.inventory.see(KINDS[kind], "MODIFIED", copy.deepcopy(self.cluster.objects[kind, name]))

    async def all_ready(self) -> None:
        """Applies every child, the PodMonitor too, and makes a pod of each pool ready."""
        self.reconciler._actor.monitors = True
        await self.rest(0.1)
        assert self.tracked.spec is not None
        for wanted in self.tracked.spec.pools:
            self.pods(wanted.name, 1)
        await self.rest(0.1)

    def pods(self, pool_name: str, count: int, ready: bool = True) -> None:
        """Makes the pool's pods exactly ``count``, all ready or none."""
        old = self.inventory.pool(OWNER.key, pool_name).pods
        for index in range(count):
            condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:05Z"}
            self.inventory.see(names.POD, "MODIFIED", self._pod(pool_name, index, [condition]))
        for index in range(count, len(old)):
            self.inventory.see(names.POD, "DELETED", self._pod(pool_name, index, []))

    def _pod(self, pool_name: str, index: int, conditions: list[Any]) -> dict[str, Any]:
        metadata = {
            "namespace": "shop", "name": f"{pool_name}-{index}", "uid": f"{pool_name}-{index}", "resourceVersion": "",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {names.MODEL_LABEL: "feed", names.POOL_LABEL: pool_name},
        }  # fmt: skip
        return {"metadata": metadata, "status": {"conditions": conditions}}

    async def until(self, holds: Callable[[], bool], seconds: float = 10.0) -> None:
        """Waits until something holds, however busy the machine is."""
        async with asyncio.timeout(seconds):
            while not holds():
                await asyncio.sleep(0.01)

    async def rest(self, seconds: float = 0.3) -> list[str]:
        """Lets it work, and returns what was written meanwhile."""
        before = len(self.cluster.writes)
        await asyncio.sleep(seconds)
        return self.cluster.writes[before:]


def run_story(
    wanted: RecModelSpec, story: Callable[[World], Awaitable[None]], cluster: FakeCluster | None = None
) -> World:
    """Runs a story with a reconciler at work, that waits little between two steps of the weights."""

    async def run() -> World:
        world = World(wanted, cluster)
        work = asyncio.create_task(world.reconciler.run())
        try:
            await story(world)
        finally:
            work.cancel()
            await asyncio.wait([work])
        return world

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weight_steps, "LEAVE_SETTLE_SECONDS", LEAVE_SECONDS)
        patch.setattr(weight_steps, "JOIN_SETTLE_SECONDS", JOIN_SECONDS)
        return virtual_time.run(run())


def answering_grpc(one: dict[str, Any]) -> dict[str, Any]:
    """A pool whose pods answer gRPC."""
    return {**one, "protocol": "GRPC"}


TWO = spec(pool("cpu", 1), pool("gpu", 0, cost="2.0"))
TWO_OF_GRPC = spec(answering_grpc(pool("cpu", 1)), answering_grpc(pool("gpu", 0, cost="2.0")))


def deployment_version(cluster: FakeCluster, name: str) -> str | None:
    """The version that a Deployment's pods are told."""
    (container,) = cluster.objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return next((e["value"] for e in container.get("env", []) if e["name"] == "RECMODEL_MODEL_VERSION"), None)
