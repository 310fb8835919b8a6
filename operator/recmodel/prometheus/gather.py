"""Gather: one constant set of queries for all models, then what each pool of each model is known to do."""

from __future__ import annotations

import dataclasses
import time
from collections import defaultdict
from collections.abc import Sequence

from recmodel.core.types import Reason
from recmodel.prometheus import readings
from recmodel.prometheus.answers import PoolKey, believable, spacing_seconds
from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.edges import EdgeMemory
from recmodel.prometheus.found import Answers, found_in
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.lost_pages import Unread, lost_pages, lost_queries, unread_pages
from recmodel.prometheus.plausible import RateMemory, believed
from recmodel.prometheus.pod_names import matchers
from recmodel.prometheus.pools import PageContext, pool_reading
from recmodel.prometheus.profile import Profile, load_profile
from recmodel.prometheus.queries import ProfileQueries, profile_queries, scrape_spacing, usage_queries
from recmodel.prometheus.readings import GatewayReading, GatherSettings, ModelReading, ModelView, Readings, Verdict
from recmodel.prometheus.session import AnswerUnusable, PrometheusError, QueryRefused
from recmodel.prometheus.usage import read_usage
from recmodel.prometheus.verdicts import judge, unusable

_DEFAULT_SETTINGS = GatherSettings()
# A scrape's samples have the time at which it began, and are there once it has ended. Of two queries about this very moment one may
# see a scrape that the other one does not: then more requests came than were answered, and the difference looks late.
SETTLED_SECONDS = 1.0
_Asked = tuple[Profile, Sequence[ModelView], ProfileQueries]


def gather(
    client: PrometheusClient,
    models: Sequence[ModelView],
    now_seconds: float,
    settings: GatherSettings = _DEFAULT_SETTINGS,
    edges: EdgeMemory | None = None,
    rates: RateMemory | None = None,
) -> Readings:
    """What Prometheus says of ``models`` at ``now_seconds`` (Unix time). Never raises for what it says or not.

    With ``edges``, kept by the caller from one gathering to the next, a large fleet is asked for the buckets that the
    decision needs; without, for all of them always. With ``rates``, kept likewise, a rate is compared with the last hour.
    """
    started = time.monotonic()
    groups = by_profile(models, settings.max_custom_profiles)
    found = {m.key: unusable(m, groups.refused[m.key], Verdict.UNUSABLE) for m in models if m.key in groups.refused}
    window = settings.rate_window_seconds
    asked = [
        (profile, members, profile_queries(profile, window, settings.scope)) for profile, members in groups.members
    ]
    learning: dict[str, Vector | PrometheusError] = {}
    if edges is not None:
        learning = _learn_edges(client, asked, edges, now_seconds, settings)
        asked = [
            (profile, members, _narrowed(profile, members, queries, edges, settings.scope))
            for profile, members, queries in asked
        ]
    named = [m for m in models if m.by_name]
    usage = usage_queries(
        {m.namespace for m in models if m.pods}, window, settings.scope, matchers(named) if named else ()
    )
    wanted = [queries.all() for _, _, queries in asked]
    if any(m.pods for m in models):
        wanted.append(usage.all())
    left_seconds = settings.budget_seconds - (time.monotonic() - started)
    settled_seconds = now_seconds - SETTLED_SECONDS
    answers = client.query_all(_grouped(wanted), settled_seconds, left_seconds)
    deadline = started + settings.budget_seconds
    unread = _unread(client, asked, answers, settled_seconds, settings, deadline)
    used = read_usage(usage, answers, models)
    gateway = None
    for profile, members, queries in asked:
        gateway = gateway or _gateway(queries, answers)
        context = PageContext(settings, gateway, used, now_seconds, unread, client.clock)
        found |= _models(profile, members, queries, answers, context, rates)
    return Readings(
        time_seconds=now_seconds,
        models=found,
        gateway=gateway,
        error=_common_error(answers),
        queries=len(answers) + len(learning),
        seconds=time.monotonic() - started,
    )


def _grouped(wanted: Sequence[Sequence[str]]) -> dict[str, tuple[int, ...]]:
    """Each query with the parties that want it: what several want waits for none of them alone."""
    parties: dict[str, tuple[int, ...]] = {}
    for number, queries in enumerate(wanted):
        for query in dict.fromkeys(queries):
            parties[query] = (*parties.get(query, ()), number)
    return parties


def _learn_edges(
    client: PrometheusClient, asked: Sequence[_Asked], edges: EdgeMemory, now_seconds: float, settings: GatherSettings
) -> dict[str, Vector | PrometheusError]:
    questions: dict[str, list[Profile]] = defaultdict(
        list
    )  # a profile has the same question over gRPC where both count alike
    for profile, members, _ in asked:
        question = edges.question(profile, _size(members), now_seconds, settings.scope)
        if question:
            questions[question].append(profile)
    if not questions:
        return {}
    # Half of the budget at most: without an answer all edges are asked for, as for a small fleet.
    answers = client.query_all({question: question for question in questions}, now_seconds, settings.budget_seconds / 2)
    for question, answer in answers.items():
        if isinstance(answer, Vector):
            for profile in questions[question]:
                edges.learn(profile, answer, now_seconds)
    return answers


