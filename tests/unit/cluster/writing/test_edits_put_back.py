"""What somebody else edits of a child is put back, whether the operator ran meanwhile or not; what is theirs stays."""

from __future__ import annotations

import asyncio
import copy

import pytest

from builders.edited_children import EDITS, WANTED, applied, contents, edit
from builders.fake_cluster import OWNER, FakeCluster, actor
from builders.reconciler_world import KINDS, World, run_story
from recmodel.cluster import names
from recmodel.controller import reconciler
from recmodel.controller.backoff import Backoff
from recmodel.prometheus import profile_for


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_while_the_operator_was_down_is_put_back(what: str) -> None:
    cluster = FakeCluster()
    applied(cluster, actor(cluster))
    before = contents(cluster)
    kind, name = edit(cluster, what)
    assert contents(cluster) != before
    inventory = cluster.inventory()
    labelled = cluster.objects[kind, name]["metadata"].get("labels", {})
    if names.MODEL_LABEL not in labelled:  # then no watch lists it
        inventory.replace(KINDS[kind], [], None)
    written = applied(cluster, actor(cluster, inventory))
    assert [w.split()[:2] for w in written if not w.startswith("scale")] == [[kind, name]]
    assert contents(cluster) == before
    assert applied(cluster, actor(cluster)) == []


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_under_the_eyes_of_the_operator_is_put_back(what: str) -> None:
    async def story(world: World) -> None:
        await world.all_ready()
        before = contents(world.cluster)
        kind, name = edit(world.cluster, what)
        obj = copy.deepcopy(world.cluster.objects[kind, name])
        gone = names.MODEL_LABEL not in obj["metadata"].get("labels", {})  # as a watch by that label tells it
        world.inventory.see(KINDS[kind], "DELETED" if gone else "MODIFIED", obj)
        await world.rest(0.1)
        assert contents(world.cluster) == before
        assert await world.rest(0.05) == []

    run_story(WANTED, story)


def test_what_no_watch_tells_is_found_by_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconciler, "SWEEP_SECONDS", 0.05)

    async def story(world: World) -> None:
        await world.rest(0.03)
        world.cluster.edit("Service", "feed-cpu", "spec", "selector", value={"app": "other"})
        live = copy.deepcopy(world.cluster.objects["Service", "feed-cpu"])
        with pytest.MonkeyPatch.context() as silent:  # without a word to the reconciler
            silent.setattr(world.inventory, "_on_change", lambda key: None)
            world.inventory.see(names.SERVICE, "MODIFIED", live)
        await world.rest(0.2)
        selector = world.cluster.objects["Service", "feed-cpu"]["spec"]["selector"]
        assert selector == {names.MODEL_LABEL: "feed", names.POOL_LABEL: "cpu"}

    run_story(WANTED, story)


def test_what_others_own_stays_and_is_no_drift() -> None:
    cluster = FakeCluster()
    by = actor(cluster)
    applied(cluster, by)
    cluster.edit("Deployment", "feed-cpu", "spec", "paused", value=True)
    cluster.edit("Deployment", "feed-cpu", "metadata", "annotations", "example.com/team", value="feeds")
    cluster.edit("Service", "feed-cpu", "spec", "sessionAffinity", value="ClientIP")
    asyncio.run(by.apply_replicas(OWNER, "cpu", 7))
    again = actor(cluster)
    assert applied(cluster, again) == []
    assert again.drifted(OWNER, WANTED, profile_for(WANTED.metrics).pod_page, {}) == {}


def test_whoever_keeps_overwriting_it_is_named_and_answered_at_growing_intervals() -> None:
    async def story(world: World) -> None:
        await world.rest(0.03)
        world.pods("cpu", 1)
        backoff = world.tracked.backoffs._of[names.SERVICE, "feed-cpu"] = Backoff()
        backoff._attempts = 4  # corrections have been made
        writes = len(world.cluster.writes)
        for n in range(5):
            world.cluster.edit("Service", "feed-cpu", "spec", "selector", value={"n": str(n)}, manager="argocd")
            world.see("Service", "feed-cpu")
            backoff._last_at = asyncio.get_running_loop().time()
            await world.rest(0.03)
        assert len(world.cluster.writes) - writes <= 1
        assert world.tracked.applied.overwritten is not None
        assert "argocd keeps changing Service feed-cpu" in world.tracked.applied.overwritten.message

    run_story(WANTED, story)


def test_a_hand_edit_of_one_child_does_not_wait_for_the_fight_over_another() -> None:
    fought = "the hash of what was applied"
    others = {EDITS[what][:2]: what for what in EDITS if EDITS[what][:2] != EDITS[fought][:2]}

    async def story(world: World) -> None:
        await world.all_ready()
        before = contents(world.cluster)
        for _ in range(5):
            world.see(*edit(world.cluster, fought, manager="argocd"))
            await world.until(lambda: contents(world.cluster) == before, 60.0)
        world.see(*edit(world.cluster, fought, manager="argocd"))
        await world.rest(0.1)
        for what in others.values():
            world.see(*edit(world.cluster, what))
            await world.rest(0.1)
            after = contents(world.cluster)
            assert {where for where in before if after[where] != before[where]} == {("Deployment", "feed-cpu")}
        assert world.tracked.applied.overwritten is not None
        assert "argocd keeps changing Deployment feed-cpu:" in world.tracked.applied.overwritten.message
        await world.until(lambda: contents(world.cluster) == before, 60.0)

    run_story(WANTED, story)
