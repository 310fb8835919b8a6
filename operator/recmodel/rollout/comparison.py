"""Both sides of a comparison: what the pool that changes answered, and what it is compared with. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from recmodel.core.arrays.observed import late_bracket
from recmodel.prometheus.readings import PoolReading, Rates
from recmodel.rollout import steps


@dataclass(frozen=True, slots=True)
class Shares:
    """Of a pool's requests: late or failed, and failed."""

    late: float
    failed: float


def shares_of(reading: PoolReading | None, threshold_seconds: float, certain: bool) -> Shares | None:
    """Shares of late and failed requests; None where unknown. ``certain``: only what surely was late, where the
    threshold lies inside a bucket; else all that may have been.
    """
    if reading is None or not reading.rate_per_second:
        return None
    bracket = late_bracket(reading.latency, reading.rate_per_second, reading.errors_per_second, threshold_seconds)
    late = bracket[0 if certain else 1]
    if not math.isfinite(late):
        return None
    return Shares(late, (reading.errors_per_second or 0.0) / reading.rate_per_second)


def new_side(
    reading: PoolReading | None, rates: Rates | None, threshold_seconds: float, counted_seconds: float
) -> steps.Side:
    """What the pool on trial answered in ``counted_seconds``. Doubt is in its favour: only what surely was late counts."""
    shares = shares_of(reading, threshold_seconds, certain=True)
    good, tried = _quality([rates] if rates else [], counted_seconds)
    if shares is None or reading is None or reading.rate_per_second is None:
        return steps.Side(quality_successes=good, quality_trials=tried)
    requests = reading.rate_per_second * counted_seconds
    return steps.Side(requests, shares.late * requests, shares.failed * requests, good, tried)


def current_side(
    readings: list[PoolReading], rates: list[Rates], threshold_seconds: float, counted_seconds: float
) -> steps.Side:
    """What the other pools answered meanwhile; those of which something is unknown are left out."""
    known = [
        (reading.rate_per_second * counted_seconds, shares)
        for reading in readings
        if reading.rate_per_second and (shares := shares_of(reading, threshold_seconds, certain=False))
    ]
    good, tried = _quality(rates, counted_seconds)
    if not known:
        return steps.Side(quality_successes=good, quality_trials=tried)
    requests = sum(count for count, _ in known)
    late, failed = (sum(count * getattr(s, what) for count, s in known) for what in ("late", "failed"))
    return steps.Side(requests, late, failed, good, tried)


def beside_shares_before(
    current: steps.Side, new: steps.Side, before: Shares | None, late_budget_ratio: float
) -> steps.Side:
    """A version is compared with the other pools now and with its own pool before, whichever was worse: a pool on a
    slower device is no fault of its version, nor is a load that makes everybody late. Without either it is compared
    with what the objective lets pass.
    """
    if new.requests is None:
        return current
    if current.requests is None or current.late is None or current.errors is None:
        known = before or Shares(late_budget_ratio, 0.0)
        return replace(
            current, requests=new.requests, late=known.late * new.requests, errors=known.failed * new.requests
        )
    if before is None:
        return current
    late = max(current.late, before.late * current.requests)
    return replace(current, late=late, errors=max(current.errors, before.failed * current.requests))


def _quality(rates: list[Rates], counted_seconds: float) -> tuple[float | None, float | None]:
    if not rates:
        return None, None
    good = sum(rate.successes_per_second for rate in rates)
    return good * counted_seconds, sum(rate.trials_per_second for rate in rates) * counted_seconds
