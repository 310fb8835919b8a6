"""What a simulated day came to: by minute, and as one line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recmodel.core.types import Decision
from recmodel.lab.simulator.arrays import FINE_BINS, Tally
from recmodel.lab.simulator.scenario import Floats, Scenario


@dataclass(frozen=True, slots=True)
class Summary:
    """One day in figures. A minute is over when more than 1 - ``within_ratio`` of its requests were late or failed."""

    minutes: int
    minutes_over: int
    minutes_over_ratio: float
    requests: int
    late_ratio: float  # failed ones included
    failed_ratio: float
    cost: float  # replica-hours times price
    replica_hours: dict[str, float]
    scalings: int  # changes of the number of replicas ordered, over all pools
    decide_seconds: float  # mean time of one decision

    def __str__(self) -> str:
        hours = ", ".join(f"{name} {value:.1f} h" for name, value in self.replica_hours.items())
        return (
            f"minutes over {self.minutes_over}/{self.minutes} ({self.minutes_over_ratio:.2%}), "
            f"late {self.late_ratio:.3%}, failed {self.failed_ratio:.3%}, "
            f"cost {self.cost:.1f} ({hours}), {self.scalings} scalings"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """Arrays by minute; ``replicas`` and ``ready`` are means within the minute, by pool name."""

    scenario: Scenario
    tally: Tally
    replicas: dict[str, Floats]  # ordered and not yet gone
    ready: dict[str, Floats]
    cost: Floats
    scalings: int
    decide_seconds: float
    decisions: tuple[Decision, ...]
    finished: bool  # False: given up early, later minutes are empty

    @property
    def requests(self) -> NDArray[np.int64]:
        """Requests that arrived, by minute."""
        return self.tally.requests

    @property
    def late(self) -> NDArray[np.int64]:
        """Of those, answered after the threshold or failed."""
        return self.tally.late

    @property
    def late_ratio(self) -> Floats:
        """Share late by minute; 0 in a minute without requests."""
        return np.asarray(self.late / np.maximum(self.requests, 1), dtype=np.float64)

    @property
    def over(self) -> NDArray[np.bool_]:
        """Minutes over the objective."""
        return np.asarray(self.late_ratio > 1.0 - self.scenario.within_ratio + 1e-12)

    @property
    def p95_seconds(self) -> Floats:
        """95th percentile of the latency by minute (see :meth:`percentile`)."""
        return self.percentile(0.95)

    def percentile(self, ratio: float) -> Floats:
        """A latency percentile by minute in seconds, from bins of 1 ms. Failed is infinite, no requests give NaN."""
        totals = self.requests
        wanted = ratio * totals
        cumulative = np.cumsum(self.tally.fine, axis=1)
        values = np.full(len(totals), np.nan)
        for minute in np.flatnonzero(totals > 0):
            row = cumulative[minute]
            place = int(np.searchsorted(row, wanted[minute]))
            if place >= FINE_BINS - 1:
                values[minute] = np.inf
                continue
            before = row[place - 1] if place else 0
            inside = max(row[place] - before, 1)
            values[minute] = (place + (wanted[minute] - before) / inside) / 1000.0
        return values

    def summary(self) -> Summary:
        """The day in one line."""
        requests = int(self.requests.sum())
        over = int(self.over.sum())
        return Summary(
            minutes=len(self.requests),
            minutes_over=over,
            minutes_over_ratio=over / max(len(self.requests), 1),
            requests=requests,
            late_ratio=int(self.late.sum()) / max(requests, 1),
            failed_ratio=int(self.tally.failed.sum()) / max(requests, 1),
            cost=float(self.cost.sum()),
            replica_hours={name: float(values.sum()) / 60.0 for name, values in self.replicas.items()},
            scalings=self.scalings,
            decide_seconds=self.decide_seconds,
        )
