"""One RecModel as the controller knows it: what its owner wrote, what was decided, and what is still to be done."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from recmodel.api.route import RouteRef
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed.pool_state import Contest
from recmodel.cluster.writing.drift import Child
from recmodel.cluster.writing.outcome import Failure
from recmodel.controller.backoff import Backoffs, Pace
from recmodel.controller.recalled import Recalled
from recmodel.core.types import Decision, PoolDecision
from recmodel.report.snapshot import Applied, Decided, Desired, Route, Snapshot, Versions, for_pools_of

# Of replicas of workloads that are not ours. What somebody writes over them twice is put back by the next decision. The third time in
# a row it is a fight, which starts pods and ends them again, so each further write comes later. It ends with a number that stands
# for longer than those before it did: see ``contests.over``.
CONTESTS = Pace(free=3, first_seconds=120.0, longest_seconds=600.0, fighting=3, calm_seconds=math.inf)
OWNERS = {
    "desired": "registry",
    "recalled": "registry",
    "versions": "rollouts",
    "decided": "tick",
    "applied": "reconciler",
    "traffic": "traffic_shift",
    "contested": "contests",
    "route": "routes",
    "rule": "route_rules",
    "buffers": "node_buffers",
}
"""By part of what is tracked: the module that alone replaces it. Others ask that one."""


@dataclass(frozen=True, slots=True)
class Scaled:
    """Replicas of a workload that is not ours, as this process wrote them."""

    replicas: int  # the last time
    at: float  # since when they are ours, on the monotonic clock


@dataclass(frozen=True, slots=True)
class Contested:
    """Of workloads that are referred to: the replicas that were written, and who wrote over them."""

    scaled: Mapping[Child, Scaled] = field(default_factory=dict)
    contests: Mapping[Child, Contest] = field(default_factory=dict)  # once or more often: a fight after three times


@dataclass(frozen=True, slots=True)
class WrittenRule:
    """Weights of a rule of somebody else's route, as this process wrote them."""

    ref: RouteRef
    weights: Mapping[str, int]  # by pool, the last time
    at: float  # since when they are ours, on the monotonic clock


@dataclass(frozen=True, slots=True)
class RuleWrites:
    """What came of setting the weights of the rule that the spec refers to."""

    written: WrittenRule | None = None
    overwritten: Contest | None = None  # once or more often: a fight after three times


@dataclass(frozen=True, slots=True)
class Traffic:
    """Weights and replicas on their way to what was decided."""

    wanted: Mapping[str, PoolDecision] | None = None  # by pool, the last decision; None: as it stands in the cluster
    sighted: bool = False  # it was made with the load known
    jointly: bool = False  # that decision shares the traffic out; else each pool has to carry what it gets
    pending: frozenset[str] = frozenset()  # pools whose decided replicas are not written yet
    refused: frozenset[str] = frozenset()  # of these, the ones whose last write failed
    written_weights: Mapping[str, int] | None = None  # by pool, those that this process wrote last
    changed_at: float = -math.inf  # on the monotonic clock: when it wrote them


@dataclass(frozen=True, slots=True)
class BufferWrites:
    """Nodes ahead of need, on their way to what was decided."""

    wanted: Mapping[str, int] = field(default_factory=dict)  # by pool; one that is not in it stays as it stands
    written: Mapping[str, int] = field(default_factory=dict)  # by pool, the last time, by this process
    refused: tuple[Failure, ...] = ()  # of the last attempt at each


@dataclass
class Tracked:
    """Frozen parts, each replaced whole by one module: ``OWNERS``."""

    owner: Owner
    desired: Desired = field(default_factory=Desired)
    recalled: Recalled = field(default_factory=Recalled)
    versions: Versions = field(default_factory=Versions)
    decided: Decided = field(default_factory=Decided)
    applied: Applied = field(default_factory=Applied)
    traffic: Traffic = field(default_factory=Traffic)
    contested: Contested = field(default_factory=Contested)
    route: Route = field(default_factory=Route)
    rule: RuleWrites = field(default_factory=RuleWrites)
    buffers: BufferWrites = field(default_factory=BufferWrites)
    backoffs: Backoffs = field(default_factory=Backoffs)  # of corrections, by child
    retries: Backoffs = field(default_factory=Backoffs)  # of what the API refused, by child; of the Job, too
    buffer_retries: Backoffs = field(default_factory=Backoffs)  # of what the API refused of these
    contests: Backoffs = field(default_factory=lambda: Backoffs(CONTESTS))  # of what others wrote over, by workload
    rule_contests: Backoffs = field(default_factory=lambda: Backoffs(CONTESTS))  # the same of the weights of a rule
    rule_conflicts: Backoffs = field(
        default_factory=Backoffs
    )  # of writes of such weights that somebody else came before
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return self.owner.key

    @property
    def spec(self) -> RecModelSpec | None:
        """What everything goes by; None where there has been no valid spec."""
        return self.desired.spec

    @property
    def decision(self) -> Decision | None:
        """The last decision; None where it was made for other pools than the spec has."""
        return self.decided.decision_for(self.spec)

    @property
    def wanted(self) -> Mapping[str, PoolDecision] | None:
        """What the pools are to have; None where nothing was decided, or for other pools than the spec has: then they stay
        as they stand in the cluster.
        """
        wanted = self.traffic.wanted
        return wanted if wanted is not None and for_pools_of(self.spec, wanted) else None

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What is not as wanted of the children, the Job and the node buffers included."""
        return (*self.applied.failures, *self.buffers.refused)

    @property
    def age(self) -> tuple[str, str]:
        """Of two RecModels that act on the same the smaller one does; of equally old ones the first by name."""
        created = self.desired.body.get("metadata", {}).get("creationTimestamp")
        return str(created or ""), self.key

    @property
    def counted(self) -> bool:
        """Whether a request was counted at some time, by this process or another."""
        return self.recalled.counted or self.decided.counted

    @property
    def rolling(self) -> bool:
        """Whether something is on trial, or waits for it."""
        return any(trial.phase in ("Waiting", "Running") for trial in self.versions.trials.values())

    def snapshot(self) -> Snapshot:
        """What is known at this moment, for the reports."""
        return Snapshot(self.owner, self.desired, self.versions, self.decided, self.applied, self.route)
