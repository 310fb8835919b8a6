"""What Prometheus has of the pods of workloads that run: which profiles have their histogram, with which edges."""

from __future__ import annotations

import time
from collections.abc import Sequence

from recmodel.api.v1alpha1 import Metrics
from recmodel.controller.settings import Settings
from recmodel.prometheus import ModelView, PoolView, pod_prefix
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.gather import reason_of
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.own_edges import own_edges
from recmodel.prometheus.pod_names import beginning_with
from recmodel.prometheus.promql import quoted
from recmodel.prometheus.session import PrometheusError
from recmodel.report.adopted_server import SHIPPED, Edges, Series, custom_histogram, custom_metrics

BUDGET_SECONDS = 10.0  # of a round of questions to Prometheus
SUFFIX = "_bucket"


def ask(settings: Settings, namespace: str, workloads: Sequence[str]) -> Series:
    """What Prometheus has of their pods now; never raises for what Prometheus says or not."""
    prometheus = PrometheusClient(settings.connection())
    try:
        return asked(prometheus, namespace, workloads, time.time(), settings.gathering.scope)
    except PrometheusError as error:
        return Series(problem=f"{settings.prometheus_url}: {reason_of(error).message}")
    finally:
        prometheus.close()


def asked(
    prometheus: PrometheusClient, namespace: str, workloads: Sequence[str], at_seconds: float, scope: Sequence[str] = ()
) -> Series:
    """The same at a moment (Unix time). Raises ``PrometheusError``."""
    shipped = [Metrics.model_validate({"profile": profile}) for profile in SHIPPED]
    edges = edges_of_pods(prometheus, namespace, workloads, shipped, at_seconds, scope)
    if any(edges.values()):
        return Series(edges=edges)
    histograms = histograms_of_pods(prometheus, namespace, workloads, at_seconds, scope)
    latency = custom_histogram(histograms)
    if latency is not None:
        custom = [custom_metrics(latency)]
        edges = edges_of_pods(prometheus, namespace, workloads, custom, at_seconds, scope)
    return Series(edges=edges, histograms=histograms)


def edges_of_pods(
    prometheus: PrometheusClient,
    namespace: str,
    workloads: Sequence[str],
    metrics: Sequence[Metrics],
    at_seconds: float,
    scope: Sequence[str],
) -> dict[str, Edges]:
    """The edges by profile and workload. A profile's name stands for the model's, which tells the answers apart."""
    pools = tuple(PoolView(name, pod_prefix=pod_prefix(name)) for name in workloads)
    views = [ModelView(namespace, one.profile, 0.0, 0.0, one, pools) for one in metrics]
    own = own_edges(prometheus, by_profile(views), at_seconds, BUDGET_SECONDS, scope)
    for error in own.failed.values():
        raise error
    found: dict[str, Edges] = {}
    for view in views:
        by_workload = {pool.name: own.counts.get((view.key, pool.name), {}) for pool in pools}
        found[view.name] = {name: counts for name, counts in by_workload.items() if counts}
    return found


def histograms_of_pods(
    prometheus: PrometheusClient, namespace: str, workloads: Sequence[str], at_seconds: float, scope: Sequence[str]
) -> tuple[str, ...]:
    """The names of all histograms of pods whose names begin as theirs, without ``_bucket``."""
    answer = prometheus.query(histograms_question(namespace, workloads, scope), at_seconds, BUDGET_SECONDS)
    return tuple(sorted(labels["__name__"].removesuffix(SUFFIX) for labels, _ in answer.rows if "__name__" in labels))


def histograms_question(namespace: str, workloads: Sequence[str], scope: Sequence[str]) -> str:
    """How many series each histogram of the pods has."""
    pods = beginning_with({pod_prefix(name) for name in workloads})
    chosen = ",".join([f'__name__=~".+{SUFFIX}"', f"namespace={quoted(namespace)}", f"pod{pods}", *scope])
    return f"count by (__name__) ({{{chosen}}})"
