"""What stands of the pools of a RecModel that refers to workloads, whether they are its to scale, and the write of their replicas."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from recmodel.cluster.observed.pool_state import PoolState, Reference, Routed
from recmodel.cluster.observed.referenced import Referenced, Workload
from recmodel.cluster.transport.client import Client
from recmodel.cluster.writing.reference_scale import ReferenceScale
from recmodel.controller.contests import child_of, over
from recmodel.controller.reference_watch import ReferenceWatch, workloads
from recmodel.controller.route_rules import RouteRules
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
        rules: RouteRules,
    ) -> None:
        self._scale = ReferenceScale(client, referenced, references.served)
        self._referenced = referenced
        self._references = references
        self._model = model
        self._unlisted = unlisted
        self.rules = rules

    def want(self, tracked: Tracked) -> bool:
        """Follows what the pools and the route of a RecModel refer to; whether that is other than before."""
        others = self._references.want(tracked.key, workloads(tracked.owner.namespace, tracked.spec))
        return self.rules.want(tracked) or others

    def forget(self, key: str) -> None:
        """Lets go of what a RecModel that is gone referred to."""
        self._references.want(key, {})
        self.rules.watch.want(key, None)

    def missing(self, tracked: Tracked) -> list[str]:
        """What deciding for a RecModel needs and was never read."""
        return [*self._references.missing(tracked), *self.rules.watch.missing(tracked.key)]

    def states(self, tracked: Tracked) -> dict[str, PoolState]:
        """By pool what stands; in mode Auto with why it is left alone."""
        found = workloads(tracked.owner.namespace, tracked.spec)
        routed = self.rules.routed(tracked)
        return {name: _with(self._state(tracked, workload), routed.get(name)) for name, workload in found.items()}

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
        first = min(acting, key=lambda other: other.age, default=tracked)
        return first.owner.name if first.age < tracked.age else None


def _with(state: PoolState, routed: Routed | None) -> PoolState:
    if state.reference is None or routed is None:
        return state
    return replace(state, reference=replace(state.reference, routed=routed))
