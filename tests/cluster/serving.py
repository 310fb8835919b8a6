"""A RecModel on light pods in a namespace of its own, and what can be seen of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from kube import Kube, Object, eventually

from recmodel.api.v1alpha1 import API_VERSION, KIND
from recmodel.cluster import names

GATEWAY, GATEWAY_NAMESPACE = "edge", "demo"
IMAGE = os.environ.get("IMAGE_PREFIX", "localhost/") + "recmodel:dev"
SCRIPTS = "scripts"  # the ConfigMap with the files of pods/
READY_SECONDS = 120.0


@dataclass(frozen=True)
class Pool:
    """A pool of ``pods/model_server.py``: each pod carries slots / service time, so 1 of 20 ms is 50 requests/s."""

    name: str = "cpu"
    least: int = 1
    most: int = 4
    cost_per_hour: str = "1.0"
    service_ms: float = 5.0
    slots: int = 16
    accelerators: int = 0
    variant: str | None = None
    start_seconds: float = 0.0  # before it listens
    unready_after: int = 1  # readiness probes that fail, one a second
    behaviour: Mapping[str, Mapping[str, float]] = field(default_factory=dict)  # of other versions of its model

    def spec(self) -> Object:
        """The entry of spec.pools."""
        limits: Object = {"cpu": "300m", "memory": "96Mi"}
        if self.accelerators:
            limits["nvidia.com/gpu"] = str(self.accelerators)
        return {
            "name": self.name,
            **({"variant": self.variant} if self.variant else {}),
            "replicas": {"min": self.least, "max": self.most},
            "costPerHour": self.cost_per_hour,
            "port": 8080,
            "template": {"spec": {
                "terminationGracePeriodSeconds": 10,
                "containers": [{
                    "name": "server",
                    "image": IMAGE,
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["python", "/scripts/model_server.py"],
                    "env": [
                        {"name": "SERVICE_MS", "value": str(self.service_ms)},
                        {"name": "SLOTS", "value": str(self.slots)},
                        {"name": "START_SECONDS", "value": str(self.start_seconds)},
                        {"name": "BEHAVIOUR", "value": json.dumps(self.behaviour)},
                    ],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": limits},
                    "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1,
                                       "timeoutSeconds": 3, "failureThreshold": self.unready_after},
                    "securityContext": {"runAsNonRoot": True, "readOnlyRootFilesystem": False},
                    "volumeMounts": [{"name": "scripts", "mountPath": "/scripts", "readOnly": True}],
                }],
                "volumes": [{"name": "scripts", "configMap": {"name": SCRIPTS}}],
            }},
        }  # fmt: skip


GPU = Pool("gpu", least=0, most=2, cost_per_hour="3.0", accelerators=1)


def recmodel(
    namespace: str, name: str, *pools: Pool, mode: str = "Auto", threshold: str = "100ms", **more: object
) -> Object:
    """The manifest; ``more`` are further fields of the spec."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "mode": mode,
            "objective": {"latency": {"percentile": 95, "threshold": threshold}},
            "route": {
                "parentRefs": [{"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}],
                "hostnames": [hostname(namespace, name)],
            },
            "pools": [pool.spec() for pool in pools],
            **more,
        },
    }


def hostname(namespace: str, name: str) -> str:
    """The host under which the gateway knows it."""
    return f"{name}.{namespace}.example"


