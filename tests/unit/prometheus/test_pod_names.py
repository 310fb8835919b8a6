"""Pods without a label of ours: found by namespace and pod, told apart by the names that are watched, and judged as all others."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.envoy_page import NOW, SETTINGS, Canned, page, view
from builders.named_pods import EDGES, ONE, OTHER, asked, deployment, histogram, pages, read, rows
from recmodel.api.v1alpha1 import Metrics
from recmodel.prometheus import readings as r
from recmodel.prometheus.client import Matrix, PrometheusClient, Vector
from recmodel.prometheus.edges import LARGE_FLEET_MODELS, EdgeMemory
from recmodel.prometheus.gather import gather
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.history import histories
from recmodel.prometheus.own_edges import own_edges
from recmodel.prometheus.pod_names import MOST_CHARACTERS, beginning_with, by_name, matchers, owner_by_name, pod_prefix
from recmodel.prometheus.profile import load_profile
from recmodel.prometheus.queries import edges_of, profile_queries
from recmodel.prometheus.readings import ModelView, PoolView
from recmodel.prometheus.session import Connection, PrometheusError, PrometheusUnavailable, QueryRefused

ENDED = "feed-6d4cf56db6-bcdfg"  # not watched any more
LONG = "a-deployment-whose-name-leaves-no-room-for-what-follows"  # 55 characters: three of the hash remain


NOTHING = Vector(())
SIDE_CAR = rows({OTHER: 1.0}, recmodel_any_page="1")


class Asked(PrometheusClient):
    """Answers every question with the same rows, and remembers them."""

    def __init__(self, answer: Vector = NOTHING) -> None:
        super().__init__(Connection(url="http://127.0.0.1:1"))
        self.answer = answer
        self.questions: list[str] = []

    def query_all(
        self, queries: Iterable[str], at_seconds: float, budget_seconds: float
    ) -> dict[str, Vector | PrometheusError]:
        self.questions += (now := list(queries))
        return dict.fromkeys(now, self.answer)


# --- the questions ---


def test_a_workloads_pods_are_asked_for_by_the_labels_of_the_target() -> None:
    queries = asked(deployment("feed"), deployment("fe.ed-gpu"))
    chosen = r'namespace=~"shop",pod=~"(?:fe\\.ed-gpu-|feed-).*"'
    series = f'rest_server_requests_total{{path=~".*/infer",{chosen}}}'
    assert queries.requests == f"sum by (namespace, pod) (rate({series}[60000ms]))"
    counted = f"(last_over_time({series}[60000ms]))"
    others = f"up{{{chosen}}} unless on (namespace, pod) {counted}"
    assert queries.up == (
        f"min by (namespace, pod) (up{{{chosen}}} and on (namespace, pod, job, instance, endpoint) {counted}) or "
        f"max by (namespace, pod) ({others} and on (namespace, job, endpoint) {counted}) or "
        f'label_replace(max by (namespace, pod) ({others}), "recmodel_any_page", "1", "", "")'
    )
    assert all("recmodel_dev" not in query and chosen in query for query in queries.all())


def test_pods_with_our_labels_are_asked_for_as_ever_beside_those_without() -> None:
    ours = ModelView("shop", "rank", 0.1, 0.95, Metrics(profile="mlserver"), (PoolView("cpu", 1.0, 1),))
    alone, both = Asked(), Asked()
    gather(alone, [ours], NOW, SETTINGS)
    gather(both, [ours, replace(deployment(), pods={})], NOW, SETTINGS)
    assert alone.questions == list(profile_queries(load_profile("mlserver"), 60).all())
    assert set(both.questions) == {*alone.questions, *asked(deployment()).all()}


def test_many_workloads_cost_as_many_questions_as_one_and_no_long_ones() -> None:
    few, many = Asked(), Asked()
    one = replace(deployment(), metrics=Metrics(profile="triton"))  # whose requests are two series
    pools = [PoolView("cpu", ready=1, pod_prefix=pod_prefix(f"recsys-team-{i % 40}-model-{i}")) for i in range(4000)]
    models = [replace(one, name=f"m{i}", namespace=f"team-{i % 200}", pools=(pool,)) for i, pool in enumerate(pools)]
    gather(few, [one], NOW, SETTINGS)
    gather(many, models, NOW, SETTINGS)
    assert len(many.questions) == len(few.questions)
    assert max(map(len, many.questions)) < 16 * 1024


@given(
    st.lists(st.from_regex(r"[a-z]([-.a-z0-9]{0,60}[a-z0-9])?", fullmatch=True), min_size=1, max_size=80),
    st.integers(60, MOST_CHARACTERS),
)
def test_a_bounded_matcher_matches_all_pods_of_each_workload(workloads: list[str], most_characters: int) -> None:
    matcher = beginning_with({pod_prefix(name) for name in workloads}, most_characters)
    assert len(matcher) <= max(most_characters, 100)
    pattern = re.compile(matcher.removeprefix('=~"').removesuffix('"').replace("\\\\", "\\"))
    assert all(pattern.fullmatch(f"{name}-6d4cf56db6-"[:58] + "x7k2p") for name in workloads)


def test_a_gateways_series_are_found_by_the_route_whoever_made_the_pods() -> None:
    model = replace(view(), pools=tuple(replace(pool, pod_prefix=f"{pool.name}-") for pool in view().pools))
    assert gather(Canned(page()), [model], NOW, SETTINGS).models["demo/ranker"].reason == r.METRICS_FOUND


def test_a_large_fleet_is_asked_for_the_edges_around_its_thresholds_where_its_pods_are_many() -> None:
    model = replace(deployment(), pods={f"feed-6d4cf56db6-{i}": "cpu" for i in range(2 * LARGE_FLEET_MODELS)})
    client = Asked(Vector(tuple(({"le": le}, 1.0) for le in ("0.05", "0.1", "0.5", "+Inf"))))
    gather(client, [model], NOW, SETTINGS, EdgeMemory())
    profile = by_name(load_profile("mlserver"), [model])
    assert client.questions[0] == edges_of(profile)
    assert any(
        question.startswith("sum by (namespace, pod, le)") and r'le=~"\\+Inf|0\\.05|0\\.1"' in question
        for question in client.questions
    )


# --- whose they are ---


@pytest.mark.parametrize(
    ("pod", "pool"),
    [
        (ONE, "feed"),
        (ENDED, "feed"),
        ("feed-gpu-84b5b4d6f9-z4z7k", "feed-gpu"),
        ("feed-gpu-odd", "feed-gpu"),  # watched, whatever its name is
        ("feed-gpu-even", None),
        ("feed-canary-6d4cf56db6-x7k2p", None),  # another Deployment
        ("feed-canary-0", None),
        ("feed-canary-x7k2p", None),
        ("feed-0", None),  # of a StatefulSet that has the Deployment's name
        ("rank-0", "rank"),
        ("rank-17", "rank"),
        ("rank-6d4cf56db6-x7k2p", None),
        (f"{LONG}-6d4cf56db6-"[:58] + "x7k2p", LONG),
        ("unwatched-0", "unwatched"),  # of which sort it is nobody knows yet
        ("unwatched-6d4cf56db6-x7k2p", "unwatched"),
        ("feed-", None),
        ("feed", None),
        ("", None),
    ],
)
def test_a_pod_is_of_the_pool_that_watches_it_or_that_had_it(pod: str, pool: str | None) -> None:
    models = [
        deployment(),
        deployment("feed-gpu", ("feed-gpu-84b5b4d6f9-4kz2t", "feed-gpu-odd")),
        deployment("rank", ("rank-0", "rank-1")),
        deployment(LONG, ()),
        deployment("unwatched", ()),
    ]
    owner = owner_by_name(models)
    assert owner({"namespace": "shop", "pod": pod}) == (None if pool is None else (f"shop/{pool}", "cpu"))
    assert owner({"namespace": "other", "pod": pod}) is None


def test_each_of_several_that_look_at_one_workload_has_the_reading_and_no_question_more() -> None:
    one = deployment()
    twins = [one, replace(one, name="feed-stricter", threshold_seconds=0.05), deployment("rank", ("rank-0",))]
    found = gather(Canned(pages(*twins)), twins, NOW, SETTINGS)
    assert found.models["shop/feed"].within == pytest.approx((0.9, 0.9))
    assert found.models["shop/feed-stricter"].within == pytest.approx((0.5, 0.5))
    assert found.models["shop/rank"].reason == r.NO_SERIES
    assert found.queries == gather(Canned(pages(one)), [one], NOW, SETTINGS).queries
    assert [[m.name for m in members] for _, members in by_profile(twins).members] == [
        ["feed", "rank"],
        ["feed-stricter"],
    ]


# --- what is known ---


def test_the_pods_of_a_workload_add_up() -> None:
    reading = read(deployment())
    cpu = reading.pools["cpu"]
    assert (reading.verdict, reading.reason) == ("Available", r.METRICS_FOUND)
    assert (cpu.rate_per_second, cpu.errors_per_second, cpu.in_flight, cpu.age_seconds) == (20.0, 0.0, 3.0, 1.0)
    assert cpu.latency == {0.05: 10.0, 0.1: 18.0, np.inf: 20.0}
    assert cpu.coverage_ratio == 1.0


def test_what_a_pod_answered_that_ended_within_the_window_is_load() -> None:
    """Else half of the pods' requests would look like half of the load until the others' windows are full."""
    requests = rows({ONE: 10.0, ENDED: 9.0, "feed-canary-6d4cf56db6-x7k2p": 99.0})
    reading = read(deployment(pods=(ONE,)), requests=requests, up=rows({ONE: 1.0}), moved=requests)
    assert reading.pools["cpu"].rate_per_second == 19.0


@pytest.mark.parametrize(
    ("case", "changed", "verdict", "reason"),
    [
        ("no series", {k: Vector(()) for k in ("requests", "buckets", "moved", "age", "up")}, "Missing", "NoSeries"),
        ("a pod's page is not read", {"up": rows({ONE: 1.0, OTHER: 0.0})}, "Partial", "PodsMissing"),
        ("a pod's target is gone", {"up": rows({ONE: 1.0})}, "Partial", "PodsMissing"),
        ("all targets are gone", {"up": Vector(()), "age": Vector(())}, "Partial", "PodsMissing"),
        ("only another pod's page is read", {"up": rows({ONE: 1.0, "feed-gpu-0": 1.0})}, "Partial", "PodsMissing"),
        (
            "only its side-car's page is read",
            {"up": Vector((*rows({ONE: 1.0}).rows, *SIDE_CAR.rows))},
            "Partial",
            "PodsMissing",
        ),
        ("a page is read twice", {"scrapes": rows({ONE: 1.0, OTHER: 2.0})}, "Unusable", "DuplicateScrapes"),
        ("all samples are old", {"age": rows({ONE: 90.0, OTHER: 80.0})}, "Stale", "SeriesStale"),
        ("a pod's rate is NaN", {"requests": rows({ONE: float("nan"), OTHER: 1.0})}, "Unusable", "ValuesInvalid"),
        ("counters go back and forth", {"moved": rows({ONE: 1.0, OTHER: 1.0})}, "Unusable", "RateImplausible"),
        ("no histogram", {"buckets": Vector(())}, "Unusable", "NoHistogram"),
        (
            "one pod lacks the edge",
            {"buckets": histogram({ONE: EDGES, OTHER: {"0.05": 5.0, "+Inf": 10.0}})},
            "Unusable",
            "ThresholdAboveEdges",
        ),
        (
            "one server of a pod lacks the edge",
            {"uneven": rows({ONE: 0.5}, le="0.1")},
            "Unusable",
            "ThresholdAboveEdges",
        ),
        ("the server warned", {"age": Vector(rows({ONE: 1.0}).rows, partial=True)}, "Partial", "PartialAnswer"),
        ("nobody says whose page is read", {"up": PrometheusUnavailable("no")}, "Missing", "PrometheusUnavailable"),
        ("the question is refused", {"requests": QueryRefused("no")}, "Missing", "QueryRefused"),
    ],
)
def test_an_answer_that_is_not_whole_gets_a_verdict(
    case: str, changed: dict[str, Vector | PrometheusError], verdict: str, reason: str
) -> None:
    reading = read(deployment(), **changed)
    assert (reading.verdict, reading.reason) == (verdict, reason), case


def test_a_workload_without_series_is_told_which_labels_are_missing() -> None:
    nothing = dict.fromkeys(("requests", "buckets", "moved", "age"), NOTHING)
    assert "no series with the labels namespace and pod of its pods (MLServer" in read(deployment(), **nothing).message


@pytest.mark.parametrize(
    ("case", "up", "reason"),
    [
        ("another workload's job reads its pages", rows({ONE: 1.0, OTHER: 1.0}), r.NO_REQUESTS_SEEN),
        ("nobody knows which page has them", Vector((*rows({ONE: 1.0}).rows, *SIDE_CAR.rows)), r.NO_REQUESTS_SEEN),
        (
            "a page is not read, and its side-car's is",
            Vector((*rows({ONE: 1.0, OTHER: 0.0}).rows, *SIDE_CAR.rows)),
            r.NO_SERIES,
        ),
        ("a pod has no page at all", rows({ONE: 1.0}), r.NO_SERIES),
    ],
)
def test_before_the_first_request_any_page_of_a_pod_does(case: str, up: Vector, reason: str) -> None:
    nothing = dict.fromkeys(("requests", "buckets", "moved", "age"), NOTHING)
    assert read(replace(deployment(), counted=False), up=up, **nothing).reason == reason, case


def test_the_cpu_of_its_own_page_stands_in_for_cadvisor() -> None:
    model = deployment()
    answers = pages(model, cores={0: rows({ONE: 1.0}), 2: rows({ONE: 9.0, OTHER: 0.5, "feed-canary-0": 9.0})})
    cpu = gather(Canned(answers), [model], NOW, SETTINGS).models["shop/feed"].pools["cpu"]
    assert cpu.cpu_utilisation_ratio == pytest.approx((0.5 + 0.25) / 2)


# --- by workload: the past, and the edges for recmodel doctor ---


def test_the_edges_are_counted_by_workload() -> None:
    labels = {"namespace": "shop", "recmodel_pod_prefix": "feed-"}
    client = Asked(
        Vector(
            (({**labels, "le": "0.1"}, 2.0), ({**labels, "le": "+Inf"}, 2.0), ({"namespace": "shop", "le": "9"}, 5.0))
        )
    )
    found = own_edges(client, by_profile([deployment(pods=())]), NOW, 10.0)
    assert found.counts == {("shop/feed", "cpu"): {"0.1": 2.0, "+Inf": 2.0}}


def test_each_of_several_models_that_look_at_one_workload_has_its_edges_and_its_error() -> None:
    row = {"namespace": "shop", "recmodel_pod_prefix": "feed-", "le": "+Inf"}, 2.0
    groups = by_profile([deployment(), replace(deployment(), name="again"), replace(deployment(), name="third")])
    found = own_edges(client := Asked(Vector((row,))), groups, NOW, 10.0)
    assert found.counts == {(f"shop/{name}", "cpu"): {"+Inf": 2.0} for name in ("feed", "again", "third")}
    assert len(client.questions) == 1

    class Down(Asked):
        def query_all(self, queries: Iterable[str], *_: float) -> dict[str, Vector | PrometheusError]:
            return dict.fromkeys(queries, PrometheusUnavailable("no"))

    assert own_edges(Down(), groups, NOW, 10.0).failed.keys() == {"shop/feed", "shop/again", "shop/third"}


def test_the_past_is_that_of_the_pods_of_yesterday_one_row_a_workload() -> None:
    class Past(Asked):
        def query_range(self, query: str, *_: float, **__: float) -> Matrix:
            self.questions.append(query)
            of = {"namespace": "shop"}
            named = [
                ({**of, "recmodel_pod_prefix": name}, ((600.0, load),))
                for name, load in (("feed-", 5.0), ("feed-gpu-", 7.0))
            ]
            return Matrix((*named, (of, ((600.0, 99.0),))))  # the last one: of pods that are no workload's

    client = Past()
    models = [deployment(), deployment("feed-gpu", ())]
    found = histories(client, models, 610.0, 300.0, scope=('cluster="eu-1"',))
    assert [found[f"shop/{name}"].per_second[-1] for name in ("feed", "feed-gpu")] == [5.0, 7.0]
    (query,) = client.questions
    assert query.startswith("sum by (namespace, recmodel_pod_prefix) (label_replace(sum by (namespace, pod) (rate(")
    assert 'namespace="shop",pod=~"(?:feed-|feed-gpu-).*",cluster="eu-1"}[300000ms]' in query
    written = re.search(r'"recmodel_pod_prefix", "\$1", "pod", "([^"]+)"', query)
    assert written is not None
    for pod, prefix in {
        "feed-5c6f7d8b9-z4z7k": "feed-",
        "feed-3": "feed-",
        "feed-gpu-84b5b4d6f9-z4z7k": "feed-gpu-",
        "feed-canary-84b5b4d6f9-z4z7k": None,
    }.items():
        found_prefix = re.fullmatch(written[1], pod)
        assert (found_prefix[1] if found_prefix else None) == prefix


def test_the_matchers_hold_every_namespace() -> None:
    models = [replace(deployment(), namespace=name) for name in ("shop", "a.b")]
    assert matchers(models) == (r'namespace=~"a\\.b|shop"', 'pod=~"(?:feed-).*"')
    many = [replace(deployment(), namespace=f"team-{i}") for i in range(5000)]
    namespaces, _ = matchers(many)
    pattern = re.compile(namespaces.removeprefix('namespace=~"').removesuffix('"'))
    assert all(pattern.fullmatch(model.namespace) for model in many)
    assert len(namespaces) <= MOST_CHARACTERS + len("namespace")
