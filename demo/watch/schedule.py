"""The schedule that the load generator plays, as ``demo/load/schedule.py`` wrote it: the load of each second, the warm-up, and
the flash crowd.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Schedule:
    """``rates[s]``: requests/s in second s. The flash crowd is the seconds from ``flash_start`` to before ``flash_end``. What
    happens before ``counts_from`` is the warm-up: no figure counts it.
    """

    rates: tuple[float, ...]
    flash_start: int | None = None
    flash_end: int | None = None
    counts_from: int = 0

    @property
    def seconds(self) -> int:
        """Its length."""
        return len(self.rates)

    def in_crowd(self, second: float) -> bool:
        """Whether the flash crowd is on."""
        return (
            self.flash_start is not None and self.flash_end is not None and self.flash_start <= second < self.flash_end
        )


def read(path: Path) -> Schedule:
    """Raises ValueError for a file without rows, and KeyError for one without the columns rps and mark."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise ValueError(f"{path} holds no seconds")
    marked = [second for second, row in enumerate(rows) if row["mark"] == "flash"]
    rates = tuple(float(row["rps"]) for row in rows)
    counts_from = sum(row["mark"] == "warm-up" for row in rows)
    if marked:
        return Schedule(rates, marked[0], marked[-1] + 1, counts_from)
    return Schedule(rates, counts_from=counts_from)
