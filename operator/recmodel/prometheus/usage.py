"""How busy the pods of a pool are: CPU against their limit, and GPU."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recmodel.prometheus.answers import PoolKey, believable
from recmodel.prometheus.client import Vector
from recmodel.prometheus.queries import UsageQueries
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.session import PrometheusError

PodKey = tuple[str, str]  # (namespace, pod)


@dataclass(frozen=True, slots=True)
class Usage:
    """Mean of the pods that reported, by pool; a pool of which no pod did is absent."""

    cpu_ratio: Mapping[PoolKey, float] = field(default_factory=dict)
    gpu_ratio: Mapping[PoolKey, float] = field(default_factory=dict)


def read_usage(
    queries: UsageQueries, answers: Mapping[str, Vector | PrometheusError], models: Sequence[ModelView]
) -> Usage:
    """The use of every pool whose pods the inventory knows (``ModelView.pods``)."""
    cores = _first_known(queries.cpu_cores, answers)
    gpus = _first_known(queries.gpu_ratio, answers)
    return Usage(_cpu_ratios(cores, models), _means(gpus, models, scale={}))


def _first_known(queries: Sequence[str], answers: Mapping[str, Vector | PrometheusError]) -> dict[PodKey, float]:
    found: dict[PodKey, float] = {}
    for query in reversed(queries):
        answer = answers.get(query)
        if not isinstance(answer, Vector) or answer.partial:
            continue  # the mean of some pods is not the pool's
        for labels, value in answer.rows:
            # An exporter that names the pod in its own labels meets Prometheus', which are of the exporter.
            pod = (
                labels.get("exported_namespace") or labels.get("namespace", ""),
                labels.get("exported_pod") or labels.get("pod", ""),
            )
            if believable(value):
                found[pod] = value
    return found


def _cpu_ratios(cores: Mapping[PodKey, float], models: Sequence[ModelView]) -> dict[PoolKey, float]:
    limits = {(m.key, p.name): p.cpu_limit_cores for m in models for p in m.pools if p.cpu_limit_cores}
    means = _means(cores, models, scale=limits)
    return {pool: mean for pool, mean in means.items() if pool in limits}


def _means(
    found: Mapping[PodKey, float], models: Sequence[ModelView], scale: Mapping[PoolKey, float]
) -> dict[PoolKey, float]:
    by_pool: dict[PoolKey, list[float]] = defaultdict(list)
    for model in models:
        for pod, pool in model.pods.items():
            value = found.get((model.namespace, pod))
            if value is not None:
                by_pool[model.key, pool].append(value / scale.get((model.key, pool), 1.0))
    return {pool: sum(numbers) / len(numbers) for pool, numbers in by_pool.items()}
