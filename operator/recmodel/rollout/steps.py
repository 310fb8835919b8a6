"""A new version or variant comes into the traffic of one pool, step by step, and is rolled back when it is worse. Plain values.

``advance`` is called once a tick for each rollout, with what was counted since the last tick on the pool that changes and on the
pools that do not (or on the new and the old pods of one pool). Three things are compared by :mod:`recmodel.rollout.sequential`:
late requests, failed ones, and an online quality signal where there is one. The caller makes the pool's traffic limit
``limit_ratio(policy, rollout)``, and changes the pool's template where the phase says so:

* ``Waiting``: the pool serves the old version still, but no more than the first step: the others must carry the rest first.
* ``Stepping``: it answers at most the step's share.
* ``Done``: all that the decision gives it.  ``RolledBack``: nothing, until it serves the old version again.

What is unknown neither advances nor rolls back. While the objective is in danger nothing advances.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

from recmodel.core import reasons
from recmodel.core.types import Reason
from recmodel.rollout.sequential import Margin, SequentialEvidence, evidence_of, excess, loss, updated

Phase = Literal["Waiting", "Stepping", "Done", "RolledBack"]

BURSTS = 0.35  # neighbouring requests meet the same queue: their lateness says less than as many independent ones would
SIGNALS = ("late", "errors", "quality")
WORDS = {"late": "late or failed", "errors": "failed", "quality": "of the quality signal"}
SHARE_TOLERANCE = 0.01  # of the traffic: weights are whole thousandths, and rates are measured
FILLED = 0.5  # of its share must a pool have answered before the next step ...
PATIENCE = 3.0  # ... unless so many times the step's time did not bring it there
SUSPICION = 3.0  # log evidence from which on no step is taken (20 to 1), though it is not enough to roll back


@dataclass(frozen=True, slots=True)
class Policy:
    """How a rollout goes on, and what is allowed. Ratios are shares of requests 0..1."""

    steps: tuple[float, ...] = (0.01, 0.05, 0.25, 0.5, 1.0)
    step_seconds: float = 120.0
    min_requests: float = 500.0  # answered by the new version in a step before the next one
    max_late_excess_ratio: float = 0.02  # late or failed, above the current version's share
    max_error_excess_ratio: float = 0.01
    max_quality_loss_ratio: float = 0.05  # relative: 4.75 % clicks beside 5 %
    alpha: float = 0.01  # chance that a version that is within all of the above is rolled back
    confirm_seconds: float = (
        3600.0  # longest wait for evidence that the quality is within its margin, before the last step
    )

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip((0.0, *self.steps), self.steps, strict=False))
        if not self.steps or not rising or self.steps[-1] > 1.0:
            raise ValueError(f"steps must rise within 0..1, not {self.steps}")
        if not 0.0 < self.alpha < 1.0 or min(self.max_late_excess_ratio, self.max_error_excess_ratio) <= 0.0:
            raise ValueError("alpha must lie between 0 and 1, and the largest excesses above 0")
        if not 0.0 < self.max_quality_loss_ratio < 1.0:
            raise ValueError(f"the largest quality loss must lie between 0 and 1, not {self.max_quality_loss_ratio}")

    @property
    def needed(self) -> float:
        """Log evidence that rolls back: alpha is shared by the three signals; 5.7 at 1 %."""
        return math.log(3.0 / self.alpha)


@dataclass(frozen=True, slots=True)
class Side:
    """Counts since the last tick; None unknown. Late ones include the failed."""

    requests: float | None = None
    late: float | None = None
    errors: float | None = None
    quality_successes: float | None = None
    quality_trials: float | None = None


@dataclass(frozen=True, slots=True)
class RolloutTick:
    """One tick of both sides."""

    new: Side = Side()
    current: Side = Side()
    in_danger: bool = False  # the objective is missed, or nobody can see
    ready: bool = True  # the pool has ready pods of the version that its phase asks for
    share_ratio: float | None = None  # of the traffic that the pool gets now
    late_everywhere: bool = False  # the pools that do not change are late too, now: there is too little of everything


@dataclass(frozen=True, slots=True)
class Rollout:
    """How far one version has come on one pool."""

    pool: str
    version: str
    began_seconds: float  # of the step
    calm_since_seconds: float  # the same, or when the objective was last in danger or no pod was ready
    phase: Phase = "Waiting"
    step: int = 0
    requests: float = 0.0  # answered by the new version in this step
    evidence: Mapping[str, SequentialEvidence] = field(
        default_factory=lambda: dict.fromkeys(SIGNALS, SequentialEvidence())
    )


def begin(pool: str, version: str, now_seconds: float) -> Rollout:
    """A rollout that waits for its first step."""
    return Rollout(pool, version, now_seconds, now_seconds)


def limit_ratio(policy: Policy, rollout: Rollout) -> float:
    """Largest share of the model's traffic that the pool may answer now."""
    match rollout.phase:
        case "Waiting":
            return policy.steps[0]
        case "Stepping":
            return policy.steps[min(rollout.step, len(policy.steps) - 1)]
        case "Done":
            return 1.0
    return 0.0


