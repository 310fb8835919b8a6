"""What a status says of decisions: why the present one gives each pool its replicas, and the past ones that changed some. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise

from recmodel.api.pool_status import PoolDecisionStatus
from recmodel.api.status import CostPartStatus, DecisionStatus, timestamp
from recmodel.cluster.transport.errors import shortened
from recmodel.core import reasons
from recmodel.core.types import Decision, Reason

DECISIONS_KEPT = 10
MESSAGE_CHARACTERS = 2048
POOL_MESSAGE_CHARACTERS = 1024
COST_CHARACTERS = 512


def first_reason(decision: Decision) -> Reason:
    """What the forecast asked for."""
    return decision.reasons[0] if decision.reasons else Reason(reasons.STEADY, "nothing changes")


def pool_decision(decision: Decision, name: str) -> PoolDecisionStatus:
    """What the plan wanted of a pool, and the last guard that changed it."""
    pool = decision.pools.get(name)
    bound, left = (pool.bound, pool.bound_left_seconds) if pool else (None, None)
    decided_at = datetime.fromtimestamp(decision.time_seconds, UTC)
    return PoolDecisionStatus(
        proposed_replicas=decision.proposed_replicas.get(name),
        reason=bound.reason if bound else None,
        message=shortened(bound.message, POOL_MESSAGE_CHARACTERS) if bound else None,
        until=timestamp(decided_at + timedelta(seconds=left)) if left is not None else None,
    )


def cost_parts(decision: Decision) -> list[CostPartStatus]:
    """Why the decision costs what it does; they add up to the cost as it is shown."""
    decided_at = datetime.fromtimestamp(decision.time_seconds, UTC)
    ends = [None if part.left_seconds is None else timedelta(seconds=part.left_seconds) for part in decision.cost_parts]
    return [
        CostPartStatus(
            part=part.part,
            cost_per_hour=cost,
            message=shortened(cost_sentence(part.message, part.reason, None if end else part.ends), COST_CHARACTERS),
            until=timestamp(decided_at + end) if end else None,
        )
        for part, end, cost in zip(
            decision.cost_parts, ends, shown_costs([part.cost_per_hour for part in decision.cost_parts]), strict=True
        )
        if float(cost)
    ]


def shown_costs(costs: Sequence[float]) -> list[str]:
    """With two digits, so that what is shown adds up to their sum as it is shown: 0.4 and 0.004 and 0.004 are 0.40, 0.00 and 0.01."""
    reached = [0.0, *(round(round(total, 4), 2) for total in accumulate(costs))]
    return [f"{round(after - before, 2) + 0.0:.2f}" for before, after in pairwise(reached)]


def cost_sentence(message: str, reason: str | None, ends: str | None) -> str:
    """``cpu: 2 more than planned until all are ready (ScaleDownStabilised)``."""
    return " ".join([message, *([ends] if ends else []), *([f"({reason})"] if reason else [])])


def message(decision: Decision) -> str:
    """What concerns the model as a whole: all but the guards of its pools."""
    bound = [pool.bound for pool in decision.pools.values()]
    return shortened("; ".join(r.message for r in decision.reasons if r not in bound), MESSAGE_CHARACTERS)


def past_decisions(
    decision: Decision | None, weights: Mapping[str, int], now: datetime, before: Sequence[DecisionStatus]
) -> list[DecisionStatus]:
    """The last decisions that changed replicas or the state, newest first; in Recommend and Paused, where nothing may change,
    also those that would have.
    """
    if decision is None:
        return list(before)
    replicas = {name: pool.replicas for name, pool in decision.pools.items()}
    same = bool(before) and before[0].replicas == replicas and before[0].state == decision.state
    if same and (
        decision.state not in (reasons.RECOMMENDING, reasons.PAUSED)
        or (before[0].proposed_replicas or {}) == decision.proposed_replicas
    ):
        return list(before)
    latest = DecisionStatus(
        time=timestamp(now),
        state=decision.state,
        replicas=replicas,
        weights=dict(weights),
        proposed_replicas=dict(decision.proposed_replicas) or None,
        reason=first_reason(decision).reason,
        message=shortened("; ".join(reason.message for reason in decision.reasons), MESSAGE_CHARACTERS),
        runner_up=_runner_up(decision),
    )
    return [latest, *before][:DECISIONS_KEPT]


def _runner_up(decision: Decision) -> str | None:
    if not decision.runner_up:
        return None
    mix = ", ".join(f"{name} {count}" for name, count in decision.runner_up.items())
    cost = decision.runner_up_cost_per_hour
    return (f"{mix} at {cost:.2f} an hour" if cost is not None else mix)[:256]
