"""``recmodel doctor``: looks at each thing that has to be right, with the operator's own settings, account and network.

It runs in the operator's pod and only reads; what is right or wrong is judged by ``report.checks``.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.rights import NEEDED, Right
from recmodel.cluster.transport import credentials
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, ClusterError
from recmodel.controller.settings import Settings, from_environment
from recmodel.controller.spec_reading import read_spec
from recmodel.core.types import Reason
from recmodel.prometheus import profile_for
from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.profile import Profile
from recmodel.prometheus.queries import edges_of, scrape_spacing
from recmodel.prometheus.session import PrometheusError
from recmodel.report import checks
from recmodel.report.checks import Check

AT_ONCE = 16  # questions to the API server
BUDGET_SECONDS = 10.0  # of a round of questions to Prometheus


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
    unlisted: Collection[str | None] = settings.namespaces or (None,)
    try:
        async with Client(await credentials.load()) as client:
            found += await _cluster(client, settings)
            bodies, unlisted = await _recmodels(client, settings)
    except ClusterError as error:
        found.append(Check("problem", "API server", str(error)))
    known = {_key(body): body for body in bodies if not only or _key(body) in only}
    lacking = {key: _why_lacking(key, settings, unlisted) for key in only if key not in known}
    specs = {key: read_spec(body, settings.permitted) for key, body in known.items()}
    valid = {key: spec for key, spec in specs.items() if isinstance(spec, RecModelSpec)}
    found += await asyncio.to_thread(_metrics, prometheus, settings, valid)
    refused = {key: spec.message for key, spec in specs.items() if isinstance(spec, Reason)}
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
        for right in NEEDED
        for verb in right.verbs
        for name in right.names or (None,)
    ]
    answers = await asyncio.gather(*(denied(right, verb, name, where) for where, right, verb, name in asked))
    lacking: dict[str | None, list[tuple[Right, str]]] = {}
    for (where, right, verb, _), no in zip(asked, answers, strict=True):
        if no and (right, verb) not in lacking.get(where, []):
            lacking.setdefault(where, []).append((right, verb))
    return [*checks.kinds(served), *checks.rights(lacking), *await _lease(client, settings)]


async def _lease(client: Client, settings: Settings) -> list[Check]:
    """Which pod of the release acts; a process without a Lease always does."""
    if not settings.lease_name:
        return []
    try:
        lease = await client.get(names.LEASE, settings.lease_namespace, settings.lease_name)
    except ApiRefused as error:
        return [Check("problem", "Lease", f"{error}: no pod of this release acts")]
    return [checks.lease(lease, datetime.now(UTC))]


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


def _why_lacking(key: str, settings: Settings, unlisted: Collection[str | None]) -> str:
    namespace = key.partition("/")[0]
    if settings.namespaces and namespace not in settings.namespaces:
        return f"not looked for: watchNamespaces of this operator is {', '.join(settings.namespaces)}"
    if None in unlisted or namespace in unlisted:
        return "not known: the RecModels of its namespace could not be listed, for the reason above"
    return "there is no such RecModel"


def _metrics(prometheus: PrometheusClient, settings: Settings, specs: Mapping[str, RecModelSpec]) -> list[Check]:
    """What Prometheus says of itself, of each profile in use, and of each RecModel's threshold."""
    started = time.time()
    try:
        prometheus.query("vector(1)", started)
    except PrometheusError as error:
        return [Check("problem", "Prometheus", f"{settings.prometheus_url}: {error}")]
    took = f"{settings.prometheus_url} answers in {1000 * (time.time() - started):.0f} ms"
    found = [Check("ok", "Prometheus", took)]
    if prometheus.clock.is_noticed:
        found.append(Check("warning", "Prometheus", f"its clock is {prometheus.clock}: keep both in step (NTP)"))
    scope = settings.prometheus_matchers
    profiles: dict[str, Profile] = {}
    for spec in specs.values():
        profile = profile_for(spec.metrics)
        profiles.setdefault(profile.model_dump_json(), profile)
    for profile in profiles.values():
        mine = {key: spec for key, spec in specs.items() if profile_for(spec.metrics) == profile}
        spacing, edges = scrape_spacing(profile, scope), edges_of(profile, scope)
        answers = prometheus.query_all((spacing, edges), time.time(), BUDGET_SECONDS)
        found += checks.spacing(
            profile, _number(answers[spacing]), settings.scrape_interval_seconds, settings.rate_window_seconds
        )
        said = answers[edges]
        if isinstance(said, Vector):
            counts = {labels["le"]: count for labels, count in said.rows if "le" in labels}
            found += [check for key, spec in mine.items() for check in checks.edges(key, spec, profile, counts)]
    return found


def _number(answer: Vector | PrometheusError) -> float | None:
    return answer.rows[0][1] if isinstance(answer, Vector) and answer.rows else None


def _key(body: Mapping[str, Any]) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"
