"""Whatever happens to a rollout: one pool at a time is replaced, and a good version comes in the end."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders.rollout_world import FAILING, FAST, SLOW, World, written
from recmodel.cluster.children.versions import POOL_ON_TRIAL, VERSION_ON_TRIAL

EVENTS = st.one_of(
    st.tuples(st.just("version"), st.sampled_from("12345")),
    st.tuples(st.just("danger"), st.booleans()),
    st.tuples(st.just("ready"), st.sampled_from(["cpu", "gpu", "int8"]), st.integers(0, 2)),
    st.tuples(st.just("answers"), st.sampled_from("12345"), st.sampled_from([FAST, SLOW, FAILING])),
    st.tuples(st.just("pools"), st.sampled_from([("cpu",), ("cpu", "gpu"), ("cpu", "gpu", "int8")])),
    st.tuples(st.just("share"), st.sampled_from([0.05, 0.3, 0.9])),
    st.tuples(st.just("stalled"), st.booleans()),
    st.tuples(st.just("restart")),
    st.tuples(st.just("time"), st.integers(1, 8)),
)


def happen(world: World, event: tuple[Any, ...]) -> None:
    match event:
        case ("version", version):
            world.version = {"full": version, "int8": version}
        case ("danger", danger):
            world.danger = danger
        case ("ready", name, count):
            world.ready = {**world.ready, name: count}
        case ("answers", version, answers):
            world.answers = {**world.answers, f"full@{version}": answers, f"int8@{version}": answers}
        case ("pools", names):
            world.spec = written(*names)
        case ("share", share):
            world.shares = {"cpu": 1.0 - share, "gpu": share / 2, "int8": share / 2}
        case ("stalled", stalled):
            world.stalled = stalled
        case ("restart",):
            world.restart()
        case ("time", ticks):
            world.tick(ticks - 1)


@example(events=[("version", "1"), ("version", "1"), ("version", "2"), ("ready", "cpu", 0), ("pools", ("cpu",))])
@settings(max_examples=60)
@given(st.lists(EVENTS, min_size=5, max_size=40))
def test_whatever_happens_one_pool_at_a_time_is_replaced_and_good_versions_come_in_the_end(
    events: list[tuple[Any, ...]],
) -> None:
    world = World(written("cpu", "gpu")).begin()
    for event in events:
        before = dict(world.serving)
        happen(world, event)
        world.tick()
        serving = world.serving
        replaced = [name for name, found in serving.items() if found.trial == VERSION_ON_TRIAL]
        assert len(replaced) <= 1
        for name, found in serving.items():
            assert found.refused is None or found.now is None or found.trial == POOL_ON_TRIAL or (
                found.refused != found.now.name
            )  # fmt: skip
            begun = found.trial == VERSION_ON_TRIAL and before.get(name, found).trial is None
            assert not (begun and world.danger and event[0] not in ("restart", "time"))
        assert all(0.0 <= share <= 1.0 for share in world.limit().values())
        assert all(world.limit()[n] == 0.0 for n, f in serving.items() if f.trial == POOL_ON_TRIAL and f.refused)
    # A good version, pods and calm: it serves everywhere, and nothing is on trial any more.
    world.answers, world.ready, world.danger, world.stalled = {}, {}, False, False
    world.shares = {"cpu": 0.9, "gpu": 0.05, "int8": 0.05}
    world.version = {"full": "9", "int8": "9"}
    world.tick(150)
    assert {s.now.version for s in world.serving.values() if s.now} == {"9"}
    assert [s for s in world.serving.values() if s.trial or s.refused] == []
