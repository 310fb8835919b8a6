"""The RecModel that a user writes (``recmodel.dev/v1alpha1``). The CRD, its descriptions, bounds and defaults are made from here."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from recmodel.api import protocol, reference, route_reference
from recmodel.api.objective import Objective, Variant
from recmodel.api.pool import Optimisation, PoolSpec
from recmodel.api.quantity import ABOVE_ZERO, Duration, LabelName, MetricName, Percent, at_most, ratio, seconds
from recmodel.api.route import Route, RouteRef
from recmodel.api.strict import Distinct, Rule, Strict
from recmodel.api.text import PagePath, PortName
from recmodel.api.time_zone import Day, TimeZone, calendar, days
from recmodel.core import types as core

GROUP = "recmodel.dev"
VERSION = "v1alpha1"
PLURAL = "recmodels"
KIND = "RecModel"
API_VERSION = f"{GROUP}/{VERSION}"

# Names of the files in recmodel/prometheus/profiles; a test holds the two together.
ProfileName = Literal[
    "envoy-gateway", "istio", "linkerd", "triton", "tensorflow-serving", "openvino", "mlserver", "bentoml", "kserve",
    "torchserve", "custom",
]  # fmt: skip


class Series(Strict):
    """A Prometheus series of the pool's pods. The operator adds the namespace, model and pool matchers itself."""

    name: Annotated[MetricName, Field(description="Name of the metric. For a histogram, without _bucket.")]
    match_labels: Annotated[
        dict[LabelName, Annotated[str, StringConstraints(max_length=200)]],
        Field(max_length=16, description="Labels that the series must have, compared as equal."),
    ] = {}


class LatencySeries(Series):
    """A classic Prometheus histogram of request durations."""

    unit: Annotated[Literal["s", "ms", "us"], Field(description="Unit of the bucket edges.")]


class CustomMetrics(Strict):
    """Series of a server that has no profile."""

    latency: LatencySeries
    requests: Annotated[
        Series | None, Field(description="Counter of all requests. Default: the count of the histogram.")
    ] = None
    failures: Annotated[Series | None, Field(description="Counter of the failed or rejected requests.")] = None
    queue: Annotated[Series | None, Field(description="Gauge of waiting requests.")] = None


ServedName = Annotated[str, StringConstraints(pattern=r"^[^\s]+$", min_length=1, max_length=200)]
MODELS_OF_A_PAGE = ("triton", "tensorflow-serving", "openvino", "kserve", "bentoml")  # profiles that tell them apart


class Metrics(Strict):
    """Where the operator looks. The default, the gateway's histogram per pool, works for every model server."""

    profile: Annotated[
        ProfileName, Field(description="A gateway or model server whose metrics are known, or custom.")
    ] = "envoy-gateway"
    custom: Annotated[CustomMetrics | None, Field(description="Series to read, where profile is custom.")] = None
    model: Annotated[
        ServedName | None,
        Field(
            description="Name of the model that clients ask for, as the server's page has it, where the page counts several: "
            "an ensemble and its steps. Profiles triton, tensorflow-serving, openvino, kserve and bentoml (its service)."
        ),
    ] = None
    port: Annotated[
        PortName | None,
        Field(
            description="Name of the container port with the metrics page, for the PodMonitor; else the one that the "
            "profile names where all pools have it, else the port that a pool serves on, unless that is gRPC."
        ),
    ] = None
    path: Annotated[PagePath | None, Field(description="Path of the metrics page. Default: that of the profile.")] = (
        None
    )


class Quality(Strict):
    """An online quality signal: of ``trials``, so many ``successes``, such as clicks of impressions; more is better."""

    successes: Annotated[Series, Field(description="Counter of the successes among the trials.")]
    trials: Annotated[Series, Field(description="Counter of the trials: all that could have been a success.")]
    max_loss: Annotated[
        Percent,
        ABOVE_ZERO,
        Field(description="Largest allowed loss against the other pools, relative to their share."),
    ] = "5%"
    confirm_within: Annotated[
        Duration,
        at_most("168h", above_zero=False),
        Field(description="Longest wait, before the last step, for evidence that the loss is smaller; at most 168h."),
    ] = "1h"


