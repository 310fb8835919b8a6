"""What ``recmodel doctor`` asks Prometheus, as the operator would: itself, each profile in use, and each RecModel's histograms."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.controller.settings import Settings
from recmodel.prometheus import GatherSettings, ModelView, PoolView, Profile, pod_prefix
from recmodel.prometheus.answers import owner_of, spacing_seconds
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.gather import reason_of
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.own_edges import own_edges
from recmodel.prometheus.queries import scrape_spacing, statuses_of
from recmodel.prometheus.session import PrometheusError
from recmodel.report import metric_checks
from recmodel.report.checks import Check

BUDGET_SECONDS = 10.0  # of a round of questions
LEAST_SPAN_SECONDS = 60.0  # over which scrapes are counted


def examine(prometheus: PrometheusClient, settings: Settings, specs: Mapping[str, RecModelSpec]) -> list[Check]:
    """All of it, for the RecModels of these valid specs, by ``namespace/name``."""
    url, looked = settings.prometheus_url, settings.gathering
    started = time.time()
    try:
        prometheus.query("vector(1)", started)
    except PrometheusError as error:
        return [metric_checks.unanswered(url, reason_of(error))]
    found = [Check("ok", "Prometheus", f"{url} answers in {1000 * (time.time() - started):.0f} ms")]
    if prometheus.clock.is_noticed:
        found.append(Check("warning", "Prometheus", f"its clock is {prometheus.clock}: keep both in step (NTP)"))
    groups = by_profile([_view(key, spec) for key, spec in specs.items()], looked.max_custom_profiles)
    found += _spacings(prometheus, looked, [profile for profile, _ in groups.members])
    found += [Check("problem", key, reason.message) for key, reason in groups.refused.items()]
    own = own_edges(prometheus, groups, time.time(), BUDGET_SECONDS, looked.scope)
    for profile, models in groups.members:
        for model in models:
            if model.key in own.failed:
                said = f"the edges of its histograms are not known: {own.failed[model.key]}; look again, or see Prometheus' log"
                found.append(Check("warning", model.key, said))
                continue
            pools = {pool.name: own.counts.get((model.key, pool.name), {}) for pool in model.pools}
            found += metric_checks.edges(model.key, specs[model.key], profile, pools)
        found += _statuses(prometheus, looked, profile, models)
    return found


def _statuses(
    prometheus: PrometheusClient, looked: GatherSettings, profile: Profile, models: Sequence[ModelView]
) -> list[Check]:
    """Of each of these models, where their pools answer gRPC, whether the statuses of its calls are known at all."""
    if profile.calls is None:
        return []
    query = statuses_of(profile.calls.statuses, profile, looked.scope)
    answer = prometheus.query_all([query], time.time(), BUDGET_SECONDS)[query]
    if isinstance(answer, PrometheusError):
        said = f"whether gRPC statuses are counted is not known: {answer}; look again, or see Prometheus' log"
        return [Check("warning", metric_checks.about(profile), said)]
    whose = owner_of(profile, models)
    counted = {pool[0] for labels, _ in answer.rows if (pool := whose(labels)) is not None}
    return [metric_checks.statuses(model.key, profile.calls.needs) for model in models if model.key not in counted]


def _spacings(prometheus: PrometheusClient, looked: GatherSettings, profiles: list[Profile]) -> list[Check]:
    span_seconds = max(LEAST_SPAN_SECONDS, looked.rate_window_seconds)
    asked = {
        (metric_checks.about(profile), scrape_spacing(profile, looked.scope, span_seconds)): profile
        for profile in profiles
    }
    answers = prometheus.query_all(dict.fromkeys(query for _, query in asked), time.time(), BUDGET_SECONDS)
    found = []
    for (about, query), profile in asked.items():
        answer = answers[query]
        if isinstance(answer, PrometheusError):
            said = f"how often it is scraped is not known: {answer}; look again, or see Prometheus' log"
            found.append(Check("warning", about, said))
        elif (seconds := spacing_seconds(answer)) is None:
            found.append(metric_checks.no_series(profile, span_seconds))
        else:
            interval, window = looked.scrape_interval_seconds, looked.rate_window_seconds
            found.append(metric_checks.spacing(profile, seconds, interval, window))
    return found


def _view(key: str, spec: RecModelSpec) -> ModelView:
    namespace, _, name = key.partition("/")
    latency = spec.objective.latency
    pools = tuple(
        PoolView(pool.name, pod_prefix=pod_prefix(pool.target_ref.name) if pool.target_ref is not None else None)
        for pool in spec.pools
    )
    return ModelView(
        namespace, name, latency.threshold_seconds, latency.within_ratio, spec.metrics, pools, grpc=spec.grpc
    )
