"""A token bucket: at most so many writes a second, in the order of asking."""

from __future__ import annotations

import asyncio
import time


class TokenBucket:
    """``burst`` requests at once, then ``per_second``; who comes later waits in line."""

    def __init__(self, per_second: float, burst: int) -> None:
        self.per_second = per_second
        self.burst = burst
        self._tokens = float(burst)
        self._at = time.monotonic()

    async def take(self) -> float:
        """Takes one token and returns the seconds waited for it."""
        now = time.monotonic()
        self._tokens = min(self.burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        # Going below zero is the queue: each taker pays for its own place in it, so none overtakes another.
        self._tokens -= 1.0
        wait_seconds = max(0.0, -self._tokens / self.per_second)
        if wait_seconds > 0:
            await asyncio.sleep(wait_seconds)
        return wait_seconds
