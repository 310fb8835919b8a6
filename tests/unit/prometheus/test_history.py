"""The past, read again: one grid, NaN in the gaps, few and bounded questions."""

from __future__ import annotations

import math
import typing

import numpy as np
import pytest

from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics
from recmodel.prometheus.client import Matrix, PrometheusClient
from recmodel.prometheus.history import MODELS_A_QUERY, POINTS_A_QUERY, histories, total
from recmodel.prometheus.readings import ModelView, PoolView
from recmodel.prometheus.session import Connection, QueryRefused

POOLS = (PoolView("cpu"), PoolView("gpu"))
Series = dict[str, list[tuple[float, float]]]  # Envoy cluster -> (seconds, value)


class Past(PrometheusClient):
    """Answers range queries with the part of ``series`` that was asked for."""

    def __init__(self, series: Series, partial_from: float = math.inf, refused: str = "no such text") -> None:
        super().__init__(Connection(url="http://127.0.0.1:1"))
        self.series = series
        self.partial_from = partial_from
        self.refused = refused
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
        if self.refused in query:
            raise QueryRefused("too many samples")
        return Matrix(
            tuple(
                ({"envoy_cluster_name": name}, tuple((t, v) for t, v in rows if start_seconds <= t <= end_seconds))
                for name, rows in self.series.items()
            ),
            start_seconds >= self.partial_from,
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


def test_a_past_of_which_any_answer_may_lack_a_part_is_partial_as_a_whole() -> None:
    series = {"httproute/demo/ranker/rule/0/backend/0": [(300.0 * i, 5.0) for i in range(1, 14 * 288)]}
    now = 14 * 86400.0
    assert not histories(Past(series), [model()], now)["demo/ranker"].partial
    found = histories(Past(series, partial_from=now / 2), [model()], now)["demo/ranker"]
    assert found.partial
    assert found.seconds.size == 14 * 288


def test_a_question_that_is_refused_costs_only_the_models_that_it_was_for() -> None:
    custom = Metrics(profile="custom", custom=CustomMetrics(latency=LatencySeries(name="took", unit="s")))
    series = {"httproute/demo/ranker/rule/0/backend/0": [(300.0 * i, 5.0) for i in range(1, 12)]}
    found = histories(Past(series, refused="took_count"), [model(), model("c", custom)], 3600.0, 3600.0)
    assert (found["demo/c"].partial, found["demo/ranker"].partial) == (True, False)
    assert np.isnan(found["demo/c"].per_second).all()


@pytest.mark.parametrize(
    ("case", "cpu", "gpu", "expected"),
    [
        ("left the traffic: the other took over", [100, 160, 158, 100], [60, None, None, 60], [160, 160, 158, 160]),
        ("not known: nobody took over", [100, 100, 101, 100], [60, None, None, 60], [160, None, None, 160]),
        ("left while the load fell", [100, 130, 90, 100], [60, None, None, 10], [160, 130, 90, 110]),
        ("too little to matter", [100, 100, 100, 100], [8, None, None, 8], [108, 100, 100, 108]),
        ("came later", [100, 100, 60, 60], [None, None, 40, 40], [100, 100, 100, 100]),
        ("went for good", [60, 100, 100, 100], [40, None, None, None], [100, 100, 100, 100]),
        ("both are not known", [100, None, None, 100], [60, None, None, 60], [160, None, None, 160]),
    ],
)
def test_a_pool_that_is_silent_for_a_while_has_left_or_is_not_known(
    case: str, cpu: list[float | None], gpu: list[float | None], expected: list[float | None]
) -> None:
    rows = [np.array([math.nan if value is None else value for value in pool], float) for pool in (cpu, gpu)]
    wanted = [math.nan if value is None else value for value in expected]
    np.testing.assert_array_equal(total(rows, 4), wanted, err_msg=case)


def test_the_steps_of_an_ensemble_are_no_past_of_its_clients() -> None:
    class Pages(Past):
        def query_range(self, *asked: typing.Any, **_: typing.Any) -> Matrix:
            pool = {"namespace": "demo", "recmodel_dev_model": "ranker", "recmodel_dev_pool": "cpu"}
            rows = [({**pool, "model": name}, ((3600.0, 5.0),)) for name in ("ensemble", "features", "post")]
            return Matrix(tuple(rows))

    found = histories(Pages({}), [model(metrics=Metrics(profile="triton"))], 3600.0, 600.0)["demo/ranker"]
    assert found.partial, "it is asked for again, as somebody may name the model"
    assert np.isnan(found.per_second).all()
    named = Metrics(profile="triton", model="ensemble")
    assert histories(Pages({}), [model(metrics=named)], 3600.0, 600.0)["demo/ranker"].per_second[-1] == 5.0


def test_the_past_of_a_pool_that_left_the_spec_is_the_models_past() -> None:
    series = {f"httproute/demo/ranker/rule/0/backend/{i}": [(600.0, 10.0), (900.0, 10.0)] for i in range(3)}
    alone = ModelView("demo", "ranker", 0.1, 0.95, Metrics(), POOLS[:1], backends=())
    found = histories(Past(series), [alone], 910.0, 600.0)["demo/ranker"]
    np.testing.assert_array_equal(found.per_second, [30.0, 30.0])


def test_the_matchers_of_the_setting_reach_the_past() -> None:
    client = Past({})
    histories(client, [model()], 7200.0, 3600.0, 300.0, ('cluster="eu-1"',))
    assert client.asked
    assert all(',cluster="eu-1"}' in query for query, *_ in client.asked)
