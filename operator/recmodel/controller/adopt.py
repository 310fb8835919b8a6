"""``recmodel adopt``: reads workloads that run, their autoscalers and what Prometheus has of their pods. It writes nothing.

It reads as the operator does, with its settings and account, or with a kubeconfig. What the RecModel holds is decided by
``report.adoption``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable, Sequence

import yaml
from kubernetes.aio.config import ConfigException

from recmodel.api.v1alpha1 import Metrics
from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.cluster.observed.objects import identity_of
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, ClusterError
from recmodel.controller.named_kinds import by_word, scale_of
from recmodel.controller.settings import PREFIX, Settings, from_environment
from recmodel.controller.spec_reading import read_spec
from recmodel.core.types import Reason
from recmodel.prometheus import ModelView, PoolView, pod_prefix
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.gather import reason_of
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.own_edges import own_edges
from recmodel.prometheus.pod_names import beginning_with
from recmodel.prometheus.promql import quoted
from recmodel.prometheus.session import PrometheusError
from recmodel.report.adopted import Existing, existing, targets
from recmodel.report.adopted_route import AdoptedRoute, adopted_route, route_target
from recmodel.report.adopted_server import SHIPPED, Edges, Series, choose, custom_histogram, custom_metrics
from recmodel.report.adoption import DEFAULT_LATENCY, Wanted, adoption

BUDGET_SECONDS = 10.0  # of a round of questions to Prometheus
MOST_NAMES = 8  # of workloads in a message
SUFFIX = "_bucket"


async def run(workloads: Sequence[str], wanted: Wanted, prometheus_url: str | None, route: str | None = None) -> str:
    """The YAML; ``ValueError`` for what cannot be adopted, with the way out. ``wanted.namespace`` is empty where none was given."""
    url = {f"{PREFIX}PROMETHEUS_URL": prometheus_url} if prometheus_url else {}
    settings = from_environment({**os.environ, **url})
    namespace, asked = targets(workloads, wanted.namespace or None)
    wanted = Wanted(namespace, wanted.name, wanted.latency, wanted.prices)
    target = route_target(route) if route is not None else None
    try:
        async with Client(await credentials.load()) as client:
            found = await read(client, namespace, asked)
            routed = await read_route(client, namespace, target, found) if target is not None else None
    except ConfigException as error:
        said = f"{str(error).rstrip('.')}: run this in the operator's pod, or set KUBECONFIG"
        raise ValueError(said) from error
    except ApiRefused as error:
        raise ValueError(f"{error}: the account must be able to list this kind in namespace {namespace}") from error
    except ClusterError as error:
        raise ValueError(f"{error}: see whether the API server is up, and can be reached from here") from error
    series = await asyncio.to_thread(ask, settings, namespace, found)
    return written(found, series, wanted, routed)


def written(found: Sequence[Existing], series: Series, wanted: Wanted, route: AdoptedRoute | None = None) -> str:
    """The YAML of what was read; ``ValueError`` where the API would refuse it, as for a name."""
    latency = wanted.latency or DEFAULT_LATENCY
    text = adoption(found, choose(found, series, latency.threshold_seconds), wanted, route)
    spec = read_spec(yaml.safe_load(text))
    if isinstance(spec, Reason):
        raise ValueError(f"the RecModel would be refused: {spec.message}")
    return text


async def read(client: Client, namespace: str, asked: Sequence[tuple[Kind, str]]) -> list[Existing]:
    """The workloads as they run; ``ValueError`` where one is not there, or no pool could refer to it."""
    asked = [(await by_word(client, kind), name) for kind, name in asked]
    kinds = {kind for kind, _ in asked} | {names.AUTOSCALER}
    listed = {kind: (await client.list(kind, namespace))[0] for kind in sorted(kinds, key=lambda kind: kind.plural)}
    found = []
    for kind, name in asked:
        body = next((body for body in listed[kind] if identity_of(body)[1] == name), None)
        if body is None:
            there = sorted(identity_of(body)[1] for body in listed[kind])
            more = f" and {len(there) - MOST_NAMES} more" if len(there) > MOST_NAMES else ""
            has = f"there is {', '.join(there[:MOST_NAMES])}{more}" if there else "the namespace has none"
            raise ValueError(
                f"there is no {kind.kind} {namespace}/{name}; {has}: correct the name, or name the namespace with -n"
            )
        found.append(existing(kind, body, listed[names.AUTOSCALER], await scale_of(client, kind, namespace, name)))
    return found


async def read_route(
    client: Client, namespace: str, target: tuple[Kind, str], workloads: Sequence[Existing]
) -> AdoptedRoute:
    """The rule of the route that sends to the workloads; ``ValueError`` where there is none."""
    kind, name = target
    listed, _ = await client.list(kind, namespace)
    body = next((body for body in listed if identity_of(body)[1] == name), None)
    if body is None:
        there = ", ".join(sorted(identity_of(body)[1] for body in listed)[:MOST_NAMES]) or "none"
        raise ValueError(f"there is no {kind.kind} {namespace}/{name}; the namespace has {there}: correct --route")
    services, _ = await client.list(names.SERVICE, namespace)
    return adopted_route(kind, name, body, services, workloads)


def ask(settings: Settings, namespace: str, workloads: Sequence[Existing]) -> Series:
    """What Prometheus has of their pods; never raises for what Prometheus says or not."""
    prometheus = PrometheusClient(settings.connection())
    scope = settings.gathering.scope
    try:
        edges = _edges(
            prometheus, namespace, workloads, [Metrics.model_validate({"profile": p}) for p in SHIPPED], scope
        )
        if any(edges.values()):
            return Series(edges=edges)
        histograms = _histograms(prometheus, namespace, workloads, scope)
        latency = custom_histogram(histograms)
        if latency is not None:
            edges = _edges(prometheus, namespace, workloads, [custom_metrics(latency)], scope)
        return Series(edges=edges, histograms=histograms)
    except PrometheusError as error:
        return Series(problem=f"{settings.prometheus_url}: {reason_of(error).message}")
    finally:
        prometheus.close()


def _edges(
    prometheus: PrometheusClient,
    namespace: str,
    workloads: Iterable[Existing],
    metrics: Sequence[Metrics],
    scope: Sequence[str],
) -> dict[str, Edges]:
    """The edges by profile and workload. A profile's name stands for the model's, which tells the answers apart."""
    pools = tuple(PoolView(workload.name, pod_prefix=pod_prefix(workload.name)) for workload in workloads)
    views = [ModelView(namespace, one.profile, 0.0, 0.0, one, pools) for one in metrics]
    own = own_edges(prometheus, by_profile(views), time.time(), BUDGET_SECONDS, scope)
    for error in own.failed.values():
        raise error
    found: dict[str, Edges] = {}
    for view in views:
        by_workload = {pool.name: own.counts.get((view.key, pool.name), {}) for pool in pools}
        found[view.name] = {name: counts for name, counts in by_workload.items() if counts}
    return found


def _histograms(
    prometheus: PrometheusClient, namespace: str, workloads: Iterable[Existing], scope: Sequence[str]
) -> tuple[str, ...]:
    """The names of all histograms of pods whose names begin as theirs, without ``_bucket``."""
    pods = beginning_with({pod_prefix(workload.name) for workload in workloads})
    chosen = ",".join([f'__name__=~".+{SUFFIX}"', f"namespace={quoted(namespace)}", f"pod{pods}", *scope])
    answer = prometheus.query(f"count by (__name__) ({{{chosen}}})", time.time(), BUDGET_SECONDS)
    return tuple(sorted(labels["__name__"].removesuffix(SUFFIX) for labels, _ in answer.rows if "__name__" in labels))
