"""What stands of the workloads that pools refer to: replicas and pods, by workload, as their own watches tell. Nothing here is ours.

Two RecModels may refer to one workload: it is known once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from recmodel.api.shown import shown
from recmodel.cluster import names
from recmodel.cluster.children import ownership
from recmodel.cluster.observed.conflicting_controllers import Identity
from recmodel.cluster.observed.objects import identity_of, read_pod, read_scaled, read_workload
from recmodel.cluster.observed.pods import PodState, still_warm
from recmodel.cluster.observed.pool_state import PoolState, Reference, pool_state
from recmodel.cluster.observed.replica_pods import ReplicaPods
from recmodel.cluster.observed.startups import StartUps
from recmodel.cluster.observed.unreadable import UnreadableObjects, consequence
from recmodel.cluster.observed.workloads import WorkloadState
from recmodel.cluster.scale_targets import APPS
from recmodel.cluster.transport.errors import ApiRefused, Unreadable
from recmodel.cluster.transport.resource_version import as_number, is_older, version_of
from recmodel.core.types import Reason

# Reasons of conditions. API: never renamed.
TARGET_MISSING = "TargetMissing"
TARGET_UNREADABLE = "TargetUnreadable"
REPLICAS_ARE_NOT_PODS = "ReplicasAreNotPods"

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

    @property
    def key(self) -> str:
        """What no other workload has: two groups may have a kind of one name."""
        return f"{self.kind.kind}.{self.kind.group} {self.namespace}/{self.name}"

    @property
    def by_scale(self) -> bool:
        """Whether its scale says what it runs, and not a form that is known here."""
        return self.kind.group != APPS


@dataclass(slots=True)
class _Standing:
    state: WorkloadState | None = None
    problems: dict[str, Reason] = field(default_factory=dict)  # by what cannot be read, why
    pods: dict[str, PodState] = field(default_factory=dict)  # by name
    replica_pods: ReplicaPods = field(default_factory=ReplicaPods)


class Referenced:
    """Of each workload what stands. ``acting`` says who scales or releases one, by kind and identity; ``unreadable`` counts;
    ``clock`` is one that only goes on, ``unix_clock`` tells the time.
    """

    def __init__(
        self,
        acting: Callable[[names.Kind, Identity], tuple[str, ...]],
        unreadable: UnreadableObjects,
        clock: Callable[[], float] = lambda: 0.0,
        unix_clock: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self._acting = acting
        self._unreadable = unreadable
        self._clock = clock
        self._unix_clock = unix_clock
        self._standing: dict[Workload, _Standing] = {}
        self._startups = StartUps()

    def begin(self, workload: Workload) -> None:
        """One that is referred to from now on."""
        self._standing.setdefault(workload, _Standing())

    def end(self, workload: Workload) -> None:
        """One that nobody refers to any more."""
        self._standing.pop(workload, None)
        self._startups.forget(workload.key)
        for kind in (workload.kind, names.POD):
            self._unreadable.listed(kind, (), None, workload.key)

    def selector(self, workload: Workload) -> str | None:
        """Of its pods; None where it is not there or cannot be read."""
        standing = self._standing.get(workload)
        return standing.state.selector if standing is not None and standing.state is not None else None

    def see(self, workload: Workload, obj: Object | None, scale: Any = None) -> None:
        """The workload as it stands, with its scale where that is read; None: it is not there. Where it cannot be read, what was
        known of it stays. What a watch says of the time before an answer to our own write is no news.
        """
        standing = self._standing.get(workload)
        if standing is None:
            return
        identity = workload.namespace, workload.name
        try:
            found = self._read(workload, standing, obj, scale) if obj is not None else None
            if found is None or standing.state is None or not is_older(found, standing.state):
                standing.state = found
        except Unreadable as problem:
            left = "; its replicas are left alone until its scale can be read" if workload.by_scale else ""
            standing.problems["object"] = Reason(TARGET_UNREADABLE, f"{problem}{left}")
            self._unreadable.add(
                workload.kind, identity, consequence(problem, standing.state is not None), workload.key
            )
            return
        standing.problems.pop("object", None)
        self._unreadable.remove(workload.kind, identity, workload.key)
        if standing.state is None:
            self.list_pods(workload, [])
        self._compare(standing)

    def trouble(self, workload: Workload, what: str, problem: Reason | None) -> None:
        """Why something that it takes to know the workload cannot be had; None: it can."""
        standing = self._standing.get(workload)
        if standing is not None and problem is None:
            standing.problems.pop(what, None)
        elif standing is not None and problem is not None:
            standing.problems[what] = problem

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
        self._unreadable.listed(names.POD, seen, None, workload.key)
        there = {name for _, name in seen}
        for name in [name for name in standing.pods if name not in there]:
            self._startups.gone(standing.pods.pop(name).uid)
        for obj in objects:
            self._take_pod(workload, standing, "MODIFIED", obj)
        self._compare(standing)

    def see_pod(self, workload: Workload, change: str, obj: Object) -> None:
        """One change of a pod. One that cannot be read stays as it was known."""
        standing = self._standing.get(workload)
        if standing is not None:
            self._take_pod(workload, standing, change, obj)
            self._compare(standing)

    def _take_pod(self, workload: Workload, standing: _Standing, change: str, obj: Object) -> None:
        identity = identity_of(obj)
        name = identity[1]
        known = standing.pods.get(name)
        try:
            pod = read_pod(obj, workload.key) if change != "DELETED" else None
        except Unreadable as problem:
            self._unreadable.add(names.POD, identity, consequence(problem, known is not None), workload.key)
            return
        self._unreadable.remove(names.POD, identity, workload.key)
        if known is not None and (pod is None or pod.over or pod.uid != known.uid):
            self._startups.gone(standing.pods.pop(name).uid)
        if pod is not None and not pod.over:
            self._startups.see(pod, known is None or known.uid != pod.uid)
            standing.pods[name] = still_warm(pod, known, self._unix_clock())

    def ready(self, workload: Workload) -> int:
        """How many of its pods are ready."""
        standing = self._standing.get(workload)
        return sum(pod.ready for pod in standing.pods.values()) if standing is not None else 0

    def pool(self, workload: Workload) -> PoolState:
        """What stands for a pool that refers to it. One that is not there has no replicas, and says why."""
        standing = self._standing.get(workload, _Standing())
        state, pods = standing.state, list(standing.pods.values())
        problem = next(iter(standing.problems.values()), None) or self._grouped(workload, standing)
        if state is None and problem is None:
            problem = Reason(
                TARGET_MISSING, f"there is no {workload.shown}: create it, or correct the pool's targetRef"
            )
        return replace(  # whoever scales it is in our way in mode Auto alone: see reference.acting and reference.held
            pool_state(state, pods, self._startups.of(workload.key, "")),
            reference=Reference(
                shown=f"{workload.kind.kind} {workload.name}",
                group=workload.kind.group,
                replicas_at=ownership.pointer(state.replicas_path if state else ownership.REPLICAS),
                acting=self._acting(workload.kind, (workload.namespace, workload.name)),
                problem=problem,
                cpu_limit_cores=state.cpu_limit_cores if state else None,
                made_by=state.made_by if state else None,
                replicas_holders=state.replicas_holders if state else (),
            ),
        )

    @staticmethod
    def _read(workload: Workload, standing: _Standing, obj: Object, scale: Any) -> WorkloadState:
        if not workload.by_scale:
            return read_workload(workload.kind, obj)
        path = standing.state.replicas_path if standing.state is not None else ownership.REPLICAS
        return read_scaled(workload.kind, obj, scale, path)

    def _compare(self, standing: _Standing) -> None:
        replicas = standing.state.replicas_now if standing.state is not None else None
        staying = 0 if replicas is None else sum(not pod.leaves for pod in standing.pods.values())
        standing.replica_pods.saw(staying, replicas, self._clock())

    def _grouped(self, workload: Workload, standing: _Standing) -> Reason | None:
        """That one replica is not one pod."""
        counts = standing.replica_pods.differs(self._clock())
        if counts is None or standing.state is None:
            return None
        pods, replicas = counts
        return Reason(
            REPLICAS_ARE_NOT_PODS,
            f"{workload.shown} has {replicas} replicas by its scale, and {pods} pods match the selector of that "
            f"({shown(standing.state.selector)}): a replica has to be one pod of these, so its replicas are left alone; have the selector "
            "match one pod of each replica and no other, or refer to another workload",
        )
