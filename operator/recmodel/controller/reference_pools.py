"""What stands of the pools of a RecModel that refers to workloads, whether they are its to scale, and the write of their replicas."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from recmodel.cluster.observed.pool_state import PoolState, Reference
from recmodel.cluster.observed.referenced import Referenced, Workload
from recmodel.cluster.transport.client import Client
from recmodel.cluster.writing.reference_scale import ReferenceScale
from recmodel.controller.contests import child_of, over
from recmodel.controller.reference_watch import ReferenceWatch, workloads
from recmodel.controller.tracked import Tracked
from recmodel.report.reference_holds import held


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
        self._scale = ReferenceScale(client, referenced, references.served)
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
        fought = child in tracked.contests.fighting(now) and not over(tracked, child, now)
        contested = tracked.contested.contests.get(child) if fought else None
        waits = contested.said if contested is not None and tracked.contests.waits([child], now) else None
        others = held(reference, self._older(tracked, workload), self._unlisted(workload.namespace))
        # Of a kind that is known by its scale alone what is written goes by what that says now.
        unknown = reference.problem if workload.by_scale else None
        return replace(reference, held=unknown or others or waits, contested=contested)

    def _older(self, tracked: Tracked, workload: Workload) -> str | None:
        """The name of the oldest other RecModel that acts on the workload, where that is older; of equally old ones the first by
        name is.
        """
        others = (self._model(key) for key in self._references.referring(workload) if key != tracked.key)
        acting = [other for other in others if other is not None and other.desired.acts]
        first = min(acting, key=_age, default=tracked)
        return first.owner.name if _age(first) < _age(tracked) else None


def _age(tracked: Tracked) -> tuple[str, str]:
    created = tracked.desired.body.get("metadata", {}).get("creationTimestamp")
    return str(created or ""), tracked.key
