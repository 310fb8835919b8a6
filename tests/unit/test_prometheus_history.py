"""The past, read again: one grid, NaN in the gaps, few and bounded questions."""

from __future__ import annotations

import math

import numpy as np

from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics
from recmodel.prometheus.client import Matrix, PrometheusClient
from recmodel.prometheus.history import MODELS_A_QUERY, POINTS_A_QUERY, histories
from recmodel.prometheus.readings import ModelView, PoolView
from recmodel.prometheus.session import Connection

POOLS = (PoolView("cpu"), PoolView("gpu"))
Series = dict[str, list[tuple[float, float]]]  # Envoy cluster -> (seconds, value)


class Past(PrometheusClient):
    """Answers range queries with the part of ``series`` that was asked for."""

    def __init__(self, series: Series) -> None:
        super().__init__(Connection(url="http://127.0.0.1:1"))
        self.series = series
        self.asked: list[tuple[str, float, float, float]] = []

    def query_range(
        self,
        query: str,
        start_seconds: float,
        end_seconds: float,
        step_seconds: float,
        budget_seconds: float | None = None,
    ) -> Matrix:
        self.asked.append((query, start_seconds, end_seconds, step_seconds))
        return Matrix(
            tuple(
                ({"envoy_cluster_name": name}, tuple((t, v) for t, v in rows if start_seconds <= t <= end_seconds))
                for name, rows in self.series.items()
            )
        )


def model(name: str = "ranker", metrics: Metrics | None = None) -> ModelView:
    return ModelView("demo", name, 0.1, 0.95, metrics or Metrics(), POOLS)


def test_pools_are_summed_and_gaps_stay_unknown() -> None:
    series = {
        "httproute/demo/ranker/rule/0/backend/0": [(600.0, 1.0), (900.0, 2.0), (1200.0, math.nan), (1500.0, -1.0)],
        "httproute/demo/ranker/rule/0/backend/1": [(900.0, 10.0)],
        "httproute/demo/other/rule/0/backend/0": [(600.0, 99.0)],
    }
    found = histories(Past(series), [model()], now_seconds=1810.0, span_seconds=1800.0)["demo/ranker"]
    assert found.seconds.tolist() == [0.0, 300.0, 600.0, 900.0, 1200.0, 1500.0]
    np.testing.assert_array_equal(found.per_second, [math.nan, 1.0, 12.0, math.nan, math.nan, math.nan])


def test_two_weeks_are_asked_for_in_bounded_parts_that_neither_overlap_nor_leave_gaps() -> None:
    past = Past({})
    found = histories(past, [model()], now_seconds=14 * 86400.0 + 7.0)["demo/ranker"]
    assert found.seconds.size == 14 * 288
    assert np.isnan(found.per_second).all()
    assert all((end - start) / step < POINTS_A_QUERY for _, start, end, step in past.asked)
    times = np.concatenate([np.arange(start, end + 1, step) for _, start, end, step in past.asked])
    np.testing.assert_array_equal(times, found.seconds + 300.0)


def test_many_models_share_a_question() -> None:
    past = Past({})
    models = [model(f"m{i}") for i in range(2 * MODELS_A_QUERY + 1)]
    found = histories(past, models, now_seconds=86400.0, span_seconds=3600.0)
    assert len(past.asked) == 3
    assert len(found) == len(models)


def test_a_refused_profile_has_no_past_and_a_custom_one_has() -> None:
    custom = Metrics(profile="custom", custom=CustomMetrics(latency=LatencySeries(name="took", unit="s")))
    past = Past({})
    found = histories(past, [model("t", Metrics(profile="torchserve")), model("c", custom)], 86400.0, 3600.0)
    assert set(found) == {"demo/c"}
    assert "took_count{" in past.asked[0][0]
