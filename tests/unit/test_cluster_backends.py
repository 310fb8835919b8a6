"""Whose a place among the route's backends is, and since when: no window is given to a pool that it is not of."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import hypothesis.strategies as st
import pytest
from envoy_page import NOW, SETTINGS, Canned, by_pool, page
from hypothesis import given, settings
from test_cluster_apply import FakeCluster

from recmodel.api.v1alpha1 import Metrics, RecModelSpec
from recmodel.cluster import backends, names
from recmodel.cluster.apply import Actor
from recmodel.cluster.backends import standing
from recmodel.cluster.children import Owner, initial_weights, route
from recmodel.cluster.inventory import Inventory
from recmodel.prometheus.gather import gather
from recmodel.prometheus.readings import BackendView, ModelView, PoolView

OWNER = Owner("demo", "ranker", "u-1")
TEMPLATE = {"spec": {"containers": [{"name": "s", "image": "s:1"}]}}
Live = dict[str, Any]


def spec(pools: list[str]) -> RecModelSpec:
    return RecModelSpec.model_validate({
        "objective": {"latency": {"threshold": "100ms"}},
        "route": {"parentRefs": [{"name": "edge"}]},
        "pools": [{"name": n, "replicas": {"max": 9}, "port": 80, "template": TEMPLATE} for n in pools],
    })  # fmt: skip


def written(pools: list[str], live: Live | None, now: float) -> Live:
    wanted = spec(pools)
    body = route(OWNER, wanted, initial_weights(wanted))
    assert body is not None
    return backends.with_times(body, live, now)


def test_the_route_itself_says_since_when_each_place_is_whose() -> None:
    first = written(["cpu", "gpu"], None, 100.0)
    assert standing(first) == (("ranker-cpu", 100.0), ("ranker-gpu", 100.0))
    more = written(["cpu", "gpu", "tpu"], first, 200.2)
    assert standing(more) == (("ranker-cpu", 100.0), ("ranker-gpu", 100.0), ("ranker-tpu", 201.0))
    moved = written(["gpu", "cpu", "tpu"], more, 300.0)
    assert standing(moved) == (("ranker-gpu", 300.0), ("ranker-cpu", 300.0), ("ranker-tpu", 201.0))
    fewer = written(["cpu", "tpu"], moved, 400.0)
    assert standing(fewer) == (("ranker-cpu", 400.0), ("ranker-tpu", 400.0))


@pytest.mark.parametrize("text", [None, "", "ranker-gpu=1", "ranker-cpu=soon", "ranker-cpu=inf", "=,=,=", "ranker-cpu"])
def test_a_time_that_somebody_else_wrote_or_took_away_is_not_known(text: str | None) -> None:
    live = written(["cpu", "gpu"], None, 100.0)
    annotations = live["metadata"]["annotations"]
    if text is None:
        del annotations[names.BACKENDS_ANNOTATION]
    else:
        annotations[names.BACKENDS_ANNOTATION] = text
    assert standing(live) == (("ranker-cpu", None), ("ranker-gpu", None))
    assert standing(written(["cpu", "gpu"], live, 500.0))[0] == ("ranker-cpu", 500.0)


def test_a_time_in_the_future_is_not_kept() -> None:
    """A clock that was wrong for a moment, or an edit, must not leave a pool without numbers until that time has come."""
    live = written(["cpu", "gpu"], None, 4e9)
    assert standing(written(["cpu", "gpu"], live, 500.0)) == (("ranker-cpu", 500.0), ("ranker-gpu", 500.0))
    near = written(["cpu", "gpu"], None, 530.0)  # the clock of another machine
    assert standing(written(["cpu", "gpu"], near, 500.0)) == (("ranker-cpu", 530.0), ("ranker-gpu", 530.0))


@pytest.mark.parametrize("told", [None, "ranker-cpu=4000000000,ranker-gpu=1"])
def test_a_route_without_the_times_is_written_again_and_then_left_alone(told: str | None) -> None:
    async def story() -> None:
        cluster, inventory = FakeCluster(), Inventory()
        actor, wanted = Actor(cluster, inventory), spec(["cpu", "gpu"])  # type: ignore[arg-type]
        weights = initial_weights(wanted)
        assert await actor.weights(OWNER, wanted, weights)
        assert not await actor.weights(OWNER, wanted, weights)
        assert all(since is not None for _, since in inventory.backends("demo/ranker"))
        live = cluster.objects[names.ROUTE.kind, "ranker"]
        del live["metadata"]["annotations"][names.BACKENDS_ANNOTATION]  # an older operator's
        if told is not None:
            live["metadata"]["annotations"][names.BACKENDS_ANNOTATION] = told
        cluster._version += 1
        live["metadata"]["resourceVersion"] = str(cluster._version)
        inventory.see(names.ROUTE, "MODIFIED", copy.deepcopy(live))
        assert await actor.weights(OWNER, wanted, weights)
        assert not await actor.weights(OWNER, wanted, weights)

    asyncio.run(story())


POOLS = ("cpu", "gpu", "tpu")
ORDERS = st.lists(st.sampled_from(POOLS), min_size=1, max_size=3, unique=True)
RATES = {"cpu": 10.0, "gpu": 400.0, "tpu": 9000.0}


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(ORDERS, st.floats(1.0, 200.0), st.booleans()), min_size=1, max_size=6), ORDERS)
def test_no_pool_is_given_anothers_numbers_whatever_becomes_of_the_route_and_the_operator(
    changes: list[tuple[list[str], float, bool]], newest_spec: list[str]
) -> None:
    """Orders of the pools, how long each stood, and whether the route was deleted before it. What the operator knows is
    the route as it stands: a restart in between changes nothing. Each place's rate is the mean over its window.
    """
    live: Live | None = None
    past: list[tuple[float, list[str]]] = []  # since when which pools stood in the route
    now = NOW - sum(seconds for _, seconds, _ in changes)
    for order, seconds, anew in changes:
        live = written(order, None if anew else live, now)
        past.append((now, order))
        now += seconds
    assert live is not None
    whose = {names.child_name("ranker", pool): pool for pool in newest_spec}
    view = ModelView(
        "demo", "ranker", 0.1, 0.95, Metrics(), tuple(PoolView(pool, 1.0, 1) for pool in newest_spec),
        backends=tuple(BackendView(whose.get(service), since) for service, since in standing(live)),
    )  # fmt: skip
    rates = {place: mean_rate(past, place) for place in range(3)}
    answers = page(**{key: by_pool(rates) for key in ("requests", "answered")}, age=by_pool(dict.fromkeys(rates, 1.0)))
    read = gather(Canned(answers), [view], NOW, SETTINGS).models["demo/ranker"].pools
    for pool, reading in read.items():
        assert reading.rate_per_second in (None, RATES[pool])


def mean_rate(past: list[tuple[float, list[str]]], place: int) -> float:
    """Requests/s of the window under one place's name, whoever stood there."""
    total, end = 0.0, NOW
    for since, order in reversed(past):
        begin = max(since, NOW - SETTINGS.rate_window_seconds)
        if end > begin and place < len(order):
            total += RATES[order[place]] * (end - begin)
        end = min(end, begin)
    return (
        total / SETTINGS.rate_window_seconds if past[0][0] > NOW - 1 else round(total / SETTINGS.rate_window_seconds, 6)
    )
