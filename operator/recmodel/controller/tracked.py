"""One RecModel as the controller knows it: what its owner wrote, what was decided, and what is still to be done."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from recmodel.api.pool import Optimisation
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.children.optimiser_job import JobProgress, job_name
from recmodel.cluster.children.versions import Serving
from recmodel.cluster.writing.outcome import Failure
from recmodel.controller.backoff import Backoffs
from recmodel.controller.recalled import Recalled
from recmodel.core.types import Decision, Model, PoolDecision, Reason
from recmodel.report.snapshot import Decided, Route, Snapshot, Versions
from recmodel.rollout.known_variants import Variants, known_variants

OWNERS = {"recalled": "registry", "versions": "rollouts", "decided": "tick", "route": "routes"}
"""By part of what is tracked: the module that alone replaces it."""


@dataclass
class Tracked:
    """Changed by the handlers (what is written), the tick (what is decided) and the reconciler (what was done)."""

    owner: Owner
    generation: int = 0
    written: RecModelSpec | None = None  # the last valid one: an invalid edit touches nothing that serves
    kept: str | None = None  # the same as its owner wrote it, packed for the status
    variants: Variants | None = None  # the same, with what the records say filled in
    records_mark: tuple[Any, ...] = ()  # of the spec and the ConfigMaps that this was made from
    spec: RecModelSpec | None = None  # the filled-in one, which everything goes by
    model: Model | None = None  # the same in the core's words
    invalid: Reason | None = None  # why the newest one is not
    body: Mapping[str, Any] = field(default_factory=dict)  # for Events and the status as last written
    versions: Versions = field(default_factory=Versions)
    applied: tuple[int, Mapping[str, Serving]] | None = None  # children stand as of this generation, for these versions
    optimised: Optimisation | None = None  # the Job of this has been started
    job: str | None = None  # the name of the Job of the spec; None where it asks for none
    job_progress: JobProgress = field(default_factory=JobProgress)  # how far that one has come
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

    def learn(self, config_maps: Sequence[Mapping[str, Any]]) -> bool:
        """Takes over what the records in ``config_maps`` say; returns whether anything is other than before."""
        if self.written is None:
            return False
        marks = [(c["metadata"]["uid"], c["metadata"].get("resourceVersion")) for c in config_maps]
        mark = (id(self.written), *marks)
        if mark == self.records_mark:
            return False
        self.records_mark = mark
        found = known_variants(self.written, config_maps, self.variants.records if self.variants else {})
        changed = found != self.variants
        self.variants, self.spec, self.model = found, found.spec, found.spec.model(self.key)
        self.job = job_name(self.owner, found.spec.optimisation) if found.spec.optimisation else None
        return changed

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

    @property
    def paused(self) -> bool:
        """Mode Paused: nothing of the children is touched, created or deleted."""
        return self.spec is not None and self.spec.mode == "Paused"

    @property
    def acts(self) -> bool:
        """Mode Auto: weights and replicas follow the decisions. In Recommend they stay as they were created."""
        return self.spec is not None and self.spec.mode == "Auto"

    def snapshot(self) -> Snapshot:
        """What is known at this moment, for the reports."""
        return Snapshot(
            owner=self.owner,
            generation=self.generation,
            written=self.written,
            kept=self.kept,
            variants=self.variants,
            spec=self.spec,
            invalid=self.invalid,
            versions=self.versions,
            job=self.job,
            job_progress=self.job_progress,
            failed=self.failed,
            lacking=self.lacking,
            overwritten=self.overwritten,
            decided=self.decided,
            route=self.route,
            acts=self.acts,
        )
