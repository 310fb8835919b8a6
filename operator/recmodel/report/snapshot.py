"""What is known of a RecModel at one moment, frozen: everything that its status, conditions and Events are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recmodel.api.pool import Optimisation
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.children.optimiser_job import JobProgress
from recmodel.cluster.children.versions import Serving
from recmodel.cluster.observed.route_status import RouteStatus
from recmodel.cluster.writing.outcome import Failure
from recmodel.core.types import Decision, Model, Reason
from recmodel.prometheus.readings import ModelReading
from recmodel.rollout.known_variants import Variants
from recmodel.rollout.trial import Trial

# The generation, its valid spec, by pool the version, and the pools that leave.
Intended = tuple[int, RecModelSpec | None, Mapping[str, Serving], tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Desired:
    """What the RecModel asks for, as it was last read."""

    body: Mapping[str, Any] = field(default_factory=dict)  # the object, with the status as it was last written
    generation: int = 0
    invalid: Reason | None = None  # why the newest spec is not valid
    written: RecModelSpec | None = None  # the last valid one: an invalid edit touches nothing that serves
    kept: str | None = None  # the same as its owner wrote it, packed for the status
    variants: Variants | None = None  # the same, with what the records say filled in
    records: tuple[object, ...] = ()  # which spec and ConfigMaps that was made from
    spec: RecModelSpec | None = None  # the filled-in one, which everything goes by
    model: Model | None = None  # the same in the core's words
    job: str | None = None  # the name of the Job of the spec; None where it asks for none
    job_progress: JobProgress = field(default_factory=JobProgress)  # how far that one has come
    may_act: bool = True  # False where the operator is installed with rights: observe

    @property
    def paused(self) -> bool:
        """Mode Paused: nothing of the children is touched, created or deleted."""
        return self.spec is not None and self.spec.mode == "Paused"

    @property
    def makes(self) -> bool:
        """The children are made and kept. Never in mode Paused, and never of pools by reference, which have none."""
        return self.may_act and self._has_children

    @property
    def withheld(self) -> bool:
        """The children would be made and kept, or a workload scaled, and the operator has no right to."""
        scales = self.spec is not None and self.spec.by_reference and self.spec.mode == "Auto"
        return not self.may_act and (self._has_children or scales)

    @property
    def _has_children(self) -> bool:
        return self.spec is not None and not self.paused and bool(self.spec.made_pools)

    @property
    def acts(self) -> bool:
        """Mode Auto: replicas, and weights of routes of ours, follow the decisions. In Recommend they stay as they are."""
        return self.may_act and self.spec is not None and self.spec.mode == "Auto"


@dataclass(frozen=True, slots=True)
class Versions:
    """What each pool serves, and how its rollout goes."""

    serving: Mapping[str, Serving] = field(default_factory=dict)  # by pool: which version it is to be made for
    trials: Mapping[str, Trial] = field(default_factory=dict)  # by pool: the last rollout


@dataclass(frozen=True, slots=True)
class Applied:
    """What came of bringing the children to what is desired."""

    intended: Intended | None = None  # what they stand for; None: they are to be applied again
    failed: Reason | None = None  # why what serves could not be brought to what is wanted
    lacking: Reason | None = None  # the same of what no request depends on: PodMonitor, budgets, the Job, what is to go
    refusals: tuple[Failure, ...] = ()  # of the last attempt at each child
    overwritten: Reason | None = None  # who keeps writing over the children
    unstarted: Failure | None = None  # the Job of spec.optimisation, where it could not be started
    optimised: Optimisation | None = None  # the Job of this has been started
    job_started: bool = False  # by this process: one that the status says to have ended well counts no more

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What is not as wanted of the children, the Job included."""
        return self.refusals if self.unstarted is None else (*self.refusals, self.unstarted)


def for_pools_of(spec: RecModelSpec | None, decided: Mapping[str, object]) -> bool:
    """Whether something was decided, by pool, for the pools that ``spec`` has; those that leave it beside them."""
    return spec is not None and decided.keys() >= {pool.name for pool in spec.pools}


@dataclass(frozen=True, slots=True)
class Decided:
    """What was seen and decided in the last tick."""

    decision: Decision | None = None  # the last one there was
    undecided: Reason | None = None  # why there was none in the last tick
    reading: ModelReading | None = None  # what Prometheus said; None: it was not asked
    counted: bool = False  # a request was counted since this process began

    def decision_for(self, spec: RecModelSpec | None) -> Decision | None:
        """The decision; None where it was made for other pools than those of ``spec``."""
        return self.decision if self.decision is not None and for_pools_of(spec, self.decision.pools) else None


@dataclass(frozen=True, slots=True)
class Route:
    """How the RecModel's route stands."""

    status: RouteStatus = field(default_factory=RouteStatus)  # what the gateways say of it
    overlap: str | None = None  # which other RecModel gets the requests that it asks for
    younger: frozenset[str] = frozenset()  # RecModels that ask for requests of this route and do not get them
    mixed: str | None = None  # which other RecModel has a route of the other kind for one of its hostnames


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One RecModel as the controller knows it at this moment."""

    owner: Owner
    desired: Desired
    versions: Versions
    decided: Decided
    applied: Applied
    route: Route

    @property
    def decision(self) -> Decision | None:
        """The last decision; None where it was made for other pools than the spec has."""
        return self.decided.decision_for(self.desired.spec)
