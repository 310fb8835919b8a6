"""No namespace keeps the others from being looked at, however many RecModels it has and however long its writes take."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from builders.fake_cluster import FakeCluster, pool, spec
from builders.reconciler_world import TWO, World, run_story
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.transport.errors import ApiUnavailable
from recmodel.controller.fairness import FairQueue
from recmodel.controller.tracked import Tracked
from recmodel.report.snapshot import Desired


def test_namespaces_take_turns_and_none_has_more_than_its_share_under_way() -> None:
    async def story() -> list[str]:
        queue = FairQueue(2)
        for key in ("a/1", "a/2", "a/3", "a/1", "b/1", "a/4", "c/1"):
            queue.put(key)
        assert len(queue) == 6
        first = [await queue.get() for _ in range(4)]
        assert first == ["a/1", "b/1", "c/1", "a/2"]
        waits = asyncio.create_task(queue.get())
        await asyncio.sleep(0.01)
        assert not waits.done()  # a has two under way
        queue.put("a/1")  # woken again while it is looked at
        queue.done("a/2")
        return [await waits]

    assert asyncio.run(story()) == ["a/3"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 4)), max_size=60), st.integers(1, 3))
def test_whatever_is_put_comes_out_once_and_nothing_stays_behind(puts: list[tuple[str, int]], at_once: int) -> None:
    async def story() -> None:
        queue, found = FairQueue(at_once), list[str]()
        wanted = {f"{namespace}/{number}" for namespace, number in puts}
        under_way: list[str] = []
        for namespace, number in puts:
            queue.put(f"{namespace}/{number}")
        while len(queue) or under_way:
            try:
                under_way.append(await asyncio.wait_for(queue.get(), 0.001))
            except TimeoutError:
                assert all(sum(k[0] == one[0] for k in under_way) == at_once for one in queue._waiting)
                found.append(under_way[0])
                queue.done(under_way.pop(0))
                continue
            assert max(sum(k[0] == n for k in under_way) for n in "abc") <= at_once
            if not len(queue):
                found += under_way
                for key in under_way:
                    queue.done(key)
                under_way.clear()
        assert sorted(found) == sorted(wanted)
        assert [len(x) for x in (queue, queue._waiting, queue._under_way, queue._offered)] == [0] * 4
        assert queue._turns.empty()

    asyncio.run(story())


class Hanging(FakeCluster):
    """A webhook of namespace ``bad`` does not answer."""

    async def apply(
        self, kind: names.Kind, body: dict[str, Any], force: bool = True, retries: int = 0
    ) -> dict[str, Any]:
        if body["metadata"]["namespace"] == "bad":
            await asyncio.sleep(2.0)
            raise ApiUnavailable("PATCH x: HTTP 500: failed calling webhook, 5 times", 500)
        return await super().apply(kind, body, force, retries)


def test_a_namespace_whose_writes_hang_does_not_keep_traffic_on_a_dead_pool_of_another() -> None:
    async def story(world: World) -> None:
        world.cluster.__class__ = Hanging
        world.pods("cpu", 1)
        world.pods("gpu", 1)
        world.decide(cpu=(1, 0.5), gpu=(1, 0.5))
        await world.rest(0.3)
        assert world.cluster.weights() == [500, 500]
        for number in range(200):
            owner = Owner("bad", f"m-{number}", f"u-{number}")
            world.reconciler.models[owner.key] = Tracked(owner, Desired(generation=1, spec=spec(pool("cpu"))))
            world.reconciler.wake(owner.key)
        await world.rest(0.2)
        began = time.monotonic()
        world.pods("gpu", 0)
        while world.cluster.weights() != [1000, 0] and time.monotonic() - began < 5.0:
            await asyncio.sleep(0.01)
        assert time.monotonic() - began < 1.0

    run_story(TWO, story)
