"""What stands in the cluster: the children and pods of every RecModel, kept by the watches and by the answers to our
own writes.

An answer to a write and the watch's word of the same write may arrive in any order, so an older version never replaces
a newer one.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from recmodel.api.records import RECORD_LABEL
from recmodel.cluster import names, ownership
from recmodel.cluster.pods import PodState, pod_state, version
from recmodel.cluster.rivals import TARGET_FIELDS, Identity, Rivals
from recmodel.cluster.versions import AS_WRITTEN, Serving, serving_of

Object = dict[str, Any]
STARTUPS_KEPT = 10  # pods of a pool whose start-up time counts: enough for a median, few enough to follow a new image


@dataclass(frozen=True, slots=True)
class PoolState:
    """What stands in the cluster for one pool."""

    exists: bool  # its Deployment does
    desired: int  # spec.replicas
    ready: int  # pods that answer
    unschedulable: int  # pods that no node takes, or that a quota forbids
    startup_seconds: float | None  # median, creation to Ready, of recent pods
    pods: tuple[str, ...]
    updating: bool  # a roll-out is under way
    autoscaler: str | None  # somebody else's HorizontalPodAutoscaler that scales the Deployment
    serving: Serving = AS_WRITTEN  # the version that the Deployment was made for
    stalled: bool = False  # its new pods did not become ready in time
    releaser: str | None = None  # somebody else's tool that replaces the pods or shifts the traffic, with its kind


class Inventory:
    """The watched state. ``on_change`` is called with the key of each model whose children or pods changed."""

    def __init__(self, on_change: Callable[[str], None] = lambda key: None) -> None:  # noqa: ARG005
        self._on_change = on_change
        self._objects: dict[str, dict[Identity, Object]] = defaultdict(dict)
        self._pods: dict[str, dict[str, PodState]] = defaultdict(dict)
        self._pod_keys: dict[Identity, str] = {}  # pod -> the model that it is of
        self._startups: dict[tuple[str, str], deque[tuple[str, float]]] = {}
        self._children: dict[str, set[tuple[names.Kind, Identity]]] = defaultdict(set)  # by model
        self._records: dict[str, set[Identity]] = defaultdict(set)  # by model: ConfigMaps with records of variants
        self._record_keys: dict[Identity, str] = {}  # and back
        self._rivals = Rivals()

    # --- what the watches and our own writes tell ---

    def replace(self, kind: names.Kind, objects: list[Object], namespace: str | None) -> None:
        """The whole list of a kind, in one namespace or in all."""
        seen = {_identity(obj) for obj in objects}
        for identity in [i for i in self._known(kind) if i not in seen and namespace in (None, i[0])]:
            self._forget(kind, identity)
        for obj in objects:
            self.see(kind, "MODIFIED", obj)

    def see(self, kind: names.Kind, change: str, obj: Object) -> None:
        """One change: ADDED, MODIFIED or DELETED."""
        identity = _identity(obj)
        if change == "DELETED":
            if self._uid(kind, identity) in (None, obj["metadata"]["uid"]):  # else: it has a successor already
                self._forget(kind, identity)
        elif kind == names.POD:
            self._see_pod(obj)
        elif kind in TARGET_FIELDS:
            self._rivals.see(kind, identity, obj)
        elif not self._is_older(self._objects[kind.kind].get(identity), obj):
            ownership.keep_ours(obj)
            self._relabel(kind, identity, obj)
            self._objects[kind.kind][identity] = obj
            if kind == names.CONFIG_MAP:
                self._see_records(identity, obj)
            elif kind != names.JOB and (key := _key(obj)):
                self._children[key].add((kind, identity))
                self._on_change(key)

    # --- what the controller asks ---

    def child(self, kind: names.Kind, namespace: str, name: str) -> Object | None:
        """A child as it stands in the cluster; None where there is none."""
        return self._objects[kind.kind].get((namespace, name))

    def children_of(self, key: str) -> list[tuple[names.Kind, Object]]:
        """All children that carry the model's label."""
        return [(kind, self._objects[kind.kind][identity]) for kind, identity in self._children.get(key, ())]

    def records_of(self, key: str) -> list[Object]:
        """The ConfigMaps with records of the model's variants, by name."""
        return [self._objects[names.CONFIG_MAP.kind][identity] for identity in sorted(self._records.get(key, ()))]

    def pool(self, key: str, pool: str) -> PoolState:
        """What stands in the cluster for a pool."""
        namespace, model = key.split("/", 1)
        name = names.child_name(model, pool)
        deployment = self._objects[names.DEPLOYMENT.kind].get((namespace, name))
        pods = [pod for pod in self._pods[key].values() if pod.pool == pool] if key in self._pods else []
        startups = [seconds for _, seconds in self._startups.get((key, pool), ())]
        desired = int(deployment["spec"].get("replicas", 1)) if deployment else 0
        waiting = sum(pod.unschedulable for pod in pods)
        if deployment and _forbidden(deployment):
            waiting += max(0, desired - len(pods))
        return PoolState(
            exists=deployment is not None,
            desired=desired,
            ready=sum(pod.ready for pod in pods),
            unschedulable=waiting,
            startup_seconds=median(startups) if startups else None,
            pods=tuple(sorted(pod.name for pod in pods)),
            updating=deployment is not None and _updating(deployment, desired),
            autoscaler=self._rivals.autoscaler((namespace, name)),
            serving=serving_of(deployment) if deployment else AS_WRITTEN,
            stalled=deployment is not None and _stalled(deployment),
            releaser=self._rivals.releaser((namespace, name)),
        )

    def weights(self, key: str, pools: list[str]) -> dict[str, int] | None:
        """The route's weights by pool as they stand in the cluster, of whatever total; None without a route."""
        namespace, model = key.split("/", 1)
        route = self.child(names.ROUTE, namespace, model)
        if route is None:
            return None
        by_service: dict[str, int] = defaultdict(int)
        for rule in route["spec"].get("rules", []):
            for backend in rule.get("backendRefs", []):
                by_service[backend["name"]] += int(backend.get("weight", 1))
        return {pool: by_service.get(names.child_name(model, pool), 0) for pool in pools}

    # --- inside ---

    def _see_pod(self, obj: Object) -> None:
        pod = pod_state(obj)
        if pod is None:
            return
        known = self._pods[pod.key].get(pod.name)
        if known is not None and known.uid == pod.uid and pod.version and known.version >= pod.version:
            return
        if pod.startup_seconds is not None:
            startups = self._startups.setdefault((pod.key, pod.pool), deque(maxlen=STARTUPS_KEPT))
            if pod.uid not in [uid for uid, _ in startups]:
                startups.append((pod.uid, pod.startup_seconds))
        self._pods[pod.key][pod.name] = pod
        self._pod_keys[_identity(obj)] = pod.key
        # Only what a decision or a weight depends on: a pod's status changes many times while it starts.
        if known is None or replace(known, version=pod.version) != pod:
            self._on_change(pod.key)

    def _relabel(self, kind: names.Kind, identity: Identity, obj: Object) -> None:
        """A child that names another model than before has left the one it was of."""
        known = self._objects[kind.kind].get(identity)
        before = _key(known) if known is not None else None
        if before is not None and before != _key(obj) and (kind, identity) in self._children.get(before, ()):
            self._forget(kind, identity)

    def _see_records(self, identity: Identity, obj: Object) -> None:
        self._forget_records(identity)  # the label may name another model than before
        if model := obj["metadata"].get("labels", {}).get(RECORD_LABEL):
            key = self._record_keys[identity] = f"{identity[0]}/{model}"
            self._records[key].add(identity)

    def _forget_records(self, identity: Identity) -> None:
        if key := self._record_keys.pop(identity, None):
            self._records[key].discard(identity)
            if not self._records[key]:
                del self._records[key]

    def _known(self, kind: names.Kind) -> list[Identity]:
        if kind == names.POD:
            return list(self._pod_keys)
        return self._rivals.known(kind) if kind in TARGET_FIELDS else list(self._objects[kind.kind])

    def _uid(self, kind: names.Kind, identity: Identity) -> str | None:
        if kind == names.POD:
            key = self._pod_keys.get(identity)
            return self._pods[key][identity[1]].uid if key else None
        obj = self._objects[kind.kind].get(identity)
        return obj["metadata"]["uid"] if obj else None

    def _forget(self, kind: names.Kind, identity: Identity) -> None:
        key: str | None = None
        if kind == names.POD:
            key = self._pod_keys.pop(identity, None)
            if key:
                del self._pods[key][identity[1]]
                if not self._pods[key]:
                    del self._pods[key]
        elif kind in TARGET_FIELDS:
            self._rivals.forget(kind, identity)
        elif kind == names.CONFIG_MAP:
            self._objects[kind.kind].pop(identity, None)
            self._forget_records(identity)
        elif kind == names.JOB:
            self._objects[kind.kind].pop(identity, None)
        else:
            obj = self._objects[kind.kind].pop(identity, None)
            key = _key(obj) if obj else None
            if key:
                self._children[key].discard((kind, identity))
                if not self._children[key]:
                    del self._children[key]
        if key:
            self._on_change(key)

    def _is_older(self, known: Object | None, obj: Object) -> bool:
        """Whether ``obj`` is nothing new. A successor with the same name has another uid, and always counts as new."""
        if known is None or known["metadata"]["uid"] != obj["metadata"]["uid"] or not version(obj):
            return False
        return version(known) >= version(obj)


def _identity(obj: Mapping[str, Any]) -> Identity:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _key(obj: Mapping[str, Any]) -> str | None:
    """The key of the model whose label the object carries."""
    model = obj["metadata"].get("labels", {}).get(names.MODEL_LABEL)
    return f"{obj['metadata']['namespace']}/{model}" if model else None


def _forbidden(deployment: Object) -> bool:
    """Whether the API refuses to create the Deployment's pods (a quota, an admission rule)."""
    conditions = deployment.get("status", {}).get("conditions") or []
    return any(c["type"] == "ReplicaFailure" and c["status"] == "True" for c in conditions)


def _stalled(deployment: Object) -> bool:
    """Whether the Deployment's controller has given up waiting for its new pods."""
    conditions = deployment.get("status", {}).get("conditions") or []
    return any(c["type"] == "Progressing" and c.get("reason") == "ProgressDeadlineExceeded" for c in conditions)


def _updating(deployment: Object, desired: int) -> bool:
    status = deployment.get("status", {})
    if status.get("observedGeneration", 0) < deployment["metadata"].get("generation", 0):
        return True
    return bool(
        status.get("updatedReplicas", 0) < desired or status.get("replicas", 0) > status.get("updatedReplicas", 0)
    )
