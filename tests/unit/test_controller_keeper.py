"""The keeper: what it makes of decisions and of pods that come and go, written to a cluster in a dictionary."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from test_cluster_apply import OWNER, FakeCluster, pool, spec

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names, traffic
from recmodel.cluster.apply import Actor
from recmodel.cluster.inventory import Inventory
from recmodel.cluster.versions import ModelVersion, Serving
from recmodel.controller.keeper import Keeper
from recmodel.controller.metrics import Metrics
from recmodel.controller.patience import Patience
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Decision, PoolDecision

LEAVE_SECONDS, JOIN_SECONDS = 0.06, 0.02


class World:
    """A keeper over a cluster in a dictionary; pods become ready as a test says."""

    def __init__(self, wanted: RecModelSpec, cluster: FakeCluster | None = None) -> None:
        self.cluster = cluster or FakeCluster()
        self.inventory = Inventory(lambda key: self.keeper.wake(key))
        self.reports: list[str | None] = []
        self.keeper = Keeper(
            Actor(self.cluster, self.inventory),  # type: ignore[arg-type]
            self.inventory,
            Metrics(),
            lambda t: self.reports.append(t.failed.reason if t.failed else None),
        )
        self.tracked = Tracked(OWNER, generation=1, spec=wanted)
        self.keeper.models[OWNER.key] = self.tracked
        if cluster is not None:  # a new process lists what stands before anything is woken
            kinds = {kind.kind: kind for kind in names.CHILD_KINDS}
            for (kind, _), obj in cluster.objects.items():
                self.inventory.see(kinds[kind], "ADDED", copy.deepcopy(obj))
        self.keeper.wake(OWNER.key)

    def decide(self, **pools: tuple[int, float]) -> None:
        states = {name: self.inventory.pool(OWNER.key, name) for name in pools}
        decided = {name: PoolDecision(*values) for name, values in pools.items()}
        self.keeper.decided(self.tracked, Decision(0.0, decided, "Tracking", ()), states)

    def pods(self, pool_name: str, count: int, ready: bool = True) -> None:
        """Makes the pool's pods exactly ``count``, all ready or none."""
        old = self.inventory.pool(OWNER.key, pool_name).pods
        for index in range(count):
            condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:05Z"}
            self.inventory.see(names.POD, "MODIFIED", self._pod(pool_name, index, [condition]))
        for index in range(count, len(old)):
            self.inventory.see(names.POD, "DELETED", self._pod(pool_name, index, []))

    def _pod(self, pool_name: str, index: int, conditions: list[Any]) -> dict[str, Any]:
        metadata = {
            "namespace": "shop", "name": f"{pool_name}-{index}", "uid": f"{pool_name}-{index}", "resourceVersion": "",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {names.MODEL_LABEL: "feed", names.POOL_LABEL: pool_name},
        }  # fmt: skip
        return {"metadata": metadata, "status": {"conditions": conditions}}

    async def rest(self, seconds: float = 0.3) -> list[str]:
        """Lets it work, and returns what was written meanwhile."""
        before = len(self.cluster.writes)
        await asyncio.sleep(seconds)
        return self.cluster.writes[before:]


def told(wanted: RecModelSpec, story: Callable[[World], Awaitable[None]], cluster: FakeCluster | None = None) -> World:
    """Runs a story with a keeper at work."""

    async def run() -> World:
        world = World(wanted, cluster)
        work = asyncio.create_task(world.keeper.run())
        try:
            await story(world)
        finally:
            work.cancel()
            await asyncio.wait([work])
        return world

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _short_settling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "LEAVE_SETTLE_SECONDS", LEAVE_SECONDS)
    monkeypatch.setattr(traffic, "JOIN_SETTLE_SECONDS", JOIN_SECONDS)


TWO = spec(pool("cpu", 1), pool("gpu", 0, cost="2.0"))


