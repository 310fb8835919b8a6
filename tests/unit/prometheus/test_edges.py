"""A large fleet is asked for the buckets around its thresholds, a small one for all."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import replace

import pytest

from builders.envoy_page import cluster, histogram, read, view
from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics
from recmodel.prometheus.answers import buckets
from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.edges import LARGE_FLEET_MODELS, LEARN_AGAIN_SECONDS, EdgeMemory, nearest
from recmodel.prometheus.gather import gather
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.own_edges import own_edges
from recmodel.prometheus.profile import Histogram, load_profile
from recmodel.prometheus.queries import edges_of, profile_queries
from recmodel.prometheus.readings import GatherSettings, ModelReading, ModelView, PoolView
from recmodel.prometheus.session import Connection, PrometheusError, PrometheusUnavailable

ENVOY = load_profile("envoy-gateway")
EDGES = ("24", "49", "99", "199", "+Inf")
NOW = 1_700_000_000.0


class Fleet(PrometheusClient):
    """Knows the edges and nothing else, and remembers what it was asked."""

    def __init__(self, edges: Vector | PrometheusError) -> None:
        super().__init__(Connection(url="http://127.0.0.1:1"))
        self.edges = edges
        self.asked: list[str] = []

    def query_all(
        self, queries: Iterable[str], at_seconds: float, budget_seconds: float
    ) -> dict[str, Vector | PrometheusError]:
        now = list(queries)
        self.asked += now
        return {query: self.edges if query == edges_of(ENVOY) else Vector(()) for query in now}

    def buckets_asked(self) -> list[str]:
        return [query for query in self.asked if query.startswith("sum by (envoy_cluster_name, le)")]


def models(number: int, threshold_seconds: float = 0.1) -> list[ModelView]:
    return [
        ModelView("demo", f"m{i}", threshold_seconds, 0.95, Metrics(), (PoolView("cpu", 1.0, 1),))
        for i in range(number)
    ]


def known() -> Vector:
    return Vector(tuple(({"le": edge}, 1000.0) for edge in EDGES))


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ([0.1], {"99", "+Inf"}),  # whole ms: le="99" is the edge of 100 ms
        ([0.15], {"99", "199", "+Inf"}),
        ([0.1, 0.03], {"24", "49", "99", "+Inf"}),
        ([9.0], {"199", "+Inf"}),
        ([0.001], {"24", "+Inf"}),
    ],
)
def test_the_edges_next_to_the_thresholds_are_chosen(thresholds: list[float], expected: set[str]) -> None:
    histogram = ENVOY.latency
    assert histogram is not None
    assert nearest(EDGES, histogram, thresholds) == expected


def test_both_spellings_of_an_edge_are_asked_for() -> None:
    histogram = Histogram(name="took", unit="ms")
    assert nearest(["100", "100.0", "250", "+Inf", "what"], histogram, [0.1]) == {"100", "100.0", "+Inf"}


def test_a_large_fleet_learns_its_edges_once_and_then_asks_for_those_it_needs() -> None:
    client, memory = Fleet(known()), EdgeMemory()
    for tick in range(3):
        gather(client, models(LARGE_FLEET_MODELS), NOW + 15 * tick, GatherSettings(), memory)
    assert client.asked.count(edges_of(ENVOY)) == 1
    assert all(query.count('le=~"\\\\+Inf|49|99"') == 1 for query in client.buckets_asked())
    assert len(client.buckets_asked()) == 3
    gather(client, models(LARGE_FLEET_MODELS), NOW + LEARN_AGAIN_SECONDS + 1, GatherSettings(), memory)
    assert client.asked.count(edges_of(ENVOY)) == 2


def test_what_is_learned_from_one_question_is_known_to_each_profile_that_asked_it() -> None:
    """Istio counts gRPC and HTTP alike, in two profiles."""
    edges, memory = edges_of(load_profile("istio")), EdgeMemory()
    fleet = [
        replace(model, name=f"{model.name}-{grpc}", metrics=Metrics(profile="istio"), grpc=grpc)
        for model in models(LARGE_FLEET_MODELS)
        for grpc in (False, True)
    ]
    asked = []
    for tick in range(2):
        gather(client := Answering(known()), fleet, NOW + 15 * tick, GatherSettings(), memory)
        asked += client.all_asked
    assert asked.count(edges) == 1


def test_a_small_fleet_is_asked_for_all_edges() -> None:
    client = Fleet(known())
    gather(client, models(3), NOW, GatherSettings(), EdgeMemory())
    assert edges_of(ENVOY) not in client.asked
    assert client.buckets_asked() == [profile_queries(ENVOY, 60).buckets]


class Answering(PrometheusClient):
    """Answers every query with the same, and remembers what it was asked."""

    def __init__(self, answer: Vector | PrometheusError) -> None:
        super().__init__(Connection(url="http://127.0.0.1:1"))
        self.answer = answer
        self.asked: list[str] = []
        self.all_asked: list[str] = []

    def query_all(
        self, queries: Iterable[str], at_seconds: float, budget_seconds: float
    ) -> dict[str, Vector | PrometheusError]:
        self.asked = list(queries)
        self.all_asked += self.asked
        return dict.fromkeys(self.asked, self.answer)


def test_the_edges_of_each_pool_are_those_of_its_own_histograms() -> None:
    def series(place: str, le: str) -> tuple[dict[str, str], float]:
        return {"envoy_cluster_name": f"httproute/{place}", "le": le}, 2.0

    ours, others = "demo/m0/rule/0/backend/0", ("demo/other/rule/0/backend/0", "demo/m0/rule/0/backend/7", "odd")
    client = Answering(Vector(tuple(series(place, le) for place in (ours, *others) for le in ("99", "+Inf"))))
    found = own_edges(client, by_profile(models(2)), NOW, 10.0, ('cluster="eu-1"',))
    assert found.counts == {("demo/m0", "cpu"): {"99": 2.0, "+Inf": 2.0}}
    (query,) = client.asked
    assert query.startswith("count by (envoy_cluster_name, le) (envoy_cluster_upstream_rq_time_bucket{")
    assert "httproute/demo/(?:m0|m1)/rule/0/backend" in query, "nobody else's are asked for"
    assert 'cluster="eu-1"' in query


def test_edges_that_cannot_be_asked_for_are_no_absent_ones() -> None:
    error = PrometheusUnavailable("no")
    found = own_edges(Answering(error), by_profile(models(2)), NOW, 10.0)
    assert (found.counts, found.failed) == ({}, {"demo/m0": error, "demo/m1": error})


def test_models_are_grouped_by_the_series_that_their_profiles_name() -> None:
    def of(name: str, metrics: Metrics, namespace: str = "a") -> ModelView:
        return ModelView(namespace, name, 0.1, 0.95, metrics, ())

    custom = Metrics(profile="custom", custom=CustomMetrics(latency=LatencySeries(name="took", unit="s")))
    other = Metrics(profile="custom", custom=CustomMetrics(latency=LatencySeries(name="lasted", unit="s")))
    fleet = [
        of("one", Metrics()), of("two", custom), of("three", Metrics(), "b"), of("four", custom), of("five", Metrics()),
        of("six", other), of("seven", Metrics(profile="torchserve")), of("eight", Metrics()),
    ]  # fmt: skip
    groups = by_profile(fleet, most_custom=1)
    named = [(profile.name, [model.name for model in members]) for profile, members in groups.members]
    assert named == [("envoy-gateway", ["one", "three", "five", "eight"]), ("custom", ["two", "four"])]
    assert {key: why.reason for key, why in groups.refused.items()} == {
        "a/six": "TooManyCustomSeries", "a/seven": "ProfileRefused",
    }  # fmt: skip
    batches = [(namespace, [model.name for model in batch]) for _, namespace, batch in groups.batches(2)]
    assert batches == [("a", ["one", "five"]), ("a", ["eight"]), ("b", ["three"]), ("a", ["two", "four"])]


@pytest.mark.parametrize("answer", [PrometheusUnavailable("no"), Vector(())])
def test_a_large_fleet_whose_edges_are_not_known_is_asked_for_all(answer: Vector | PrometheusError) -> None:
    client = Fleet(answer)
    gather(client, models(LARGE_FLEET_MODELS), NOW, GatherSettings(), EdgeMemory())
    assert client.buckets_asked() == [profile_queries(ENVOY, 60).buckets]


def test_no_edge_is_lost_that_the_bracket_needs() -> None:
    histogram = ENVOY.latency
    assert histogram is not None
    for threshold in (0.0005, 0.025, 0.05, 0.07, 0.1, 0.2, 0.9, math.pi):
        chosen = nearest(EDGES, histogram, [threshold])
        assert "+Inf" in chosen
        assert len(chosen) <= 3


@pytest.mark.parametrize("other", ["100.0", "1e2", "0100"])
def test_two_spellings_of_an_edge_are_one_and_their_pods_add_up(other: str) -> None:
    """Half of the pods run a newer server, which writes 100.0 for 100."""
    histogram = Histogram(name="took", unit="ms")
    rows = [("100", 90.0), ("+Inf", 100.0), (other, 45.0), ("Inf", 50.0)]
    vector = Vector(tuple(({"pool": "cpu", "le": le}, value) for le, value in rows))
    found = buckets(vector, lambda labels: ("demo/ranker", labels["pool"]), histogram)
    assert found.known == {("demo/ranker", "cpu"): {0.1: 135.0, math.inf: 150.0}}
    assert nearest(["50", "100", other, "+Inf", "Inf"], histogram, [0.1]) == {"100", other, "+Inf", "Inf"}


def test_edges_within_one_whole_unit_are_cumulative_and_do_not_add_up() -> None:
    histogram = Histogram(name="took", unit="ms", whole_units=True)
    vector = Vector(tuple(({"le": le}, value) for le, value in (("0.5", 20.0), ("0.7", 30.0), ("+Inf", 50.0))))
    found = buckets(vector, lambda _: ("demo/ranker", "cpu"), histogram)
    assert found.known == {("demo/ranker", "cpu"): {0.001: 30.0, math.inf: 50.0}}


# --- servers with different edges behind one pool ---

# Half of the servers have 24 and 249, the other half 99 as well; nobody is slower than 90 ms.
BOTH = {"24": 0.0, "99": 50.0, "249": 100.0, "+Inf": 100.0}


def mixed(share: float = 0.5, threshold_seconds: float = 0.1) -> ModelReading:
    uneven = Vector(tuple(({**cluster(pool), "le": "99"}, share) for pool in (0, 1)))
    buckets = histogram({0: BOTH, 1: BOTH})
    return read(view(threshold_seconds=threshold_seconds), failures=Vector(()), buckets=buckets, uneven=uneven)


def test_an_edge_that_only_some_servers_have_is_left_out() -> None:
    """Else half of the requests would pass for late."""
    reading = mixed()
    assert reading.pools["cpu"].latency == {0.025: 0.0, 0.25: 100.0, math.inf: 100.0}
    assert reading.within == (0.0, 1.0)
    assert not reading.pools["cpu"].share_is_known
    assert (reading.verdict, reading.reason) == ("Unusable", "NoEdgeNearThreshold")
    assert 'left out as not all servers have them: 100ms (le="99"): give all of them the same edges' in reading.message


def test_what_the_common_edges_tell_is_known_all_the_same() -> None:
    reading = mixed(threshold_seconds=0.25)
    assert (reading.verdict, reading.reason, reading.within) == ("Available", "MetricsFound", (1.0, 1.0))


def test_an_edge_that_all_have_is_kept_however_the_servers_spell_it() -> None:
    """Three servers write 100 and +Inf, one writes 100.0 and Inf; one of the three has 250 as well."""
    took = Histogram(name="took", unit="ms")
    rows = {"100": 90.0, "100.0": 30.0, "250": 30.0, "+Inf": 90.0, "Inf": 30.0}
    shares = {"100.0": 1 / 3, "250": 1 / 3, "Inf": 1 / 3}  # of the commonest spelling
    vector, uneven = (Vector(tuple(({"le": le}, v) for le, v in part.items())) for part in (rows, shares))
    found = buckets(vector, lambda _: ("demo/ranker", "cpu"), took, uneven)
    assert found.known == {("demo/ranker", "cpu"): {0.1: 120.0, math.inf: 120.0}}
    assert found.left_out == {("demo/ranker", "cpu"): (0.25,)}


def test_without_a_common_edge_nothing_is_said_of_the_highest() -> None:
    uneven = Vector(tuple(({**cluster(pool), "le": le}, 0.5) for pool in (0, 1) for le in ("49", "99", "199")))
    reading = read(uneven=uneven)
    assert (reading.verdict, reading.reason) == ("Unusable", "NoEdgeNearThreshold")
    assert "above the highest edge" not in reading.message
    assert '50ms (le="49"), 100ms (le="99"), 200ms (le="199")' in reading.message


def test_nothing_is_known_while_it_is_not_known_whether_all_servers_have_an_edge() -> None:
    assert read(uneven=PrometheusUnavailable("too late")).verdict == "Missing"


def test_of_servers_with_different_edges_each_kind_is_asked_for_those_next_to_the_threshold() -> None:
    counts = {"99": 30.0, "49": 30.0, "19": 20.0, "149": 20.0, "9": 50.0, "+Inf": 50.0}  # 30 of one kind, 20 of another
    memory = EdgeMemory()
    memory.learn(ENVOY, Vector(tuple(({"le": edge}, count) for edge, count in counts.items())), NOW)
    queries = profile_queries(ENVOY, 60)
    for query in (queries.buckets, queries.uneven):
        assert query is not None
        narrowed = memory.narrowed(ENVOY, query, LARGE_FLEET_MODELS, [0.1])
        asked = set(re.findall(r'le=~"([^"]*)"', narrowed))
        assert asked == {r"149|19|9|99|\\+Inf"} or asked == {r"\\+Inf|149|19|9|99"}
