"""Any model and any day of it, for properties of the engine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from recmodel.core.types import Model, Observation, Pool, PoolObservation

# Derandomised: the same examples in every run, so that a failure is a change of the code.
examples = settings(max_examples=20, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
NAMES = ("cpu", "gpu", "edge")
numbers = st.floats(0.0, 5000.0, allow_subnormal=False).map(lambda value: round(value, 3))
nonsense = st.sampled_from([None, math.nan, math.inf, -math.inf, -1.0])
OPTIONAL = ("weight", "startup_seconds", "rate_per_second", "errors_per_second", "utilisation_ratio", "queue")


@st.composite
def models(draw: st.DrawFn, key: str = "shop/feed", pools: int | None = None) -> Model:
    count = pools or draw(st.integers(1, 3))
    chosen = []
    for name in NAMES[:count]:
        low = draw(st.integers(0, 3))
        high = low + draw(st.integers(1, 40))
        price, warm_up = draw(st.sampled_from([0.5, 1.0, 2.5, 4.1])), draw(st.sampled_from([0.0, 0.0, 120.0]))
        chosen.append(Pool(name, low, high, price, warm_up_seconds=warm_up))
    within, lot = draw(st.sampled_from([0.9, 0.95, 0.99])), draw(st.integers(0, 9))
    return Model(key, within, 0.1, tuple(chosen), acts=lot > 0, routed=lot not in (1, 2))


@st.composite
def seen_pools(draw: st.DrawFn, wild: bool = False) -> PoolObservation:
    ready = draw(st.integers(0, 30))
    rate, late = draw(numbers), draw(st.sampled_from([0.0, 0.01, 0.04, 0.2, 1.0]))
    known = PoolObservation(
        desired=ready + draw(st.integers(0, 3)),
        ready=ready,
        unschedulable=draw(st.sampled_from([0, 0, 0, 2, None])),
        weight=draw(st.sampled_from([None, 50.0, 1.0])),
        startup_seconds=draw(st.sampled_from([None, 20.0, 46.0, 190.0])),
        rate_per_second=rate,
        errors_per_second=draw(st.sampled_from([0.0, None])),
        latency={0.05: 0.5 * rate * (1 - late), 0.1: rate * (1 - late), math.inf: rate},
        utilisation_ratio=draw(st.sampled_from([None, 0.02, 0.6, 1.0])),
        ready_for_seconds=draw(st.sampled_from([(), (500.0,), (10.0, 70.0), (0.0,) * 40, (math.nan, -1.0)])),
    )
    if not wild:
        return known
    broken = draw(st.lists(st.sampled_from(OPTIONAL), max_size=3, unique=True))
    known = replace(known, **{name: draw(nonsense) for name in broken})  # type: ignore[arg-type]
    bucket = draw(st.sampled_from([None, "nan", "empty", "keep"]))
    latencies: dict[str | None, Mapping[float, float] | None] = {
        None: None, "nan": {0.1: math.nan, math.inf: rate}, "empty": {}, "keep": known.latency,
    }  # fmt: skip
    return replace(known, latency=latencies[bucket])


@st.composite
def days(draw: st.DrawFn, model: Model, wild: bool = False, ticks: int = 9) -> list[Observation]:
    """Some ticks of one model; a rate window is clean in some of them, since what is seen is repeated now and then."""
    told: list[Observation] = []
    while len(told) < ticks:
        pools = {pool.name: draw(seen_pools(wild)) for pool in model.pools}
        for _ in range(draw(st.integers(1, 7))):
            told.append(Observation(15.0 * (len(told) + 1), pools))
    return told[:ticks]
