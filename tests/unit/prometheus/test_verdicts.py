"""The verdict on the metrics reaches the decision: what is not known of the whole is no number, and nothing is released."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from builders.envoy_page import NAN, NOW, SETTINGS, Canned, by_pool, cluster, gather_with, histogram, page, view
from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics, RecModelSpec
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.controller import views
from recmodel.controller.tracked import Tracked
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Observation
from recmodel.prometheus import readings as r
from recmodel.prometheus.client import Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.lost_pages import Loss, lost_queries
from recmodel.prometheus.profile import load_profile
from recmodel.prometheus.queries import profile_queries
from recmodel.prometheus.readings import BackendView, ModelReading, ModelView, PoolView
from recmodel.prometheus.session import AnswerUnusable, PrometheusError, PrometheusUnavailable, QueryRefused
from recmodel.report.snapshot import Decided, Desired

TEMPLATE = {"spec": {"containers": [{"name": "s", "image": "s:1"}]}}
SPEC = RecModelSpec.model_validate(
    {
        "objective": {"latency": {"threshold": "100ms"}},
        "route": {"parentRefs": [{"name": "edge"}]},
        "pools": [
            {"name": name, "replicas": {"min": 1, "max": 60}, "port": 8080, "template": TEMPLATE}
            for name in ("cpu", "gpu")
        ],
    }
)
REPLICAS = {"cpu": 10, "gpu": 10}
VIEW = view(PoolView("cpu", 500.0, 10, 2.0), PoolView("gpu", 500.0, 10))
HALF = {"49": 25.0, "99": 49.0, "199": 50.0, "+Inf": 50.0}  # of what there is: as if half of the servers were away


def halved(**changed: Vector | PrometheusError) -> dict[str, Vector | PrometheusError]:
    """The page of a fleet of which every second request is missing; ``changed`` on top."""
    both = {"requests": by_pool({0: 50.0, 1: 50.0}), "answered": by_pool({0: 50.0, 1: 50.0})}
    none = {"failures": by_pool({0: 0.0, 1: 0.0}), "buckets": histogram({0: HALF, 1: HALF})}
    return page(**{**both, **none, **changed})


def envoy(model: ModelView = VIEW, **changed: Vector | PrometheusError) -> ModelReading:
    return gather_with(halved(**changed), model).models["demo/ranker"]


def partly(key: str = "requests") -> ModelReading:
    """One of the answers warned."""
    answer = halved()[profile_queries(load_profile("envoy-gateway"), 60).requests]
    assert isinstance(answer, Vector)
    return envoy(**{key: replace(answer, partial=True)})


MLSERVER = profile_queries(load_profile("mlserver"), 60)


def pods(up: dict[str, float]) -> ModelReading:
    """Two pools of ten ready pods each, ``up`` of which were read."""
    answers: dict[str, Vector | PrometheusError] = {}
    for query, value in ((MLSERVER.requests, 50.0), (MLSERVER.failures, 0.0), (MLSERVER.age, 1.0)):
        assert query is not None
        answers[query] = Vector(tuple((_pod(pool), value) for pool in up))
    assert MLSERVER.up is not None
    assert MLSERVER.buckets is not None
    answers[MLSERVER.up] = Vector(tuple((_pod(pool), value) for pool, value in up.items()))
    rows = [({**_pod(pool), "le": le}, v) for pool in up for le, v in (("0.05", 25.0), ("0.1", 49.0), ("+Inf", 50.0))]
    answers[MLSERVER.buckets] = Vector(tuple(rows))
    others = {query: answers.get(query, Vector(())) for query in MLSERVER.all()}
    model = replace(VIEW, metrics=Metrics(profile="mlserver"))
    return gather(Canned(others), [model], NOW, SETTINGS).models["demo/ranker"]


def _pod(pool: str) -> dict[str, str]:
    return {"namespace": "demo", "recmodel_dev_model": "ranker", "recmodel_dev_pool": pool}


def several() -> ModelReading:
    """Triton's pages count an ensemble and its step, and none was named."""
    queries = profile_queries(load_profile("triton"), 60)
    rows = tuple(({**_pod(pool), "model": name}, 25.0) for pool in ("cpu", "gpu") for name in ("ensemble", "step"))
    model = replace(VIEW, metrics=Metrics(profile="triton"))
    return gather(Canned(dict.fromkeys(queries.all(), Vector(rows))), [model], NOW, SETTINGS).models["demo/ranker"]


