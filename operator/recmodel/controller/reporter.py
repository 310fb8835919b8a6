"""Writes status and Events in the background: the newest status of each RecModel, in its own time, behind what acts on
the traffic.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from recmodel.api.status import RecModelStatus
from recmodel.cluster.names import RECMODEL
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ClusterError, Conflict, LeadershipLost, NotFound
from recmodel.controller.fairness import FairQueue
from recmodel.controller.keeping import Keeping
from recmodel.controller.status_refresh import RefreshPace, StatusRefresh
from recmodel.controller.tracked import Tracked
from recmodel.report.events import changes, event
from recmodel.report.status import as_object, judge, worth_writing, written_status

logger = logging.getLogger(__name__)

WORKERS = 16
AT_ONCE_IN_A_NAMESPACE = 4


class Reporter:
    """Keeps what was last written, so that only changes are."""

    def __init__(self, client: Client, refresh_pace: RefreshPace, keeping: Keeping) -> None:
        self._client = client
        self._keeping = keeping
        self._written: dict[str, RecModelStatus] = {}
        self._status_refresh = StatusRefresh(refresh_pace)
        self._due: dict[str, tuple[Tracked, RecModelStatus]] = {}  # the newest status of each model that waits
        self._queue = FairQueue(AT_ONCE_IN_A_NAMESPACE)

    def report(self, tracked: Tracked, pools: Mapping[str, PoolState], weights: Mapping[str, int]) -> RecModelStatus:
        """Judges a RecModel, has its status written where that is worth it, and returns it."""
        key = tracked.key
        written = self._written.get(key)
        if written is None:
            written = self._written[key] = written_status(tracked.desired.body)
        status = judge(tracked.snapshot(), pools, weights, datetime.now(UTC), written)
        if not (
            worth_writing(status, written)
            or self._status_refresh.due(status, written, len(self._written), time.monotonic())
        ):
            self._due.pop(key, None)
            return status
        if key not in self._due:
            self._queue.put(key)
        self._due[key] = (tracked, status)
        return status

    def forget(self, key: str) -> None:
        """Drops what was written, and what waits: the RecModel is gone, or another operator may have written since."""
        self._written.pop(key, None)
        self._due.pop(key, None)

    async def write_last(
        self, models: Sequence[Tracked], judged: Callable[[Tracked], RecModelStatus], seconds: float
    ) -> None:
        """Writes the status of these once more, as far as the time goes; after :meth:`run` has ended."""
        left = iter(models)

        async def work() -> None:
            for tracked in left:
                try:
                    status = judged(tracked)
                except Exception:
                    logger.exception("%s: its last status cannot be made", tracked.key)
                else:
                    await self._try(tracked, status)

        tasks = [asyncio.create_task(work()) for _ in range(WORKERS)]
        _, late = await asyncio.wait(tasks, timeout=seconds)
        for task in late:
            task.cancel()

    async def run(self) -> None:
        """The writers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                if (due := self._due.pop(key, None)) is not None:
                    await self._try(*due)
            finally:
                self._queue.done(key)

    async def _try(self, tracked: Tracked, status: RecModelStatus) -> None:
        try:
            await self._write(tracked, status)
        except LeadershipLost as lost:
            logger.info("%s: %s", tracked.key, lost)
        except ClusterError as error:
            # The next tick judges again, and this one is not remembered as written.
            logger.warning("%s: the status cannot be written: %s", tracked.key, error)
        except Exception:
            logger.exception("%s: the status cannot be written", tracked.key)

    async def _write(self, tracked: Tracked, status: RecModelStatus) -> None:
        owner = tracked.owner
        known = owner.key in self._written
        before = self._written[owner.key] if known else written_status(tracked.desired.body)
        status = status.model_copy(update={"memory": self._keeping.text(tracked, before.memory)})
        try:
            await self._client.apply_status(RECMODEL, owner.namespace, owner.name, owner.uid, as_object(status))
        except (NotFound, Conflict):  # deleted meanwhile, or deleted and made again
            return
        if known and self._written.get(owner.key) is before:  # else: gone meanwhile, or started again
            self._written[owner.key] = status
        for kind, reason in changes(status, before):
            try:
                await self._client.create_event(
                    owner.namespace, event(tracked.desired.body, kind, reason, datetime.now(UTC))
                )
            except ClusterError as error:
                logger.info("%s: an Event is lost: %s", owner.key, error)
