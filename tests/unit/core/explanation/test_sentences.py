"""No sentence of a decision is false: each is compared with the numbers that it was made from."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.any_model import days, examples, models
from recmodel.core import reasons
from recmodel.core.engine import step
from recmodel.core.explanation.sentences import Decisions
from recmodel.core.memory import begin
from recmodel.core.plan.causes import BY_CODE, Cause
from recmodel.core.types import Model, Observation, Pool, PoolObservation

MOVED = re.compile(r"^(\w+): the plan wanted (\d+), (\d+) run, (\d+) decided \((.*)\)$")
WHAT_RUNS_STAYS = {Cause.NEVER_REQUESTED, Cause.NEVER_KNOWN, Cause.BLIND_KEEPS, Cause.RATE_DOUBTED}
RELEASE_WAITS = {
    Cause.NOT_ALL_READY, Cause.NOT_ALL_WARM, Cause.WINDOW_HOLDS_CHANGE, Cause.LATENESS_UNKNOWN, Cause.NO_LOAD_PROVEN,
}  # fmt: skip
STAYS_FOR_OTHERS = {Cause.STAYING_TOO_FEW, Cause.STAYING_COLD, Cause.NOBODY_STAYS}


def check(model: Model, observation: Observation, ready_before: dict[str, int], decisions: Decisions) -> None:
    decision, guarded = decisions[0], decisions.guarded
    for reason in decision.reasons:
        assert not re.search(r"\bnan\b|\binf\b|None|\{", reason.message), reason
        assert reason.reason in (reasons.METRICS_MISSING, reasons.NO_READY_POOL) or "unknown for" not in reason.message
    for k, pool in enumerate(model.pools):
        said = [
            match for reason in decision.reasons if (match := MOVED.match(reason.message)) and match[1] == pool.name
        ]
        code, before, decided = int(guarded.why[0, k]), int(guarded.before[0, k]), decision.pools[pool.name].replicas
        assert len(said) == (code > 0), "one sentence for each number that a guard moved"
        seen = observation.pools[pool.name]
        if not code:
            assert decided == decision.proposed_replicas[pool.name]
            continue
        figures = (decision.proposed_replicas[pool.name], seen.desired, decided)
        assert tuple(int(said[0][n]) for n in (2, 3, 4)) == figures
        check_cause(BY_CODE[code], pool, seen, before, decided, decisions, ready_before.get(pool.name))
    names = {reason.reason for reason in decision.reasons}
    full = all(decision.pools[pool.name].replicas >= pool.max_replicas for pool in model.pools)
    assert (reasons.AT_MAXIMUM in names) == full, "what pages says that every pool is full"


def check_cause(
    cause: Cause,
    pool: Pool,
    seen: PoolObservation,
    before: int,
    decided: int,
    decisions: Decisions,
    ready_before: int | None,
) -> None:
    desired, load = seen.desired, float(decisions.load[0])
    assert before != decided
    if cause in WHAT_RUNS_STAYS:  # also where a guard before it asked for more than the pool's maximum
        assert decided == desired
    if cause in RELEASE_WAITS:  # of those without a node none waits, where fewer are wanted than have one
        placed = min(max(seen.ready, desired - (seen.unschedulable or 0)), desired)
        assert before < decided == (placed if before < placed else desired)
    if cause in STAYS_FOR_OTHERS or cause == Cause.LATE_NOW:
        assert before < decided == desired
    if cause == Cause.NOT_ALL_READY:
        assert seen.ready != desired
    if cause == Cause.LATENESS_UNKNOWN:
        assert not math.isfinite(
            decisions.failing.seen.late_upper_ratio[
                0, [p.name for p in decisions.fleet.models[0].pools].index(pool.name)
            ]
        )
    if cause == Cause.NOT_ALL_WARM:
        assert pool.warm_up_seconds > 0.0
    if cause in (Cause.STAYING_TOO_FEW, Cause.STAYING_COLD):
        assert load > 0.0
        assert decisions.seen.warming.any() == (cause == Cause.STAYING_COLD)
    if cause in (Cause.NEVER_REQUESTED, Cause.NEVER_KNOWN, Cause.BLIND_KEEPS, Cause.BLIND_GROWS_LITTLE):
        assert math.isnan(load)
    if cause in (Cause.RATE_DOUBTED, Cause.DOUBTED_GROWS_LITTLE):
        assert math.isnan(load)
        assert math.isfinite(decisions.doubted[0])
    if cause == Cause.BELOW_MINIMUM:
        assert before < pool.min_replicas == decided
    if cause == Cause.ABOVE_MAXIMUM:
        assert before > pool.max_replicas == decided
    if cause == Cause.ON_TRIAL:
        assert before == 0 < decided == 1
        assert pool.traffic_limit_ratio < 1.0
    if cause == Cause.PODS_WAIT:
        assert (seen.unschedulable or 0) > 0
        assert decided < before
    if cause in (Cause.ORDERED_ELSEWHERE, Cause.KEPT_ELSEWHERE):
        assert not decisions.seen.ready.any()
        assert before == 0 < decided == 1
        assert (desired > 0) == (cause == Cause.KEPT_ELSEWHERE)
        assert decisions.seen.unschedulable.any() or decisions.given_up.any()
    if cause == Cause.LATE_THOUGH_READY:
        assert decided >= max(seen.ready, before + 1)
    if cause in (Cause.NOT_FILLED, Cause.CAPACITY_UNKNOWN, Cause.GROWTH_BOUNDED, Cause.GROWN_IN_VAIN):
        assert decided < before
    if cause == Cause.NOT_ACTING:
        assert not decisions.fleet.acts[0]
        assert decided == desired


@given(st.data())
@examples
def test_no_sentence_contradicts_the_numbers_that_it_was_made_from(data: st.DataObject) -> None:
    model = data.draw(models())
    memory, ready = begin([model]), {}
    for observation in data.draw(days(model, wild=data.draw(st.booleans()), ticks=14)):
        memory, decisions = step(memory, [observation], observation.time_seconds)
        check(model, observation, ready, decisions)
        ready = {name: seen.ready for name, seen in observation.pools.items()}


def story(pool: Pool, seen: PoolObservation, ticks: int = 12, *others: tuple[Pool, PoolObservation]) -> Decisions:
    pools = ((pool, seen), *others)
    memory = begin([Model("shop/feed", 0.95, 0.1, tuple(one for one, _ in pools))])
    for tick in range(ticks):
        observed = {one.name: observation for one, observation in pools}
        memory, decisions = step(memory, [Observation(15.0 * (tick + 1), observed)], 15.0 * (tick + 1))
    return decisions


def test_replicas_that_are_added_for_late_requests_have_that_reason() -> None:
    """While the plan wants no more than runs: else it is the forecast, at a capacity that was learned to be smaller."""
    memory, runs, first = begin([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 20, 1.0),))]), 4, set()
    for tick in range(1, 30):
        latency = {0.1: 99.0 if tick < 20 else 80.0, math.inf: 100.0}
        seen = PoolObservation(runs, runs, 0, 1000.0, 20.0, 100.0, 0.0, latency)
        memory, decisions = step(memory, [Observation(15.0 * tick, {"cpu": seen})], 15.0 * tick)
        decided, planned = int(decisions.replicas[0, 0]), int(decisions.proposal.replicas[0, 0])
        if decided > runs >= planned:
            first.add(decisions[0].reasons[0].reason)
        runs = decided
    assert first == {reasons.OBJECTIVE_AT_RISK}


def test_a_raise_to_the_minimum_pages_nobody() -> None:
    seen = PoolObservation(0, 0, unschedulable=0, rate_per_second=0.0)
    found = story(Pool("cpu", 2, 9, 1.0), seen)[0]
    assert reasons.AT_MAXIMUM not in {reason.reason for reason in found.reasons}


def test_a_pool_on_trial_is_kept_by_the_trial_and_not_by_a_minimum_that_nobody_wrote() -> None:
    served = PoolObservation(2, 2, 0, 100.0, 20.0, 5.0, 0.0, {0.1: 5.0, math.inf: 5.0})
    idle = PoolObservation(0, 0, 0, 0.0, 20.0, 0.0, 0.0)
    trial = (Pool("next", 0, 4, 9.0, traffic_limit_ratio=0.1), idle)
    found = story(Pool("cpu", 1, 9, 1.0), served, 12, trial)[0]
    assert found.pools["next"].replicas == 1
    assert all("its minimum" not in reason.message for reason in found.reasons)


@pytest.mark.parametrize("cause", list(Cause), ids=lambda cause: cause.name)
def test_each_cause_has_a_code_of_its_own_and_a_sentence_that_can_be_filled(cause: Cause) -> None:
    assert BY_CODE[cause.code] is cause
    assert cause.code > 0
    cause.sentence.format(before=1, desired=2, ready=3, warming=1, unschedulable=4, minimum=5, maximum=6, load=7.0)
    assert cause.ends.format(minimum=5, maximum=6).startswith(("until ", "while "))
