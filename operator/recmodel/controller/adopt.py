"""``recmodel adopt``: reads workloads that run, their autoscalers and what Prometheus has of their pods. It writes nothing.

It reads as the operator does, with its settings and account, or with a kubeconfig. What the RecModel holds is decided by
``report.adoption``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import yaml
from kubernetes.aio.config import ConfigException

from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.cluster.observed.objects import identity_of
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, ClusterError
from recmodel.controller.named_kinds import by_word, scale_of
from recmodel.controller.pod_metrics import ask
from recmodel.controller.settings import PREFIX, from_environment
from recmodel.controller.spec_reading import read_spec
from recmodel.core.types import Reason
from recmodel.report.adopted import Existing, existing, targets
from recmodel.report.adopted_route import AdoptedRoute, adopted_route, route_target
from recmodel.report.adopted_server import Series, choose
from recmodel.report.adoption import DEFAULT_LATENCY, Wanted, adoption

MOST_NAMES = 8  # of workloads in a message


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
    series = await asyncio.to_thread(ask, settings, namespace, [workload.name for workload in found])
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
