"""Nodes ahead of need: which CapacityBuffers a RecModel is to have, by its spec and the last decision, and the way there.

The cluster need not know the kind, and the operator need not have the rights: then the pools are as without it, and the condition
CapacityAvailable says so. No request depends on a buffer, so what is refused of one holds up nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from recmodel.api.pool import PoolSpec
from recmodel.cluster import names
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.node_buffers import node_buffer_state
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import NotFound
from recmodel.cluster.writing.attempts import Attempts
from recmodel.cluster.writing.drift import Child
from recmodel.cluster.writing.node_buffers import NodeBufferWriter
from recmodel.controller.failures import log_failure
from recmodel.controller.late_kinds import LateKinds
from recmodel.controller.tracked import BufferWrites, Tracked
from recmodel.core.types import Decision

logger = logging.getLogger(__name__)

NOT_SET = (
    "the operator may make no CapacityBuffers: have the platform team set its chart's value nodeBuffers, with rights: act, or leave "
    "nodeBuffer out"
)
NOT_SERVED = (
    "the cluster serves no CapacityBuffer of autoscaling.x-k8s.io, so none is made: switch capacity buffers on in the Cluster Autoscaler "
    "or Karpenter, with their CRD, or leave nodeBuffer out"
)


class NodeBuffers:
    """Keeps the kind that the cluster serves. ``late_kinds`` looks for it; None: the operator may not make buffers. ``on_found`` is
    called when it is there.
    """

    def __init__(
        self, client: Client, inventory: Inventory, late_kinds: LateKinds | None, on_found: Callable[[], None]
    ) -> None:
        self._writer = NodeBufferWriter(client, inventory)
        self._late_kinds = late_kinds
        self._on_found = on_found
        self._kind: names.Kind | None = None
        self._lost = asyncio.Event()

    async def run(self) -> None:
        """Looks for the kind until the cluster serves it, and again whenever a write was answered as if it did not."""
        while self._late_kinds is not None:
            self._lost.clear()
            kind = await self._late_kinds.served(*names.CAPACITY_BUFFERS)
            if kind is None:
                self._kind = None
                logger.info("pools with a nodeBuffer: %s", NOT_SERVED)
                kind = await self._late_kinds.found(*names.CAPACITY_BUFFERS)
            if kind != self._kind:  # else it was the object, or its namespace, that is gone
                self._kind = kind
                self._on_found()
            await self._lost.wait()

    def standing(self, tracked: Tracked, states: Mapping[str, PoolState]) -> dict[str, PoolState]:
        """The states of the pools, with what stands of the buffers of those that ask for one."""
        asking = {pool.name for pool in _asking(tracked)} & states.keys()
        problem = NOT_SET if self._late_kinds is None else NOT_SERVED if self._kind is None else None
        found = {
            name: node_buffer_state(
                self._writer.standing(tracked.owner, self._kind, name) if self._kind else None, problem
            )
            for name in asking
        }
        return {name: replace(s, node_buffer=found[name]) if name in found else s for name, s in states.items()}

    def want(self, tracked: Tracked, decision: Decision, states: Mapping[str, PoolState]) -> bool:
        """Takes over a decision; returns whether there is anything to do. The buffer of a pool that somebody else scales stays as it is."""
        wanted = {
            name: found.replicas
            for name, found in decision.node_buffers.items()
            if found.replicas is not None and name in states and not states[name].left_alone
        }
        if wanted == tracked.buffers.wanted:
            return False
        tracked.buffers = replace(tracked.buffers, wanted=wanted)
        return self._kind is not None

    async def bring(self, tracked: Tracked) -> float | None:
        """Brings the buffers to what is wanted; returns after how long to look again. In mode Recommend none is made or sized, in Paused
        nothing is touched.
        """
        kind, spec = self._kind, tracked.spec
        if kind is None or spec is None or tracked.desired.paused or not tracked.desired.may_act:
            tracked.buffers = BufferWrites(wanted=tracked.buffers.wanted)
            return None
        owner, now, before = tracked.owner, time.monotonic(), tracked.buffers
        acts = tracked.desired.acts and tracked.wanted is not None
        due = {pool.name: pool for pool in _asking(tracked) if acts and pool.name in before.wanted}
        children: dict[Child, str] = {(kind, names.child_name(owner.name, name)): name for name in due}
        stale = self._writer.stale(owner, kind, {pool.name for pool in _asking(tracked)})
        refused = {failure.child for failure in before.refused}
        waits = tracked.buffer_retries.waits(refused & (children.keys() | stale.keys()), now)
        waits |= self._overwritten(tracked, kind, due, now)
        attempts = Attempts(waits, before.refused)
        for child, name in children.items():
            work = partial(self._writer.size, owner, kind, due[name], before.wanted[name])
            await attempts.make(child, work, serves=False)
        for child, body in stale.items():
            await attempts.make(child, partial(self._writer.remove, owner, kind, body), serves=False)
        return self._done(tracked, attempts, children, waits)

    def forget(self, key: str) -> None:
        """Lets go of a RecModel that is gone."""
        self._writer.forget(key)

    def _overwritten(
        self, tracked: Tracked, kind: names.Kind, due: Mapping[str, PoolSpec], now: float
    ) -> dict[Child, float]:
        """Those that stand other than this process wrote them, though nothing else was decided since: put back at growing intervals."""
        wanted, written, owner = tracked.buffers.wanted, tracked.buffers.written, tracked.owner
        changed = [
            (kind, names.child_name(owner.name, name))
            for name, pool in due.items()
            if written.get(name) == wanted[name] and self._writer.differs(owner, kind, pool, wanted[name])
        ]
        waits = tracked.backoffs.waits(changed, now)
        tracked.backoffs.made([child for child in changed if child not in waits], now)
        return waits

    def _done(
        self, tracked: Tracked, attempts: Attempts, children: Mapping[Child, str], waits: Mapping[Child, float]
    ) -> float | None:
        now, failed = time.monotonic(), {failure.child for failure in attempts.failures}
        before = tracked.buffers
        wrote = {
            name: before.wanted[name] for child, name in children.items() if child not in failed and child not in waits
        }
        tracked.buffers = replace(before, written={**before.written, **wrote}, refused=tuple(attempts.failures))
        if attempts.written:
            sizes = ", ".join(f"{name} {count}" for name, count in sorted(before.wanted.items()))
            logger.info("%s: wrote %s (nodes ahead of need: %s)", tracked.key, ", ".join(attempts.written), sizes)
        attempted = [failure for failure in attempts.failures if failure.child not in waits]
        for failure in attempted:
            log_failure(tracked.key, failure)
            if isinstance(failure.error, NotFound):  # the kind, perhaps: an object that is not there is made
                self._lost.set()
        tracked.buffer_retries.keep(failed)
        tracked.buffer_retries.made([failure.child for failure in attempted], now)
        again = [*waits.values(), *tracked.buffer_retries.waits(failed, now).values()]
        return min(again, default=None)


def _asking(tracked: Tracked) -> list[PoolSpec]:
    """The pools of the spec that ask for nodes ahead of need."""
    return [pool for pool in tracked.spec.pools if pool.node_buffer is not None] if tracked.spec is not None else []