def one_page_of_two() -> ModelReading:
    """The gateway has two pods, and the scrape of one fails."""
    target = {"job": "edge", "instance": "10.0.0.2:19001"}
    more = lost_queries(load_profile("envoy-gateway"), {("edge", "10.0.0.2:19001"): Loss.DOWN}, 60.0)
    answers = halved(lost=Vector(((target, float(Loss.DOWN)),)))
    answers[more.had] = Vector(tuple(({**cluster(pool), **target}, 1.0) for pool in (0, 1)))
    answers |= {more.read: by_pool({0: 1.0, 1: 1.0}), more.before: by_pool({0: 100.0, 1: 100.0})}
    return gather_with(answers, VIEW).models["demo/ranker"]


def too_many() -> ModelReading:
    custom = Metrics(profile="custom", custom=CustomMetrics(latency=LatencySeries(name="took", unit="s")))
    settings = replace(SETTINGS, max_custom_profiles=0)
    return gather(Canned({}), [replace(VIEW, metrics=custom)], NOW, settings).models["demo/ranker"]


def refused() -> ModelReading:
    model = replace(VIEW, metrics=Metrics(profile="torchserve"))
    return gather(Canned({}), [model], NOW, SETTINGS).models["demo/ranker"]


EVERYTHING = frozenset({"rate", "errors", "latency", "queue"})
NOTHING: frozenset[str] = frozenset()
NINE_OF_TEN = "nine of ten pods"  # as after a start; their load is more than is counted
NO_SHARE = EVERYTHING - {"latency"}
ONLY_CPU = {"requests": by_pool({0: 50.0}), "answered": by_pool({0: 50.0}), "age": by_pool({0: 2.0})}

