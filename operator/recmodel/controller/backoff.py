"""How fast somebody else's writes over ours are put right: at once, then at growing intervals while it goes on."""

from __future__ import annotations

import math
from collections.abc import Iterable

from recmodel.cluster.writing.drift import Child

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
FIGHT_SECONDS = 8.0  # a gap of this much or more comes after four corrections in a row
CALM_SECONDS = 300.0  # without a correction for so long, the next one is at once again


class Backoff:
    """The gaps between corrections of one child: 0, 1, 2, 4 ... 60 s. Two writers in conflict write at growing intervals."""

    def __init__(self) -> None:
        self._last_at = -math.inf
        self._gap_seconds = 0.0

    def due_in(self, now: float) -> float:
        """Seconds until the next correction may be made; 0 means now, and counts it as made. ``now`` is monotonic."""
        if self.calm(now):
            self._gap_seconds = 0.0
        wait_seconds = max(0.0, self._last_at + self._gap_seconds - now)
        if wait_seconds == 0.0:
            self._last_at = now
            self._gap_seconds = min(LONGEST_SECONDS, max(FIRST_SECONDS, 2 * self._gap_seconds))
        return wait_seconds

    def fighting(self, now: float) -> bool:
        """Whether there have been several corrections in a row, and the last one not long ago."""
        return self._gap_seconds >= FIGHT_SECONDS and not self.calm(now)

    def calm(self, now: float) -> bool:
        """Whether there has been no correction for so long that the next one is at once."""
        return now - self._last_at > CALM_SECONDS


class Backoffs:
    """The children of one RecModel, each with a backoff of its own: a fight over one delays no other."""

    def __init__(self) -> None:
        self._of: dict[Child, Backoff] = {}

    def waits(self, children: Iterable[Child], now: float) -> dict[Child, float]:
        """Of these, which may not be corrected yet, and for how many seconds; the others count as corrected now."""
        self._of = {child: backoff for child, backoff in self._of.items() if not backoff.calm(now)}
        found = {child: self._of.setdefault(child, Backoff()).due_in(now) for child in children}
        return {child: seconds for child, seconds in found.items() if seconds > 0}

    def fighting(self, now: float) -> set[Child]:
        """The children that have been corrected several times in a row, the last time not long ago."""
        return {child for child, backoff in self._of.items() if backoff.fighting(now)}