def _size(members: Sequence[ModelView]) -> int:
    """How many models, or as many as would have so many rows where each pod has its own: two pools a model."""
    return max(len(members), sum(len(model.pods) for model in members if model.by_name) // 2)


def _narrowed(
    profile: Profile, members: Sequence[ModelView], queries: ProfileQueries, edges: EdgeMemory, scope: Sequence[str]
) -> ProfileQueries:
    if queries.buckets is None or queries.uneven is None:
        return queries
    # Half of it tells how near the requests come to it.
    thresholds = {share * model.threshold_seconds for model in members for share in (0.5, 1.0)}
    buckets, uneven = (
        edges.narrowed(profile, query, _size(members), thresholds, scope) for query in (queries.buckets, queries.uneven)
    )
    return dataclasses.replace(queries, buckets=buckets, uneven=uneven)


def _unread(
    client: PrometheusClient,
    asked: Sequence[_Asked],
    answers: dict[str, Vector | PrometheusError],
    settled_seconds: float,
    settings: GatherSettings,
    deadline: float,
) -> dict[PoolKey, Unread]:
    """The pools whose requests are not counted on all of the gateway's pages. Only while pages are lost more is asked, and
    added to ``answers``; where that is not answered, the question about lost pages is not.
    """
    found: dict[PoolKey, Unread] = {}
    for profile, members, queries in asked:
        pages = lost_pages(answers[queries.lost]) if queries.lost else {}
        if not pages or queries.lost is None:
            continue
        more = lost_queries(profile, pages, settings.rate_window_seconds, settings.scope)
        answers |= client.query_all(more.new(), settled_seconds, deadline - time.monotonic())
        mine = {query: answers[query] for query in (*more.new(), more.requests)}
        known = {query: answer for query, answer in mine.items() if isinstance(answer, Vector)}
        failed = [answer for answer in mine.values() if isinstance(answer, PrometheusError)]
        if failed:
            answers[queries.lost] = failed[0]
            continue
        if any(answer.partial for answer in known.values()):
            answers[queries.lost] = Vector((), partial=True)
        found |= unread_pages(profile, members, pages, more, known)
    return found


def scrape_interval_seconds(
    client: PrometheusClient, profile_name: str, now_seconds: float, scope: Sequence[str] = ()
) -> float | None:
    """The time between scrapes, from the last minute; None where there are none. Raises ``PrometheusError``."""
    return spacing_seconds(client.query(scrape_spacing(load_profile(profile_name), scope), now_seconds))


def _common_error(answers: Answers) -> Reason | None:
    errors = [answer for answer in answers.values() if isinstance(answer, PrometheusError)]
    return reason_of(errors[0]) if errors and len(errors) == len(answers) else None


def reason_of(error: PrometheusError) -> Reason:
    """The reason constant of an error, with its message."""
    if isinstance(error, QueryRefused):
        return Reason(readings.QUERY_REFUSED, str(error))
    if isinstance(error, AnswerUnusable):
        return Reason(readings.ANSWER_UNUSABLE, str(error))
    return Reason(readings.PROMETHEUS_UNAVAILABLE, str(error))


def _gateway(queries: ProfileQueries, answers: Answers) -> GatewayReading | None:
    if queries.downstream is None:
        return None
    rate, failed, dropped = (_single(answers, query) for query in queries.downstream)
    # A class of answers that never occurred has no series yet; the requests' series tell that the page is there.
    none_yet = 0.0 if rate is not None else None
    return GatewayReading(
        rate_per_second=rate,
        failed_per_second=none_yet if failed is None and _empty(answers, queries.downstream[1]) else failed,
        no_cluster_per_second=dropped,
        age_seconds=_single(answers, queries.page_age) if queries.page_age else None,
    )


def _single(answers: Answers, query: str) -> float | None:
    answer = answers[query]
    if isinstance(answer, PrometheusError) or len(answer.rows) != 1 or not believable(answer.rows[0][1]):
        return None
    return answer.rows[0][1]


def _empty(answers: Answers, query: str) -> bool:
    answer = answers[query]
    return isinstance(answer, Vector) and not answer.rows


def _models(
    profile: Profile,
    members: Sequence[ModelView],
    queries: ProfileQueries,
    answers: Answers,
    context: PageContext,
    rates: RateMemory | None,
) -> dict[str, ModelReading]:
    for query in queries.needed():
        answer = answers[query]
        if isinstance(answer, PrometheusError):
            reason = reason_of(answer)
            return {model.key: unusable(model, reason, Verdict.MISSING) for model in members}
    found = found_in(profile, queries, answers, members)
    result = {}
    for model in members:
        pools = {pool.name: pool_reading(model, pool, found, context) for pool in model.pools}
        if not found.partial:
            pools = believed(model, pools, rates, context.now_seconds)
        result[model.key] = judge(model, pools, profile, partial=found.partial)
    return result
