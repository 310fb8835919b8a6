"""What the API refuses of one child stops neither the other children nor the shift of traffic, and is said in the API's words."""

from __future__ import annotations

import asyncio
import copy
from collections import defaultdict
from dataclasses import replace
from itertools import cycle, pairwise
from typing import Any

import pytest

from builders.fake_cluster import OWNER, FakeCluster, pool, spec
from builders.reconciler_world import World, run_story
from builders.status_scene import NOW
from recmodel.api.status import RecModelStatus
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.transport.errors import ApiRefused, ApiUnavailable, NameTaken, NotFound
from recmodel.cluster.transport.request import RETRIES
from recmodel.cluster.writing.apply import Actor
from recmodel.cluster.writing.outcome import Failure
from recmodel.controller import reconciler
from recmodel.controller.views import pool_state
from recmodel.report import refusals as report_refusals
from recmodel.report.conditions import conditions

CHILDREN = [
    *(f"{kind} feed-{name}" for name in ("cpu", "gpu") for kind in ("Service", "PodDisruptionBudget", "Deployment")),
    "HTTPRoute feed",
    "PodMonitor feed",
]
MONITORED = spec(pool("cpu", 1), pool("gpu", 1, cost="2.0"), metrics={"profile": "triton"})
NEWER = spec(pool("cpu", 1, "server:2"), pool("gpu", 1, "server:2", cost="2.0"), metrics={"profile": "triton"})
ERRORS = {
    "a quota": ApiRefused("PATCH x: HTTP 403: exceeded quota", 403, "exceeded quota: pods=3"),
    "a typo": ApiRefused("PATCH x: HTTP 500: .x: field not declared", 500, ".x: field not declared in schema"),
    "a webhook that is down": ApiUnavailable("PATCH x: HTTP 500: failed calling webhook, 5 times", 500),
    "a CRD that is gone": NotFound("PATCH x: HTTP 404", 404, "the server could not find the requested resource"),
    "an error of our own": KeyError("name"),
}


def made(cluster: FakeCluster) -> set[str]:
    return {f"{kind} {name}" for kind, name in cluster.objects}


@pytest.mark.parametrize(("child", "why"), list(zip(CHILDREN, cycle(ERRORS), strict=False)))
def test_one_refused_child_stops_no_other_and_is_made_when_it_may(
    child: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "backoff_seconds", lambda failures: 0.05)  # where the weights wait for their route

    async def story(world: World) -> None:
        world.reconciler._actor.monitors = True
        world.cluster.refused[child] = ERRORS[why]
        await world.until(lambda: made(world.cluster) == set(CHILDREN) - {child})
        await world.until(lambda: (world.tracked.applied.failed or world.tracked.applied.lacking) is not None)
        beside = child.startswith(("PodMonitor", "PodDisruptionBudget"))
        said, other = (world.tracked.applied.lacking, world.tracked.applied.failed)[:: 1 if beside else -1]
        assert said is not None
        assert child.split()[0] in said.message
        assert other is None
        world.cluster.refused.clear()
        world.reconciler.wake(OWNER.key)
        await world.until(lambda: made(world.cluster) == set(CHILDREN))
        await world.until(lambda: world.tracked.applied.failed is None and world.tracked.applied.lacking is None)

    run_story(MONITORED, story)


@pytest.mark.parametrize("child", ["PodMonitor feed", "PodDisruptionBudget feed-cpu", "Deployment feed-old"])
def test_what_no_request_depends_on_is_said_by_degraded_and_not_by_ready(child: str) -> None:
    async def story(world: World) -> None:
        world.reconciler._actor.monitors = True
        if child == "Deployment feed-old":  # a pool that left the spec, and that a webhook does not let go
            world.specify(spec(pool("cpu", 1), pool("gpu", 1, cost="2.0"), pool("old", 1)), 1)
            await world.until(lambda: child in made(world.cluster))
        world.cluster.refused[child] = ERRORS["a typo"]
        world.specify(MONITORED, 2)
        await world.until(lambda: {"Deployment feed-cpu", "Deployment feed-gpu"} <= made(world.cluster))
        for name in ("cpu", "gpu"):
            world.pods(name, 1)
        world.reconciler.wake(OWNER.key)
        await world.until(lambda: (world.tracked.applied.failed or world.tracked.applied.lacking) is not None)
        pools = {name: world.inventory.pool(OWNER.key, name) for name in ("cpu", "gpu")}
        said = {c.type: c for c in conditions(world.tracked.snapshot(), pools, NOW, RecModelStatus())}
        assert (said["Ready"].status, said["Ready"].reason) == ("True", "Serving")
        assert (said["Degraded"].status, said["Degraded"].reason) == ("True", "ApiRefused")
        kind, name = child.split()
        assert f"{kind} shop/{name} is refused: HTTP 500: .x: field not declared in schema" in said["Degraded"].message

    run_story(MONITORED, story)


