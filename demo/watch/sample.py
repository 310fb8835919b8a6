"""One reading of everything, made into a snapshot. ``gather`` asks; ``judge`` is pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.session import PrometheusError
from watch.kubernetes_api import KubernetesApi, NotAnswered
from watch.questions import Questions, latency, percentile, pool_index, within
from watch.snapshot import DecisionSeen, PoolSnapshot, Snapshot
from watch.subject import Subject

BUDGET_SECONDS = 3.0
Object = Mapping[str, Any]


@dataclass(frozen=True)
class Reading:
    """What the sources answered; what did not answer is missing."""

    time_seconds: float
    recmodel: Object | None = None
    route: Object | None = None
    deployments: Mapping[str, Object] = field(default_factory=dict)  # by pool
    answers: Mapping[str, Vector] = field(default_factory=dict)  # by question


def gather(
    api: KubernetesApi, prometheus: PrometheusClient, subject: Subject, asked: Questions, now_seconds: float
) -> Reading:
    """Asks everything once. A source that does not answer leaves a gap, not an error: the demo is about to show gaps
    too.
    """
    namespace, name = subject.namespace, subject.name
    paths = {
        "recmodel": f"/apis/recmodel.dev/v1alpha1/namespaces/{namespace}/recmodels/{name}",
        "route": f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/{name}",
        "deployments": f"/apis/apps/v1/namespaces/{namespace}/deployments?labelSelector=recmodel.dev/model%3D{name}",
    }
    objects: dict[str, Object] = {}
    for what, path in paths.items():
        try:
            objects[what] = api.get(path)
        except NotAnswered:
            continue
    queries = (asked.requests, asked.pool_buckets, asked.forecast, asked.capacity)
    answers = prometheus.query_all(queries, now_seconds, BUDGET_SECONDS)
    return Reading(
        now_seconds,
        objects.get("recmodel"),
        objects.get("route"),
        {d["metadata"]["labels"]["recmodel.dev/pool"]: d for d in objects.get("deployments", {}).get("items", [])},
        {query: answer for query, answer in answers.items() if not isinstance(answer, PrometheusError)},
    )


def judge(reading: Reading, subject: Subject, asked: Questions) -> Snapshot:
    """The snapshot of a reading."""
    status = (reading.recmodel or {}).get("status", {})
    of_pool = {pool["name"]: pool for pool in status.get("pools", [])}
    capacity = _operator(reading.answers.get(asked.capacity))
    pools = [
        PoolSnapshot(
            name=pool.name,
            device=subject.devices[pool.name],
            emulated=pool.name in subject.emulated,
            cost_per_hour=pool.cost_per_hour,
            capacity_per_replica=capacity.get(pool.name, number(of_pool.get(pool.name, {}).get("capacityPerReplica"))),
            startup_seconds=number(of_pool.get(pool.name, {}).get("startupSeconds")),
            desired=_desired(reading.deployments.get(pool.name)),
            ready=_ready(reading.deployments.get(pool.name)),
        )
        for pool in subject.model.pools
    ]
    pools = _weighed(pools, reading.route)
    pools, load = _measured(pools, reading.answers, asked, subject.model.within_ratio)
    histogram = reading.answers.get(asked.pool_buckets)
    whole = latency(histogram.rows) if histogram else {}
    forecast: Object = max(status.get("forecast", []), key=lambda f: f["seconds"], default={})
    upper = max(_operator(reading.answers.get(asked.forecast)).values(), default=number(forecast.get("upperPerSecond")))
    return Snapshot(
        time_seconds=reading.time_seconds,
        pools=tuple(pools),
        state=status.get("state"),
        reason=status.get("reason"),
        load_per_second=load,
        percentile_seconds=percentile(whole, subject.model.within_ratio),
        within_ratio=within(whole, subject.model.threshold_seconds),
        forecast_upper_per_second=upper,
        forecast_seconds=number(forecast.get("seconds")),
        conditions={c["type"]: c["status"] for c in status.get("conditions", [])} or None,
        decisions=tuple(_decision(d) for d in status.get("decisions", [])),
    )


def number(value: object) -> float | None:
    """The first number in a status text: ``"31.5/s"`` is 31.5; None for an absent one or one without digits."""
    found = re.search(r"-?\d+(\.\d+)?", str(value)) if value is not None else None
    return float(found[0]) if found else None


def _desired(deployment: Object | None) -> int | None:
    return None if deployment is None else deployment["spec"].get("replicas")


def _ready(deployment: Object | None) -> int | None:
    # The API leaves readyReplicas out where it is 0.
    return None if deployment is None else deployment.get("status", {}).get("readyReplicas", 0)


def _weighed(pools: Sequence[PoolSnapshot], route: Object | None) -> list[PoolSnapshot]:
    if route is None:
        return list(pools)
    backends = route["spec"]["rules"][0].get("backendRefs", [])
    weights = {backend["name"]: backend.get("weight", 1) for backend in backends}
    prefix = route["metadata"]["name"]
    return [replace(pool, weight=weights.get(f"{prefix}-{pool.name}")) for pool in pools]


def _measured(
    pools: Sequence[PoolSnapshot], answers: Mapping[str, Vector], asked: Questions, ratio: float
) -> tuple[list[PoolSnapshot], float | None]:
    """The pools with their load and percentile, and the load of all of them."""
    requests, buckets = answers.get(asked.requests), answers.get(asked.pool_buckets)
    loads = {pool_index(labels): value for labels, value in requests.rows} if requests else {}
    rows: dict[int | None, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
    for labels, value in buckets.rows if buckets else ():
        rows[pool_index(labels)].append((labels, value))
    found = [
        replace(pool, load_per_second=loads.get(i), percentile_seconds=percentile(latency(rows[i]), ratio))
        for i, pool in enumerate(pools)
    ]
    return found, sum(loads.values()) if loads else None


def _operator(answer: Vector | None) -> dict[str, float]:
    """By pool, what the operator exports to Prometheus."""
    return {labels["pool"]: value for labels, value in answer.rows if "pool" in labels} if answer else {}


def _decision(value: Object) -> DecisionSeen:
    return DecisionSeen(
        time_seconds=datetime.fromisoformat(value["time"]).timestamp(),
        state=value["state"],
        replicas=dict(value["replicas"]),
        weights=dict(value["weights"]),
        reason=value["reason"],
        message=value["message"],
    )
