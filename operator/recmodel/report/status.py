"""The status: a judgement on what was observed. Pure; and what is worth writing of it.

A steady model causes no writes: numbers are rounded, and a status that differs from the written one in nothing but
small moves of its numbers is not written again.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel

from recmodel.api.pool_status import ContestStatus
from recmodel.api.status import (
    Condition,
    ForecastStatus,
    PoolStatus,
    RecModelStatus,
    RolloutStatus,
    VariantStatus,
    timestamp,
)
from recmodel.cluster.observed.pool_state import Contest, PoolState
from recmodel.prometheus.histogram import Bracket, percentile_bracket, served_bracket
from recmodel.prometheus.readings import PoolReading
from recmodel.report.conditions import conditions, shown_share
from recmodel.report.decision_status import cost_parts, first_reason, message, past_decisions, pool_decision
from recmodel.report.node_buffers import node_buffer
from recmodel.report.recommendation import recommendation
from recmodel.report.snapshot import Snapshot
from recmodel.rollout.known_variants import BY_HAND
from recmodel.rollout.trial import reported
from recmodel.rollout.wanted_versions import limits

NOISE_RATIO = 0.15  # a number that moved by less than this share is as good as the one that is written already


def judge(
    snapshot: Snapshot,
    pools: Mapping[str, PoolState],
    weights: Mapping[str, int],
    now: datetime,
    written: RecModelStatus,
) -> RecModelStatus:
    """The status of a RecModel; ``written`` is the one that stands: times of conditions and past decisions come
    from it.
    """
    if snapshot.desired.spec is None:  # never valid since we know it: only that can be said
        found = conditions(snapshot, {}, now, written)
        return RecModelStatus(
            observed_generation=snapshot.desired.generation, conditions=found, reason=found[0].reason,
            last_valid_spec=written.last_valid_spec,
        )  # fmt: skip
    decision, reading = snapshot.decision, snapshot.decided.reading
    readings = reading.pools if reading is not None else {}
    whole = reading is not None and reading.is_whole
    unknown = None if snapshot.desired.spec.by_reference else 0
    rates = [r.rate_per_second for r in readings.values() if whole and r.rate_per_second is not None]
    return RecModelStatus(
        observed_generation=snapshot.desired.generation,
        conditions=conditions(snapshot, pools, now, written),
        state=decision.state if decision else written.state,
        replicas=" ".join(f"{name} {state.ready}/{state.desired}" for name, state in pools.items()),
        within_threshold=shown_share(reading.within if reading else None),
        load_per_second=_number(sum(rates)) if rates else None,
        cost_per_hour=f"{decision.cost_per_hour:.2f}" if decision and decision.cost_per_hour is not None else None,
        cost_parts=cost_parts(decision) if decision else [],
        reason=first_reason(decision).reason if decision else written.reason,
        message=message(decision) if decision else written.message,
        last_decision_time=timestamp(datetime.fromtimestamp(decision.time_seconds, UTC))
        if decision
        else written.last_decision_time,
        pools=[
            _pool(snapshot, name, state, weights.get(name, unknown), readings.get(name), now)
            for name, state in pools.items()
        ],
        route_contested=_route_contested(snapshot, pools),
        recommendation=recommendation(snapshot, pools),
        forecast=[
            ForecastStatus(
                pool=name,
                seconds=round(f.horizon_seconds),
                p50_per_second=_number(f.p50_per_second),
                upper_per_second=_number(f.upper_per_second),
            )
            for name, f in (decision.forecast.items() if decision else ())
        ],
        variants=_variants(snapshot),
        optimisation_job=snapshot.desired.job,
        rollouts=_rollouts(snapshot),
        accuracy_budget_left=_whole_percent(decision.accuracy_budget_left_ratio if decision else None),
        latency_budget_left=_whole_percent(
            decision.latency_budget.left_ratio if decision and decision.latency_budget else None
        ),
        decisions=past_decisions(decision, weights, now, written.decisions),
        last_valid_spec=snapshot.desired.kept,
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


def _pool(
    snapshot: Snapshot,
    name: str,
    state: PoolState,
    weight: int | None,
    reading: PoolReading | None,
    now: datetime,
) -> PoolStatus:
    estimate = snapshot.decision.estimates.get(name) if snapshot.decision else None
    wanted = snapshot.decision.pools.get(name) if snapshot.decision and snapshot.desired.acts else None
    latency = reading.latency if reading else None
    spec = snapshot.desired.spec
    warm_up = next((pool.warm_up_seconds for pool in spec.pools if pool.name == name), 0.0) if spec else 0.0
    within = percentile = None
    if latency and spec is not None:
        threshold = spec.objective.latency.threshold_seconds
        rate, errors = reading.rate_per_second if reading else None, reading.errors_per_second if reading else None
        within = served_bracket(latency, threshold, rate, errors) if rate is not None else None
        percentile = percentile_bracket(latency, spec.objective.latency.within_ratio)
    capacity = estimate.capacity_per_replica if estimate else None
    planned = estimate.planned_per_replica if estimate else None
    startup = state.startup_seconds
    rate = reading.rate_per_second if reading else None
    return PoolStatus(
        name=name,
        desired=wanted.replicas if wanted and not state.left_alone else state.desired,
        ready=state.ready,
        warming=len(state.warming_for(now.timestamp(), warm_up)) if warm_up else None,
        weight=weight,
        load_per_second=_number(rate) if rate is not None else None,
        within_threshold=shown_share(within),
        latency_percentile=_times(percentile),
        capacity_per_replica=_number(capacity) if capacity is not None and math.isfinite(capacity) else None,
        planned_per_replica=_number(planned) if planned is not None and math.isfinite(planned) else None,
        startup_seconds=f"{startup:.0f}" if startup is not None else None,
        scheduling_seconds=f"{state.scheduling_seconds:.0f}" if state.scheduling_seconds is not None else None,
        node_buffer=node_buffer(snapshot.decision, name, state),
        contested=_contested(state.reference.shown, state.reference.contested) if state.reference is not None else None,
        unschedulable=state.unschedulable,
        version=state.serving.now.name if state.serving.now else None,
        decision=pool_decision(snapshot.decision, name) if snapshot.decision else None,
    )


def _route_contested(snapshot: Snapshot, pools: Mapping[str, PoolState]) -> ContestStatus | None:
    """Of the rule of somebody else's route; it is the same for all pools."""
    ref = snapshot.desired.spec.route_ref if snapshot.desired.spec is not None else None
    routed = (state.reference.routed for state in pools.values() if state.reference is not None)
    contest = next((one.contested for one in routed if one is not None), None)
    return _contested(ref.shown, contest) if ref is not None else None


