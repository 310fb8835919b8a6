"""Gather: what Prometheus says of every RecModel, in a constant number of queries, as values that the core takes.

The public surface, in the order of use (all of it is synchronous; the controller calls it in a thread)::

    connection = Connection(url="http://prometheus:9090", bearer_token_file=None, ca_file=None)   # headers, parameters
    client = PrometheusClient(connection)             # one for the process; thread-safe; close() at the end

    view = ModelView(
        namespace="demo", name="ranker",
        threshold_seconds=0.1, within_ratio=0.95,
        metrics=spec.metrics,                         # recmodel.api.v1alpha1.Metrics
        pools=(PoolView(name="cpu", weight=700.0, ready=3, cpu_limit_cores=2.0), PoolView(name="gpu")),  # spec's order
        pods={"ranker-cpu-5d9f-abcde": "cpu"},        # pod name -> pool name, for CPU and GPU use; may be empty
    )
    # Pods without a label of ours, such as those of a Deployment feed: PoolView(..., pod_prefix=pod_prefix("feed"))
    settings = GatherSettings(window_seconds=60.0, scrape_interval_seconds=15.0, budget_seconds=10.0)
    edges = EdgeMemory()                              # one for the process: a large fleet is asked for fewer buckets
    rates = RateMemory()                              # one for the process: a rate is compared with the last hour
    readings = gather(client, [view], now_seconds, settings, edges, rates)   # never raises for what Prometheus says or not

    readings.models["demo/ranker"]     -> ModelReading(verdict, reason, message, pools, within)
        .verdict                       -> Verdict.AVAILABLE | MISSING | STALE | PARTIAL | UNUSABLE   (StrEnum)
        .reason, .message              -> a CamelCase constant of recmodel.prometheus.readings, and a sentence
        .within                        -> Bracket(lower, upper) of the model's share within the threshold | None
        .pools["cpu"]                  -> PoolReading(rate_per_second, errors_per_second, latency, utilisation_ratio,
                                          queue, in_flight, age_seconds, coverage_ratio, cpu_utilisation_ratio,
                                          gpu_utilisation_ratio, reason)
        .pools["cpu"].observation(desired=3, ready=3, unschedulable=0, weight=700.0, startup_seconds=40.0)
                                       -> recmodel.core.types.PoolObservation
    readings.gateway                   -> GatewayReading(rate_per_second, failed_per_second, no_cluster_per_second,
                                          age_seconds) | None
    readings.error                     -> Reason | None: set when Prometheus could not be asked at all
    readings.queries, readings.seconds -> how many queries, and how long all of it took

    histories(client, [view], now_seconds, span_seconds=14 * 86400, step_seconds=300.0)
                                       -> dict key -> History(seconds, per_second): numpy arrays on one grid, NaN in
                                          the gaps; raises PrometheusError
    scrape_interval_seconds(client, "envoy-gateway", now_seconds)    -> float | None, from the spacing of the samples

    read_quality(client, [Asked("demo", "ranker", spec.rollout.quality)], now_seconds, settings)
                                       -> dict key -> pool -> Rates(successes_per_second, trials_per_second)

    load_profile("triton"), profile_for(spec.metrics), PROFILE_NAMES
                                       -> Profile; .scrape.port and .scrape.path for the PodMonitor
    within_bracket(latency, threshold_seconds), percentile_bracket(latency, ratio)   -> Bracket | None
    served_bracket(latency, threshold_seconds, rate, errors)    -> the same of all requests, failures never within

Every failure to ask is one of ``PrometheusError``: ``PrometheusUnavailable``, ``QueryRefused``, ``AnswerUnusable``.
Unknown is None throughout; nothing that is missing, stale, NaN, infinite or negative becomes 0. The one place where an
absent series is read as 0 requests is :func:`recmodel.prometheus.answers.idle`, which says why.
"""

from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.edges import EdgeMemory
from recmodel.prometheus.gather import gather, scrape_interval_seconds
from recmodel.prometheus.histogram import Bracket, percentile_bracket, served_bracket, within_bracket
from recmodel.prometheus.history import History, histories
from recmodel.prometheus.plausible import RateMemory
from recmodel.prometheus.pod_names import pod_prefix
from recmodel.prometheus.profile import PROFILE_NAMES, Profile, load_profile, profile_for
from recmodel.prometheus.quality import Asked, read_quality
from recmodel.prometheus.readings import (
    BackendView,
    GatewayReading,
    GatherSettings,
    ModelReading,
    ModelView,
    PoolReading,
    PoolView,
    Rates,
    Readings,
    Verdict,
)
from recmodel.prometheus.session import (
    AnswerUnusable,
    Connection,
    PrometheusError,
    PrometheusUnavailable,
    QueryRefused,
)

__all__ = [
    "PROFILE_NAMES",
    "AnswerUnusable",
    "Asked",
    "BackendView",
    "Bracket",
    "Connection",
    "EdgeMemory",
    "GatewayReading",
    "GatherSettings",
    "History",
    "ModelReading",
    "ModelView",
    "PoolReading",
    "PoolView",
    "Profile",
    "PrometheusClient",
    "PrometheusError",
    "PrometheusUnavailable",
    "QueryRefused",
    "RateMemory",
    "Rates",
    "Readings",
    "Verdict",
    "gather",
    "histories",
    "load_profile",
    "percentile_bracket",
    "pod_prefix",
    "profile_for",
    "read_quality",
    "scrape_interval_seconds",
    "served_bracket",
    "within_bracket",
]
