"""Whatever one observation says, the decision keeps its promises: limits, weights of what is ready, the same answer again."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from builders.any_model import models
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Model, Observation, Pool, PoolObservation
from recmodel.decide import decide

HUGE = [0.0, -0.0, 1e-300, 1e-5, 0.02, 1.0, 60.0, 1e9, 1e300, 1.7e308, -1.0, math.nan, math.inf, -math.inf, None]
numbers = st.one_of(st.sampled_from(HUGE), st.floats(0.0, 2000.0).map(lambda value: round(value, 3)))
counts = st.sampled_from([0, 0, 1, 2, 5, 40, 1000, 1_000_000])
edges = st.sampled_from(["0.001", "0.05", "0.1", "2.5", "+Inf"])
lines = settings(
    max_examples=30,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # to shrink a story takes minutes
    deadline=None,
)


@st.composite
def pools(draw: st.DrawFn) -> dict[str, object]:
    """A pool of which the parts contradict each other, or are absent, or no number."""
    found: dict[str, object] = {"desired": draw(counts), "ready": draw(counts)}
    for name in ("weight", "startupSeconds", "rate", "errors", "utilisation", "queue"):
        if draw(st.integers(0, 3)):
            found[name] = draw(numbers)
    if draw(st.booleans()):
        found["unschedulable"] = draw(counts)
    if draw(st.integers(0, 3)):
        found["latency"] = draw(st.one_of(st.none(), st.dictionaries(edges, numbers, max_size=5)))
    return found


@st.composite
def stories(draw: st.DrawFn, model: Model) -> list[str]:
    told, time, ticks = [], 0.0, draw(st.integers(1, 8))
    while len(told) < ticks:
        seen = {pool.name: draw(pools()) for pool in model.pools if draw(st.integers(0, 9))}
        for _ in range(draw(st.integers(1, 7))):  # repeated, so that some rate windows hold no change
            time += draw(st.sampled_from([15.0, 15.0, 0.001, 1e7]))
            told.append(json.dumps({"time": time, "pools": seen}))
    return told


def promised(model: Model, told: Sequence[str], answers: Sequence[str]) -> None:
    run = dict.fromkeys((pool.name for pool in model.pools), 0)  # at most so far
    for line, answer in zip(told, answers, strict=True):
        seen, decided = json.loads(line)["pools"], json.loads(answer)["pools"]
        ready = {pool.name for pool in model.pools if seen.get(pool.name, {}).get("ready", 0) > 0}
        weights = {name: pool["weight"] for name, pool in decided.items()}
        assert all(math.isfinite(weight) and weight >= 0.0 for weight in weights.values())
        assert sum(weights.values()) > 0.0 or not ready
        assert {name for name, weight in weights.items() if weight > 0} <= ready
        for pool in model.pools:
            desired = seen.get(pool.name, {}).get("desired") or 0
            run[pool.name] = max(run[pool.name], int(desired) if 0 <= desired < 1e9 else 0)
            # A workload that was there before us keeps what it runs while its load is not known.
            most = pool.max_replicas if model.routed else max(pool.max_replicas, run[pool.name])
            if model.acts:
                assert pool.min_replicas <= decided[pool.name]["replicas"] <= most


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param({"weight": 100.0}, {"weight": 0.0}, id="its weight is gone"),
        pytest.param({"weight": 0.0}, {"weight": None}, id="no weight is known"),
        pytest.param({"weight": 50.0}, {"weight": 1e-7}, id="a weight that rounds to none"),
    ],
)
def test_while_nothing_is_seen_the_only_ready_pool_answers_and_the_dead_one_does_not(
    before: dict[str, object], now: dict[str, object]
) -> None:
    model = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0), Pool("gpu", 1, 9, 2.0)))
    known = {"desired": 3, "ready": 3, "rate": 50.0, "latency": {"0.1": 50.0, "+Inf": 50.0}}
    told = [
        {"time": 15.0, "pools": {"cpu": known | before, "gpu": known}},
        {
            "time": 30.0,
            "pools": {"cpu": {"desired": 3, "ready": 3} | now, "gpu": {"desired": 3, "ready": 0, "weight": 9.0}},
        },
    ]
    answer = json.loads(list(decide(map(json.dumps, told), model))[1])
    assert answer["state"] == "Holding"
    assert {name: pool["weight"] for name, pool in answer["pools"].items()} == {"cpu": 100.0, "gpu": 0.0}


def test_the_last_ready_replicas_stay_until_another_pool_has_some_though_nothing_is_asked() -> None:
    model = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0), Pool("gpu", 0, 9, 2.0)))
    gpu = {"desired": 2, "ready": 2, "rate": 0.0, "weight": 100.0}
    told = [
        {"time": 15.0 * (i + 1), "pools": {"cpu": {"desired": 1, "ready": 0, "weight": 0.0}, "gpu": gpu}}
        for i in range(30)
    ]
    answers = [json.loads(answer)["pools"]["gpu"] for answer in decide(map(json.dumps, told), model)]
    assert all(pool["replicas"] > 0 and pool["weight"] == 100.0 for pool in answers)


def test_a_pool_without_weight_whose_last_requests_all_fail_breaks_nothing() -> None:
    """As after a rollback: its weight is 0, and the rate window still holds its failures."""
    model = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0), Pool("gpu", 1, 9, 2.0)))
    good = {
        "desired": 3,
        "ready": 3,
        "weight": 100.0,
        "rate": 50.0,
        "errors": 0.0,
        "latency": {"0.1": 50.0, "+Inf": 50.0},
    }
    bad = {"desired": 3, "ready": 3, "weight": 0.0, "rate": 2.0, "errors": 2.0, "latency": {"0.1": 2.0, "+Inf": 2.0}}
    told = [{"time": 15.0 * (i + 1), "pools": {"cpu": bad, "gpu": good}} for i in range(12)]
    promised(model, list(map(json.dumps, told)), list(decide(map(json.dumps, told), model)))


def test_pods_that_are_not_ready_for_a_moment_stay_though_no_node_takes_more() -> None:
    model = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 50, 1.0),))
    desired, waits, given_up = 10, 0.0, False
    memory = begin([model])
    for tick in range(1, 86):
        ready = min(desired, 10) if tick not in (80, 81) else 2  # there are nodes for ten
        rate = 1000.0 if tick < 20 else 1600.0
        good = min(rate, 120.0 * ready)
        seen = PoolObservation(
            desired, ready, max(desired - 10, 0), 100.0, 40.0, rate, 0.0, {0.05: 0.6 * good, 0.1: good, math.inf: rate}
        )
        memory, decisions = step(memory, [Observation(15.0 * tick, {"cpu": seen})], 15.0 * tick)
        waits, desired = max(waits, desired - 10), decisions[0].pools["cpu"].replicas
        given_up |= bool(memory.pods.stuck_ticks[0, 0] < 0)
        assert desired >= 10 or not given_up, tick
    assert given_up
    assert waits > 0


def test_while_the_load_is_unknown_nothing_is_released_though_the_clock_was_put_back() -> None:
    model = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 50, 1.0),))
    memory = begin([model])
    seen = PoolObservation(20, 20, 0, 100.0, 40.0, 200.0, 0.0, {0.05: 200.0, 0.1: 200.0, math.inf: 200.0})
    for tick in range(1, 9):
        memory, decisions = step(memory, [Observation(15.0 * tick, {"cpu": seen})], 15.0 * tick)
    assert decisions[0].pools["cpu"].replicas < 20, "it would be released"
    blind = PoolObservation(20, 20, 0, 100.0, 40.0)
    for tick in (5, 6):
        memory, decisions = step(memory, [Observation(15.0 * tick, {"cpu": blind})], 15.0 * tick)
        assert (decisions[0].state, decisions[0].pools["cpu"].replicas) == ("Holding", 20)


@pytest.mark.parametrize("tiny", [1e-300, 5e-324])
@pytest.mark.parametrize("field", ["rate", "errors", "weight", "utilisation", "startupSeconds"])
def test_a_number_too_small_to_divide_by_is_zero(tiny: float, field: str) -> None:
    model = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0), Pool("gpu", 0, 9, 2.0)))
    seen = {
        "desired": 3,
        "ready": 3,
        "weight": 60.0,
        "rate": 50.0,
        "errors": 20.0,
        "utilisation": 0.5,
        "startupSeconds": 30.0,
    }

    def answers(value: float) -> list[str]:
        pool = {**seen, "latency": {"0.1": 50.0, "+Inf": 50.0}, field: value}
        told = [{"time": 15.0 * tick, "pools": {"cpu": pool, "gpu": seen}} for tick in range(1, 9)]
        return list(decide(map(json.dumps, told), model))

    assert answers(tiny) == answers(0.0)


@given(st.data())
@lines
def test_weights_go_to_ready_pools_alone_and_replicas_stay_within_their_limits(data: st.DataObject) -> None:
    model = data.draw(models())
    told = data.draw(stories(model))
    answers = list(decide(told, model))
    assert not any("error" in json.loads(answer) for answer in answers)
    promised(model, told, answers)
    assert list(decide(told, model)) == answers