class Served:
    """A RecModel in the cluster, looked at from outside."""

    def __init__(self, kube: Kube, body: Object) -> None:
        self.kube = kube
        self.namespace, self.name = body["metadata"]["namespace"], body["metadata"]["name"]
        self.pools = [pool["name"] for pool in body["spec"]["pools"]]
        self.route_kind = names.GRPC_ROUTE if body["spec"]["pools"][0].get("protocol") == "GRPC" else names.ROUTE
        kube.create(names.RECMODEL, self.namespace, body)

    @property
    def host(self) -> str:
        """The host that the route listens to."""
        return hostname(self.namespace, self.name)

    def body(self) -> Object:
        """The RecModel now."""
        return self.kube.get(names.RECMODEL, self.namespace, self.name)

    def status(self) -> Object:
        """Its status; empty before the first one."""
        return dict(self.body().get("status") or {})

    def condition(self, kind: str) -> Object:
        """One condition; with status None before there is one."""
        found = [c for c in self.status().get("conditions", []) if c["type"] == kind]
        return dict(found[0]) if found else {"type": kind, "status": None, "reason": "", "message": "not there yet"}

    def has(self, kind: str, status: str | None, reason: str | None = None) -> Callable[[], bool]:
        """Whether a condition is so; for ``eventually``."""

        def look() -> bool:
            found = self.condition(kind)
            wanted = found["status"] == status and reason in (None, found["reason"])
            assert wanted, f"{kind} is {found['status']}, {found['reason']}: {found['message']}"
            return True

        return look

    def deployment(self, pool: str) -> Object:
        """A pool's Deployment."""
        return self.kube.get(names.DEPLOYMENT, self.namespace, names.child_name(self.name, pool))

    def replicas(self) -> dict[str, int]:
        """What each Deployment asks for."""
        return {pool: int(self.deployment(pool)["spec"]["replicas"]) for pool in self.pools}

    def ready(self) -> dict[str, int]:
        """Ready pods of each Deployment."""
        return {pool: int(self.deployment(pool)["status"].get("readyReplicas", 0)) for pool in self.pools}

    def route(self) -> Object:
        """The HTTPRoute, or the GRPCRoute."""
        return self.kube.get(self.route_kind, self.namespace, self.name)

    def weights(self) -> dict[str, int]:
        """The weights in the route, by pool."""
        return weights_of(self.route(), self.name)

    def pods(self, pool: str | None = None) -> list[Object]:
        """The pods, of one pool or all."""
        labels = f"{names.MODEL_LABEL}={self.name}" + (f",{names.POOL_LABEL}={pool}" if pool else "")
        return self.kube.list(names.POD, self.namespace, labels)

    def change(self, patch: Mapping[str, Any]) -> Object:
        """A merge patch of the spec, as its owner would write it."""
        return self.kube.merge(names.RECMODEL, self.namespace, self.name, {"spec": dict(patch)})

    def change_pools(self, *pools: Pool) -> None:
        """Other pools."""
        self.change({"pools": [pool.spec() for pool in pools]})
        self.pools = [pool.name for pool in pools]

    def wait_ready(self, **replicas: int) -> None:
        """Until it is Ready with at least so many ready replicas, and each of these pools has a weight."""
        eventually(f"{self.name} is Ready", self.has("Ready", "True"), READY_SECONDS)
        wanted = replicas or {self.pools[0]: 1}

        def look() -> bool:
            ready, weights = self.ready(), self.weights()
            there = all(ready[pool] >= count and (weights[pool] > 0 or not count) for pool, count in wanted.items())
            assert there, f"ready {ready}, weights {weights}"
            return True

        eventually(f"ready and weighted: {wanted}", look, READY_SECONDS)


def generate(served: Served, prefix: str, per_second: int, seconds: int, *more: str) -> None:
    """Starts the demo's load generator as the pod ``generator``; its log has a line a second, and a summary at the end. ``more``:
    further arguments.
    """
    target = f"http://{os.environ['GATEWAY_ADDRESS']}/v2/models/ranker/infer"
    arguments = ["--url", target, "--host", served.host, "--rps", str(per_second), "--seconds", str(seconds), *more]
    served.kube.create(names.POD, served.namespace, {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "generator"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "generator", "image": f"{prefix}recmodel-ranker:dev", "imagePullPolicy": "IfNotPresent",
                "command": ["python", "/app/load/generator.py", *arguments],
                "resources": {"requests": {"cpu": "50m", "memory": "96Mi"}},
            }],
        },
    })  # fmt: skip


def weights_of(route: Object, name: str) -> dict[str, int]:
    """The weights in a route, by pool."""
    (rule,) = route["spec"]["rules"]
    return {backend["name"].removeprefix(f"{name}-"): int(backend["weight"]) for backend in rule["backendRefs"]}
