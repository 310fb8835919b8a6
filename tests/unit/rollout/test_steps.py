"""A rollout as a value: its steps, what it waits for, what takes it back, and that it survives a restart."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from recmodel.core.types import Reason
from recmodel.rollout.steps import (
    Policy,
    Rollout,
    RolloutTick,
    Side,
    advance,
    as_dict,
    begin,
    from_dict,
    limit_ratio,
)

TICK_SECONDS = 15.0
POLICY = Policy()


def counts(per_second: float, late: float = 0.02, errors: float = 0.001, quality: float | None = None) -> Side:
    """One tick's counts without noise."""
    requests = per_second * TICK_SECONDS
    trials = None if quality is None else requests
    return Side(requests, late * requests, errors * requests, None if quality is None else quality * requests, trials)


def run(
    rollout: Rollout, seen: RolloutTick, seconds: float, policy: Policy = POLICY, since: float = 0.0
) -> tuple[Rollout, list[Reason]]:
    """The same observation at every tick for some time."""
    said = []
    for tick in range(int(seconds / TICK_SECONDS)):
        rollout, reason = advance(policy, rollout, seen, since + TICK_SECONDS * (tick + 1))
        said += [reason] if reason else []
    return rollout, said


GOOD = RolloutTick(new=counts(50.0), current=counts(950.0), share_ratio=0.01)


def test_a_good_version_takes_every_step_in_its_time_and_serves() -> None:
    rollout, said = begin("cpu", "v2", 0.0), list[Reason]()
    for tick in range(60):
        seen = replace(GOOD, share_ratio=0.9 * limit_ratio(POLICY, rollout))
        rollout, reason = advance(POLICY, rollout, seen, TICK_SECONDS * tick)
        said += [reason] if reason else []
    assert rollout.phase == "Done"
    assert [reason.reason for reason in said] == ["RolloutAdvanced"] * 5 + ["RolloutDone"]
    assert said[2].message == (
        "cpu: version v2: may answer 25 % of the traffic; 2.00% late or failed against 2.00%; 0.10% failed against 0.10%"
    )
    assert 600.0 <= rollout.began_seconds <= 660.0  # five steps of two minutes each


@pytest.mark.parametrize("late", [0.02, 0.3])
def test_steps_that_were_shortened_meanwhile_are_gone_on_with(late: float) -> None:
    fourth = replace(begin("cpu", "v2", 0.0), phase="Stepping", step=3)
    rollout, _ = run(fourth, replace(GOOD, new=counts(50.0, late)), 3600.0, replace(POLICY, steps=(0.05, 1.0)))
    assert rollout.phase == ("Done" if late == 0.02 else "RolledBack")


def test_the_limit_is_the_step_and_nothing_after_a_rollback() -> None:
    waiting = begin("cpu", "v2", 0.0)
    assert limit_ratio(POLICY, waiting) == 0.01
    assert [limit_ratio(POLICY, replace(waiting, phase="Stepping", step=i)) for i in range(5)] == list(POLICY.steps)
    assert limit_ratio(POLICY, replace(waiting, phase="RolledBack", step=3)) == 0.0
    assert limit_ratio(POLICY, replace(waiting, phase="Done")) == 1.0


def test_the_pool_is_emptied_before_its_version_changes() -> None:
    rollout, said = run(begin("cpu", "v2", 0.0), replace(GOOD, share_ratio=0.4), 600.0)
    assert rollout.phase == "Waiting"
    assert {r.reason for r in said} == {"RolloutWaiting"}
    assert "the pool answers 40%, and the others must carry all but 1% first" in said[-1].message
    rollout, _ = run(rollout, replace(GOOD, share_ratio=None), 60.0)
    assert rollout.phase == "Waiting"
    rollout, _ = run(rollout, GOOD, TICK_SECONDS)
    assert rollout.phase == "Stepping"


def test_a_step_waits_for_the_pool_to_have_its_share_but_not_for_ever() -> None:
    """GOOD has a share of 1 %: enough for the first step; the second one is 5 %."""
    rollout, said = run(begin("cpu", "v2", 0.0), GOOD, 15.0 + 120.0 + 300.0)
    assert rollout.step == 1
    assert said[-1].message == "cpu: version v2: the pool answers 1.0% of the 5% that it may"
    rollout, _ = run(rollout, GOOD, 90.0, since=435.0)
    assert rollout.step == 2  # it is too dear for more, or too small
    rollout, _ = run(rollout, replace(GOOD, share_ratio=0.2), 150.0, since=525.0)
    assert rollout.step == 3


@pytest.mark.parametrize(
    "seen",
    [replace(GOOD, in_danger=True), replace(GOOD, ready=False)],
    ids=["danger", "not ready"],
)
def test_nothing_advances_in_danger_or_without_a_ready_pod_and_the_step_starts_over_afterwards(
    seen: RolloutTick,
) -> None:
    rollout, _ = run(begin("cpu", "v2", 0.0), GOOD, 90.0)
    held, said = run(rollout, seen, 7200.0, since=90.0)
    assert (held.phase, held.step) == ("Stepping", 0)
    assert {reason.reason for reason in said} == {"RolloutWaiting"}
    on, _ = run(held, GOOD, 105.0, since=7290.0)
    assert on.step == 0
    on, _ = run(on, GOOD, 30.0, since=7395.0)
    assert on.step == 1


