"""What stands of the workloads that pools refer to: replicas and pods, by workload, as their own watches tell. Nothing here is ours.

Two RecModels may refer to one workload: it is known once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from recmodel.cluster import names
from recmodel.cluster.observed.conflicting_controllers import Identity
from recmodel.cluster.observed.objects import identity_of, read_pod, read_workload
from recmodel.cluster.observed.pods import PodState, still_warm
from recmodel.cluster.observed.pool_state import PoolState, Reference, pool_state
from recmodel.cluster.observed.startups import StartUps
from recmodel.cluster.observed.unreadable import UnreadableObjects, consequence
from recmodel.cluster.observed.workloads import WorkloadState
from recmodel.cluster.transport.errors import ApiRefused, Unreadable
from recmodel.cluster.transport.resource_version import as_number, version_of
from recmodel.core.types import Reason

# Reasons of conditions. API: never renamed.
TARGET_MISSING = "TargetMissing"
TARGET_UNREADABLE = "TargetUnreadable"

Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Workload:
    """A workload that a pool refers to."""

    kind: names.Kind
    namespace: str
    name: str

    @property
    def shown(self) -> str:
        """For messages: ``Deployment shop/ranker-cpu``."""
        return f"{self.kind.kind} {self.namespace}/{self.name}"


@dataclass(slots=True)
class _Standing:
    state: WorkloadState | None = None
    problems: dict[str, Reason] = field(default_factory=dict)  # by what cannot be read, why
    pods: dict[str, PodState] = field(default_factory=dict)  # by name


class Referenced:
    """Of each workload what stands. ``acting`` says who scales or releases one, by kind and identity; ``unreadable`` counts."""

    def __init__(
        self, acting: Callable[[names.Kind, Identity], tuple[str, ...]], unreadable: UnreadableObjects
    ) -> None:
        self._acting = acting
        self._unreadable = unreadable
        self._standing: dict[Workload, _Standing] = {}
        self._startups = StartUps()

    def begin(self, workload: Workload) -> None:
        """One that is referred to from now on."""
        self._standing.setdefault(workload, _Standing())

    def end(self, workload: Workload) -> None:
        """One that nobody refers to any more."""
        self._standing.pop(workload, None)
        self._startups.forget(workload.shown)
        for kind in (workload.kind, names.POD):
            self._unreadable.listed(kind, (), None, workload.shown)

    def selector(self, workload: Workload) -> str | None:
        """Of its pods; None where it is not there or cannot be read."""
        standing = self._standing.get(workload)
        return standing.state.selector if standing is not None and standing.state is not None else None

    def see(self, workload: Workload, obj: Object | None) -> None:
        """The workload as it stands; None: it is not there. Where it cannot be read, what was known of it stays. What a watch says
        of the time before an answer to our own write is no news.
        """
        standing = self._standing.get(workload)
        if standing is None:
            return
        identity = workload.namespace, workload.name
        try:
            found = read_workload(workload.kind, obj) if obj is not None else None
            if found is None or standing.state is None or not _older(found, standing.state):
                standing.state = found
        except Unreadable as problem:
            standing.problems["object"] = Reason(TARGET_UNREADABLE, str(problem))
            self._unreadable.add(
                workload.kind, identity, consequence(problem, standing.state is not None), workload.shown
            )
            return
        standing.problems.pop("object", None)
        self._unreadable.remove(workload.kind, identity, workload.shown)
        if standing.state is None:
            self.list_pods(workload, [])

    def rewound(self, workload: Workload) -> None:
        """The API server's resource versions went back: its next word counts, whatever its version."""
        standing = self._standing.get(workload)
        if standing is not None and standing.state is not None:
            standing.state = replace(standing.state, resource_version="")

    def state(self, workload: Workload) -> WorkloadState | None:
        """The workload itself, as it was last seen; None where it is not there or was never read."""
        standing = self._standing.get(workload)
        return standing.state if standing is not None else None

    def scaled(self, workload: Workload, scale: Object) -> None:
        """The answer to our own write of its replicas, which the watch will tell of soon, or has told of already."""
        standing = self._standing.get(workload)
        if standing is None or standing.state is None:
            return
        if as_number(version_of(scale)) <= as_number(standing.state.resource_version):
            return
        desired = int(scale["spec"].get("replicas", 0))
        changed = desired != standing.state.desired
        standing.state = replace(
            standing.state,
            desired=desired,
            resource_version=version_of(scale),
            updating=changed or standing.state.updating,
            unseen=changed or standing.state.unseen,
            replicas_holders=() if changed else standing.state.replicas_holders,
        )

    def looked(self, workload: Workload, kind: names.Kind, error: Exception | None) -> bool:
        """What came of the last look at the workload or its pods; None: they were read. Returns whether that is an answer: that
        the API server is away is none.
        """
        standing = self._standing.get(workload)
        if standing is None or (error is not None and not isinstance(error, ApiRefused)):
            return False
        if error is None:
            standing.problems.pop(kind.plural, None)
        else:
            said = f"{workload.shown}: {error}: let the operator's account list and watch {kind.plural}"
            standing.problems[kind.plural] = Reason(TARGET_UNREADABLE, said)
        return True

    def list_pods(self, workload: Workload, objects: list[Object]) -> None:
        """All pods that its selector names."""
        standing = self._standing.get(workload)
        if standing is None:
            return
        seen = {identity_of(obj) for obj in objects}
        self._unreadable.listed(names.POD, seen, None, workload.shown)
        there = {name for _, name in seen}
        for name in [name for name in standing.pods if name not in there]:
            self._startups.gone(standing.pods.pop(name).uid)
        for obj in objects:
            self.see_pod(workload, "MODIFIED", obj)

    def see_pod(self, workload: Workload, change: str, obj: Object) -> None:
        """One change of a pod. One that cannot be read stays as it was known."""
        standing = self._standing.get(workload)
        if standing is None:
            return
        identity = identity_of(obj)
        name = identity[1]
        known = standing.pods.get(name)
        try:
            pod = read_pod(obj, workload.shown) if change != "DELETED" else None
        except Unreadable as problem:
            self._unreadable.add(names.POD, identity, consequence(problem, known is not None), workload.shown)
            return
        self._unreadable.remove(names.POD, identity, workload.shown)
        if known is not None and (pod is None or pod.over or pod.uid != known.uid):
            self._startups.gone(standing.pods.pop(name).uid)
        if pod is not None and not pod.over:
            self._startups.see(pod, known is None or known.uid != pod.uid)
            standing.pods[name] = still_warm(pod, known)

    def pool(self, workload: Workload) -> PoolState:
        """What stands for a pool that refers to it. One that is not there has no replicas, and says why."""
        standing = self._standing.get(workload, _Standing())
        state, pods = standing.state, list(standing.pods.values())
        problem = next(iter(standing.problems.values()), None)
        if state is None and problem is None:
            problem = Reason(
                TARGET_MISSING, f"there is no {workload.shown}: create it, or correct the pool's targetRef"
            )
        return replace(  # whoever scales it is in our way in mode Auto alone: see reference.acting and reference.held
            pool_state(state, pods, self._startups.of(workload.shown, "")),
            reference=Reference(
                shown=f"{workload.kind.kind} {workload.name}",
                acting=self._acting(workload.kind, (workload.namespace, workload.name)),
                problem=problem,
                cpu_limit_cores=state.cpu_limit_cores if state else None,
                made_by=state.made_by if state else None,
                replicas_holders=state.replicas_holders if state else (),
            ),
        )


def _older(found: WorkloadState, known: WorkloadState) -> bool:
    """Whether ``found`` is what the same object was before; a version of 0 tells nothing."""
    before, after = as_number(found.resource_version), as_number(known.resource_version)
    return found.uid == known.uid and 0 < before < after