@pytest.mark.parametrize("child", CHILDREN[3:])
def test_a_refused_child_of_a_running_model_does_not_stop_the_shift_of_traffic(child: str) -> None:
    async def story(world: World) -> None:
        await world.all_ready()
        world.cluster.refused[child] = ERRORS["a typo"]
        world.specify(NEWER, 2)
        world.decide(cpu=(5, 0.7), gpu=(3, 0.3))
        await world.rest(0.2)
        assert (world.cluster.replicas("feed-cpu"), world.cluster.replicas("feed-gpu")) == (5, 3)
        assert world.cluster.weights() == ([500, 500] if child == "HTTPRoute feed" else [700, 300])
        writes = len(world.cluster.writes)
        for _ in range(20):  # pods come and go: what was refused waits for its time, however often it is looked at
            world.reconciler.wake(OWNER.key)
            await asyncio.sleep(0.005)
        assert len(world.cluster.writes) == writes

    run_story(MONITORED, story)


@pytest.mark.parametrize("write", ["PodDisruptionBudget feed-cpu", "scale feed-cpu"])
def test_what_failed_at_every_retry_is_sent_once_until_it_succeeds(write: str) -> None:
    """A webhook that is down: the weights of the model wait for no further retries. Of a model that is gone nothing stays."""

    def due(world: World, replicas: int) -> None:
        """The write has to be made."""
        if write.startswith("scale"):
            world.decide(cpu=(replicas, 0.7), gpu=(3, 0.3))
        else:
            world.cluster.edit("PodDisruptionBudget", "feed-cpu", "spec", "maxUnavailable", value=7)
            world.see("PodDisruptionBudget", "feed-cpu")

    async def story(world: World) -> None:
        await world.all_ready()
        retries = world.cluster.retries[write]
        retries.clear()
        world.cluster.refused[write] = ERRORS["a webhook that is down"]
        due(world, 5)
        await world.until(lambda: len(retries) >= 3, 60.0)
        assert (retries[0], set(retries[1:])) == (RETRIES, {0})
        world.cluster.refused.clear()
        await world.rest(70.0)
        assert (retries[0], set(retries[1:])) == (RETRIES, {0})  # and the last one succeeded
        retries.clear()
        world.cluster.refused[write] = ERRORS["a webhook that is down"]
        due(world, 6)
        await world.until(lambda: len(retries) >= 2, 60.0)
        assert (retries[0], set(retries[1:])) == (RETRIES, {0})
        retries.clear()
        world.made_again(MONITORED)
        await world.until(lambda: len(retries) >= 1, 60.0)
        assert retries[0] == RETRIES

    run_story(MONITORED, story)


def test_each_refused_child_is_tried_again_at_intervals_of_its_own() -> None:
    """One is refused for minutes; another one that is refused for a moment then is there a second later."""
    fought, brief = "Service feed-gpu", "PodMonitor feed"

    async def story(world: World) -> None:
        world.reconciler._actor.monitors = True
        attempts: dict[str, list[float]] = defaultdict(list)
        apply = world.cluster.apply

        async def noted(kind: names.Kind, body: dict[str, Any], force: bool = True, retries: int = 0) -> dict[str, Any]:
            attempts[f"{kind.kind} {body['metadata']['name']}"].append(asyncio.get_running_loop().time())
            return await apply(kind, body, force, retries)

        world.cluster.apply = noted  # type: ignore[method-assign]
        world.cluster.refused[fought] = ERRORS["a quota"]
        await world.rest(200.0)
        gaps = [after - before for before, after in pairwise(attempts[fought])]
        assert gaps == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0], abs=0.5)
        assert len(attempts[brief]) == 1
        tried = len(attempts[fought])
        world.cluster.refused[brief] = ERRORS["a typo"]
        gone = world.cluster.objects.pop(("PodMonitor", "feed"))
        world.inventory.see(names.POD_MONITOR, "DELETED", gone)
        await world.until(lambda: world.tracked.applied.lacking is not None)
        assert world.tracked.applied.failed is not None
        assert "Service shop/feed-gpu is refused" in world.tracked.applied.failed.message
        world.cluster.refused.pop(brief)
        await world.until(lambda: brief in made(world.cluster), 2.0)
        await world.until(lambda: world.tracked.applied.lacking is None, 1.0)
        assert world.tracked.applied.failed is not None
        assert len(attempts[fought]) == tried
        assert world.cluster.weights() == [1000, 0]  # none to a pool whose Service waits for its time
        world.cluster.refused.clear()
        await world.until(lambda: fought in made(world.cluster), 60.0)
        await world.until(lambda: world.tracked.applied.failed is None, 1.0)

    run_story(MONITORED, story)


