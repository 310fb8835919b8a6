"""The load of the past, read from Prometheus once for each RecModel: at the start, and as others come later.

All that are new share their questions, some hundred a reading, beside the ticks: no tick waits for it but the first,
which waits for a while. What cannot be read, or lacks a part, is asked for again and not learned.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from recmodel.controller.decider import Decider
from recmodel.core.types import Model
from recmodel.prometheus import ModelView, PrometheusError

logger = logging.getLogger(__name__)

MODELS_A_READING = 200  # bounds the memory and the time of one; the next one follows at once
RETRY_SECONDS = 120.0
LONGEST_RETRY_SECONDS = 3600.0  # a store may be away for days: each time that a part is missing, the pause doubles


class HistoryLoader:
    """Whose past is still to be read. ``models`` names all as they stand when an answer comes."""

    def __init__(self, decider: Decider, models: Callable[[], list[Model]]) -> None:
        self._decider = decider
        self._models = models
        self._waiting: dict[str, ModelView] = {}
        self._taken: set[str] = set()  # asked for, or being asked for
        self._due_seconds: dict[str, float] = {}  # when to ask again for those that lacked a part ...
        self._pause_seconds: dict[str, float] = {}  # ... and how long that was waited for
        self._now_seconds = 0.0
        self._reading: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()  # everything that waited was asked for once, or cannot be now

    def want(self, views: Sequence[ModelView], now_seconds: float) -> None:
        """Has the past of those read that are new among all RecModels; returns at once."""
        self._now_seconds = now_seconds
        keys = {view.key for view in views}
        self._taken &= keys  # one that goes and comes again is new
        for known in (self._due_seconds, self._pause_seconds):
            for key in known.keys() - keys:
                del known[key]
        self._taken -= {key for key, due_seconds in self._due_seconds.items() if due_seconds <= now_seconds}
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

    def forget(self, key: str) -> None:
        """A RecModel that is gone: another one of its name is new."""
        self._waiting.pop(key, None)
        self._taken.discard(key)
        for known in (self._due_seconds, self._pause_seconds):
            known.pop(key, None)

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
                self._due_seconds.pop(view.key, None)
            try:
                found = await asyncio.to_thread(self._decider.read_history, views, self._now_seconds)
                await asyncio.to_thread(self._decider.learn, self._models(), found)
            except Exception as error:
                unexpected = None if isinstance(error, PrometheusError) else error
                logger.warning(
                    "the history of %d RecModels is not known yet: %s", len(views), error, exc_info=unexpected
                )
                self._tried.set()
                await asyncio.sleep(RETRY_SECONDS)
                self._taken -= {view.key for view in views}  # the next tick, or this loop, asks again
                self._waiting |= {view.key: view for view in views}
                continue
            lacking = {key for key, history in found.items() if history.partial}
            self._ask_again_later(lacking)
            logger.info("the history of %d RecModels is known", len(found) - len(lacking))
        self._tried.set()

    def _ask_again_later(self, keys: set[str]) -> None:
        if not keys:
            return
        for key in keys:
            before = self._pause_seconds.get(key, RETRY_SECONDS / 2)
            self._pause_seconds[key] = min(2 * before, LONGEST_RETRY_SECONDS)
            self._due_seconds[key] = self._now_seconds + self._pause_seconds[key]
        logger.warning(
            "the history of %d RecModels lacks a part, such as %s: it is not learned, and asked for again",
            len(keys),
            min(keys),
        )


def _say_why(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("reading the history failed: %r", error, exc_info=error)
