"""Releases as stories: what the pools are to serve, tick by tick, from what is seen of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from builders.fake_cluster import pool, spec
from builders.variant_records import config_map, record
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.versions import POOL_ON_TRIAL, VERSION_ON_TRIAL, Serving
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.prometheus import PoolReading, Rates
from recmodel.rollout.known_variants import known_variants
from recmodel.rollout.trial import Trial, recalled, reported
from recmodel.rollout.wanted_versions import RolloutContext, adopted, limits, released

TICK = 5.0
RULES = {"steps": ["10%", "50%"], "stepDuration": "10s", "minRequests": 50}
FAST, SLOW, FAILING = (0.0, 0.0), (0.4, 0.0), (0.3, 0.3)  # late or failed, and failed


def written(*names: str, **rules: Any) -> RecModelSpec:
    """Pools of these names, all of one variant but those that are called like one: ``cpu``, ``gpu``, ``int8``."""
    variants = [{"name": "full"}, {"name": "int8"}]
    pools = [{**pool(name), "variant": "int8" if name == "int8" else "full"} for name in names]
    return spec(*pools, variants=variants, rollout={**RULES, **rules})


@dataclass
class World:
    """One RecModel: what its Deployments are made for follows what is wished a tick later, and replacing takes a tick."""

    spec: RecModelSpec
    version: Mapping[str, str] = field(default_factory=lambda: {"full": "1", "int8": "1"})
    answers: dict[str, tuple[float, float]] = field(default_factory=dict)  # by version or pool: late, failed
    shares: dict[str, float] = field(default_factory=dict)
    ready: dict[str, int] = field(default_factory=dict)
    serving: dict[str, Serving] = field(default_factory=dict)
    trials: dict[str, Trial] = field(default_factory=dict)
    standing: dict[str, Serving] = field(default_factory=dict)
    quality: dict[str, float] = field(default_factory=dict)  # by version: successes of a trial
    danger: bool = False
    stalled: bool = False
    releaser: str | None = None
    now: float = 1000.0
    log: list[str] = field(default_factory=list)

    def begin(self) -> World:
        """All pools made, with their first versions."""
        self.tick()
        self.tick()
        self.log.clear()
        return self

    def tick(self, times: int = 1) -> World:
        for _ in range(times):
            self._tick()
        return self

    def _tick(self) -> None:
        self.now += TICK
        records = [record(name, version=v) for name, v in self.version.items()]
        variants = known_variants(self.spec, [config_map(*records)], {})
        names = [p.name for p in self.spec.pools]
        states = {name: self._state(name) for name in names}
        self.serving = adopted(variants, self.spec, {n: s for n, s in self.serving.items() if n in names}, states)
        context = RolloutContext(
            variants,
            {n: replace(s, updating=s.serving != self.serving[n]) for n, s in states.items()},
            {name: self.shares.get(name, 1.0 / len(names)) for name in names},
            {name: self._reading(name) for name in names},
            self.danger,
            self.now,
            TICK,
            {n: Rates(self.quality[v], 20.0) for n in names if (v := self._version(n)) in self.quality},
        )
        before = self.serving
        self.serving, self.trials = released(self.serving, self.trials, context)
        for name in names:
            if before[name] != self.serving[name] or name not in self.standing:
                self.log.append(f"{name} {self._said(self.serving[name])}")
        self.standing = dict(before)

    def _state(self, name: str) -> PoolState:
        made = name in self.standing
        ready = self.ready.get(name, 2 if made else 0)
        serving = self.standing.get(name, Serving())
        return PoolState(
            made,
            min(2, ready) if name in self.ready else 2,
            ready,
            0,
            1.0,
            (),
            False,
            None,
            serving,
            self.stalled,
            self.releaser,
        )

    def _version(self, name: str) -> str:
        found = self.standing.get(name, Serving()).now
        return found.name if found else name

    def _reading(self, name: str) -> PoolReading:
        late, failed = self.answers.get(self._version(name), self.answers.get(name, FAST))
        rate = 40.0
        return PoolReading(rate, failed * rate, {0.1: (1.0 - late) * rate, float("inf"): rate})

    @staticmethod
    def _said(found: Serving) -> str:
        parts = [found.now.name if found.now else "as written"]
        parts += [f"on trial as {found.trial}"] if found.trial else []
        parts += [f"{found.refused} refused"] if found.refused else []
        return ", ".join(parts)

    def restart(self) -> World:
        """A new process: it knows the Deployments and the status."""
        limit = limits(self.spec, self.serving, self.trials)
        statuses = [reported(trial, limit.get(name)) for name, trial in self.trials.items()]
        self.trials = {status.pool: recalled(status, self.now) for status in statuses}
        self.serving = {}
        return self

    def limit(self) -> dict[str, float]:
        return limits(self.spec, self.serving, self.trials)


def test_the_first_pools_are_on_no_trial() -> None:
    world = World(written("cpu", "int8")).tick()
    assert world.log == ["cpu full@1", "int8 int8@1"]
    assert world.tick(5).log == ["cpu full@1", "int8 int8@1"]
    assert world.trials == {}


def test_a_new_version_comes_pool_by_pool_the_smallest_share_first() -> None:
    world = World(written("cpu", "gpu"), shares={"cpu": 0.8, "gpu": 0.2}).begin()
    world.version = {"full": "2"}
    world.tick(20)
    assert world.log == [
        "gpu full@2, on trial as version", "gpu full@2",
        "cpu full@2, on trial as version", "cpu full@2",
    ]  # fmt: skip
    assert {name: trial.phase for name, trial in world.trials.items()} == {"cpu": "Proven", "gpu": "Proven"}
    assert world.limit() == {}


@pytest.mark.parametrize(("answers", "said"), [(SLOW, "late or failed"), (FAILING, "failed")])
def test_a_worse_version_goes_back_is_tried_nowhere_else_and_stays_away(
    answers: tuple[float, float], said: str
) -> None:
    world = World(written("cpu", "gpu"), shares={"cpu": 0.8, "gpu": 0.2}, answers={"full@2": answers}).begin()
    world.version = {"full": "2"}
    world.tick(30)
    assert world.log == ["gpu full@2, on trial as version", "gpu full@1, full@2 refused"]
    trial = world.trials["gpu"]
    assert (trial.phase, trial.reason.reason) == ("RolledBack", "RolloutRolledBack")
    assert said in trial.reason.message
    # A restart forgets nothing of it; the next version is tried.
    assert world.restart().tick(10).log[2:] == []
    world.version = {"full": "3"}
    world.tick(20)
    assert world.log[2] == "gpu full@3, on trial as version"
    assert world.log[-1] == "cpu full@3"


def test_a_model_of_one_pool_is_compared_with_what_it_was_before() -> None:
    for usual, answers, last in (
        (FAST, SLOW, "cpu full@1, full@2 refused"),
        ((0.04, 0.0), (0.045, 0.0), "cpu full@2"),
    ):
        world = World(written("cpu"), answers={"full@1": usual, "full@2": answers}).begin()
        world.version = {"full": "2"}
        assert world.tick(30).log[-1] == last


def test_a_pool_that_always_was_slower_is_no_fault_of_its_version() -> None:
    world = World(written("cpu", "gpu"), answers={"cpu": (0.04, 0.0), "full@1": FAST}).begin()
    world.answers = {"cpu": (0.04, 0.0)}
    world.version = {"full": "2"}
    world.answers |= {"full@2": (0.04, 0.0), "full@1": (0.04, 0.0)}
    assert world.tick(30).log[-1] == "gpu full@2"


def test_nothing_begins_or_goes_on_while_the_objective_is_in_danger() -> None:
    world = World(written("cpu", "gpu"), danger=True).begin()
    world.version = {"full": "2"}
    assert world.tick(10).log == []
    assert world.trials["cpu"].phase == "Waiting"
    assert "in danger" in world.trials["cpu"].reason.message
    world.danger = False
    world.tick(2)
    world.danger = True
    assert world.tick(20).log == ["cpu full@2, on trial as version"]
    world.danger = False
    assert world.tick(20).log[-1] == "gpu full@2"


def test_what_was_late_before_does_not_shelter_a_version_that_endangers_the_objective() -> None:
    world = World(written("cpu", "gpu"), answers={"full@1": (0.07, 0.0)}).begin()
    world.version = {"full": "2"}
    assert world.tick(2).log == ["cpu full@2, on trial as version"]
    # The pods were cold when they were last looked at; the pool that does not change is fine now.
    world.answers, world.danger = {"full@2": SLOW}, True
    assert world.tick(12).log[-1] == "cpu full@1, full@2 refused"


def test_a_new_pool_of_a_new_variant_gets_its_share_in_steps() -> None:
    world = World(written("cpu")).begin()
    world.spec = written("cpu", "int8")
    world.tick()
    assert world.log == ["int8 int8@1, on trial as pool"]
    assert world.limit() == {"int8": 0.0}  # no pod is ready yet
    world.tick(2)
    world.shares = {"cpu": 0.9, "int8": 0.1}
    seen = []
    for _ in range(20):
        seen.append(world.limit().get("int8", 1.0))
        world.tick()
    assert sorted(set(seen)) == [0.1, 0.5, 1.0]
    assert seen == sorted(seen)
    assert world.log[-1] == "int8 int8@1"


def test_a_new_pool_that_is_worse_gets_nothing_until_it_changes() -> None:
    world = World(written("cpu"), answers={"int8@1": SLOW}).begin()
    world.spec = written("cpu", "int8")
    world.shares = {"cpu": 0.9, "int8": 0.1}
    world.tick(15)
    assert world.log == ["int8 int8@1, on trial as pool", "int8 int8@1, on trial as pool, int8@1 refused"]
    assert world.limit() == {"int8": 0.0}
    assert world.restart().tick(5).limit() == {"int8": 0.0}
    world.version = {"int8": "2", "full": "1"}
    assert world.tick(25).log[-1] == "int8 int8@2"
    assert world.limit() == {}


def test_a_restart_in_the_middle_goes_on_at_the_same_step() -> None:
    world = World(written("cpu")).begin()
    world.spec = written("cpu", "int8")
    world.shares = {"cpu": 0.9, "int8": 0.1}
    while world.limit().get("int8") != 0.5:
        world.tick()
    before = world.trials["int8"].rollout
    after = world.restart().tick().trials["int8"].rollout
    assert (after.step, after.phase, after.began_seconds) == (before.step, before.phase, before.began_seconds)
    assert after.requests > before.requests


def test_a_version_under_way_is_found_again_even_where_the_status_was_lost() -> None:
    world = World(written("cpu"), answers={"full@2": SLOW}).begin()
    world.version = {"full": "2"}
    world.tick(2)
    assert world.serving["cpu"].trial == VERSION_ON_TRIAL
    world.trials, world.serving = {}, {}
    assert world.tick(25).log[-1] == "cpu full@1, full@2 refused"


def test_a_version_that_was_withdrawn_or_overtaken_is_not_waited_for() -> None:
    for version, log in (("1", ["cpu full@1"]), ("3", ["cpu full@3, on trial as version", "cpu full@3"])):
        world = World(written("cpu")).begin()
        world.version = {"full": "2"}
        world.tick(2)
        world.version = {"full": version}
        world.tick(20)
        assert world.log[1:] == log


def test_a_version_that_was_taken_back_and_is_asked_for_no_more_is_forgotten() -> None:
    world = World(written("cpu"), answers={"full@2": SLOW}).begin()
    world.version = {"full": "2"}
    world.tick(20)
    assert world.trials["cpu"].phase == "RolledBack"
    world.version = {"full": "1"}
    world.tick(2)
    assert world.trials == {}
    assert world.serving["cpu"].refused is None


def test_pods_that_never_become_ready_take_the_version_back() -> None:
    world = World(written("cpu")).begin()
    world.version = {"full": "2"}
    world.tick(2)
    world.stalled = True
    assert world.tick().log[-1] == "cpu full@1, full@2 refused"
    assert "not ready in time" in world.trials["cpu"].reason.message


def test_a_pool_without_pods_takes_a_new_version_at_once_and_is_on_trial_until_it_is_proven_elsewhere() -> None:
    world = World(written("cpu", "gpu")).begin()
    world.ready = {"gpu": 0}
    world.version = {"full": "2"}
    world.tick()
    assert world.log == ["cpu full@2, on trial as version", "gpu full@2, on trial as pool"]
    world.tick(15)
    assert world.log[2:] == ["cpu full@2", "gpu full@2"]


def test_a_pool_that_goes_to_zero_while_its_version_is_on_trial_holds_nobody_up() -> None:
    world = World(written("cpu", "gpu"), shares={"cpu": 0.9, "gpu": 0.1}).begin()
    world.version = {"full": "2"}
    world.tick(2)
    assert world.log == ["gpu full@2, on trial as version"]
    world.ready = {"gpu": 0}
    world.tick(15)
    assert "gpu full@2, on trial as pool" in world.log
    assert world.log[-2:] == ["cpu full@2", "gpu full@2"]


def test_an_accuracy_measured_again_restarts_nothing() -> None:
    world = World(written("cpu")).begin()
    found = world.serving["cpu"].now
    assert found is not None
    world.serving = {"cpu": Serving(replace(found, value="0.5"))}
    world.tick(3)
    assert world.serving["cpu"].now == found
    assert world.trials == {}


def test_what_somebody_elses_tool_releases_is_left_alone() -> None:
    world = World(written("cpu"), releaser="Canary shop/cpu").begin()
    world.version = {"full": "2"}
    assert world.tick(10).log == []


def test_another_variant_that_the_owner_gives_a_pool_comes_at_once() -> None:
    world = World(written("cpu")).begin()
    pools = [{**pool("cpu"), "variant": "int8"}]
    world.spec = spec(*pools, variants=[{"name": "full"}, {"name": "int8"}], rollout=RULES)
    world.tick()
    assert world.serving["cpu"].now is not None
    assert world.serving["cpu"].now.name == "int8@1"
    assert world.serving["cpu"].trial is None


def test_a_quality_that_falls_takes_a_new_pool_back_though_it_is_fast() -> None:
    series = {"successes": {"name": "clicks_total"}, "trials": {"name": "impressions_total"}}
    world = World(written("cpu", quality=series)).begin()
    world.spec = written("cpu", "int8", quality=series)
    world.shares = {"cpu": 0.9, "int8": 0.1}
    world.quality = {"full@1": 10.0, "int8@1": 6.0}
    world.tick(40)
    assert world.serving["int8"].refused == "int8@1"
    assert "30.00% of the quality signal against 50.00%" in world.trials["int8"].reason.message


def test_pools_of_a_model_without_a_route_are_never_on_trial() -> None:
    routed = written("cpu")
    world = World(routed.model_copy(update={"route": None})).begin()
    world.spec = written("cpu", "int8").model_copy(update={"route": None})
    world.tick()
    assert POOL_ON_TRIAL not in {found.trial for found in world.serving.values()}


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


def test_the_only_pool_that_is_left_is_on_trial_no_more() -> None:
    world = World(written("cpu", "int8")).begin()
    world.tick()
    world.serving = {**world.serving, "int8": replace(world.serving["int8"], trial=POOL_ON_TRIAL)}
    world.spec = written("int8")
    world.shares = {"int8": 1.0}
    world.tick()
    assert world.serving["int8"].trial is None
    assert world.limit() == {}


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
