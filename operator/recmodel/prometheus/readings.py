"""What is asked for (views) and what was found (readings): frozen values, None where something is unknown, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from recmodel.api.v1alpha1 import Metrics
from recmodel.core.types import PoolObservation, Reason
from recmodel.prometheus.histogram import Bracket

# Reasons of a reading. They are API: users alert on them, none is ever renamed.
METRICS_FOUND = "MetricsFound"
THRESHOLD_BETWEEN_EDGES = "ThresholdBetweenEdges"
NO_TRAFFIC = "NoTraffic"
NOTHING_SERVED = "NothingServed"
PROMETHEUS_UNAVAILABLE = "PrometheusUnavailable"
QUERY_REFUSED = "QueryRefused"
ANSWER_UNUSABLE = "AnswerUnusable"
NO_SERIES = "NoSeries"
NO_REQUESTS_SEEN = "NoRequestsSeen"
NO_READY_POOL = "NoReadyPool"
SERIES_STALE = "SeriesStale"
POOL_MISSING = "PoolMissing"
BACKENDS_MOVED = "BackendsMoved"
PODS_MISSING = "PodsMissing"
PARTIAL_ANSWER = "PartialAnswer"
NO_HISTOGRAM = "NoHistogram"
NO_EDGE_NEAR_THRESHOLD = "NoEdgeNearThreshold"
THRESHOLD_ABOVE_EDGES = "ThresholdAboveEdges"
VALUES_INVALID = "ValuesInvalid"
RATE_IMPLAUSIBLE = "RateImplausible"
DUPLICATE_SCRAPES = "DuplicateScrapes"
SEVERAL_MODELS = "SeveralModels"
PROFILE_REFUSED = "ProfileRefused"
TOO_MANY_CUSTOM_SERIES = "TooManyCustomSeries"


ROUTE_SETTLE_SECONDS = 10.0  # from the write to the last proxy, retries included


class Verdict(StrEnum):
    """Whether the readings of a model can be decided on."""

    AVAILABLE = "Available"
    MISSING = "Missing"  # nothing is known
    STALE = "Stale"  # it was known, and is too old
    PARTIAL = "Partial"  # some pools, pods or servers did not report
    UNUSABLE = "Unusable"  # there are series, but not such as can be decided on


@dataclass(frozen=True, slots=True)
class PoolView:
    """What the inventory knows of a pool and the gathering needs; None: unknown."""

    name: str
    weight: float | None = None
    ready: int | None = None
    cpu_limit_cores: float | None = None  # of one pod
    # What the names of its pods begin with, by pod_names.pod_prefix, where these carry no label of ours: ``ModelView.pods`` says
    # which they are now. None: they carry our labels. It holds for all pools of a model, or for none.
    pod_prefix: str | None = None


@dataclass(frozen=True, slots=True)
class BackendView:
    """One place among the route's backends: the pool that stands there (None: no pool of the spec), and since when."""

    pool: str | None
    since_seconds: float | None  # Unix time; None: not known


@dataclass(frozen=True, slots=True)
class ModelView:
    """A RecModel as the gathering needs it: ``pools`` in the order of spec.pools, ``pods`` from pod to pool name, and
    ``backends`` as they stand in the route (None: as ``pools``, for ever). ``counted``: a request of it was counted at some
    time, so that series which are not there are missing. ``grpc``: its pools answer gRPC, and its route is a GRPCRoute.
    """

    namespace: str
    name: str
    threshold_seconds: float
    within_ratio: float
    metrics: Metrics
    pools: tuple[PoolView, ...]
    pods: Mapping[str, str] = field(default_factory=dict)
    backends: tuple[BackendView, ...] | None = None
    counted: bool = True
    grpc: bool = False

    @property
    def key(self) -> str:
        """``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    @property
    def by_name(self) -> bool:
        """Whether the series of its pods are found by the pods' names."""
        return bool(self.pools) and all(pool.pod_prefix is not None for pool in self.pools)


