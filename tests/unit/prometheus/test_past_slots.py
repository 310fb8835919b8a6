"""How requests were served, read from a real HTTP server: latencies, use of the pods, kinds of requests, and the operator's decisions."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from builders.past_prometheus import WORKLOAD, Other, PastShop, Value
from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.past_decisions import read_decisions, recmodels
from recmodel.prometheus.past_kinds import KindsBy
from recmodel.prometheus.past_slots import Slots, read_slots
from recmodel.prometheus.pod_names import pod_prefix
from recmodel.prometheus.readings import ModelView, PoolView
from recmodel.prometheus.session import Connection

BEGIN = 1_767_225_600.0
METRICS = Metrics(profile="custom", custom=CustomMetrics(latency=LatencySeries(name="request_seconds", unit="s")))
VIEW = ModelView("shop", "backtest", 0.1, 0.95, METRICS, (PoolView("ranker", pod_prefix=pod_prefix("ranker")),))
MOMENTS = BEGIN + 300.0 * np.arange(1, 4)


class FirstOther(PastShop):
    """Which answers with the first one alone that fits."""

    def _others(self, query: str) -> list[Other]:
        return super()._others(query)[:1]


def of_pods(series: str, of_each: float, pods: float = 2.0) -> tuple[Other, Other]:
    """A series of ``pods`` pods: how many there are, and what they have together."""
    return (
        Other((f"group by (namespace, pod) ({series}",), WORKLOAD, lambda _: pods),
        Other((f"label_replace({series}",), WORKLOAD, lambda _: pods * of_each),
    )


def slots_of(shop: PastShop, by: KindsBy | None = None) -> Slots:
    with shop.served() as url, closing(PrometheusClient(Connection(url=url))) as client:
        return read_slots(client, VIEW, MOMENTS, {"ranker": dict.fromkeys((*shop.edges, "+Inf"), 2.0)}, by)


def constant(value: float) -> Value:
    return lambda _: value


CPU = "sum by (namespace, pod) (rate(container_cpu_usage_seconds_total"
UNBOUND = "unless on (namespace, pod, container)"
PROCESS = "sum by (namespace, pod) (rate(process_cpu_seconds_total"
# Of each container once: two kube-state-metrics say the same of it.
LIMIT = "sum by (namespace, pod) (max by (namespace, pod, container) (kube_pod_container_resource_limits"
REQUEST = "sum by (namespace, pod) (max by (namespace, pod, container) (kube_pod_container_resource_requests"


def test_latencies_are_those_of_each_slot_at_the_edges_that_all_servers_have() -> None:
    shop = PastShop(
        BEGIN, 15, load=constant(50.0), late=lambda m: 0.1 if m == 10 else 0.0, edges=("0.05", "0.1"),
        others=(Other(("request_seconds_sum",), WORKLOAD, constant(2.0)),),
    )  # fmt: skip
    (pool,) = slots_of(shop).pools
    assert sorted(pool.latencies.buckets) == [0.05, 0.1, math.inf]
    np.testing.assert_allclose(pool.latencies.buckets[0.1], [50, 45, 50])
    np.testing.assert_allclose(pool.latencies.spent, 2.0)
    assert slots_of(shop).seconds.tolist() == [BEGIN, BEGIN + 300, BEGIN + 600]


def test_the_use_of_a_replica_is_the_mean_of_the_pods_that_reported() -> None:
    shop = PastShop(BEGIN, 15, others=(*of_pods(CPU, 0.6), *of_pods(LIMIT, 2.0), *of_pods(REQUEST, 1.0)))
    (pool,) = slots_of(shop).pools
    np.testing.assert_allclose(pool.cpu_cores, 0.6)
    np.testing.assert_allclose(pool.cpu_bound_cores, 2.0)
    assert pool.cpu_bound == "limit"
    assert np.isnan(pool.gpu_ratio).all(), "not known, which is not zero"
    assert np.isnan(pool.queue).all()


def test_the_use_is_of_containers_with_a_limit_and_those_without_one_are_told() -> None:
    shop = PastShop(
        BEGIN, 15, others=(*of_pods(CPU, 0.6), *of_pods(LIMIT, 2.0), Other((UNBOUND,), WORKLOAD, constant(2.0)))
    )
    (pool,) = slots_of(shop).pools
    np.testing.assert_allclose(pool.cpu_cores, 0.6)
    assert pool.cpu_bound == "limit of some containers"
    (asked, *_) = [query for query in shop.asked if f"label_replace({CPU}" in query]
    assert (
        "and on (namespace, pod, container) (group by (namespace, pod, container) (kube_pod_container_resource_limits{"
        in asked
    )
    assert "label_replace(group by (container, exported_namespace" in asked.replace("label_replace(label_replace(", "")


def test_the_exporters_container_is_its_own_label_where_only_namespace_and_pod_are_put_aside() -> None:
    shop = PastShop(BEGIN, 15, others=of_pods(LIMIT, 2.0))
    slots_of(shop)
    (asked,) = {query for query in shop.asked if UNBOUND in query}
    assert "group by (container, exported_namespace, exported_pod, exported_container)" in asked
    assert '"container", "$1", "exported_container", "(.+)"' in asked


def test_a_limit_that_two_exporters_have_counts_once() -> None:
    shop = PastShop(BEGIN, 15, others=of_pods(LIMIT, 2.0))
    slots_of(shop)
    sums = [query for query in shop.asked if "sum by" in query and "kube_pod_container_resource_limits" in query]
    assert sums
    for query in sums:
        for part in query.split("kube_pod_container_resource_limits")[:-1]:
            assert part.endswith(
                (
                    "(max by (namespace, pod, container) (",
                    "(max by (container, exported_namespace, exported_pod, exported_container) (",
                    "group by (namespace, pod, container) (",
                    "group by (container, exported_namespace, exported_pod, exported_container) (",
                )
            ), part


def test_a_container_without_a_limit_that_ran_for_a_moment_changes_nothing() -> None:
    begun = Other((UNBOUND,), WORKLOAD, lambda m: 1.0 if m == 5 else None)
    (pool,) = slots_of(PastShop(BEGIN, 15, others=(*of_pods(CPU, 0.6), *of_pods(LIMIT, 2.0), begun))).pools
    assert pool.cpu_bound == "limit"


def test_without_kube_state_metrics_the_use_is_of_all_containers() -> None:
    shop = PastShop(BEGIN, 15, others=of_pods(CPU, 0.6))
    (pool,) = slots_of(shop).pools
    np.testing.assert_allclose(pool.cpu_cores, 0.6)
    assert pool.cpu_bound == ""
    assert not any("and on" in query for query in shop.asked)


def test_what_stands_in_for_a_source_that_is_missing() -> None:
    (pool,) = slots_of(PastShop(BEGIN, 15, others=(*of_pods(PROCESS, 0.4), *of_pods(REQUEST, 1.0)))).pools
    np.testing.assert_allclose(pool.cpu_cores, 0.4)
    assert (pool.cpu_bound, pool.cpu_bound_cores.tolist()) == ("request", [1.0, 1.0, 1.0])
    (pool,) = slots_of(PastShop(BEGIN, 15)).pools
    assert pool.cpu_bound == ""
    assert np.isnan(pool.cpu_bound_cores).all()


def test_a_process_is_of_the_bound_of_its_own_container() -> None:
    """A pod of a server with 2 cores and a sidecar with half a core: the server's 1.8 are 90 % of its own, not 72 % of the pod's."""
    of_container = (
        *of_pods("sum by (namespace, pod) (rate(process_cpu_seconds_total{", 1.8),
        *of_pods(
            "sum by (namespace, pod) ((sum by (namespace, pod, container) (max by (namespace, pod, container) (kube_pod",
            2.0,
        ),
    )
    shop = PastShop(BEGIN, 15, others=(*of_container, *of_pods(LIMIT, 2.5)))
    (pool,) = slots_of(shop).pools
    assert (pool.cpu_cores[0] / pool.cpu_bound_cores[0], pool.cpu_bound) == (pytest.approx(0.9), "limit")
    assert pool.cpu_used_by == "processes by container"
    asked = [query for query in shop.asked if "process_cpu_seconds_total" in query]
    assert asked
    assert all("and on (namespace, pod, container)" in query for query in asked)


def test_processes_of_which_no_label_tells_the_container_are_of_the_whole_pod() -> None:
    others = (
        Other(("process_cpu_seconds_total", "and on (namespace, pod, container)"), WORKLOAD, lambda _: None),
        *of_pods(PROCESS, 1.8),
        *of_pods(LIMIT, 2.5),
    )
    (pool,) = slots_of(FirstOther(BEGIN, 15, others=others)).pools
    np.testing.assert_allclose(pool.cpu_cores, 1.8)
    assert pool.cpu_bound == "limit"
    assert pool.cpu_used_by == "processes of a pod"


def test_what_is_refused_is_not_known_and_takes_nothing_else_with_it() -> None:
    words = ("container_cpu", "request_seconds_sum", "recmodel_kind")
    shop = PastShop(BEGIN, 15, load=constant(50.0), refuses=words, others=of_pods(LIMIT, 2.0))
    found = slots_of(shop, KindsBy(label="path"))
    (pool,) = found.pools
    assert np.isnan(pool.cpu_cores).all()
    assert np.isnan(pool.latencies.spent).all()
    np.testing.assert_allclose(pool.cpu_bound_cores, 2.0)
    np.testing.assert_allclose(pool.latencies.buckets[math.inf], 50.0)
    assert found.kinds == {}
    assert len(found.refused) == 1
    assert "status 422" in found.refused[0]


def test_what_is_not_answered_in_time_is_not_known_and_two_such_are_the_last() -> None:
    shop = PastShop(BEGIN, 15, load=constant(50.0), fails=("request_seconds_sum",), others=of_pods(LIMIT, 2.0))
    (pool,) = slots_of(shop).pools
    assert np.isnan(pool.latencies.spent).all()
    np.testing.assert_allclose(pool.cpu_bound_cores, 2.0)
    shop = PastShop(BEGIN, 15, load=constant(50.0), fails=("seconds_sum", "seconds_bucket"), others=of_pods(LIMIT, 2.0))
    found = slots_of(shop, KindsBy(label="path"))
    assert np.isnan(found.pools[0].cpu_bound_cores).all()
    assert {query.split("label_replace(")[1].split("{")[0] for query in shop.asked if "[300000ms]" in query} == {
        "sum by (namespace, pod) (rate(request_seconds_sum",
        "sum by (namespace, pod, le) (rate(request_seconds_bucket",
    }
    assert found.gave_up
    assert found.kinds_unanswered
    assert (
        found.refused[-1]
        == "two questions were not answered in time, so the others were not asked: take a shorter range with --from"
    )


def test_series_whose_own_labels_prometheus_put_aside_are_asked_for_as_well() -> None:
    shop = PastShop(BEGIN, 15)
    slots_of(shop)
    asked = [query for query in shop.asked if "DCGM_FI_DEV_GPU_UTIL" in query]
    assert asked
    assert all('exported_namespace="shop",exported_pod=~"(?:ranker-).*"' in query for query in asked)


@pytest.mark.parametrize(
    ("by", "named", "asked"),
    [
        (KindsBy(label="path"), "/home", '"recmodel_kind", "$1", "path"'),
        (KindsBy(route="feed"), "rule /home", "(?:http|grpc)route/shop/feed/rule/"),
    ],
)
def test_kinds_are_the_most_frequent_ones(by: KindsBy, named: str, asked: str) -> None:
    kind = {"recmodel_kind": "/home"}
    shop = PastShop(
        BEGIN, 15,
        others=(
            Other(("topk(6",), kind, constant(3.0)),
            Other(("recmodel_kind, le)",), {**kind, "le": "0.1"}, constant(2.0)),
            Other(("recmodel_kind, le)",), {**kind, "le": "+Inf"}, constant(4.0)),
        ),
    )  # fmt: skip
    found = slots_of(shop, by).kinds
    assert list(found) == [named]
    if by.label:
        np.testing.assert_allclose(found[named].buckets[0.1], 2.0)
        np.testing.assert_allclose(found[named].buckets[math.inf], 4.0)
    assert any(asked in query for query in shop.asked)
    assert slots_of(replace(shop, others=()), by).kinds == {}


def test_requests_without_the_label_are_no_kind_where_none_has_it() -> None:
    shop = PastShop(BEGIN, 15, others=(Other(("topk(6",), {}, constant(3.0)),))
    assert slots_of(shop, KindsBy(label="path")).kinds == {}
    both = (*shop.others, Other(("topk(6",), {"recmodel_kind": "/home"}, constant(2.0)))
    found = slots_of(replace(shop, others=both), KindsBy(label="path"))
    assert list(found.kinds) == ["without path", "/home"]


@pytest.mark.parametrize("label", ['a"}', "le", ""])
def test_a_label_that_is_none_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="is no label of requests"):
        KindsBy(label=label)


def test_decisions_are_those_of_the_operators_own_metrics() -> None:
    model = {"model": "ranker"}
    shop = PastShop(
        BEGIN, 15,
        others=(
            Other(("recmodel_decision_timestamp_seconds",), model, constant(1.0)),
            Other(("recmodel_cost_per_hour",), model, lambda m: None if m == 10 else 3.5),
            Other(("count_over_time(recmodel_pool_desired_replicas",), {}, constant(30.0)),
            Other(("changes(recmodel_pool_desired_replicas",), {"pool": "cpu"}, constant(2.0)),
            Other(("recmodel_decision_reasons_total",), {"reason": "LoadFalls"}, constant(1.2)),
            Other(("recmodel_decision_reasons_total",), {"reason": "ForecastRises"}, constant(7.9)),
            Other(("recmodel_latency_budget_left_ratio",), {}, constant(0.62)),
        ),
    )  # fmt: skip
    with shop.served() as url, closing(PrometheusClient(Connection(url=url))) as client:
        assert recmodels(client, "shop", MOMENTS[-1]) == ["ranker"]
        found = read_decisions(client, ("shop", "ranker"), MOMENTS, 300.0)
        (changes,) = {query for query in shop.asked if "changes(" in query}
        assert changes.count("[330000ms]") == 2, "a change between the last sample of a step and the first of the next"
        np.testing.assert_array_equal(found.cost_per_hour, [3.5, math.nan, 3.5])
        assert (found.changes, found.budget_left_ratio) == ({"cpu": 6}, 0.62)
        assert list(found.reasons.items()) == [("ForecastRises", 8), ("LoadFalls", 1)]
        shop.others = ()
        nothing = read_decisions(client, ("shop", "ranker"), MOMENTS, 300.0)
        assert np.isnan(nothing.cost_per_hour).all()
        assert (nothing.changes, nothing.reasons, nothing.budget_left_ratio) == ({}, {}, None)
