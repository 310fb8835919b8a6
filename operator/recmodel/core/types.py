"""The values that the decision takes and returns: frozen, with units in their names, and None where something is unknown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

UNKNOWN = float("nan")


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool of a model as its owner wrote it: limits, price, and what its variant loses."""

    name: str
    min_replicas: int
    max_replicas: int
    cost_per_hour: float
    accuracy_loss_ratio: float | None = None  # of the pool's variant, relative to the best one; None: not measured
    version: str = ""  # of what it serves; a change carries the capacity belief over with less weight
    traffic_limit_ratio: float = 1.0  # largest share of the model's traffic that it may answer now: set by its rollout
    warm_up_seconds: float = 0.0  # after Ready, until a pod counts in full
    node_lead_seconds: float | None = (
        None  # what a new node takes until that is measured; None: none is asked for ahead
    )
    leaving: bool = (
        False  # its owner wants it no more: it answers until the others carry the load. Such pools come last
    )


@dataclass(frozen=True, slots=True)
class Calendar:
    """What a clock shows: Unix time and the ``ahead_seconds`` of the newest of ``since_seconds``, or of the first one before it. A
    zone an hour ahead of UTC, and two in summer, has ``(0.0, 323830800.0, ...)`` and ``(3600.0, 7200.0, ...)``.
    """

    since_seconds: tuple[float, ...] = ()  # rising; none: UTC
    ahead_seconds: tuple[float, ...] = ()
    holidays: tuple[int, ...] = ()  # days since the epoch, on that clock, that are like Sundays


UTC = Calendar()


@dataclass(frozen=True, slots=True)
class Model:
    """One model as its owner wrote it: ``within_ratio`` of its requests are to be answered within ``threshold_seconds``."""

    key: str  # "namespace/name"
    within_ratio: float  # 0.95 for "p95"
    threshold_seconds: float
    pools: tuple[Pool, ...]
    accuracy_budget_ratio: float | None = None  # None: no budget, any variant may serve
    minutes_over_budget_ratio: float = 0.005  # share of the minutes of a week that may be over the latency objective
    acts: bool = True  # False (Recommend, Paused, or somebody else scales): decide and report, but ask for no change
    paused: bool = False  # mode Paused: nothing acts, which its state says
    routed: bool = (
        True  # False: the weights are not ours, so that each pool has to carry the part of the requests that it gets
    )
    calendar: Calendar = UTC  # of the people whose days and weeks the load follows

    @property
    def staying(self) -> tuple[Pool, ...]:
        """The pools but those that leave, which come last."""
        return tuple(pool for pool in self.pools if not pool.leaving)


@dataclass(frozen=True, slots=True)
class PoolObservation:
    """What was seen of one pool. Everything but ``desired`` and ``ready`` may be unknown (None), and unknown is never zero."""

    desired: int
    ready: int
    unschedulable: int | None = None
    weight: float | None = None
    startup_seconds: float | None = None  # median, creation to Ready, of recent pods
    rate_per_second: float | None = None  # arrivals over the rate window, failed ones included
    errors_per_second: float | None = None  # of those, failed or shed
    latency: Mapping[float, float] | None = None  # cumulative requests/s by upper bound in seconds; inf for all
    utilisation_ratio: float | None = None
    queue: float | None = None
    ready_for_seconds: tuple[float, ...] = ()  # of the youngest ready pods, for how long; the others count as warm
    node_startup_seconds: float | None = None  # creation to Ready where no node was there: by the longest recent wait
    buffered: int | None = None  # replicas for which nodes are asked for now, ahead of need


@dataclass(frozen=True, slots=True)
class Observation:
    """What was seen of one model at ``time_seconds``: its pools by name (a pool that is absent is unknown)."""

    time_seconds: float
    pools: Mapping[str, PoolObservation]
    requested: bool = True  # False: no request was counted yet, so that none of its metrics can be there


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a CamelCase constant of :mod:`recmodel.core.reasons` that users may alert on, and a sentence with the numbers."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class PoolDecision:
    """What one pool is to be: replicas, and its share of the traffic as any non-negative number."""

    replicas: int
    weight: float
    bound: Reason | None = None  # the last guard that moved the replicas; None: they are as the plan wanted them
    bound_left_seconds: float | None = (
        None  # after which it lets go if nothing else changes; None: unknown, or not timed
    )


@dataclass(frozen=True, slots=True)
class NodeBuffer:
    """For how many replicas of one pool nodes are to be there, beside those that are decided."""

    replicas: int | None  # None: not known, what stands stays
    horizon_seconds: float  # what a new replica takes on a new node, the next tick and the age of the rate
    reason: Reason


@dataclass(frozen=True, slots=True)
class PoolForecast:
    """The largest load of the *model* expected within the pool's horizon, in requests/s: middle and planned upper quantile."""

    horizon_seconds: float
    p50_per_second: float
    upper_per_second: float


@dataclass(frozen=True, slots=True)
class PoolEstimate:
    """What one pool is believed to carry at the objective, in requests/s per ready replica (None: not known yet)."""

    capacity_per_replica: float | None
    capacity_lower: float | None  # the cautious bound of the belief
    load_per_replica: float | None
    within_lower_ratio: float | None  # share of requests within the threshold: what is certain ...
    within_upper_ratio: float | None  # ... and what is possible, where the threshold lies inside a histogram bucket
    planned_per_replica: float | None = None  # what the plan counts on: the bound, or a bit more where that is tried


@dataclass(frozen=True, slots=True)
class LatencyBudgetUse:
    """Minutes of the last week. What is neither known to be over the objective nor known to be within it counts as neither."""

    over_minutes: float
    allowed_minutes: float  # that may be over
    known_minutes: float
    left_ratio: float  # of those allowed


@dataclass(frozen=True, slots=True)
class CostPart:
    """A part of what a model costs in an hour, see :mod:`recmodel.core.explanation.cost_parts`; negative where it saves."""

    part: str  # one of ``cost_parts.PARTS``
    cost_per_hour: float
    message: str
    pool: str | None = None  # of a guard's part: the pool that it moved ...
    reason: str | None = None  # ... why ...
    ends: str | None = None  # ... what ends it, such as "until all are ready" ...
    left_seconds: float | None = None  # ... and after which that is if nothing else changes; None: not timed


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision for one model; printing it answers "why 7 replicas?"."""

    time_seconds: float
    pools: Mapping[str, PoolDecision]
    state: str
    reasons: tuple[Reason, ...]
    forecast: Mapping[str, PoolForecast] = field(default_factory=dict)
    estimates: Mapping[str, PoolEstimate] = field(default_factory=dict)
    proposed_replicas: Mapping[str, int] = field(
        default_factory=dict
    )  # replicas that the plan wanted before the guards
    acting_replicas: Mapping[str, int] = field(default_factory=dict)  # what would be decided in mode Auto
    runner_up: Mapping[str, int] = field(default_factory=dict)  # the next best mix ...
    runner_up_cost_per_hour: float | None = None  # ... and what it would have cost
    cost_per_hour: float | None = None  # of what was decided
    node_buffers: Mapping[str, NodeBuffer] = field(default_factory=dict)  # of the pools that ask for one
    cost_parts: tuple[CostPart, ...] = ()  # which add up to it; none: nobody asked for them, or it costs nothing
    accuracy_budget_left_ratio: float | None = None  # of an hour's worth of the budget; None: no budget
    latency_budget: LatencyBudgetUse | None = None  # None: nothing was known of the latency yet
