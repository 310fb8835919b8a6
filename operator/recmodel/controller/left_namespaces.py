"""Says in the status of the RecModels of a namespace that nobody serves them any more, and lets go of the namespace.

A RecModel shows what was last written. Where the administrator takes a namespace out of ``watchNamespaces``, that would be
``Ready`` True for ever. So the operator keeps, for this one purpose, the right to write the status there.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recmodel.api.status import timestamp
from recmodel.cluster.leases.claims import Claims
from recmodel.cluster.names import RECMODEL
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ClusterError

logger = logging.getLogger(__name__)

NOT_SERVED = "NotServed"
AGAIN_SECONDS = 1.0


class LeftNamespaces:
    """Until it is done, ``left`` are the namespaces whose claims it needs."""

    def __init__(self, client: Client, claims: Claims, namespaces: Sequence[str], release: str) -> None:
        self._client = client
        self._claims = claims
        self._release = release
        self.left = set(namespaces)

    async def run(self) -> None:
        """Writes the last status where this operator may, and then waits for nothing."""
        while self.left:
            for namespace in sorted(self.left):
                try:
                    if await self._done(namespace):
                        self.left.discard(namespace)
                except ClusterError as error:
                    logger.warning("namespace %s is not left yet: %s", namespace, error)
            await asyncio.sleep(AGAIN_SECONDS)
        await asyncio.Event().wait()  # a task that ends counts as dead

    async def _done(self, namespace: str) -> bool:
        if namespace in self._claims.others:
            logger.info("namespace %s: %s acts there, nothing is to be said", namespace, self._claims.others[namespace])
            return True
        if not self._claims.acts(namespace):
            return False
        models, _ = await self._client.list(RECMODEL, namespace)
        for body in models:
            metadata = body["metadata"]
            status = last_status(body, self._release, datetime.now(UTC))
            if status is not None:
                await self._client.apply_status(RECMODEL, namespace, metadata["name"], metadata["uid"], status)
        logger.info("namespace %s is left: %d RecModels are not served any more", namespace, len(models))
        return True


def last_status(body: Mapping[str, Any], release: str, now: datetime) -> dict[str, Any] | None:
    """The status with ``Ready`` False, as the rest stood; None where nobody ever wrote one, or it says so already."""
    status = dict(body.get("status") or {})
    found = [condition for condition in status.get("conditions") or [] if isinstance(condition, dict)]
    ready = next((condition for condition in found if condition.get("type") == "Ready"), None)
    if ready is None or ready.get("reason") == NOT_SERVED:
        return None
    time = timestamp(now)
    said = (
        f"{release} does not serve namespace {body['metadata']['namespace']} any more since {time}: replicas and weights "
        "stay as they are. Add the namespace to watchNamespaces of a release, or delete the RecModel"
    )
    gone = {**ready, "status": "False", "reason": NOT_SERVED, "message": said, "lastTransitionTime": time}
    return {**status, "conditions": [gone if condition is ready else condition for condition in found]}