# docs/metrics.md has the same table: verdict, reason, and what of the pools cpu and gpu is still given to the decision.
CASES: list[tuple[str, str, str, Callable[[], ModelReading], frozenset[str], frozenset[str]]] = [
    ("whole", "Available", r.METRICS_FOUND, envoy, EVERYTHING, EVERYTHING),
    ("edges 110", "Available", r.THRESHOLD_BETWEEN_EDGES, lambda: envoy(at(0.11)), EVERYTHING, EVERYTHING),
    ("idle", "Available", r.NO_TRAFFIC, lambda: envoy(requests=by_pool({0: 0.0, 1: 0.0}), answered=Vector(())),
     EVERYTHING, EVERYTHING),
    ("all failed", "Available", r.NOTHING_SERVED,
     lambda: envoy(failures=by_pool({0: 50.0, 1: 50.0}), buckets=Vector(())), NO_SHARE, NO_SHARE),
    ("nobody answers", "Missing", r.PROMETHEUS_UNAVAILABLE, lambda: envoy(age=PrometheusUnavailable("x")), NOTHING,
     NOTHING),
    ("refused query", "Missing", r.QUERY_REFUSED, lambda: envoy(buckets=QueryRefused("x")), NOTHING, NOTHING),
    ("not JSON", "Missing", r.ANSWER_UNUSABLE, lambda: envoy(requests=AnswerUnusable("x")), NOTHING, NOTHING),
    ("no series", "Missing", r.NO_SERIES, lambda: envoy(requests=Vector(()), age=Vector(())), NOTHING, NOTHING),
    ("no request yet", "Missing", r.NO_REQUESTS_SEEN,
     lambda: envoy(replace(VIEW, counted=False), requests=Vector(()), age=Vector(())), NOTHING, NOTHING),
    ("one is stale", "Stale", r.SERIES_STALE, lambda: envoy(age=by_pool({0: 2.0, 1: 99.0})), EVERYTHING, NOTHING),
    ("both are stale", "Stale", r.SERIES_STALE, lambda: envoy(age=by_pool({0: 99.0, 1: 99.0})), NOTHING, NOTHING),
    ("one is missing", "Partial", r.POOL_MISSING, lambda: envoy(**ONLY_CPU), EVERYTHING, NOTHING),
    ("one is stale, none has a weight", "Stale", r.SERIES_STALE,
     lambda: envoy(every(weight=0.0), age=by_pool({0: 2.0, 1: 99.0})), NOTHING, NOTHING),
    ("none is ready", "Missing", r.NO_READY_POOL, lambda: envoy(every(ready=0)), NOTHING, NOTHING),
    ("none is ready, and nothing is counted", "Missing", r.NO_READY_POOL,
     lambda: envoy(every(ready=0), requests=by_pool({0: 0.0, 1: 0.0}), answered=Vector(())), NOTHING, NOTHING),
    ("half of the pods of one", "Partial", r.PODS_MISSING, lambda: pods({"cpu": 10.0, "gpu": 5.0}),
     NO_SHARE - {"queue"}, NOTHING),
    (NINE_OF_TEN, "Available", r.METRICS_FOUND, lambda: pods({"cpu": 9.0, "gpu": 10.0}), NO_SHARE - {"queue"},
     NO_SHARE - {"queue"}),
    ("half of all pods", "Partial", r.PODS_MISSING, lambda: pods({"cpu": 5.0, "gpu": 5.0}), NOTHING, NOTHING),
    ("half of the gateway", "Partial", r.PODS_MISSING, one_page_of_two, NOTHING, NOTHING),
    ("a pool took another's place", "Partial", r.BACKENDS_MOVED, lambda: envoy(moved(5.0, 500.0)), NOTHING, EVERYTHING),
    ("a route of which nothing is known", "Partial", r.BACKENDS_MOVED, lambda: envoy(moved(None, None)), NOTHING, NOTHING),
    ("a warning", "Partial", r.PARTIAL_ANSWER, partly, NOTHING, NOTHING),
    ("a warning for the queue", "Partial", r.PARTIAL_ANSWER, lambda: partly("queue"), NOTHING, NOTHING),
    ("a warning for the gateway", "Partial", r.PARTIAL_ANSWER, lambda: partly("rate"), NOTHING, NOTHING),
    ("no histogram", "Unusable", r.NO_HISTOGRAM, lambda: envoy(buckets=Vector(())), NO_SHARE, NO_SHARE),
    ("no edge near", "Unusable", r.NO_EDGE_NEAR_THRESHOLD, lambda: envoy(at(0.15), buckets=wide()), NO_SHARE, NO_SHARE),
    ("above all edges", "Unusable", r.THRESHOLD_ABOVE_EDGES, lambda: envoy(at(5.0)), NO_SHARE, NO_SHARE),
    ("a rate is NaN", "Unusable", r.VALUES_INVALID, lambda: envoy(requests=by_pool({0: 50.0, 1: NAN})), EVERYTHING,
     NOTHING),
    ("a bucket is NaN", "Unusable", r.VALUES_INVALID,
     lambda: envoy(buckets=histogram({0: {**HALF, "99": NAN}, 1: {**HALF, "99": NAN}})), NO_SHARE, NO_SHARE),
    ("counters that go back and forth", "Unusable", r.RATE_IMPLAUSIBLE,
     lambda: envoy(requests=by_pool({0: 90_000.0, 1: 50.0})), NOTHING, EVERYTHING),
    ("pages read twice", "Unusable", r.DUPLICATE_SCRAPES, lambda: envoy(scrapes=by_pool({0: 2.0, 1: 2.0})), NOTHING, NOTHING),
    ("several models", "Unusable", r.SEVERAL_MODELS, several, NOTHING, NOTHING),
    ("a profile without histogram", "Unusable", r.PROFILE_REFUSED, refused, NOTHING, NOTHING),
    ("too many custom series", "Unusable", r.TOO_MANY_CUSTOM_SERIES, too_many, NOTHING, NOTHING),
]  # fmt: skip


def at(threshold_seconds: float) -> ModelView:
    return replace(VIEW, threshold_seconds=threshold_seconds)


def moved(*seconds_ago: float | None) -> ModelView:
    """The pools in their order, and how long ago each of them came to its place in the route."""
    times = [None if ago is None else NOW - ago for ago in seconds_ago]
    pools = zip(("cpu", "gpu"), times, strict=True)
    return replace(VIEW, backends=tuple(BackendView(name, since) for name, since in pools))


def every(**changed: float) -> ModelView:
    return replace(VIEW, pools=tuple(replace(pool, **changed) for pool in VIEW.pools))


def wide() -> Vector:
    """90 % within 100 ms and 99 % within 200 ms: whether 95 % are within 150 ms nobody knows."""
    edges = {"49": 25.0, "99": 45.0, "199": 49.5, "+Inf": 50.0}
    return histogram({0: edges, 1: edges})