def _contested(target: str, contest: Contest | None) -> ContestStatus | None:
    if contest is None:
        return None
    return ContestStatus(
        target=target,
        writers=list(contest.writers[:16]),
        times=contest.times,
        last_time=timestamp(datetime.fromtimestamp(contest.time_seconds, UTC)),
        stood_seconds=round(contest.stood_seconds),
    )


def _rollouts(snapshot: Snapshot) -> list[RolloutStatus]:
    if snapshot.desired.spec is None:
        return []
    limited = limits(snapshot.desired.spec, snapshot.versions.serving, snapshot.versions.trials)
    return [reported(trial, limited.get(name)) for name, trial in sorted(snapshot.versions.trials.items())]


def _variants(snapshot: Snapshot) -> list[VariantStatus]:
    known = snapshot.desired.variants
    if known is None:
        return []
    losses = known.spec.accuracy_loss_ratios()
    written = snapshot.desired.written
    by_hand = {v.name for v in written.variants if v.accuracy is not None} if written else set()
    result = []
    for variant in known.spec.variants:
        found = known.records.get(variant.name)
        measured = variant.accuracy is not None
        record = found.record if found and measured and variant.name not in by_hand else None
        source = f"ConfigMap {found.config_map}" if found and record else BY_HAND
        loss = losses.get(variant.name)
        result.append(
            VariantStatus(
                name=variant.name,
                version=variant.version,
                metric=variant.accuracy.metric if variant.accuracy else None,
                value=variant.accuracy.value if variant.accuracy else None,
                interval=f"{record.interval[0]:.6g}-{record.interval[1]:.6g}" if record else None,
                loss=f"{100 * loss:.2f}%" if loss is not None else None,
                source=source if measured else None,
            )
        )
    return result


def _number(value: float) -> str:
    """Three significant digits, as a plain decimal: ``1234.5`` is ``1230``, ``0.1234`` is ``0.123``."""
    if value <= 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    digits = 2 - math.floor(math.log10(value))
    return f"{round(value, digits):.{max(0, min(digits, 6))}f}"


def _whole_percent(ratio: float | None) -> str | None:
    return f"{100 * ratio:.0f}%" if ratio is not None and math.isfinite(ratio) else None


def _times(bracket: Bracket | None) -> str | None:
    if bracket is None:
        return None
    low, high = (
        f"{1000 * bound:.0f}ms" if bound < 1.0 else f"{bound:.4g}s" if math.isfinite(bound) else "unbounded"
        for bound in bracket
    )
    return f"{low}-{high}"


# Never alone worth a write: it goes with the next one, within a minute by the age of last_decision_time.
_NOISY = {"message", "decision", "cost_parts", "last_transition_time", "memory", "last_decision_time"}
# 7 and 8 are as different as versions can be.
_EXACT = {"version", "to", "before", "value", "interval", "step", "optimisation_job", "last_valid_spec"}
_TOLD = {"Stalled", "VariantsMeasured", "VariantsReady"}  # another edit, record or Job may change the message alone
# Conditions that say why pods do not start. The kubelet says ErrImagePull and ImagePullBackOff by turns: only a word that
# was not there is news, its going is not.
_CLUSTERS_WORDS = {"Degraded", "CapacityAvailable", "Ready"}
_WORD = re.compile(r"\b[A-Z][A-Za-z]*[A-Z][A-Za-z]*\b")
_NUMERIC = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def is_news(kind: str, new: str, old: str) -> bool:
    """Whether the message of a condition that keeps its status says something that it did not say before."""
    return kind in _CLUSTERS_WORDS and not {*_WORD.findall(new)} <= {*_WORD.findall(old)}


def _moved(new: Any, old: Any) -> bool:
    if new is old:
        return False
    if isinstance(new, BaseModel) and isinstance(old, BaseModel):
        before = old.__dict__
        noisy = _NOISY - {"message"} if before.get("type") in _TOLD else _NOISY
        if isinstance(new, Condition) and is_news(new.type, new.message, before["message"]):
            return True
        return any(
            value != before[key] if key in _EXACT else _moved(value, before[key])
            for key, value in new.__dict__.items()
            if key not in noisy
        )
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
