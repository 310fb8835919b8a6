"""Claims: whatever the releases, their namespaces, deaths and pauses, one process at most may write in a namespace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.claims_world import NAMESPACES, QUOTA, World, run_story
from recmodel.cluster.leases.claims import ENDED_SECONDS, PACE
from recmodel.cluster.leases.lease import LEASE_SECONDS, RENEW_SECONDS


@pytest.mark.parametrize(
    ("first", "second", "contested"),
    [
        ((), (), {"*"}),  # two releases for all namespaces, installed in two namespaces
        ((), ("shop",), {"shop"}),
        (("shop",), ("shop", "news"), {"shop"}),
        (("shop", "news"), (), {"shop", "news"}),
        (("shop",), ("news",), set()),
    ],
)
def test_of_two_releases_one_acts_in_each_namespace_and_the_other_one_says_who_does(
    first: tuple[str, ...], second: tuple[str, ...], contested: set[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def story(world: World) -> None:
        a = world.pod("a", "ops", serves=first)
        await world.passes(6.0)
        b = world.pod("b", "other", serves=second)
        await world.passes(120.0)
        for namespace in NAMESPACES:
            owner = "a" if not first or namespace in first else "b" if (not second or namespace in second) else None
            if second == () and first == () and owner == "b":
                owner = None
            assert world.acting(namespace) == ([owner] if owner else [])
        assert a.claims.acting
        assert b.claims.acting == (bool(second or first) and set(second or NAMESPACES) != contested)
        assert b.claims.others == dict.fromkeys(contested, "ops/recmodel")
        for namespace in contested - {"*"}:
            assert f"stands by in namespace {namespace}: the operator of ops/recmodel acts there" in caplog.text

    run_story(story)


def test_an_upgrade_with_other_namespaces_hands_over_what_stays_and_lets_go_of_the_rest() -> None:
    async def story(world: World) -> None:
        old = world.pod("old", serves=("shop",))
        await world.passes(20.0)
        new = world.pod("new", serves=("shop", "news"))
        await world.passes(20.0)  # both pods are up
        assert (world.acting("shop"), world.acting("news")) == (["old"], [])
        await world.ends("old")
        assert old.changes == [("shop", True)]
        before = world.now
        while not (world.acting("shop") == world.acting("news") == ["new"]):
            await world.passes(RENEW_SECONDS)
        assert world.now - before <= 3 * RENEW_SECONDS
        assert sorted(new.changes) == [("news", True), ("shop", True)]
        world.pod("all")  # and to all namespaces at once
        await world.passes(20.0)
        assert world.acting("shop") == ["new"]
        await world.ends("new")
        await world.passes(6.0)
        assert world.acting("shop") == world.acting("news") == ["all"]

    run_story(story)


def test_another_release_goes_on_soon_after_one_that_ended_and_later_after_one_that_died() -> None:
    async def story(world: World) -> None:
        for dies in (False, True):
            first, second = ("a", "b") if not dies else ("b", "c")
            if not dies:
                world.pod(first, "ops", serves=("shop",))
            await world.passes(12.0)
            world.pod(second, f"home-of-{second}", serves=("shop",))
            await world.passes(12.0)
            began = world.now
            if dies:
                del world.pods[first]
            else:
                await world.ends(first)
            while world.acting("shop") != [second]:
                await world.passes(RENEW_SECONDS)
            assert world.now - began <= (PACE.lease_seconds if dies else ENDED_SECONDS) + 8.0

    run_story(story)


def test_a_namespace_without_recmodels_is_given_back_and_a_new_one_is_claimed_at_once() -> None:
    async def story(world: World) -> None:
        world.models = {"shop"}
        pod = world.pod("a")
        await world.passes(4.0)
        world.models = {"news"}
        await pod.claims.turn()
        assert world.acting("news") == ["a"]
        assert world.api.holder("shop/recmodel.dev") == ""
        assert sorted(pod.changes) == [("news", True), ("shop", False), ("shop", True)]

    run_story(story)


def test_a_claim_costs_a_call_of_each_kind_in_ten_seconds() -> None:
    async def story(world: World) -> None:
        world.models = {f"n{i}" for i in range(100)}
        pod = world.pod("a")
        await world.passes(10.0)
        before, lease_calls = world.api.calls, 0
        for _ in range(30):
            calls = world.api.calls
            await pod.lease.turn()
            lease_calls += world.api.calls - calls
            await pod.claims.turn()
            world.now += RENEW_SECONDS
        assert world.api.calls - before - lease_calls <= 101 * 2 * 60.0 / 10.0 * 1.1

    run_story(story)


def test_a_pod_of_a_version_without_claims_ends_before_a_new_one_acts() -> None:
    """It named the release's Lease by its namespaces; one of another release in the same namespace is not waited for."""

    async def story(world: World) -> None:
        def old(name: str, holder: str) -> None:
            body = {"metadata": {"namespace": "ops", "name": name, "resourceVersion": "1"}}
            world.api.stored[f"ops/{name}"] = {**body, "spec": {"holderIdentity": holder, "renewTime": str(world.now)}}

        world.pod("recmodel-6d5f8b7c9-abcde", serves=("shop",))
        for _ in range(10):
            old("recmodel-0a1b2c3d", "recmodel-55aa66bb7-zzzzz")
            old("recmodel-ffffffff", "other-recmodel-55aa66bb7-zzzzz")
            await world.passes(RENEW_SECONDS)
            assert world.acting("shop") == []
        for _ in range(int(LEASE_SECONDS / RENEW_SECONDS) + 2):
            old("recmodel-ffffffff", "other-recmodel-55aa66bb7-zzzzz")
            await world.passes(RENEW_SECONDS)
        assert world.acting("shop") == ["recmodel-6d5f8b7c9-abcde"]

    run_story(story)


EVENTS = st.one_of(
    st.tuples(st.just("start"), st.sampled_from(["ops", "other"]), st.sampled_from([(), ("shop",), ("shop", "news")])),
    st.tuples(st.sampled_from(["end", "die", "sleep", "wake"]), st.integers(0, 5), st.none()),
    st.tuples(st.sampled_from(["down", "up"]), st.none(), st.none()),
    st.tuples(st.sampled_from(["refused", "admitted"]), st.sampled_from(["shop", "default", "ops"]), st.none()),
    st.tuples(st.just("models"), st.sampled_from([{"shop"}, {"news"}, {"shop", "news"}, set()]), st.none()),
    st.tuples(st.just("pass"), st.sampled_from([2.0, 6.0, 14.0, 50.0]), st.none()),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(EVENTS, min_size=4, max_size=14))
def test_never_may_two_processes_write_in_one_namespace(events: list[tuple[str, Any, Any]]) -> None:
    async def story(world: World) -> None:
        for count, (event, who, more) in enumerate(events):
            names = list(world.pods)
            name = names[who % len(names)] if names and isinstance(who, int) else None
            if event == "start":
                world.pod(f"pod-{count}", who, serves=more)
            elif event == "end" and name and not world.api.down:
                await world.ends(name)
            elif event == "die" and name:
                del world.pods[name]
            elif event in ("sleep", "wake") and name:
                # Who wakes asks the clock before it looks at anything: what it believes to hold is checked as it is.
                world.pods[name].asleep = event == "sleep"
            elif event in ("down", "up"):
                world.api.down = event == "down"
            elif event == "refused":
                world.api.refuses[who] = 403, QUOTA
            elif event == "admitted":
                world.api.refuses.pop(who, None)
            elif event == "models":
                world.models = set(who)
            world.check()
            await world.passes(who if event == "pass" else RENEW_SECONDS)

    run_story(story)
