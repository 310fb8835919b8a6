"""The watches of workloads that pools refer to: one of each workload by its name, and one of its pods by its own selector.

They carry no label of ours, so the watches of children do not show them. What nobody refers to is not watched: neither the
requests nor the memory grow with the cluster.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.observed.referenced import TARGET_UNREADABLE, Referenced, Workload
from recmodel.cluster.scale_targets import Referable, kind_of
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, ClusterError
from recmodel.cluster.transport.watch import Selection, follow
from recmodel.controller.scale_reader import ScaleReader
from recmodel.controller.scaled_kinds import ScaledKinds, not_allowed
from recmodel.controller.tasks import Tasks
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Reason

Object = dict[str, Any]
DEPLOYMENTS_AND_SETS = Referable()
ITSELF, KIND, SCALE = "itself", "kind", "scale"  # what it takes to know a workload, beside its pods


def workloads(namespace: str, spec: RecModelSpec | None) -> dict[str, Workload]:
    """By pool what it refers to; empty where the pools have templates."""
    pools = spec.pools if spec is not None else []
    return {
        pool.name: Workload(kind_of(pool.target_ref.api_version, pool.target_ref.kind), namespace, pool.target_ref.name)
        for pool in pools
        if pool.target_ref is not None
    }


@dataclass(slots=True)
class _Watched:
    by: set[str] = field(default_factory=set)  # keys of the RecModels that refer to it
    answered: set[str] = field(default_factory=set)  # itself and its pods: what was read, or refused
    task: asyncio.Task[None] | None = None
    pods: tuple[str, asyncio.Task[None]] | None = None  # by this selector


class ReferenceWatch:
    """Follows what is referred to, and keeps ``referenced`` up to date. ``referable`` says which kinds that may be."""

    def __init__(
        self,
        client: Client,
        referenced: Referenced,
        tasks: Tasks,
        referable: Referable = DEPLOYMENTS_AND_SETS,
        on_change: Callable[[str], None] = lambda key: None,  # noqa: ARG005
    ) -> None:
        self._client = client
        self._referenced = referenced
        self._tasks = tasks
        self._referable = referable
        self._kinds = ScaledKinds(client)
        self._scales = ScaleReader(client, tasks, self.served, self._known, self._without_scale)
        self._on_change = on_change  # with the key of each RecModel whose workload has other ready pods
        self._watched: dict[Workload, _Watched] = {}
        self._of: dict[str, Mapping[str, Workload]] = {}  # by RecModel, by pool

    def served(self, workload: Workload) -> names.Kind:
        """Its kind as its resource; without a plural where the setting does not name it."""
        return self._referable.served(workload.kind)

    def want(self, key: str, wanted: Mapping[str, Workload]) -> bool:
        """What each pool of a RecModel refers to from now on; nothing: it is gone, or its pools have templates. Returns whether it is
        other than before.
        """
        before = self._of.pop(key, {})
        if wanted:
            self._of[key] = dict(wanted)
        for workload in {*wanted.values()} - {*before.values()}:
            self._begin(workload, key)
        for workload in {*before.values()} - {*wanted.values()}:
            self._end(workload, key)
        return before != wanted

    def missing(self, tracked: Tracked) -> list[str]:
        """What deciding for a RecModel needs and was never read; empty where all is known, or known to be refused."""
        found = []
        for workload in self._of.get(tracked.key, {}).values():
            answered = self._watched[workload].answered
            if ITSELF not in answered:
                found.append(workload.shown)
            elif self._referenced.selector(workload) is not None and names.POD.plural not in answered:
                found.append(f"the pods of {workload.shown}")
        return sorted(found)

    def _begin(self, workload: Workload, key: str) -> None:
        watched = self._watched.setdefault(workload, _Watched())
        watched.by.add(key)
        if len(watched.by) == 1:
            self._referenced.begin(workload)
            kind = self.served(workload)
            if not kind.plural:
                self._referenced.trouble(workload, KIND, not_allowed(workload))
                watched.answered.add(ITSELF)
                return
            selection = Selection(kind, workload.namespace, fields=f"metadata.name={workload.name}")
            watched.task = self._follow(workload, selection, _ItselfFollower(self, self._referenced, workload))

    def _end(self, workload: Workload, key: str) -> None:
        watched = self._watched[workload]
        watched.by.discard(key)
        if watched.by:
            return
        for task in (watched.task, watched.pods[1] if watched.pods is not None else None):
            if task is not None:
                self._tasks.end(task)
        del self._watched[workload]
        self._scales.end(workload)
        self._referenced.end(workload)

    def referring(self, workload: Workload) -> frozenset[str]:
        """The keys of the RecModels that refer to it."""
        watched = self._watched.get(workload)
        return frozenset(watched.by) if watched is not None else frozenset()

    def seen(self, workload: Workload, obj: Object | None) -> None:
        """The workload as it stands now; None: it is not there."""
        if workload not in self._watched:
            return
        if workload.by_scale:
            self._scales.changed(workload, obj)
        if obj is None or not workload.by_scale:
            self._known(workload, obj)

    def _known(self, workload: Workload, obj: Object | None, scale: Object | None = None) -> None:
        """All that is to be read of it. Its pods are followed by the selector that it has."""
        watched = self._watched.get(workload)
        if watched is None:
            return
        if workload.by_scale:
            self._referenced.trouble(workload, SCALE, None)
            watched.answered.add(ITSELF)
        self._referenced.see(workload, obj, scale)
        selector = self._referenced.selector(workload)
        followed = watched.pods[0] if watched.pods is not None else None
        if selector == followed:
            return
        if watched.pods is not None:
            self._tasks.end(watched.pods[1])
            watched.pods = None
            watched.answered.discard(names.POD.plural)
        if selector is not None:
            selection = Selection(names.POD, workload.namespace, selector)
            watched.pods = selector, self._follow(workload, selection, _PodFollower(self, self._referenced, workload))

    def pods_changed(self, workload: Workload) -> None:
        """Other pods of it are ready than before: a weight may have to go at once."""
        for key in self.referring(workload):
            self._on_change(key)

    def _without_scale(self, workload: Workload, error: ClusterError) -> None:
        """Its scale cannot be had: what was known of it stays, and nothing is written."""
        watched, kind = self._watched.get(workload), self.served(workload)
        if watched is not None:
            way_out = (
                f"see whether the kind still has a scale subresource, and the operator's account may get {kind.plural}/scale.{kind.group}"
                if isinstance(error, ApiRefused)
                else "it is read again, and its replicas are left alone until then"
            )
            said = f"{workload.shown}: its scale cannot be read: {error}: {way_out}"
            self._referenced.trouble(workload, SCALE, Reason(TARGET_UNREADABLE, said))
            watched.answered.add(ITSELF)

    def _follow(
        self, workload: Workload, selection: Selection, follower: _ItselfFollower | _PodFollower
    ) -> asyncio.Task[None]:
        following = functools.partial(self._followed, workload, selection, follower)
        return self._tasks.keep(following, f"following {selection.kind.plural} of {workload.shown}")

    async def _followed(
        self, workload: Workload, selection: Selection, follower: _ItselfFollower | _PodFollower
    ) -> None:
        if workload.by_scale and selection.kind != names.POD:
            await self._kinds.until_served(workload, selection.kind, functools.partial(self._asked, workload))
        turned = functools.partial(self._turned, workload, selection.kind)
        await follow(self._client, selection, follower, synced=asyncio.Event(), on_turn=turned)

    def _asked(self, workload: Workload, problem: Reason | None) -> None:
        """What came of asking for its kind: from an answer that it is served on, the workload itself is waited for."""
        if watched := self._watched.get(workload):
            self._referenced.trouble(workload, KIND, problem)
            (watched.answered.discard if problem is None else watched.answered.add)(ITSELF)

    def _turned(self, workload: Workload, kind: names.Kind, problem: Exception | None) -> None:
        watched = self._watched.get(workload)
        if watched is None or not self._referenced.looked(workload, kind, problem):
            return
        if problem is not None or kind == names.POD or not self._scales.awaited(workload):
            watched.answered.add(kind.plural if kind == names.POD else ITSELF)


@dataclass(frozen=True, slots=True)
class _ItselfFollower:
    """Receives the workload: a list of one, or of none."""

    watch: ReferenceWatch
    referenced: Referenced
    workload: Workload

    def replace(self, kind: names.Kind, objects: list[Object], namespace: str | None) -> None:  # noqa: ARG002
        self.watch.seen(self.workload, objects[0] if objects else None)

    def see(self, kind: names.Kind, change: str, obj: Object) -> None:  # noqa: ARG002
        self.watch.seen(self.workload, obj if change != "DELETED" else None)

    def rewound(self, kind: names.Kind, namespace: str | None) -> None:  # noqa: ARG002
        self.referenced.rewound(self.workload)


@dataclass(frozen=True, slots=True)
class _PodFollower:
    """Receives the pods that the selector names."""

    watch: ReferenceWatch
    referenced: Referenced
    workload: Workload

    def replace(self, kind: names.Kind, objects: list[Object], namespace: str | None) -> None:  # noqa: ARG002
        before = self.referenced.ready(self.workload)
        self.referenced.list_pods(self.workload, objects)
        self._told(before)

    def see(self, kind: names.Kind, change: str, obj: Object) -> None:  # noqa: ARG002
        before = self.referenced.ready(self.workload)
        self.referenced.see_pod(self.workload, change, obj)
        self._told(before)

    def rewound(self, kind: names.Kind, namespace: str | None) -> None:
        """Nothing is remembered by its resource version."""

    def _told(self, before: int) -> None:
        if self.referenced.ready(self.workload) != before:
            self.watch.pods_changed(self.workload)
