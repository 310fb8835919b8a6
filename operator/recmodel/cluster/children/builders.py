"""The children of a RecModel as plain dictionaries. Pure: the same spec gives the same objects, byte for byte.

Per pool a Deployment, a Service and a PodDisruptionBudget; one HTTPRoute or GRPCRoute over all pools; a PodMonitor where the
cluster knows that kind and the metrics come from the pods. All carry an owner reference, so deleting the RecModel
deletes them, with the operator up or down.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from recmodel.api.pool import PoolSpec
from recmodel.api.v1alpha1 import API_VERSION, KIND, RecModelSpec
from recmodel.cluster import names, weight_steps
from recmodel.cluster.children.pod_template import pod_template
from recmodel.cluster.children.versions import AS_WRITTEN, VERSION_ON_TRIAL, Serving, annotation

Object = dict[str, Any]

PROGRESS_DEADLINE_SECONDS = 1800  # a GPU pod may load its tables for many minutes before it is Ready
# Series that one pod may bring into Prometheus with a scrape. The largest page known has some 600; a tenant's page of
# millions must not fill the store of all. Prometheus refuses a longer page as a whole.
SAMPLE_LIMIT = 5000
SERVICE_PORT = 80
# What a Service says that its pods speak, by the Gateway API's GEP-1911. That has no word for gRPC, which is HTTP/2 in any case.
APP_PROTOCOLS = {"H2C": "kubernetes.io/h2c", "GRPC": "kubernetes.io/h2c"}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose children they are."""

    namespace: str
    name: str
    uid: str

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    def reference(self) -> Object:
        """The owner reference of each child."""
        return {
            "apiVersion": API_VERSION, "kind": KIND, "name": self.name, "uid": self.uid,
            "controller": True, "blockOwnerDeletion": True,
        }  # fmt: skip

    def owns(self, obj: Mapping[str, Any]) -> bool:
        """Whether an object is this very RecModel's, and not one's that had the same name. Where somebody removed the owner
        reference, and no other owner has taken its place, the annotation decides.
        """
        references = obj["metadata"].get("ownerReferences") or []
        controllers = [reference["uid"] for reference in references if reference.get("controller")]
        annotations = obj["metadata"].get("annotations") or {}
        return self.uid in (controllers or [annotations.get(names.OWNER_ANNOTATION)])


def children(
    owner: Owner,
    spec: RecModelSpec,
    monitors: bool,
    page: tuple[str, str] | None = None,
    serving: Mapping[str, Serving] = MappingProxyType({}),
) -> list[tuple[names.Kind, Object]]:
    """All children but the route, each with its kind.

    ``monitors``: whether the cluster knows PodMonitors; ``page``: name of the port and path of the profile's metrics
    page, where the spec has none; None: it is the gateway's; ``serving``: the version of each pool that has one. Deployments come after the
    Services, so that a Service is there when the first pod is; what only observes comes last.
    """
    result: list[tuple[names.Kind, Object]] = []
    for pool in spec.made_pools:
        result.append((names.SERVICE, service(owner, pool)))
        result.append((names.DISRUPTION_BUDGET, disruption_budget(owner, pool)))
    wait_seconds = math.ceil(spec.rollout.step_seconds)
    result.extend(
        (names.DEPLOYMENT, deployment(owner, pool, serving.get(pool.name, AS_WRITTEN), wait_seconds))
        for pool in spec.made_pools
    )
    if monitors and wants_monitor(spec, page):
        result.append((names.POD_MONITOR, pod_monitor(owner, spec, page)))
    return result


def expected(owner: Owner, spec: RecModelSpec, monitored: bool) -> set[tuple[names.Kind, str]]:
    """Kind and name of every child that the spec asks for, the route included. ``monitored``: a PodMonitor, too."""
    result = {(route_kind(spec), owner.name)} if spec.own_route is not None else set()
    if monitored:
        result.add((names.POD_MONITOR, owner.name))
    for kind in (names.SERVICE, names.DISRUPTION_BUDGET, names.DEPLOYMENT):
        result |= {(kind, names.child_name(owner.name, pool.name)) for pool in spec.made_pools}
    return result


def route_kind(spec: RecModelSpec) -> names.Kind:
    """The kind of the model's route, by what its pools speak. The one place where that is decided."""
    return names.GRPC_ROUTE if spec.grpc else names.ROUTE


