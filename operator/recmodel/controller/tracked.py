"""One RecModel as the controller knows it: what its owner wrote, what was decided, and what is still to be done."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from recmodel.api.pool import Optimisation
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.children.versions import Serving
from recmodel.cluster.writing.outcome import Failure
from recmodel.controller.backoff import Backoffs
from recmodel.controller.recalled import Recalled
from recmodel.core.types import Decision, PoolDecision, Reason
from recmodel.report.snapshot import Decided, Desired, Route, Snapshot, Versions

OWNERS = {"desired": "registry", "recalled": "registry", "versions": "rollouts", "decided": "tick", "route": "routes"}
"""By part of what is tracked: the module that alone replaces it."""


@dataclass
class Tracked:
    """Changed by the handlers (what is written), the tick (what is decided) and the reconciler (what was done)."""

    owner: Owner
    desired: Desired = field(default_factory=Desired)
    versions: Versions = field(default_factory=Versions)
    applied: tuple[int, Mapping[str, Serving]] | None = None  # children stand as of this generation, for these versions
    optimised: Optimisation | None = None  # the Job of this has been started
    recalled: Recalled = field(default_factory=Recalled)
    job_started: bool = False  # a Job was started since: one that was recalled counts no more
    failed: Reason | None = None  # why what serves could not be brought to what is wanted: the reconciler's alone
    lacking: Reason | None = None  # the same of what no request depends on: PodMonitor, budgets, the Job, what is to go
    refusals: tuple[Failure, ...] = ()  # of the last time that the children were applied
    retry_at: float = -math.inf  # on the monotonic clock: when what was refused is tried again
    overwritten: Reason | None = None  # who keeps writing over the children
    wanted: Mapping[str, PoolDecision] | None = None  # the last decision; None: as it stands in the cluster
    pending: set[str] = field(default_factory=set)  # pools whose decided replicas are not written yet
    weights_changed_at: float = -math.inf  # on the monotonic clock
    written_weights: Mapping[str, int] | None = None  # the weights that we wrote last
    backoffs: Backoffs = field(default_factory=Backoffs)  # of corrections, by child
    decided: Decided = field(default_factory=Decided)
    route: Route = field(default_factory=Route)
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
    def counted(self) -> bool:
        """Whether a request was counted at some time, by this process or another."""
        return self.recalled.counted or self.decided.counted

    @property
    def rolling(self) -> bool:
        """Whether something is on trial, or waits for it."""
        return any(trial.phase in ("Waiting", "Running") for trial in self.versions.trials.values())

    def snapshot(self) -> Snapshot:
        """What is known at this moment, for the reports."""
        return Snapshot(
            owner=self.owner,
            desired=self.desired,
            versions=self.versions,
            failed=self.failed,
            lacking=self.lacking,
            overwritten=self.overwritten,
            decided=self.decided,
            route=self.route,
        )
