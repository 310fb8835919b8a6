"""Kinds of children whose CRD may come to the cluster after the operator: asked for until one is served, and followed from then on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from recmodel.cluster.names import Kind
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.watch import ABSENT_KIND_SECONDS
from recmodel.controller.watches import Watches, served

logger = logging.getLogger(__name__)


class LateKinds:
    """Asks once a minute, so that a cluster without such a kind is not asked all the time."""

    def __init__(self, client: Client, watches: Watches, namespaces: Sequence[str]) -> None:
        self._client = client
        self._watches = watches
        self._namespaces = namespaces
        self._followed: set[Kind] = set()

    async def served(self, *kinds: Kind) -> Kind | None:
        """The first of these that the cluster serves, which is followed from now on; None: none of them."""
        for kind in kinds:
            if await served(self._client, kind):
                if kind not in self._followed:
                    self._followed.add(kind)
                    self._watches.add(kind, self._namespaces)
                    logger.info("the cluster knows %s (%s)", kind.plural, kind.group_version)
                return kind
        return None

    async def found(self, *kinds: Kind) -> Kind:
        """Returns once the cluster serves one of these, which it did not a moment ago."""
        while True:
            await asyncio.sleep(ABSENT_KIND_SECONDS)
            if (kind := await self.served(*kinds)) is not None:
                return kind