_SHARE = "double(s.replace('%', ''))"
_SHARES = f"self.map(s, {_SHARE})"


class Rollout(Strict):
    """How a new variant or version is brought into the traffic, and when it is rolled back."""

    steps: Annotated[
        list[Percent],
        Field(
            min_length=1,
            max_length=10,
            description="Largest shares of the traffic for a pool with a new variant, one after the other; then all that the "
            "decision gives it.",
        ),
        Rule(
            f"{_SHARES}.isSorted() && self.all(s, {_SHARES}.exists_one(x, x == {_SHARE} && x > 0.0))",
            "must rise, beginning above 0%",
            lambda steps: all(low < high for low, high in pairwise([0.0, *map(ratio, steps)])),
        ),
    ] = ["5%", "25%", "50%"]
    step_duration: Annotated[
        Duration,
        at_most("24h", above_zero=False),
        Field(description="Shortest time of a step, and of one pod beside the next in a replacement; at most 24h."),
    ] = "2m"
    min_requests: Annotated[
        int, Field(ge=1, le=1_000_000, description="Requests that the new version must have answered in a step.")
    ] = 500
    max_late_excess: Annotated[
        Percent,
        ABOVE_ZERO,
        Field(description="Allowed share of late or failed requests above that of the current version."),
    ] = "2%"
    max_error_excess: Annotated[
        Percent, ABOVE_ZERO, Field(description="Allowed share of failed requests above that of the current version.")
    ] = "1%"
    quality: Quality | None = None

    @property
    def step_seconds(self) -> float:
        """``2m`` is 120."""
        return seconds(self.step_duration)


