"""No sentence of a decision is false: each is compared with the numbers that it was made from, over whole stories of fleets."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Generator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from builders.any_model import days, examples, models
from builders.sentence_checks import CHECKS, check
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation

TICKS, STORIES = 160, 16


def any_pools(random: np.random.Generator) -> tuple[Pool, ...]:
    return tuple(
        Pool(
            name,
            int(random.integers(0, 3)),
            int(random.integers(3, 30)),
            float(random.choice([0.5, 1.0, 2.5])),
            accuracy_loss_ratio=loss,
        )
        for name, loss in (("cpu", 0.0), ("gpu", 0.03), ("spot", 0.02))[: random.integers(1, 4)]
    )


def story(random: np.random.Generator, pools: tuple[Pool, ...]) -> Generator[Observation, Decision]:
    """A model in a closed loop: jumps, near silence, lateness by load and without one, blindness, pods without a node."""
    each = {pool.name: float(random.uniform(20, 120)) for pool in pools}
    desired = {pool.name: max(pool.min_replicas, 2) for pool in pools}
    ready, weight = dict(desired), {pool.name: 1.0 for pool in pools}
    mean = float(random.uniform(0.2, 3.0)) * max(each.values()) * len(pools)
    for tick in range(TICKS):
        if random.random() < 0.03:
            mean *= float(random.choice([0.02, 0.3, 2.5, 8.0]))
        state = random.random()
        load = float(random.poisson(mean * 60) / 60)
        seen, requested = {}, tick > 2 or len(pools) > 1
        for pool in pools:
            name = pool.name
            ready[name] = max(0, min(desired[name], ready[name] + int(random.integers(0, 3))) - int(state > 0.98))
            answering = {n: weight[n] * (ready[n] > 0) for n in weight}
            rate = load * answering[name] / max(sum(answering.values()), 1e-9)
            busy = rate / max(each[name] * ready[name], 1e-9)
            late = 1.0 if busy > 1 else 0.4 if tick % 60 < 6 else max(0.0, busy - 0.8)
            known = state > 0.06 and requested
            seen[name] = PoolObservation(
                desired[name], ready[name], int(tick % 50 < 12 and ready[name] < desired[name]), weight[name],
                200.0 if name == "gpu" else 45.0, rate if known else None, 0.0 if known else None,
                {0.1: rate * (1 - late), math.inf: rate} if known else None, min(busy, 1.0), None,
            )  # fmt: skip
        decision = yield Observation(15.0 * (tick + 1), seen, requested)
        desired = {name: pool.replicas for name, pool in decision.pools.items()}
        weight = {name: pool.weight for name, pool in decision.pools.items()}


def test_in_stories_of_a_fleet_each_sentence_agrees_with_its_numbers() -> None:
    random = [np.random.default_rng(seed) for seed in range(STORIES)]
    fleet = [
        Model(
            f"shop/{n}", 0.95, 0.1, any_pools(own), acts=n % 8 != 5, accuracy_budget_ratio=0.01 if n % 4 == 3 else None
        )
        for n, own in enumerate(random)
    ]
    stories = [story(own, model.pools) for own, model in zip(random, fleet, strict=True)]
    memory, found = begin(fleet, 15.0), Counter[str]()
    seen = [next(one) for one in stories]
    for tick in range(1, TICKS + 1):
        memory, decisions = step(memory, seen, 15.0 * tick)
        for model, observed, decision in zip(fleet, seen, decisions, strict=True):
            found.update(check(model, observed, decision))
        if tick < TICKS:
            seen = [one.send(decision) for one, decision in zip(stories, decisions, strict=True)]
    missing = (
        set(CHECKS)
        - set(found)
        - {"RateImplausible", "ScalingInFlight", "LastReadyReplica", "PodsWarming", "PoolLeaving"}
    )
    assert not missing, "the stories are too tame to show anything of these"


@given(st.data())
@examples
def test_whatever_was_observed_no_sentence_contradicts_it(data: st.DataObject) -> None:
    model = data.draw(models())
    memory = begin([model], 15.0)
    for seen in data.draw(days(model, wild=data.draw(st.booleans()))):
        memory, decisions = step(memory, [seen], seen.time_seconds)
        for reason in decisions[0].reasons:
            assert not re.search(r"\b(nan|inf)\b", reason.message), reason.message
        list(check(model, seen, decisions[0]))
