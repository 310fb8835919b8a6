"""Whether the machine had CPU to give: pods on a machine that has none are late, whoever scales them.

A thread computes for some milliseconds every half second. What that takes on the wall, over what it takes of a core, is how long a ready
process waits. Worked: 5 ms of a core in 20 ms are 4.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from compare.plan import Series

BURN_SECONDS, PAUSE_SECONDS = 0.005, 0.5
SHORT_RATIO = 2.0  # of a minute: a ready process waited as long as it ran, or longer
MOST_SHORT_RATIO = 0.1  # of a run's minutes


class NotSound(Exception):
    """The run says nothing of who decided in it; the message says why."""


@contextmanager
def watching(path: Path) -> Iterator[None]:
    """Writes ``time,ratio`` lines into the file for as long as the block lasts; the time is Unix time."""
    over = threading.Event()

    def look() -> None:
        with path.open("w") as file:
            while not over.wait(PAUSE_SECONDS):
                file.write(f"{time.time():.3f},{_burn():.3f}\n")
                file.flush()

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _burn() -> float:
    wall, core = time.perf_counter(), time.thread_time()
    while time.thread_time() - core < BURN_SECONDS:
        pass
    return (time.perf_counter() - wall) / (time.thread_time() - core)


def short_minutes(what: str, text: str, begin_seconds: float, minutes: int, minute_seconds: int) -> int:
    """Minutes from ``begin_seconds`` (Unix time) on in which the machine was short of CPU: the mean ratio was high, or nothing was
    measured at all. Raises NotSound, which names ``what`` was run, where too many were.
    """
    rows = np.array([[float(value) for value in line.split(",")] for line in text.splitlines()]).reshape(-1, 2)
    places = np.floor((rows[:, 0] - begin_seconds) / minute_seconds)
    short = sum(_mean(rows[places == minute, 1]) >= SHORT_RATIO for minute in range(minutes))
    if short > MOST_SHORT_RATIO * minutes:
        raise NotSound(
            f"{what}: the machine was short of CPU in {short} of {minutes} minutes, and {MOST_SHORT_RATIO:.0%} may be: delete the run's "
            "folder, and run it again while nothing else runs"
        )
    return short


def _mean(values: Series) -> float:
    return float(values.mean()) if len(values) else float("inf")
