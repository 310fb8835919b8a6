"""The API server's part of Leases in a dictionary: each is written only by who has read its last version."""

from __future__ import annotations

import copy
from typing import Any

from recmodel.cluster.names import LEASE, Kind
from recmodel.cluster.transport.errors import ApiUnavailable, Conflict, NotFound, refused


class Leases:
    """All Leases of a cluster; ``down``: nobody gets an answer; ``refuses``: of a namespace, the status and the sentence with
    which no Lease is written there.
    """

    def __init__(self) -> None:
        self.stored: dict[str, dict[str, Any]] = {}  # by namespace/name
        self.down = False
        self.refuses: dict[str, tuple[int, str]] = {}
        self.calls = 0

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        assert kind == LEASE
        self._answer()
        if f"{namespace}/{name}" not in self.stored:
            raise NotFound("no lease", 404)
        return copy.deepcopy(self.stored[f"{namespace}/{name}"])

    async def list(self, kind: Kind, namespace: str) -> tuple[list[dict[str, Any]], str]:
        assert kind == LEASE
        self._answer()
        return [copy.deepcopy(found) for place, found in self.stored.items() if place.startswith(f"{namespace}/")], "1"

    async def create_lease(self, body: dict[str, Any]) -> dict[str, Any]:
        self._answer()
        self._admit(body)
        if _place(body) in self.stored:
            raise Conflict("exists", 409)
        return self._store(body, 0)

    async def replace_lease(self, body: dict[str, Any]) -> dict[str, Any]:
        self._answer()
        self._admit(body)
        version = self.stored[_place(body)]["metadata"]["resourceVersion"]
        if body["metadata"]["resourceVersion"] != version:
            raise Conflict("written since", 409)
        return self._store(body, int(version))

    def holder(self, place: str) -> str:
        """Who has it; empty where nobody does."""
        return str(self.stored[place]["spec"]["holderIdentity"]) if place in self.stored else ""

    def _answer(self) -> None:
        self.calls += 1
        if self.down:
            raise ApiUnavailable("down")

    def _admit(self, body: dict[str, Any]) -> None:
        if body["metadata"]["namespace"] in self.refuses:
            status, said = self.refuses[body["metadata"]["namespace"]]
            raise refused(f"writing the lease {_place(body)}", status, {"kind": "Status", "message": said})

    def _store(self, body: dict[str, Any], version: int) -> dict[str, Any]:
        stored = self.stored[_place(body)] = copy.deepcopy(body)
        stored["metadata"]["resourceVersion"] = str(version + 1)
        return stored


def _place(body: dict[str, Any]) -> str:
    return f"{body['metadata']['namespace']}/{body['metadata']['name']}"
