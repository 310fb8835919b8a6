"""What is on trial in a pool: the rollout's steps, what it is compared with, and how it is kept over a restart. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from recmodel.api.quantity import ratio, seconds
from recmodel.api.status import RolloutStatus, timestamp
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.core.types import Reason
from recmodel.rollout import steps
from recmodel.rollout.comparison import Shares

Phase = Literal["Waiting", "Running", "Proven", "RolledBack"]
PHASES: Mapping[str, Phase] = {
    "Waiting": "Waiting", "Stepping": "Running", "Done": "Proven", "RolledBack": "RolledBack",
}  # fmt: skip
LEAST_TICKS = 3  # the first one is what the others are judged by, and no single one may decide
LONGEST_GAP_TICKS = 3.0  # what happened while nobody looked for longer is not counted


@dataclass(frozen=True, slots=True)
class Trial:
    """A rollout on one pool, and what the controller must know of it."""

    rollout: steps.Rollout
    reason: Reason
    before: str | None = None  # the version that served before, for the report
    shares_before: Shares | None = None  # of the pool before its pods were replaced
    counted_seconds: float | None = None  # when its requests were last counted, Unix time

    @property
    def pool(self) -> str:
        """The pool that it is on."""
        return self.rollout.pool

    @property
    def phase(self) -> Phase:
        """The phase in the words of the status."""
        return PHASES[self.rollout.phase]


def policy_of(spec: RecModelSpec, stepwise: bool, tick_seconds: float = 0.0) -> steps.Policy:
    """The owner's rules, but no step is shorter than ``LEAST_TICKS``. A version that replaces another pod by pod has one
    step: all of its pool.
    """
    rules = spec.rollout
    quality = rules.quality
    return steps.Policy(
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


def counted(trial: Trial, now_seconds: float, tick_seconds: float) -> float:
    """Seconds since the trial's requests were counted last; a tick where that was long ago, or never."""
    gap = now_seconds - trial.counted_seconds if trial.counted_seconds is not None else tick_seconds
    return gap if 0.0 < gap <= LONGEST_GAP_TICKS * tick_seconds else tick_seconds


def reported(trial: Trial, limit_ratio: float | None) -> RolloutStatus:
    """The trial in the status. What a new process needs to go on is in ``memory``."""
    rollout = trial.rollout
    memory = {
        **steps.as_dict(rollout),
        "usual": [trial.shares_before.late, trial.shares_before.failed] if trial.shares_before else None,
    }
    running = trial.phase in ("Waiting", "Running")
    return RolloutStatus(
        pool=rollout.pool,
        to=rollout.version,
        before=trial.before,
        phase=trial.phase,
        step=rollout.step if trial.phase == "Running" and limit_ratio is not None else None,
        largest_share=f"{100 * limit_ratio:g}%" if limit_ratio is not None else None,
        since=timestamp(datetime.fromtimestamp(rollout.began_seconds, UTC)),
        reason=trial.reason.reason,
        message=trial.reason.message[:1024],
        memory=json.dumps(memory, separators=(",", ":")) if running else None,
    )


def recalled(status: RolloutStatus, now_seconds: float) -> Trial:
    """The trial that a status tells of; one without a memory that can be read begins its step again."""
    reason = Reason(status.reason, status.message)
    shares_before = None
    try:
        memory = json.loads(status.memory or "null")
        rollout = steps.from_dict(memory)
        datetime.fromtimestamp(rollout.began_seconds, UTC)
        shares_before = Shares(*map(_finite, memory["usual"])) if memory["usual"] else None
    except (ValueError, TypeError, KeyError, AttributeError, OSError, OverflowError, RecursionError):
        phase = {"Waiting": "Waiting", "Running": "Stepping", "Proven": "Done"}.get(status.phase, "RolledBack")
        rollout = steps.from_dict({**steps.as_dict(steps.begin(status.pool, status.to, now_seconds)), "phase": phase})
    return Trial(rollout, reason, status.before, shares_before)


def _finite(number: Any) -> float:
    found = float(number)
    if not math.isfinite(found):
        raise ValueError(f"{found} is no share")
    return found
