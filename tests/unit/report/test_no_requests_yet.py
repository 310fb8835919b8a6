"""A model of which no request was counted yet is neither held nor an outage of the metrics; one whose series went is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest

from builders.envoy_page import NOTHING, NOW, SETTINGS, Canned, by_pool, histogram, page, read, view
from builders.operator_stage import Api, operated, recmodel
from builders.status_scene import decision, status, tracked
from recmodel.api.v1alpha1 import Metrics
from recmodel.cluster import names
from recmodel.controller.decider import Decider
from recmodel.controller.operator import Operator
from recmodel.controller.recalled import Recalled, recall
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Model, Observation, Pool, PoolObservation
from recmodel.prometheus import readings as r
from recmodel.prometheus.client import PrometheusClient, Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.profile import load_profile
from recmodel.prometheus.queries import profile_queries
from recmodel.prometheus.readings import GatherSettings, ModelReading, PoolReading, Verdict
from recmodel.prometheus.session import Connection, PrometheusError
from recmodel.report.status import as_object

NEW = replace(view(), counted=False)


def partly() -> ModelReading:
    return read(NEW, **{**NOTHING, "requests": Vector((), partial=True)})


def pods(up: Mapping[str, float], profile: Any = "mlserver", served: str | None = None) -> ModelReading:
    """A new model's pools (two ready pods and one) whose pages were read ``up`` times, and count only ``served``."""
    queries = profile_queries(load_profile(profile), 60.0)
    answers: dict[str, Vector | PrometheusError] = dict.fromkeys(queries.all(), Vector(()))
    of = {"namespace": "demo", "recmodel_dev_model": "ranker"}
    assert queries.up is not None
    answers[queries.up] = Vector(tuple(({**of, "recmodel_dev_pool": pool}, n) for pool, n in up.items()))
    if served is not None:
        answers[queries.requests] = Vector(tuple(({**of, "recmodel_dev_pool": p, "model": served}, 5.0) for p in up))
    model = replace(NEW, metrics=Metrics(profile=profile, model=None if served is None else "ranker"))
    return gather(Canned(answers), [model], NOW, SETTINGS).models["demo/ranker"]


def istio() -> ModelReading:
    answers = dict.fromkeys(profile_queries(load_profile("istio"), 60.0).all(), Vector(()))
    return gather(Canned(answers), [replace(NEW, metrics=Metrics(profile="istio"))], NOW, SETTINGS).models[
        "demo/ranker"
    ]


ONE_SAMPLE = {**NOTHING, "age": by_pool({0: 2.0})}


@pytest.mark.parametrize(
    ("case", "reading", "reason"),
    [
        ("the gateway's page has no series of it", lambda: read(NEW, **NOTHING), r.NO_REQUESTS_SEEN),
        ("its first request was a scrape ago", lambda: read(NEW, **ONE_SAMPLE), r.NO_REQUESTS_SEEN),
        ("whether the gateway is scraped cannot be told", istio, r.NO_REQUESTS_SEEN),
        ("all of its pods' pages were read", lambda: pods({"cpu": 2.0, "gpu": 1.0}), r.NO_REQUESTS_SEEN),
        ("requests were counted before", lambda: read(view(), **NOTHING), r.NO_SERIES),
        ("nobody scrapes the gateway", lambda: read(NEW, **NOTHING, page_age=Vector(())), r.NO_SERIES),
        ("the gateway's page is old", lambda: read(NEW, **NOTHING, page_age=Vector((({}, 99.0),))), r.NO_SERIES),
        ("an answer lacks a part", partly, r.NO_SERIES),
        ("no pod is scraped", lambda: pods({}), r.NO_SERIES),
        ("a pod is not scraped", lambda: pods({"cpu": 1.0, "gpu": 1.0}), r.NO_SERIES),
        ("the pods serve another model", lambda: pods({"cpu": 2.0, "gpu": 1.0}, "triton", "other"), r.NO_SERIES),
        ("Prometheus does not answer", lambda: read(NEW, requests=PrometheusError("x")), r.PROMETHEUS_UNAVAILABLE),
    ],
)
def test_no_request_yet_is_told_from_missing_series(case: str, reading: Any, reason: str) -> None:
    found = reading()
    assert found.reason == reason, case
    assert all(pool.rate_per_second is None for pool in found.pools.values()), "unknown is never zero"


def test_the_message_says_what_to_do_if_requests_are_sent() -> None:
    assert read(NEW, **NOTHING).message == (
        "pool cpu: no request was counted yet (Envoy Gateway, one Envoy cluster per backend of the model's route); pool gpu: "
        "no request was counted yet (Envoy Gateway, one Envoy cluster per backend of the model's route): the series begin "
        "with the first request; if some are sent, Prometheus does not scrape where they are counted"
    )


def test_series_that_went_with_a_route_change_come_back_with_a_request() -> None:
    way_out = "the gateway is scraped: it makes them at the next request, so send one"
    told = {
        "gone": read(view(), **NOTHING),
        "the gateway is not scraped": read(view(), **NOTHING, page_age=Vector(())),
        "there, with one sample": read(view(), **ONE_SAMPLE),
        "an answer lacks a part": read(view(), **{**NOTHING, "requests": Vector((), partial=True)}),
    }
    reasons = {case: reading.pools["cpu"].reason for case, reading in told.items()}
    assert {case for case, reason in reasons.items() if reason and way_out in reason.message} == {"gone"}


