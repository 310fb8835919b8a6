"""Room for pods in the kernel's arrays: a slot is taken by one pod, given back when empty, cleaned for the next."""

from __future__ import annotations

import math

import numpy as np

from recmodel.lab.simulator.arrays import Laws, Servers

AT_FIRST = 16


class Slots:
    """Grows by doubling. ``servers`` must be read again after every :meth:`take`."""

    def __init__(self, laws: Laws) -> None:
        self._shape = int(laws.workers.max()), int(laws.queue_limit.max())
        self._empty_from = [-math.inf] * AT_FIRST  # when a slot may be used again; infinite while in use
        self.servers = self._make(AT_FIRST)

    def take(self, now: float) -> int:
        """A clean slot."""
        slot = next((i for i, since in enumerate(self._empty_from) if since <= now), -1)
        if slot < 0:
            slot = len(self._empty_from)
            self._empty_from += [-math.inf] * slot
            more = self._make(slot)
            self.servers = Servers(*(np.concatenate(pair) for pair in zip(self.servers, more, strict=True)))
        self._empty_from[slot] = math.inf
        self.servers.worker_free[slot] = 0.0
        for values in (self.servers.free, self.servers.in_service, self.servers.head, self.servers.held):
            values[slot] = 0
        return slot

    def give_back(self, slot: int, at: float) -> None:
        """The slot is empty from this time on."""
        self._empty_from[slot] = at

    def _make(self, slots: int) -> Servers:
        workers, limit = self._shape
        whole = [np.zeros(slots, np.int64) for _ in range(3)]
        return Servers(
            worker_free=np.zeros((slots, workers)),
            free=np.zeros(slots),
            in_service=whole[0],
            times=np.zeros((slots, limit)),
            sizes=np.zeros((slots, limit)),
            head=whole[1],
            held=whole[2],
        )
