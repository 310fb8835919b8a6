"""Rates that cannot be are held and named; a flash crowd, a restart and a first reading are not."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from builders.envoy_page import NOW, SETTINGS, Canned, by_pool, page, read, view
from builders.pod_page import MLSERVER, pod_page
from recmodel.api.v1alpha1 import Metrics
from recmodel.prometheus import readings as r
from recmodel.prometheus.client import Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.plausible import KEPT_SECONDS, RateMemory, back_and_forth, believed
from recmodel.prometheus.readings import ModelReading, ModelView, PoolReading, PoolView, Verdict

WINDOW, SCRAPE = 60, 5
ALONE = ModelView("demo", "ranker", 0.1, 0.95, Metrics(), (PoolView("cpu", 1000.0, 4),))


# --- within the window ---


def rate(samples: list[float]) -> float:
    """Prometheus' rate of the samples of a window: each step down is a restart, and the ends are extrapolated."""
    total = sum(b - a if b >= a else b for a, b in pairwise(samples))
    covered = (len(samples) - 1) * SCRAPE
    return total * (covered + SCRAPE) / covered / WINDOW


def moved(samples: list[float]) -> float:
    return (max(samples) - min(samples)) / WINDOW


@settings(max_examples=300, deadline=None)
@given(
    st.floats(0.0, 1e9),
    st.lists(st.tuples(st.floats(0.0, 50_000.0), st.booleans()), min_size=2, max_size=12),
)
def test_no_true_counter_is_taken_for_one_that_goes_back_and_forth(
    start: float, steps: list[tuple[float, bool]]
) -> None:
    """Any load from scrape to scrape, flash crowds among them, on a pool of eight pods of which each step may restart one."""
    pods = [[start] for _ in range(8)]
    restarts = 0
    for number, (load, restarted) in enumerate(steps):
        for i, samples in enumerate(pods):
            from_zero = restarted and i == number % 8 and restarts < 3
            samples.append(load * SCRAPE if from_zero else samples[-1] + load * SCRAPE)
            restarts += from_zero
    assert back_and_forth(sum(map(rate, pods)), sum(map(moved, pods))) is None


