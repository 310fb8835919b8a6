"""A week of two pools as it would be read: a busy evening on the CPU pool, one late hour, an idle night."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.core.capacity.posterior import law
from recmodel.lab.weekly.values import Given
from recmodel.prometheus.histogram import Bracket
from recmodel.prometheus.past import Past, PoolPast
from recmodel.prometheus.past_decisions import Decisions
from recmodel.prometheus.past_slots import PoolSlots, Slots
from recmodel.prometheus.slot_questions import Latencies

BEGIN = 1_767_571_200.0  # Mon 5 Jan 2026, 00:00 UTC
EDGES = (0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, math.inf)
LATE_HOUR = slice(1440 + 19 * 60, 1440 + 20 * 60)  # of the second day
SATURATION, SHARPNESS = 60.0, 12.0


def week(days: int = 7) -> Given:
    """Mondays to Sundays; ``ranker-cpu`` is at its limit from 18:00 to 22:00."""
    minutes = days * 1440
    hour = np.arange(minutes) / 60.0 % 24.0
    load = 120.0 + 100.0 * np.sin((hour - 9.0) / 24.0 * 2.0 * math.pi) + 260.0 * np.exp(-(((hour - 20.0) / 1.6) ** 2))
    load[LATE_HOUR] *= 1.25
    replicas = np.where((hour >= 17.0) & (hour < 23.0), 6.0, 4.0)
    pools = (_pool("ranker-cpu", 0.75 * load, replicas), _pool("ranker-gpu", 0.25 * load, np.full(minutes, 2.0)))
    past = Past(BEGIN + 60.0 * np.arange(minutes, dtype=np.float64), pools, 60.0, "kube-state-metrics")
    slots = Slots(
        past.seconds[::5],
        (_slots(pools[0], cpu=2.0, gpu=False), _slots(pools[1], cpu=1.0, gpu=True)),
        {"home": _latencies(0.6 * load[::5], 0.1), "search": _latencies(0.4 * load[::5], 0.3)},
    )
    return Given(
        "shop", past, slots, 0.95, 0.1, 0.005, {"ranker-cpu": 0.2, "ranker-gpu": 1.9},
        Decisions("ranker", np.full(minutes // 5, 4.4), {"cpu": 41, "gpu": 3}, {"ForecastRises": 120, "LoadFalls": 80}, 0.0),
        zone="UTC", kinds_by="path",
    )  # fmt: skip


def one_pool(given: Given) -> Given:
    """The CPU pool alone, without prices, kinds and decisions."""
    past, slots = replace(given.past, pools=given.past.pools[:1]), Slots(given.slots.seconds, given.slots.pools[:1])
    return replace(given, past=past, slots=slots, prices={}, decisions=None, kinds_by="")


def _pool(name: str, load: Floats, replicas: Floats) -> PoolPast:
    late = law(load / replicas / SATURATION, np.minimum(SHARPNESS * replicas**0.4, 160.0), np.zeros(len(load)))
    return PoolPast(name, load, late, late, replicas, replicas, Bracket(0.1, 0.1))


def _slots(pool: PoolPast, cpu: float, gpu: bool) -> PoolSlots:
    used = np.clip(pool.per_second[::5] / pool.ready[::5] / SATURATION, 0.02, 0.97)
    unknown = np.full(len(used), math.nan)
    return PoolSlots(
        pool.name,
        _latencies(pool.per_second[::5], used),
        (0.3 if gpu else 1.0) * used * cpu,
        np.full(len(used), cpu),
        "limit",
        used if gpu else unknown,
        np.maximum(used - 0.6, 0.0) * 8.0,
    )


def _latencies(load: Floats, used: Floats | float) -> Latencies:
    """The busier, the slower."""
    typical = 0.02 + 0.075 * np.asarray(used) ** 3 + np.zeros(len(load))
    return Latencies({edge: load * (1.0 - np.exp(-2.5 * edge / typical)) for edge in EDGES}, load * typical)