def wide_open(spec: RecModelSpec) -> bool:
    """Whether the route would answer for hosts that nobody named, though the mode is Recommend: such a one is not made."""
    return spec.mode == "Recommend" and spec.own_route is not None and not spec.own_route.hostnames


def initial_replicas(spec: RecModelSpec) -> dict[str, int]:
    """Replicas at creation of the pools that are made: each one's minimum, and at least 1 of the cheapest pool, so that somebody
    answers from the start. Beside workloads that stand already those do.
    """
    cheapest = min(spec.pools, key=lambda pool: float(pool.cost_per_hour)).name
    anyone = spec.by_reference or any(pool.replicas.min > 0 for pool in spec.pools)
    return {p.name: max(p.replicas.min, 1 if p.name == cheapest and not anyone else 0) for p in spec.made_pools}


def initial_weights(spec: RecModelSpec) -> dict[str, int]:
    """Weights at creation: even over the pools that start with replicas."""
    started = {name: 1.0 for name, replicas in initial_replicas(spec).items() if replicas > 0}
    return {**dict.fromkeys((pool.name for pool in spec.pools), 0), **weight_steps.spread(started)}


def deployment(owner: Owner, pool: PoolSpec, serving: Serving = AS_WRITTEN, wait_seconds: int = 0) -> Object:
    """A pool's Deployment, without ``spec.replicas``: those belong to the loop alone and are applied through the
    scale subresource. A new pod is warm before an old one goes, and while a version is on trial it serves for
    ``wait_seconds`` at least; the way back takes no such time.
    """
    selector = {names.MODEL_LABEL: owner.name, names.POOL_LABEL: pool.name}
    pause = 0 if serving.refused is not None else math.ceil(pool.warm_up_seconds)
    if serving.trial == VERSION_ON_TRIAL:
        pause = max(pause, wait_seconds)
    return child(names.DEPLOYMENT, owner, pool.name, {
        "selector": {"matchLabels": selector},
        "template": pod_template(owner.name, pool, serving.now),
        # New pods first, and no old one goes before a new one is Ready.
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS + pause,
        "revisionHistoryLimit": 3,
        **({"minReadySeconds": pause} if pause else {}),
    }, annotation(serving))  # fmt: skip


def service(owner: Owner, pool: PoolSpec) -> Object:
    """A pool's Service: port 80 to the pool's port, and what is spoken there. The gateway sends to its pods directly."""
    word = APP_PROTOCOLS.get(pool.protocol or "HTTP")
    spoken = {"appProtocol": word} if word else {}
    return child(names.SERVICE, owner, pool.name, {
        "selector": {names.MODEL_LABEL: owner.name, names.POOL_LABEL: pool.name},
        "ports": [{"name": "http", "port": SERVICE_PORT, "protocol": "TCP", "targetPort": pool.own_port, **spoken}],
        "type": "ClusterIP",
    })  # fmt: skip


def disruption_budget(owner: Owner, pool: PoolSpec) -> Object:
    """A pool's PodDisruptionBudget: a node drain takes a quarter of the pods at once. A percentage is rounded up,
    so 1 of few.
    """
    selector = {names.MODEL_LABEL: owner.name, names.POOL_LABEL: pool.name}
    return child(names.DISRUPTION_BUDGET, owner, pool.name, {
        "maxUnavailable": "25%",
        "selector": {"matchLabels": selector},
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    })  # fmt: skip


