"""A pool that its owner wants no more, under load: it answers until the others are known to carry what comes, and then goes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from builders.closed_loop import TICK_SECONDS, Kind, World, workers
from builders.sentence_checks import check
from recmodel.core import reasons
from recmodel.core.engine import step
from recmodel.core.memory import Memory, begin
from recmodel.core.reindex import reindex

RENAMED_AT = 900.0


def leaving(kind: Kind) -> Kind:
    """The same, as it is once its owner has taken it out of the spec."""
    return replace(kind, pool=replace(kind.pool, min_replicas=0, max_replicas=0, leaving=True))


class Renamed(World):
    """Before :data:`RENAMED_AT` it has ``kinds``; from then on ``after``, and what runs of the others leaves."""

    after: tuple[Kind, ...]

    def play(self, *, restart: bool = False) -> None:
        memory = begin([self.model()], TICK_SECONDS)
        while self.now < self.seconds:
            if self.now == RENAMED_AT:
                memory = self._rename(memory, restart=restart)
            gone = [kind for kind in self.kinds if kind.pool.leaving and not self.pods[kind.pool.name]]
            if gone:
                self.kinds = tuple(kind for kind in self.kinds if kind not in gone)
                memory = reindex([self.model()], memory)
            self.serve()
            seen = self.observe()
            memory, decisions = step(memory, [seen], self.now)
            decision = decisions.unsplit(0)
            assert list(check(self.model(), seen, decision))
            self.obey(decision)

    def _rename(self, memory: Memory, *, restart: bool) -> Memory:
        stay = {kind.pool.name for kind in self.after}
        for kind in self.after:
            self.pods.setdefault(kind.pool.name, [self.now + kind.startup_seconds] * max(kind.pool.min_replicas, 1))
            self.window.setdefault(kind.pool.name, [])
        self.kinds = (*self.after, *(leaving(kind) for kind in self.kinds if kind.pool.name not in stay))
        models = [self.model()]
        return begin(models, TICK_SECONDS) if restart else reindex(models, memory)

    def gone_at(self, name: str) -> float | None:
        """When the pool was decided to go."""
        after = [d for d in self.decisions if d.time_seconds > RENAMED_AT]
        return next((d.time_seconds for d in after if name not in d.pools or not d.pools[name].replicas), None)

    def over_minutes(self) -> int:
        """Minutes since the rename in which more than one in twenty requests was late."""
        late = np.array(self.late[int(RENAMED_AT / TICK_SECONDS) :]) * bool(self.load)
        return int((late[: len(late) // 4 * 4].reshape(-1, 4).mean(1) > 0.05).sum())


def renamed(before: tuple[Kind, ...], after: tuple[Kind, ...], replicas: tuple[int, ...], load: float) -> Renamed:
    world = Renamed(before, replicas, load, RENAMED_AT + 1200.0)
    world.after = after
    return world


SMALL = workers("small", most=20, servers=1)  # 40 requests/s at most

STORIES = {
    "one of two pools, the other is small": ((workers("a"), SMALL), (workers("b"), SMALL), (4, 1), 400.0),
    "the only pool": ((workers("a"),), (workers("b"),), (4,), 400.0),
    "removed, and the other has room": ((workers("a"), SMALL), (SMALL,), (1, 1), 90.0),
    "of both pools one name is new": ((workers("a"), SMALL), (workers("b"), workers("c")), (3, 1), 300.0),
    "hardly any load": ((workers("a"), SMALL), (workers("b"), SMALL), (1, 1), 1.0),
    "no load at all": ((workers("a"), SMALL), (workers("b"), SMALL), (1, 1), 0.0),
}


@pytest.mark.parametrize("restart", [False, True], ids=["known", "after a restart"])
@pytest.mark.parametrize("story", STORIES)
def test_a_pool_that_leaves_goes_when_the_others_carry_the_load(story: str, restart: bool) -> None:
    world = renamed(*STORIES[story])
    world.play(restart=restart)
    gone = world.gone_at("a")
    assert gone is not None
    assert gone <= RENAMED_AT + 600.0
    # An operator that knows nothing of any pool shares out by replicas, and learns where the small one ends. One that knows them still
    # has to learn the new one, and what goes then may have to come back.
    assert world.over_minutes() <= (5 if restart else 1)


def test_a_pool_that_leaves_stays_while_the_others_may_not_carry_the_load_and_says_the_way_out() -> None:
    small = replace(SMALL, pool=replace(SMALL.pool, max_replicas=2))
    world = renamed((workers("a"), small), (small,), (2, 1), 200.0)
    world.play()
    assert world.gone_at("a") is None
    assert world.over_minutes() == 0
    last = world.decisions[-1]
    assert last.state == reasons.DEGRADED
    bound = last.pools["a"].bound
    assert bound is not None
    assert bound.reason == reasons.POOL_LEAVING
    assert "raise replicas.max of the others" in bound.message


def test_without_metrics_a_pool_that_leaves_stays() -> None:
    world = renamed(*STORIES["removed, and the other has room"])
    world.blind = (RENAMED_AT, RENAMED_AT + 600.0)
    world.play()
    gone = world.gone_at("a")
    assert gone is not None
    assert gone > RENAMED_AT + 600.0
    blind = [d for d in world.decisions if RENAMED_AT < d.time_seconds <= RENAMED_AT + 600.0]
    assert all("the load is unknown" in bound.message for d in blind if (bound := d.pools["a"].bound) is not None)
