"""Pods of the same release whose version does not know claims: they named the release's Lease by the set of namespaces.

Such a pod still acts while a rolling upgrade brings a new one, and would not see what the new one holds.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from recmodel.cluster.leases.lease import LEASE_SECONDS, LeaseIdentity
from recmodel.cluster.names import LEASE
from recmodel.cluster.observed.objects import identity_of
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ClusterError

logger = logging.getLogger(__name__)

_NAME = re.compile("recmodel(-[0-9a-f]{8})?")
_POD = re.compile("(.+)-[0-9a-z]+-[0-9a-z]{5}")  # DEPLOYMENT-HASH-SUFFIX


class Predecessors:
    """Looked at until none renews its Lease any more. ``identity`` is that of this process, held by its pod."""

    def __init__(self, client: Client, identity: LeaseIdentity, clock: Callable[[], float]) -> None:
        self._client = client
        self._namespace = identity.namespace
        self._own = identity.name
        self._deployment = _deployment(identity.holder)
        self._clock = clock
        self._seen: dict[str, tuple[Any, float]] = {}  # by Lease: its last renewal, and when that was first seen

    async def ended(self) -> bool:
        """Whether no such pod acts any more."""
        try:
            leases, _ = await self._client.list(LEASE, self._namespace)
        except ClusterError as error:
            logger.warning("whether an older version of this operator acts is not known: %s", error)
            return False
        acting = [lease for lease in leases if self._acts(lease)]  # each is looked at, since each has its own clock
        return not acting

    def _acts(self, lease: dict[str, Any]) -> bool:
        name, said = identity_of(lease)[1], lease.get("spec")
        spec = said if isinstance(said, dict) else {}
        holder = spec.get("holderIdentity") or ""
        if not isinstance(holder, str):
            return False
        if name == self._own or not _NAME.fullmatch(name) or not holder or _deployment(holder) != self._deployment:
            return False
        renewal = (holder, spec.get("renewTime"))
        if self._seen.get(name, (None, 0.0))[0] != renewal:
            self._seen[name] = (renewal, self._clock())
        acts = self._clock() - self._seen[name][1] <= LEASE_SECONDS
        if acts:
            logger.info("waits for %s, an older version of this operator, to end (Lease %s)", holder, name)
        return acts


def _deployment(pod: str) -> str:
    found = _POD.fullmatch(pod)
    return found[1] if found else pod
