"""The tasks of one process: started by name, ended together. One that dies says why; those that are kept are started again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from recmodel.cluster.transport.watch import STEADY_SECONDS, backoff_seconds

logger = logging.getLogger(__name__)

STOP_SECONDS = 3.0


class Tasks:
    """What runs until the process ends."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Runs work in the background; returns at once."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(_say_why)
        self._tasks.append(task)
        return task

    def keep(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> asyncio.Task[None]:
        """Runs work in the background, and again, at growing intervals, whenever it ends or fails; returns at once."""
        return self.begin(_kept(work, name), name)

    def end(self, task: asyncio.Task[None]) -> None:
        """Ends one that is not needed any more."""
        self._tasks.remove(task)
        task.cancel()

    @property
    def dead(self) -> bool:
        """Whether any has ended, which none should."""
        return any(task.done() for task in self._tasks)

    async def stop(self) -> None:
        """Ends all; one that does not is left behind."""
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=STOP_SECONDS)


async def _kept(work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
    failures = 0
    while True:
        began = time.monotonic()
        try:
            await work()
            logger.error("%s has ended; it is started again", name)
        except Exception:
            logger.exception("%s died; it is started again", name)
        failures = 1 if time.monotonic() - began >= STEADY_SECONDS else failures + 1
        await asyncio.sleep(backoff_seconds(failures))


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("%s died: %r", task.get_name(), error, exc_info=error)
