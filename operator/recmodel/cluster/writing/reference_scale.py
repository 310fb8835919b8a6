"""The one write to a workload that a pool refers to: its replicas, through its scale subresource, over what was last seen of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from recmodel.cluster.names import Kind
from recmodel.cluster.observed.referenced import Referenced, Workload
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import Conflict
from recmodel.cluster.transport.request import RETRIES

logger = logging.getLogger(__name__)

CONFLICTS = 4  # in a row, of one write: a roll-out writes the status of its workload several times a second
WATCH_SECONDS = 0.3  # the watch has told by then what the write was refused for


class ReferenceScale:
    """Writes through one client, and keeps ``referenced`` up to date."""

    def __init__(self, client: Client, referenced: Referenced, served: Callable[[Workload], Kind]) -> None:
        self._client = client
        self._referenced = referenced
        self._served = served  # the kind of a workload as its resource

    async def write(self, workload: Workload, replicas: int, retries: int = RETRIES) -> bool:
        """Writes the replicas over those that stand, and over no others: returns False where that was not possible just now, since
        others write the workload, or its version is not known. What stands then is for the next decision.
        """
        before = self._referenced.state(workload)
        for _ in range(CONFLICTS):
            state = self._referenced.state(workload)
            if before is None or state is None or state.uid != before.uid or not state.resource_version:
                break
            if state.desired != before.desired:
                if state.desired == replicas:  # our own write, whose answer was lost
                    return True
                break
            seen = {"uid": state.uid, "resourceVersion": state.resource_version}
            try:
                scale = await self._client.scale(
                    self._served(workload), (workload.namespace, workload.name), seen, replicas, retries
                )
            except Conflict:
                await asyncio.sleep(WATCH_SECONDS)
            else:
                self._referenced.scaled(workload, scale)
                return True
        logger.info("%s: %d replicas are left to the next decision, as it changes just now", workload.shown, replicas)
        return False
