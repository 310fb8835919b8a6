"""How the requests of the past were served, by slots of five minutes: their latencies, also by kind, how busy the pods were, what waited.

It is asked beside ``past``, of the same pods. What is not known is NaN, and never zero.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recmodel.prometheus.answers import arrivals_of
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.histogram import UNIT_SECONDS, upper_bound_seconds
from recmodel.prometheus.history import by_pool, on_grid
from recmodel.prometheus.past import Floats, bounds_of, profile_of, window_of
from recmodel.prometheus.past_scaling import LONGEST_LOOK_BACK_SECONDS
from recmodel.prometheus.pod_names import by_workload
from recmodel.prometheus.profile import Histogram, Profile, load_profile
from recmodel.prometheus.promql import any_of, duration, literal, ours, quoted, selector
from recmodel.prometheus.readings import ModelView

SLOT_SECONDS = 300.0
KIND_LABEL = "recmodel_kind"  # made within the questions
MOST_KINDS = 6
ROUTES = "(?:http|grpc)route"
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of requests, a value a slot: requests/s by upper bound in seconds, and the time spent on them, in seconds a second."""

    buckets: Mapping[float, Floats]
    spent: Floats


@dataclass(frozen=True, slots=True)
class PoolSlots:
    """One workload, a value a slot; the use is the mean of the pods that reported."""

    name: str
    latencies: Latencies
    cpu_cores: Floats
    cpu_bound_cores: Floats  # what ``cpu_bound`` says of one pod
    cpu_bound: str  # limit, request, or nothing where neither is known
    gpu_ratio: Floats
    queue: Floats  # requests that wait, a replica


@dataclass(frozen=True, slots=True)
class Slots:
    """Several workloads on one grid; ``kinds``: the most frequent ones, where a label tells them."""

    seconds: Floats  # when each slot begins (Unix time)
    pools: tuple[PoolSlots, ...]
    kinds: Mapping[str, Latencies] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KindsBy:
    """What tells the kinds of requests apart: a ``label`` of the pods' histogram, or the rules of a ``route`` at Envoy Gateway."""

    label: str | None = None
    route: str | None = None

    def __post_init__(self) -> None:
        if self.label is not None and (not _LABEL.fullmatch(self.label) or self.label == "le"):
            raise ValueError(f"--by {self.label!r} is no label of requests: it has letters, digits and _, such as path")


