"""What KEDA is told of a pool: the number that mode Auto would set, and a sentence in its place where that is not known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from builders.status_scene import NOW, SPEC, decision, reading, tracked
from recmodel.core.types import Decision, PoolDecision, Reason
from recmodel.report.scaler_answer import Withheld, answer, oldest_seconds

AT = NOW.timestamp()


def decided(acting: int, runs: int = 3) -> Decision:
    """In mode Recommend: what runs stays, and beside it stands what mode Auto would set."""
    return replace(decision(), pools={"cpu": PoolDecision(runs, 1.0)}, acting_replicas={"cpu": acting})


def told(pool: str = "cpu", now: float = AT, **facts: Any) -> int | Withheld:
    spec = facts.pop("spec", SPEC.model_copy(update={"mode": "Recommend"}))
    return answer(tracked(spec=spec, **facts).snapshot(), pool, now, 60.0)


@pytest.mark.parametrize("acting", [0, 1, 3, 40])
def test_the_number_is_what_mode_auto_would_set_and_not_what_the_plan_wants_in_the_end(acting: int) -> None:
    assert told(decision=replace(decided(acting), proposed_replicas={"cpu": 2})) == acting


@pytest.mark.parametrize(
    ("facts", "missing", "said"),
    [
        ({"spec": None}, False, "has no valid spec"),
        ({"pool": "gpu"}, True, "RecModel shop/feed has no pool gpu; it has cpu"),
        ({"spec": SPEC.model_copy(update={"mode": "Paused"})}, False, "is in mode Paused: set mode: Recommend"),
        ({"decision": None}, False, "nothing was decided for RecModel shop/feed yet"),
        (
            {"decision": None, "undecided": Reason("DecidingFailed", "its metrics are odd")},
            False,
            "nothing was decided for RecModel shop/feed yet: its metrics are odd",
        ),
        ({"decision": decision()}, False, "nothing was decided"),  # by an engine that says nothing of mode Auto
        ({"now": AT + 61.0}, False, "the last decision for RecModel shop/feed is 61 s old, and at most 60 s are good"),
        ({"now": AT - 61.0}, False, "is -61 s old"),
        ({"reading": reading(rate=None)}, False, "the load of RecModel shop/feed is not known: said so"),
        ({"reading": None}, False, "Prometheus was not asked"),
    ],
)
def test_what_is_not_known_is_a_sentence_and_never_a_number(facts: dict[str, Any], missing: bool, said: str) -> None:
    found = told(**{"decision": decided(3), **facts})
    assert isinstance(found, Withheld)
    assert said in found.message
    assert found.missing == missing


def test_without_a_load_only_growth_is_known_as_mode_auto_does_it() -> None:
    """replicas.min, or a season that is known: else a pool without replicas would never start, since nothing measures it."""
    blind = reading(rate=None)
    assert told(decision=decided(4, runs=3), reading=blind) == 4
    for acting in (3, 2, 0):
        assert isinstance(told(decision=decided(acting, runs=3), reading=blind), Withheld)


def test_a_decision_is_good_for_a_few_ticks() -> None:
    assert [oldest_seconds(tick) for tick in (1.0, 15.0, 300.0)] == [30.0, 60.0, 1200.0]
    assert told(decision=decided(5), now=AT + 60.0) == 5