def test_a_pool_comes_and_goes_in_the_order_that_answers_every_request() -> None:
    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        assert await world.rest() == []
        world.decide(cpu=(1, 0.5), gpu=(2, 0.5))
        assert await world.rest() == ["scale feed-gpu 2"]
        world.pods("gpu", 1)
        assert await world.rest() == ["HTTPRoute feed 999 1", "HTTPRoute feed 500 500"]
        world.decide(cpu=(0, 0.0), gpu=(2, 1.0))
        assert await world.rest() == ["HTTPRoute feed 1 999", "HTTPRoute feed 0 1000", "scale feed-cpu 0"]
        world.decide(cpu=(0, 0.0), gpu=(2, 1.0))
        assert await world.rest() == []

    told(TWO, story)


def test_the_last_ready_pod_of_a_pool_takes_its_weight_with_it_without_a_tick() -> None:
    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(1, 0.5), gpu=(1, 0.5))
        await world.rest()
        world.pods("gpu", 1, ready=False)
        assert await world.rest(0.05) == ["HTTPRoute feed 1000 0"]
        world.pods("gpu", 1)
        assert await world.rest() == ["HTTPRoute feed 999 1", "HTTPRoute feed 500 500"]
        world.pods("cpu", 1, ready=False)
        world.pods("gpu", 1, ready=False)
        await world.rest()
        assert sum(world.cluster.weights()) == 1000

    told(TWO, story)


def test_a_new_process_changes_nothing_of_what_stands_before_a_decision() -> None:
    async def before(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(3, 0.7), gpu=(2, 0.3))
        await world.rest()

    cluster = told(TWO, before).cluster
    assert cluster.weights() == [700, 300]

    async def after(world: World) -> None:
        world.pods("cpu", 3)
        world.pods("gpu", 2)
        assert await world.rest() == []
        assert cluster.weights() == [700, 300]
        assert (cluster.replicas("feed-cpu"), cluster.replicas("feed-gpu")) == (3, 2)

    told(TWO, after, cluster)


def test_killed_in_the_middle_of_a_drain_the_next_process_goes_on() -> None:
    async def before(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(1, 0.5), gpu=(1, 0.5))
        await world.rest()
        world.decide(cpu=(1, 1.0), gpu=(0, 0.0))
        await world.rest(0.02)  # weight 1 is written, nothing more

    cluster = told(TWO, before).cluster
    assert cluster.weights() == [999, 1]

    async def after(world: World) -> None:
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        await world.rest()
        assert cluster.weights() == [999, 1]
        world.decide(cpu=(1, 1.0), gpu=(0, 0.0))
        assert await world.rest() == ["HTTPRoute feed 1000 0", "scale feed-gpu 0"]

    told(TWO, after, cluster)


@pytest.mark.parametrize("mode", ["Recommend", "Paused"])
def test_recommend_and_paused_change_nothing_that_stands(mode: str) -> None:
    cluster = told(TWO, lambda world: world.rest()).cluster

    async def story(world: World) -> None:
        world.pods("cpu", 1)
        world.pods("gpu", 0)
        await world.rest()
        world.pods("cpu", 1, ready=False)
        assert await world.rest() == []

    told(spec(pool("cpu", 1), pool("gpu", 0, cost="2.0"), mode=mode), story, cluster)


def test_paused_makes_nothing_either_and_recommend_makes_the_children_once() -> None:
    assert told(spec(pool("cpu"), mode="Paused"), lambda world: world.rest()).cluster.writes == []
    assert "Deployment feed-cpu" in told(spec(pool("cpu"), mode="Recommend"), lambda world: world.rest()).cluster.writes


def test_small_moves_of_the_shares_are_not_written() -> None:
    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(1, 60.0), gpu=(1, 40.0))
        await world.rest()
        world.decide(cpu=(1, 60.4), gpu=(1, 39.6))
        assert await world.rest() == []
        world.decide(cpu=(1, 70.0), gpu=(1, 30.0))
        assert await world.rest() == ["HTTPRoute feed 700 300"]

    told(TWO, story)


