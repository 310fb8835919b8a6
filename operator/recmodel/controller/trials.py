"""What is on trial in a pool: the core's rollout, what it is compared with, and how it is kept over a restart. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from recmodel.api.quantity import ratio, seconds
from recmodel.api.status import RolloutStatus
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.core import rollout as core
from recmodel.core.fleet import late_bracket
from recmodel.core.types import Reason
from recmodel.prometheus import PoolReading, Rates

Phase = Literal["Waiting", "Running", "Proven", "RolledBack"]
PHASES: Mapping[str, Phase] = {
    "Waiting": "Waiting", "Shadow": "Running", "Stepping": "Running", "Done": "Proven", "RolledBack": "RolledBack",
}  # fmt: skip
LEAST_TICKS = 3  # the first one is what the others are judged by, and no single one may decide
LONGEST_GAP_TICKS = 3.0  # what happened while nobody looked for longer is not counted


@dataclass(frozen=True, slots=True)
class Shares:
    """Of a pool's requests: late or failed, and failed."""

    late: float
    failed: float


@dataclass(frozen=True, slots=True)
class Trial:
    """A rollout on one pool, and what the controller must know of it."""

    rollout: core.Rollout
    reason: Reason
    before: str | None = None  # the version that served before, for the report
    usual: Shares | None = None  # of the pool before its pods were replaced
    counted_seconds: float | None = None  # when its requests were last counted, Unix time

    @property
    def pool(self) -> str:
        """The pool that it is on."""
        return self.rollout.pool

    @property
    def phase(self) -> Phase:
        """The phase in the words of the status."""
        return PHASES[self.rollout.phase]


def policy_of(spec: RecModelSpec, stepwise: bool, tick_seconds: float = 0.0) -> core.Policy:
    """The owner's rules, but no step is shorter than ``LEAST_TICKS``. A version that replaces another pod by pod has one
    step: all of its pool.
    """
    rules = spec.rollout
    quality = rules.quality
    return core.Policy(
        steps=(*(ratio(step) for step in rules.steps), 1.0) if stepwise else (1.0,),
        step_seconds=max(rules.step_seconds, LEAST_TICKS * tick_seconds),
        min_requests=float(rules.min_requests),
        max_late_excess_ratio=ratio(rules.max_late_excess),
        max_error_excess_ratio=ratio(rules.max_error_excess),
        **(
            {"max_quality_loss_ratio": ratio(quality.max_loss), "confirm_seconds": seconds(quality.confirm_within)}
            if quality
            else {}
        ),
    )


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
) -> core.Side:
    """What the pool on trial answered in ``counted_seconds``. Doubt is in its favour: only what surely was late counts."""
    shares = shares_of(reading, threshold_seconds, certain=True)
    good, tried = _quality([rates] if rates else [], counted_seconds)
    if shares is None or reading is None or reading.rate_per_second is None:
        return core.Side(quality_successes=good, quality_trials=tried)
    requests = reading.rate_per_second * counted_seconds
    return core.Side(requests, shares.late * requests, shares.failed * requests, good, tried)


def current_side(
    readings: list[PoolReading], rates: list[Rates], threshold_seconds: float, counted_seconds: float
) -> core.Side:
    """What the other pools answered meanwhile; those of which something is unknown are left out."""
    known = [
        (reading.rate_per_second * counted_seconds, shares)
        for reading in readings
        if reading.rate_per_second and (shares := shares_of(reading, threshold_seconds, certain=False))
    ]
    good, tried = _quality(rates, counted_seconds)
    if not known:
        return core.Side(quality_successes=good, quality_trials=tried)
    requests = sum(count for count, _ in known)
    late, failed = (sum(count * getattr(s, what) for count, s in known) for what in ("late", "failed"))
    return core.Side(requests, late, failed, good, tried)


def beside_usual(current: core.Side, new: core.Side, usual: Shares | None, late_budget_ratio: float) -> core.Side:
    """A version is compared with the other pools now and with its own pool before, whichever was worse: a pool on a
    slower device is no fault of its version, nor is a load that makes everybody late. Without either it is compared
    with what the objective lets pass.
    """
    if new.requests is None:
        return current
    if current.requests is None or current.late is None or current.errors is None:
        known = usual or Shares(late_budget_ratio, 0.0)
        return replace(
            current, requests=new.requests, late=known.late * new.requests, errors=known.failed * new.requests
        )
    if usual is None:
        return current
    late = max(current.late, usual.late * current.requests)
    return replace(current, late=late, errors=max(current.errors, usual.failed * current.requests))


def counted(trial: Trial, now_seconds: float, tick_seconds: float) -> float:
    """Seconds since the trial's requests were counted last; a tick where that was long ago, or never."""
    gap = now_seconds - trial.counted_seconds if trial.counted_seconds is not None else tick_seconds
    return gap if 0.0 < gap <= LONGEST_GAP_TICKS * tick_seconds else tick_seconds


def _quality(rates: list[Rates], counted_seconds: float) -> tuple[float | None, float | None]:
    if not rates:
        return None, None
    good = sum(rate.successes_per_second for rate in rates)
    return good * counted_seconds, sum(rate.trials_per_second for rate in rates) * counted_seconds


def reported(trial: Trial, limit_ratio: float | None) -> RolloutStatus:
    """The trial in the status. What a new process needs to go on is in ``memory``."""
    rollout = trial.rollout
    memory = {**core.as_dict(rollout), "usual": [trial.usual.late, trial.usual.failed] if trial.usual else None}
    since = datetime.fromtimestamp(rollout.began_seconds, UTC)
    running = trial.phase in ("Waiting", "Running")
    return RolloutStatus(
        pool=rollout.pool,
        to=rollout.version,
        before=trial.before,
        phase=trial.phase,
        step=rollout.step if trial.phase == "Running" and limit_ratio is not None else None,
        largest_share=f"{100 * limit_ratio:g}%" if limit_ratio is not None else None,
        since=since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        reason=trial.reason.reason,
        message=trial.reason.message[:1024],
        memory=json.dumps(memory, separators=(",", ":")) if running else None,
    )


def recalled(status: RolloutStatus, now_seconds: float) -> Trial:
    """The trial that a status tells of; one without a memory that can be read begins its step again."""
    reason = Reason(status.reason, status.message)
    usual = None
    try:
        memory = json.loads(status.memory or "null")
        rollout = core.from_dict(memory)
        datetime.fromtimestamp(rollout.began_seconds, UTC)
        usual = Shares(*map(_finite, memory["usual"])) if memory["usual"] else None
    except (ValueError, TypeError, KeyError, AttributeError, OSError, OverflowError, RecursionError):
        phase = {"Waiting": "Waiting", "Running": "Stepping", "Proven": "Done"}.get(status.phase, "RolledBack")
        rollout = core.from_dict({**core.as_dict(core.begin(status.pool, status.to, now_seconds)), "phase": phase})
    return Trial(rollout, reason, status.before, usual)


def _finite(number: Any) -> float:
    found = float(number)
    if not math.isfinite(found):
        raise ValueError(f"{found} is no share")
    return found
