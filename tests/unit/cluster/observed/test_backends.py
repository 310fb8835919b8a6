"""Whose a place among the route's backends is, and since when: no window is given to a pool that it is not of."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from builders.envoy_page import NOW, SETTINGS, Canned, by_pool, page
from builders.fake_cluster import FakeCluster
from recmodel.api.v1alpha1 import Metrics, RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner, initial_weights, route
from recmodel.cluster.children.ownership import keep_ours
from recmodel.cluster.observed import backends
from recmodel.cluster.observed.backends import FreeNames, standing
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.transport.errors import NameTaken
from recmodel.cluster.writing.apply import Actor
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


def written(pools: list[str], live: Live | None, now: float, free_since: float | None = None) -> Live:
    wanted = spec(pools)
    body = route(OWNER, wanted, initial_weights(wanted))
    assert body is not None
    return backends.with_times(body, live, now, free_since)


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
        assert await actor.apply_weights(OWNER, wanted, weights)
        assert not await actor.apply_weights(OWNER, wanted, weights)
        assert all(since is not None for _, since in inventory.backends("demo/ranker", names.ROUTE))
        live = cluster.objects[names.ROUTE.kind, "ranker"]
        del live["metadata"]["annotations"][names.BACKENDS_ANNOTATION]  # an older operator's
        if told is not None:
            live["metadata"]["annotations"][names.BACKENDS_ANNOTATION] = told
        cluster._version += 1
        live["metadata"]["resourceVersion"] = str(cluster._version)
        inventory.see(names.ROUTE, "MODIFIED", copy.deepcopy(live))
        assert await actor.apply_weights(OWNER, wanted, weights)
        assert not await actor.apply_weights(OWNER, wanted, weights)

    asyncio.run(story())


def managed(*entries: tuple[str, str | None, str | None]) -> list[dict[str, Any]]:
    return [
        {"manager": manager, "operation": "Apply", "fieldsV1": {"f:spec": {}}}
        | ({"time": time} if time else {})
        | ({"subresource": subresource} if subresource else {})
        for manager, time, subresource in entries
    ]


@pytest.mark.parametrize(
    ("entries", "since"),
    [
        ([("recmodel", "2026-01-01T00:00:40Z", None)], 1767225640.0),
        ([("recmodel", "2026-01-01T00:00:40Z", None), ("envoy", "2026-01-01T09:00:00Z", "status")], 1767225640.0),
        ([("recmodel", "2026-01-01T00:00:40Z", None), ("kubectl", "2026-01-01T00:02:00Z", None)], 1767225720.0),
        ([("recmodel", "2026-01-01T00:00:40Z", None), ("kubectl", None, None)], None),
        ([("recmodel", "yesterday", None)], None),
        ([], None),
    ],
)
def test_the_backends_of_an_older_operators_route_stand_since_it_last_changed(
    entries: list[tuple[str, str | None, str | None]], since: float | None
) -> None:
    live = written(["cpu", "gpu"], None, 100.0)
    del live["metadata"]["annotations"][names.BACKENDS_ANNOTATION]
    live["metadata"]["managedFields"] = managed(*entries)
    assert not backends.is_marked(live, 1767229200.0)
    assert standing(live) == (("ranker-cpu", since), ("ranker-gpu", since))
    kept = copy.deepcopy(live)
    keep_ours(kept)
    assert standing(kept) == (standing(live) if entries else (("ranker-cpu", None), ("ranker-gpu", None)))
    taken_over = written(["cpu", "gpu"], live, 1767229200.0)
    assert backends.is_marked(taken_over, 1767229200.0)
    assert standing(taken_over)[0] == ("ranker-cpu", 1767229200.0 if since is None else since)


class Watched:
    """A cluster, the operator's view of it, and its clock. The routes were listed at ``listed_at``."""

    def __init__(self, listed_at: float) -> None:
        self.now = listed_at
        self.cluster = FakeCluster()
        self.inventory = Inventory(clock=lambda: self.now)
        self.inventory.replace(names.ROUTE, [], None)
        self.actor = Actor(self.cluster, self.inventory)  # type: ignore[arg-type]

    async def make(self, at: float) -> None:
        self.now = at
        wanted = spec(["cpu", "gpu"])
        assert await self.actor.apply_weights(OWNER, wanted, initial_weights(wanted))

    def gone(self, at: float, told: bool = True) -> None:
        """Somebody deletes the route; the watch may not have told yet."""
        self.now = at
        live = self.cluster.objects.pop((names.ROUTE.kind, "ranker"))
        if told:
            self.inventory.see(names.ROUTE, "DELETED", live)

    def reason(self) -> str | None:
        """Why nothing is known of the load 5 s later, as all 200 requests/s are counted; None: it is."""
        places = tuple(
            BackendView(s.removeprefix("ranker-"), t) for s, t in self.inventory.backends("demo/ranker", names.ROUTE)
        )
        model = ModelView(
            "demo", "ranker", 0.1, 0.95, Metrics(), (PoolView("cpu", 1.0, 1), PoolView("gpu", 1.0, 1)), backends=places
        )
        found = gather(Canned(page()), [model], NOW, SETTINGS).models["demo/ranker"]
        return None if found.reason == "MetricsFound" else found.reason


