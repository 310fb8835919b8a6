"""Every query that is ever generated, asked of the real Prometheus of the cluster (PROMETHEUS_URL)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from kube import Kube, eventually

from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics, Series
from recmodel.cluster import names
from recmodel.prometheus import (
    PROFILE_NAMES,
    Connection,
    EdgeMemory,
    GatherSettings,
    ModelReading,
    ModelView,
    PoolView,
    Profile,
    PrometheusClient,
    QueryRefused,
    Verdict,
    gather,
    histories,
    load_profile,
    pod_prefix,
    profile_for,
    scrape_interval_seconds,
)
from recmodel.prometheus.gather import SETTLED_SECONDS
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.own_edges import own_edges
from recmodel.prometheus.pod_names import by_name, matchers
from recmodel.prometheus.queries import (
    edges_of,
    model_rate,
    own_edges_query,
    profile_queries,
    scrape_spacing,
    usage_queries,
    with_edges,
)

pytestmark = pytest.mark.cluster

MANIFESTS = Path(__file__).parents[2] / "manifests"
NASTY = "a\"b\\c\n{}|.*'日本"
CUSTOM = Metrics(
    profile="custom",
    custom=CustomMetrics(
        latency=LatencySeries(name="took", unit="ms", match_labels={"code": NASTY}),
        requests=Series(name=":a:b", match_labels={"code": NASTY}),
        failures=Series(name="failed"),
        queue=Series(name="waiting"),
    ),
)
# No such series exist: a typo in PromQL is refused all the same, and a right query is answered with nothing.
LABELLED = [*map(load_profile, PROFILE_NAMES), profile_for(CUSTOM)]
POOLS = (PoolView("cpu", pod_prefix=pod_prefix("ran-ker")), PoolView("gpu", pod_prefix=pod_prefix("ran.ker-gpu")))
WORKLOADS = [ModelView("de.mo", name, 0.1, 0.95, Metrics(), POOLS) for name in ("ran-ker", "b")]
PROFILES = [*LABELLED, *(by_name(profile, WORKLOADS) for profile in LABELLED if profile.scope == "pod")]
PROFILES += [profile.over_grpc() for profile in LABELLED if profile.grpc]


def shown(profile: Profile) -> str:
    return f"{profile.name}{' by name' if profile.identity.named else ' over gRPC' if profile.calls else ''}"


@pytest.fixture
def client() -> Iterator[PrometheusClient]:
    made = PrometheusClient(Connection(url=os.environ.get("PROMETHEUS_URL", "http://127.0.0.1:9090")))
    yield made
    made.close()


@pytest.mark.parametrize("profile", PROFILES, ids=shown)
def test_every_query_of_a_profile_is_valid(client: PrometheusClient, profile: Profile) -> None:
    queries = list(profile_queries(profile, 60).all())
    queries += [scrape_spacing(profile), *usage_queries(["demo", "a.b"], 60, (), matchers(WORKLOADS)).all()]
    queries += [model_rate(profile, "de.mo", WORKLOADS, 300)]
    if profile.latency:
        buckets = profile_queries(profile, 60).buckets
        assert buckets is not None
        queries += [
            own_edges_query(profile, "de.mo", WORKLOADS),
            edges_of(profile),
            with_edges(buckets, profile, ["99", "100.0", "+Inf"]),
        ]
    for query in queries:
        client.query(query, time.time())


def test_every_expression_of_the_alerts_and_the_dashboard_is_valid(client: PrometheusClient) -> None:
    alerts = yaml.safe_load((MANIFESTS / "rules/alerts.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((MANIFESTS / "dashboards/recmodel.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    for query in asked:
        client.query(query.replace("$__rate_interval", "5m"), time.time())


def test_a_query_that_is_not_valid_is_refused(client: PrometheusClient) -> None:
    with pytest.raises(QueryRefused, match=r"status 400 \(bad_data\)"):
        client.query("sum by (", time.time())


def test_special_values_come_through(client: PrometheusClient) -> None:
    values = [client.query(query, time.time()).rows[0][1] for query in ("vector(1/0)", "vector(-1/0)", "vector(0/0)")]
    assert values[0] == float("inf")
    assert values[1] == -float("inf")
    assert values[2] != values[2]


def test_a_model_that_does_not_exist_is_missing_and_has_no_past(client: PrometheusClient) -> None:
    view = ModelView("nowhere", "nobody", 0.1, 0.95, Metrics(), (PoolView("cpu", weight=1.0, ready=1),))
    readings = gather(client, [view], time.time(), GatherSettings(), EdgeMemory())
    assert readings.error is None
    model = readings.models["nowhere/nobody"]
    assert (model.verdict, model.reason) == (Verdict.MISSING, "NoSeries")
    assert model.pools["cpu"].rate_per_second is None
    past = histories(client, [view], time.time(), span_seconds=86400.0)["nowhere/nobody"]
    assert past.seconds.size == 288
    assert not (past.per_second >= 0).any()


def test_the_gateways_page_is_read_and_its_scrape_interval_known(client: PrometheusClient) -> None:
    pools = (PoolView("serving", weight=999.0, ready=1), PoolView("cpu", weight=0.0, ready=1))
    view = ModelView("nowhere", "nobody", 0.1, 0.95, Metrics(), pools)
    readings = gather(client, [view], time.time())
    assert readings.gateway is not None
    assert readings.gateway.age_seconds is not None, "Prometheus does not scrape the gateway"
    assert readings.gateway.age_seconds < 60.0
    interval = scrape_interval_seconds(client, "envoy-gateway", time.time())
    assert interval is not None
    assert 0.5 < interval <= 60.0
    # On a fresh page, a pool of weight 0 without series got no requests: known, not unknown.
    assert readings.models["nowhere/nobody"].pools["cpu"].rate_per_second == 0.0


def test_a_workload_that_is_not_ours_is_read_by_the_names_of_its_pods(client: PrometheusClient, kube: Kube) -> None:
    """The gateway's own Deployment: Prometheus knows its pods by namespace and pod alone, and scrapes and probes are its requests."""
    pods = kube.list(names.POD, None, "app.kubernetes.io/component=proxy,app.kubernetes.io/managed-by=envoy-gateway")
    first = pods[0]["metadata"]
    deployment = first["name"].rsplit("-", 2)[0]
    mine = {pod["metadata"]["name"]: "proxy" for pod in pods if pod["metadata"]["name"].startswith(deployment)}
    latency = LatencySeries(name="envoy_http_downstream_rq_time", unit="ms")
    view = ModelView(
        first["namespace"],
        "edge",
        0.1,
        0.95,
        Metrics(profile="custom", custom=CustomMetrics(latency=latency)),
        (PoolView("proxy", ready=len(mine), pod_prefix=pod_prefix(deployment)),),
        mine,
    )
    everything = f'sum(rate(envoy_http_downstream_rq_time_count{{pod=~"{deployment}-.*"}}[60s]))'

    def read() -> ModelReading | None:
        now = time.time() - 10.0  # nothing is added any more to what was then
        found = gather(client, [view], now, GatherSettings(60.0, 5.0)).models[view.key]
        pool = found.pools["proxy"]
        if found.verdict != Verdict.AVAILABLE or pool.rate_per_second is None:
            return None
        asked = client.query(everything, now - SETTLED_SECONDS)  # a scrape more between the two would be another rate
        assert pool.rate_per_second == pytest.approx(asked.rows[0][1])
        return found

    pool = eventually("the gateway's pods are read", read, 90.0, 5.0).pools["proxy"]
    assert pool.coverage_ratio == 1.0
    assert pool.rate_per_second
    assert pool.latency is not None
    assert pool.latency[float("inf")] == pytest.approx(pool.rate_per_second)
    past = histories(client, [view], time.time(), span_seconds=600.0, step_seconds=60.0)[view.key]
    assert np.isfinite(past.per_second).any()
    edges = own_edges(client, by_profile([view]), time.time(), 10.0).counts[view.key, "proxy"]
    assert edges["+Inf"] >= len(mine)
