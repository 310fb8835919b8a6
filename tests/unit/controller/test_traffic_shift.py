"""The shift of weights and replicas: what decisions, and pods that come and go, make of them."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from builders.fake_cluster import pool, spec
from builders.reconciler_world import TWO, TWO_OF_GRPC, World, run_story
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.prometheus import ModelReading, PoolReading, Verdict


@pytest.mark.parametrize(("two", "route"), [(TWO, "HTTPRoute"), (TWO_OF_GRPC, "GRPCRoute")])
def test_a_pool_comes_and_goes_in_the_order_that_answers_every_request(two: RecModelSpec, route: str) -> None:
    async def story(world: World) -> None:
        assert (await world.rest())[-1] == f"{route} feed 1000 0"
        world.pods("cpu", 1)
        assert await world.rest() == []
        world.decide(cpu=(1, 0.5), gpu=(2, 0.5))
        assert await world.rest() == ["scale feed-gpu 2"]
        world.pods("gpu", 1)
        assert await world.rest() == [f"{route} feed 999 1", f"{route} feed 500 500"]
        world.decide(cpu=(0, 0.0), gpu=(2, 1.0))
        assert await world.rest() == [f"{route} feed 1 999", f"{route} feed 0 1000", "scale feed-cpu 0"]
        world.decide(cpu=(0, 0.0), gpu=(2, 1.0))
        assert await world.rest() == []
        world.pods("cpu", 0)
        world.decide(cpu=(0, 0.0), gpu=(2, 1.0))
        assert await world.rest() == []
        assert [kind for kind, _ in world.cluster.objects if kind.endswith("Route")] == [route]

    run_story(two, story)


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

    run_story(TWO, story)


def test_a_new_process_changes_nothing_of_what_stands_before_a_decision() -> None:
    async def before(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(3, 0.7), gpu=(2, 0.3))
        await world.rest()

    cluster = run_story(TWO, before).cluster
    assert cluster.weights() == [700, 300]

    async def after(world: World) -> None:
        world.pods("cpu", 3)
        world.pods("gpu", 2)
        assert await world.rest() == []
        assert cluster.weights() == [700, 300]
        assert (cluster.replicas("feed-cpu"), cluster.replicas("feed-gpu")) == (3, 2)

    run_story(TWO, after, cluster)


def test_killed_in_the_middle_of_a_drain_the_next_process_goes_on() -> None:
    async def before(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(1, 0.5), gpu=(1, 0.5))
        await world.rest()
        world.decide(cpu=(1, 1.0), gpu=(0, 0.0))
        await world.rest(0.02)  # weight 1 is written, nothing more

    cluster = run_story(TWO, before).cluster
    assert cluster.weights() == [999, 1]

    async def after(world: World) -> None:
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        await world.rest()
        assert cluster.weights() == [999, 1]
        world.decide(cpu=(1, 1.0), gpu=(0, 0.0))
        assert await world.rest() == ["HTTPRoute feed 1000 0", "scale feed-gpu 0"]

    run_story(TWO, after, cluster)


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

    run_story(TWO, story)


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
        world.see(*where)
        await world.rest()
        assert world.cluster.replicas("feed-cpu") == 9
        world.decide(cpu=(2, 1.0), gpu=(0, 0.0))
        assert "scale feed-cpu 2" in await world.rest()

    run_story(TWO, story)


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

    run_story(TWO, story)


def test_with_a_pace_the_traffic_moves_in_steps_and_pods_stay_as_long_as_they_bear_it() -> None:
    route = {"parentRefs": [{"name": "edge"}], "shift": {"maxStep": "25%", "interval": "1s"}}

    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 3)
        world.pods("gpu", 2)
        world.decide(cpu=(3, 1.0), gpu=(2, 0.0))
        await world.rest(2.0)
        assert world.cluster.weights() == [999, 1]
        world.decide(cpu=(1, 0.4), gpu=(2, 0.6))
        assert await world.rest(0.5) == ["HTTPRoute feed 749 251"]
        world.decide(cpu=(1, 0.4), gpu=(2, 0.6))  # the next tick comes before the next step
        assert await world.rest(4.0) == ["HTTPRoute feed 499 501", "HTTPRoute feed 400 600", "scale feed-cpu 1"]
        world.pods("cpu", 1)
        world.pods("gpu", 2, ready=False)
        assert await world.rest(0.05) == ["HTTPRoute feed 1000 0"], "who has no ready pod loses its weight at once"
        world.pods("gpu", 2)
        await world.rest(2.0)
        world.decide(cpu=(0, 0.0), gpu=(2, 1.0))
        assert (await world.rest(9.0))[-3:] == ["HTTPRoute feed 1 999", "HTTPRoute feed 0 1000", "scale feed-cpu 0"]

    run_story(spec(pool("cpu", 1), pool("gpu", 0, cost="2.0"), route=route), story)


@pytest.mark.parametrize(
    ("errors", "at_once"), [(0.0, False), (5.0, False), (6.0, True), (None, False)], ids=["none", "5%", "6%", "unknown"]
)
def test_what_leaves_a_pool_that_answers_with_errors_has_no_pace(errors: float | None, at_once: bool) -> None:
    route = {"parentRefs": [{"name": "edge"}], "shift": {"maxStep": "10%"}}

    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(1, 0.5), gpu=(1, 0.5))
        await world.rest(120.0)
        assert world.cluster.weights() == [500, 500]
        pools = {"gpu": PoolReading(rate_per_second=100.0, errors_per_second=errors), "cpu": PoolReading()}
        reading = ModelReading(Verdict.AVAILABLE, "MetricsFound", "", pools, None)
        world.tracked.decided = replace(world.tracked.decided, reading=reading)
        world.decide(cpu=(1, 0.9), gpu=(1, 0.1))
        await world.rest(0.1)
        assert world.cluster.weights() == ([900, 100] if at_once else [600, 400])

    run_story(spec(pool("cpu", 1), pool("gpu", 0, cost="2.0"), route=route), story)
