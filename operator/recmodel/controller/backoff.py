"""How soon one child is written again: what somebody else writes over ours at once, then at growing intervals while it goes
on; what the API refuses at the same intervals.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from recmodel.cluster.writing.drift import Child

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
FIGHT_SECONDS = 8.0  # a gap of this much or more comes after four attempts in a row
CALM_SECONDS = 300.0  # without an attempt for so long, the next one is at once again


class Backoff:
    """The gaps between attempts at one child: 0, 1, 2, 4 ... 60 s. Two writers in conflict write at growing intervals."""

    def __init__(self) -> None:
        self._last_at = -math.inf
        self._gap_seconds = 0.0

    def due_in(self, now: float) -> float:
        """Seconds until the next attempt may be made; 0 means now. ``now`` is monotonic."""
        return max(0.0, self._last_at + self._gap_seconds - now)

    def made(self, now: float) -> None:
        """Counts an attempt."""
        before = 0.0 if self.calm(now) else self._gap_seconds
        self._last_at, self._gap_seconds = now, min(LONGEST_SECONDS, max(FIRST_SECONDS, 2 * before))

    def fighting(self, now: float) -> bool:
        """Whether there have been several attempts in a row, and the last one not long ago."""
        return self._gap_seconds >= FIGHT_SECONDS and not self.calm(now)

    def calm(self, now: float) -> bool:
        """Whether there has been no attempt for so long that the next one is at once."""
        return now - self._last_at > CALM_SECONDS


class Backoffs:
    """The children of one RecModel, each with a backoff of its own: trouble with one delays no other."""

    def __init__(self) -> None:
        self._of: dict[Child, Backoff] = {}

    def waits(self, children: Iterable[Child], now: float) -> dict[Child, float]:
        """Of these, which may not be written yet, and for how many seconds."""
        found = {child: self._of[child].due_in(now) for child in children if child in self._of}
        return {child: seconds for child, seconds in found.items() if seconds > 0}

    def made(self, children: Iterable[Child], now: float) -> None:
        """Counts an attempt at each of these."""
        self._of = {child: backoff for child, backoff in self._of.items() if not backoff.calm(now)}
        for child in children:
            self._of.setdefault(child, Backoff()).made(now)

    def keep(self, children: Collection[Child]) -> None:
        """Starts again with all but these."""
        self._of = {child: backoff for child, backoff in self._of.items() if child in children}

    def fighting(self, now: float) -> set[Child]:
        """The children that have been written several times in a row, the last time not long ago."""
        return {child for child, backoff in self._of.items() if backoff.fighting(now)}
