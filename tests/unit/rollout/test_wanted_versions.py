"""Releases as stories: what the pools are to serve, tick by tick, from what is seen of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders.fake_cluster import pool, spec
from builders.rollout_world import FAILING, FAST, RULES, SLOW, World, written
from recmodel.cluster.children.versions import POOL_ON_TRIAL, VERSION_ON_TRIAL, Serving


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


def test_the_only_pool_that_is_left_is_on_trial_no_more() -> None:
    world = World(written("cpu", "int8")).begin()
    world.tick()
    world.serving = {**world.serving, "int8": replace(world.serving["int8"], trial=POOL_ON_TRIAL)}
    world.spec = written("int8")
    world.shares = {"int8": 1.0}
    world.tick()
    assert world.serving["int8"].trial is None
    assert world.limit() == {}
