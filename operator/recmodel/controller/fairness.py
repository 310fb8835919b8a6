"""A queue of RecModels that no namespace can fill: namespaces take turns, and each has so many under way and no more.

In a namespace whose webhook does not answer each write takes a minute, and one with a thousand refused RecModels has a
thousand waiting. Without turns the weights of all other teams would wait behind them.
"""

from __future__ import annotations

import asyncio
from collections import Counter


class FairQueue:
    """Keys ``namespace/name`` that wait for a worker, each once. ``at_once``: of one namespace under way at a time."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._waiting: dict[str, dict[str, None]] = {}  # by namespace, in the order in which they came
        self._under_way: Counter[str] = Counter()  # by namespace
        self._offered: set[str] = set()  # namespaces whose turn is to come
        self._turns: asyncio.Queue[str] = asyncio.Queue()  # the same, in their order

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def put(self, key: str) -> None:
        """Lets a key wait; one that waits already keeps its place."""
        namespace = _namespace(key)
        self._waiting.setdefault(namespace, {}).setdefault(key)
        self._offer(namespace)

    async def get(self) -> str:
        """The next key. Whoever has it says ``done`` afterwards."""
        namespace = await self._turns.get()
        self._offered.remove(namespace)
        waiting = self._waiting[namespace]
        key = next(iter(waiting))
        del waiting[key]
        if not waiting:
            del self._waiting[namespace]
        self._under_way[namespace] += 1
        self._offer(namespace)
        return key

    def done(self, key: str) -> None:
        """The work on a key has ended."""
        namespace = _namespace(key)
        self._under_way[namespace] -= 1
        if not self._under_way[namespace]:
            del self._under_way[namespace]
        self._offer(namespace)

    def _offer(self, namespace: str) -> None:
        free = self._under_way.get(namespace, 0) < self._at_once
        if free and namespace in self._waiting and namespace not in self._offered:
            self._offered.add(namespace)
            self._turns.put_nowait(namespace)


def _namespace(key: str) -> str:
    return key.partition("/")[0]
