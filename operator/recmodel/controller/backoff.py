"""How soon one object is written again: what somebody else writes over ours at once, then at growing intervals while it goes
on; what the API refuses at the same intervals.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from recmodel.cluster.writing.drift import Child


@dataclass(frozen=True, slots=True)
class Pace:
    """The gaps after attempts in a row: none before there were ``free`` of them, then ``first_seconds``, each twice as long as the one
    before, up to ``longest_seconds``.
    """

    free: int
    first_seconds: float
    longest_seconds: float
    fighting: int  # so many attempts in a row are a fight
    calm_seconds: float  # without an attempt for so long, the next one is the first again


CHILDREN = Pace(free=1, first_seconds=1.0, longest_seconds=60.0, fighting=4, calm_seconds=300.0)


class Backoff:
    """The gaps between attempts at one object. Two writers in conflict write at growing intervals: 0, 1, 2, 4 ... 60 s."""

    def __init__(self, pace: Pace = CHILDREN) -> None:
        self._pace = pace
        self._last_at = -math.inf
        self._attempts = 0  # in a row

    def due_in(self, now: float) -> float:
        """Seconds until the next attempt may be made; 0 means now. ``now`` is monotonic."""
        pace, beyond = self._pace, self._attempts - self._pace.free
        gap_seconds = min(pace.longest_seconds, math.ldexp(pace.first_seconds, min(beyond, 60))) if beyond >= 0 else 0.0
        return max(0.0, self._last_at + gap_seconds - now)

    def made(self, now: float) -> None:
        """Counts an attempt."""
        self._attempts = 1 if self.calm(now) else self._attempts + 1
        self._last_at = now

    def recall(self, attempts: int, last_at: float) -> None:
        """Goes on where another process stood."""
        self._attempts, self._last_at = attempts, last_at

    @property
    def attempts(self) -> int:
        """In a row."""
        return self._attempts

    def fighting(self, now: float) -> bool:
        """Whether there have been several attempts in a row, and the last one not long ago."""
        return self._attempts >= self._pace.fighting and not self.calm(now)

    def calm(self, now: float) -> bool:
        """Whether there has been no attempt for so long that the next one is the first again."""
        return now - self._last_at > self._pace.calm_seconds


class Backoffs:
    """The objects that one RecModel writes, each with a backoff of its own: trouble with one delays no other."""

    def __init__(self, pace: Pace = CHILDREN) -> None:
        self._pace = pace
        self._of: dict[Child, Backoff] = {}

    def waits(self, children: Iterable[Child], now: float) -> dict[Child, float]:
        """Of these, which may not be written yet, and for how many seconds."""
        found = {child: self._of[child].due_in(now) for child in children if child in self._of}
        return {child: seconds for child, seconds in found.items() if seconds > 0}

    def made(self, children: Iterable[Child], now: float) -> None:
        """Counts an attempt at each of these."""
        self._of = {child: backoff for child, backoff in self._of.items() if not backoff.calm(now)}
        for child in children:
            self._of.setdefault(child, Backoff(self._pace)).made(now)

    def recall(self, child: Child, attempts: int, last_at: float) -> None:
        """Goes on with attempts that another process counted."""
        self._of.setdefault(child, Backoff(self._pace)).recall(attempts, last_at)

    def attempts(self, child: Child) -> int:
        """In a row."""
        return self._of[child].attempts if child in self._of else 0

    def keep(self, children: Collection[Child]) -> None:
        """Starts again with all but these."""
        self._of = {child: backoff for child, backoff in self._of.items() if child in children}

    def fighting(self, now: float) -> set[Child]:
        """The objects that have been written several times in a row, the last time not long ago."""
        return {child for child, backoff in self._of.items() if backoff.fighting(now)}
