"""The questions: pure builders of PromQL. However many RecModels exist, a profile costs the same handful of queries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from recmodel.prometheus.lost_pages import lost_query
from recmodel.prometheus.pod_names import beginning_with, by_workload, scrapes_by_pod, up_by_pod
from recmodel.prometheus.profile import Downstream, GrpcCalls, Profile, Selector
from recmodel.prometheus.promql import any_of, duration, literal, ours, quoted, rates, selector, unnamed
from recmodel.prometheus.readings import ModelView

# More namespaces than this make a query longer than it saves: then all pods are asked for.
MAX_NAMESPACES = 100


@dataclass(frozen=True, slots=True)
class ProfileQueries:
    """The questions for all models of one profile. None: the profile has no such series."""

    requests: str  # requests/s by identity
    answered: str | None
    failures: str | None
    grpc: str | None  # gRPC calls/s of which is known how they ended, by identity
    buckets: str | None  # cumulative requests/s by identity and ``le``
    uneven: (
        str | None
    )  # share of a pool's histograms that have an edge, by identity and ``le``, where not all of them have it
    queue: str | None
    in_flight: str | None
    moved: str  # by how much the counters moved within the window, a second, by identity: as their rate, unless they go back
    scrapes: str | None  # how often the same page is read, by identity
    age: str  # seconds since the newest sample, by identity
    page_age: str | None  # seconds since the newest sample of a series that is always on the page
    up: str | None  # pods whose page was read, by identity
    lost: str | None  # pages of the gateway that were read and are read no more
    downstream: tuple[str, str, str] | None  # of the gateway: requests/s, failed/s, without a backend/s

    def needed(self) -> tuple[str, ...]:
        """The queries without whose answers nothing is decided: the numbers, and all that tells whether they can be believed."""
        checks = (self.answered, self.failures, self.buckets, self.uneven, self.moved, self.scrapes, self.up, self.lost)
        return (self.requests, self.age, *(query for query in checks if query))

    def all(self) -> tuple[str, ...]:
        """Every query, for counting and for checking."""
        single = (
            self.answered,
            self.failures,
            self.grpc,
            self.buckets,
            self.uneven,
            self.queue,
            self.in_flight,
            self.page_age,
            self.up,
            self.scrapes,
            self.lost,
        )
        return (self.requests, self.moved, self.age, *(query for query in single if query), *(self.downstream or ()))


def profile_queries(profile: Profile, window_seconds: float, scope: Sequence[str] = ()) -> ProfileQueries:
    """All questions for one profile; rates are taken over ``window_seconds`` (at least four scrape intervals).

    ``scope``, here and below: matchers of the operator's setting, already written out, that every series must meet.
    """
    window = duration(window_seconds)
    by = ", ".join(profile.identity.labels)
    owners = ", ".join(profile.identity.owner_labels)
    mine = (*ours(profile), *scope)

    def gauge(series: Selector | None) -> str | None:
        return f"sum by ({by}) ({selector(series, mine)})" if series else None

    newest = " or ".join(f"timestamp({selector(series, mine)})" for series in profile.requests)
    return ProfileQueries(
        requests=rates(profile.requests, mine, by, f"[{window}]"),
        answered=rates(profile.answered, mine, by, f"[{window}]") if profile.answered else None,
        failures=_failures(profile, mine, by, window),
        grpc=_told(profile.calls, mine, by, window) if profile.calls else None,
        buckets=f"sum by ({by}, le) (rate({selector(profile.latency, mine, '_bucket')}[{window}]))"
        if profile.latency
        else None,
        uneven=_uneven(selector(profile.latency, mine, "_bucket"), by, window) if profile.latency else None,
        queue=gauge(profile.queue),
        in_flight=gauge(profile.in_flight),
        moved=_moved(profile.requests, mine, by, window_seconds),
        scrapes=scrapes_by_pod(profile, mine, window_seconds)
        if profile.identity.named
        else _scrapes(profile, mine, owners),
        age=f"time() - max by ({by}) ({newest})",
        page_age=f"time() - max(timestamp({selector(profile.page, scope)}))" if profile.page else None,
        up=_up(profile, mine, owners, window_seconds),
        lost=lost_query(profile, window_seconds, scope),
        downstream=_downstream(profile.downstream, window, scope) if profile.downstream else None,
    )


def _failures(profile: Profile, matchers: Sequence[str], by: str, window: str) -> str | None:
    """Failed requests/s; of gRPC calls those by either kind of status."""
    calls = profile.calls
    if not profile.failures:
        return None
    if calls is not None and not calls.in_both:
        return rates([*profile.failures, calls.failures], matchers, by, f"[{window}]")
    of_http = rates(profile.failures, matchers, by, f"[{window}]")
    if calls is None:
        return of_http
    of_grpc = rates([calls.failures], matchers, by, f"[{window}]")
    parts = [f'label_replace({part}, "part", "{i}", "", "")' for i, part in enumerate((of_http, of_grpc))]
    return f"max by ({by}) ({' or '.join(parts)})"


def _told(calls: GrpcCalls, matchers: Sequence[str], by: str, window: str) -> str:
    return rates([calls.statuses, *calls.without_status], matchers, by, f"[{window}]")


def _uneven(buckets: str, by: str, window: str) -> str:
    """Of the series that the window holds: those of now, and those that ended within it."""
    counts = f"count by ({by}, le) ({buckets} or {buckets} offset {window})"
    return f"{counts} / on ({by}) group_left () max by ({by}) ({counts}) < 1"


def edges_of(profile: Profile, scope: Sequence[str] = ()) -> str:
    """How many buckets each edge has: this reads one sample of each alone, and costs far less than their rates."""
    if profile.latency is None:
        raise ValueError(f"profile {profile.name} has no histogram")
    return f"count by (le) ({selector(profile.latency, (*ours(profile), *scope), '_bucket')})"


def statuses_of(statuses: Selector, profile: Profile, scope: Sequence[str] = ()) -> str:
    """How many series of gRPC statuses there are, by identity."""
    return f"count by ({', '.join(profile.identity.labels)}) ({selector(statuses, (*ours(profile), *scope))})"


def with_edges(query: str, profile: Profile, edges: Iterable[str], scope: Sequence[str] = ()) -> str:
    """The query for buckets, for some edges only."""
    if profile.latency is None:
        raise ValueError(f"profile {profile.name} has no histogram")
    mine = (*ours(profile), *scope)
    whole = selector(profile.latency, mine, "_bucket")
    return query.replace(whole, selector(profile.latency, (*mine, f"le{any_of(edges)}"), "_bucket"))


def _moved(series: Sequence[Selector], matchers: Sequence[str], by: str, window_seconds: float) -> str:
    window, sums = duration(window_seconds), []
    for i, part in enumerate(series):
        chosen = selector(part, matchers)
        spread = f"max_over_time({chosen}[{window}]) - min_over_time({chosen}[{window}])"
        sums.append(f'label_replace({spread}, "part", "{i}", "", "")' if len(series) > 1 else spread)
    return f"sum by ({by}) ({' or '.join(sums)}) / {window_seconds:g}"


def _up(profile: Profile, matchers: Sequence[str], owners: str, window_seconds: float) -> str | None:
    if profile.identity.named:
        return up_by_pod(profile, matchers, window_seconds)
    return f"sum by ({owners}) ({selector(Selector(name='up'), matchers)})" if profile.scope == "pod" else None


def _scrapes(profile: Profile, matchers: Sequence[str], owners: str) -> str | None:
    """Of a series that is once on each page; the page is identified by its address, so that a pair of servers, and two jobs, are
    seen, while two ports of a pod are two pages.
    """
    if profile.scope == "pod":
        once = Selector(name="up")
    elif profile.identity.cluster:
        once = profile.requests[0]
    else:
        return None
    chosen = selector(once, (*matchers, f"instance!={quoted('')}"))
    return f"max by ({owners}) (count by ({owners}, pod, instance) ({chosen}))"


def _downstream(series: Downstream, window: str, scope: Sequence[str]) -> tuple[str, str, str]:
    parts = (series.requests, series.failures, series.no_backend)
    requests, failures, no_backend = (f"sum(rate({selector(part, scope)}[{window}]))" for part in parts)
    return requests, failures, no_backend


@dataclass(frozen=True, slots=True)
class UsageQueries:
    """CPU cores used and GPU utilisation of pods. Of each: the better source, then what stands in for it."""

    cpu_cores: tuple[str, ...]  # cAdvisor, then the process' own counter
    gpu_ratio: tuple[str, ...]  # DCGM exporter, then Triton

    def all(self) -> tuple[str, ...]:
        """Every query."""
        return self.cpu_cores + self.gpu_ratio


def usage_queries(
    namespaces: Iterable[str], window_seconds: float, scope: Sequence[str] = (), named: Sequence[str] = ()
) -> UsageQueries:
    """By namespace and pod. The exporter's own labels win where Prometheus has put them aside as ``exported_*``.

    ``named``: matchers of pods without a label of ours, where there are any; their own pages are asked for by these.
    """
    names = sorted(set(namespaces))
    window = duration(window_seconds)
    where = [f"namespace{any_of(names)}"] if 0 < len(names) <= MAX_NAMESPACES else []

    def chosen(*matchers: str) -> str:
        return ",".join([*matchers, *scope])

    own_pages = [chosen(*where, 'recmodel_dev_model!=""')]
    if named:
        own_pages.append(chosen(*named))
    containers = chosen(*where, 'container!=""', 'container!="POD"')
    return UsageQueries(
        cpu_cores=(
            f"sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{{{containers}}}[{window}]))",
            *(f"sum by (namespace, pod) (rate(process_cpu_seconds_total{{{own}}}[{window}]))" for own in own_pages),
        ),
        gpu_ratio=(
            f"avg by (namespace, pod, exported_namespace, exported_pod) (DCGM_FI_DEV_GPU_UTIL{{{chosen()}}}) / 100",
            *(f"avg by (namespace, pod) (nv_gpu_utilization{{{own}}})" for own in own_pages),
        ),
    )


def model_rate(
    profile: Profile, namespace: str, models: Sequence[ModelView], window_seconds: float, scope: Sequence[str] = ()
) -> str:
    """Requests/s of some models of one namespace, for the history: by identity, of pods without a label of ours by workload."""
    mine = [*_of(profile, namespace, models), *scope]
    found = rates(profile.requests, mine, ", ".join(profile.identity.labels), f"[{duration(window_seconds)}]")
    return by_workload(found, profile, models) if profile.identity.named else found


def own_edges_query(profile: Profile, namespace: str, models: Sequence[ModelView], scope: Sequence[str] = ()) -> str:
    """How many buckets each edge has of some models of one namespace: by identity, of pods without a label of ours by workload."""
    if profile.latency is None:
        raise ValueError(f"profile {profile.name} has no histogram")
    chosen = selector(profile.latency, [*_of(profile, namespace, models), *scope], "_bucket")
    found = f"count by ({', '.join(profile.identity.labels)}, le) ({chosen})"
    return by_workload(found, profile, models, "le") if profile.identity.named else found


def _of(profile: Profile, namespace: str, models: Sequence[ModelView]) -> list[str]:
    """Matchers of the series of some models of one namespace."""
    identity = profile.identity
    if identity.cluster:
        names = "|".join(literal(model.name) for model in models)
        groups = {"namespace": literal(namespace), "model": f"(?:{names})"}
        return [f"{identity.cluster.label}=~{quoted(_filled(identity.cluster.pattern, groups))}"]
    if identity.workload:
        workloads = [f"{model.name}-{pool.name}" for model in models for pool in model.pools]
        return [f"{identity.workload.namespace}={quoted(namespace)}", f"{identity.workload.name}{any_of(workloads)}"]
    if identity.named:
        prefixes = {pool.pod_prefix for model in models for pool in model.pools if pool.pod_prefix}
        return [f"namespace={quoted(namespace)}", f"pod{beginning_with(prefixes)}"]
    label_namespace, label_model, _ = identity.owner_labels
    return [f"{label_namespace}={quoted(namespace)}", f"{label_model}{any_of(model.name for model in models)}"]


def _filled(pattern: str, groups: dict[str, str]) -> str:
    for group, value in groups.items():
        pattern = re.sub(rf"\(\?P<{group}>[^()]*\)", lambda _: value, pattern)  # noqa: B023 (used at once)
    return unnamed(pattern)


def scrape_spacing(profile: Profile, scope: Sequence[str] = (), span_seconds: float = 60.0) -> str:
    """Seconds between the samples of the last minute, or another span; too long while Prometheus has not yet read the page
    for so long. Of pods without a label of ours those of the slowest job: they have not one monitor, but each its own.
    """
    named = profile.identity.named is not None  # of a pod's pages, the one that is up may be a side-car's
    series = profile.page or (Selector(name="up") if profile.scope == "pod" and not named else profile.requests[0])
    extra = (*(() if profile.page else ours(profile)), *scope)
    samples = f"count_over_time({selector(series, extra)}[{duration(span_seconds)}])"
    most = f"min(max by (namespace, job, endpoint) ({samples}))" if named else f"max({samples})"
    return f"{span_seconds:g} / {most}"
