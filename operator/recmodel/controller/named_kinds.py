"""The kind that somebody names on the command line, or in a RecModel, as the API server knows it."""

from __future__ import annotations

from typing import Any

from recmodel.cluster.names import Kind
from recmodel.cluster.observed.discovered import named_by, preferred_version, resource_of, unscalable
from recmodel.cluster.scale_targets import APPS
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, NotFound


async def by_word(client: Client, named: Kind) -> Kind:
    """Of a word and a group, as ``rollouts`` of ``argoproj.io`` in ``kind`` and ``group_version``; one that has its resource is as it
    is. ``ValueError`` where no pool could refer to it.
    """
    if named.plural:
        return named
    word, group = named.kind, named.group_version
    try:
        version = preferred_version(await client.said_of(named, f"/apis/{group}"))
        resources = await client.resources(Kind(word, version, "")) if version else []
    except NotFound:
        version, resources = None, []
    found = named_by(word, version, resources) if version else None
    if found is None:
        raise ValueError(
            f"{word}.{group}: the cluster serves no such kind: correct it (kubectl api-resources --api-group={group} lists them)"
        )
    if why := unscalable(found, resources):
        raise ValueError(f"{word}.{group}: {why}")
    return found


async def by_version(client: Client, named: Kind) -> Kind:
    """Of a kind with its group and version, but perhaps without its resource; ``ValueError`` where the cluster does not serve it."""
    if named.plural:
        return named
    try:
        resources = await client.resources(named)
    except NotFound:
        resources = []
    found = Kind(named.kind, named.group_version, resource_of(named, resources) or "")
    if why := unscalable(found, resources):
        raise ValueError(why)
    return found


async def scale_of(client: Client, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
    """The scale of a workload, where that alone says what it runs; ``ValueError`` where it may not be read."""
    if kind.group == APPS:
        return None
    try:
        return await client.get(kind, namespace, name, "scale")
    except ApiRefused as error:
        raise ValueError(
            f"{error}: the account must be able to get {kind.plural}/scale.{kind.group} in namespace {namespace}"
        ) from error
