"""What stands of the pools of a RecModel that refers to workloads, whether they are its to scale, and the write of their replicas."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from recmodel.cluster.observed.pool_state import PoolState, Reference
from recmodel.cluster.observed.referenced import Referenced, Workload
from recmodel.cluster.transport.client import Client
from recmodel.cluster.writing.drift import Child
from recmodel.cluster.writing.reference_scale import ReferenceScale
from recmodel.controller.reference_watch import ReferenceWatch, workloads
from recmodel.controller.tracked import Tracked
from recmodel.report.reference_holds import held

STANDS_SECONDS = 300.0  # longer than Argo CD takes to look at what nothing has told it of


class ReferencePools:
    """Asks the watches of references, and compares RecModels that refer to the same workload: ``model`` knows them by key.
    ``unlisted`` says which of those that may scale or release workloads were never listed in a namespace.
    """

    def __init__(
        self,
        client: Client,
        referenced: Referenced,
        references: ReferenceWatch,
        model: Callable[[str], Tracked | None],
        unlisted: Callable[[str], list[str]],
    ) -> None:
        self._scale = ReferenceScale(client, referenced)
        self._referenced = referenced
        self._references = references
        self._model = model
        self._unlisted = unlisted

    def states(self, tracked: Tracked) -> dict[str, PoolState]:
        """By pool what stands; in mode Auto with why it is left alone."""
        found = workloads(tracked.owner.namespace, tracked.spec)
        return {name: self._state(tracked, workload) for name, workload in found.items()}

    async def write(self, workload: Workload, replicas: int, retries: int) -> bool:
        """Writes the replicas of a workload; False where somebody else wrote them just now."""
        return await self._scale.write(workload, replicas, retries)

    def _state(self, tracked: Tracked, workload: Workload) -> PoolState:
        state = self._referenced.pool(workload)
        if state.reference is None or not tracked.desired.acts:
            return state
        return replace(state, reference=self._judged(tracked, workload, state.reference))

    def _judged(self, tracked: Tracked, workload: Workload, reference: Reference) -> Reference:
        child, now = child_of(workload), time.monotonic()
        overwritten = tracked.traffic.overwritten.get(child)
        fought = child in tracked.contests.fighting(now) and not over(tracked, child, now)
        contested = overwritten.who if overwritten is not None and fought else None
        waits = contested if tracked.contests.waits([child], now) else None
        others = held(reference, self._older(tracked, workload), self._unlisted(workload.namespace))
        return replace(reference, held=others or waits, contested=contested)

    def _older(self, tracked: Tracked, workload: Workload) -> str | None:
        """The name of the oldest other RecModel that acts on the workload, where that is older; of equally old ones the first by
        name is.
        """
        others = (self._model(key) for key in self._references.referring(workload) if key != tracked.key)
        acting = [other for other in others if other is not None and other.desired.acts]
        first = min(acting, key=_age, default=tracked)
        return first.owner.name if _age(first) < _age(tracked) else None


def child_of(workload: Workload) -> Child:
    """The workload as corrections and refusals are counted by."""
    return workload.kind, workload.name


def over(tracked: Tracked, child: Child, now: float) -> bool:
    """Whether nobody writes over the replicas any more: a number of ours has stood for twice as long as any before it, and for five
    minutes. A tool that looks once an hour leaves each for an hour at most.
    """
    written, overwritten = tracked.traffic.scaled.get(child), tracked.traffic.overwritten.get(child)
    if written is None or overwritten is None:
        return False
    return now - written.at > max(STANDS_SECONDS, 2.0 * overwritten.stood_seconds)


def _age(tracked: Tracked) -> tuple[str, str]:
    created = tracked.desired.body.get("metadata", {}).get("creationTimestamp")
    return str(created or ""), tracked.key
