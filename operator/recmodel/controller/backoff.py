"""How fast somebody else's writes over ours are put right: at once, then at growing intervals while it goes on."""

from __future__ import annotations

import math

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 60.0
FIGHT_SECONDS = 8.0  # a gap of this much or more comes after four corrections in a row
CALM_SECONDS = 300.0  # without a correction for so long, the next one is at once again


class Backoff:
    """The gaps between corrections of one RecModel: 0, 1, 2, 4 ... 60 s. Two writers in conflict write at growing intervals."""

    def __init__(self) -> None:
        self._last_at = -math.inf
        self._gap_seconds = 0.0

    def due_in(self, now: float) -> float:
        """Seconds until the next correction may be made; 0 means now, and counts it as made. ``now`` is monotonic."""
        if now - self._last_at > CALM_SECONDS:
            self._gap_seconds = 0.0
        wait_seconds = max(0.0, self._last_at + self._gap_seconds - now)
        if wait_seconds == 0.0:
            self._last_at = now
            self._gap_seconds = min(LONGEST_SECONDS, max(FIRST_SECONDS, 2 * self._gap_seconds))
        return wait_seconds

    def fighting(self, now: float) -> bool:
        """Whether there have been several corrections in a row, and the last one not long ago."""
        return self._gap_seconds >= FIGHT_SECONDS and now - self._last_at <= CALM_SECONDS
