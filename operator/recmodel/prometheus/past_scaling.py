"""Who scaled workloads in the past, and how many replicas there were: from kube-state-metrics, where Prometheus reads it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.history import on_grid
from recmodel.prometheus.promql import any_of, duration, quoted

Floats = NDArray[np.float64]
# What kube-state-metrics calls the replicas that exist, and those of them that are ready, by the label that names the workload.
REPLICAS = (
    ("deployment", "kube_deployment_status_replicas", "kube_deployment_status_replicas_ready"),
    ("statefulset", "kube_statefulset_status_replicas", "kube_statefulset_status_replicas_ready"),
)
KEDA_PREFIX = "keda-hpa-"
LONGEST_LOOK_BACK_SECONDS = 86_400.0
_HPA = "horizontalpodautoscaler"


@dataclass(frozen=True, slots=True)
class Counted:
    """Replicas by the minute; NaN unknown."""

    running: Floats
    ready: Floats


@dataclass(frozen=True, slots=True)
class Scaler:
    """An autoscaler that acted. ``minimum`` and ``maximum``: None where they are not known."""

    name: str
    minimum: int | None
    maximum: int | None
    aims: tuple[str, ...]  # ``cpu at 70``

    @property
    def shown(self) -> str:
        """With its kind: KEDA names the HorizontalPodAutoscaler of a ScaledObject after it."""
        kind = f"ScaledObject {self.name.removeprefix(KEDA_PREFIX)}"
        known = kind if self.name.startswith(KEDA_PREFIX) else f"HorizontalPodAutoscaler {self.name}"
        return known + (f" ({', '.join(self.aims)})" if self.aims else "")


def in_namespace(metric: str, namespace: str, *matchers: str) -> str:
    """The series of an object of ``namespace``, with its brackets."""
    own, aside = _own_and_aside(metric, namespace, matchers)
    return f"({own} or {aside})"


def counted_replicas(
    client: PrometheusClient,
    namespace: str,
    names: Iterable[str],
    moments: Floats,
    step_seconds: float,
    scope: Sequence[str] = (),
) -> dict[str, Counted]:
    """Replicas by workload; those of which nothing is known are absent. Raises ``PrometheusError``."""
    found: dict[str, Counted] = {}
    for label, running, ready in REPLICAS:
        missing = sorted(set(names) - found.keys())
        if not missing:
            break
        rows = []
        for metric in (running, ready):
            chosen = in_namespace(metric, namespace, f"{label}{any_of(missing)}", *scope)
            answer, _ = on_grid(client, f"max by ({label}) ({chosen})", moments, step_seconds)
            rows.append({labels.get(label, ""): values for labels, values in answer})
        found |= {name: Counted(rows[0][name], rows[1][name]) for name in rows[0].keys() & rows[1].keys()}
    return found


def scalers(
    client: PrometheusClient,
    namespace: str,
    names: Sequence[str],
    at_seconds: float,
    span_seconds: float,
    scope: Sequence[str] = (),
) -> dict[str, Scaler]:
    """The autoscaler of each workload at the end of the range, by workload; those without one are absent."""
    back = f"[{duration(min(span_seconds, LONGEST_LOOK_BACK_SECONDS))}]"

    def last(metric: str, *matchers: str) -> Vector:
        chosen = in_namespace_over(metric, namespace, back, *matchers, *scope)
        return client.query(chosen, at_seconds)

    info = last("kube_horizontalpodautoscaler_info", f"scaletargetref_name{any_of(names)}")
    whose = {
        labels.get(_HPA, ""): labels["scaletargetref_name"]
        for labels, _ in info.rows
        if "scaletargetref_name" in labels
    }
    if not whose:
        return {}
    chosen = f"{_HPA}{any_of(whose)}"
    least, most = (
        {labels.get(_HPA, ""): value for labels, value in last(f"kube_{_HPA}_spec_{end}_replicas", chosen).rows}
        for end in ("min", "max")
    )
    aims: dict[str, list[str]] = {}
    for labels, value in last(f"kube_{_HPA}_spec_target_metric", chosen).rows:
        if math.isfinite(value):
            aims.setdefault(labels.get(_HPA, ""), []).append(f"{labels.get('metric_name', 'metric')} at {value:g}")
    return {
        target: Scaler(name, _whole(least, name), _whole(most, name), tuple(sorted(aims.get(name, ()))))
        for name, target in sorted(whose.items())
    }


def in_namespace_over(metric: str, namespace: str, span: str, *matchers: str, function: str = "last_over_time") -> str:
    """The newest sample of each such series within ``span``, which has brackets of its own; or what another ``function`` makes of it."""
    own, aside = _own_and_aside(metric, namespace, matchers)
    return f"{function}({own}{span}) or {function}({aside}{span})"


def _own_and_aside(metric: str, namespace: str, matchers: Sequence[str]) -> tuple[str, str]:
    """The selectors of both labels: where Prometheus put the exporter's own one aside it is ``exported_namespace``."""
    own, aside = (
        f"{metric}{{{','.join([f'{label}={quoted(namespace)}', *matchers])}}}"
        for label in ("namespace", "exported_namespace")
    )
    return own, aside


def startup_seconds(
    client: PrometheusClient,
    namespace: str,
    pods: str,
    at_seconds: float,
    span_seconds: float,
    scope: Sequence[str] = (),
) -> float | None:
    """The median time from a pod's creation to Ready; ``pods``: a matcher of their names. None: not known."""
    back = f"[{duration(min(span_seconds, LONGEST_LOOK_BACK_SECONDS))}]"
    ready, created = (
        f"max by (pod, uid) ({in_namespace_over(metric, namespace, back, f'pod{pods}', *scope)})"
        for metric in ("kube_pod_status_ready_time", "kube_pod_created")
    )
    rows = client.query(f"quantile(0.5, {ready} - {created} > 0)", at_seconds).rows
    return rows[0][1] if len(rows) == 1 and math.isfinite(rows[0][1]) and rows[0][1] > 0 else None


def _whole(values: Mapping[str, float], name: str) -> int | None:
    value = values.get(name, math.nan)
    return int(value) if math.isfinite(value) and value >= 0 else None
