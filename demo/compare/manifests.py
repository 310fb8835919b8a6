"""The objects of a run. Everybody scales the same workload: a RecModel's own pool, whose replicas it leaves alone in mode Recommend."""

from __future__ import annotations

from typing import Any

import yaml

from compare.plan import Plan, Who
from recmodel.cluster.names import child_name

NAMESPACE, GATEWAY, GATEWAY_NAMESPACE = "compare", "edge", "demo"
JOB, SCHEDULE = "load", "schedule"
GENERATOR = "/app/load/generator.py"  # in the ranker's image
PROMETHEUS = "http://prometheus.monitoring:9090"
Object = dict[str, Any]


def host(name: str) -> str:
    """Under which the gateway knows the run."""
    return f"{name}.compare.example"


def recmodel(sample: str, name: str, acts: bool, prefix: str, least: int | None = None) -> Object:
    """The demo's ranker in the namespace of the runs. ``least`` is how many replicas run at least, where it is not as many as there."""
    return cpu_alone(sample, {"name": name, "namespace": NAMESPACE}, host(name), acts, prefix, least)


def cpu_alone(
    sample: str, metadata: Object, hostname: str, acts: bool, prefix: str, least: int | None = None
) -> Object:
    """The demo's ranker with its CPU pool alone, an HPA can act on no other thing; ``sample`` is the text of the demo's RecModel."""
    body: Object = yaml.safe_load(sample.replace("localhost/", prefix))
    spec = body["spec"]
    pools = spec["pools"][:1]
    if least is not None:
        pools[0]["replicas"]["min"] = least
    body["metadata"] = metadata
    body["spec"] = spec | {
        "mode": "Auto" if acts else "Recommend",
        "pools": pools,
        "variants": [variant for variant in spec["variants"] if variant["name"] == pools[0]["variant"]],
        "route": {"parentRefs": [{"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}], "hostnames": [hostname]},
    }
    return body


def autoscaler(who: Who, model: Object, plan: Plan, target_per_second: float | None) -> Object | None:
    """What scales the pool beside the RecModel; None where that does it itself. Raises ValueError for KEDA without a target."""
    name, pool = model["metadata"]["name"], model["spec"]["pools"][0]
    workload, limits = child_name(name, pool["name"]), pool["replicas"]
    behavior = {"scaleDown": {"stabilizationWindowSeconds": plan.down_window_seconds}}
    metadata = {"name": workload, "namespace": model["metadata"]["namespace"]}
    if who is Who.HPA:
        # Without metrics the API server fills in the default: 80 % of the CPU that is requested.
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": workload}
        spec: Object = {"scaleTargetRef": target, "minReplicas": limits["min"], "maxReplicas": limits["max"]}
        return {
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": metadata,
            "spec": spec | {"behavior": behavior},
        }  # fmt: skip
    if who is Who.RECMODEL:
        return None
    if target_per_second is None:
        raise ValueError(f"KEDA needs a target for {workload}: run the search first")
    trigger = {
        "type": "prometheus",
        "metadata": {
            "serverAddress": PROMETHEUS,
            "query": load_query(name, plan.window_seconds),
            "threshold": f"{target_per_second:g}",
        },
    }
    return {
        "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": metadata,
        "spec": {
            "scaleTargetRef": {"name": workload},
            "minReplicaCount": limits["min"],
            "maxReplicaCount": limits["max"],
            "triggers": [trigger],
            "advanced": {"horizontalPodAutoscalerConfig": {"behavior": behavior}},
        },
    }  # fmt: skip


def load_query(name: str, window_seconds: int) -> str:
    """Requests/s of the run's route, as the gateway counts them: what a RecModel reads too."""
    cluster = f"httproute/{NAMESPACE}/{name}/rule/0/backend/0"
    return f'sum(rate(envoy_cluster_upstream_rq_total{{envoy_cluster_name="{cluster}"}}[{window_seconds}s]))'


def schedule(text: str) -> Object:
    """The load, as the generator's pod reads it."""
    metadata = {"name": SCHEDULE, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"schedule.csv": text}}


def generator(name: str, seed: int, gateway_address: str, prefix: str) -> Object:
    """The load generator as a Job in the cluster. It talks to the gateway only."""
    container = {
        "name": "generator",
        "image": f"{prefix}recmodel-ranker:dev",
        "imagePullPolicy": "IfNotPresent",
        "command": ["python", GENERATOR],
        "args": [
            "--url", f"http://{gateway_address}/v2/models/ranker/infer", "--host", host(name), "--seed", str(seed),
            "--schedule", "/schedule/schedule.csv",
        ],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}},
        "volumeMounts": [{"name": SCHEDULE, "mountPath": "/schedule"}],
    }  # fmt: skip
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [{"name": SCHEDULE, "configMap": {"name": SCHEDULE}}],
    }
    return {
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": JOB, "namespace": NAMESPACE},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }  # fmt: skip
