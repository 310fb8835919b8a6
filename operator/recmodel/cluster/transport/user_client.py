"""The client of a command that a user runs with the user's own rights.

It belongs to no Lease, so its writes are not fenced: whoever runs the command says that it may write. What it sets is owned by
``HANDING_OVER``, and a write can be tried before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recmodel import __version__
from recmodel.cluster.names import HANDING_OVER, Kind
from recmodel.cluster.transport.client import Client, Object
from recmodel.cluster.transport.credentials import Credentials
from recmodel.cluster.transport.request import Request

TRIED = {"dryRun": "All"}
DELETION_TRIED = {"dryRun": ["All"]}  # in the body: where a DELETE has one, the API server does not read the query


class UserClient(Client):
    """Writes as a user does. What is tried changes nothing: the API server says what it would answer."""

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials, user_agent=f"{HANDING_OVER}/{__version__}")

    async def merge(self, kind: Kind, namespace: str, name: str, patch: Object, part: str = "") -> Object:
        """A merge patch of an object, or of its subresource ``part``; ``Conflict`` where the object is not of the resource version that
        the patch may name.
        """
        return await self._write(_merge(kind, kind.path(namespace, name, part), patch, {}), namespace, self._acts)

    async def try_to_merge(self, kind: Kind, namespace: str, name: str, patch: Object, part: str = "") -> Object:
        """What it would answer."""
        return await self._write(_merge(kind, kind.path(namespace, name, part), patch, TRIED), namespace, self._acts)

    async def try_to_create(self, kind: Kind, body: Object) -> Object:
        """What creating it would answer."""
        namespace = body["metadata"]["namespace"]
        return await self._write(Request("POST", kind, kind.path(namespace), TRIED, body), namespace, self._acts)

    async def remove(self, kind: Kind, namespace: str, name: str, seen: Mapping[str, str]) -> Object:
        """Deletes an object as it was ``seen`` (``uid``, ``resourceVersion``); ``Conflict`` where it is another one by now."""
        return await self._write(_removal(kind, namespace, name, seen, {}), namespace, self._acts)

    async def try_to_remove(self, kind: Kind, namespace: str, name: str, seen: Mapping[str, str]) -> Object:
        """What that would answer."""
        return await self._write(_removal(kind, namespace, name, seen, DELETION_TRIED), namespace, self._acts)


def _merge(kind: Kind, path: str, patch: Object, query: Mapping[str, str]) -> Request:
    query = {"fieldManager": HANDING_OVER, **query}
    return Request("PATCH", kind, path, query, patch, "application/merge-patch+json")


def _removal(kind: Kind, namespace: str, name: str, seen: Mapping[str, str], options: Mapping[str, Any]) -> Request:
    preconditions = {key: text for key, text in seen.items() if text}
    body = {"propagationPolicy": "Background", "preconditions": preconditions, **options}
    return Request("DELETE", kind, kind.path(namespace, name), body=body)