def read_slots(
    client: PrometheusClient,
    view: ModelView,
    moments: Floats,
    counts: Mapping[str, Mapping[str, float]],
    by: KindsBy | None = None,
    scope: Sequence[str] = (),
) -> Slots:
    """The slots that end at ``moments``; ``counts`` as of ``read_past``. Raises ``PrometheusError``."""
    profile, view = profile_of(view)
    if profile.latency is None:
        raise ValueError(f"profile {profile.name} has no histogram")
    window = max(SLOT_SECONDS, window_of(client, profile, float(moments[-1]), scope))
    asked = _Asked(client, profile, view, moments, f"[{duration(window)}]", (*ours(profile), *scope))
    even = {pool.name: bounds_of(counts.get(pool.name, {}), profile.latency) for pool in view.pools}
    latencies = _pool_latencies(asked, profile.latency, even)
    use = _Use(asked, scope)
    pools = []
    for name in even:
        bound = next((word for word in use.bounds if np.isfinite(use.bounds[word].get(name, use.none)).any()), "")
        pools.append(
            PoolSlots(
                name,
                latencies[name],
                use.cores.get(name, use.none),
                use.bounds[bound][name] if bound else use.none,
                bound,
                use.gpu.get(name, use.none),
                use.queue.get(name, use.none),
            )
        )
    kinds = _kinds(asked, by, view.namespace, even, scope) if by is not None else {}
    return Slots(moments - SLOT_SECONDS, tuple(pools), kinds)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What each question is asked with."""

    client: PrometheusClient
    profile: Profile
    view: ModelView
    moments: Floats
    window: str  # with its brackets
    mine: tuple[str, ...]  # matchers of the pods

    def by_workload(self, query: str) -> dict[str, Floats]:
        """The sum of what each pod has, by pool."""
        whole = by_workload(query, self.profile, [self.view])
        found, _ = by_pool(self.client, whole, self.profile, [self.view], self.moments, SLOT_SECONDS)
        return {pool: values for (_, pool), values in found.items()}

    def mean_of_pods(self, query: str) -> dict[str, Floats]:
        """The mean of the pods that have a value, by pool; ``query`` is by namespace and pod."""
        sums, numbers = self.by_workload(query), self.by_workload(f"group by (namespace, pod) ({query})")
        return {pool: sums[pool] / np.where(numbers[pool] > 0, numbers[pool], np.nan) for pool in sums.keys() & numbers}


class _Use:
    """How busy one replica of each pool was; of each measure the better source, then what stands in for it."""

    def __init__(self, asked: _Asked, scope: Sequence[str]) -> None:
        window, mine = asked.window, asked.mine
        self.none = np.full(asked.moments.size, math.nan)
        containers = ",".join((*mine, 'container!=""', 'container!="POD"'))
        self.cores = _first(
            asked,
            f"sum by (namespace, pod) (rate(container_cpu_usage_seconds_total{{{containers}}}{window}))",
            f"sum by (namespace, pod) (rate(process_cpu_seconds_total{{{','.join(mine)}}}{window}))",
        )
        self.bounds = {
            word: asked.mean_of_pods(
                _of_pods(f"kube_pod_container_resource_{word}s", asked.view, scope, "sum", 'resource="cpu"')
            )
            for word in ("limit", "request")
        }
        dcgm = _of_pods("DCGM_FI_DEV_GPU_UTIL", asked.view, scope, "avg", over=window)
        triton = f"avg by (namespace, pod) (avg_over_time(nv_gpu_utilization{{{','.join(mine)}}}{window}))"
        self.gpu = _first(asked, f"({dcgm}) / 100", triton)
        waits = asked.profile.queue
        gauge = f"sum by (namespace, pod) (avg_over_time({selector(waits, mine)}{window}))" if waits else None
        self.queue = asked.mean_of_pods(gauge) if gauge else {}


def _first(asked: _Asked, better: str, other: str) -> dict[str, Floats]:
    found = asked.mean_of_pods(better)
    return found if len(found) == len(asked.view.pools) else asked.mean_of_pods(other) | found


def _of_pods(
    metric: str, view: ModelView, scope: Sequence[str], how: str, more: str | None = None, over: str = ""
) -> str:
    """A series that an exporter has of other pods, by namespace and pod: where Prometheus put the exporter's own labels aside they are
    ``exported_namespace`` and ``exported_pod``.
    """
    prefixes = "|".join(literal(pool.pod_prefix) for pool in view.pools if pool.pod_prefix)

    def chosen(aside: str) -> str:
        own = (f"{aside}namespace={quoted(view.namespace)}", f"{aside}pod=~{quoted(f'(?:{prefixes}).*')}")
        series = f"{metric}{{{','.join([*own, *([more] if more else []), *scope])}}}"
        return f"avg_over_time({series}{over})" if over else series

    aside = f"{how} by (exported_namespace, exported_pod) ({chosen('exported_')})"
    for label in ("namespace", "pod"):
        aside = f'label_replace({aside}, "{label}", "$1", "exported_{label}", "(.*)")'
    return f"{how} by (namespace, pod) ({chosen('')}) or sum by (namespace, pod) ({aside})"


def _pool_latencies(
    asked: _Asked, histogram: Histogram, even: Mapping[str, Mapping[float, Sequence[str]]]
) -> dict[str, Latencies]:
    """Of each pool, at the edges that all of its servers have."""
    none = np.full(asked.moments.size, math.nan)
    spent = asked.by_workload(_rates(asked, histogram, "_sum"))
    les = sorted({le for bounds in even.values() for spelled in bounds.values() for le in spelled})
    rows = _rates(asked, histogram, "_bucket", f"le{any_of(les)}", by=("le",))
    owner = arrivals_of(asked.profile, [asked.view])
    found: dict[str, dict[float, Floats]] = {name: {} for name in even}
    answer, _ = on_grid(asked.client, by_workload(rows, asked.profile, [asked.view], "le"), asked.moments, SLOT_SECONDS)
    for labels, values in answer:
        whose, le = owner(labels), labels.get("le", "")
        if whose is None or whose[1] not in even:
            continue
        for bound, spelled in even[whose[1]].items():
            if le in spelled:
                _add(found[whose[1]], bound, values)
    unit = UNIT_SECONDS[histogram.unit]
    return {name: Latencies(buckets, spent.get(name, none) * unit) for name, buckets in found.items()}


def _rates(asked: _Asked, histogram: Histogram, suffix: str, *more: str, by: Sequence[str] = ()) -> str:
    labels = ", ".join((*asked.profile.identity.labels, *by))
    return f"sum by ({labels}) (rate({selector(histogram, (*asked.mine, *more), suffix)}{asked.window}))"


def _kinds(
    asked: _Asked,
    by: KindsBy,
    namespace: str,
    even: Mapping[str, Mapping[float, Sequence[str]]],
    scope: Sequence[str],
) -> dict[str, Latencies]:
    """The most frequent kinds of the last day of the range, the most frequent first."""
    if by.route is not None:
        histogram, label = load_profile("envoy-gateway").latency, "envoy_cluster_name"
        begins = f"{ROUTES}/{literal(namespace)}/{literal(by.route)}/rule/"
        pattern, mine = f"{begins}([0-9]+)(?:/.*)?", (f"{label}=~{quoted(f'{begins}.*')}", *scope)
    else:
        histogram, label, pattern, mine = asked.profile.latency, str(by.label), "(.*)", asked.mine
    if histogram is None:
        return {}

    def split(suffix: str, window: str, labels: Sequence[str], *more: str) -> str:
        rate = f"rate({selector(histogram, (*mine, *more), suffix)}{window})"
        named = f'label_replace({rate}, "{KIND_LABEL}", "$1", "{label}", {quoted(pattern)})'
        return f"sum by ({', '.join((KIND_LABEL, *labels))}) ({named})"

    span = min(float(asked.moments[-1] - asked.moments[0]) + SLOT_SECONDS, LONGEST_LOOK_BACK_SECONDS)
    most = asked.client.query(
        f"topk({MOST_KINDS}, {split('_count', f'[{duration(span)}]', ())})", float(asked.moments[-1])
    )
    names = [labels.get(KIND_LABEL, "") for labels, value in sorted(most.rows, key=lambda row: -row[1]) if value > 0]
    if not any(names):  # nothing, or only requests without such a label
        return {}
    only = () if by.route is not None else (f"{label}{any_of(names)}",)
    none = np.full(asked.moments.size, math.nan)
    spent = {
        labels.get(KIND_LABEL, ""): values * UNIT_SECONDS[histogram.unit]
        for labels, values in on_grid(
            asked.client, split("_sum", asked.window, (), *only), asked.moments, SLOT_SECONDS
        )[0]
    }
    everywhere = set.intersection(*({*bounds} for bounds in even.values())) if by.label is not None else None
    buckets: dict[str, dict[float, Floats]] = {name: {} for name in names}
    rows, _ = on_grid(asked.client, split("_bucket", asked.window, ("le",), *only), asked.moments, SLOT_SECONDS)
    for labels, values in rows:
        name = labels.get(KIND_LABEL, "")
        try:
            bound = upper_bound_seconds(labels.get("le", ""), histogram.unit, whole_units=histogram.whole_units)
        except ValueError:
            continue
        if name in buckets and (everywhere is None or bound in everywhere):
            _add(buckets[name], bound, values)
    return {_kind(name, by): Latencies(buckets[name], spent.get(name, none)) for name in names}


def _kind(name: str, by: KindsBy) -> str:
    return f"rule {name}" if by.route is not None else name or f"without {by.label}"


def _add(buckets: dict[float, Floats], bound: float, values: Floats) -> None:
    """Rows of one upper bound, spelled in several ways, are of other servers."""
    before = buckets.get(bound)
    buckets[bound] = values if before is None else np.where(np.isnan(before), values, before + np.nan_to_num(values))
