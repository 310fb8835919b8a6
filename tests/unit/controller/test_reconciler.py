"""The reconciler: which children it makes and when, and what it does about failures."""

from __future__ import annotations

import asyncio

import pytest

from builders.fake_cluster import OWNER, pool, spec
from builders.reconciler_world import TWO, World, deployment_version, run_story
from recmodel.cluster import names
from recmodel.cluster.children.versions import ModelVersion, Serving
from recmodel.controller.backoff import Backoff
from recmodel.controller.tracked import Tracked
from recmodel.report.snapshot import Desired, Versions


@pytest.mark.parametrize("mode", ["Recommend", "Paused"])
def test_recommend_and_paused_change_nothing_that_stands(mode: str) -> None:
    cluster = run_story(TWO, lambda world: world.rest()).cluster

    async def story(world: World) -> None:
        world.pods("cpu", 1)
        world.pods("gpu", 0)
        await world.rest()
        world.pods("cpu", 1, ready=False)
        assert await world.rest() == []

    run_story(spec(pool("cpu", 1), pool("gpu", 0, cost="2.0"), mode=mode), story, cluster)


def test_paused_makes_nothing_either_and_recommend_makes_the_children_once() -> None:
    assert run_story(spec(pool("cpu"), mode="Paused"), lambda world: world.rest()).cluster.writes == []
    assert (
        "Deployment feed-cpu"
        in run_story(spec(pool("cpu"), mode="Recommend"), lambda world: world.rest()).cluster.writes
    )


def test_a_failure_is_reported_once_tried_again_and_its_end_reported() -> None:
    async def story(world: World) -> None:
        world.cluster.fail_at = 0
        await world.rest(0.2)
        assert world.reports == ["ApiUnavailable"]
        world.cluster.fail_at = None
        await world.rest(1.3)
        assert world.reports == ["ApiUnavailable", None]
        assert world.cluster.weights() == [1000, 0]

    run_story(TWO, story)


def test_a_model_that_always_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def story(world: World) -> None:
        poison = Tracked(OWNER, Desired(generation=1, spec=TWO))
        poison.owner = None  # type: ignore[assignment]  # every use of it raises
        world.reconciler.models["shop/poison"] = poison
        await world.rest()
        for _ in range(50):  # more than there are workers
            world.reconciler.wake("shop/poison")
            await asyncio.sleep(0)
        await world.rest(0.1)
        world.inventory.see(names.SERVICE, "DELETED", world.cluster.objects.pop(("Service", "feed-cpu")))
        assert await world.rest(0.1) == ["Service feed-cpu"]

    run_story(TWO, story)
    assert "shop/poison: 'NoneType'" in caplog.text


def test_patience_doubles_while_a_fight_goes_on_and_returns_after_calm() -> None:
    patience = Backoff()
    now, gaps = 0.0, []
    for _ in range(9):
        wait_seconds = patience.due_in(now)
        gaps.append(wait_seconds)
        now += wait_seconds
        assert patience.due_in(now) == 0.0
        patience.made(now)
    assert gaps == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    patience.made(now + 301.0)
    assert patience.due_in(now + 301.0) == 1.0


def test_what_a_pool_shall_serve_is_written_and_its_replicas_stay() -> None:
    ranked = spec(pool("cpu", 1), pool("gpu", 0, cost="2.0"), variants=[{"name": "full"}])

    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.decide(cpu=(3, 1.0), gpu=(0, 0.0))
        await world.rest()
        serving = {**world.tracked.versions.serving, "cpu": Serving(ModelVersion("full", "2"))}
        world.tracked.versions = Versions(serving)
        world.reconciler.wake(OWNER.key)
        assert "Deployment feed-cpu" in await world.rest()
        assert deployment_version(world.cluster, "feed-cpu") == "2"
        assert deployment_version(world.cluster, "feed-gpu") is None
        assert world.cluster.replicas("feed-cpu") == 3
        assert await world.rest() == []

    cluster = run_story(ranked, story).cluster

    async def after(world: World) -> None:  # a new process goes by what the Deployment says
        world.pods("cpu", 3)
        assert await world.rest() == []
        assert world.tracked.versions.serving["cpu"].now == ModelVersion("full", "2")

    run_story(ranked, after, cluster)
