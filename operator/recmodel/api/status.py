"""The status that the operator writes: a judgement on what was observed, never on what is about to be done."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from recmodel.api.pool_status import ContestStatus, NodeBufferStatus, PoolDecisionStatus, Written

CONDITION_CHARACTERS = 4096  # the sentences of an API server are long, and the last words tell the field

ConditionType = Literal[
    "Ready",
    "ObjectiveMet",
    "MetricsAvailable",
    "CapacityAvailable",
    "Progressing",
    "Degraded",
    "Stalled",
    "VariantsMeasured",
    "VariantsReady",
    "RolledOut",
]


def timestamp(moment: datetime) -> str:
    """As the API takes a time: ``2026-01-02T03:04:05Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Condition(Written):
    """One judgement, as every Kubernetes tool reads it."""

    type: ConditionType
    status: Literal["True", "False", "Unknown"]
    reason: Annotated[str, Field(max_length=128, description="A CamelCase word that alerts may rely on.")]
    message: Annotated[str, Field(max_length=CONDITION_CHARACTERS)]
    observed_generation: int | None = None
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class PoolStatus(Written):
    """What is known of one pool. Numbers are strings with a fixed number of digits: the API has no floats."""

    name: str
    desired: Annotated[
        int, Field(description="Replicas that the operator decided on; of a targetRef those that it asks for.")
    ]
    ready: Annotated[int, Field(description="Replicas that are ready.")]
    warming: Annotated[
        int | None, Field(description="Of those, the ones younger than the pool's warmUp. Absent without one.")
    ] = None
    weight: Annotated[
        int | None,
        Field(description="Share of the traffic, of 1000; of a targetRef as it was measured, absent while unknown."),
    ] = None
    load_per_second: Annotated[str | None, Field(description="Requests a second over the rate window.")] = None
    within_threshold: Annotated[
        str | None,
        Field(description="Share of the requests within the threshold, such as 97.2%; a bracket such as 96.1%-98.0% "
              "where the threshold lies inside a histogram bucket."),
    ] = None  # fmt: skip
    latency_percentile: Annotated[
        str | None, Field(description="The objective's percentile of the latency, as a bracket of bucket edges.")
    ] = None
    capacity_per_replica: Annotated[
        str | None,
        Field(description="Requests a second that one ready replica is believed to carry at the objective: the middle of "
              "the estimate. The plan counts on plannedPerReplica."),
    ] = None  # fmt: skip
    planned_per_replica: Annotated[
        str | None,
        Field(description="Requests a second that the plan counts on for one replica, bounded by what was seen to be good: "
              "the figure of the decision's sentence (planned with)."),
    ] = None  # fmt: skip
    startup_seconds: Annotated[
        str | None,
        Field(description="What a new replica takes where a node can be had: median from node to Ready, plus schedulingSeconds."),
    ] = None  # fmt: skip
    scheduling_seconds: Annotated[
        str | None, Field(description="Median wait for a node, of recent pods that had one within ten minutes.")
    ] = None
    node_buffer: Annotated[
        NodeBufferStatus | None, Field(description="Of a pool with a nodeBuffer; absent before the first decision.")
    ] = None
    contested: Annotated[
        ContestStatus | None, Field(description="Who keeps writing over its replicas; absent: nobody.")
    ] = None
    unschedulable: Annotated[int | None, Field(description="Pods that no node can take.")] = None
    version: Annotated[str | None, Field(description="What the Deployment of the pool serves, as VARIANT@VERSION.")] = (
        None
    )
    decision: Annotated[
        PoolDecisionStatus | None,
        Field(description="Why the last decision gave the pool these replicas, also where it changed nothing."),
    ] = None


class VariantStatus(Written):
    """What is known of one variant."""

    name: str
    version: Annotated[str | None, Field(description="The version to serve.")] = None
    metric: str | None = None
    value: Annotated[str | None, Field(description="Measured accuracy of this version.")] = None
    interval: Annotated[str | None, Field(description="95 % interval of value, where a record has one.")] = None
    loss: Annotated[str | None, Field(description="Relative to the best variant, such as 0.40%.")] = None
    source: Annotated[str | None, Field(description="Source of value: spec, or ConfigMap NAME.")] = None


class RolloutStatus(Written):
    """How a pool comes to its newest variant or version."""

    pool: str
    to: Annotated[str, Field(description="What is rolled out, as VARIANT@VERSION.")]
    before: Annotated[str | None, Field(description="What served before. A rollback goes back to it.")] = None
    phase: Annotated[Literal["Waiting", "Running", "Proven", "RolledBack"], Field(description="Phase of the rollout.")]
    step: Annotated[int | None, Field(description="Present step, from 0. Absent where the share is not limited.")] = (
        None
    )
    largest_share: Annotated[str | None, Field(description="Largest share of the traffic now.")] = None
    since: Annotated[str, Field(description="Reason of the phase or step.", json_schema_extra={"format": "date-time"})]
    reason: Annotated[str, Field(max_length=128)]
    message: Annotated[str, Field(max_length=1024)]
    memory: Annotated[
        str | None, Field(max_length=4096, description="Counts so far. An operator that restarts continues from them.")
    ] = None


class ForecastStatus(Written):
    """The largest load expected within a pool's horizon."""

    pool: str
    seconds: int
    p50_per_second: str
    upper_per_second: str


