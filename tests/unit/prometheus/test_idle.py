"""A pool without any series: had it no request yet, or is that unknown?"""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders.envoy_page import CPU, EDGES, GPU, NOTHING, by_pool, histogram, read, view
from recmodel.prometheus import readings as r
from recmodel.prometheus.client import Vector
from recmodel.prometheus.readings import PoolView, Verdict
from recmodel.prometheus.session import PrometheusError

ONLY_CPU = {
    "requests": by_pool({0: 100.0}),
    "answered": by_pool({0: 100.0}),
    "failures": by_pool({0: 2.0}),
    "age": by_pool({0: 2.0}),
    "buckets": histogram({0: EDGES}),
}


@pytest.mark.parametrize(
    ("case", "gpu", "changed", "rate"),
    [
        ("weight 0", replace(GPU, weight=0.0), ONLY_CPU, 0.0),
        (
            "weight 0, but nothing on the page is fresh",
            replace(GPU, weight=0.0),
            NOTHING | {"page_age": Vector(())},
            None,
        ),
        ("weight 0, and an old page", replace(GPU, weight=0.0), NOTHING | {"page_age": Vector((({}, 99.0),))}, None),
        ("weight 0, and a fresh page alone", replace(GPU, weight=0.0), NOTHING, 0.0),
        ("no ready pod, and the gateway drops nothing", replace(GPU, ready=0), ONLY_CPU, 0.0),
        (
            "no ready pod, and the gateway drops requests",
            replace(GPU, ready=0),
            ONLY_CPU | {"no_cluster": Vector((({}, 30.0),))},
            None,
        ),
        ("no ready pod, and unknown drops", replace(GPU, ready=0), ONLY_CPU | {"no_cluster": Vector(())}, None),
        ("half of the weight: requests were due", GPU, ONLY_CPU, None),
        ("2.4 requests were due in the window", replace(GPU, weight=0.2), ONLY_CPU, 0.0),
        ("6 requests were due in the window", replace(GPU, weight=0.5), ONLY_CPU, None),
        ("an unknown weight", replace(GPU, weight=None), ONLY_CPU, None),
        ("no traffic anywhere, with weight and pods", GPU, NOTHING, None),
    ],
)
def test_no_series_is_no_request_only_if_none_was_due(
    case: str, gpu: PoolView, changed: dict[str, Vector | PrometheusError], rate: float | None
) -> None:
    reading = read(view(gpu=gpu), **changed)
    assert reading.pools["gpu"].rate_per_second == rate, case
    assert reading.pools["gpu"].reason is not None
    assert reading.pools["gpu"].reason.reason == (r.NO_TRAFFIC if rate == 0.0 else r.NO_SERIES)


def test_an_idle_pool_does_not_spoil_its_model() -> None:
    reading = read(view(gpu=replace(GPU, weight=0.0, ready=0)), **ONLY_CPU)
    assert (reading.verdict, reading.reason) == (Verdict.AVAILABLE, r.METRICS_FOUND)


def test_a_model_of_which_no_pool_is_ready_may_have_traffic() -> None:
    off = {"weight": 0.0, "ready": 0}
    reading = read(view(replace(CPU, **off), replace(GPU, **off)), **NOTHING)
    assert (reading.verdict, reading.reason) == (Verdict.MISSING, r.NO_READY_POOL)
    assert reading.within is None
