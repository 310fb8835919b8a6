"""What holds for every mix of losses, budgets, traffic limits and observations: the budget, the limits, and that someone answers."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.any_model import days, examples, models
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.reindex import reindex
from recmodel.core.types import Decision, Model, Observation

losses = st.sampled_from([0.0, 0.0, 0.004, 0.01, 0.04, 0.04, 1.0, None])
limits = st.sampled_from([1.0, 1.0, 0.0, 0.01, 0.25, 0.5])


@st.composite
def budgeted(draw: st.DrawFn) -> Model:
    model = draw(models())
    allowed = limits if draw(st.booleans()) else st.just(1.0)
    pools = tuple(
        replace(pool, accuracy_loss_ratio=draw(losses), traffic_limit_ratio=draw(allowed), version="v1")
        for pool in model.pools
    )
    return replace(model, pools=pools, accuracy_budget_ratio=draw(st.sampled_from([0.01, 0.01, 0.05, 0.0, None])))


def settled(model: Model, observation: Observation, decision: Decision) -> dict[str, float]:
    """The weights of the pools of which something is ready and stays."""
    staying = {name: min(seen.ready, decision.pools[name].replicas) for name, seen in observation.pools.items()}
    return {pool.name: decision.pools[pool.name].weight for pool in model.pools if staying[pool.name] > 0}


@given(st.data())
@examples
def test_budget_and_limits_hold_wherever_anyone_else_can_answer(data: st.DataObject) -> None:
    model = data.draw(budgeted())
    memory = begin([model])
    for observation in data.draw(days(model, ticks=12)):
        memory, decisions = step(memory, [observation], observation.time_seconds)
        decision, pools = decisions[0], {pool.name: pool for pool in model.pools}
        weights = settled(model, observation, decision)
        total = sum(weights.values())
        assert total == pytest.approx(100.0 if weights else 0.0, abs=0.01)
        free = [name for name in weights if pools[name].traffic_limit_ratio == 1.0 and weights[name] > 0]
        for name, weight in weights.items():
            if pools[name].traffic_limit_ratio == 0.0 and free:
                assert weight == pytest.approx(0.0, abs=0.01)
        measured = {name: pools[name].accuracy_loss_ratio for name in weights if weights[name] > 0}
        limited = any(pool.traffic_limit_ratio < 1.0 for pool in model.pools)
        budget = model.accuracy_budget_ratio
        within = budget is not None and any(loss is not None and loss <= budget for loss in measured.values())
        if within and budget is not None and not limited:
            assert None not in measured.values()
            if "LighterVariantsServe" not in {reason.reason for reason in decision.reasons}:
                mean = sum(weights[name] * (loss or 0.0) for name, loss in measured.items()) / total
                assert mean <= budget + 1e-4
        left = decision.accuracy_budget_left_ratio
        assert left is None or 0.0 <= left <= 1.0


@given(st.data())
@examples
def test_nothing_that_is_seen_and_no_change_of_limits_ends_the_tick(data: st.DataObject) -> None:
    model = data.draw(budgeted())
    memory = begin([model])
    for observation in data.draw(days(model, wild=True, ticks=12)):
        change = {"traffic_limit_ratio": data.draw(limits), "version": data.draw(st.sampled_from(["v1", "v2"]))}
        model = replace(model, pools=(replace(model.pools[0], **change), *model.pools[1:]))
        memory, decisions = step(reindex([model], memory), [observation], observation.time_seconds)
        for pool in model.pools:
            assert decisions[0].pools[pool.name].weight >= 0.0
            if model.acts:
                most = (
                    pool.max_replicas if model.routed else max(pool.max_replicas, observation.pools[pool.name].desired)
                )
                assert pool.min_replicas <= decisions[0].pools[pool.name].replicas <= most
