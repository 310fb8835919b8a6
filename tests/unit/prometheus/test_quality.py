"""The online quality: what is asked for, and that unknown is never none."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from recmodel.api.v1alpha1 import Quality
from recmodel.prometheus import (
    Asked,
    GatherSettings,
    PrometheusClient,
    PrometheusError,
    PrometheusUnavailable,
    Rates,
    read_quality,
)
from recmodel.prometheus.client import Vector
from recmodel.prometheus.session import Connection

CLICKS = Quality.model_validate(
    {"successes": {"name": "clicks_total", "matchLabels": {"place": 'the "top"'}}, "trials": {"name": "shown_total"}}
)
Answers = dict[str, Vector | PrometheusError]


class Answering(PrometheusClient):
    """Answers with what stands under the first word that is in the query."""

    def __init__(self, answers: Answers) -> None:
        super().__init__(Connection(url="http://127.0.0.1:1"))
        self.answers = answers
        self.asked: list[str] = []

    def query_all(self, queries: Iterable[str], at_seconds: float, budget_seconds: float) -> Answers:
        self.asked = list(queries)
        return {query: next(a for word, a in self.answers.items() if word in query) for query in self.asked}


def rows(**pools: float) -> Vector:
    return Vector(tuple(({"recmodel_dev_pool": pool}, value) for pool, value in pools.items()), False)


def read(answers: Answers) -> tuple[dict[str, dict[str, Rates]], list[str]]:
    client = Answering(answers)
    return read_quality(client, [Asked("demo", "ranker", CLICKS)], 100.0, GatherSettings()), client.asked


def test_rates_are_by_pool_and_the_matchers_are_the_operators_own() -> None:
    found, asked = read({"clicks": rows(cpu=1.0, gpu=2.0), "shown": rows(cpu=10.0, gpu=20.0)})
    assert found == {"demo/ranker": {"cpu": Rates(1.0, 10.0), "gpu": Rates(2.0, 20.0)}}
    assert asked[0] == (
        'sum by (recmodel_dev_pool) (rate(clicks_total{place="the \\"top\\"",namespace="demo",'
        'recmodel_dev_model="ranker"}[60000ms]))'
    )


def test_no_success_yet_is_none_but_a_missing_answer_is_unknown() -> None:
    assert read({"clicks": rows(), "shown": rows(cpu=10.0)})[0] == {"demo/ranker": {"cpu": Rates(0.0, 10.0)}}
    for bad in (PrometheusUnavailable("gone"), Vector((), True)):
        assert read({"clicks": bad, "shown": rows(cpu=10.0)})[0] == {}


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_a_number_that_no_rate_can_be_is_unknown(value: float) -> None:
    assert read({"clicks": rows(cpu=1.0), "shown": rows(cpu=value)})[0] == {"demo/ranker": {}}
    both = read({"clicks": rows(cpu=value, gpu=2.0), "shown": rows(cpu=10.0, gpu=20.0)})[0]
    assert both == {"demo/ranker": {"gpu": Rates(2.0, 20.0)}}, "a broken counter of successes is not none"


def test_the_matchers_of_the_setting_reach_it() -> None:
    client = Answering({"clicks": rows(), "shown": rows()})
    read_quality(client, [Asked("demo", "ranker", CLICKS)], 100.0, GatherSettings(scope=('cluster="eu-1"',)))
    assert all(',cluster="eu-1"}' in query for query in client.asked)


def test_nobody_who_rolls_out_costs_no_query() -> None:
    client = Answering({})
    assert read_quality(client, [], 100.0, GatherSettings()) == {}
    assert client.asked == []