@dataclass(frozen=True, slots=True)
class PoolReading:
    """What Prometheus knows of a pool."""

    rate_per_second: float | None = None  # arrivals, failed ones included
    errors_per_second: float | None = None  # of those, failed or shed
    latency: Mapping[float, float] | None = None  # cumulative requests/s by upper bound in seconds; inf for all
    uneven_edges: tuple[float, ...] = ()  # in seconds: those that not all of its servers have, left out of ``latency``
    share_is_known: bool = True  # whether that tells if the objective is kept; where not, it is for the eyes alone
    queue: float | None = None  # requests that wait, all pods together
    in_flight: float | None = None  # requests inside, waiting or not, all pods together
    age_seconds: float | None = None  # of the newest sample
    coverage_ratio: float | None = None  # pods read, of those ready; at a gateway: of its pages, None for all of them
    unread: str | None = None  # which pages of the gateway are not read, and why
    cpu_utilisation_ratio: float | None = None  # of the limit, mean of the pods
    gpu_utilisation_ratio: float | None = None  # share of time that any kernel ran, mean of the pods
    reason: Reason | None = None  # why something above is unknown

    @property
    def utilisation_ratio(self) -> float | None:
        """Of the device that the pool is on: the GPU where one reports, else the CPU."""
        return self.cpu_utilisation_ratio if self.gpu_utilisation_ratio is None else self.gpu_utilisation_ratio

    def observation(
        self,
        *,
        desired: int,
        ready: int,
        unschedulable: int | None = None,
        weight: float | None = None,
        startup_seconds: float | None = None,
        ready_for_seconds: tuple[float, ...] = (),
    ) -> PoolObservation:
        """The core's value: what is known of this, and what the inventory knows."""
        return PoolObservation(
            desired=desired,
            ready=ready,
            unschedulable=unschedulable,
            weight=weight,
            startup_seconds=startup_seconds,
            ready_for_seconds=ready_for_seconds,
            rate_per_second=self.rate_per_second,
            errors_per_second=self.errors_per_second,
            latency=self.latency if self.share_is_known else None,
            utilisation_ratio=self.utilisation_ratio,
            queue=self.queue,
        )


@dataclass(frozen=True, slots=True)
class ModelReading:
    """What Prometheus knows of a model, and whether that is enough to decide."""

    verdict: Verdict
    reason: str
    message: str
    pools: Mapping[str, PoolReading]
    within: Bracket | None = None  # share of all the model's requests answered well and within the threshold

    @property
    def counts(self) -> bool:
        """Whether requests of the model are counted: there is a series with a rate."""
        return any(
            pool.age_seconds is not None
            and (pool.reason is None or pool.reason.reason not in (NO_REQUESTS_SEEN, NO_READY_POOL))
            for pool in self.pools.values()
        )

    @property
    def is_whole(self) -> bool:
        """Whether what the pools say adds up to the model."""
        every = all(pool.rate_per_second is not None for pool in self.pools.values())
        return self.verdict == Verdict.AVAILABLE or every


@dataclass(frozen=True, slots=True)
class GatewayReading:
    """What the gateway answered to its clients, all routes together: failures that no pool's series shows are in it."""

    rate_per_second: float | None
    failed_per_second: float | None
    no_cluster_per_second: float | None  # 503 or 500 because a weight pointed at a pool without pods
    age_seconds: float | None


@dataclass(frozen=True, slots=True)
class Readings:
    """One gathering for the whole fleet."""

    time_seconds: float
    models: Mapping[str, ModelReading]
    gateway: GatewayReading | None = None
    error: Reason | None = None  # Prometheus could not be asked at all
    queries: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class GatherSettings:
    """How to look. The rate's window is never shorter than four scrapes, so that one may be lost."""

    window_seconds: float = 60.0
    scrape_interval_seconds: float = 15.0
    budget_seconds: float = 10.0  # for all queries together
    scope: tuple[str, ...] = ()  # matchers such as cluster="eu-1" that every series of every query must meet
    max_custom_profiles: int = 32  # custom series that differ cost queries of their own

    @property
    def rate_window_seconds(self) -> float:
        """60 s, or four scrapes where that is more."""
        return max(self.window_seconds, 4 * self.scrape_interval_seconds)

    @property
    def moved_for_seconds(self) -> float:
        """How long a rate may hold what came before a change of the route: its window, a scrape, and the time that the
        change takes to reach each proxy.
        """
        return self.rate_window_seconds + self.scrape_interval_seconds + ROUTE_SETTLE_SECONDS

    @property
    def stale_after_seconds(self) -> float:
        """Three scrapes, and a little for the way."""
        return 3 * self.scrape_interval_seconds + 2.0


@dataclass(frozen=True, slots=True)
class Rates:
    """Of so many trials a second so many were successes."""

    successes_per_second: float
    trials_per_second: float
