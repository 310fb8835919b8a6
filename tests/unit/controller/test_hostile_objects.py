"""Whatever an object holds, it stops nobody but itself: objects of every watched kind, made hostile in every place, beside a
model that must go on being decided on and served.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from aiohttp import web
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from builders.fake_cluster import OWNER, FakeCluster, pool, spec
from builders.hostile_objects import ANYTHING, CHOICES, GOOD, HOSTILE, MODEL, NAMESPACE, changed, chosen, paths
from builders.operator_stage import Seeing, recmodel
from builders.reconciler_world import World, run_story
from builders.served_api import served
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.route_status import route_status
from recmodel.cluster.transport.client import Client
from recmodel.controller.metrics import Metrics
from recmodel.controller.operator import Operator
from recmodel.controller.settings import Settings
from recmodel.prometheus import GatherSettings
from recmodel.report.overlapping_routes import overlaps

OBJECTS, BATCHES = 100, 100
VICTIM = f"{NAMESPACE}/{MODEL}"


class Stage:
    """An operator at work on two models in a cluster in a dictionary: one of ours, and the victim of what is seen."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.metrics = Metrics()
        judge = Seeing(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
        self.operator = Operator(Settings(history_seconds=0), self.cluster, judge, self.metrics)  # type: ignore[arg-type]
        self.versions, self.now = count(10), 1_000.0

    async def begin(self) -> None:
        self.operator._settled = True  # what it would follow is told here
        self.work = asyncio.create_task(self.operator.reconciler.run())
        self.operator.observe(recmodel())
        await self.until(lambda: self.operator.inventory.pool("shop/feed", "cpu").exists)
        for kind in GOOD:
            self.see(kind, copy.deepcopy(GOOD[kind]))

    def see(self, kind: names.Kind, obj: Any) -> None:
        if kind == names.RECMODEL:
            self.operator.observe(obj)
        else:
            self.operator.inventory.see(kind, "MODIFIED", obj)

    async def goes_on(self) -> None:
        """Somebody scales the healthy model's pool by hand; one tick later it is as decided again."""
        live = self.cluster.objects["Deployment", "feed-cpu"]
        live["spec"]["replicas"] = 0
        live["metadata"]["resourceVersion"] = str(self.cluster._version + 1)
        self.cluster._version += 1
        self.operator.inventory.see(names.DEPLOYMENT, "MODIFIED", copy.deepcopy(live))
        self.now += 15.0
        await self.operator.tick.run(self.now)
        tracked = self.operator.reconciler.models["shop/feed"]
        assert tracked.decision is not None
        assert tracked.decision.time_seconds == self.now
        decided = tracked.decision.pools["cpu"].replicas
        await self.until(lambda: self.cluster.replicas("feed-cpu") == decided > 0)
        assert tracked.applied.failed is None
        assert not self.work.done()

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(60.0):
            while not true():
                await asyncio.sleep(0.001)


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Stage, asyncio.Runner]]:
    with asyncio.Runner() as runner:
        stage = Stage()
        runner.run(stage.begin())
        yield stage, runner
        stage.work.cancel()


