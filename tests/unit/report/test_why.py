"""Why a pool has its replicas can be read at any time, also where a decision changed nothing; and it causes no writes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.any_model import days, examples, models
from builders.status_scene import NOW, STATE, decision, status, tracked
from recmodel.api.status import RecModelStatus
from recmodel.controller.status_refresh import RefreshPace, StatusRefresh
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.pods import UNSCHEDULABLE_RETRY_SECONDS
from recmodel.core.types import CostPart, Decision, Model, Observation, Pool, PoolDecision, PoolObservation, Reason
from recmodel.decide import show
from recmodel.report.decision_status import message, pool_decision, shown_costs
from recmodel.report.explain import explain
from recmodel.report.status import as_object, worth_writing

HELD = Reason("NeededAgainSoon", "cpu: the plan wanted 5, 7 run, 7 decided (a recent proposal needs as many)")
SEVEN = replace(STATE, desired=7, ready=7)


def held(seconds: float = 0.0, proposed: int = 5, why: Reason | None = HELD, left: float | None = 240.0) -> Decision:
    """7 replicas run and stay."""
    found = replace(decision(7), time_seconds=NOW.timestamp() + seconds, proposed_replicas={"cpu": proposed})
    reasons = (*found.reasons, why) if why is not None else found.reasons
    return replace(found, reasons=reasons, pools={"cpu": PoolDecision(7, 1.0, why, left)})


def told(found: RecModelStatus) -> str:
    return explain(json.dumps({"kind": "RecModel", "metadata": {"name": "feed"}, "status": as_object(found)}))


def test_a_plain_hold_is_explained_by_the_status_and_by_explain() -> None:
    changed = status(tracked(decision=decision(7)), {"cpu": SEVEN})
    found = status(tracked(decision=held(600.0)), {"cpu": SEVEN}, written=changed)
    assert found.decisions == changed.decisions, "nothing changed, so nothing past is added"
    assert as_object(found)["pools"][0]["decision"] == {
        "proposedReplicas": 5, "reason": "NeededAgainSoon", "message": HELD.message, "until": "2026-01-02T03:18:05Z",
    }  # fmt: skip
    assert (found.reason, found.message) == ("Steady", "Steady at 100 requests/s")
    assert told(found).splitlines()[1:3] == [
        "  decided at 2026-01-02T03:14:05Z: Steady: Steady at 100 requests/s",
        "    cpu 7 since 2026-01-02T03:04:05Z or longer: NeededAgainSoon until 2026-01-02T03:18:05Z if nothing else changes: "
        + HELD.message,
    ]
    before = status(tracked(decision=decision(6)))
    grown = status(tracked(decision=held()), {"cpu": SEVEN}, written=before)
    assert "cpu 7 since 2026-01-02T03:04:05Z: NeededAgainSoon" in told(grown)


def test_what_no_guard_moved_is_as_the_plan_wanted() -> None:
    found = status(tracked(decision=held(proposed=7, why=None, left=None)), {"cpu": SEVEN})
    assert as_object(found)["pools"][0]["decision"] == {"proposedReplicas": 7}
    assert "cpu 7 since 2026-01-02T03:04:05Z or longer: as the plan wanted" in told(found)
    older = found.model_copy(update={"message": None, "pools": [found.pools[0].model_copy(update={"decision": None})]})
    assert "as the plan wanted" not in told(older), "an older operator did not say so"


def test_why_alone_is_no_write_and_goes_with_the_next_refresh() -> None:
    written = status(tracked(decision=held()), {"cpu": SEVEN})
    refreshes, writes = StatusRefresh(RefreshPace(15.0, 10.0)), 0
    for tick in range(1, 41):  # ten minutes in which the plan and the guard change with each tick
        why = Reason(
            ("ReleaseWithinNoise", "ReleaseUnproven")[tick % 2], f"cpu: the plan wanted {tick} of {tick / 7:.3f}"
        )
        found = status(
            tracked(decision=held(15.0 * tick, tick % 3 + 4, why, 15.0 * (tick % 5))), {"cpu": SEVEN}, written=written
        )
        assert not worth_writing(found, written)
        if refreshes.due(found, written, 1, 15.0 * tick):
            writes, written = writes + 1, found
            assert written.pools[0].decision is not None
            assert written.pools[0].decision.message == why.message
    assert writes == 10


@given(st.data())
@examples
def test_each_decision_that_is_not_the_plans_has_its_reason_shown(data: st.DataObject) -> None:
    model = data.draw(models())
    memory = begin([model])
    for seen in data.draw(days(model, wild=data.draw(st.booleans()), ticks=14)):
        memory, decisions = step(memory, [seen], seen.time_seconds)
        found, story = decisions[0], explain(show(decisions[0]))
        for name, pool in found.pools.items():
            why = pool_decision(found, name)
            assert why.proposed_replicas == found.proposed_replicas[name]
            assert (why.reason is None) == (why.message is None)
            if why.proposed_replicas != pool.replicas:
                assert why.message is not None
                assert why.message.startswith(f"{name}: the plan wanted {why.proposed_replicas}, ")
                assert f"{pool.replicas} decided" in why.message
                assert f"{why.reason}: {why.message}" in story
            assert why.until is None or why.reason is not None
            assert pool.bound is None or pool.bound.message not in message(found)


def served(desired: int, ready: int, rate: float, unschedulable: int = 0) -> PoolObservation:
    return PoolObservation(
        desired, ready, unschedulable, 1.0, 40.0, rate, 0.0, {0.1: rate, float("inf"): rate}, rate / (100.0 * ready)
    )


def ends(rates: list[float], unschedulable: int = 0) -> list[tuple[float, str, float]]:
    """Of a closed loop the ticks in which the pool is held for a known time: when, why, and until when."""
    memory, found, desired = begin([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 20, 1.0),))]), [], 4
    for tick, rate in enumerate(rates):
        now = 15.0 * (tick + 1)
        waits = min(unschedulable, desired - 1)
        seen = Observation(now, {"cpu": served(desired, desired - waits, rate, waits)})
        memory, decisions = step(memory, [seen], now)
        pool = decisions[0].pools["cpu"]
        desired = pool.replicas
        if pool.bound is not None and pool.bound_left_seconds is not None:
            assert f"; {pool.bound_left_seconds:.0f} s more if nothing else changes)" in pool.bound.message
            found.append((now, pool.bound.reason, now + pool.bound_left_seconds))
    return found


def test_a_hold_ends_when_it_said_it_would() -> None:
    rates = [300.0] * 60 + [120.0] * 60
    held_until = ends(rates)
    by_reason = {why: [(now, until) for now, reason, until in held_until if reason == why] for why in (
        "NeededAgainSoon", "ScaleDownStabilised",
    )}  # fmt: skip
    assert all(by_reason.values()), by_reason
    for found in by_reason.values():
        for (now, until), (later, said) in pairwise(found):
            assert now < until, "a hold lasts at least until the next tick"
            if later == now + 15.0 and said != until:
                pytest.fail(f"at {now} the hold was to end at {until}, and at {later} at {said}")


def test_pods_that_found_no_node_are_tried_again_when_it_was_said() -> None:
    found = [one for one in ends([300.0] * 60, unschedulable=1) if one[1] == "PoolUnschedulable"]
    assert found
    assert {until for _, _, until in found} == {found[0][0] + UNSCHEDULABLE_RETRY_SECONDS}


def test_replicas_that_were_decided_and_not_ordered_yet_are_not_settled() -> None:
    def progressing(**more: Any) -> tuple[str, str, str]:
        conditions = status(tracked(decision=decision(5)), {"cpu": replace(STATE, **more)}).conditions
        (found,) = [one for one in conditions if one.type == "Progressing"]
        return found.status, found.reason, found.message

    assert progressing(desired=7, ready=7) == ("True", "Scaling", "decided, and not in the Deployment yet: cpu 7 -> 5")
    assert progressing(desired=5, ready=5)[:2] == ("False", "Settled")
    assert progressing(desired=7, ready=7, autoscaler="HorizontalPodAutoscaler x")[:2] == ("False", "Settled")


def test_times_are_of_the_decision() -> None:
    why = pool_decision(held(90.0), "cpu")
    assert why.until is not None
    assert datetime.fromisoformat(why.until) == datetime.fromtimestamp(NOW.timestamp() + 330.0, UTC)


def split(*parts: CostPart, cost: float) -> Decision:
    return replace(held(), cost_parts=parts, cost_per_hour=cost)


LOAD = CostPart("Load", 5.0, "the load of 100.0/s")
HELD_UNTIL = CostPart("Guard", 2.0, "cpu: 2 more than planned", "cpu", "NeededAgainSoon", "until it is not", 240.0)
HELD_WHILE = CostPart("Guard", -1.0, "cpu: 1 fewer than planned", "cpu", "PoolUnschedulable", "until they find a node")


def test_what_the_cost_is_for_is_told_with_its_end_and_adds_up() -> None:
    found = status(tracked(decision=split(LOAD, HELD_UNTIL, HELD_WHILE, cost=6.0)), {"cpu": SEVEN})
    assert as_object(found)["costParts"][1:] == [
        {"part": "Guard", "costPerHour": "2.00", "message": "cpu: 2 more than planned (NeededAgainSoon)",
         "until": "2026-01-02T03:08:05Z"},
        {"part": "Guard", "costPerHour": "-1.00",
         "message": "cpu: 1 fewer than planned until they find a node (PoolUnschedulable)"},
    ]  # fmt: skip
    story = told(found).splitlines()
    assert story[story.index("  6.00 an hour, of which") :][1:4] == [
        "     5.00  the load of 100.0/s",
        "     2.00  cpu: 2 more than planned (NeededAgainSoon) until 2026-01-02T03:08:05Z if nothing else changes",
        "    -1.00  cpu: 1 fewer than planned until they find a node (PoolUnschedulable)",
    ]
    record = explain(show(split(LOAD, HELD_UNTIL, HELD_WHILE, cost=6.0)))
    assert "  6.00 an hour, of which\n     5.00  the load" in record
    assert "     2.00  cpu: 2 more than planned for 240 s more if nothing else changes (NeededAgainSoon)\n" in record


def test_parts_that_move_cause_no_write() -> None:
    written = status(tracked(decision=split(LOAD, HELD_UNTIL, cost=7.0)), {"cpu": SEVEN})
    found = status(tracked(decision=split(replace(LOAD, cost_per_hour=7.0), cost=7.0)), {"cpu": SEVEN}, written=written)
    assert found.cost_parts != written.cost_parts
    assert not worth_writing(found, written)


@given(st.lists(st.floats(-3.0, 9.0).map(lambda cost: round(cost, 4)), max_size=9))
def test_what_is_shown_adds_up_to_the_cost_that_is_shown(costs: list[float]) -> None:
    total = round(sum(costs), 4)
    assert abs(sum(float(cost) for cost in shown_costs(costs)) - float(f"{total:.2f}")) < 1e-9
    assert "-0.00" not in shown_costs(costs)
