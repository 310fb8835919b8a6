"""Answers become readings and verdicts: what is missing, stale or impossible never becomes a number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest

from builders.envoy_page import (
    EDGES,
    INF,
    NAN,
    NOW,
    SETTINGS,
    Canned,
    by_pool,
    cluster,
    gather_with,
    histogram,
    page,
    read,
    view,
)
from recmodel.api.v1alpha1 import Metrics
from recmodel.prometheus import readings as r
from recmodel.prometheus.client import Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.profile import load_profile
from recmodel.prometheus.queries import profile_queries
from recmodel.prometheus.readings import GatherSettings, ModelView, PoolView, Verdict
from recmodel.prometheus.session import AnswerUnusable, PrometheusError, PrometheusUnavailable, QueryRefused


def test_a_healthy_answer_is_available_with_every_number() -> None:
    readings = gather_with(page())
    model = readings.models["demo/ranker"]
    assert (model.verdict, model.reason) == (Verdict.AVAILABLE, r.METRICS_FOUND)
    assert model.within == pytest.approx((0.93, 0.95))  # the 2 failures may be quick ones
    cpu = model.pools["cpu"]
    assert (cpu.rate_per_second, cpu.errors_per_second, cpu.queue, cpu.in_flight) == (100.0, 2.0, 3.0, 7.0)
    assert cpu.latency == {0.05: 50.0, 0.1: 95.0, 0.2: 99.0, INF: 100.0}
    assert cpu.age_seconds == 2.0
    assert readings.gateway == r.GatewayReading(200.0, 4.0, 0.0, 1.0)
    assert readings.error is None
    observation = cpu.observation(desired=3, ready=2, weight=500.0)
    assert (observation.desired, observation.ready, observation.rate_per_second) == (3, 2, 100.0)


def test_no_query_asks_about_a_moment_whose_scrapes_may_not_have_ended() -> None:
    """One query that sees a scrape and one that does not yet differ by what came in between, which looks late."""

    class Listening(Canned):
        def query_all(
            self, queries: Iterable[str], at_seconds: float, budget_seconds: float
        ) -> dict[str, Vector | PrometheusError]:
            asked.append(at_seconds)
            return super().query_all(queries, at_seconds, budget_seconds)

    asked: list[float] = []
    gather(Listening(page()), [view()], NOW, SETTINGS)
    assert asked == [NOW - 1.0]


@pytest.mark.parametrize(
    ("case", "changed", "verdict", "reason"),
    [
        (
            "no answer has a series",
            {k: Vector(()) for k in ("requests", "failures", "buckets", "age")},
            "Missing",
            "NoSeries",
        ),
        ("one pool has no series", {k: by_pool({0: 1.0}) for k in ("requests", "age")}, "Partial", "PoolMissing"),
        ("one sample so far: no rate yet", {"requests": Vector(())}, "Missing", "NoSeries"),
        ("a rate is NaN", {"requests": by_pool({0: NAN, 1: 1.0})}, "Unusable", "ValuesInvalid"),
        ("a rate is infinite", {"requests": by_pool({0: INF, 1: 1.0})}, "Unusable", "ValuesInvalid"),
        ("a rate is negative", {"requests": by_pool({0: -1.0, 1: 1.0})}, "Unusable", "ValuesInvalid"),
        (
            "a series is given twice",
            {"requests": Vector(((cluster(0), 5.0), (cluster(0), 5.0), (cluster(1), 1.0)))},
            "Unusable",
            "ValuesInvalid",
        ),
        ("all samples are old", {"age": by_pool({0: 200.0, 1: 200.0})}, "Stale", "SeriesStale"),
        ("one pool's samples are old", {"age": by_pool({0: 200.0, 1: 2.0})}, "Stale", "SeriesStale"),
        ("no histogram", {"buckets": Vector(())}, "Unusable", "NoHistogram"),
        ("a histogram without +Inf", {"buckets": histogram({0: {"99": 1.0}, 1: EDGES})}, "Unusable", "ValuesInvalid"),
        ("a bucket is NaN", {"buckets": histogram({0: {**EDGES, "99": NAN}, 1: EDGES})}, "Unusable", "ValuesInvalid"),
        (
            "an edge is no number",
            {"buckets": histogram({0: {**EDGES, "x": 1.0}, 1: EDGES})},
            "Unusable",
            "ValuesInvalid",
        ),
        (
            "the server warned",
            {"requests": Vector(((cluster(0), 1.0), (cluster(1), 1.0)), True)},
            "Partial",
            "PartialAnswer",
        ),
        ("nobody answers", {"requests": PrometheusUnavailable("nobody")}, "Missing", "PrometheusUnavailable"),
        ("the query is refused", {"buckets": QueryRefused("no")}, "Missing", "QueryRefused"),
        ("the answer is not JSON", {"age": AnswerUnusable("no")}, "Missing", "AnswerUnusable"),
    ],
)
def test_an_answer_that_is_not_whole_gets_a_verdict(
    case: str, changed: dict[str, Vector | PrometheusError], verdict: str, reason: str
) -> None:
    model = read(**changed)
    assert (model.verdict, model.reason) == (verdict, reason), case
    assert model.message


@pytest.mark.parametrize("value", [NAN, INF, -INF, -0.001])
@pytest.mark.parametrize("name", ["requests", "failures", "queue", "in_flight", "age"])
def test_no_impossible_number_becomes_one(name: str, value: float) -> None:
    cpu = read(**{name: by_pool({0: value, 1: 1.0})}).pools["cpu"]
    number = {
        "requests": cpu.rate_per_second,
        "failures": cpu.errors_per_second,
        "queue": cpu.queue,
        "in_flight": cpu.in_flight,
        "age": cpu.age_seconds,
    }[name]
    assert number is None


def test_a_stale_pool_keeps_its_age_and_loses_its_numbers() -> None:
    cpu = read(age=by_pool({0: 18.0, 1: 2.0})).pools["cpu"]
    assert cpu.age_seconds == 18.0
    assert (cpu.rate_per_second, cpu.latency, cpu.queue) == (None, None, None)
    assert cpu.reason is not None
    assert "18 s old (17 s allowed)" in cpu.reason.message  # three scrapes of 5 s, and 2 s


def test_a_failed_queue_query_costs_only_the_queue() -> None:
    model = read(queue=PrometheusUnavailable("no"))
    assert model.verdict == Verdict.AVAILABLE
    assert model.pools["cpu"].queue is None
    assert model.pools["cpu"].rate_per_second == 100.0


@pytest.mark.parametrize("name", ["answered", "failures", "moved", "scrapes"])
def test_nothing_is_known_while_a_question_that_would_tell_what_is_wrong_has_no_answer(name: str) -> None:
    model = read(**{name: PrometheusUnavailable("did not answer in time")})
    assert (model.verdict, model.reason) == (Verdict.MISSING, r.PROMETHEUS_UNAVAILABLE)
    assert all(pool.rate_per_second is None and pool.latency is None for pool in model.pools.values())


def test_failures_without_a_series_are_none_yet_but_a_failed_query_is_unknown() -> None:
    assert read(failures=Vector(())).pools["cpu"].errors_per_second == 0.0
    assert read(failures=QueryRefused("no")).pools["cpu"].errors_per_second is None


def test_more_failures_than_requests_are_all_requests() -> None:
    assert read(failures=by_pool({0: 130.0})).pools["cpu"].errors_per_second == 100.0  # rate() extrapolates each alone


@pytest.mark.parametrize(
    ("case", "requests", "answered", "failures", "rate", "errors"),
    [
        ("clients gave up 40 of 100", 100.0, 60.0, 1.0, 100.0, 41.0),
        ("one of 100 is still inside", 100.0, 99.0, 1.0, 100.0, 1.0),
        ("some of the counters were not scraped", 80.0, 100.0, 25.0, 100.0, 25.0),
        ("no counter of the answers was scraped", 100.0, None, 1.0, 100.0, 1.0),
    ],
)
def test_requests_that_got_no_answer_are_load_and_failures(
    case: str, requests: float, answered: float | None, failures: float, rate: float, errors: float
) -> None:
    answers = Vector(()) if answered is None else by_pool({0: answered, 1: 100.0})
    reading = read(requests=by_pool({0: requests, 1: 100.0}), answered=answers, failures=by_pool({0: failures}))
    cpu = reading.pools["cpu"]
    assert (cpu.rate_per_second, cpu.errors_per_second) == (rate, errors), case


def test_a_pool_that_only_fails_has_no_histogram_and_is_known_to_fail() -> None:
    reading = read(failures=by_pool({0: 100.0, 1: 100.0}), buckets=Vector(()))
    assert (reading.verdict, reading.reason) == (Verdict.AVAILABLE, r.NOTHING_SERVED)
    assert reading.within == (0.0, 0.0)
    half = read(failures=by_pool({0: 100.0, 1: 0.0}), buckets=histogram({1: EDGES}))
    assert (half.verdict, half.reason) == (Verdict.AVAILABLE, r.METRICS_FOUND)
    assert half.within == pytest.approx((0.475, 0.475))


@pytest.mark.parametrize(
    ("threshold", "verdict", "reason", "said"),
    [
        (0.1, "Available", "MetricsFound", "an edge at the threshold"),
        (
            0.11,
            "Available",
            "ThresholdBetweenEdges",
            '110ms, is between the edges 100ms (le="99") and 200ms (le="199")',
        ),
        (
            0.15,
            "Unusable",
            "NoEdgeNearThreshold",
            'between the edges 100ms (le="99") and 200ms (le="199"), and none is within 20%',
        ),
        (
            0.15,
            "Unusable",
            "NoEdgeNearThreshold",
            'configure the edge le="149" (times are cut to whole ms, so it holds all under '
            '150ms), or take 100ms (le="99") or 200ms (le="199") as the threshold',
        ),
        (0.22, "Available", "ThresholdBetweenEdges", 'above the highest edge, 200ms (le="199")'),
        (
            5.0,
            "Unusable",
            "ThresholdAboveEdges",
            'above the highest edge, 200ms (le="199"): configure the edge le="4999"',
        ),
        (0.001, "Unusable", "NoEdgeNearThreshold", 'below the lowest edge, 50ms (le="49")'),
        (0.1505, "Unusable", "NoEdgeNearThreshold", "times are cut to whole ms, so no edge can be there: take 100ms"),
    ],
)
def test_a_threshold_that_is_no_edge_is_reported_with_the_bracket(
    threshold: float, verdict: str, reason: str, said: str
) -> None:
    model = read(view(threshold_seconds=threshold))
    assert (model.verdict, model.reason) == (verdict, reason)
    assert said in model.message
    assert model.within is not None, "the bracket is known all the same"


def test_the_series_of_others_are_nobodys() -> None:
    rows = [(cluster(0), 100.0), (cluster(1), 100.0), (cluster(2), 9.0), (cluster(0, "demo/other"), 9.0), ({}, 9.0)]
    rows.append(({"envoy_cluster_name": "httproute/demo/ranker/rule/1/backend/0"}, 9.0))
    model = read(requests=Vector(tuple(rows)))
    assert model.verdict == Verdict.AVAILABLE
    assert [pool.rate_per_second for pool in model.pools.values()] == [100.0, 100.0]


def test_one_services_name_for_two_pools_is_nobodys() -> None:
    istio = profile_queries(load_profile("istio"), 60)
    labels = {"destination_service_namespace": "demo", "destination_service_name": "a-b-c"}
    answers = {query: Vector(((labels, 5.0),)) for query in istio.all()}
    pools = tuple(PoolView(name, 1.0, 1) for name in ("c", "b-c"))
    models = [
        ModelView("demo", "a-b", 0.1, 0.95, Metrics(profile="istio"), pools[:1]),
        ModelView("demo", "a", 0.1, 0.95, Metrics(profile="istio"), pools[1:]),
    ]
    readings = gather(Canned(answers), models, NOW, SETTINGS)
    assert {m.reason for m in readings.models.values()} == {"NoSeries"}
    alone = gather(Canned(answers), models[:1], NOW, SETTINGS)
    assert alone.models["demo/a-b"].pools["c"].rate_per_second == 5.0


def test_when_prometheus_is_gone_every_model_says_so_and_nothing_is_raised() -> None:
    gone: dict[str, Vector | PrometheusError] = dict.fromkeys(page(), PrometheusUnavailable("could not be reached"))
    readings = gather_with(gone)
    assert readings.error == r.Reason("PrometheusUnavailable", "could not be reached")
    assert readings.models["demo/ranker"].verdict == Verdict.MISSING
    assert all(pool.rate_per_second is None for pool in readings.models["demo/ranker"].pools.values())
    assert readings.gateway == r.GatewayReading(None, None, None, None)


def test_ten_thousand_models_cost_as_many_queries_as_one() -> None:
    models = [replace(view(), name=f"m{i}") for i in range(1000)]
    assert (
        gather(Canned(page()), models, NOW, SETTINGS).queries
        == gather(Canned(page()), models[:1], NOW, SETTINGS).queries
    )


def test_nobody_to_ask_for_is_no_question() -> None:
    readings = gather(Canned({}), [], NOW, SETTINGS)
    assert (readings.models, readings.queries, readings.error) == ({}, 0, None)


def test_the_window_holds_four_scrapes() -> None:
    assert GatherSettings(window_seconds=60, scrape_interval_seconds=30).rate_window_seconds == 120
    assert GatherSettings(window_seconds=60, scrape_interval_seconds=5).rate_window_seconds == 60


@pytest.mark.parametrize("index", ["9" * 5_000, "9" * 300, "\u0663", "\u00b2", "-1", "2"])
def test_a_cluster_that_names_no_place_of_the_route_is_nobodys(index: str) -> None:
    """Any pod may export a series of this name: it breaks the gathering for nobody."""
    named = f"httproute/demo/ranker/rule/0/backend/{index}"
    strange = Vector((*by_pool({0: 100.0, 1: 100.0}).rows, ({"envoy_cluster_name": named}, 7.0)))
    found = read(requests=strange).pools
    assert [found[name].rate_per_second for name in ("cpu", "gpu")] == [100.0, 100.0]
