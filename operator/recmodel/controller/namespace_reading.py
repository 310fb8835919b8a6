"""What handing over and back reads of a namespace: by lists, which is all that the operator's own account may do."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.cluster.observed.objects import identity_of
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, NotFound


async def scaled_objects(client: Client, namespace: str) -> list[dict[str, Any]] | None:
    """None where they may not be listed; none at all where KEDA is not installed."""
    return await allowed(client, names.SCALED_OBJECT, namespace) if await client.serves(names.SCALED_OBJECT) else []


async def allowed(client: Client, kind: Kind, namespace: str, labels: str = "") -> list[dict[str, Any]] | None:
    """All of a kind with these labels; None where they may not be listed."""
    try:
        return (await client.list(kind, namespace, labels=labels))[0]
    except ApiRefused as error:
        if error.status != 403:
            raise
        return None


async def recmodels(
    client: Client, namespace: str, name: str
) -> tuple[dict[str, Any] | None, list[dict[str, Any]] | None]:
    """The RecModel of this name, and all others; None in their place where the account may only list the one. There is none
    where the CRD was removed.
    """
    try:
        found = await allowed(client, names.RECMODEL, namespace)
    except NotFound as error:
        if await _known(client, names.RECMODEL):  # another version of it
            raise _unlisted(names.RECMODEL, namespace, error) from error
        return None, []
    if found is None:
        return await find(client, names.RECMODEL, namespace, name), None
    named = {identity_of(body)[1]: body for body in found}
    return named.pop(name, None), list(named.values())


async def find(client: Client, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
    """By a list of that name, which is all that the operator's own account may do: so a plan can be shown in its pod."""
    return next(iter(await listed(client, kind, namespace, f"metadata.name={name}")), None)


async def bodies(
    client: Client, namespace: str, named: Iterable[tuple[Kind, str]]
) -> dict[tuple[str, str], dict[str, Any]]:
    """Those that stand, by kind and name. None does of a kind that is not served, as after the Gateway API's CRDs were removed."""
    found = {}
    for kind, name in named:
        with suppress(NotFound):
            for body in await _listed(client, kind, namespace, f"metadata.name={name}"):
                found[kind.kind, name] = body
    return found


async def listed(client: Client, kind: Kind, namespace: str, fields: str = "") -> list[dict[str, Any]]:
    """All of a kind; ``ValueError`` where they may not be listed, or it is not served."""
    try:
        return await _listed(client, kind, namespace, fields)
    except NotFound as error:
        raise _unlisted(kind, namespace, error) from error


async def _known(client: Client, kind: Kind) -> bool:
    """Whether the group of a kind is served, in any version."""
    with suppress(NotFound):
        await client.said_of(kind, f"/apis/{kind.group}")
        return True
    return False


async def _listed(client: Client, kind: Kind, namespace: str, fields: str) -> list[dict[str, Any]]:
    try:
        return (await client.list(kind, namespace, fields=fields))[0]
    except NotFound:
        raise
    except ApiRefused as error:
        raise _unlisted(kind, namespace, error) from error


def _unlisted(kind: Kind, namespace: str, error: ApiRefused) -> ValueError:
    way = f"this account must be able to list {kind.resource} in namespace {namespace}"
    return ValueError(f"{error}: {way}: run this with one that may")