def seen(time: float, rate: float | None, requested: bool) -> Observation:
    latency = None if rate is None else {0.1: rate, float("inf"): rate}
    pool = PoolObservation(desired=5, ready=5, weight=1.0, rate_per_second=rate, latency=latency)
    return Observation(time, {"cpu": pool}, requested=requested)


def test_a_new_model_awaits_its_first_request_and_keeps_its_replicas() -> None:
    memory = begin([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),))])
    told = []
    # As its pods start nothing can have come; then nothing is known until the first request, and lastly its series go.
    for tick, (rate, requested) in enumerate([(0.0, True), *[(None, False)] * 8, (20.0, True), (None, True)]):
        memory, decisions = step(memory, [seen(15.0 * tick, rate, requested)], 15.0 * tick)
        told.append((decisions[0].state, decisions[0].reasons[0].reason))
        assert decisions[0].pools["cpu"].replicas == 5
    assert told[1:9] == [("AwaitingRequests", "NoRequestsSeen")] * 8
    assert told[9][0] in ("Learning", "Tracking")
    assert told[10] == ("Holding", "MetricsMissing")


class Gateway(PrometheusClient):
    """Prometheus behind an Envoy that makes a model's series at its first request."""

    def __init__(self) -> None:
        super().__init__(Connection(url="http://127.0.0.1:1"))
        self.answers = page(**NOTHING)

    def query_all(
        self, queries: Iterable[str], at_seconds: float, budget_seconds: float
    ) -> dict[str, Vector | PrometheusError]:
        return {query: self.answers.get(query, Vector(())) for query in queries}

    def count(self) -> None:
        edges = histogram({0: {"99": 5.0, "+Inf": 5.0}}, "shop/feed")
        every = dict.fromkeys(("requests", "answered", "moved"), by_pool({0: 5.0}, "shop/feed"))
        ages = by_pool({0: 1.0}, "shop/feed")
        self.answers = page(**{**NOTHING, **every, "age": ages, "buckets": edges, "failures": Vector(())})


READY_POD = {
    "metadata": {
        "namespace": "shop", "name": "feed-cpu-1", "uid": "p1", "resourceVersion": "1",
        "labels": {names.MODEL_LABEL: "feed", names.POOL_LABEL: "cpu"},
    },
    "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}  # fmt: skip


def test_the_status_of_a_new_model_and_of_one_whose_series_went() -> None:
    gateway = Gateway()
    judge = Decider(gateway, GatherSettings(), 1.0, 0.0, 300.0)

    def said(api: Api) -> tuple[str, str]:
        return api.status["state"], next(
            c["reason"] for c in api.status["conditions"] if c["type"] == "MetricsAvailable"
        )

    async def story(operator: Operator, api: Api) -> None:
        body = recmodel()
        del body["spec"]["route"]
        operator.observe(body)
        operator.listed()
        await asyncio.sleep(1.0)  # by then the pods are listed
        operator.inventory.see(names.POD, "ADDED", READY_POD)
        await asyncio.sleep(2.0)
        assert said(api) == ("AwaitingRequests", "NoRequestsSeen")
        assert generate_latest(operator.tick.metrics.registry).count(b'state="Holding"') == 0, "which pages"
        gateway.count()
        await asyncio.sleep(2.0)
        assert said(api)[0] in ("Learning", "Tracking")
        assert said(api)[1] == "MetricsFound"
        gateway.answers = page(**NOTHING)
        await asyncio.sleep(2.0)
        assert said(api) == ("Holding", "NoSeries")

    operated(story, judge)


NOTHING_YET = ModelReading(Verdict.MISSING, r.NO_REQUESTS_SEEN, "x", {"cpu": PoolReading()})
GONE = ModelReading(Verdict.MISSING, r.NO_SERIES, "x", {"cpu": PoolReading()})
NONE_READY = replace(GONE, reason=r.NO_READY_POOL)
UNASKED = replace(GONE, reason=r.PROMETHEUS_UNAVAILABLE)
UNLEARNED = replace(decision(), estimates={})
AWAITS, HOLDS = (replace(UNLEARNED, state=state) for state in ("AwaitingRequests", "Holding"))


@pytest.mark.parametrize(
    ("case", "written", "counted"),
    [
        ("no status", {}, False),
        ("awaits requests", as_object(status(tracked(reading=NOTHING_YET, decision=UNLEARNED))), False),
        ("its first pods start", as_object(status(tracked(reading=NONE_READY, decision=AWAITS))), False),
        ("it lost its pods", as_object(status(tracked(reading=NONE_READY, decision=HOLDS))), True),
        ("its series went", as_object(status(tracked(reading=GONE, decision=UNLEARNED))), True),
        ("has load", as_object(status(tracked(decision=UNLEARNED))), True),
        ("had load, and Prometheus is down", as_object(status(tracked(reading=UNASKED))), True),
        ("of an older operator", {"pools": "x"}, True),
    ],
)
def test_a_new_process_knows_whether_requests_were_counted(case: str, written: dict[str, Any], counted: bool) -> None:
    assert recall({"status": written}, Recalled(), 0.0).counted is counted, case