def test_somebody_elses_replicas_stay_until_the_next_decision() -> None:
    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.decide(cpu=(2, 1.0), gpu=(0, 0.0))
        await world.rest()
        foreign = copy.deepcopy(world.cluster.objects["Deployment", "feed-cpu"])
        foreign["spec"]["replicas"] = 9
        where = ("Deployment", "feed-cpu")
        world.cluster._store(where, foreign, world.cluster.objects[where])
        world.inventory.see(names.DEPLOYMENT, "MODIFIED", copy.deepcopy(world.cluster.objects[where]))
        await world.rest()
        assert world.cluster.replicas("feed-cpu") == 9
        world.decide(cpu=(2, 1.0), gpu=(0, 0.0))
        assert "scale feed-cpu 2" in await world.rest()

    told(TWO, story)


def test_an_autoscaled_deployment_keeps_its_replicas() -> None:
    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        scaler = {
            "metadata": {"namespace": "shop", "name": "h", "uid": "h"},
            "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "feed-cpu"}},
        }
        world.inventory.see(names.AUTOSCALER, "ADDED", scaler)
        world.decide(cpu=(5, 1.0), gpu=(0, 0.0))
        assert await world.rest() == []

    told(TWO, story)


def test_a_failure_is_reported_once_tried_again_and_its_end_reported() -> None:
    async def story(world: World) -> None:
        world.cluster.fail_at = 0
        await world.rest(0.2)
        assert world.reports == ["ApiUnavailable"]
        world.cluster.fail_at = None
        await world.rest(1.3)
        assert world.reports == ["ApiUnavailable", None]
        assert world.cluster.weights() == [1000, 0]

    told(TWO, story)


def test_a_model_that_always_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def story(world: World) -> None:
        poison = Tracked(OWNER, generation=1, spec=TWO)
        poison.owner = None  # type: ignore[assignment]  # every use of it raises
        world.keeper.models["shop/poison"] = poison
        await world.rest()
        for _ in range(50):  # more than there are workers
            world.keeper.wake("shop/poison")
            await asyncio.sleep(0)
        await world.rest(0.1)
        world.inventory.see(names.SERVICE, "DELETED", world.cluster.objects.pop(("Service", "feed-cpu")))
        assert await world.rest(0.1) == ["Service feed-cpu"]

    told(TWO, story)
    assert "shop/poison: 'NoneType'" in caplog.text


def test_patience_doubles_while_a_fight_goes_on_and_returns_after_calm() -> None:
    patience = Patience()
    now, gaps = 0.0, []
    for _ in range(9):
        wait_seconds = patience.due_in(now)
        gaps.append(wait_seconds)
        now += wait_seconds
        if wait_seconds:
            assert patience.due_in(now) == 0.0
    assert gaps == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert patience.due_in(now + 301.0) == 0.0


def deployment_version(cluster: FakeCluster, name: str) -> str | None:
    """The version that a Deployment's pods are told."""
    (container,) = cluster.objects["Deployment", name]["spec"]["template"]["spec"]["containers"]
    return next((e["value"] for e in container.get("env", []) if e["name"] == "RECMODEL_MODEL_VERSION"), None)


def test_what_a_pool_shall_serve_is_written_and_its_replicas_stay() -> None:
    ranked = spec(pool("cpu", 1), pool("gpu", 0, cost="2.0"), variants=[{"name": "full"}])

    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.decide(cpu=(3, 1.0), gpu=(0, 0.0))
        await world.rest()
        serving = dict(world.tracked.serving)
        world.tracked.serving = {**serving, "cpu": Serving(ModelVersion("full", "2"))}
        world.keeper.wake(OWNER.key)
        assert "Deployment feed-cpu" in await world.rest()
        assert deployment_version(world.cluster, "feed-cpu") == "2"
        assert deployment_version(world.cluster, "feed-gpu") is None
        assert world.cluster.replicas("feed-cpu") == 3
        assert await world.rest() == []

    cluster = told(ranked, story).cluster

    async def after(world: World) -> None:  # a new process goes by what the Deployment says
        world.pods("cpu", 3)
        assert await world.rest() == []
        assert world.tracked.serving["cpu"].now == ModelVersion("full", "2")

    told(ranked, after, cluster)
