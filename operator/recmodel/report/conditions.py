"""The conditions of a RecModel: judgements on what was observed, each with its reason and a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from recmodel.api.status import CONDITION_CHARACTERS, Condition, ConditionType, RecModelStatus, timestamp
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.cluster.transport.errors import shortened
from recmodel.core import reasons
from recmodel.core.types import Reason
from recmodel.prometheus.histogram import Bracket
from recmodel.prometheus.readings import NO_READY_POOL, NO_REQUESTS_SEEN, Verdict
from recmodel.report.decision_status import first_reason
from recmodel.report.node_buffers import buffers_say
from recmodel.report.overdue_pods import Overdue, overdue_by_pool, pods_not_ready, pods_not_started
from recmodel.report.pool_problems import (
    missing,
    not_yet_ordered,
    others,
    pods_not_starting,
    pods_refused,
    pods_say,
    withheld,
)
from recmodel.report.recommendation import target_problem
from recmodel.report.route_conditions import contested, impaired, noted, overlapped, refused
from recmodel.report.rule_holds import unrouted
from recmodel.report.snapshot import Snapshot
from recmodel.report.variant_conditions import NOT_OBSERVED, measured, optimised

# Reasons of conditions, beside those of decisions and readings. API: never renamed.
SERVING = "Serving"
STARTING = "Starting"
WITHIN_OBJECTIVE = "WithinObjective"
OBJECTIVE_MISSED = "ObjectiveMissed"
BRACKET_TOO_WIDE = "BracketTooWide"
ALL_SCHEDULED = "AllScheduled"
SCALING = "Scaling"
ROLLING_OUT = "RollingOut"
SETTLED = "Settled"
AS_WISHED = "AsWished"
ALL_ROLLED_OUT = "AllRolledOut"


def conditions(
    snapshot: Snapshot, pools: Mapping[str, PoolState], now: datetime, written: RecModelStatus
) -> list[Condition]:
    """All of them, or only Ready and Stalled where there has been no valid spec; a condition that keeps its status keeps its
    time. Stalled is there only while the newest spec is refused, as kstatus has it.
    """
    before = {condition.type: condition for condition in written.conditions}
    desired = snapshot.desired
    overdue = overdue_by_pool(pools, now.timestamp())
    troubles = _troubles(snapshot, pools, overdue, now.timestamp())
    found: list[tuple[ConditionType, str, Reason]] = [("Ready", *_ready(snapshot, pools, troubles))]
    if desired.invalid is not None:
        found.append(("Stalled", "True", desired.invalid if desired.spec is None else _kept(desired.invalid)))
    if desired.spec is not None:
        found += [
            ("ObjectiveMet", *_objective(snapshot)),
            ("MetricsAvailable", *_metrics(snapshot)),
            ("CapacityAvailable", *_capacity(pools)),
            ("Progressing", *_progressing(snapshot, pools, overdue)),
            ("Degraded", *_degraded(snapshot, pools, troubles)),
        ]
        if desired.spec.variants:
            found.append(("VariantsMeasured", *measured(snapshot)))
        if desired.job is not None:
            said = before.get("VariantsReady") if written.optimisation_job == desired.job else None
            found.append(("VariantsReady", *optimised(snapshot, desired.job, said)))
        if snapshot.versions.trials or any(state.serving.now for state in pools.values()):
            found.append(("RolledOut", *_rolled_out(snapshot, pools)))
    time = timestamp(now)
    return [
        Condition(
            type=kind,
            status=status,
            reason=reason.reason,
            message=shortened(reason.message, CONDITION_CHARACTERS),
            observed_generation=desired.generation,
            last_transition_time=before[kind].last_transition_time
            if kind in before and before[kind].status == status
            else time,
        )
        for kind, status, reason in found
    ]


def _troubles(snapshot: Snapshot, pools: Mapping[str, PoolState], overdue: Overdue, now_seconds: float) -> list[Reason]:
    """What is the matter with pods, the surest first."""
    found = (
        pods_refused(pools),
        pods_not_starting(pools, overdue),
        pods_not_started(snapshot, overdue, now_seconds),
        pods_not_ready(snapshot, overdue, now_seconds),
    )
    return [reason for reason in found if reason is not None]


def _ready(snapshot: Snapshot, pools: Mapping[str, PoolState], troubles: Sequence[Reason]) -> tuple[str, Reason]:
    desired = snapshot.desired
    unmade = None if any(state.exists for state in pools.values()) else withheld(desired)
    told = (target_problem(pools), snapshot.applied.failed, unmade, snapshot.decided.undecided)
    problems = [found for found in told if found is not None]
    if (
        desired.spec is None and desired.invalid is not None
    ):  # an invalid edit of one that serves is reported by Stalled
        problems = [desired.invalid]
    if problems:
        return "False", Reason(problems[0].reason, "; ".join(found.message for found in problems))
    without_pods = _no_pod(pools, troubles)
    if unready := refused(snapshot.route) or overlapped(snapshot.route, without_pods):
        return "False", unready
    if unready := without_pods or impaired(snapshot.route):
        return "False", unready
    ready = [name for name, state in pools.items() if state.ready > 0]
    return "True", Reason(
        SERVING, "; ".join([f"pools with ready replicas: {', '.join(ready)}", *noted(snapshot.route)])
    )


def _no_pod(pools: Mapping[str, PoolState], troubles: Sequence[Reason]) -> Reason | None:
    """Why no replica of any pool is ready; None where one is."""
    if any(state.ready > 0 for state in pools.values()):
        return None
    if not any(state.desired > 0 for state in pools.values()):
        return Reason(reasons.NO_READY_POOL, "no pool has a ready replica")
    if troubles:
        return Reason(troubles[0].reason, f"no replica is ready: {'; '.join(found.message for found in troubles)}")
    waiting = "; ".join(pods_say(pools, lambda one: not one.container and not one.refused))
    return Reason(STARTING, "no replica is ready yet" + (f": {waiting}" if waiting else ""))


def _kept(invalid: Reason) -> Reason:
    return Reason(invalid.reason, f"{invalid.message}; the last valid spec stays in effect")


def _objective(snapshot: Snapshot) -> tuple[str, Reason]:
    spec, reading = snapshot.desired.spec, snapshot.decided.reading
    if spec is None or reading is None or reading.within is None:
        if reading is None:
            return "Unknown", Reason(NOT_OBSERVED, "not observed yet")
        return "Unknown", Reason(reading.reason, reading.message)
    latency = spec.objective.latency
    least, within = latency.within_ratio, reading.within
    said = f"{shown_share(within)} of the requests within {latency.threshold}, {latency.percentile}% are asked for"
    if within.lower >= least:
        return "True", Reason(WITHIN_OBJECTIVE, said)
    if within.upper < least:
        vain = (
            []
            if snapshot.decision is None
            else [r.message for r in snapshot.decision.reasons if r.reason == reasons.FAILING_AT_ANY_LOAD]
        )
        if vain:
            return "False", Reason(reasons.FAILING_AT_ANY_LOAD, "; ".join([said, *vain]))
        return "False", Reason(OBJECTIVE_MISSED, said)
    if reading.verdict != Verdict.AVAILABLE:  # above all edges, or with none near it
        return "Unknown", Reason(reading.reason, f"{said}: {reading.message}")
    return "Unknown", Reason(BRACKET_TOO_WIDE, f"{said}: the threshold lies inside a histogram bucket")


def _metrics(snapshot: Snapshot) -> tuple[str, Reason]:
    reading = snapshot.decided.reading
    if reading is None:
        return "Unknown", Reason(NOT_OBSERVED, "Prometheus has not been asked yet")
    found = Reason(reading.reason, reading.message)
    if reading.reason in (NO_REQUESTS_SEEN, NO_READY_POOL):
        return "Unknown", found
    return ("True" if reading.verdict == Verdict.AVAILABLE else "False"), found


def _capacity(pools: Mapping[str, PoolState]) -> tuple[str, Reason]:
    waiting = {name: state.unschedulable for name, state in pools.items() if state.unschedulable}
    ahead = buffers_say(pools)
    if not waiting and (absent := missing(pools)):
        return "Unknown", Reason(NOT_OBSERVED, "; ".join([f"{absent}: no pod of it can ask for a node", *ahead]))
    if not waiting:
        return "True", Reason(ALL_SCHEDULED, "; ".join(["every pod has a node", *ahead]))
    said = ", ".join(f"{count} of pool {name}" for name, count in waiting.items())
    said = f"pods that no node takes or a quota forbids: {said}"
    if gated := {name: state.gated for name, state in pools.items() if state.gated}:
        held = ", ".join(f"{count} of pool {name}" for name, count in gated.items())
        said += f"; of these, {held} are held by a scheduling gate (SchedulingGated) until whoever set it takes it away"
    usual = {name: pools[name].scheduling_seconds for name in waiting}
    said += "".join(
        f"; pods of pool {name} that got a node lately waited {seconds:.0f} s for it (median)"
        for name, seconds in usual.items()
        if seconds is not None
    )
    said = "; ".join([said, *pods_say(pools, lambda one: not one.container), *ahead])
    return "False", Reason(reasons.POOL_UNSCHEDULABLE, said)


def _progressing(snapshot: Snapshot, pools: Mapping[str, PoolState], overdue: Overdue) -> tuple[str, Reason]:
    cut_short = [name for name, state in pools.items() if any(one.refused for one in state.waits)]
    besides = f"; new pods of {', '.join(cut_short)} are refused: see the condition Degraded" if cut_short else ""
    if overdue:
        besides += f"; pods of {', '.join(overdue)} are not Ready in time: see the condition Degraded"
    rolling = [
        name
        for name, state in pools.items()
        if state.updating and state.desired > 0 and not (state.unseen and state.ready != state.desired)
    ]
    if rolling:
        return "True", Reason(ROLLING_OUT, f"a roll-out is under way in {', '.join(rolling)}{besides}")
    scaling = [f"{name} {state.ready}/{state.desired}" for name, state in pools.items() if state.ready != state.desired]
    if scaling:
        return "True", Reason(SCALING, f"ready of desired replicas: {', '.join(scaling)}{besides}")
    if snapshot.applied.failed is not None:
        return "False", Reason(
            snapshot.applied.failed.reason, f"what is wanted could not be applied: {snapshot.applied.failed.message}"
        )
    if without := target_problem(pools):
        return "False", Reason(without.reason, f"nothing is done or waited for: {without.message}")
    if absent := missing(pools):
        if snapshot.desired.paused:
            return "False", Reason(reasons.PAUSED, f"mode Paused: {absent}, and none is made")
        if unmade := withheld(snapshot.desired):
            return "False", Reason(unmade.reason, f"{absent}, and none is made: {unmade.message}")
        return "True", Reason(SCALING, absent)
    if ordered := not_yet_ordered(snapshot.decision if snapshot.desired.acts else None, pools):
        of = "workload" if snapshot.desired.spec is not None and snapshot.desired.spec.by_reference else "Deployment"
        return "True", Reason(SCALING, f"decided, and not in the {of} yet: {', '.join(ordered)}")
    return "False", Reason(SETTLED, "all replicas are ready")


def _degraded(snapshot: Snapshot, pools: Mapping[str, PoolState], troubles: Sequence[Reason]) -> tuple[str, Reason]:
    """True for the gravest of what keeps the pools from what was decided, or may keep requests from them; the message has all
    of it.
    """
    decided = snapshot.decision
    found = [
        target_problem(pools),
        snapshot.applied.failed,
        snapshot.applied.lacking,
        withheld(snapshot.desired),
        others(pools),
        unrouted(pools),
        snapshot.applied.overwritten,
        *troubles,
        contested(snapshot.route),
        first_reason(decided) if decided is not None and decided.state == reasons.DEGRADED else None,
    ]
    if there := [reason for reason in found if reason is not None]:
        return "True", Reason(there[0].reason, "; ".join(reason.message for reason in there))
    if snapshot.desired.paused:
        return "False", Reason(reasons.PAUSED, "mode Paused: what differs from the spec is left as it is")
    if not snapshot.desired.acts:
        return "False", Reason(
            AS_WISHED, "mode Recommend: nothing keeps the pools from the spec; what was decided is not done"
        )
    if waiting := [name for name, state in pools.items() if state.unschedulable > 0]:
        told = f"what was decided is ordered, and pods of {', '.join(waiting)} have no node yet: see the condition CapacityAvailable"
        return "False", Reason(AS_WISHED, told)
    return "False", Reason(AS_WISHED, "nothing keeps the pools from what was decided")


def _rolled_out(snapshot: Snapshot, pools: Mapping[str, PoolState]) -> tuple[str, Reason]:
    """True: every pool serves its newest version; False: one was rolled back; Unknown: one is on trial."""
    by_phase = {trial.phase: trial for trial in snapshot.versions.trials.values()}
    for phase, status in (("RolledBack", "False"), ("Running", "Unknown"), ("Waiting", "Unknown")):
        if phase in by_phase:
            return status, by_phase[phase].reason
    if waiting := [name for name, state in pools.items() if state.serving.trial is not None]:
        return "Unknown", Reason(reasons.ROLLOUT_WAITING, f"no pod is ready yet in {', '.join(waiting)}")
    return "True", Reason(ALL_ROLLED_OUT, "every pool serves its newest version")


def shown_share(bracket: Bracket | None) -> str | None:
    """``97.2%``, or ``96.1%-98.0%`` where only a bracket is known."""
    if bracket is None:
        return None
    low, high = f"{100 * bracket.lower:.1f}%", f"{100 * bracket.upper:.1f}%"
    return low if low == high else f"{low}-{high}"
