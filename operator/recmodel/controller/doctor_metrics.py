"""What ``recmodel doctor`` asks Prometheus, as the operator would: itself, each profile in use, and each RecModel's histograms."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.controller.settings import Settings
from recmodel.controller.views import pod_prefixes
from recmodel.prometheus import GatherSettings, ModelView, PoolView, Profile
from recmodel.prometheus.answers import owner_of, spacing_seconds
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.gather import reason_of
from recmodel.prometheus.grouping import Groups, by_profile
from recmodel.prometheus.own_edges import own_edges
from recmodel.prometheus.queries import scrape_spacing, statuses_of
from recmodel.prometheus.readings import NO_EDGE_NEAR_THRESHOLD, THRESHOLD_ABOVE_EDGES
from recmodel.prometheus.session import PrometheusError
from recmodel.report import metric_checks
from recmodel.report.checks import Check

EDGE_REASONS = (THRESHOLD_ABOVE_EDGES, NO_EDGE_NEAR_THRESHOLD)
BUDGET_SECONDS = 10.0  # of a round of questions
LEAST_SPAN_SECONDS = 60.0  # over which scrapes are counted


def examine(
    prometheus: PrometheusClient, settings: Settings, specs: Mapping[str, RecModelSpec], missing: Mapping[str, str]
) -> list[Check]:
    """All of it, for the RecModels of these valid specs, by ``namespace/name``. ``missing``: the reason why metrics are missing, of
    those whose status has one; what it says is not said again.
    """
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
    spacings, silent = _spacings(prometheus, looked, groups)
    found += spacings
    found += [Check("problem", key, reason.message) for key, reason in groups.refused.items()]
    own = own_edges(prometheus, groups, time.time(), BUDGET_SECONDS, looked.scope)
    for profile, models in groups.members:
        for model in models:
            if model.key in own.failed:
                said = f"the edges of its histograms are not known: {own.failed[model.key]}; look again, or see Prometheus' log"
                found.append(Check("warning", model.key, said))
                continue
            pools = {pool.name: own.counts.get((model.key, pool.name), {}) for pool in model.pools}
            if any(pools.values()) or model.key not in {*missing, *silent}:
                looked_at = metric_checks.edges(model.key, specs[model.key], profile, pools)
                found += [one for one in looked_at if one.level == "ok" or missing.get(model.key) not in EDGE_REASONS]
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


def _spacings(
    prometheus: PrometheusClient, looked: GatherSettings, groups: Groups
) -> tuple[list[Check], Collection[str]]:
    """How often the pages of each profile are read, and the models of the profiles that have none."""
    span_seconds = max(LEAST_SPAN_SECONDS, looked.rate_window_seconds)
    asked: dict[tuple[str, str], tuple[Profile, list[str]]] = {}
    for profile, models in groups.members:
        question = metric_checks.about(profile), scrape_spacing(profile, looked.scope, span_seconds)
        asked.setdefault(question, (profile, []))[1].extend(model.key for model in models)
    answers = prometheus.query_all(dict.fromkeys(query for _, query in asked), time.time(), BUDGET_SECONDS)
    found, silent = [], set()
    for (about, query), (profile, keys) in asked.items():
        answer = answers[query]
        if isinstance(answer, PrometheusError):
            said = f"how often it is scraped is not known: {answer}; look again, or see Prometheus' log"
            found.append(Check("warning", about, said))
        elif (seconds := spacing_seconds(answer)) is None:
            found.append(metric_checks.no_series(profile, span_seconds, keys))
            silent.update(keys)
        else:
            interval, window = looked.scrape_interval_seconds, looked.rate_window_seconds
            found.append(metric_checks.spacing(profile, seconds, interval, window))
    return found, silent


def _view(key: str, spec: RecModelSpec) -> ModelView:
    namespace, _, name = key.partition("/")
    latency = spec.objective.latency
    prefixes = pod_prefixes(name, spec)
    pools = tuple(PoolView(pool.name, pod_prefix=p) for pool, p in zip(spec.pools, prefixes, strict=True))
    return ModelView(
        namespace, name, latency.threshold_seconds, latency.within_ratio, spec.metrics, pools, grpc=spec.grpc
    )
