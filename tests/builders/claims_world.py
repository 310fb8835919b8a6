"""Operator processes of some releases that claim namespaces, on one API server and one clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any

from builders.leases import Leases
from recmodel.cluster.leases.claims import Claims, Scope
from recmodel.cluster.leases.lease import RENEW_SECONDS, Lease, LeaseIdentity
from recmodel.cluster.leases.predecessors import Predecessors

NAMESPACES = ("shop", "news")
QUOTA = 'leases.coordination.k8s.io "recmodel.dev" is forbidden: exceeded quota: objects, limited: count/leases=0'


@dataclass
class Pod:
    """One operator's process: its release, and the namespaces that it serves (none: all)."""

    lease: Lease
    claims: Claims
    changes: list[tuple[str, bool]] = field(default_factory=list)
    asleep: bool = False

    async def turn(self) -> None:
        await self.lease.turn()
        await self.claims.turn()


class World:
    """Some processes, one API server, one clock."""

    def __init__(self) -> None:
        self.api, self.now = Leases(), 1000.0
        self.pods: dict[str, Pod] = {}
        self.models = {"shop", "news"}  # namespaces with RecModels

    def pod(self, name: str, home: str = "ops", release: str = "recmodel", serves: Collection[str] = ()) -> Pod:
        changes: list[tuple[str, bool]] = []
        identity = LeaseIdentity(home, release, name)
        lease = Lease(self.api, identity, lambda held: None, lambda: self.now)  # type: ignore[arg-type]
        claims = Claims(
            self.api,  # type: ignore[arg-type]
            Scope(lambda: set(serves) or set(self.models), everywhere=not serves),
            lease,
            lambda namespace, acts: changes.append((namespace, acts)),
            predecessors=Predecessors(self.api, identity, lambda: self.now),  # type: ignore[arg-type]
        )
        self.pods[name] = Pod(lease, claims, changes)
        return self.pods[name]

    def acting(self, namespace: str) -> list[str]:
        return [name for name, pod in self.pods.items() if pod.claims.acts(namespace)]

    async def passes(self, seconds: float) -> None:
        """All that are awake look every RENEW_SECONDS; at no moment may two write in one namespace."""
        end = self.now + seconds
        while self.now < end:
            for pod in self.pods.values():
                if not pod.asleep:
                    await pod.turn()
                self.check()
            self.now += RENEW_SECONDS / 2
            self.check()
            self.now += RENEW_SECONDS / 2

    def check(self) -> None:
        for namespace in NAMESPACES:
            assert len(self.acting(namespace)) <= 1, (self.now, namespace, self.acting(namespace))

    async def ends(self, name: str) -> None:
        """SIGTERM."""
        pod = self.pods.pop(name)
        await pod.claims.leave()
        await pod.lease.release()


def run_story(story: Callable[[World], Coroutine[Any, Any, None]]) -> World:
    world = World()
    asyncio.run(story(world))
    return world