def test_a_new_model_is_not_blind_unless_its_name_was_taken_within_the_window() -> None:
    async def story() -> None:
        long_ago, just_now = NOW - 3600.0, NOW - 20.0
        new = Watched(long_ago)
        await new.make(NOW - 5.0)
        assert new.reason() is None
        started = Watched(just_now)  # what was there before the operator nobody knows
        await started.make(NOW - 5.0)
        assert started.reason() == "BackendsMoved"
        for told in (True, False):
            again = Watched(long_ago)
            await again.make(NOW - 1800.0)
            again.gone(just_now, told)
            if not told:  # the RecModel was deleted and made again, too
                wanted, owner = spec(["cpu", "gpu"]), Owner("demo", "ranker", "u-2")
                again.now = NOW - 5.0
                assert await again.actor.apply_weights(owner, wanted, initial_weights(wanted))
            else:
                await again.make(NOW - 5.0)
            assert again.reason() == "BackendsMoved"
        later = Watched(long_ago)
        await later.make(NOW - 1800.0)
        later.gone(NOW - 900.0)
        await later.make(NOW - 5.0)
        assert later.reason() is None

    asyncio.run(story())


def test_a_name_that_somebody_elses_route_had_is_not_free_before_it_is_ours() -> None:
    async def story() -> None:
        world = Watched(NOW - 3600.0)
        foreign = written(["cpu"], None, 1.0)
        foreign["metadata"] |= {"uid": "x", "ownerReferences": [], "annotations": {}}
        world.cluster.objects[names.ROUTE.kind, "ranker"] = foreign
        world.now = NOW - 600.0
        wanted = spec(["cpu", "gpu"])
        with pytest.raises(NameTaken):
            await world.actor.apply_weights(OWNER, wanted, initial_weights(wanted))
        del world.cluster.objects[names.ROUTE.kind, "ranker"]  # nobody tells when
        await world.make(NOW - 5.0)
        assert world.reason() == "BackendsMoved"

    asyncio.run(story())


POOLS = ("cpu", "gpu", "tpu")
ORDERS = st.lists(st.sampled_from(POOLS), min_size=1, max_size=3, unique=True)
RATES = {"cpu": 10.0, "gpu": 400.0, "tpu": 9000.0}


Change = tuple[list[str], float, float | None, bool]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(ORDERS, st.floats(1.0, 200.0), st.none() | st.floats(0.0, 100.0), st.booleans()),
        min_size=1,
        max_size=6,
    ),
    ORDERS,
    st.floats(0.0, 200.0),
)
def test_no_pool_is_given_anothers_numbers_whatever_becomes_of_the_route_and_the_operator(
    changes: list[Change], newest_spec: list[str], watched_seconds: float
) -> None:
    """Orders of the pools, how long each stood, for how long there was no route before it where that was deleted, and whether
    the operator was restarted just before. Each place's rate is the mean over its window.
    """
    live: Live | None = None
    past: list[tuple[float, list[str]]] = []  # since when which pools stood in the route
    now = NOW - sum(seconds + (away or 0.0) for _, seconds, away, _ in changes)
    free, name = FreeNames(), ("demo", "ranker")
    free.listed(names.ROUTE, None, now - watched_seconds)
    past.append((now - watched_seconds - 300.0, ["tpu"]))  # before anybody watched there may have been anything
    past.append((now - watched_seconds, []))
    for order, seconds, away, restarted in changes:
        if away is not None:
            past.append((now, []))
            free.left(names.ROUTE, name, now)
            now, live = now + away, None
        if restarted:
            free = FreeNames()
            free.listed(names.ROUTE, None, now)
        live = written(order, live, now, free.since(names.ROUTE, name))
        past.append((now, order))
        now += seconds
    assert live is not None
    whose = {names.child_name("ranker", pool): pool for pool in newest_spec}
    view = ModelView(
        "demo", "ranker", 0.1, 0.95, Metrics(), tuple(PoolView(pool, 1.0, 1) for pool in newest_spec),
        backends=tuple(BackendView(whose.get(service), since) for service, since in standing(live)),
    )  # fmt: skip
    rates = {place: sum(requests(past, place).values()) / SETTINGS.rate_window_seconds for place in range(3)}
    answers = page(**{key: by_pool(rates) for key in ("requests", "answered")}, age=by_pool(dict.fromkeys(rates, 1.0)))
    read = gather(Canned(answers), [view], NOW, SETTINGS).models["demo/ranker"].pools
    for pool, reading in read.items():
        if reading.rate_per_second is not None:
            place = [service for service, _ in standing(live)].index(names.child_name("ranker", pool))
            assert requests(past, place).keys() <= {pool}, "another one's requests are among them"


def requests(past: list[tuple[float, list[str]]], place: int) -> dict[str, float]:
    """The requests of the window under one place's name, by the pool that stood there."""
    found: dict[str, float] = {}
    end = NOW
    for since, order in reversed(past):
        begin = max(since, NOW - SETTINGS.rate_window_seconds)
        if end > begin and place < len(order):
            found[order[place]] = found.get(order[place], 0.0) + RATES[order[place]] * (end - begin)
        end = min(end, begin)
    return found
