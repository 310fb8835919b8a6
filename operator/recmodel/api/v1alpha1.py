"""The RecModel that a user writes (``recmodel.dev/v1alpha1``). The CRD, its descriptions, bounds and defaults are made from here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from recmodel.api.pod import PodTemplate, ShortText, Strict
from recmodel.api.quantity import (
    Decimal,
    Duration,
    LabelName,
    MetricName,
    Name,
    Percent,
    Sha256,
    VersionName,
    ratio,
    seconds,
)
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


ModelUri = Annotated[str, StringConstraints(pattern=r"^[^\s]+$", max_length=1024)]


def _rule(rule: str, message: str) -> dict[str, Any]:
    return {"x-kubernetes-validations": [{"rule": rule, "message": message}]}


class Latency(Strict):
    """The latency objective: ``percentile`` % of the requests are answered within ``threshold``."""

    percentile: Annotated[int, Field(ge=50, le=99, description="Share of the requests, in per cent.")] = 95
    threshold: Annotated[Duration, Field(description="Time within which they are answered, such as 100ms.")]

    @property
    def threshold_seconds(self) -> float:
        """``100ms`` is 0.1."""
        return seconds(self.threshold)


class AccuracyBudget(Strict):
    """How much accuracy the traffic as a whole may lose against the most accurate variant."""

    max_loss: Annotated[Percent, Field(description="Relative to the best variant, averaged over the traffic: 1%.")] = (
        "1%"
    )


class Objective(Strict):
    """What must hold; everything else is chosen for the lowest cost."""

    latency: Latency
    accuracy: AccuracyBudget | None = None


class Accuracy(Strict):
    """A measured accuracy."""

    metric: Annotated[ShortText, Field(description="What was measured: AUC, NDCG@10, ... the same for all variants.")]
    value: Annotated[Decimal, Field(description="Its value; more is better.")]


class Variant(Strict):
    """One form of the model: full, quantised, pruned, distilled."""

    name: Name
    accuracy: Annotated[
        Accuracy | None,
        Field(
            description="Set by hand it wins over the record's. Without either the variant gets no traffic while an "
            "accuracy budget is set."
        ),
    ] = None
    version: Annotated[
        VersionName | None,
        Field(description="The version that shall serve; else the record's. A new one is rolled out pool by pool."),
    ] = None
    uri: Annotated[ModelUri | None, Field(description="Where the model of this version lies; else the record's.")] = (
        None
    )
    sha256: Annotated[Sha256 | None, Field(description="Hash of the file behind uri; else the record's.")] = None
    unmeasured: Annotated[
        Literal["Deny", "Allow"],
        Field(
            description="What happens to it without a measured accuracy while a budget is set. Allow counts it as losing "
            "exactly the budget."
        ),
    ] = "Deny"


class Replicas(Strict):
    """The limits of a pool's size. Within them the operator alone decides."""

    min: Annotated[int, Field(ge=0, le=10_000, description="Fewest replicas; 0 lets the pool go to zero.")] = 0
    max: Annotated[int, Field(ge=1, le=10_000, description="Most replicas.")]


class PoolSpec(Strict):
    """A pool: one variant on one kind of device, with limits and a price."""

    name: Name
    variant: Annotated[Name | None, Field(description="One of spec.variants; without it, the first one.")] = None
    replicas: Annotated[
        Replicas, Field(json_schema_extra=_rule("self.min <= self.max", "replicas.min must not be above replicas.max"))
    ]
    cost_per_hour: Annotated[Decimal, Field(description="Price of one replica for an hour, in any one currency.")] = (
        "1.0"
    )
    port: Annotated[int, Field(ge=1, le=65535, description="Port on which the pods answer requests.")]
    template: PodTemplate


class Series(Strict):
    """A Prometheus series of the pool's pods. The operator adds the namespace, model and pool matchers itself."""

    name: Annotated[MetricName, Field(description="Metric name; for a histogram without _bucket.")]
    match_labels: Annotated[
        dict[LabelName, Annotated[str, StringConstraints(max_length=200)]],
        Field(max_length=16, description="Labels that the series must have, compared as equal."),
    ] = {}


class LatencySeries(Series):
    """A classic Prometheus histogram of request durations."""

    unit: Annotated[Literal["s", "ms", "us"], Field(description="Unit of its bucket edges.")]


class CustomMetrics(Strict):
    """Series of a server that has no profile."""

    latency: LatencySeries
    requests: Annotated[Series | None, Field(description="Counter of all requests; else the histogram's count.")] = None
    failures: Annotated[Series | None, Field(description="Counter of the failed or shed ones among them.")] = None
    queue: Annotated[Series | None, Field(description="Gauge of waiting requests.")] = None