@pytest.mark.parametrize("counted", [20_000.0, 1e6, 1e9])
@pytest.mark.parametrize(
    "kind", ["two processes behind one page", "a pair that takes turns once", "counters that collide"]
)
def test_counters_that_go_back_and_forth_are_seen_in_the_first_window(counted: float, kind: str) -> None:
    turns = {"two processes behind one page": 2, "a pair that takes turns once": 8, "counters that collide": 1}[kind]
    behind = {"a pair that takes turns once": 0.9999}.get(kind, 0.98)
    samples = []
    for scrape in range(12):
        truth = counted + 20.0 * SCRAPE * scrape
        samples.append(truth if scrape // turns % 2 == 0 else behind * truth - 150.0)
    said = back_and_forth(rate(samples), moved(samples))
    assert said is not None
    assert "two processes behind one page" in said


def test_a_pool_whose_counters_go_back_and_forth_is_unknown_and_named() -> None:
    model = read(requests=by_pool({0: 66_000.0, 1: 100.0}), moved=by_pool({0: 90.0, 1: 100.0}))
    assert (model.verdict, model.reason) == (Verdict.UNUSABLE, r.RATE_IMPLAUSIBLE)
    assert "a rate of 66000/s, though the counters moved by 90/s" in model.message
    assert model.pools["cpu"].rate_per_second is None
    assert model.pools["cpu"].latency is None
    assert model.pools["gpu"].rate_per_second == 100.0
    assert model.within is None


# --- against the last hour and the neighbours ---


def story(*rates: float, seconds: float = 15.0, model: ModelView = ALONE) -> list[bool]:
    """Whether each of the rates of the first pool is believed, one after the other."""
    memory, found = RateMemory(), []
    for tick, value in enumerate(rates):
        pools = {pool.name: PoolReading(rate_per_second=value) for pool in model.pools}
        found.append(believed(model, pools, memory, seconds * tick)["cpu"].rate_per_second is not None)
    return found


@pytest.mark.parametrize(
    ("case", "rates", "expected"),
    [
        ("the very first reading", [1e6], [True]),
        ("a flash crowd: eightfold within 5 min", [100.0 * 8 ** (i / 20) for i in range(21)], [True] * 21),
        ("from 1 % of the traffic to all of it at once", [30.0, 3000.0], [True, True]),
        ("out of nothing", [0.0, 5000.0], [True, True]),
        ("two thousand times as much", [120.0, 240_000.0, 120.0], [True, False, True]),
        ("again and again", [120.0, *[240_000.0] * 40], [True, *[False] * 40]),
        ("creeping up does not help", [120.0, 40_000.0, 60_000.0, 90_000.0], [True, False, False, False]),
        ("less is no error of a counter", [240_000.0, 120.0, 240_000.0], [True] * 3),
    ],
)
def test_a_rate_is_compared_with_the_pools_last_hour(case: str, rates: list[float], expected: list[bool]) -> None:
    assert story(*rates) == expected, case


def test_what_lasts_for_an_hour_is_the_new_load() -> None:
    minutes = story(120.0, *[240_000.0] * 70, seconds=60.0)
    assert not any(minutes[1:30])
    assert minutes[-1]


@pytest.mark.parametrize(
    ("case", "weights", "rates", "expected"),
    [
        ("neighbours of one weight", (500.0, 500.0), (400_000.0, 100.0), False),
        ("a neighbour that has just joined, with 1 of 1,000", (999.0, 1.0), (20_000.0, 19.0), True),
        ("a neighbour without traffic", (1000.0, 0.0), (400_000.0, 100.0), True),
        ("a neighbour with few requests", (500.0, 500.0), (400_000.0, 3.0), True),
        ("no weights known", (None, None), (400_000.0, 100.0), False),
    ],
)
def test_a_first_reading_is_compared_with_the_neighbours(
    case: str, weights: tuple[float | None, float | None], rates: tuple[float, float], expected: bool
) -> None:
    pools = tuple(PoolView(name, weight, 4) for name, weight in zip(("cpu", "gpu"), weights, strict=True))
    readings = {name: PoolReading(rate_per_second=value) for name, value in zip(("cpu", "gpu"), rates, strict=True)}
    found = believed(replace(ALONE, pools=pools), readings, RateMemory(), 0.0)
    assert (found["cpu"].rate_per_second is not None) is expected, case
    assert found["gpu"].rate_per_second == rates[1]


def test_the_memory_of_rates_holds_two_numbers_a_pool_and_forgets_those_that_are_gone() -> None:
    memory = RateMemory()
    for tick in range(5000):
        memory.believe(("demo/ranker", "cpu"), float(tick % 7), 15.0 * tick)
    memory.believe(("demo/other", "cpu"), 5.0, 0.0)
    assert len(memory.pools) == 2
    gather(Canned(page()), [view()], NOW, SETTINGS, None, memory)
    memory.keep({("demo/ranker", "cpu"), ("demo/ranker", "gpu")})
    assert set(memory.pools) == {("demo/ranker", "cpu"), ("demo/ranker", "gpu")}
    assert memory.largest(("demo/ranker", "cpu"), NOW + 2 * KEPT_SECONDS) == 0.0


# --- pages that are read twice ---


def test_requests_of_a_gateway_whose_page_is_read_twice_are_unknown() -> None:
    model = read(requests=by_pool({0: 200.0, 1: 200.0}), scrapes=by_pool({0: 2.0, 1: 2.0}))
    assert (model.verdict, model.reason) == (Verdict.UNUSABLE, r.DUPLICATE_SCRAPES)
    assert "each page is read 2 times" in model.message
    assert all(pool.rate_per_second is None for pool in model.pools.values())


def test_requests_of_pods_that_a_pair_of_servers_reads_are_unknown() -> None:
    def pods(scrapes: float) -> ModelReading:
        answers = pod_page(10.0 * scrapes, 10.0 * scrapes)
        assert MLSERVER.scrapes is not None
        answers[MLSERVER.scrapes] = Vector(
            (({"namespace": "demo", "recmodel_dev_model": "ranker", "recmodel_dev_pool": "cpu"}, scrapes),)
        )
        model = ModelView("demo", "ranker", 0.1, 0.95, Metrics(profile="mlserver"), (PoolView("cpu", 1.0, 10),))
        return gather(Canned(answers), [model], NOW, SETTINGS).models["demo/ranker"]

    assert pods(1.0).reason == r.METRICS_FOUND
    assert (pods(2.0).verdict, pods(2.0).reason) == (Verdict.UNUSABLE, r.DUPLICATE_SCRAPES)
    assert pods(2.0).pools["cpu"].rate_per_second is None
