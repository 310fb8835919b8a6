"""The past of workloads, read from a real HTTP server: measured values, gaps that stay unknown, brackets without an edge."""

from __future__ import annotations

import math
from contextlib import closing

import numpy as np
import pytest

from builders.past_prometheus import PastShop
from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.past import NothingThere, Past, read_past
from recmodel.prometheus.past_scaling import counted_replicas, scalers, startup_seconds
from recmodel.prometheus.pod_names import pod_prefix
from recmodel.prometheus.readings import ModelView, PoolView
from recmodel.prometheus.session import Connection

BEGIN = 1_767_225_600.0
METRICS = Metrics(profile="custom", custom=CustomMetrics(latency=LatencySeries(name="request_seconds", unit="s")))
VIEW = ModelView("shop", "backtest", 0.1, 0.95, METRICS, (PoolView("ranker", pod_prefix=pod_prefix("ranker")),))


def past_of(shop: PastShop, minutes: int | None = None) -> Past:
    with shop.served() as url, closing(PrometheusClient(Connection(url=url))) as client:
        moments = BEGIN + 60.0 * np.arange(1, (minutes or shop.minutes) + 1)
        counted = counted_replicas(client, "shop", ["ranker"], moments, 60.0)
        counts = {"ranker": dict.fromkeys((*shop.edges, "+Inf"), 2.0)}
        return read_past(client, VIEW, moments, counts, counted)


def test_load_late_share_and_replicas_are_those_of_each_minute() -> None:
    shop = PastShop(
        BEGIN, 4, load=lambda m: 10.0 * m, late=lambda m: 0.1 if m == 2 else 0.0, replicas=lambda m: 1.0 + (m > 2)
    )
    past = past_of(shop)
    (pool,) = past.pools
    assert past.seconds.tolist() == [BEGIN, BEGIN + 60, BEGIN + 120, BEGIN + 180]
    assert (past.counted_by, past.window_seconds) == ("kube-state-metrics", 60.0)
    np.testing.assert_allclose(pool.per_second, [10, 20, 30, 40])
    np.testing.assert_allclose(pool.late_low, [0, 0.1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(pool.late_high, pool.late_low)
    np.testing.assert_allclose(pool.ready, [1, 1, 2, 2])


def test_what_is_not_known_is_not_zero_and_no_request_is_no_late_request() -> None:
    shop = PastShop(
        BEGIN, 4, load=lambda m: {2: None, 3: 0.0}.get(int(m), 5.0), replicas=lambda m: None if m == 4 else 2.0
    )
    (pool,) = past_of(shop, minutes=6).pools
    np.testing.assert_array_equal(pool.per_second, [5, math.nan, 0, 5, math.nan, math.nan])
    np.testing.assert_array_equal(np.isnan(pool.late_low), [False, True, True, False, True, True])
    np.testing.assert_array_equal(pool.running, [2, 2, 2, math.nan, math.nan, math.nan])


def test_without_an_edge_at_the_threshold_only_a_bracket_is_known() -> None:
    (pool,) = past_of(PastShop(BEGIN, 2, late=lambda _: 0.02, edges=("0.05", "0.25"))).pools
    assert pool.edges == (0.05, 0.25)
    np.testing.assert_allclose(pool.late_low, 0.0)
    np.testing.assert_allclose(pool.late_high, 1.0 - 0.49)


def test_without_kube_state_metrics_the_pods_whose_pages_are_read_count() -> None:
    shop = PastShop(BEGIN, 3, state=False)
    past = past_of(shop)
    assert past.counted_by == "the pods whose pages are read"
    np.testing.assert_allclose(past.pools[0].running, 2.0)
    asked = next(query for query in shop.asked if "group by" in query)
    assert asked.startswith("sum by (namespace, recmodel_pod_prefix) (label_replace(")


def test_the_autoscaler_is_named_as_its_owner_knows_it() -> None:
    shop = PastShop(BEGIN, 3)
    with shop.served() as url, closing(PrometheusClient(Connection(url=url))) as client:
        (found,) = scalers(client, "shop", ["ranker"], BEGIN + 180.0, 180.0).values()
        assert (found.shown, found.minimum, found.maximum) == ("ScaledObject ranker (s0-prometheus at 20)", 1, 8)
        assert startup_seconds(client, "shop", '=~"ranker-.*"', BEGIN + 180.0, 180.0) == 31.0
        shop.state = False
        assert scalers(client, "shop", ["ranker"], BEGIN + 180.0, 180.0) == {}
        assert startup_seconds(client, "shop", '=~"ranker-.*"', BEGIN + 180.0, 180.0) is None
    in_either = 'kube_horizontalpodautoscaler_info{exported_namespace="shop"'
    assert any(in_either in query for query in shop.asked), "an exporter's own label may have been put aside"


def test_where_no_request_was_counted_the_question_is_named() -> None:
    with pytest.raises(NothingThere, match="no requests of the pods of ranker") as raised:
        past_of(PastShop(BEGIN, 3, load=lambda _: None))
    assert "request_seconds_count" in raised.value.question


def test_a_workload_that_is_known_to_have_no_replica_answered_nothing() -> None:
    def gone(minute: float) -> bool:
        return minute == 2

    shop = PastShop(BEGIN, 3, load=lambda m: None if gone(m) else 5.0, replicas=lambda m: 0.0 if gone(m) else 2.0)
    np.testing.assert_array_equal(past_of(shop).pools[0].per_second, [5, 0, 5])
    shop.state, shop.replicas = False, lambda m: None if gone(m) else 2.0
    np.testing.assert_array_equal(past_of(shop).pools[0].per_second, [5, math.nan, 5], "pods that are gone do not tell")