def advance(policy: Policy, rollout: Rollout, seen: RolloutTick, now_seconds: float) -> tuple[Rollout, Reason | None]:
    """The rollout after a tick; and why, where it went on, waits for something, or was rolled back (None: its step takes time)."""
    if rollout.phase in ("Done", "RolledBack"):
        return rollout, None
    if rollout.phase == "Stepping":
        last = len(policy.steps) - 1  # the owner may have shortened the steps meanwhile
        rollout = _compared(policy, replace(rollout, step=min(rollout.step, last)), seen)
        for signal, evidence in rollout.evidence.items():
            if evidence.log_worse >= policy.needed:
                why = f"rolled back: {_figure(signal, evidence)}; at most {_allowed(policy, signal)} is allowed"
                back = replace(rollout, phase="RolledBack", began_seconds=now_seconds)
                return back, _reason(reasons.ROLLOUT_ROLLED_BACK, rollout, why)
    if seen.in_danger or not seen.ready:
        why = "the objective is in danger" if seen.in_danger else "no pod that it needs is ready"
        return replace(rollout, calm_since_seconds=now_seconds), _reason(reasons.ROLLOUT_WAITING, rollout, why)
    obstacle = _obstacle(policy, rollout, seen, now_seconds)
    if obstacle is not None:
        return rollout, _reason(reasons.ROLLOUT_WAITING, rollout, obstacle) if obstacle else None
    return _next(policy, rollout, now_seconds)


def _compared(policy: Policy, rollout: Rollout, seen: RolloutTick) -> Rollout:
    """The evidence with this tick's counts in it."""
    new, current = seen.new, seen.current
    counts = {
        "late": ((new.late, new.requests), (current.late, current.requests)),
        "errors": ((new.errors, new.requests), (current.errors, current.requests)),
        "quality": (_misses(new), _misses(current)),
    }
    if seen.in_danger and seen.late_everywhere:
        del counts["late"], counts["errors"]  # no version is to blame
    evidence = dict(rollout.evidence)
    for signal, (ours, theirs) in counts.items():
        evidence[signal] = updated(evidence[signal], _margin(policy, signal), ours, theirs, policy.needed)
    asked = new.requests if new.requests is not None and math.isfinite(new.requests) else 0.0
    return replace(rollout, evidence=evidence, requests=rollout.requests + max(asked, 0.0))


def _margin(policy: Policy, signal: str) -> Margin:
    if signal == "quality":
        return loss(policy.max_quality_loss_ratio, 1.0)
    return excess(policy.max_late_excess_ratio if signal == "late" else policy.max_error_excess_ratio, BURSTS)


def _misses(side: Side) -> tuple[float | None, float | None]:
    if side.quality_successes is None or side.quality_trials is None:
        return None, None
    # More successes than trials are possible where a click comes a tick after what it was made on: none was missed then.
    return max(side.quality_trials - side.quality_successes, 0.0), side.quality_trials


def _obstacle(policy: Policy, rollout: Rollout, seen: RolloutTick, now_seconds: float) -> str | None:
    """What keeps the next step: a sentence, or "" where it is only its time; None: nothing."""
    calm_seconds = now_seconds - rollout.calm_since_seconds
    if rollout.phase == "Waiting":
        return _too_large(policy.steps[0], seen.share_ratio)
    if calm_seconds < policy.step_seconds:
        return ""
    limit, share = policy.steps[rollout.step], seen.share_ratio
    # What a pool carries is learned from its load, so it comes to its share little by little; but it may be too dear for more.
    if share is not None and share < FILLED * limit < FILLED and calm_seconds < PATIENCE * policy.step_seconds:
        return f"the pool answers {share:.1%} of the {limit:.0%} that it may"
    if rollout.requests < policy.min_requests:
        return f"{rollout.requests:.0f} requests counted in this step, {policy.min_requests:.0f} are wanted"
    return _uncertain(policy, rollout, now_seconds)


