"""When the requests leave, decided before the first one does: Poisson arrivals along a schedule."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]


def read_schedule(path: Path) -> Series:
    """[seconds]: requests/s of each second. Raises ValueError, naming the line, unless seconds count 0, 1, 2, ... ."""
    rates = []
    with path.open(newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            rate = float(row["rps"])
            if float(row["seconds"]) != number or not 0.0 <= rate < 1e6:
                raise ValueError(f"{path}, line {number + 2}: second {row['seconds']} at {row['rps']} requests/s")
            rates.append(rate)
    if not rates:
        raise ValueError(f"{path} holds no seconds")
    return np.array(rates)


def poisson(rates: Series, generator: np.random.Generator) -> Series:
    """Sorted arrival times in seconds of a Poisson process whose rate in second s is ``rates[s]``.

    Given the count of a second (Poisson), its arrivals are uniform in it: exact, and one line.
    """
    counts = generator.poisson(rates)
    return np.sort(np.repeat(np.arange(len(rates), dtype=np.float64), counts) + generator.random(int(counts.sum())))