def test_every_reason_of_a_reading_is_in_the_table() -> None:
    reasons = {value for name, value in vars(r).items() if name.isupper() and isinstance(value, str)}
    assert {reason for _, _, reason, *_ in CASES} == reasons
    assert {verdict for _, verdict, *_ in CASES} == {verdict.value for verdict in r.Verdict}
    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\w+) \| (`.*?) \|", page.split("### What is still decided")[1].split("\n1. ")[0], re.MULTILINE
    )
    told = {(verdict.lower(), reason) for verdict, cell in rows for reason in re.findall(r"`([A-Z]\w+)`", cell)}
    assert told == {(verdict.lower(), reason) for _, verdict, reason, *_ in CASES}


def observed(reading: ModelReading | None, replicas: dict[str, int], now: float) -> Observation:
    """As the tick has it."""
    states = {n: PoolState(True, count, count, 0, 40.0, (), False, None) for n, count in replicas.items()}
    tracked = Tracked(Owner("shop", "feed", "u"), Desired(spec=SPEC), decided=Decided(reading=reading))
    return views.observation(tracked, states, {"cpu": 500, "gpu": 500}, now)


CALM_TICKS, TICKS = 60, 40
Replicas = dict[str, int]


@cache
def decided() -> dict[str, tuple[list[Replicas], list[dict[str, float]]]]:
    """What the engine decides in each case, all of them in one fleet: a quarter of an hour of 200 requests/s on twenty
    replicas, then ten minutes of the case. Replicas and weights tick by tick.
    """
    healthy = gather_with(page(failures=by_pool({0: 0.0, 1: 0.0})), VIEW).models["demo/ranker"]
    readings = {case: read() for case, _, _, read, *_ in CASES}
    replicas = {case: [dict(REPLICAS)] for case in readings}
    weights: dict[str, list[dict[str, float]]] = {case: [] for case in readings}
    memory = begin([SPEC.model(case) for case in readings])
    for tick in range(CALM_TICKS + TICKS):
        now = 15.0 * tick
        calm = tick < CALM_TICKS
        seen = [observed(healthy if calm else readings[c], replicas[c][-1], now) for c in readings]
        memory, decisions = step(memory, seen, now)
        for i, case in enumerate(readings):
            if not calm:
                pools = decisions.unsplit(i).pools
                replicas[case].append({name: pool.replicas for name, pool in pools.items()})
                weights[case].append({name: pool.weight for name, pool in pools.items()})
    return {case: (replicas[case], weights[case]) for case in readings}


@pytest.mark.parametrize(("case", "verdict", "reason", "read", "cpu", "gpu"), CASES, ids=[c[0] for c in CASES])
def test_what_is_not_known_is_no_number_and_nothing_is_released_on_it(
    case: str, verdict: str, reason: str, read: Callable[[], ModelReading], cpu: frozenset[str], gpu: frozenset[str]
) -> None:
    reading = read()
    assert (reading.verdict, reading.reason) == (verdict, reason), case
    assert ("not every ready pod reported yet" in reading.message) == (case == NINE_OF_TEN)
    seen = observed(reading, REPLICAS, 0.0)
    for name, expected in (("cpu", cpu), ("gpu", gpu)):
        pool = seen.pools[name]
        numbers = {"rate": pool.rate_per_second, "errors": pool.errors_per_second, "queue": pool.queue}
        given = {kind for kind, value in {**numbers, "latency": pool.latency}.items() if value is not None}
        assert given == expected, name
    if verdict in ("Missing", "Stale", "Partial"):
        assert reading.within is None, "the share of a part is not the model's"
    replicas, weights = decided()[case]
    if verdict != "Available" or case == NINE_OF_TEN:
        for before, after in pairwise(replicas):
            assert all(after[name] >= before[name] for name in before), f"{before} -> {after}"
    for shares in weights:
        assert all(math.isfinite(share) and share > 0 for share in shares.values())


def test_the_same_halved_load_is_believed_where_it_is_whole() -> None:
    """Else the test above could not fail."""
    assert sum(decided()["whole"][0][-1].values()) < sum(REPLICAS.values())


@pytest.mark.parametrize(
    ("edges", "known"),
    [
        ({"49": 25.0, "99": 48.5, "199": 49.5, "+Inf": 50.0}, True),  # 97 % within 100 ms: surely within 150 ms
        ({"49": 10.0, "99": 30.0, "199": 45.0, "+Inf": 50.0}, True),  # 90 % within 200 ms: surely not
        ({"49": 25.0, "99": 45.0, "199": 49.5, "+Inf": 50.0}, False),
        ({"99": 25.0, "+Inf": 50.0}, False),  # above all edges
    ],
)
def test_a_bracket_that_lies_on_one_side_of_the_objective_is_known(edges: dict[str, float], known: bool) -> None:
    reading = envoy(at(0.15), buckets=histogram({0: edges, 1: edges}))
    assert reading.verdict == "Unusable"
    assert (observed(reading, REPLICAS, 0.0).pools["cpu"].latency is not None) is known
    assert reading.pools["cpu"].latency is not None, "it is shown all the same"
