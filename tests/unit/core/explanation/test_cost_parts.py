"""The parts of a cost add up to it, each is what it says, and none is a guess."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from builders.any_model import days, examples, models
from recmodel.core.capacity.estimate import Capacity
from recmodel.core.engine import step
from recmodel.core.explanation import cost_parts
from recmodel.core.explanation.cost_parts import split
from recmodel.core.explanation.sentences import Decisions
from recmodel.core.memory import begin
from recmodel.core.types import CostPart, Decision, Model, Observation, Pool, PoolObservation

MAY_BE_NEGATIVE = {"HeadRoom", "Mix", "Guard"}  # a load that falls, a plan that finds no more, a guard that takes away


@given(st.data())
@examples
def test_the_parts_of_any_decision_add_up_to_its_cost(data: st.DataObject) -> None:
    model = data.draw(models())
    memory = begin([model])
    price = {pool.name: pool.cost_per_hour for pool in model.pools}
    for seen in data.draw(days(model, wild=data.draw(st.booleans()), ticks=14)):
        memory, decisions = step(memory, [seen], seen.time_seconds)
        found = decisions[0]
        assert decisions.unsplit(0) == replace(found, cost_parts=())
        check_split(decisions, found)
        for name, pool in found.pools.items():
            guards = [part for part in found.cost_parts if part.pool == name]
            moved = price[name] * (pool.replicas - found.proposed_replicas[name])
            assert math.isclose(sum(part.cost_per_hour for part in guards), moved, abs_tol=1e-9)
            assert len({part.cost_per_hour > 0 for part in guards}) <= 1, "a guard that was undone has no part"
            for part in guards:
                assert part.ends is not None
                assert part.left_seconds in (None, pool.bound_left_seconds)


def check_split(decisions: Decisions, found: Decision) -> None:
    assert found.cost_per_hour is not None
    assert math.isclose(sum(part.cost_per_hour for part in found.cost_parts), found.cost_per_hour, abs_tol=1e-9)
    parts = decisions.cost.parts
    moved = (parts.moved.sum(0) * decisions.fleet.cost_per_hour).sum(1)
    known = np.isfinite(parts.planned).all(1)
    assert (known | np.isnan(parts.planned).all(1)).all()
    assert np.allclose((parts.planned.sum(1) + moved)[known], found.cost_per_hour, rtol=0, atol=1e-9)
    for part in found.cost_parts:
        assert part.part in cost_parts.PARTS
        assert part.message
        assert part.cost_per_hour > 0 or part.part in MAY_BE_NEGATIVE, part
        assert (part.part == "Guard") == (part.pool is not None) == (part.reason is not None)
    if not np.isfinite(decisions.load[0]):
        assert {part.part for part in found.cost_parts} <= {"Unknown", "Guard"}, "no number where the load is unknown"
    elif np.isfinite(decisions.proposal.per_replica[0]).any():
        assert known.all(), "load and capacity are known, so the plan is split"


@given(st.data())
@examples
def test_a_fleet_is_split_like_each_of_its_models(data: st.DataObject) -> None:
    fleet = [data.draw(models(f"shop/m{n}")) for n in range(3)]
    told = [data.draw(days(model, ticks=4)) for model in fleet]
    together = begin(fleet)
    alone = [begin([model]) for model in fleet]
    for tick in range(4):
        now = 15.0 * (tick + 1)
        together, decisions = step(together, [one[tick] for one in told], now)
        for i in range(len(fleet)):
            alone[i], (found,) = step(alone[i], [told[i][tick]], now)
            assert decisions[i].cost_parts == found.cost_parts


def served(desired: int, rate: float, start: float = 40.0) -> PoolObservation:
    return PoolObservation(
        desired, desired, 0, 1.0, start, rate, 0.0, {0.1: rate, math.inf: rate}, rate / (100.0 * max(desired, 1))
    )


def tick(*pools: Pool, rate: float = 200.0, within: float = 0.95) -> Decisions:
    """The last of some ticks in which each pool has three replicas and the same load."""
    memory = begin([Model("shop/feed", within, 0.1, pools)])
    for n in range(12):
        seen = Observation(15.0 * (n + 1), {pool.name: served(3, rate / len(pools)) for pool in pools})
        memory, decisions = step(memory, [seen], seen.time_seconds)
    return decisions


def law(each: list[float], counted: list[float]) -> Capacity:
    """A replica is believed to carry ``each`` requests/s and is counted on for ``counted``, however many there are."""
    shape = np.array([each])
    return Capacity(
        saturation=shape, sharpness=np.ones_like(shape), slack=np.zeros_like(shape), caution=np.array([counted]) / shape,
        proven=np.zeros_like(shape), limit=np.full_like(shape, np.inf), ceiling=np.full_like(shape, np.inf),
        tried_in_vain=np.full_like(shape, np.inf),
        promised=np.zeros_like(shape), untroubled=np.zeros_like(shape, bool), known=np.ones_like(shape, bool),
    )  # fmt: skip


def parts_of(decisions: Decisions, capacity: Capacity, load: float, upper: float, plan: list[int]) -> dict[str, float]:
    context = decisions.cost.context
    proposal = replace(
        context.proposal, replicas=np.array([plan]), assumed=np.zeros((1, len(plan)), bool), feasible=np.array([True])
    )
    changed = replace(
        context, capacity=capacity, load=np.array([load]), upper=np.full((1, len(plan)), upper), proposal=proposal
    )
    planned = split(changed, decisions.guarded).planned[0]
    return dict(zip(cost_parts.PLANNED, np.round(planned, 6).tolist(), strict=True))


def test_the_worked_example() -> None:
    found = parts_of(tick(Pool("cpu", 1, 9, 1.0)), law([30.0], [25.0]), 60.0, 80.0, [4])
    assert found == {
        "Load": 2.0, "HeadRoom": 0.666667, "CapacityDoubt": 0.533333, "Minimum": 0.0, "Trial": 0.0, "Rounding": 0.8, "Mix": 0.0,
    }  # fmt: skip


def test_a_minimum_costs_what_the_load_does_not_need() -> None:
    found = parts_of(tick(Pool("cpu", 5, 9, 1.0)), law([30.0], [30.0]), 60.0, 75.0, [5])
    assert (found["Load"], found["HeadRoom"], found["Minimum"], found["Rounding"]) == (2.0, 0.5, 2.5, 0.0)


def test_limits_send_the_load_to_the_dearer_pool_and_a_dearer_mix_says_so() -> None:
    two = tick(Pool("cpu", 0, 9, 1.0), Pool("gpu", 0, 2, 2.0))
    found = parts_of(two, law([20.0, 60.0], [20.0, 60.0]), 150.0, 150.0, [2, 2])
    assert (found["Load"], found["Rounding"], found["Mix"]) == (5.5, 0.5, 0.0)
    found = parts_of(two, law([20.0, 60.0], [20.0, 60.0]), 150.0, 150.0, [5, 1])
    assert (found["Load"], found["Rounding"], found["Mix"]) == (5.5, 0.5, 1.0)


@given(
    st.lists(
        st.tuples(st.sampled_from([0.5, 1.0, 2.5]), st.floats(5.0, 90.0), st.integers(0, 2)), min_size=2, max_size=2
    ),
    st.floats(1.0, 300.0),
)
@examples
def test_no_whole_mix_is_cheaper_than_the_load_and_its_rounding(
    pools: list[tuple[float, float, int]], load: float
) -> None:
    """Against all mixes: the fractions are a lower bound of them, the whole ones are one of them and nearly the cheapest."""
    most = 9
    each = [carries for _, carries, _ in pools]
    decisions = tick(*(Pool(name, low, most, price) for name, (price, _, low) in zip("ab", pools, strict=True)))
    ranges = [range(low, most + 1) for _, _, low in pools]
    able = [mix for mix in itertools.product(*ranges) if np.dot(mix, each) >= load]
    prices = [price for price, _, _ in pools]
    best = min((float(np.dot(mix, prices)) for mix in able), default=None)
    if best is None:
        return
    found = parts_of(decisions, law(each, each), load, load, [most, most])
    fractions = found["Load"] + found["Minimum"]
    whole = fractions + found["Rounding"]
    assert fractions <= best + 1e-6
    assert best - 1e-5 <= whole <= best + max(prices) + 1e-5
    assert math.isclose(whole + found["Mix"], most * sum(prices), abs_tol=1e-5)


def test_what_a_guard_undoes_has_no_part() -> None:
    proposed = np.array([[5, 5, 5]])
    steps = np.array([[[8, 5, 5]], [[6, 2, 9]], [[7, 4, 5]]])
    moved = cost_parts._moved(proposed, steps)
    assert moved[:, 0].T.tolist() == [[1, 0, 1], [0, -1, 0], [0, 0, 0]]


def story(rates: list[float], acts: bool = True) -> list[Decision]:
    """A closed loop of one pool."""
    memory, found, desired = begin([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 20, 1.5),), acts=acts)]), [], 4
    for n, rate in enumerate(rates):
        memory, (one,) = step(memory, [Observation(15.0 * (n + 1), {"cpu": served(desired, rate)})], 15.0 * (n + 1))
        found.append(one)
        desired = one.pools["cpu"].replicas if acts else desired
    return found


def named(decision: Decision, part: str) -> list[CostPart]:
    return [one for one in decision.cost_parts if one.part == part]


def test_what_is_held_says_until_when_and_costs_what_it_holds() -> None:
    timed = [
        part for one in story([300.0] * 60 + [120.0] * 20) for part in named(one, "Guard")
        if part.reason == "NeededAgainSoon" and part.left_seconds is not None
    ]  # fmt: skip
    assert timed
    assert all(part.cost_per_hour >= 1.5 and part.left_seconds >= 15.0 for part in timed if part.left_seconds)
    assert timed[0].message.startswith("cpu: ")
    assert "more than planned" in timed[0].message


def test_an_unknown_load_is_no_number() -> None:
    memory, decisions = begin([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 20, 1.5),))]), None
    for n in range(20):
        seen = served(4, 200.0) if n < 15 else PoolObservation(4, 4)
        memory, decisions = step(memory, [Observation(15.0 * (n + 1), {"cpu": seen})], 15.0 * (n + 1))
    assert decisions is not None
    found = decisions[0]
    assert named(found, "Unknown")
    assert "the load is unknown" in named(found, "Unknown")[0].message
    assert not named(found, "Load")
    assert sum(part.cost_per_hour for part in found.cost_parts) == found.cost_per_hour


def test_a_mode_that_does_not_act_shows_what_it_would_save() -> None:
    found = story([60.0] * 80, acts=False)[-1]
    assert found.cost_per_hour == 6.0
    (kept,) = [part for part in named(found, "Guard") if part.reason == "ModeRecommend"]
    assert kept.cost_per_hour > 0
    assert kept.ends == "until the mode is Auto, the operator may act, and nobody else scales or releases a pool"


def test_free_replicas_have_no_parts() -> None:
    assert tick(Pool("cpu", 1, 9, 0.0))[0].cost_parts == ()
