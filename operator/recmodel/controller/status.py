"""The status: a judgement on what was observed. Pure; and what is worth writing of it.

A steady model causes no writes: numbers are rounded, and a status that differs from the written one in nothing but
small moves of its numbers is not written again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from recmodel.api.status import Condition, ConditionType, DecisionStatus, ForecastStatus, PoolStatus, RecModelStatus
from recmodel.cluster.inventory import PoolState
from recmodel.controller.tracked import Tracked
from recmodel.core import reasons
from recmodel.core.types import Decision, Reason
from recmodel.prometheus import Bracket, PoolReading, Verdict, percentile_bracket, served_bracket

DECISIONS_KEPT = 10
NOISE_RATIO = 0.15  # a number that moved by less than this share is as good as the one that is written already

# Reasons of conditions, beside those of decisions and readings. API: never renamed.
SERVING = "Serving"
STARTING = "Starting"
WITHIN_OBJECTIVE = "WithinObjective"
OBJECTIVE_MISSED = "ObjectiveMissed"
BRACKET_TOO_WIDE = "BracketTooWide"
NO_TRAFFIC_SEEN = "NoTrafficSeen"
ALL_SCHEDULED = "AllScheduled"
SCALING = "Scaling"
ROLLING_OUT = "RollingOut"
SETTLED = "Settled"
AS_WISHED = "AsWished"
ANOTHER_AUTOSCALER = "AnotherAutoscaler"
NOT_OBSERVED = "NotObserved"


def judge(
    tracked: Tracked,
    pools: Mapping[str, PoolState],
    weights: Mapping[str, int],
    now: datetime,
    written: RecModelStatus,
) -> RecModelStatus:
    """The status of a RecModel; ``written`` is the one that stands: times of conditions and past decisions come
    from it.
    """
    if tracked.spec is None:  # never valid since we know it: only that can be said
        conditions = _conditions(tracked, {}, now, written)
        return RecModelStatus(
            observed_generation=tracked.generation, conditions=conditions, state=None, reason=conditions[0].reason
        )
    decision, reading = tracked.decision, tracked.reading
    readings = reading.pools if reading is not None else {}
    rates = [r.rate_per_second for r in readings.values() if r.rate_per_second is not None]
    return RecModelStatus(
        observed_generation=tracked.generation,
        conditions=_conditions(tracked, pools, now, written),
        state=decision.state if decision else written.state,
        replicas=" ".join(f"{name} {state.ready}/{state.desired}" for name, state in pools.items()),
        within_threshold=_share(reading.within if reading else None),
        load_per_second=_number(sum(rates)) if rates else None,
        cost_per_hour=f"{decision.cost_per_hour:.2f}" if decision and decision.cost_per_hour is not None else None,
        reason=_first(decision).reason if decision else written.reason,
        pools=[_pool(tracked, name, state, weights.get(name, 0), readings.get(name)) for name, state in pools.items()],
        forecast=[
            ForecastStatus(
                pool=name,
                seconds=round(f.horizon_seconds),
                p50_per_second=_number(f.p50_per_second),
                upper_per_second=_number(f.upper_per_second),
            )
            for name, f in (decision.forecast.items() if decision else ())
        ],
        decisions=_decisions(tracked, weights, now, written.decisions),
    )


def worth_writing(new: RecModelStatus, written: RecModelStatus) -> bool:
    """Whether the difference is more than noise: small moves of numbers and of the sentences that hold them are
    noise.
    """
    return _moved(new, written)


def written_status(body: Mapping[str, Any]) -> RecModelStatus:
    """The status that stands in an object; an empty one where it cannot be read (an older or newer operator wrote
    it).
    """
    try:
        return RecModelStatus.model_validate(body.get("status") or {})
    except ValueError:
        return RecModelStatus()


def as_object(status: RecModelStatus) -> dict[str, Any]:
    """The status as the API takes it."""
    return status.model_dump(by_alias=True, exclude_none=True)


def _pool(tracked: Tracked, name: str, state: PoolState, weight: int, reading: PoolReading | None) -> PoolStatus:
    estimate = tracked.decision.estimates.get(name) if tracked.decision else None
    wanted = tracked.decision.pools.get(name) if tracked.decision and tracked.acts else None
    latency = reading.latency if reading else None
    spec = tracked.spec
    within = percentile = None
    if latency and spec is not None:
        threshold = spec.objective.latency.threshold_seconds
        rate, errors = reading.rate_per_second if reading else None, reading.errors_per_second if reading else None
        within = served_bracket(latency, threshold, rate, errors) if rate is not None else None
        percentile = percentile_bracket(latency, spec.objective.latency.percentile / 100.0)
    capacity = estimate.capacity_per_replica if estimate else None
    rate = reading.rate_per_second if reading else None
    return PoolStatus(
        name=name,
        desired=wanted.replicas if wanted else state.desired,
        ready=state.ready,
        weight=weight,
        load_per_second=_number(rate) if rate is not None else None,
        within_threshold=_share(within),
        latency_percentile=_milliseconds(percentile),
        capacity_per_replica=_number(capacity) if capacity is not None and math.isfinite(capacity) else None,
        startup_seconds=f"{state.startup_seconds:.0f}" if state.startup_seconds is not None else None,
        unschedulable=state.unschedulable,
    )


def _conditions(
    tracked: Tracked, pools: Mapping[str, PoolState], now: datetime, written: RecModelStatus
) -> list[Condition]:
    before = {condition.type: condition for condition in written.conditions}
    found: list[tuple[ConditionType, str, Reason]] = [("Ready", *_ready(tracked, pools))]
    if tracked.spec is not None:
        found += [
            ("ObjectiveMet", *_objective(tracked)),
            ("MetricsAvailable", *_metrics(tracked)),
            ("CapacityAvailable", *_capacity(pools)),
            ("Progressing", *_progressing(pools)),
            ("Degraded", *_degraded(tracked, pools)),
        ]
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        Condition(
            type=kind,
            status=status,
            reason=reason.reason,
            message=reason.message[:1024],
            observed_generation=tracked.generation,
            last_transition_time=before[kind].last_transition_time
            if kind in before and before[kind].status == status
            else time,
        )
        for kind, status, reason in found
    ]


def _ready(tracked: Tracked, pools: Mapping[str, PoolState]) -> tuple[str, Reason]:
    if tracked.invalid is not None:
        return "False", tracked.invalid
    if tracked.failed is not None:
        return "False", tracked.failed
    ready = {name: state.ready for name, state in pools.items() if state.ready > 0}
    if ready:
        return "True", Reason(SERVING, f"pools with ready replicas: {', '.join(ready)}")
    if any(state.desired > 0 for state in pools.values()):
        return "False", Reason(STARTING, "no replica is ready yet")
    return "False", Reason(reasons.NO_READY_POOL, "no pool has a ready replica")


def _objective(tracked: Tracked) -> tuple[str, Reason]:
    spec, reading = tracked.spec, tracked.reading
    if spec is None or reading is None or reading.within is None:
        reason = Reason(reading.reason, reading.message) if reading else Reason(NOT_OBSERVED, "not observed yet")
        return "Unknown", reason
    latency = spec.objective.latency
    least, within = latency.percentile / 100.0, reading.within
    said = f"{_share(within)} of the requests within {latency.threshold}, {latency.percentile}% are asked for"
    if within.lower >= least:
        return "True", Reason(WITHIN_OBJECTIVE, said)
    if within.upper < least:
        return "False", Reason(OBJECTIVE_MISSED, said)
    return "Unknown", Reason(BRACKET_TOO_WIDE, f"{said}: the threshold lies inside a histogram bucket")


def _metrics(tracked: Tracked) -> tuple[str, Reason]:
    reading = tracked.reading
    if reading is None:
        return "Unknown", Reason(NOT_OBSERVED, "Prometheus has not been asked yet")
    return ("True" if reading.verdict == Verdict.AVAILABLE else "False"), Reason(reading.reason, reading.message)


def _capacity(pools: Mapping[str, PoolState]) -> tuple[str, Reason]:
    waiting = {name: state.unschedulable for name, state in pools.items() if state.unschedulable}
    if not waiting:
        return "True", Reason(ALL_SCHEDULED, "every pod has a node")
    said = ", ".join(f"{count} of pool {name}" for name, count in waiting.items())
    return "False", Reason(reasons.POOL_UNSCHEDULABLE, f"pods that no node takes or a quota forbids: {said}")


def _progressing(pools: Mapping[str, PoolState]) -> tuple[str, Reason]:
    if rolling := [name for name, state in pools.items() if state.updating and state.desired > 0]:
        return "True", Reason(ROLLING_OUT, f"new pods are rolled out in {', '.join(rolling)}")
    scaling = [f"{name} {state.ready}/{state.desired}" for name, state in pools.items() if state.ready != state.desired]
    if scaling:
        return "True", Reason(SCALING, f"ready of desired replicas: {', '.join(scaling)}")
    return "False", Reason(SETTLED, "all replicas are ready")


def _degraded(tracked: Tracked, pools: Mapping[str, PoolState]) -> tuple[str, Reason]:
    owners = {name: state.autoscaler for name, state in pools.items() if state.autoscaler}
    if owners:
        said = ", ".join(f"{owner} scales pool {name}" for name, owner in owners.items())
        return "True", Reason(
            ANOTHER_AUTOSCALER, f"{said}: delete it, or take the pool out; its replicas are left alone"
        )
    if tracked.decision is not None and tracked.decision.state == reasons.DEGRADED:
        return "True", _first(tracked.decision)
    return "False", Reason(AS_WISHED, "nothing keeps the pools from what was decided")


def _decisions(
    tracked: Tracked, weights: Mapping[str, int], now: datetime, before: Sequence[DecisionStatus]
) -> list[DecisionStatus]:
    """The last decisions that changed replicas, newest first; in Recommend and Paused, where nothing may change, those
    that would have.
    """
    decision = tracked.decision
    if decision is None:
        return list(before)
    replicas = {name: pool.replicas for name, pool in decision.pools.items()}
    same = bool(before) and before[0].replicas == replicas and before[0].state == decision.state
    if same and (decision.state != reasons.RECOMMENDING or (before[0].wish or {}) == decision.wish):
        return list(before)
    latest = DecisionStatus(
        time=now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        state=decision.state,
        replicas=replicas,
        weights=dict(weights),
        wish=dict(decision.wish) or None,
        reason=_first(decision).reason,
        message="; ".join(reason.message for reason in decision.reasons)[:2048],
        runner_up=_runner_up(decision),
    )
    return [latest, *before][:DECISIONS_KEPT]


def _runner_up(decision: Decision) -> str | None:
    if not decision.runner_up:
        return None
    mix = ", ".join(f"{name} {count}" for name, count in decision.runner_up.items())
    cost = decision.runner_up_cost_per_hour
    return (f"{mix} at {cost:.2f} an hour" if cost is not None else mix)[:256]


def _first(decision: Decision) -> Reason:
    return decision.reasons[0] if decision.reasons else Reason(reasons.STEADY, "nothing changes")


def _number(value: float) -> str:
    """Three significant digits, as a plain decimal: ``1234.5`` is ``1230``, ``0.1234`` is ``0.123``."""
    if value <= 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    digits = 2 - math.floor(math.log10(value))
    return f"{round(value, digits):.{max(0, min(digits, 6))}f}"


def _share(bracket: Bracket | None) -> str | None:
    """``97.2%``, or ``96.1%-98.0%`` where only a bracket is known."""
    if bracket is None:
        return None
    low, high = f"{100 * bracket.lower:.1f}%", f"{100 * bracket.upper:.1f}%"
    return low if low == high else f"{low}-{high}"


def _milliseconds(bracket: Bracket | None) -> str | None:
    if bracket is None:
        return None
    high = f"{1000 * bracket.upper:.0f}ms" if math.isfinite(bracket.upper) else "unbounded"
    return f"{1000 * bracket.lower:.0f}ms-{high}"


_NOISY = {"message", "last_transition_time"}  # never alone worth a write
_NUMERIC = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def _moved(new: Any, old: Any) -> bool:
    if new is old:
        return False
    if isinstance(new, BaseModel) and isinstance(old, BaseModel):
        before = old.__dict__
        return any(_moved(value, before[key]) for key, value in new.__dict__.items() if key not in _NOISY)
    if isinstance(new, dict) and isinstance(old, dict):
        return new.keys() != old.keys() or any(_moved(new[key], old[key]) for key in new)
    if isinstance(new, list) and isinstance(old, list):
        return len(new) != len(old) or any(_moved(x, y) for x, y in zip(new, old, strict=True))
    if isinstance(new, str) and isinstance(old, str) and new != old:
        # The same words around numbers that moved a little.
        if _NUMERIC.sub("#", new) != _NUMERIC.sub("#", old):
            return True
        pairs = zip(_NUMERIC.findall(new), _NUMERIC.findall(old), strict=True)
        return any(abs(float(x) - float(y)) > NOISE_RATIO * max(float(x), float(y)) for x, y in pairs)
    return bool(new != old)