def test_what_is_unknown_neither_advances_nor_rolls_back() -> None:
    started, _ = run(begin("cpu", "v2", 0.0), GOOD, 15.0)
    for unknown in (Side(), Side(late=5.0), Side(requests=math.nan, late=1.0, errors=1.0), Side(-5.0, 1.0, 1.0)):
        rollout, said = run(started, replace(GOOD, new=unknown), 7200.0)
        assert (rollout.phase, rollout.step) == ("Stepping", 0)
        assert "0 requests counted in this step, 500 are wanted" in said[-1].message
        assert rollout.evidence == started.evidence


def test_late_everywhere_in_danger_is_nobodys_fault_and_late_here_alone_is() -> None:
    started, _ = run(begin("cpu", "v2", 0.0), GOOD, 120.0)
    everywhere = RolloutTick(
        counts(50.0, late=0.7, errors=0.2), counts(950.0, late=0.5, errors=0.1), in_danger=True, late_everywhere=True
    )
    rollout, _ = run(started, everywhere, 3600.0, since=120.0)
    assert rollout.phase == "Stepping"
    here = replace(everywhere, current=counts(950.0, late=0.03), late_everywhere=False)
    rollout, said = run(started, here, 300.0, since=120.0)
    assert rollout.phase == "RolledBack"
    assert said[-1].reason == "RolloutRolledBack"
    assert "late or failed against" in said[-1].message


@pytest.mark.parametrize(
    ("new", "within_seconds", "word"),
    [
        (counts(50.0, late=1.0, errors=1.0), 60.0, "late or failed"),
        (counts(50.0, late=0.04, errors=0.04), 420.0, "failed"),
        (counts(50.0, late=0.10), 300.0, "late or failed"),
        (counts(50.0, quality=0.02), 300.0, "of the quality signal"),
    ],
    ids=["all fail", "4 % fail", "10 % late", "a third of the clicks"],
)
def test_a_worse_version_is_taken_back_with_the_figures(new: Side, within_seconds: float, word: str) -> None:
    seen = replace(GOOD, new=new, current=counts(950.0, quality=0.06))
    policy = replace(POLICY, steps=(0.05, 1.0), step_seconds=3600.0)
    rollout, said = run(begin("cpu", "v2", 0.0), seen, within_seconds, policy)
    assert rollout.phase == "RolledBack"
    assert word in said[-1].message
    assert run(rollout, GOOD, 3600.0, policy) == (rollout, [])  # what was taken back stays so


def test_no_single_tick_takes_a_version_back() -> None:
    rollout, _ = run(begin("cpu", "v2", 0.0), GOOD, 90.0)
    disaster = replace(GOOD, new=counts(5000.0, late=1.0, errors=1.0))
    rollout, _ = run(rollout, disaster, TICK_SECONDS, since=90.0)
    assert rollout.phase == "Stepping"
    rollout, _ = run(rollout, disaster, 2 * TICK_SECONDS, since=105.0)
    assert rollout.phase == "RolledBack"


def test_all_of_the_traffic_waits_for_the_quality_to_be_certain_but_not_for_ever() -> None:
    seen = replace(GOOD, new=counts(5.0, quality=0.06), current=counts(5.0, quality=0.06))
    policy = replace(POLICY, steps=(0.5, 1.0), min_requests=50.0, confirm_seconds=1800.0)
    rollout, said = run(begin("cpu", "v2", 0.0), seen, 1200.0, policy)
    assert (rollout.phase, rollout.step) == ("Stepping", 0)
    assert "its quality is not certain to be within the margin yet" in said[-1].message
    rollout, _ = run(rollout, seen, 1200.0, policy, since=1200.0)
    assert rollout.phase == "Done"
    sure = replace(seen, new=counts(500.0, quality=0.5), current=counts(500.0, quality=0.5))
    rollout, _ = run(begin("cpu", "v2", 0.0), sure, 600.0, policy)
    assert rollout.phase == "Done"


def test_it_goes_on_after_a_restart_as_if_nothing_had_been() -> None:
    random = np.random.default_rng(7)
    whole = broken = begin("cpu", "v2", 0.0)
    for tick in range(120):
        new, current = float(random.poisson(300)), float(random.poisson(9000))
        seen = RolloutTick(
            Side(new, float(random.binomial(int(new), 0.03)), 0.0, float(random.binomial(int(new), 0.05)), new),
            Side(current, float(random.binomial(int(current), 0.03)), 0.0, 0.05 * current, current),
            share_ratio=0.01,
        )
        now = TICK_SECONDS * tick
        whole, one = advance(POLICY, whole, seen, now)
        broken, other = advance(POLICY, from_dict(json.loads(json.dumps(as_dict(broken)))), seen, now)
        assert (whole, one) == (broken, other)
    assert len(json.dumps(as_dict(whole))) < 1500


@pytest.mark.parametrize(
    "change",
    [{"phase": "Flying"}, {"step": -1}, {"began": None}, {"requests": math.nan}, {"evidence": {}}, {"pool": ...}],
)
def test_a_stored_rollout_that_is_none_is_refused(change: dict[str, object]) -> None:
    stored = as_dict(begin("cpu", "v2", 0.0)) | change
    stored = {name: value for name, value in stored.items() if value is not ...}
    with pytest.raises(ValueError, match=r"no (rollout|evidence)"):
        from_dict(stored)


@pytest.mark.parametrize(
    "change",
    [{"steps": ()}, {"steps": (0.5, 0.25)}, {"steps": (0.0, 0.5)}, {"alpha": 0.0}, {"max_late_excess_ratio": 0.0},
     {"max_quality_loss_ratio": 1.0}],
)  # fmt: skip
def test_a_policy_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        replace(POLICY, **change)  # type: ignore[arg-type]