@settings(
    max_examples=BATCHES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
@given(
    numbers=st.lists(st.integers(0, CHOICES - 1), min_size=OBJECTS, max_size=OBJECTS),
    anything=ANYTHING,
    listed=st.booleans(),
)
def test_no_object_stops_a_tick_or_another_model(
    stage: tuple[Stage, asyncio.Runner], numbers: list[int], anything: Any, listed: bool
) -> None:
    world, runner = stage

    async def story() -> None:
        places = [chosen(number, anything) for number in numbers]
        objects = [(kind, changed(kind, path, value, next(world.versions))) for kind, path, value in places]
        for kind, obj in objects:
            world.see(kind, obj)
        if listed:
            for kind in {kind for kind, _ in objects if kind != names.RECMODEL}:
                world.operator.inventory.replace(kind, [obj for of, obj in objects if of == kind], NAMESPACE)
        await world.goes_on()

    runner.run(story())


def test_null_is_absent() -> None:
    pod = copy.deepcopy(GOOD[names.POD])
    pod["metadata"] |= {"annotations": None, "ownerReferences": None, "deletionTimestamp": None}
    ready = pod["status"]["conditions"][1]
    ready |= {"status": "True", "lastTransitionTime": None}
    pod["status"] |= {"containerStatuses": [None, {"restartCount": None, "state": None}], "initContainerStatuses": None}
    inventory = Inventory()
    inventory.see(names.POD, "ADDED", pod)
    assert (inventory.pool(VICTIM, "cpu").ready, inventory.pool(VICTIM, "cpu").starting_seconds) == (1, None)
    route = copy.deepcopy(GOOD[names.ROUTE])
    route["spec"]["rules"][0]["backendRefs"].append(None)
    route["status"]["parents"][0]["conditions"] = None
    inventory.see(names.ROUTE, "ADDED", route)
    assert inventory.weights(VICTIM, ["cpu"], names.ROUTE) == {"cpu": 1000}
    assert route_status(inventory.child(names.ROUTE, NAMESPACE, MODEL), names.ROUTE).silent


def test_what_cannot_be_read_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[tuple[str, int]] = []
    inventory = Inventory(on_unreadable=lambda *count: counted.append(count))
    bad = changed(names.POD, ("status", "conditions"), "abc", 6)
    for _ in range(3):
        inventory.see(names.POD, "MODIFIED", bad)
    assert counted == [("Pod", 1)]
    (said,) = [record.message for record in caplog.records]
    assert said.startswith("Pod other/victim-cpu-1 cannot be read: status.conditions is 'abc': Input should be")
    inventory.replace(names.POD, [], NAMESPACE)
    inventory.see(names.POD, "ADDED", bad)
    inventory.see(names.POD, "MODIFIED", GOOD[names.POD])
    assert counted == [("Pod", 1), ("Pod", 0), ("Pod", 1), ("Pod", 0)]


@pytest.mark.parametrize(
    ("kind", "field", "acting"),
    [
        (names.ARGO_ROLLOUT, "workloadRef", lambda state: state.releaser),
        (names.CANARY, "targetRef", lambda state: state.releaser),
        (names.AUTOSCALER, "scaleTargetRef", lambda state: state.autoscaler),
    ],
)
@pytest.mark.parametrize("target", [{"kind": "Deployment"}, {"kind": "Deployment", "name": 7}, "abc", [], {"kind": 3}])
def test_a_rival_that_becomes_unreadable_keeps_its_target_and_one_without_a_name_has_none(
    kind: names.Kind, field: str, acting: Any, target: Any
) -> None:
    bad = changed(kind, ("spec", field), target, 6)
    never = Inventory()
    never.see(kind, "ADDED", bad)
    assert acting(never.pool(VICTIM, "cpu")) is None
    once = Inventory()
    once.see(kind, "ADDED", GOOD[kind])
    for obj in (bad, changed(kind, ("metadata", "labels"), 7, 7)):
        once.see(kind, "MODIFIED", obj)
        assert acting(once.pool(VICTIM, "cpu")) is not None
    once.see(kind, "DELETED", bad)
    assert acting(once.pool(VICTIM, "cpu")) is None
    doubtful = Inventory()  # its kind cannot be read: it may well be a Deployment
    doubtful.see(kind, "ADDED", changed(kind, ("spec", field, "kind"), 7, 6))
    assert acting(doubtful.pool(VICTIM, "cpu")) is not None


def test_of_two_autoscalers_the_one_that_stays_counts() -> None:
    inventory = Inventory()
    second = changed(names.AUTOSCALER, ("metadata", "name"), "second", 6)
    for scaler in (GOOD[names.AUTOSCALER], second):
        inventory.see(names.AUTOSCALER, "ADDED", scaler)
    inventory.see(names.AUTOSCALER, "DELETED", second)
    assert inventory.pool(VICTIM, "cpu").autoscaler == "other/rival"


@pytest.mark.parametrize("known", [True, False])
def test_an_unreadable_child_is_there_all_the_same(known: bool) -> None:
    async def story(world: World) -> None:
        await world.rest()
        live = copy.deepcopy(world.cluster.objects["Deployment", "feed-cpu"])
        live["spec"]["replicas"] = "many"
        live["metadata"]["resourceVersion"] = "900"
        world.cluster.objects["Deployment", "feed-cpu"] = live
        if not known:
            world.inventory.replace(names.DEPLOYMENT, [], "shop")
        world.inventory.see(names.DEPLOYMENT, "MODIFIED", live)
        world.reconciler.wake(OWNER.key)
        writes = [write for write in await world.rest() if "feed-cpu" in write]
        assert writes == []
        assert world.inventory.pool(OWNER.key, "cpu").exists is known
        assert (world.reports[-1:] == ["UnreadableObject"]) is not known

    run_story(spec(pool("cpu", 1)), story)


def test_a_route_that_holds_anything_hides_no_overlap_of_others() -> None:
    """All routes are compared at once: one that cannot be read stays as it was known."""
    others = [(Owner("shop", name, name), changed(names.ROUTE, ("metadata", "name"), name, 1)) for name in ("a", "b")]
    assert overlaps(others).lost.keys() == {"shop/b"}
    for place in [*paths(GOOD[names.ROUTE]), ()]:
        for value in HOSTILE:
            inventory = Inventory()
            inventory.see(names.ROUTE, "ADDED", changed(names.ROUTE, place, value, 6))
            odd = inventory.child(names.ROUTE, NAMESPACE, MODEL)
            found = overlaps([*others, (Owner(NAMESPACE, MODEL, "z"), odd)])
            assert "shop/b" in found.lost, (place, value)


def test_a_list_with_an_object_nested_too_deep_is_read() -> None:
    deep = '{"spec": {"a": ' + '{"]}": [' * 5_000 + '"\\"]"' + "]}" * 5_000 + ', "b": 7}, "metadata": {"name": "deep"}}'

    async def answer(request: web.Request) -> web.Response:
        if "watch" in request.query:
            return web.Response(text=f'{{"type": "ADDED", "object": {deep}}}\n')
        text = f'{{"metadata": {{"resourceVersion": "1"}}, "items": [{deep}, {{"metadata": {{"name": "other"}}}}]}}'
        return web.Response(text=text, content_type="application/json")

    async def story(client: Client) -> None:
        found, _ = await client.list(names.ARGO_ROLLOUT)
        assert [obj["metadata"]["name"] for obj in found] == ["deep", "other"]
        assert found[0]["spec"]["b"] == 7
        seen = [obj async for _, obj in client.watch(names.ARGO_ROLLOUT, "1")]
        assert [(obj["metadata"]["name"], obj["spec"]["b"]) for obj in seen] == [("deep", 7)]

    served(answer, story)