class CostPartStatus(Written):
    """A part of what the decided replicas cost in an hour."""

    part: Annotated[
        str,
        Field(description="Load, HeadRoom, CapacityDoubt, Minimum, Trial, Rounding, Mix, Guard, or Unknown for a plan that "
              "cannot be split."),
    ]  # fmt: skip
    cost_per_hour: Annotated[
        str, Field(description="In the unit of spec.pools[].costPerHour. Negative where the part saves money.")
    ]
    message: Annotated[str, Field(max_length=512, description="What the part is for. Of a guard also what ends it.")]
    until: Annotated[
        str | None,
        Field(description="When it ends if nothing else changes. Absent where it does not depend on time.",
              json_schema_extra={"format": "date-time"}),
    ] = None  # fmt: skip


class DecisionStatus(Written):
    """One past decision that changed something, with its reasons."""

    time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    state: str
    replicas: Annotated[dict[str, int], Field(description="Per pool, as decided.")]
    weights: Annotated[dict[str, int], Field(description="Per pool, of 1000.")]
    proposed_replicas: Annotated[
        dict[str, int] | None, Field(description="Per pool, what the plan wanted, before the guards.")
    ] = None
    reason: Annotated[str, Field(description="The first reason.")]
    message: Annotated[str, Field(max_length=2048, description="All reasons in a sentence each.")]
    runner_up: Annotated[str | None, Field(max_length=256, description="The next best mix and its price.")] = None


class MixStatus(Written):
    """Replicas of all pools, and what they cost; with route.ref the weights, too."""

    replicas: Annotated[dict[str, int], Field(description="Per pool.")]
    weights: Annotated[dict[str, int] | None, Field(description="Per pool, of 1000; absent where not ours to set.")] = (
        None
    )
    cost_per_hour: Annotated[str, Field(description="In the unit of spec.pools[].costPerHour.")]


class RecommendationStatus(Written):
    """Of pools by reference that the operator does not scale: what runs, and what it would run."""

    message: Annotated[str, Field(max_length=2048, description="Both in a sentence, with who scales the pools now.")]
    running: Annotated[MixStatus, Field(description="What the workloads ask for.")]
    recommended: Annotated[
        MixStatus | None,
        Field(
            description="What the plan wants, and more where a guard adds replicas at once, such as for late requests; absent "
            "while the load is not known."
        ),
    ] = None
    saving_per_hour: Annotated[
        str | None, Field(description="What running costs more than recommended; negative where it costs less.")
    ] = None


class RecModelStatus(Written):
    """Everything that the operator says about a RecModel."""

    observed_generation: int | None = None
    conditions: Annotated[
        list[Condition],
        Field(
            max_length=16, json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
        ),
    ] = []
    state: Annotated[
        str | None,
        Field(description="Tracking, Learning, Holding, AwaitingRequests, Degraded, Recommending or Paused."),
    ] = None
    replicas: Annotated[str | None, Field(description="Ready of desired replicas of each pool, for kubectl get.")] = (
        None
    )
    within_threshold: Annotated[
        str | None, Field(description="Share of all requests within the threshold, for kubectl get.")
    ] = None
    load_per_second: str | None = None
    cost_per_hour: str | None = None
    cost_parts: Annotated[
        list[CostPartStatus],
        Field(max_length=128, description="What costPerHour of the last decision is for. The parts add up to it."),
    ] = []
    reason: Annotated[str | None, Field(description="The first reason of the last decision.")] = None
    message: Annotated[
        str | None,
        Field(max_length=2048, description="The reasons of the last decision that concern the whole model, in a sentence each, "
              "also where it changed nothing; pools[].decision has those of a pool's replicas."),
    ] = None  # fmt: skip
    last_decision_time: Annotated[
        str | None,
        Field(description="When the operator last decided on this RecModel; written with each change, and while "
              "nothing changes once a minute at most, less often with more than 300 RecModels. If it grows old, no "
              "operator decides on this RecModel.",
              json_schema_extra={"format": "date-time"}),
    ] = None  # fmt: skip
    pools: Annotated[list[PoolStatus], Field(max_length=8)] = []
    route_contested: Annotated[
        ContestStatus | None,
        Field(description="Who keeps writing over the weights of route.ref; absent: nobody."),
    ] = None
    recommendation: RecommendationStatus | None = None
    forecast: Annotated[list[ForecastStatus], Field(max_length=8)] = []
    variants: Annotated[list[VariantStatus], Field(max_length=16)] = []
    optimisation_job: Annotated[str | None, Field(description="The Job that VariantsReady is about.")] = None
    rollouts: Annotated[list[RolloutStatus], Field(max_length=8, description="The last rollout of each pool.")] = []
    accuracy_budget_left: Annotated[
        str | None, Field(description="Share of one hour's accuracy budget that is left, such as 62%.")
    ] = None
    latency_budget_left: Annotated[
        str | None, Field(description="Share of a week's latency budget that is left, such as 93%.")
    ] = None
    decisions: Annotated[
        list[DecisionStatus],
        Field(
            max_length=10,
            description="The last ones that changed replicas or the state, newest first; in modes Recommend and Paused also "
            "those whose proposed replicas differ from those of the one before.",
        ),
    ] = []
    last_valid_spec: Annotated[
        str | None,
        Field(max_length=65536, description="The last valid spec, packed. A restarted operator uses it while the newest spec is refused."),
    ] = None  # fmt: skip
    memory: Annotated[
        str | None,
        Field(max_length=16384, description="What was learned of capacity and load, packed. A restarted operator starts with it."),
    ] = None  # fmt: skip
