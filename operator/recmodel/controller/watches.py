"""The watches of one process: which kinds of objects are followed, by which label, in which namespaces."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from recmodel.api.records import RECORD_LABEL
from recmodel.cluster import names
from recmodel.cluster.client import Client
from recmodel.cluster.inventory import Inventory
from recmodel.cluster.optimisation import OPTIMISES_LABEL
from recmodel.cluster.rivals import TARGET_FIELDS
from recmodel.cluster.watch import follow
from recmodel.controller.tasks import Tasks

# Pods and children are watched by our label, so that the API server sends nothing else.
LABELLED = (names.POD, names.DEPLOYMENT, names.SERVICE, names.DISRUPTION_BUDGET, names.ROUTE)


class Watches:
    """Keep the inventory up to date, each in a task of its own."""

    def __init__(self, client: Client, inventory: Inventory, tasks: Tasks) -> None:
        self._client = client
        self._inventory = inventory
        self._tasks = tasks
        self._synced: list[asyncio.Event] = []

    def start(self, namespaces: Sequence[str], monitors: bool) -> None:
        """Begins to follow, in these namespaces or, without any, in all; ``monitors``: PodMonitors, too."""
        labelled = [*LABELLED, *([names.POD_MONITOR] if monitors else [])]
        for namespace in namespaces or (None,):
            for kind in labelled:
                self._follow(kind, namespace, names.MODEL_LABEL)
            self._follow(names.CONFIG_MAP, namespace, RECORD_LABEL)
            self._follow(names.JOB, namespace, OPTIMISES_LABEL, needed=False)
            for kind in TARGET_FIELDS:
                self._follow(kind, namespace, "")

    async def synced(self) -> None:
        """Waits until all that is needed was listed once."""
        for synced in self._synced:
            await synced.wait()

    def _follow(self, kind: names.Kind, namespace: str | None, labels: str, needed: bool = True) -> None:
        """``needed``: nothing acts before the first list of it, so without the right to read it nothing ever does."""
        synced = asyncio.Event()
        if needed:
            self._synced.append(synced)
        following = follow(self._client, kind, self._inventory, synced=synced, namespace=namespace, labels=labels)
        self._tasks.begin(following, f"follow {kind.plural}")
