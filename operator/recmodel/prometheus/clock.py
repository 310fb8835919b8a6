"""The server's clock beside ours, told by the ``Date`` of its answers, so that questions are asked by the server's.

Samples carry the time of the server. Asked for a time that is still to come, it gives a rate of half a window as that of a
whole one; asked for one that is past, it gives what was then as what is now. Neither looks like an error.
"""

from __future__ import annotations

import logging
import threading
from email.utils import parsedate_to_datetime

NOTICED_SECONDS = 2.0  # a question asked this far beside the server's clock is asked again
logger = logging.getLogger(__name__)


class ServerClock:
    """How far the server's clock is ahead of ours: as little as agrees with what was seen. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ahead_seconds = 0.0
        self._said_seconds = 0.0

    @property
    def ahead_seconds(self) -> float:
        """Negative where the server's clock is behind; 0 as long as nothing tells that it is not."""
        return self._ahead_seconds

    @property
    def is_noticed(self) -> bool:
        """Whether it is so far from ours that it is worth a word."""
        return abs(self._ahead_seconds) > NOTICED_SECONDS

    def see(self, date: str | None, sent_seconds: float, received_seconds: float) -> None:
        """Take in the ``Date`` of an answer, and when it was asked for and came (Unix time, by our clock)."""
        try:
            written = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):
            return  # none, or not of the form of HTTP: what is known stays
        # It was written between the two, and is cut to whole seconds.
        least, most = written - received_seconds, written + 1.0 - sent_seconds
        if least > most:
            return  # our clock was put back meanwhile
        with self._lock:
            self._ahead_seconds = min(max(self._ahead_seconds, least), most)
            if abs(self._ahead_seconds - self._said_seconds) > NOTICED_SECONDS:
                self._said_seconds = self._ahead_seconds
                logger.warning("the clock of Prometheus is %s; it is asked by its own: keep both in step (NTP)", self)

    def __str__(self) -> str:
        """For messages: ``93 s ahead of the operator's``."""
        side = "behind" if self._ahead_seconds < 0 else "ahead of"
        return f"{abs(self._ahead_seconds):.0f} s {side} the operator's"
