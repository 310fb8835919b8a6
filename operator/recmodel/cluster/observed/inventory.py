"""What stands in the cluster: the children and pods of every RecModel, kept by the watches and by the answers to our
own writes.

An answer to a write and the watch's word of the same write may arrive in any order, so an older version never replaces
a newer one.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from recmodel.api.v1alpha1 import KIND
from recmodel.cluster import names
from recmodel.cluster.children.versions import AS_WRITTEN
from recmodel.cluster.observed.backends import Backend, FreeNames, standing
from recmodel.cluster.observed.conflicting_controllers import ConflictingControllers, Identity, Target
from recmodel.cluster.observed.deployments import DeploymentState
from recmodel.cluster.observed.objects import Known, identity_of, read, uid_of
from recmodel.cluster.observed.pods import PodState, still_warm
from recmodel.cluster.observed.pool_state import PoolState, pool_state
from recmodel.cluster.observed.startups import StartUps
from recmodel.cluster.observed.unreadable import UnreadableObjects, consequence
from recmodel.cluster.transport.errors import Unreadable

Object = dict[str, Any]


class Inventory:
    """The watched state. ``on_change`` is called with the key of each model whose children or pods changed, ``on_unreadable``
    with a kind and how many objects of it cannot be read.

    Of an object that cannot be read what was known of it stays in effect, until it can be read again or is gone.
    """

    def __init__(
        self,
        on_change: Callable[[str], None] = lambda key: None,  # noqa: ARG005
        on_unreadable: Callable[[str, int], None] = lambda kind, count: None,  # noqa: ARG005
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self.free_routes = FreeNames()
        self._on_change = on_change
        self.unreadable = UnreadableObjects(on_unreadable)
        self._known: dict[names.Kind, dict[Identity, Known]] = defaultdict(dict)
        self._pods: dict[str, dict[str, PodState]] = defaultdict(dict)  # by model
        self._startups = StartUps()
        self._children: dict[str, set[tuple[names.Kind, Identity]]] = defaultdict(set)  # by model
        self._records: dict[str, set[Identity]] = defaultdict(set)  # by model: ConfigMaps with records of variants
        self._conflicting = ConflictingControllers()

    # --- what the watches and our own writes report ---

    def replace(self, kind: names.Kind, objects: list[Object], namespace: str | None) -> None:
        """The whole list of a kind, in one namespace or in all."""
        seen = {identity_of(obj) for obj in objects}
        for identity in [i for i in self._known[kind] if i not in seen and namespace in (None, i[0])]:
            self._forget(kind, identity)
        self.unreadable.listed(kind, seen, namespace)
        if kind in names.ROUTES:
            self.free_routes.listed(kind, namespace, self.clock())
        for obj in objects:
            self.see(kind, "MODIFIED", obj)

    def rewound(self, kind: names.Kind, namespace: str | None) -> None:
        """The API server's resource versions went back: the next word about each object counts, whatever its version."""
        known = self._known[kind]
        for identity in [i for i in known if namespace in (None, i[0])]:
            known[identity] = replace(known[identity], version=0)

    def see(self, kind: names.Kind, change: str, obj: Object) -> None:
        """One change: ADDED, MODIFIED or DELETED. Whatever the object holds, this raises nothing."""
        identity = identity_of(obj)
        known = self._known[kind].get(identity)
        if change == "DELETED":
            if known is None or uid_of(obj) in (None, known.uid):  # else: it has a successor already
                self._forget(kind, identity)
                self.unreadable.remove(kind, identity)
            return
        try:
            found = read(kind, obj)
        except Unreadable as problem:
            if known is not None and uid_of(obj) not in (None, known.uid):  # what was known is of one that is gone
                self._forget(kind, identity)
            self.unreadable.add(kind, identity, consequence(problem, identity in self._known[kind]))
            return
        if known is not None and known.uid == found.uid and found.version and known.version >= found.version:
            return  # nothing new; a successor of the same name has another uid, and always is
        self._take(kind, found, known)

    def forget(self, key: str) -> None:
        """Lets go of what was learned of a model that is gone; its objects go as the watches report it."""
        self._startups.forget(key)

    # --- what the controller asks ---

    def child(self, kind: names.Kind, namespace: str, name: str) -> Object | None:
        """A child as it stands in the cluster; None where there is none."""
        known = self._known[kind].get((namespace, name))
        return known.body if known else None

    def children_of(self, key: str) -> list[tuple[names.Kind, Object]]:
        """All children that carry the model's label, but its node buffers."""
        found = self._children.get(key, ())
        return [(kind, self._known[kind][identity].body) for kind, identity in found if kind in names.CHILD_KINDS]

    def buffers_of(self, key: str, kind: names.Kind) -> list[Object]:
        """All CapacityBuffers of this version that carry the model's label."""
        return [self._known[of][identity].body for of, identity in self._children.get(key, ()) if of == kind]

    def records_of(self, key: str) -> list[Object]:
        """The ConfigMaps with records of the model's variants, by name."""
        return [self._known[names.CONFIG_MAP][identity].body for identity in sorted(self._records.get(key, ()))]

    def pool(self, key: str, pool: str, uid: str | None = None) -> PoolState:
        """What stands in the cluster for a pool. With the RecModel's ``uid`` a Deployment that another one of its name
        left behind, and its pods, count as not there.
        """
        namespace, model = key.split("/", 1)
        identity = (namespace, names.child_name(model, pool))
        known = self._known[names.DEPLOYMENT].get(identity)
        deployment = known.facts if known is not None and isinstance(known.facts, DeploymentState) else None
        pods = [pod for pod in self._pods.get(key, {}).values() if pod.pool == pool]
        startup = self._startups.of(key, pool)
        if known is not None and uid is not None and _left_behind(known.body, uid):
            deployment, pods = None, []
        return replace(
            pool_state(deployment, pods, startup),
            autoscaler=self._conflicting.autoscaler(identity),
            serving=deployment.serving if deployment else AS_WRITTEN,
            releaser=self._conflicting.releaser(identity),
        )

    def weights(self, key: str, pools: list[str], kind: names.Kind) -> dict[str, int] | None:
        """The weights by pool of the route of this kind as they stand in the cluster, of whatever total; None without a route."""
        namespace, model = key.split("/", 1)
        route = self.child(kind, namespace, model)
        if route is None:
            return None
        by_service: dict[str, int] = defaultdict(int)
        for rule in route["spec"]["rules"]:
            for backend in rule.get("backendRefs", []):
                by_service[backend["name"]] += backend.get("weight", 1)
        return {pool: by_service.get(names.child_name(model, pool), 0) for pool in pools}

    def acting_on(self, kind: names.Kind, workload: Identity) -> tuple[str, ...]:
        """Who scales or releases a workload, of whoever it is."""
        return self._conflicting.acting_on(kind, workload)

    def backends(self, key: str, kind: names.Kind) -> tuple[Backend, ...]:
        """The backends of a model's route of this kind in their order, each with the time since when it stands there."""
        namespace, model = key.split("/", 1)
        route = self.child(kind, namespace, model)
        return standing(route) if route is not None else ()

    # --- inside ---

    def _take(self, kind: names.Kind, found: Known, before: Known | None) -> None:
        """One that can be read, and is new or newer than what was known."""
        facts, identity = found.facts, found.identity
        if isinstance(facts, DeploymentState) and facts.serving_problem is not None:
            problem = (
                f"Deployment {'/'.join(identity)}: {facts.serving_problem}; what its pods are given counts instead"
            )
            self.unreadable.add(kind, identity, problem)
            if before is not None and before.uid == found.uid and isinstance(before.facts, DeploymentState):
                found = replace(found, facts=replace(facts, serving=before.facts.serving))
        else:
            self.unreadable.remove(kind, identity)
        if before is not None and before.key != found.key:
            self._forget(kind, identity)
        if kind == names.POD:
            self._take_pod(found)
            return
        self._known[kind][identity] = found
        if isinstance(facts, Target):
            self._conflicting.see(kind, identity, facts)
        elif kind == names.CONFIG_MAP and found.key:
            self._records[found.key].add(identity)
        elif kind in names.OWNED_KINDS and found.key:
            self._children[found.key].add((kind, identity))
            self._on_change(found.key)

    def _take_pod(self, found: Known) -> None:
        pod = found.facts
        if not isinstance(pod, PodState) or pod.over:
            self._forget(names.POD, found.identity)
            return
        known = self._pods[pod.key].get(pod.name)
        first = known is None or known.uid != pod.uid
        pod = still_warm(pod, known, self.clock())
        if known is not None and first:
            self._startups.gone(known.uid)
        self._startups.see(pod, first)
        self._known[names.POD][found.identity] = found
        self._pods[pod.key][pod.name] = pod
        if known != pod:  # only what a decision or a weight depends on: its status changes many times while it starts
            self._on_change(pod.key)

    def _forget(self, kind: names.Kind, identity: Identity) -> None:
        known = self._known[kind].pop(identity, None)
        if known is None:
            return
        if isinstance(known.facts, PodState):
            pod = known.facts
            self._startups.gone(pod.uid)
            _drop(self._pods, pod.key, pod.name)
            self._on_change(pod.key)
        elif isinstance(known.facts, Target):
            self._conflicting.forget(kind, identity)
        elif kind == names.CONFIG_MAP and known.key:
            _drop(self._records, known.key, identity)
        elif kind in names.OWNED_KINDS and known.key:
            if kind in names.ROUTES:
                self.free_routes.left(kind, identity, self.clock())
            _drop(self._children, known.key, (kind, identity))
            if known.key not in self._children:
                self.forget(known.key)
            self._on_change(known.key)


def _left_behind(obj: Object, uid: str) -> bool:
    """Whether the object is of another RecModel than the one with this uid."""
    owners = [o for o in obj["metadata"].get("ownerReferences") or [] if o.get("controller") and o.get("kind") == KIND]
    return bool(owners) and all(owner.get("uid") != uid for owner in owners)


def _drop(index: dict[str, Any], key: str, entry: Any) -> None:
    """Takes an entry out of what is kept by model; a model without any leaves nothing behind."""
    found = index[key]
    found.pop(entry) if isinstance(found, dict) else found.remove(entry)
    if not found:
        del index[key]
