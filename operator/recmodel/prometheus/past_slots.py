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
from recmodel.prometheus.past_use import CONTAINERS, CpuUse, read_use
from recmodel.prometheus.pod_names import by_workload
from recmodel.prometheus.profile import Histogram
from recmodel.prometheus.promql import any_of, duration, ours, selector
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.session import PrometheusError
from recmodel.prometheus.slot_questions import SLOT_SECONDS, Latencies, SlotQuestions, add


@dataclass(frozen=True, slots=True)
class PoolSlots:
    """One workload, a value a slot; the use is the mean of the pods that reported."""

    name: str
    latencies: Latencies
    cpu_cores: Floats  # of the containers that have such a bound
    cpu_bound_cores: Floats  # what ``cpu_bound`` says of one pod
    cpu_bound: str  # limit, limit of some containers, request, or nothing where none is known
    gpu_ratio: Floats
    queue: Floats  # requests that wait, a replica
    cpu_used_by: str = CONTAINERS  # or what stands in for them


@dataclass(frozen=True, slots=True)
class Slots:
    """Several workloads on one grid; ``kinds``: the most frequent ones, where a label tells them."""

    seconds: Floats  # when each slot begins (Unix time)
    pools: tuple[PoolSlots, ...]
    kinds: Mapping[str, Latencies] = field(default_factory=dict)
    partial: bool = False  # the server said that a part of an answer may be missing
    refused: tuple[str, ...] = ()  # why questions have no usable answer: what they ask for is not known
    kinds_unanswered: bool = False  # a question for kinds is among them
    gave_up: bool = False  # the server did not answer in time, so not everything was asked for


def read_slots(
    client: PrometheusClient,
    view: ModelView,
    moments: Floats,
    counts: Mapping[str, Mapping[str, float]],
    by: KindsBy | None = None,
    scope: Sequence[str] = (),
) -> Slots:
    """The slots that end at ``moments``; ``counts`` as of ``read_past``. What is refused, or not answered in time, is not known."""
    profile, view = profile_of(view)
    if profile.latency is None:
        raise ValueError(f"profile {profile.name} has no histogram")
    try:
        window = max(SLOT_SECONDS, window_of(client, profile, float(moments[-1]), scope))
    except PrometheusError:  # a rate of too few samples is not known
        window = SLOT_SECONDS
    asked = SlotQuestions(client, profile, view, moments, f"[{duration(window)}]", (*ours(profile), *scope))
    even = {pool.name: bounds_of(counts.get(pool.name, {}), profile.latency) for pool in view.pools}
    latencies = _pool_latencies(asked, profile.latency, even)
    use, none = read_use(asked, scope), np.full(moments.size, math.nan)
    pools = []
    for name in even:
        cpu = use.cpu.get(name, CpuUse(none, none, ""))
        gpu, queue = use.gpu.get(name, none), use.queue.get(name, none)
        pools.append(PoolSlots(name, latencies[name], cpu.cores, cpu.bound_cores, cpu.bound, gpu, queue, cpu.used_by))
    before, given_up = len(asked.refused), asked.gave_up
    kinds = kinds_of(asked, by, view.namespace, even, scope) if by is not None else {}
    return Slots(
        moments - SLOT_SECONDS,
        tuple(pools),
        kinds,
        asked.partial,
        tuple(dict.fromkeys(asked.refused)),
        given_up or len(asked.refused) > before,
        asked.gave_up,
    )


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