@pytest.mark.parametrize("why", ["a quota", "a webhook that is down"])
def test_a_pool_that_may_not_be_scaled_stops_neither_the_others_nor_the_weights(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciler, "backoff_seconds", lambda failures: 0.05)

    async def story(world: World) -> None:
        await world.all_ready()
        world.cluster.refused["scale feed-cpu"] = ERRORS[why]
        world.decide(cpu=(5, 0.7), gpu=(3, 0.3))
        await world.until(lambda: world.cluster.replicas("feed-gpu") == 3)
        await world.until(lambda: world.cluster.weights() == [700, 300])
        assert world.cluster.replicas("feed-cpu") == 1
        assert world.tracked.applied.failed is not None
        world.cluster.refused.clear()
        await world.until(lambda: world.cluster.replicas("feed-cpu") == 5)
        await world.until(lambda: world.tracked.applied.failed is None)

    run_story(MONITORED, story)


def test_a_refused_job_and_a_refused_route_are_tried_again_at_intervals_of_their_own() -> None:
    """The Job is refused for minutes; the route that then is refused for a moment is there seconds later."""
    container = {"name": "optimise", "image": "optimiser:1"}
    optimised = spec(
        pool("cpu", 1), pool("gpu", 1, cost="2.0"), variants=[{"name": "int8"}],
        optimisation={"template": {"spec": {"containers": [container]}}},
    )  # fmt: skip

    async def story(world: World) -> None:
        attempts: list[float] = []

        async def create(kind: names.Kind, body: dict[str, Any], retries: int) -> dict[str, Any]:
            assert retries == (0 if attempts else RETRIES)
            attempts.append(asyncio.get_running_loop().time())
            raise ERRORS["a quota"]

        world.cluster.create = create  # type: ignore[attr-defined]
        world.tracked.desired = replace(world.tracked.desired, job="feed-optimise")
        await world.all_ready()
        await world.rest(200.0)
        gaps = [after - before for before, after in pairwise(attempts)]
        assert gaps == pytest.approx([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0], abs=0.5)
        tried = len(attempts)
        world.cluster.refused["HTTPRoute feed"] = ERRORS["a typo"]
        world.decide(cpu=(1, 0.7), gpu=(1, 0.3))
        await world.until(lambda: world.tracked.applied.failed is not None)
        world.cluster.refused.clear()
        await world.until(lambda: world.cluster.weights() == [700, 300], 4.0)
        await world.until(lambda: world.tracked.applied.failed is None, 1.0)
        assert len(attempts) == tried
        assert world.tracked.applied.lacking is not None
        assert "Job shop/feed-optimise is refused: HTTP 403: exceeded quota" in world.tracked.applied.lacking.message

    run_story(optimised, story)


def test_a_new_pool_that_is_refused_leaves_the_others_served() -> None:
    two = spec(pool("cpu", 1), pool("gpu", 1, cost="2.0"))

    async def story(world: World) -> None:
        await world.rest(0.05)
        world.pods("cpu", 1)
        await world.rest(0.05)
        world.cluster.refused["Deployment feed-gpu"] = ERRORS["a quota"]
        world.specify(two, 2)
        world.decide(cpu=(4, 0.5), gpu=(2, 0.5))
        await world.rest(0.2)
        assert world.cluster.replicas("feed-cpu") == 4
        assert world.cluster.weights() == [1000, 0]

    run_story(spec(pool("cpu", 1)), story)


