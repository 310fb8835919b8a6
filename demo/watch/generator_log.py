"""The load generator's log: what its clients saw, second by second, and when its clock started.

Lines come from ``kubectl logs --timestamps``: the time at which the line was written, then the generator's JSON.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_NANOSECONDS = re.compile(r"\.(\d{6})\d*")


@dataclass(frozen=True, slots=True)
class ClientSecond:
    """The requests that were meant to leave in one second of the schedule. Latency counts from the intended send
    time.
    """

    second: int
    due: int
    ok: int
    within: int  # of those, answered within the threshold
    timeouts: int
    failed: int  # answered with another status than 200, or a broken connection
    unsent: int  # the generator was at its own limit
    p50_seconds: float | None
    p95_seconds: float | None
    p99_seconds: float | None

    @property
    def lost(self) -> int:
        """Requests that left and got no good answer."""
        return self.timeouts + self.failed


@dataclass(frozen=True, slots=True)
class ClientLog:
    """``start_seconds``: Unix time of the schedule's second 0, or None before the first line."""

    start_seconds: float | None
    seconds: tuple[ClientSecond, ...]
    finished: bool  # the summary line is there

    def since(self, second: int) -> tuple[ClientSecond, ...]:
        """The seconds of the schedule from ``second`` on: what comes after a warm-up."""
        return tuple(one for one in self.seconds if one.second >= second)


def parse(text: str) -> ClientLog:
    """Reads a log, also one that still grows: a last line that is cut off, and lines of other programs, are left out.

    The second ``s`` is over at ``s + 1`` at the earliest, and its line is written a little later: the earliest of all
    these differences is when the clock started, at most a quarter of a second late (the generator's reporting step).
    """
    start: float | None = None
    seconds: list[ClientSecond] = []
    finished = False
    for line in text.splitlines():
        stamp, _, body = line.partition(" ")
        try:
            written = datetime.fromisoformat(_NANOSECONDS.sub(r".\1", stamp)).timestamp()
            value = json.loads(body)
        except ValueError:
            continue
        if not isinstance(value, dict):
            continue
        if value.get("summary"):
            finished = True
        elif "second" in value:
            seconds.append(_second(value))
            start = min(written - value["second"] - 1.0, start if start is not None else float("inf"))
    return ClientLog(start, tuple(seconds), finished)


def _second(value: dict[str, Any]) -> ClientSecond:
    p50, p95, p99 = (None if value[name] is None else value[name] / 1000.0 for name in ("p50_ms", "p95_ms", "p99_ms"))
    return ClientSecond(
        second=value["second"],
        due=value["due"],
        ok=value["ok"],
        within=value["within"],
        timeouts=value["timeouts"],
        failed=sum(value["failed"].values()),
        unsent=value["unsent"],
        p50_seconds=p50,
        p95_seconds=p95,
        p99_seconds=p99,
    )