def route(
    owner: Owner, spec: RecModelSpec, weights: Mapping[str, int], places: Sequence[str] | None = None
) -> Object | None:
    """The route with weights of 1,000 by pool; None where the operator makes none. A GRPCRoute matches all calls of its hostnames. The
    pools stand in the order of ``places``, which has those that leave the spec, too; None: in that of the spec.

    ``rules`` and ``backendRefs`` are atomic lists, so the whole is ours. The filter on each backend makes Envoy
    Gateway build one Envoy cluster a pool (its per-pool statistics); ``group`` and ``kind`` are written out since
    the API fills them in and would call our own apply a conflict.
    """
    own = spec.own_route
    if own is None:
        return None
    backends = [
        {
            "group": "", "kind": "Service", "name": names.child_name(owner.name, pool), "port": SERVICE_PORT,
            "weight": int(weights.get(pool, 0)),
            "filters": [{
                "type": "RequestHeaderModifier",
                "requestHeaderModifier": {"set": [{"name": names.POOL_HEADER, "value": pool}]},
            }],
        }
        for pool in ([pool.name for pool in spec.pools] if places is None else places)
    ]  # fmt: skip
    parents = [
        {"group": "gateway.networking.k8s.io", "kind": "Gateway", **ref.model_dump(by_alias=True, exclude_none=True)}
        for ref in own.parent_refs or []
    ]
    paths = [{"path": {"type": "PathPrefix", "value": path}} for path in own.paths]
    matches: Object = {} if spec.grpc else {"matches": paths}
    body: Object = {
        "parentRefs": parents,
        "hostnames": list(own.hostnames or []),  # written where there is none, too: then those of others are not ours
        "rules": [{**matches, "backendRefs": backends}],
    }
    result = child(route_kind(spec), owner, None, body)
    # Weights change with every decision; the hash says whether the rest does.
    unweighted = child(route_kind(spec), owner, None, _unweighted(body))
    result["metadata"]["annotations"] = unweighted["metadata"]["annotations"]
    return result


def wants_monitor(spec: RecModelSpec, page: tuple[str, str] | None) -> bool:
    """Whether Prometheus must be told to read the pods: the profile's page is theirs, or the user named a port."""
    return bool(spec.made_pools) and (spec.metrics.port is not None or page is not None)


def pod_monitor(owner: Owner, spec: RecModelSpec, page: tuple[str, str] | None = None) -> Object:
    """The PodMonitor: the pods' metrics page, with model and pool as labels of each series.

    The port is the one that the spec names; else the one of ``page`` where each pool's containers have a port of that name, or
    where the pools serve gRPC, by which no page is read; else the ports that the pools serve on.
    """
    port, path = page or (None, None)
    path = spec.metrics.path or path
    common: Object = {"interval": "5s", "scrapeTimeout": "4s", **({"path": path} if path else {})}
    named = [{p.name for c in pool.own_template.spec.containers for p in c.ports or []} for pool in spec.made_pools]
    chosen = spec.metrics.port or (port if spec.grpc or all(port in ports for ports in named) else None)
    ports: list[Object] = [{"port": chosen}] if chosen else []
    return child(names.POD_MONITOR, owner, None, {
        "sampleLimit": SAMPLE_LIMIT,
        "selector": {"matchLabels": {names.MODEL_LABEL: owner.name}},
        "podTargetLabels": [names.MODEL_LABEL, names.POOL_LABEL],
        "podMetricsEndpoints": [
            {**common, **port} for port in ports or [{"portNumber": n} for n in sorted({p.own_port for p in spec.made_pools})]
        ],
    })  # fmt: skip


def digest(value: Object) -> str:
    """A short hash of a JSON value, for the annotation that says what was applied."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _unweighted(body: Object) -> Object:
    rules = [
        {**rule, "backendRefs": [{k: v for k, v in ref.items() if k != "weight"} for ref in rule["backendRefs"]]}
        for rule in body["rules"]
    ]
    return {**body, "rules": rules}


def as_child(kind: names.Kind, owner: Owner, spec: Object, applied: str, pool: str | None = None) -> Object:
    """A child with this spec, and with the hash of what was applied."""
    result = _bare(kind, owner, pool, spec, None)
    result["metadata"]["annotations"][names.APPLIED_ANNOTATION] = applied
    return result


def child(
    kind: names.Kind, owner: Owner, pool: str | None, spec: Object, annotations: Mapping[str, str] | None = None
) -> Object:
    """A child with this spec, of one ``pool`` or of the whole model, and with the hash of it all."""
    result = _bare(kind, owner, pool, spec, annotations)
    result["metadata"]["annotations"][names.APPLIED_ANNOTATION] = digest(result)
    return result


def _bare(
    kind: names.Kind, owner: Owner, pool: str | None, spec: Object, annotations: Mapping[str, str] | None
) -> Object:
    return {
        "apiVersion": kind.group_version,
        "kind": kind.kind,
        "metadata": {
            "name": names.child_name(owner.name, pool) if pool else owner.name,
            "namespace": owner.namespace,
            "labels": names.labels(owner.name, pool),
            "annotations": {**(annotations or {}), names.OWNER_ANNOTATION: owner.uid},
            "ownerReferences": [owner.reference()],
        },
        "spec": spec,
    }
