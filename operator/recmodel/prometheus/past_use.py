"""How busy one replica of each pool was in the past: its CPU of what bounds it, its GPU, and what waited; NaN unknown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from recmodel.prometheus.past import Floats
from recmodel.prometheus.promql import literal, quoted, selector
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.slot_questions import SlotQuestions

LIMIT, REQUEST = "limit", "request"
PART_LIMIT = "limit of some containers"  # others have none, so a pod may use more
OFTEN_RATIO = 0.5  # of the slots: an init container runs for a moment
BY_POD, BY_CONTAINER = ("namespace", "pod"), ("namespace", "pod", "container")


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Of one pool, the mean of its pods: the cores that the containers with such a bound use, and that bound; none: all containers."""

    cores: Floats
    bound_cores: Floats
    bound: str


@dataclass(frozen=True, slots=True)
class Use:
    """By pool; those of which nothing is known are absent."""

    cpu: Mapping[str, CpuUse]
    gpu: Mapping[str, Floats] = field(default_factory=dict)
    queue: Mapping[str, Floats] = field(default_factory=dict)


def read_use(asked: SlotQuestions, scope: Sequence[str]) -> Use:
    """Of each measure the better source, then what stands in for it."""
    window, mine = asked.window, asked.mine
    dcgm = _of_exporter("DCGM_FI_DEV_GPU_UTIL", asked.view, scope, "avg", over=window)
    triton = f"avg by (namespace, pod) (avg_over_time(nv_gpu_utilization{{{','.join(mine)}}}{window}))"
    gpu = _first(asked, f"({dcgm}) / 100", triton)
    waits = asked.profile.queue
    gauge = f"sum by (namespace, pod) (avg_over_time({selector(waits, mine)}{window}))" if waits else None
    return Use(_cpu(asked, scope), gpu, asked.mean_of_pods(gauge) if gauge else {})


def _cpu(asked: SlotQuestions, scope: Sequence[str]) -> dict[str, CpuUse]:
    window, names = asked.window, [pool.name for pool in asked.view.pools]
    containers = ",".join((*asked.mine, 'container!=""', 'container!="POD"'))
    used = f"rate(container_cpu_usage_seconds_total{{{containers}}}{window})"
    process = f"sum by (namespace, pod) (rate(process_cpu_seconds_total{{{','.join(asked.mine)}}}{window}))"
    found: dict[str, CpuUse] = {}
    for word in (LIMIT, REQUEST, ""):
        missing = [name for name in names if name not in found]
        if not missing:
            break
        bounds, those = {name: np.full(asked.moments.size, math.nan) for name in missing}, ""
        if word:
            metric = f"kube_pod_container_resource_{word}s"
            only = ('resource="cpu"', *scope)
            known = asked.mean_of_pods(_of_exporter(metric, asked.view, only, "sum"))
            bounds = {name: known[name] for name in missing if name in known and np.isfinite(known[name]).any()}
            those = f"({_of_exporter(metric, asked.view, only, 'group', by=BY_CONTAINER)})"
        if not bounds:
            continue
        of_them = f" and on (namespace, pod, container) {those}" if those else ""
        cores = _first(asked, f"sum by (namespace, pod) ({used}{of_them})", process)
        without = f"count by (namespace, pod) ({used} unless on (namespace, pod, container) {those})"
        unbound = asked.by_workload(without) if word == LIMIT else {}
        for name, bound in bounds.items():
            mine = cores.get(name, np.full(asked.moments.size, math.nan))
            often = np.isfinite(unbound.get(name, np.nan * mine)).sum() >= max(OFTEN_RATIO * np.isfinite(mine).sum(), 1)
            found[name] = CpuUse(mine, bound, PART_LIMIT if often else word)
    return found


def _first(asked: SlotQuestions, better: str, other: str) -> dict[str, Floats]:
    found = asked.mean_of_pods(better)
    return found if len(found) == len(asked.view.pools) else asked.mean_of_pods(other) | found


def _of_exporter(
    metric: str,
    view: ModelView,
    matchers: Sequence[str],
    how: str,
    over: str = "",
    by: Sequence[str] = BY_POD,
) -> str:
    """A series that an exporter has of other pods, by namespace and pod: where Prometheus put the exporter's own labels aside they are
    ``exported_namespace`` and ``exported_pod``.
    """
    prefixes = "|".join(literal(pool.pod_prefix) for pool in view.pools if pool.pod_prefix)

    def chosen(aside: str) -> str:
        own = (f"{aside}namespace={quoted(view.namespace)}", f"{aside}pod=~{quoted(f'(?:{prefixes}).*')}")
        series = f"{metric}{{{','.join([*own, *matchers])}}}"
        return f"avg_over_time({series}{over})" if over else series

    # Labels that no target has stay as they are: often only namespace and pod are put aside.
    kept = (*(label for label in by if label not in BY_POD), *(f"exported_{label}" for label in by))
    aside = f"{how} by ({', '.join(kept)}) ({chosen('exported_')})"
    for label in by:
        aside = f'label_replace({aside}, "{label}", "$1", "exported_{label}", "(.+)")'
    labels = ", ".join(by)
    return f"{how} by ({labels}) ({chosen('')}) or sum by ({labels}) ({aside})"
