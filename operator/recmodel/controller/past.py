"""The load of the past, read from Prometheus once for each RecModel: at the start, and as others come later.

All that are new share their questions, some hundred a reading, beside the ticks: no tick waits for it but the first,
which waits for a while. What cannot be read is tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from recmodel.controller.tick import Decider
from recmodel.core.types import Model
from recmodel.prometheus import ModelView, PrometheusError

logger = logging.getLogger(__name__)

MODELS_A_READING = 200  # bounds the memory and the time of one; the next one follows at once
RETRY_SECONDS = 120.0


class Past:
    """Whose past is still to be read. ``models`` names all as they stand when an answer comes."""

    def __init__(self, decider: Decider, models: Callable[[], list[Model]]) -> None:
        self._decider = decider
        self._models = models
        self._waiting: dict[str, ModelView] = {}
        self._taken: set[str] = set()  # asked for, or being asked for
        self._now_seconds = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()  # everything that waited was asked for once, or cannot be now

    def want(self, views: Sequence[ModelView], now_seconds: float) -> None:
        """Has the past of those read that are new among all RecModels; returns at once."""
        self._now_seconds = now_seconds
        self._taken &= {view.key for view in views}  # one that goes and comes again is new
        self._waiting = {view.key: view for view in views if view.key not in self._taken}
        if self._waiting and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read(), name="history")
            self._reading.add_done_callback(_say_why)

    async def first(self, budget_seconds: float) -> None:
        """Waits until those of the start are read, so that the first decision knows their day; not for long."""
        if self._reading is not None and not self._tried.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(budget_seconds):
                    await self._tried.wait()
            self._tried.set()

    async def stop(self) -> None:
        """Ends a reading that is under way."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading], timeout=1.0)

    async def _read(self) -> None:
        while self._waiting:
            views = list(self._waiting.values())[:MODELS_A_READING]
            self._taken |= {view.key for view in views}
            for view in views:
                del self._waiting[view.key]
            try:
                found = await asyncio.to_thread(self._decider.read_history, views, self._now_seconds)
            except PrometheusError as error:
                logger.warning("the history of %d RecModels is not known yet: %s", len(views), error)
                self._tried.set()
                await asyncio.sleep(RETRY_SECONDS)
                self._taken -= {view.key for view in views}  # the next tick, or this loop, asks again
                self._waiting |= {view.key: view for view in views}
                continue
            await asyncio.to_thread(self._decider.learn, self._models(), found)
            logger.info("the history of %d RecModels is known", len(found))
        self._tried.set()


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("reading the history failed: %r", error, exc_info=error)
