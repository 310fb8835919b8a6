"""How the requests of the past were served, by slots of five minutes: their latencies, also by kind, how busy the pods were, what waited.

It is asked beside ``past``, of the same pods. What is not known is NaN, and never zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recmodel.prometheus.answers import arrivals_of
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.histogram import UNIT_SECONDS
from recmodel.prometheus.past import Floats, bounds_of, profile_of, window_of
from recmodel.prometheus.past_kinds import KindsBy, kinds_of
from recmodel.prometheus.pod_names import by_workload
from recmodel.prometheus.profile import Histogram
from recmodel.prometheus.promql import any_of, duration, literal, ours, quoted, selector
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.slot_questions import SLOT_SECONDS, Latencies, SlotQuestions, add


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
    partial: bool = False  # the server said that a part of an answer may be missing
    refused: tuple[str, ...] = ()  # why questions have no usable answer: what they ask for is not known


def read_slots(
    client: PrometheusClient,
    view: ModelView,
    moments: Floats,
    counts: Mapping[str, Mapping[str, float]],
    by: KindsBy | None = None,
    scope: Sequence[str] = (),
) -> Slots:
    """The slots that end at ``moments``; ``counts`` as of ``read_past``. Raises ``PrometheusUnavailable``; what is refused is not known."""
    profile, view = profile_of(view)
    if profile.latency is None:
        raise ValueError(f"profile {profile.name} has no histogram")
    window = max(SLOT_SECONDS, window_of(client, profile, float(moments[-1]), scope))
    asked = SlotQuestions(client, profile, view, moments, f"[{duration(window)}]", (*ours(profile), *scope))
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
    kinds = kinds_of(asked, by, view.namespace, even, scope) if by is not None else {}
    return Slots(moments - SLOT_SECONDS, tuple(pools), kinds, asked.partial, tuple(dict.fromkeys(asked.refused)))


class _Use:
    """How busy one replica of each pool was; of each measure the better source, then what stands in for it."""

    def __init__(self, asked: SlotQuestions, scope: Sequence[str]) -> None:
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


def _first(asked: SlotQuestions, better: str, other: str) -> dict[str, Floats]:
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
    asked: SlotQuestions, histogram: Histogram, even: Mapping[str, Mapping[float, Sequence[str]]]
) -> dict[str, Latencies]:
    """Of each pool, at the edges that all of its servers have."""
    none = np.full(asked.moments.size, math.nan)
    spent = asked.by_workload(_rates(asked, histogram, "_sum"))
    les = sorted({le for bounds in even.values() for spelled in bounds.values() for le in spelled})
    rows = _rates(asked, histogram, "_bucket", f"le{any_of(les)}", by=("le",))
    owner = arrivals_of(asked.profile, [asked.view])
    found: dict[str, dict[float, Floats]] = {name: {} for name in even}
    for labels, values in asked.rows(by_workload(rows, asked.profile, [asked.view], "le")):
        whose, le = owner(labels), labels.get("le", "")
        if whose is None or whose[1] not in even:
            continue
        for bound, spelled in even[whose[1]].items():
            if le in spelled:
                add(found[whose[1]], bound, values)
    unit = UNIT_SECONDS[histogram.unit]
    return {name: Latencies(buckets, spent.get(name, none) * unit) for name, buckets in found.items()}


def _rates(asked: SlotQuestions, histogram: Histogram, suffix: str, *more: str, by: Sequence[str] = ()) -> str:
    labels = ", ".join((*asked.profile.identity.labels, *by))
    return f"sum by ({labels}) (rate({selector(histogram, (*asked.mine, *more), suffix)}{asked.window}))"
