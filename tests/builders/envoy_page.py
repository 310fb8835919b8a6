"""A gateway's page as Prometheus has it: two pools of one model, healthy, and whatever a test changes of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from recmodel.api.v1alpha1 import Metrics
from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.gather import SETTLED_SECONDS, gather
from recmodel.prometheus.profile import load_profile
from recmodel.prometheus.queries import profile_queries
from recmodel.prometheus.readings import GatherSettings, ModelReading, ModelView, PoolView, Readings
from recmodel.prometheus.session import Connection, PrometheusError

NOW = 1_700_000_000.0
SETTINGS = GatherSettings(window_seconds=60.0, scrape_interval_seconds=5.0)
ENVOY = profile_queries(load_profile("envoy-gateway"), 60)
NAN, INF = math.nan, math.inf
Rows = Mapping[int, float]


NOTHING = {
    "requests": Vector(()),
    "answered": Vector(()),
    "failures": Vector(()),
    "age": Vector(()),
    "buckets": Vector(()),
}


def cluster(index: int, model: str = "demo/ranker") -> dict[str, str]:
    return {"envoy_cluster_name": f"httproute/{model}/rule/0/backend/{index}"}


def by_pool(rows: Rows, model: str = "demo/ranker") -> Vector:
    return Vector(tuple((cluster(index, model), value) for index, value in rows.items()))


def histogram(pools: Mapping[int, Mapping[str, float]], model: str = "demo/ranker") -> Vector:
    return Vector(tuple(({**cluster(i, model), "le": le}, v) for i, edges in pools.items() for le, v in edges.items()))


EDGES = {"49": 50.0, "99": 95.0, "199": 99.0, "+Inf": 100.0}


def page(**changed: Vector | PrometheusError) -> dict[str, Vector | PrometheusError]:
    """A healthy answer to each query: two pools of 100 requests/s, 2 of them failing; ``changed`` replaces some."""
    assert ENVOY.answered is not None
    assert ENVOY.failures is not None
    assert ENVOY.buckets is not None
    assert ENVOY.queue is not None
    assert ENVOY.in_flight is not None
    assert ENVOY.page_age is not None
    assert ENVOY.scrapes is not None
    assert ENVOY.lost is not None
    assert ENVOY.uneven is not None
    assert ENVOY.downstream is not None
    names = {
        "requests": ENVOY.requests,
        "answered": ENVOY.answered,
        "failures": ENVOY.failures,
        "buckets": ENVOY.buckets,
        "uneven": ENVOY.uneven,
        "queue": ENVOY.queue,
        "in_flight": ENVOY.in_flight,
        "moved": ENVOY.moved,
        "scrapes": ENVOY.scrapes,
        "lost": ENVOY.lost,
        "age": ENVOY.age,
        "page_age": ENVOY.page_age,
        "rate": ENVOY.downstream[0],
        "failed": ENVOY.downstream[1],
        "no_cluster": ENVOY.downstream[2],
    }
    healthy: dict[str, Vector | PrometheusError] = {
        "requests": by_pool({0: 100.0, 1: 100.0}),
        "answered": by_pool({0: 100.0, 1: 100.0}),
        "failures": by_pool({0: 2.0, 1: 2.0}),
        "buckets": histogram({0: EDGES, 1: EDGES}),
        "uneven": Vector(()),
        "queue": by_pool({0: 3.0, 1: 0.0}),
        "in_flight": by_pool({0: 7.0, 1: 1.0}),
        "moved": by_pool({0: 100.0, 1: 100.0}),
        "scrapes": by_pool({0: 1.0, 1: 1.0}),
        "lost": Vector(()),
        "age": by_pool({0: 2.0, 1: 2.0}),
        "page_age": Vector((({}, 1.0),)),
        "rate": Vector((({}, 200.0),)),
        "failed": Vector((({}, 4.0),)),
        "no_cluster": Vector((({}, 0.0),)),
    }
    return {names[key]: changed.get(key, value) for key, value in healthy.items()}


class Canned(PrometheusClient):
    """Gives the answers that it was made with; any other question is an error of the test."""

    def __init__(self, answers: Mapping[str, Vector | PrometheusError]) -> None:
        super().__init__(Connection(url="http://127.0.0.1:1"))
        self.answers = answers

    def query_all(
        self, queries: Iterable[str], at_seconds: float, budget_seconds: float
    ) -> dict[str, Vector | PrometheusError]:
        assert at_seconds == NOW - SETTLED_SECONDS
        return {query: self.answers[query] for query in queries}


CPU = PoolView("cpu", weight=500.0, ready=2, cpu_limit_cores=2.0)
GPU = PoolView("gpu", weight=500.0, ready=1)


def view(cpu: PoolView = CPU, gpu: PoolView = GPU, threshold_seconds: float = 0.1) -> ModelView:
    return ModelView("demo", "ranker", threshold_seconds, 0.95, Metrics(), (cpu, gpu))


def read(model: ModelView | None = None, **changed: Vector | PrometheusError) -> ModelReading:
    return gather_with(page(**changed), model).models["demo/ranker"]


def gather_with(answers: Mapping[str, Vector | PrometheusError], model: ModelView | None = None) -> Readings:
    return gather(Canned(answers), [model or view()], NOW, SETTINGS)