def test_pools_that_left_the_spec_serve_until_one_that_is_in_it_can() -> None:
    renamed = spec(pool("cpu2", 1))

    async def story(world: World) -> None:
        await world.rest(0.05)
        world.pods("cpu", 1)
        await world.rest(0.05)
        world.cluster.refused["Deployment feed-cpu2"] = ERRORS["a quota"]
        world.specify(renamed, 2)
        world.reconciler.wake(OWNER.key)
        await world.rest(0.1)
        assert "Deployment feed-cpu" in made(world.cluster)
        assert world.cluster.objects["HTTPRoute", "feed"]["spec"]["rules"][0]["backendRefs"][0]["name"] == "feed-cpu"
        world.cluster.refused.clear()
        world.specify(renamed, 3)
        world.reconciler.wake(OWNER.key)
        await world.rest(0.1)
        assert {"Deployment feed-cpu", "Deployment feed-cpu2"} <= made(world.cluster)
        world.pods("cpu2", 1)
        world.decide(cpu2=(1, 100.0), cpu=(0, 0.0))
        await world.rest(0.5)
        assert "Deployment feed-cpu" not in made(world.cluster)
        assert world.cluster.objects["HTTPRoute", "feed"]["spec"]["rules"][0]["backendRefs"][0]["name"] == "feed-cpu2"

    run_story(spec(pool("cpu", 1)), story)


def test_a_pool_whose_service_is_somebody_elses_gets_no_request() -> None:
    """RecModel feed with pool x-cpu, and RecModel feed-x with pool cpu, ask for one Service: one model must not answer for the
    other.
    """
    cluster = FakeCluster()
    other = Actor(cluster, Inventory())  # type: ignore[arg-type]
    asyncio.run(other.apply_children(Owner("shop", "feed-x", "u-2"), spec(pool("cpu", 1)), None, {"cpu": 1}))
    before = copy.deepcopy(cluster.objects)

    async def story(world: World) -> None:
        world.pods("gpu", 1)
        world.pods("x-cpu", 1)
        await world.rest(0.2)
        world.decide(**{"x-cpu": (1, 0.9), "gpu": (1, 0.1)})
        await world.rest(0.3)
        assert world.cluster.weights() == [0, 1000]
        assert world.tracked.applied.failed is not None
        assert (
            "Service shop/feed-x-cpu exists and is not owned by this RecModel" in world.tracked.applied.failed.message
        )
        assert {where: world.cluster.objects[where] for where in before} == before

    run_story(spec(pool("x-cpu", 1), pool("gpu", 1, cost="2.0")), story, cluster)


def test_a_pool_whose_service_alone_cannot_be_made_is_planned_around() -> None:
    async def story(world: World) -> None:
        world.cluster.refused["Service feed-gpu"] = ERRORS["a quota"]
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        await world.rest(0.2)
        assert next(line for line in world.cluster.writes if "HTTPRoute" in line).endswith(
            " 0"
        )  # from the first write on
        world.decide(cpu=(1, 0.5), gpu=(1, 0.5))
        await world.rest(0.2)
        assert world.cluster.weights() == [1000, 0]
        assert world.reconciler._actor.cut_off(OWNER, "gpu", world.tracked.applied.refusals)
        assert not world.reconciler._actor.cut_off(OWNER, "cpu", world.tracked.applied.refusals)
        state = pool_state(world.tracked, "gpu", world.inventory.pool(OWNER.key, "gpu"), cut_off=True)
        assert (state.exists, state.ready, state.unschedulable) == (False, 0, 1)

    run_story(spec(pool("cpu", 1), pool("gpu", 1, cost="2.0")), story)


def test_all_refusals_are_named_once_each_and_bounded() -> None:
    refusals = [
        Failure((names.SERVICE, f"feed-{n}"), ApiRefused(f"PATCH {n}: HTTP 422: no", 422, f"port {n}: {'x' * 5000} must be < 65536"))
        for n in range(7)
    ]  # fmt: skip
    reason = report_refusals.joined("shop", refusals, [refusals[0].error])
    assert reason.reason == "ApiRefused"
    assert [f"Service shop/feed-{n} is refused: HTTP 422: port {n}" in reason.message for n in range(7)] == [
        True
    ] * 5 + [False] * 2
    assert reason.message.count("must be < 65536") == 5
    assert reason.message.endswith("; and 2 more")
    assert len(reason.message) < 4096
    taken = Failure((names.ROUTE, "feed"), NameTaken("HTTPRoute shop/feed exists"))
    assert report_refusals.joined("shop", [taken, *refusals[:1]]).reason == "NameTaken"
