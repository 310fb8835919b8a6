"""What became of the requests: one line a second of arrivals, a summary, and Prometheus series.

Latency is counted from the moment a request was *meant* to leave. A generator that is late itself, or a server that
holds connections back, can then not make the figures look better (coordinated omission).
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Gauge, Histogram
from prometheus_client import Counter as PrometheusCounter

OK = "ok"
TIMEOUT = "timeout"
CONNECTION = "connection"
UNSENT = "unsent"  # the generator was at its limit of requests in flight: its own failure, counted apart


class LoadMetrics:
    """Prometheus series of the generator; ``threshold_seconds`` (the objective) is an edge of the histogram."""

    def __init__(self, threshold_seconds: float, registry: CollectorRegistry) -> None:
        edges = sorted({0.005, 0.01, 0.025, 0.05, 0.075, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, threshold_seconds})
        self.requests = PrometheusCounter(
            "load_requests", "Requests by what became of them", ["outcome", "pool"], registry=registry
        )
        self.latency = Histogram(
            "load_latency_seconds", "From the intended send time to the whole answer, of answers with status 200",
            buckets=edges, registry=registry,
        )  # fmt: skip
        self.offered = Gauge("load_offered_per_second", "Requests/s that the schedule asks for now", registry=registry)
        self.in_flight = Gauge("load_in_flight", "Requests without an answer yet", registry=registry)


@dataclass
class _Second:
    due: int
    outcomes: Counter[str] = field(default_factory=Counter)
    pools: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)

    @property
    def closed(self) -> bool:
        return self.outcomes.total() == self.due


def _milliseconds(latencies: list[float]) -> dict[str, float | None]:
    """Percentiles of the answered requests; None where there was no answer at all."""
    if not latencies:
        return {"p50_ms": None, "p95_ms": None, "p99_ms": None}
    p50, p95, p99 = np.percentile(latencies, [50, 95, 99]) * 1000.0
    return {"p50_ms": round(p50, 1), "p95_ms": round(p95, 1), "p99_ms": round(p99, 1)}


class Tally:
    """Counts by second of the intended send time. ``due`` is the number of arrivals of each second."""

    def __init__(self, due: list[int], threshold_seconds: float, metrics: LoadMetrics | None = None) -> None:
        self._seconds = [_Second(count) for count in due]
        self._threshold_seconds = threshold_seconds
        self._metrics = metrics
        self._open = deque(range(len(due)))

    def record(self, second: int, outcome: str, latency_seconds: float | None = None, pool: str = "") -> None:
        """One request of ``second`` ended. ``latency_seconds`` only for ``ok``."""
        entry = self._seconds[second]
        entry.outcomes[outcome] += 1
        if pool:
            entry.pools[pool] += 1
        if latency_seconds is not None:
            entry.latencies.append(latency_seconds)
        if self._metrics is not None:
            self._metrics.requests.labels(outcome, pool).inc()
            if latency_seconds is not None:
                self._metrics.latency.observe(latency_seconds)

    def lines(self, now_seconds: float) -> Iterator[str]:
        """JSON of each second that is over and whose requests have all ended, in order, once."""
        while self._open and self._open[0] + 1 <= now_seconds and self._seconds[self._open[0]].closed:
            second = self._open.popleft()
            yield json.dumps({"second": second, **self._report(self._seconds[second])})

    def _report(self, entry: _Second) -> dict[str, Any]:
        outcomes = dict(entry.outcomes)
        late = sum(latency > self._threshold_seconds for latency in entry.latencies)
        sent = entry.outcomes.total() - outcomes.get(UNSENT, 0)
        return {
            "due": entry.due,
            "sent": sent,
            "ok": outcomes.pop(OK, 0),
            "timeouts": outcomes.pop(TIMEOUT, 0),
            "unsent": outcomes.pop(UNSENT, 0),
            "failed": outcomes,
            "within": len(entry.latencies) - late,
            **_milliseconds(entry.latencies),
            "pools": dict(entry.pools),
        }

    def summary(self) -> dict[str, Any]:
        """The whole run. ``within_ratio``: answered in time / all that were due (None without any)."""
        total = _Second(sum(entry.due for entry in self._seconds))
        for entry in self._seconds:
            total.outcomes.update(entry.outcomes)
            total.pools.update(entry.pools)
            total.latencies.extend(entry.latencies)
        report = self._report(total)
        return {
            "summary": True,
            "seconds": len(self._seconds),
            **report,
            "within_ratio": round(report["within"] / total.due, 5) if total.due else None,
        }