def _too_large(first_ratio: float, share_ratio: float | None) -> str | None:
    """Why the first step must wait: the pool answers more than it lets it."""
    if share_ratio is None:
        return "the pool's share of the traffic is unknown"
    if share_ratio > first_ratio + SHARE_TOLERANCE:
        return f"the pool answers {share_ratio:.0%}, and the others must carry all but {first_ratio:.0%} first"
    return None


def _uncertain(policy: Policy, rollout: Rollout, now_seconds: float) -> str | None:
    """What is not certain enough yet, for the next step or, of the quality, for all of the traffic."""
    for signal, evidence in rollout.evidence.items():
        if evidence.log_worse > SUSPICION:
            return f"it seems to be worse, which is not certain yet: {_figure(signal, evidence)}"
    quality, waited = rollout.evidence["quality"], now_seconds - rollout.began_seconds
    alone = len(policy.steps) == 1  # pods are replaced one by one: there is no part of the traffic to try it on
    before_all = alone or policy.steps[rollout.step] < 1.0 <= (*policy.steps, 1.0)[rollout.step + 1]
    if before_all and quality.new_total > 0 and quality.fine < policy.needed and waited < policy.confirm_seconds:
        return f"its quality is not certain to be within the margin yet: {_figure('quality', quality)}"
    return None


def _next(policy: Policy, rollout: Rollout, now_seconds: float) -> tuple[Rollout, Reason]:
    fresh = replace(rollout, began_seconds=now_seconds, calm_since_seconds=now_seconds, requests=0.0)
    step = rollout.step + 1 if rollout.phase == "Stepping" else 0
    figures = [_figure(signal, e) for signal, e in rollout.evidence.items() if e.new_total > 0]
    if step >= len(policy.steps):
        return replace(fresh, phase="Done"), _reason(reasons.ROLLOUT_DONE, rollout, "; ".join(["serves", *figures]))
    said = "; ".join([f"may answer {100.0 * policy.steps[step]:g} % of the traffic", *figures])
    return replace(fresh, phase="Stepping", step=step), _reason(reasons.ROLLOUT_ADVANCED, rollout, said)


def _figure(signal: str, evidence: SequentialEvidence) -> str:
    new, current = evidence.shares() or (math.nan, math.nan)
    if signal == "quality":
        new, current = 1.0 - new, 1.0 - current
    return f"{new:.2%} {WORDS[signal]} against {current:.2%}"


def _allowed(policy: Policy, signal: str) -> str:
    return f"{_margin(policy, signal).shift:.1%} {'less of it' if signal == 'quality' else 'more'}"


def _reason(reason: str, rollout: Rollout, what: str) -> Reason:
    return Reason(reason, f"{rollout.pool}: version {rollout.version}: {what}")


def as_dict(rollout: Rollout) -> dict[str, Any]:
    """For JSON: all that a restarted operator needs to go on."""
    return {
        "pool": rollout.pool, "version": rollout.version, "phase": rollout.phase, "step": rollout.step,
        "began": rollout.began_seconds, "calmSince": rollout.calm_since_seconds, "requests": rollout.requests,
        "evidence": {signal: evidence.as_dict() for signal, evidence in rollout.evidence.items()},
    }  # fmt: skip


def from_dict(stored: Mapping[str, Any]) -> Rollout:
    """What :func:`as_dict` gave; ``ValueError`` where it is something else."""
    try:
        phase, numbers = stored["phase"], [float(stored[name]) for name in ("began", "calmSince", "requests")]
        pool, version, step = str(stored["pool"]), str(stored["version"]), int(stored["step"])
        evidence = {signal: evidence_of(stored["evidence"][signal]) for signal in SIGNALS}
    except (KeyError, TypeError) as error:
        raise ValueError(f"no rollout: {error}") from error
    if phase not in get_args(Phase) or step < 0 or not all(map(math.isfinite, numbers)):
        raise ValueError(f"no rollout: phase {phase!r}, step {step}, {numbers}")
    return Rollout(pool, version, numbers[0], numbers[1], cast(Phase, phase), step, numbers[2], evidence)