class RecModelSpec(Strict):
    """A recommender, the pools that serve it, and the objective that they must meet at the lowest cost."""

    mode: Annotated[
        Literal["Auto", "Recommend", "Paused"],
        Field(
            description="Auto acts; Recommend makes the pools, decides and reports, but changes neither replicas nor weights; Paused "
            "leaves all as it is. Of pools with a targetRef only Auto writes anything: their replicas, and the weights of route.ref."
        ),
    ] = "Auto"
    objective: Objective
    time_zone: Annotated[
        TimeZone,
        Field(
            description="Time zone whose days and weeks the load follows: an IANA name, such as Europe/Berlin. Where its clocks "
            "change, the course that was learned moves with them. The operator refuses a name that it does not know."
        ),
    ] = "UTC"
    holidays: Annotated[
        list[Day],
        Distinct(),
        Field(
            max_length=200,
            description="Dates, in timeZone, on which the load follows the course of a Sunday, such as 2026-12-25. Those of the last "
            "weeks matter too: their load is then not learned as that of a working day.",
        ),
    ] = []
    variants: Annotated[
        list[Variant],
        Field(
            max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
        ),
    ] = []
    pools: Annotated[
        list[PoolSpec],
        Field(
            min_length=1,
            max_length=8,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    optimisation: Annotated[
        Optimisation | None,
        Field(
            description="Job that makes lighter variants. Without it, variants are written by hand or come from records."
        ),
    ] = None
    metrics: Metrics = Metrics()
    rollout: Rollout = Rollout()
    route: Route | None = None

    @property
    def own_route(self) -> Route | None:
        """The route that the operator makes; None: it makes none."""
        return self.route if self.route is not None and self.route.ref is None else None

    @property
    def route_ref(self) -> RouteRef | None:
        """The rule of somebody else's route that sends to the pools; None: there is none."""
        return self.route.ref if self.route is not None else None

    @property
    def by_reference(self) -> bool:
        """Whether pools are workloads that stand already, of which at most the replicas are written."""
        return any(pool.target_ref is not None for pool in self.pools)

    @property
    def made_pools(self) -> list[PoolSpec]:
        """The pools with a template, of which the operator makes all that they need."""
        return [pool for pool in self.pools if pool.target_ref is None]

    @property
    def grpc(self) -> bool:
        """Whether the pools answer gRPC, so that the route is a GRPCRoute."""
        return protocol.speaks_grpc(self)

    def accuracy_loss_ratios(self) -> dict[str, float]:
        """Loss of each measured variant against the best: ``{"full": 0.0, "int8": 0.004}``."""
        values = {v.name: float(v.accuracy.value) for v in self.variants if v.accuracy is not None}
        best = max(values.values(), default=0.0)
        return {name: 1.0 - value / best if best > 0 else 0.0 for name, value in values.items()}

    def variant_of(self, pool: PoolSpec) -> str | None:
        """The name of the variant that the pool serves: its own, else the first; None where no variants are listed."""
        return pool.variant or (self.variants[0].name if self.variants else None)

    def model(self, key: str) -> core.Model:
        """The same as a value of the core; ``key`` is ``namespace/name``."""
        losses = self.accuracy_loss_ratios()
        budget = self.objective.accuracy
        allowed = {v.name for v in self.variants if v.accuracy is None and v.unmeasured == "Allow"}
        if budget:  # what its owner lets in unmeasured neither gives nor takes room of the budget
            losses |= dict.fromkeys(allowed, ratio(budget.max_loss))
        return core.Model(
            key=key,
            within_ratio=self.objective.latency.within_ratio,
            threshold_seconds=self.objective.latency.threshold_seconds,
            minutes_over_budget_ratio=self.objective.latency.minutes_over_budget_ratio,
            accuracy_budget_ratio=ratio(budget.max_loss) if budget and self.variants else None,
            acts=self.mode == "Auto",
            paused=self.mode == "Paused",
            routed=not self.by_reference or self.route_ref is not None,
            calendar=replace(calendar(self.time_zone), holidays=days(self.holidays)),
            pools=tuple(
                core.Pool(
                    name=pool.name,
                    min_replicas=pool.replicas.min,
                    max_replicas=pool.replicas.max,
                    cost_per_hour=float(pool.cost_per_hour),
                    accuracy_loss_ratio=losses.get(self.variant_of(pool) or ""),
                    warm_up_seconds=pool.warm_up_seconds,
                    node_lead_seconds=pool.node_lead_seconds,
                    # What was learned of one workload is but a hint for another.
                    version=f"{pool.target_ref.kind} {pool.target_ref.name}" if pool.target_ref is not None else "",
                )
                for pool in self.pools
            ),
        )


SPEC_RULES = [
    {
        "rule": "self.pools.all(p, !has(p.variant) || self.variants.exists(v, v.name == p.variant))",
        "message": "pools[].variant must be the name of one of spec.variants",
    },
    {
        "rule": "self.variants.all(v, !has(v.accuracy) || self.variants.all(w, !has(w.accuracy) || "
        "v.accuracy.metric.lowerAscii() == w.accuracy.metric.lowerAscii()))",
        "message": "variants[].accuracy.metric must be the same for all, or they cannot be compared",
    },
    {
        "rule": "self.metrics.profile == 'custom' ? has(self.metrics.custom) : !has(self.metrics.custom)",
        "message": "metrics.custom must be set if, and only if, metrics.profile is custom",
    },
    {
        "rule": "!has(self.metrics.model) || "
        + f"self.metrics.profile in [{', '.join(repr(name) for name in MODELS_OF_A_PAGE)}]",
        "message": f"metrics.model is for the profiles {', '.join(MODELS_OF_A_PAGE)}; custom series have matchLabels",
    },
    {
        "rule": "self.metrics.profile != 'torchserve'",
        "message": "metrics.profile torchserve has no latency histogram, only a mean, which says nothing of a percentile: "
        "use a gateway's profile (envoy-gateway, istio, linkerd)",
    },
    *reference.CEL_RULES,
    *route_reference.CEL_RULES,
    *protocol.CEL_RULES,
]
