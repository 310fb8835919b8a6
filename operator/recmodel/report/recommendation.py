"""Of pools by reference: what runs now and who scales it, beside what the operator would run, and the difference in money. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping

from recmodel.api.status import MixStatus, RecommendationStatus
from recmodel.cluster import weight_steps
from recmodel.cluster.observed.conflicting_controllers import does
from recmodel.cluster.observed.pool_state import PoolState, jointly_routed, routed_weights
from recmodel.cluster.transport.errors import shortened
from recmodel.core import reasons
from recmodel.core.types import Reason
from recmodel.prometheus.readings import Verdict
from recmodel.report.snapshot import Snapshot

MESSAGE_CHARACTERS = 2048
WORTH_MOVING = 10  # of 1,000: a smaller move of the weights is not worth a word


def recommendation(snapshot: Snapshot, pools: Mapping[str, PoolState]) -> RecommendationStatus | None:
    """What runs and what would run; None for pools that the operator makes or scales, and while a workload is not known."""
    spec = snapshot.desired.spec
    if spec is None or not spec.by_reference or target_problem(pools) is not None:
        return None
    if snapshot.desired.acts and not any(state.left_alone for state in pools.values()):
        return None
    price = {pool.name: float(pool.cost_per_hour) for pool in spec.pools}
    runs = {name: state.desired for name, state in pools.items()}
    weights = routed_weights(pools)
    running = _mix(runs, price, weights if len(weights) == len(pools) else None)
    said = f"runs {_said(runs)} at {running.cost_per_hour} an hour"
    acting = [
        f"{who} {does(who)} {name}"
        for name, state in pools.items()
        if state.reference
        for who in state.reference.acting
    ]
    said += f" ({', '.join(acting)})" if acting else ""
    wanted, unknown = _wanted(snapshot, pools)
    if wanted is None:
        message = f"{said}; what the operator would run is not known yet: {unknown}"
        return RecommendationStatus(message=shortened(message, MESSAGE_CHARACTERS), running=running)
    recommended = _mix(wanted, price, _shared(snapshot, pools))
    saving = round(sum((runs[name] - count) * price[name] for name, count in wanted.items()), 2) + 0.0
    difference = f", {abs(saving):.2f} {'less' if saving > 0 else 'more'}" if saving else ""
    said += (
        f"; would run the same{_unlearned(snapshot, runs)}"
        if wanted == runs
        else f"; would run {_said(wanted)} at {recommended.cost_per_hour} an hour{difference}"
    )
    said += _moved(running.weights, recommended.weights)
    if snapshot.decision is not None and any(r.reason == reasons.INFEASIBLE for r in snapshot.decision.reasons):
        said += "; no mix within replicas.max is enough for the load that is expected"
    return RecommendationStatus(
        message=shortened(said, MESSAGE_CHARACTERS),
        running=running,
        recommended=recommended,
        saving_per_hour=f"{saving:.2f}",
    )


def target_problem(pools: Mapping[str, PoolState]) -> Reason | None:
    """Which workloads that pools refer to are not there or cannot be read, and the way out."""
    found = [
        (name, state.reference.problem)
        for name, state in pools.items()
        if state.reference is not None and state.reference.problem is not None
    ]
    if not found:
        return None
    return Reason(found[0][1].reason, "; ".join(f"pool {name}: {problem.message}" for name, problem in found))


def _wanted(snapshot: Snapshot, pools: Mapping[str, PoolState]) -> tuple[Mapping[str, int] | None, str]:
    """Where the operator would go: to what the plan wants, and further where a guard adds replicas at once, or keeps them while
    the objective is missed. Else why that is not known: without a load the plan only holds what runs.
    """
    spec, decision, reading = snapshot.desired.spec, snapshot.decision, snapshot.decided.reading
    if reading is None or decision is None:
        return None, "nothing was decided yet"
    if reading.verdict != Verdict.AVAILABLE:
        return None, reading.message
    if decision.proposed_replicas.keys() != pools.keys():
        return None, "the last decision was made for other pools"
    planned, acting = decision.proposed_replicas, decision.acting_replicas
    late = (
        spec is not None and reading.within is not None and reading.within.upper < spec.objective.latency.within_ratio
    )
    grows = {name: acting[name] > pools[name].desired for name in planned}
    return {name: max(count, acting[name]) if late or grows[name] else count for name, count in planned.items()}, ""


def _unlearned(snapshot: Snapshot, runs: Mapping[str, int]) -> str:
    """Of which running pools nothing is known yet that could lead to another number."""
    estimates = snapshot.decision.estimates if snapshot.decision is not None else {}
    planned = {name: one.planned_per_replica for name, one in estimates.items() if runs.get(name)}
    unknown = [name for name, rate in planned.items() if rate is None or not math.isfinite(rate)]
    return f", as what a replica of {', '.join(unknown)} carries is not known yet" if unknown else ""


def _shared(snapshot: Snapshot, pools: Mapping[str, PoolState]) -> dict[str, int] | None:
    """The weights that would be set now; None where they are not the operator's to set."""
    decided = snapshot.decision.pools if snapshot.decision is not None else {}
    shares = {name: pool.weight for name, pool in decided.items() if pool.weight > 0}
    if not jointly_routed(pools) or not shares:
        return None
    return {**dict.fromkeys(decided, 0), **weight_steps.spread(shares)}


def _moved(now: Mapping[str, int] | None, then: Mapping[str, int] | None) -> str:
    if now is None or then is None:
        return ""
    if max(abs(then[name] - now[name]) for name in now) <= WORTH_MOVING:
        return "; would leave the weights as they are"
    return f"; would set the weights {_said(then)} of 1,000, which are {_said(now)}"


def _mix(
    replicas: Mapping[str, int], price: Mapping[str, float], weights: Mapping[str, int] | None = None
) -> MixStatus:
    cost = sum(count * price[name] for name, count in replicas.items())
    return MixStatus(
        replicas=dict(replicas), cost_per_hour=f"{cost:.2f}", weights=dict(weights) if weights is not None else None
    )


def _said(replicas: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in replicas.items())
