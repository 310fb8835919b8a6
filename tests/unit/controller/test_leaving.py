"""A pool that left the spec and still answers: it keeps its children and its place in the route until nobody is sent there."""

from __future__ import annotations

from builders.fake_cluster import OWNER, FakeCluster, pool, spec
from builders.reconciler_world import World, run_story
from recmodel.api.v1alpha1 import RecModelSpec

OLD = spec(pool("old", 2), pool("spare", 1))
NEW = spec(pool("new", 1), pool("spare", 1))


def backends(world: World) -> dict[str, int]:
    """The weights of the route by Service, in their order."""
    (rule,) = world.cluster.objects["HTTPRoute", "feed"]["spec"]["rules"]
    return {backend["name"]: backend["weight"] for backend in rule["backendRefs"]}


def deployments(world: World) -> set[str]:
    return {name for kind, name in world.cluster.objects if kind == "Deployment"}


async def serves(world: World, **pools: tuple[int, int]) -> None:
    """The pools run so many replicas, all ready, and have these weights."""
    for name, (replicas, _) in pools.items():
        world.pods(name, replicas)
    world.decide(**{name: (replicas, float(weight)) for name, (replicas, weight) in pools.items()})
    await world.rest(1.0)


def test_it_answers_until_it_is_decided_to_go_and_leaves_in_the_order_of_any_pool() -> None:
    async def story(world: World) -> None:
        await world.rest(0.2)
        await serves(world, old=(2, 600), spare=(1, 400))
        world.specify(NEW, 2)
        world.reconciler.wake(OWNER.key)
        await world.rest(0.5)
        assert deployments(world) == {"feed-old", "feed-spare", "feed-new"}
        world.pods("new", 1)
        await world.rest(0.5)
        assert backends(world) == {
            "feed-old": 599,
            "feed-spare": 400,
            "feed-new": 1,
        }  # each where it stood, and the new one
        # The decision moves weight as the others carry more, and at last all of it.
        world.decide(new=(1, 30.0), spare=(1, 40.0), old=(2, 30.0))
        await world.rest(0.5)
        assert backends(world) == {"feed-old": 300, "feed-spare": 400, "feed-new": 300}
        assert world.cluster.replicas("feed-old") == 2
        before = len(world.cluster.writes)
        world.decide(new=(1, 60.0), spare=(1, 40.0), old=(0, 0.0))
        await world.rest(1.0)
        writes = world.cluster.writes[before:]
        # The new one takes the free place: it stands at both places first, so that neither is heavy from one write to the next.
        assert writes[:5] == [
            "HTTPRoute feed 1 400 599",
            "HTTPRoute feed 0 400 600",
            "HTTPRoute feed 1 400 599",
            "HTTPRoute feed 599 400 1",
            "HTTPRoute feed 600 400",
        ]
        assert backends(world) == {"feed-new": 600, "feed-spare": 400}
        assert sorted(w for w in writes if w.startswith("delete")) == [
            f"delete {kind} feed-old" for kind in ("Deployment", "PodDisruptionBudget", "Service")
        ]
        assert deployments(world) == {"feed-spare", "feed-new"}

    run_story(OLD, story)


def left_at_once(wanted: RecModelSpec, old_ready: bool) -> World:
    async def story(world: World) -> None:
        await world.rest(0.2)
        await serves(world, old=(2, 600), spare=(1, 400))
        if not old_ready:
            world.pods("old", 2, ready=False)
        world.specify(wanted, 2)
        world.reconciler.wake(OWNER.key)
        await world.rest(1.0)
        assert deployments(world) == {"feed-spare", "feed-new"}

    return run_story(OLD, story)


def test_nobody_waits_for_a_pool_without_ready_pods() -> None:
    left_at_once(NEW, old_ready=False)


def test_where_no_decision_is_carried_out_it_stays_only_until_a_pool_of_the_spec_is_ready() -> None:
    left_at_once(NEW.model_copy(update={"mode": "Recommend"}), old_ready=True)


def test_a_new_process_finds_a_pool_that_leaves_by_what_stands() -> None:
    cluster = FakeCluster()

    async def first(world: World) -> None:
        await world.rest(0.2)
        await serves(world, old=(2, 600), spare=(1, 400))
        cluster.objects |= world.cluster.objects

    run_story(OLD, first)

    async def second(world: World) -> None:
        for name, count in {"old": 2, "spare": 1}.items():
            world.pods(name, count)
        await world.rest(0.5)
        assert backends(world) == {"feed-old": 600, "feed-spare": 400, "feed-new": 0}
        assert deployments(world) == {"feed-old", "feed-spare", "feed-new"}

    run_story(NEW, second, cluster)


def test_behind_a_route_of_somebody_else_it_stays_only_until_a_pool_of_the_spec_is_ready() -> None:
    """Nobody here moves the weight that the route gives it."""

    async def story(world: World) -> None:
        await world.rest(0.2)
        await serves(world, old=(2, 600), spare=(1, 400))
        other = [{"kind": "Other", "name": "x", "uid": "other", "controller": True}]
        world.cluster.edit("HTTPRoute", "feed", "metadata", "ownerReferences", value=other)
        before = backends(world)
        world.specify(NEW, 2)
        world.see("HTTPRoute", "feed")
        world.reconciler.wake(OWNER.key)
        await world.rest(4.0)
        assert deployments(world) == {"feed-spare", "feed-new"}
        assert backends(world) == before

    run_story(OLD, story)
