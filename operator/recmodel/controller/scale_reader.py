"""Reads the scale of a workload whenever the workload has changed, as what it says is kept in the object; and once a minute, as an
API server of somebody's own may keep it elsewhere.

One read at a time for each workload, a few at a time for each kind, and each with a time limit: a scale that does not come keeps no
other kind waiting, as a kind may have an API server or a webhook of its own. A kind that writes its status all the time is read at
most twice a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from recmodel.cluster.names import Kind
from recmodel.cluster.observed.referenced import Workload
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import SERVER_IN_TROUBLE, ApiUnavailable, ClusterError, NotFound
from recmodel.cluster.transport.watch import backoff_seconds
from recmodel.controller.tasks import Tasks

logger = logging.getLogger(__name__)

Object = dict[str, Any]
AT_ONCE = 16  # of one kind
BETWEEN_SECONDS, AGAIN_SECONDS = 0.5, 60.0
RETRIES = 1
PATIENCE = 3  # failures in a row, after which it is told that a scale does not come, too


@dataclass(slots=True)
class _Latest:
    obj: Object | None = None  # None: it is not there
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class ScaleReader:
    """``on_read`` gets a workload's object with its scale, ``on_refused`` why there is none; ``served`` says which resource it is."""

    def __init__(
        self,
        client: Client,
        tasks: Tasks,
        served: Callable[[Workload], Kind],
        on_read: Callable[[Workload, Object, Object], None],
        on_refused: Callable[[Workload, ClusterError], None],
    ) -> None:
        self._client = client
        self._tasks = tasks
        self._served = served
        self._on_read = on_read
        self._on_refused = on_refused
        self._latest: dict[Workload, _Latest] = {}
        self._at_once: dict[Kind, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(AT_ONCE))

    def changed(self, workload: Workload, obj: Object | None) -> None:
        """The workload as it stands; None: it is not there."""
        latest = self._latest.setdefault(workload, _Latest())
        latest.obj = obj
        latest.changed.set()
        if latest.task is None:
            reading = functools.partial(self._keep, workload, latest)
            latest.task = self._tasks.keep(reading, f"reading the scale of {workload.shown}")

    def awaited(self, workload: Workload) -> bool:
        """Whether the workload is there, so that its scale will be told of."""
        latest = self._latest.get(workload)
        return latest is not None and latest.obj is not None

    def end(self, workload: Workload) -> None:
        """One that nobody refers to any more."""
        latest = self._latest.pop(workload, None)
        if latest is not None and latest.task is not None:
            self._tasks.end(latest.task)

    async def _keep(self, workload: Workload, latest: _Latest) -> None:
        failures = 0
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(latest.changed.wait(), AGAIN_SECONDS)
            latest.changed.clear()
            if latest.obj is None:
                continue
            try:
                kind = self._served(workload)
                async with self._at_once[kind]:
                    scale = await self._client.get(kind, workload.namespace, workload.name, "scale", retries=RETRIES)
            except ClusterError as error:
                failures += 1
                logger.info("the scale of %s: %s", workload.shown, error)
                if latest.obj is not None and _tells(error, failures):
                    self._on_refused(workload, error)
                await asyncio.sleep(backoff_seconds(failures))
                latest.changed.set()
                continue
            failures = 0
            if latest.obj is not None:
                self._on_read(workload, latest.obj, scale)
            await asyncio.sleep(BETWEEN_SECONDS)


def _tells(error: ClusterError, failures: int) -> bool:
    """Whether the answer is about this scale. That the API server is in trouble is not, unless it goes on, and a single 404 may be of
    an object that is going.
    """
    if isinstance(error, ApiUnavailable):
        return error.status not in SERVER_IN_TROUBLE or failures > PATIENCE
    return failures > 1 or not isinstance(error, NotFound)
