"""One RecModel as the controller knows it: what its owner wrote, what was decided, and what is still to be done."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from recmodel.api.pool import Optimisation
from recmodel.api.quantity import ratio
from recmodel.api.status import RecModelStatus
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.children.optimiser_job import JobProgress, job_name
from recmodel.cluster.children.versions import Serving
from recmodel.cluster.observed.startups import LONGEST_START_SECONDS, LONGEST_WAIT_SECONDS
from recmodel.cluster.writing.outcome import Failure
from recmodel.controller.backoff import Backoff
from recmodel.core.types import Decision, Model, PoolDecision, Reason
from recmodel.prometheus.readings import NO_SERIES
from recmodel.report.snapshot import Decided, Route, Snapshot
from recmodel.rollout.known_variants import Variants, known_variants
from recmodel.rollout.trial import Trial, recalled

OWNERS = {"decided": "tick", "route": "routes"}
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
    serving: Mapping[str, Serving] = field(default_factory=dict)  # by pool: which version it is to be made for
    trials: Mapping[str, Trial] = field(default_factory=dict)  # by pool: the last rollout
    applied: tuple[int, Mapping[str, Serving]] | None = None  # children stand as of this generation, for these versions
    optimised: Optimisation | None = None  # the Job of this has been started
    job: str | None = None  # the name of the Job of the spec; None where it asks for none
    job_progress: JobProgress = field(default_factory=JobProgress)  # how far that one has come
    startups: Mapping[str, float] = field(default_factory=dict)  # by pool: seconds, as another process had learned them
    finished: str | None = None  # the Job that ended well as the status says: somebody may have deleted it since
    failed: Reason | None = None  # why what serves could not be brought to what is wanted: the reconciler's alone
    lacking: Reason | None = None  # the same of what no request depends on: PodMonitor, budgets, the Job, what is to go
    refusals: tuple[Failure, ...] = ()  # of the last time that the children were applied
    retry_at: float = -math.inf  # on the monotonic clock: when what was refused is tried again
    overwritten: Reason | None = None  # who keeps writing over the children
    wanted: Mapping[str, PoolDecision] | None = None  # the last decision; None: as it stands in the cluster
    pending: set[str] = field(default_factory=set)  # pools whose decided replicas are not written yet
    weights_changed_at: float = -math.inf  # on the monotonic clock
    written_weights: Mapping[str, int] | None = None  # the weights that we wrote last
    backoff: Backoff = field(default_factory=Backoff)
    decided: Decided = field(default_factory=Decided)
    counted_before: bool = False  # another process counted requests
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

    def recall(self, now_seconds: float) -> float | None:
        """Takes over how far the rollouts and the Job have come from the status as another process wrote it; returns
        what it had left of the accuracy budget, 0..1.
        """
        try:
            status = RecModelStatus.model_validate(self.body.get("status") or {})
        except ValidationError:  # an older or newer operator's: what is on trial begins its step again
            self.counted_before = True
            return None
        self.counted_before = self.counted_before or _counted(status)
        self.startups = {
            pool.name: float(pool.startup_seconds)
            for pool in status.pools
            if pool.startup_seconds
            and pool.startup_seconds.isdecimal()
            and len(pool.startup_seconds) < 5
            and float(pool.startup_seconds) <= LONGEST_WAIT_SECONDS + LONGEST_START_SECONDS
        }
        ended_well = any(c.type == "VariantsReady" and c.status == "True" for c in status.conditions)
        self.finished = status.optimisation_job if ended_well else None
        self.trials = {found.pool: recalled(found, now_seconds) for found in status.rollouts}
        return _budget_left_ratio(status.accuracy_budget_left)

    @property
    def decision(self) -> Decision | None:
        """The last decision; None where it was made for other pools than the spec has."""
        return self.decided.decision_for(self.spec)

    @property
    def counted(self) -> bool:
        """Whether a request was counted at some time, by this process or another."""
        return self.counted_before or self.decided.counted

    @property
    def rolling(self) -> bool:
        """Whether something is on trial, or waits for it."""
        return any(trial.phase in ("Waiting", "Running") for trial in self.trials.values())

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
            serving=dict(self.serving),
            trials=dict(self.trials),
            job=self.job,
            job_progress=self.job_progress,
            failed=self.failed,
            lacking=self.lacking,
            overwritten=self.overwritten,
            decided=self.decided,
            route=self.route,
            acts=self.acts,
        )


def _counted(status: RecModelStatus) -> bool:
    """Whether the process that wrote the status knew of requests: series that are gone now are missing, not still to come."""
    return (
        any(c.type == "MetricsAvailable" and c.reason == NO_SERIES for c in status.conditions)
        or any(pool.capacity_per_replica is not None for pool in status.pools)
        or status.load_per_second not in (None, "0")
    )


def _budget_left_ratio(text: str | None) -> float | None:
    try:
        found = ratio(text or "")
    except ValueError:  # somebody else's word
        return None
    return found if 0.0 <= found <= 1.0 else None
