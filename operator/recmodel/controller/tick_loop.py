"""When ticks come: at fixed times, whatever one of them does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from recmodel.controller.decider import logger
from recmodel.controller.metrics import Metrics

STUCK_TICKS = 5  # without a finished tick for so many, the process counts as stuck and is restarted


class Loop:
    """Calls ``tick`` at fixed times: a late tick shifts none of the later ones, and a missed one is left out."""

    def __init__(self, tick: Callable[[float], Awaitable[None]], tick_seconds: float, metrics: Metrics) -> None:
        self._tick = tick
        self._tick_seconds = tick_seconds
        self._metrics = metrics
        self._finished_at = time.monotonic()

    @property
    def stuck(self) -> bool:
        """Whether no tick has finished for so long that only a restart may help."""
        return time.monotonic() - self._finished_at > STUCK_TICKS * self._tick_seconds

    async def run(self) -> None:
        """Ticks until cancelled."""
        due = time.monotonic()
        while True:
            started = time.monotonic()
            try:
                # Slower than this, the numbers are of no use any more: the next tick asks again.
                async with asyncio.timeout(max(2 * self._tick_seconds, 30.0)):
                    await self._tick(time.time())
                self._finished_at = time.monotonic()
            except TimeoutError:
                self._metrics.tick_failures.inc()
                logger.error("the tick did not end in time")
            except Exception:
                self._metrics.tick_failures.inc()
                # It failed, but the loop lives: a restart would change nothing about it.
                self._finished_at = time.monotonic()
                logger.exception("the tick failed")
            self._metrics.tick.labels("whole").observe(time.monotonic() - started)
            due += self._tick_seconds
            while due <= time.monotonic():
                due += self._tick_seconds
            await asyncio.sleep(due - time.monotonic())
