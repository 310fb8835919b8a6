"""The operator's own metrics, on ``/metrics``. Every name starts with ``recmodel_``; labels are namespace, model
and pool.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from recmodel.api.status import Condition, RecommendationStatus
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.controller.metric_series import Series
from recmodel.controller.tracked import Tracked
from recmodel.controller.views import workloads
from recmodel.core.types import Decision

MODEL = ("namespace", "model")
POOL = (*MODEL, "pool")


class Metrics:
    """All of them, in a registry of their own: a test may make as many as it likes."""

    tick = Series(Histogram, "recmodel_tick_seconds", "Duration of a tick.", ("stage",))
    tick_failures = Series(Counter, "recmodel_tick_failures", "Ticks that failed as a whole.")
    quarantined = Series(Gauge, "recmodel_quarantined", "RecModels left out because deciding for them failed.")
    unreadable = Series(
        Gauge,
        "recmodel_unreadable_objects",
        "Objects of this kind that cannot be read and are left out; the log names each.",
        ("kind",),
    )
    known = Series(Gauge, "recmodel_known_models", "RecModels with a valid spec that are not paused, acting or not.")
    decided_models = Series(
        Gauge, "recmodel_decided_models", "Of the known ones, those that the last tick decided for."
    )
    following = Series(
        Gauge, "recmodel_following", "1 where this kind of object is followed, 0 where that fails.", ("resource",)
    )
    acting = Series(Gauge, "recmodel_acting", "1 where this operator acts, 0 where it stands by for another one.")
    contested = Series(
        Gauge,
        "recmodel_stands_by",
        "1 for a namespace that this release would serve, and another one (release) does; * for all of them.",
        ("namespace", "release"),
    )
    claim_refused = Series(
        Gauge,
        "recmodel_claim_refused",
        "1 for a namespace in which this release does not act, since its claim there cannot be read or written. The log "
        "has the API server's answer; * for all of them.",
        ("namespace",),
    )
    models = Series(Gauge, "recmodel_models", "RecModels by mode.", ("mode",))
    decision_time = Series(
        Gauge,
        "recmodel_decision_timestamp_seconds",
        "When the last decision was made; time() minus this is its age.",
        MODEL,
    )
    state = Series(Gauge, "recmodel_state", "1 for the state that the last decision is in.", (*MODEL, "state"))
    reasons = Series(Counter, "recmodel_decision_reasons", "Decisions that gave this reason.", (*MODEL, "reason"))
    desired = Series(Gauge, "recmodel_pool_desired_replicas", "Replicas decided on.", POOL)
    ready = Series(Gauge, "recmodel_pool_ready_replicas", "Replicas that answer.", POOL)
    startup = Series(
        Gauge, "recmodel_pool_startup_seconds", "Of a new replica that gets a node, creation to Ready.", POOL
    )
    scheduling = Series(Gauge, "recmodel_pool_scheduling_seconds", "Of that, the wait for the node.", POOL)
    node_buffer = Series(Gauge, "recmodel_pool_node_buffer_replicas", "More replicas that nodes are asked for.", POOL)
    weight = Series(Gauge, "recmodel_pool_weight_ratio", "Share of the traffic in the route, or as measured.", POOL)
    capacity = Series(
        Gauge, "recmodel_pool_capacity_per_second", "Requests a second that one replica carries at the objective.", POOL
    )
    load = Series(Gauge, "recmodel_pool_load_per_second", "Requests a second.", POOL)
    forecast = Series(
        Gauge, "recmodel_forecast_per_second", "Largest load expected within the pool's horizon.", (*POOL, "quantile")
    )
    cost = Series(Gauge, "recmodel_cost_per_hour", "Price of what was decided.", MODEL)
    recommended_cost = Series(
        Gauge,
        "recmodel_recommended_cost_per_hour",
        "Of pools by reference, price of what the operator would run; recmodel_cost_per_hour is that of what runs.",
        MODEL,
    )
    cost_part = Series(
        Gauge,
        "recmodel_cost_part_per_hour",
        "What a part of that price is for; the parts add up to it. Negative where it saves.",
        (*MODEL, "part"),
    )
    within_lower = Series(Gauge, "recmodel_within_threshold_ratio", "Share within the threshold, at least.", MODEL)
    budget_left = Series(
        Gauge, "recmodel_accuracy_budget_left_ratio", "What is left of an hour's worth of the accuracy budget.", MODEL
    )
    latency_budget_left = Series(
        Gauge,
        "recmodel_latency_budget_left_ratio",
        "What is left of the minutes that may be over the latency objective in a week.",
        MODEL,
    )
    api_calls = Series(Counter, "recmodel_kubernetes_requests", "Kubernetes API calls.", ("verb", "resource", "status"))
    prometheus_seconds = Series(Histogram, "recmodel_prometheus_gather_seconds", "Duration of one gathering.")
    prometheus_queries = Series(Gauge, "recmodel_prometheus_queries", "Queries of the last gathering.")
    prometheus_errors = Series(Counter, "recmodel_prometheus_errors", "Gatherings without an answer.", ("reason",))
    weight_seconds = Series(
        Histogram,
        "recmodel_weight_change_seconds",
        "From the decision on other weights to the API server's answer.",
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0),
    )
    version = Series(Gauge, "recmodel_pool_version_info", "1 for the version that the pool serves.", (*POOL, "version"))
    workload = Series(
        Gauge, "recmodel_pool_workload_info", "1 for the workload whose replicas are the pool's.", (*POOL, "workload")
    )
    rollout = Series(Gauge, "recmodel_rollout_phase", "1 for the phase of the pool's last rollout.", (*POOL, "phase"))
    largest_share = Series(
        Gauge,
        "recmodel_rollout_largest_share_ratio",
        "Largest share of the traffic that the pool's rollout lets it answer.",
        POOL,
    )
    variants_ready = Series(
        Gauge,
        "recmodel_variants_ready",
        "1 for the status (True, False, Unknown) of the condition VariantsReady, and its reason: how the Job of "
        "spec.optimisation ended.",
        (*MODEL, "status", "reason"),
    )
    stalled = Series(
        Gauge,
        "recmodel_stalled",
        "1 while the newest spec is refused (condition Stalled) and the last valid one, if any, stays in effect.",
        (*MODEL, "reason"),
    )
    scaler_failed = Series(
        Gauge,
        "recmodel_external_scaler_failed",
        "1 while KEDA's external scaler is switched on and cannot be served, or not with its newest certificates; the log says why.",
    )
    scaler_answers = Series(Counter, "recmodel_external_scaler_answers", "Answers to KEDA, by gRPC status.", ("code",))

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for attribute, series in [(name, value) for name, value in vars(Metrics).items() if isinstance(value, Series)]:
            setattr(self, attribute, series.registered(registry=self.registry))
        # By model (empty: of none): each of its series, for a quick way to it and for the model's end.
        self._series: dict[str, dict[tuple[Gauge | Counter, tuple[str, ...]], Any]] = {}

    def decided(self, tracked: Tracked, decision: Decision, ready: dict[str, int], weights: dict[str, int]) -> None:
        """One decision."""
        labels = (tracked.owner.namespace, tracked.owner.name)
        self._set(tracked.key, self.decision_time, labels, decision.time_seconds)
        for metric, known in list(self._series.get(tracked.key, ())):
            if metric is self.state and known[2] != decision.state:
                self.state.labels(*known).set(0)
        self._set(tracked.key, self.state, (*labels, decision.state), 1)
        for reason in decision.reasons:
            self._child(tracked.key, self.reasons, (*labels, reason.reason)).inc()
        within = tracked.decided.reading.within if tracked.decided.reading is not None else None
        self._set_known(tracked.key, self.cost, labels, decision.cost_per_hour)
        self._split(tracked.key, labels, decision)
        self._set_known(tracked.key, self.budget_left, labels, decision.accuracy_budget_left_ratio)
        minutes = decision.latency_budget
        self._set_known(tracked.key, self.latency_budget_left, labels, minutes.left_ratio if minutes else None)
        self._set_known(tracked.key, self.within_lower, labels, within.lower if within is not None else None)
        total = sum(weights.values())
        for pool, decided in decision.pools.items():
            here = (*labels, pool)
            self._set(tracked.key, self.desired, here, decided.replicas)
            self._set(tracked.key, self.ready, here, ready.get(pool, 0))
            if weights:  # else it is not known
                self._set(tracked.key, self.weight, here, weights.get(pool, 0) / total if total else 0.0)
            ahead = decision.node_buffers.get(pool)
            self._set_known(tracked.key, self.node_buffer, here, ahead.replicas if ahead is not None else None)
            self._estimated(tracked, decision, pool)

    def started(self, tracked: Tracked, pools: Mapping[str, PoolState]) -> None:
        """How long new replicas take, as far as some have shown it."""
        for name, state in pools.items():
            here = (tracked.owner.namespace, tracked.owner.name, name)
            self._set_known(tracked.key, self.startup, here, state.startup_seconds)
            self._set_known(tracked.key, self.scheduling, here, state.scheduling_seconds)

    def _estimated(self, tracked: Tracked, decision: Decision, pool: str) -> None:
        """What is known of a pool's capacity, forecast and load."""
        here = (tracked.owner.namespace, tracked.owner.name, pool)
        estimate, forecast = decision.estimates.get(pool), decision.forecast.get(pool)
        reading = tracked.decided.reading.pools.get(pool) if tracked.decided.reading is not None else None
        if estimate is not None:
            self._set_known(tracked.key, self.capacity, here, estimate.capacity_per_replica)
        if forecast is not None:
            self._set(tracked.key, self.forecast, (*here, "0.5"), forecast.p50_per_second)
            self._set(tracked.key, self.forecast, (*here, "upper"), forecast.upper_per_second)
        if reading is not None:
            self._set_known(tracked.key, self.load, here, reading.rate_per_second)

    def _split(self, key: str, labels: tuple[str, ...], decision: Decision) -> None:
        """What the cost is for: guards as one, and a part that is no more as 0."""
        costs = {known: 0.0 for metric, known in self._series.get(key, ()) if metric is self.cost_part}
        for part in decision.cost_parts:
            here = (*labels, part.part)
            costs[here] = costs.get(here, 0.0) + part.cost_per_hour
        for here, cost in costs.items():
            self._set(key, self.cost_part, here, cost)

    def rolled(self, tracked: Tracked, limits: Mapping[str, float]) -> None:
        """Workloads, versions and rollouts as they are now; what was before has no series any more."""
        labels = (tracked.owner.namespace, tracked.owner.name)
        wanted: dict[tuple[Gauge, tuple[str, ...]], float] = {}
        if tracked.spec is not None:
            for pool, name in workloads(tracked.owner.name, tracked.spec).items():
                wanted[self.workload, (*labels, pool, name)] = 1.0
        for pool, found in tracked.versions.serving.items():
            if found.now is not None:
                wanted[self.version, (*labels, pool, found.now.name)] = 1.0
        for pool, trial in tracked.versions.trials.items():
            wanted[self.rollout, (*labels, pool, trial.phase)] = 1.0
        for pool, share in limits.items():
            wanted[self.largest_share, (*labels, pool)] = share
        self._replace(tracked.key, (self.workload, self.version, self.rollout, self.largest_share), wanted)

    def judged(self, tracked: Tracked, conditions: Sequence[Condition]) -> None:
        """The conditions of a RecModel as they are now, of which two are exported."""
        labels = (tracked.owner.namespace, tracked.owner.name)
        wanted: dict[tuple[Gauge, tuple[str, ...]], float] = {
            (self.variants_ready, (*labels, c.status, c.reason)): 1.0 for c in conditions if c.type == "VariantsReady"
        }
        wanted |= {(self.stalled, (*labels, c.reason)): 1.0 for c in conditions if c.type == "Stalled"}
        self._replace(tracked.key, (self.variants_ready, self.stalled), wanted)

    def recommended(self, tracked: Tracked, found: RecommendationStatus | None) -> None:
        """What the operator would run in place of what runs; no series while that is not known."""
        labels = (tracked.owner.namespace, tracked.owner.name)
        known = found.recommended if found is not None else None
        wanted: dict[tuple[Gauge, tuple[str, ...]], float] = {}
        if known is not None:
            wanted[self.recommended_cost, labels] = float(known.cost_per_hour)
        self._replace(tracked.key, (self.recommended_cost,), wanted)

    def acts(self, acting: bool, others: Mapping[str, str], refused: Collection[str]) -> None:
        """Whether this operator acts, in which namespaces which other release does, and in which the claim is refused."""
        self.acting.set(acting)
        wanted: dict[tuple[Gauge, tuple[str, ...]], float] = {(self.contested, place): 1.0 for place in others.items()}
        wanted |= {(self.claim_refused, (namespace,)): 1.0 for namespace in refused}
        self._replace("", (self.contested, self.claim_refused), wanted)  # of no model

    def forget(self, key: str) -> None:
        """Drops all series of a RecModel that is gone."""
        for metric, labels in self._series.pop(key, {}):
            metric.remove(*labels)

    def unread(self, kind: str, count: int) -> None:
        """How many objects of a kind cannot be read now."""
        self.unreadable.labels(kind).set(count)

    def followed(self, resource: str, well: bool) -> None:
        """Whether a kind of object is followed just now."""
        self.following.labels(resource).set(well)

    def called(self, verb: str, resource: str, status: int) -> None:
        """One call of the Kubernetes API; status 0: no answer."""
        self.api_calls.labels(verb, resource, str(status)).inc()

    def _replace(
        self, key: str, gauges: Collection[Gauge], wanted: Mapping[tuple[Gauge, tuple[str, ...]], float]
    ) -> None:
        """A model's series of these gauges are the wanted ones, and no others."""
        series = self._series.setdefault(key, {})
        for metric, known in [where for where in series if where[0] in gauges and where not in wanted]:
            metric.remove(*known)
            del series[metric, known]
        for (gauge, here), value in wanted.items():
            self._set(key, gauge, here, value)

    def _set_known(self, key: str, metric: Gauge, labels: tuple[str, ...], value: float | None) -> None:
        """What is unknown leaves the series as it is."""
        if value is not None:
            self._set(key, metric, labels, value)

    def _set(self, key: str, metric: Gauge, labels: tuple[str, ...], value: float) -> None:
        self._child(key, metric, labels).set(value)

    def _child(self, key: str, metric: Gauge | Counter, labels: tuple[str, ...]) -> Any:
        series = self._series.setdefault(key, {})
        found = series.get((metric, labels))
        if found is None:
            found = series[metric, labels] = metric.labels(*labels)
        return found
