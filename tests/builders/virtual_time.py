"""Stories in virtual time: the clock stands still while there is anything to do, and jumps to the next timer when there
is nothing. A minute of waiting takes no time, and a busy machine changes no outcome.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from typing import Any, TypeVar

import pytest

T = TypeVar("T")
HUNG_SECONDS = 120.0  # of real time, for one piece of work in a thread


class _Selector(selectors.DefaultSelector):
    """Tells of all that has come before any time passes. Only Unix sockets are sure of that: what is written into one can
    be read at once, while the kernel may deliver between TCP sockets later.
    """

    def __init__(self, busy: Callable[[], bool], advance: Callable[[float], None]) -> None:
        super().__init__()
        self._busy = busy
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found or timeout == 0:
            return found
        if timeout is not None and not self._busy():
            self._advance(timeout)
            return []
        found = super().select(HUNG_SECONDS)
        assert found, "a thread does not end, or everything waits for everything else"
        return found


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on such a clock. Work in threads takes none of its time, however long it runs."""

    def __init__(self) -> None:
        self._seconds = time.monotonic()
        self._threads = 0
        super().__init__(_Selector(lambda: self._threads > 0, self.stall))

    def time(self) -> float:
        return self._seconds

    def stall(self, seconds: float) -> None:
        """Lets time pass in which nothing runs, as while a call blocks."""
        self._seconds += seconds

    def run_in_executor(self, executor: Executor | None, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        work = super().run_in_executor(executor, func, *args)
        self._threads += 1
        work.add_done_callback(self._ended)
        return work

    def _ended(self, _: asyncio.Future[Any]) -> None:
        self._threads -= 1


def run(story: Coroutine[Any, Any, T]) -> T:
    """Runs a story as ``asyncio.run`` does, with ``time.monotonic`` and ``time.time`` on the clock of its loop."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner, pytest.MonkeyPatch.context() as patch:
        loop = runner.get_loop()
        unix_seconds = time.time() - loop.time()
        patch.setattr(time, "monotonic", loop.time)
        patch.setattr(time, "time", lambda: unix_seconds + loop.time())
        return runner.run(story)


async def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Waits for a condition, at most so many seconds of the loop's clock."""
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.05)