class Metrics(Strict):
    """Where the operator looks. The default, the gateway's histogram per pool, works for every model server."""

    profile: Annotated[
        ProfileName, Field(description="A gateway or model server whose metrics are known, or custom.")
    ] = "envoy-gateway"
    custom: Annotated[CustomMetrics | None, Field(description="The series, where profile is custom.")] = None
    port: Annotated[
        ShortText | None,
        Field(
            description="Name of the container port with the metrics page, for the PodMonitor; else the one that the "
            "profile names where all pools have it, else the port that a pool serves on."
        ),
    ] = None
    path: Annotated[ShortText | None, Field(description="Path of the metrics page; else the profile's.")] = None


class ParentRef(Strict):
    """A Gateway."""

    name: ShortText
    namespace: ShortText | None = None
    section_name: ShortText | None = None


class Route(Strict):
    """The traffic that the model answers. The operator makes one HTTPRoute from it and sets its weights."""

    parent_refs: Annotated[list[ParentRef], Field(min_length=1, max_length=8)]
    hostnames: Annotated[list[ShortText], Field(max_length=16)] | None = None
    paths: Annotated[list[ShortText], Field(min_length=1, max_length=8, description="Path prefixes.")] = ["/"]


class Quality(Strict):
    """An online quality signal: of ``trials``, so many ``successes``, such as clicks of impressions; more is better."""

    successes: Annotated[Series, Field(description="Counter of the good ones among the trials.")]
    trials: Annotated[Series, Field(description="Counter of everything that could have been good.")]
    max_loss: Annotated[
        Percent, Field(description="Largest loss against the other pools that is put up with, relative to their share.")
    ] = "5%"
    confirm_within: Annotated[
        Duration, Field(description="Longest wait, before the last step, for evidence that the loss is smaller.")
    ] = "1h"


class Rollout(Strict):
    """How a new variant or version comes into the traffic, and when it is taken back."""

    steps: Annotated[
        list[Percent],
        Field(
            min_length=1,
            max_length=10,
            description="Largest shares of the traffic for a pool with a new variant, one after the other; then all that the "
            "decision gives it.",
        ),
    ] = ["5%", "25%", "50%"]
    step_duration: Annotated[
        Duration, Field(description="Shortest time of a step, and of one pod beside the next in a replacement.")
    ] = "2m"
    min_requests: Annotated[
        int, Field(ge=1, le=1_000_000, description="Requests that the new one must have answered in a step.")
    ] = 500
    max_late_excess: Annotated[
        Percent, Field(description="Share of late or failed requests above the current one's that is put up with.")
    ] = "2%"
    max_error_excess: Annotated[Percent, Field(description="The same of failed requests alone.")] = "1%"
    quality: Quality | None = None

    @property
    def step_seconds(self) -> float:
        """``2m`` is 120."""
        return seconds(self.step_duration)


class Optimisation(Strict):
    """A Job that makes lighter variants and writes their record (``recmodel optimise``)."""

    template: Annotated[
        PodTemplate, Field(description="Its pod. Another template is another Job; the same one is never started twice.")
    ]
    deadline: Annotated[Duration, Field(description="Time after which the Job is ended.")] = "2h"

    @property
    def deadline_seconds(self) -> float:
        """``2h`` is 7,200."""
        return seconds(self.deadline)


class RecModelSpec(Strict):
    """A recommender, the pools that serve it, and the objective that they must meet at the lowest cost."""

    mode: Annotated[
        Literal["Auto", "Recommend", "Paused"],
        Field(
            description="Auto acts; Recommend makes the pools, decides and reports, but changes neither replicas nor weights; "
            "Paused leaves all as it is."
        ),
    ] = "Auto"
    objective: Objective
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
        Field(description="Without it variants are filled in by hand, or by records from elsewhere."),
    ] = None
    metrics: Metrics = Metrics()
    rollout: Rollout = Rollout()
    route: Annotated[Route | None, Field(description="Without it the pools get no traffic from a gateway of ours.")] = (
        None
    )

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
            within_ratio=self.objective.latency.percentile / 100.0,
            threshold_seconds=self.objective.latency.threshold_seconds,
            accuracy_budget_ratio=ratio(budget.max_loss) if budget and self.variants else None,
            acts=self.mode == "Auto",
            pools=tuple(
                core.Pool(
                    name=pool.name,
                    min_replicas=pool.replicas.min,
                    max_replicas=pool.replicas.max,
                    cost_per_hour=float(pool.cost_per_hour),
                    accuracy_loss_ratio=losses.get(self.variant_of(pool) or ""),
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
        "rule": "self.metrics.profile == 'custom' ? has(self.metrics.custom) : !has(self.metrics.custom)",
        "message": "metrics.custom must be set if, and only if, metrics.profile is custom",
    },
    {
        "rule": "self.metrics.profile != 'torchserve'",
        "message": "metrics.profile torchserve has no latency histogram, only a mean, which says nothing of a percentile: "
        "use a gateway's profile (envoy-gateway, istio, linkerd)",
    },
]
ROOT_RULES = [
    {
        "rule": "self.spec.pools.all(p, self.metadata.name.size() + p.name.size() <= 52)",
        "message": "metadata.name and a pool's name together must not be longer than 52 characters",
    }
]
