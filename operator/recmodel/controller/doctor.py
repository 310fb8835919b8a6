"""``recmodel doctor``: looks at each thing that has to be right, with the operator's own settings, account and network.

It runs in the operator's pod and only reads; what is right or wrong is judged by ``report.checks``.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from kubernetes.aio.config import ConfigException

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.leases.claims import ALL_CLAIM, ALL_NAMESPACE, CLAIM
from recmodel.cluster.rights import Right, needed
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, ClusterError, NotFound
from recmodel.controller import doctor_metrics
from recmodel.controller.doctor_scaler import external_scaler
from recmodel.controller.settings import Settings, from_environment
from recmodel.controller.spec_reading import read_spec
from recmodel.core.types import Reason
from recmodel.prometheus.client import PrometheusClient
from recmodel.report import checks
from recmodel.report.checks import Check

AT_ONCE = 16  # questions to the API server


async def run(only: Collection[str]) -> list[Check]:
    """All checks, by the settings of this process; ``ValueError`` where they are not valid."""
    settings = from_environment(os.environ)
    prometheus = PrometheusClient(settings.connection())
    try:
        return await examine(settings, prometheus, only)
    finally:
        prometheus.close()


async def examine(settings: Settings, prometheus: PrometheusClient, only: Collection[str] = ()) -> list[Check]:
    """All checks; of the RecModels those named in ``only`` (``namespace/name``), else all."""
    found: list[Check] = []
    bodies: list[Mapping[str, Any]] = []
    known: dict[str, Mapping[str, Any]] = {}
    specs: dict[str, RecModelSpec | Reason] = {}
    unlisted: Collection[str | None] = settings.namespaces or (None,)
    try:
        async with Client(await credentials.load()) as client:
            found += await _cluster(client, settings)
            bodies, unlisted = await _recmodels(client, settings)
            known = {_key(body): body for body in bodies if not only or _key(body) in only}
            specs = {key: read_spec(body, settings.permitted) for key, body in known.items()}
            found += await _grpc_routes(client, specs)
            found += await _claims(client, settings, {body["metadata"]["namespace"] for body in known.values()})
    except ConfigException as error:
        found.append(
            Check(
                "problem", "API server", f"{str(error).rstrip('.')}: run this in the operator's pod, or set KUBECONFIG"
            )
        )
    except ApiRefused as error:
        said = f"{error}: see whether the operator's service account is there, and its token in the pod"
        found.append(Check("problem", "API server", said))
    except ClusterError as error:
        said = (
            f"{error}: see whether the API server is up, and whether a NetworkPolicy lets the operator's pod go there"
        )
        found.append(Check("problem", "API server", said))
    if settings.external_scaler_port:
        found.append(await asyncio.to_thread(external_scaler, settings))
    lacking = {key: _why_lacking(key, bodies, settings, unlisted) for key in only if key not in known}
    valid = {key: spec for key, spec in specs.items() if isinstance(spec, RecModelSpec)}
    found += await asyncio.to_thread(doctor_metrics.examine, prometheus, settings, valid, checks.metrics_said(known))
    refused = {key: spec.message for key, spec in specs.items() if isinstance(spec, Reason)}
    if not bodies and not unlisted and not only:
        found.append(checks.none_at_all(settings.namespaces))
    # The operator refreshes the statuses of all, also where only some are looked at.
    old_after_seconds = settings.refresh_pace.oldest_seconds(len(bodies))
    return [*found, *checks.recmodels(known, refused, lacking, datetime.now(UTC), old_after_seconds)]


async def _cluster(client: Client, settings: Settings) -> list[Check]:
    kinds = (names.RECMODEL, names.ROUTE)
    served = dict(zip((k.plural for k in kinds), await asyncio.gather(*map(client.serves, kinds)), strict=True))
    places: tuple[str | None, ...] = settings.namespaces or (None,)
    limit = asyncio.Semaphore(AT_ONCE)

    async def denied(right: Right, verb: str, name: str | None, namespace: str | None) -> bool:
        async with limit:
            return not await client.may(verb, right.group, right.resource, namespace, name)

    asked = [
        (where, right, verb, name)
        for where in places
        for right in needed(settings.rights, settings.handback, settings.scale_targets, settings.node_buffers)
        for verb in right.verbs
        for name in right.names or (None,)
    ]
    answers = await asyncio.gather(*(denied(right, verb, name, where) for where, right, verb, name in asked))
    lacking: dict[str | None, list[tuple[Right, str]]] = {}
    for (where, right, verb, _), no in zip(asked, answers, strict=True):
        if no and (right, verb) not in lacking.get(where, []):
            lacking.setdefault(where, []).append((right, verb))
    return [*checks.kinds(served), *checks.rights(lacking), *await _lease(client, settings)]


async def _grpc_routes(client: Client, specs: Mapping[str, RecModelSpec | Reason]) -> list[Check]:
    """Whether the cluster has the kind of route that some of these RecModels need; asked for no other."""
    needed_by = [key for key, spec in specs.items() if isinstance(spec, RecModelSpec) and spec.grpc and spec.route]
    return checks.grpc_routes(needed_by) if needed_by and not await client.serves(names.GRPC_ROUTE) else []


async def _lease(client: Client, settings: Settings) -> list[Check]:
    """Which pod of the release acts; a process without a Lease always does."""
    if not settings.lease_name:
        return []
    try:
        lease = await client.get(names.LEASE, settings.lease_namespace, settings.lease_name)
    except NotFound:
        lease = {}
    except ApiRefused as error:
        return [Check("problem", "Lease", f"{error}: who acts is not known; install the chart with rbac.create=true")]
    return [checks.lease(lease, datetime.now(UTC))]


async def _claims(client: Client, settings: Settings, namespaces: Collection[str]) -> list[Check]:
    """Which release acts in these namespaces."""
    if not settings.lease_name:
        return []
    places = [(namespace, CLAIM) for namespace in sorted(namespaces)]
    if not settings.namespaces:
        places.insert(0, (ALL_NAMESPACE, ALL_CLAIM))
    limit = asyncio.Semaphore(AT_ONCE)

    async def claim(namespace: str, name: str) -> Mapping[str, Any] | None:
        async with limit:
            try:
                return await client.get(names.LEASE, namespace, name)
            except NotFound:
                return {}
            except ApiRefused:  # the right is missing, which is said already
                return None

    bodies = await asyncio.gather(*(claim(*place) for place in places))
    held = {"/".join(place): body for place, body in zip(places, bodies, strict=True) if body is not None}
    return checks.claims(held, f"{settings.lease_namespace}/{settings.lease_name}", datetime.now(UTC))


async def _recmodels(client: Client, settings: Settings) -> tuple[list[Mapping[str, Any]], list[str | None]]:
    """The RecModels, and the namespaces (None: all) in which they could not be listed."""
    bodies: list[Mapping[str, Any]] = []
    unlisted: list[str | None] = []
    for namespace in settings.namespaces or (None,):
        try:
            bodies += (await client.list(names.RECMODEL, namespace))[0]
        except ApiRefused:  # the kind or the right is missing, which is said already
            unlisted.append(namespace)
    return bodies, unlisted


def _why_lacking(
    key: str, bodies: Sequence[Mapping[str, Any]], settings: Settings, unlisted: Collection[str | None]
) -> str:
    if None in unlisted or key.partition("/")[0] in unlisted:
        return "not known: the RecModels of its namespace could not be listed, for the reason above"
    return checks.absent(key, settings.namespaces, [_key(body) for body in bodies])


def _key(body: Mapping[str, Any]) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"
