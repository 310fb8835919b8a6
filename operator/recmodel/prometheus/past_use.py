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
# Whose CPU it is: cAdvisor's containers; where it is not read the processes behind the pages that are, by container; or together,
# where no label tells which container each is of.
CONTAINERS, PROCESSES, POD_PROCESSES = "containers", "processes by container", "processes of a pod"
OFTEN_RATIO = 0.5  # of the slots: an init container runs for a moment
BY_POD, BY_CONTAINER = ("namespace", "pod"), ("namespace", "pod", "container")
ON_CONTAINER = "on (namespace, pod, container)"


@dataclass(frozen=True, slots=True)
class CpuUse:
    """Of one pool, the mean of its pods: the cores that the containers with such a bound use, and that bound; none: all containers."""

    cores: Floats
    bound_cores: Floats
    bound: str
    used_by: str = CONTAINERS


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
    none = np.full(asked.moments.size, math.nan)
    found: dict[str, CpuUse] = {}
    for word in (LIMIT, REQUEST, ""):
        missing = [name for name in names if name not in found]
        if not missing:
            break
        bounds, each, those = dict.fromkeys(missing, none), "", ""
        if word:
            metric = f"kube_pod_container_resource_{word}s"
            only = ('resource="cpu"', *scope)
            known = asked.mean_of_pods(_of_exporter(metric, asked.view, only, "sum"))
            bounds = {name: known[name] for name in missing if name in known and np.isfinite(known[name]).any()}
            each = f"({_of_exporter(metric, asked.view, only, 'sum', by=BY_CONTAINER)})"
            those = f"({_of_exporter(metric, asked.view, only, 'group', by=BY_CONTAINER)})"
        if not bounds:
            continue
        of_them = f" and {ON_CONTAINER} {those}" if those else ""
        cores = asked.mean_of_pods(f"sum by (namespace, pod) ({used}{of_them})")
        without = f"count by (namespace, pod) ({used} unless {ON_CONTAINER} {those})"
        unbound = asked.by_workload(without) if word == LIMIT else {}
        for name, bound in bounds.items():
            mine = cores.get(name, none)
            often = np.isfinite(unbound.get(name, none)).sum() >= max(OFTEN_RATIO * np.isfinite(mine).sum(), 1)
            found[name] = CpuUse(mine, bound, PART_LIMIT if often else word)
        found |= _of_processes(asked, {name: bounds[name] for name in bounds if name not in cores}, word, each)
    return found


def _of_processes(asked: SlotQuestions, bounds: Mapping[str, Floats], word: str, each: str) -> dict[str, CpuUse]:
    """What stands in for the containers of pools with these ``bounds``: each process is of its container's bound, which ``each`` has, and
    a container without a page counts on neither side. A process of which no label tells the container is of the whole pod's.
    """
    if not bounds:
        return {}
    used = f"rate(process_cpu_seconds_total{{{','.join(asked.mine)}}}{asked.window})"
    mine, theirs = {}, {}
    if each:
        mine = asked.mean_of_pods(f"sum by (namespace, pod) ({used} and {ON_CONTAINER} {each})")
    if mine:
        with_page = f"group by (namespace, pod, container) ({used})"
        theirs = asked.mean_of_pods(f"sum by (namespace, pod) ({each} and {ON_CONTAINER} {with_page})")
    told = {
        name: CpuUse(mine[name], theirs[name], word, PROCESSES) for name in bounds if name in mine and name in theirs
    }
    if told.keys() == bounds.keys():
        return told
    whole = asked.mean_of_pods(f"sum by (namespace, pod) ({used})")
    return {
        name: CpuUse(whole[name], bound, word, POD_PROCESSES) for name, bound in bounds.items() if name in whole
    } | told


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
    ``exported_namespace`` and ``exported_pod``. A sum has each container once, however many exporters tell of it.
    """
    prefixes = "|".join(literal(pool.pod_prefix) for pool in view.pools if pool.pod_prefix)

    def chosen(aside: str) -> str:
        own = (f"{aside}namespace={quoted(view.namespace)}", f"{aside}pod=~{quoted(f'(?:{prefixes}).*')}")
        series = f"{metric}{{{','.join([*own, *matchers])}}}"
        if how == "sum":
            each = BY_CONTAINER if not aside else ("container", *(f"{aside}{label}" for label in BY_CONTAINER))
            return f"max by ({', '.join(each)}) ({series})"
        return f"avg_over_time({series}{over})" if over else series

    # Labels that no target has stay as they are: often only namespace and pod are put aside.
    kept = (*(label for label in by if label not in BY_POD), *(f"exported_{label}" for label in by))
    aside = f"{how} by ({', '.join(kept)}) ({chosen('exported_')})"
    for label in by:
        aside = f'label_replace({aside}, "{label}", "$1", "exported_{label}", "(.+)")'
    labels = ", ".join(by)
    return f"{how} by ({labels}) ({chosen('')}) or sum by ({labels}) ({aside})"
