"""What the status says of what another process had learned and begun, so that this one goes on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recmodel.api.pool_status import ContestStatus
from recmodel.api.quantity import ratio
from recmodel.api.status import RecModelStatus
from recmodel.cluster.observed.startups import LONGEST_START_SECONDS, LONGEST_WAIT_SECONDS
from recmodel.core.reasons import HOLDING
from recmodel.prometheus.readings import NO_READY_POOL, NO_SERIES
from recmodel.rollout.trial import Trial, recalled

CLOCKS_APART_SECONDS = 60.0  # of the nodes of two operators
LONGEST_STOOD_SECONDS = 30 * 86_400.0
MOST_TIMES = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RecalledContest:
    """That somebody else keeps writing over the replicas of a workload, or the weights of a rule."""

    target: str  # "Deployment ranker-cpu", "rule 0 of HTTPRoute ranker"
    writers: tuple[str, ...]  # field managers
    times: int  # in a row
    time_seconds: float  # of the last time, Unix
    stood_seconds: float  # how long what the operator wrote has stood at most


@dataclass(frozen=True, slots=True)
class Recalled:
    """What another process had learned and begun."""

    startups: Mapping[str, float] = field(default_factory=dict)  # by pool, in seconds
    finished_job: str | None = None  # one that ended well: somebody may have deleted it since
    budget_left_ratio: float | None = None  # of the accuracy budget, 0..1; None: not known
    counted: bool = False  # requests were counted
    trials: Mapping[str, Trial] | None = None  # by pool: the last rollout; None: not known
    latency_budget_left_ratio: float | None = None  # 0..1; None: not known
    contests: Mapping[str, RecalledContest] = field(default_factory=dict)  # by pool
    rule_contest: RecalledContest | None = None


def recall(body: Mapping[str, Any], before: Recalled, now_seconds: float) -> Recalled:
    """What the status of a RecModel says; where it is an older or newer operator's that cannot be read, what was recalled
    ``before`` stays, and requests count as counted: metrics that are absent are missing then, not still to come.
    """
    try:
        status = RecModelStatus.model_validate(body.get("status") or {})
    except ValueError:
        return Recalled(before.startups, before.finished_job, counted=True)
    ended_well = any(c.type == "VariantsReady" and c.status == "True" for c in status.conditions)
    return Recalled(
        _startups(status),
        status.optimisation_job if ended_well else None,
        _budget_left_ratio(status.accuracy_budget_left),
        before.counted or _counted(status),
        {found.pool: recalled(found, now_seconds) for found in status.rollouts},
        _budget_left_ratio(status.latency_budget_left),
        {pool.name: found for pool in status.pools if (found := _contest(pool.contested, now_seconds)) is not None},
        _contest(status.route_contested, now_seconds),
    )


def _startups(status: RecModelStatus) -> dict[str, float]:
    return {
        pool.name: float(pool.startup_seconds)
        for pool in status.pools
        if pool.startup_seconds
        and pool.startup_seconds.isdecimal()
        and len(pool.startup_seconds) < 5
        and float(pool.startup_seconds) <= LONGEST_WAIT_SECONDS + LONGEST_START_SECONDS
    }


def _counted(status: RecModelStatus) -> bool:
    """Whether the process that wrote the status knew of requests: series that are gone now are missing, not still to come."""
    return (
        any(
            c.type == "MetricsAvailable"
            and (c.reason == NO_SERIES or (c.reason == NO_READY_POOL and status.state == HOLDING))
            for c in status.conditions
        )
        or any(pool.capacity_per_replica is not None for pool in status.pools)
        or status.load_per_second not in (None, "0")
    )


def _contest(found: ContestStatus | None, now_seconds: float) -> RecalledContest | None:
    """None where there is none, or where one of its numbers is somebody else's word: the next status could not be made of it."""
    if found is None:
        return None
    try:
        time_seconds, stood_seconds = datetime.fromisoformat(found.last_time).timestamp(), float(found.stood_seconds)
    except (ValueError, OverflowError, OSError):
        return None
    said_before = 0.0 <= time_seconds <= now_seconds + CLOCKS_APART_SECONDS
    if not said_before or stood_seconds > LONGEST_STOOD_SECONDS or found.times > MOST_TIMES:
        return None
    return RecalledContest(found.target, tuple(found.writers), found.times, time_seconds, stood_seconds)


def _budget_left_ratio(text: str | None) -> float | None:
    try:
        found = ratio(text or "")
    except ValueError:  # somebody else's word
        return None
    return found if 0.0 <= found <= 1.0 else None
