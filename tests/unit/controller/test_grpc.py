"""A model whose pools answer gRPC: its route is a GRPCRoute, and its weights move in the same order."""

from __future__ import annotations

import asyncio
import copy

from builders.fake_cluster import OWNER, pool, spec
from builders.operator_stage import Api, operated, recmodel
from builders.reconciler_world import TWO_OF_GRPC, World, answering_grpc, run_story
from recmodel.cluster import names
from recmodel.cluster.transport.errors import NotFound
from recmodel.controller.operator import Operator

ROUTE = ("GRPCRoute", "feed")


def test_a_lost_pod_and_a_pool_that_leaves_the_spec_give_back_their_weight() -> None:
    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(1, 0.5), gpu=(1, 0.5))
        await world.rest()
        world.pods("gpu", 1, ready=False)
        assert await world.rest(0.05) == ["GRPCRoute feed 1000 0"]
        world.pods("gpu", 1)
        assert await world.rest() == ["GRPCRoute feed 999 1", "GRPCRoute feed 500 500"]
        world.specify(spec(answering_grpc(pool("cpu", 1))), 2)
        world.reconciler.wake(OWNER.key)
        await world.rest()
        world.decide(cpu=(1, 1.0), gpu=(0, 0.0))
        written = await world.rest()
        assert [what for what in written if "Route" in what] == [
            "GRPCRoute feed 999 1",
            "GRPCRoute feed 1000 0",
            "GRPCRoute feed 1000",
        ]

    run_story(TWO_OF_GRPC, story)


def test_what_somebody_changes_or_deletes_of_a_grpc_route_is_put_back() -> None:
    async def story(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        await world.rest()
        world.cluster.edit(*ROUTE, "spec", "hostnames", value=["other.example"])
        world.see(*ROUTE)
        assert await world.rest() == ["GRPCRoute feed 1000 0"]
        assert world.cluster.objects[ROUTE]["spec"]["hostnames"] == []
        gone = world.cluster.objects.pop(ROUTE)
        world.inventory.see(names.GRPC_ROUTE, "DELETED", gone)
        assert await world.rest(1.5) == ["GRPCRoute feed 1000 0"]

    run_story(TWO_OF_GRPC, story)


def test_a_new_process_goes_on_with_the_weights_of_the_grpc_route() -> None:
    async def before(world: World) -> None:
        await world.rest()
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(1, 0.7), gpu=(1, 0.3))
        await world.rest()

    cluster = run_story(TWO_OF_GRPC, before).cluster
    assert cluster.weights(kind=names.GRPC_ROUTE) == [700, 300]
    standing = copy.deepcopy(cluster.objects[ROUTE])

    async def after(world: World) -> None:
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        assert await world.rest() == []
        (cpu, gpu) = world.inventory.backends(OWNER.key, names.GRPC_ROUTE)
        assert (cpu[0], gpu[0]) == ("feed-cpu", "feed-gpu")
        assert None not in (cpu[1], gpu[1])  # since when each has its place is known from the route itself
        assert world.inventory.backends(OWNER.key, names.ROUTE) == ()

    run_story(TWO_OF_GRPC, after, cluster)
    assert cluster.objects[ROUTE] == standing


def test_without_the_crd_the_pools_are_made_and_the_status_says_what_to_install() -> None:
    async def story(operator: Operator, api: Api) -> None:
        body = recmodel()
        for one in body["spec"]["pools"]:
            one["protocol"] = "GRPC"
        api.cluster.refused["GRPCRoute feed"] = NotFound("the server could not find the requested resource", 404)
        operator.observe(body)
        operator.listed()
        await asyncio.sleep(3.0)
        assert ("Deployment", "feed-cpu") in api.cluster.objects
        (ready,) = [one for one in api.status["conditions"] if one["type"] == "Ready"]
        assert (ready["status"], ready["reason"]) == ("False", "ApiRefused")
        assert "is the CRD of GRPCRoute (gateway.networking.k8s.io/v1) installed?" in ready["message"]
        assert "The Gateway API 1.1 or later has it" in ready["message"]
        del api.cluster.refused["GRPCRoute feed"]
        await asyncio.sleep(60.0)
        assert ROUTE in api.cluster.objects
        assert ("HTTPRoute", "feed") not in api.cluster.objects

    operated(story)
