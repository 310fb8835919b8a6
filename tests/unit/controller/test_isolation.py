"""What fails for one RecModel, at any stage of a tick, leaves out that one; what the others have learned stays."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from builders.deciders import decider
from builders.operator_stage import Api, Seeing, operated, recmodel
from recmodel.api.v1alpha1 import Quality, Series
from recmodel.cluster import names
from recmodel.controller import decider as decider_module
from recmodel.controller import tick as tick_module
from recmodel.controller.decider import QUARANTINE_TICKS, Decider
from recmodel.controller.metrics import Metrics
from recmodel.controller.operator import Operator
from recmodel.controller.reference_watch import ReferenceWatch
from recmodel.controller.registry import Registry
from recmodel.controller.reporter import Reporter
from recmodel.core.memory import Memory
from recmodel.core.types import Model, Observation, Pool, PoolObservation
from recmodel.prometheus import Asked, GatherSettings, History, ModelView, Rates, Readings

POISON = "shop/poison"


def poisoned(work: Any, key: Callable[..., str]) -> Any:
    """``work``, which fails for one RecModel."""

    def fails(*given: Any, **named: Any) -> Any:
        if key(*given) == POISON:
            raise ValueError("poison")
        return work(*given, **named)

    return fails


STAGES = {
    "what is known of it": (ReferenceWatch, "missing", lambda watch, tracked: tracked.key),
    "the records": (
        Registry,
        "learn",
        lambda registry, tracked: tracked.key if tracked.desired.generation == 2 else "",
    ),
    "the query": (tick_module, "model_view", lambda tracked, *_: tracked.key),
    "the model": (tick_module, "core_model", lambda tracked, *_: tracked.key),
    "the observation": (tick_module, "observation", lambda tracked, *_: tracked.key),
    "the rollout": (tick_module, "limits", lambda spec, serving, trials: POISON if spec.pools[0].name == "odd" else ""),
    "the metrics": (Metrics, "decided", lambda metrics, tracked, *_: tracked.key),
    "the report": (Reporter, "report", lambda reporter, tracked, *_: tracked.key),
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_failure_at_any_stage_leaves_out_that_model_only_and_is_said(
    stage: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    where, name, key = STAGES[stage]

    async def story(operator: Operator, api: Api) -> None:
        bad = recmodel(name="poison", uid="p", generation=2)
        bad["spec"]["pools"][0]["name"] = "odd"
        operator.observe(recmodel())
        operator.observe(bad)
        operator.listed()
        await asyncio.sleep(0.4)
        monkeypatch.setattr(where, name, poisoned(getattr(where, name), key))
        await asyncio.sleep(2.0)
        good, broken = operator.reconciler.models["shop/feed"], operator.reconciler.models[POISON]
        assert good.decision is not None
        assert good.decided.undecided is None
        value = operator._metrics.registry.get_sample_value
        assert value("recmodel_tick_failures_total") == 0.0
        assert value("recmodel_quarantined") == 1.0
        if stage == "the report":
            assert "shop/poison: its status cannot be made" in caplog.text
        else:
            assert broken.decided.undecided is not None
            assert broken.decided.undecided.message.endswith("failed: ValueError: poison")
            assert "shop/poison is left out of the tick" in caplog.text

    operated(story)


class Halving(Decider):
    """A decider over the real gathering's place in the code, whose Prometheus is a function."""

    def __init__(self) -> None:
        super().__init__(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]


def test_a_model_that_breaks_the_gathering_or_the_past_takes_nothing_from_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keys = [f"shop/{n}" for n in range(5)] + [POISON] + [f"shop/{n}" for n in range(5, 9)]
    seconds = np.arange(0.0, 86400.0, 300.0)
    seeing = Seeing(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]

    def gather(client: Any, views: Sequence[ModelView], now: float, *_: Any) -> Readings:
        if POISON in [view.key for view in views]:
            raise KeyError("le")
        return seeing.gather(views, now)

    def histories(client: Any, views: Sequence[ModelView], *_: Any) -> dict[str, History]:
        if POISON in [view.key for view in views]:
            raise IndexError("grid")
        return {view.key: History(seconds, 50.0 + 40.0 * np.sin(seconds)) for view in views}

    monkeypatch.setattr(decider_module, "gather", gather)
    monkeypatch.setattr(decider_module, "histories", histories)
    views = [ModelView("shop", key.split("/")[1], 0.1, 0.95, None, ()) for key in keys]  # type: ignore[arg-type]
    judge = Halving()
    others = set(keys) - {POISON}
    assert set(judge.gather(views, 0.0).models) == others
    found = judge.read_history(views, 0.0)
    assert set(found) == others
    models = [Model(key, 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),)) for key in keys]
    backwards = History(seconds[::-1], np.full(seconds.size, 10.0 + 0j))  # type: ignore[arg-type]
    judge.learn(models, {**found, POISON: backwards})
    assert judge._memory is not None
    learned = np.isfinite(judge._memory.forecast.season.day).any(1)
    assert {key for key, knows in zip(keys, learned, strict=True) if knows} >= others
    _, failed = judge.decide(models, [Observation(0.0, {}) for _ in models], 0.0)
    assert failed == {POISON: "asking for its metrics failed: KeyError: 'le'"}


def test_a_model_that_breaks_the_online_quality_takes_nothing_from_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def read(client: Any, asked: Sequence[Asked], *_: Any) -> dict[str, dict[str, Rates]]:
        if POISON in [one.key for one in asked]:
            raise KeyError("pool")
        return {one.key: {"cpu": Rates(1.0, 10.0)} for one in asked}

    monkeypatch.setattr(decider_module, "read_quality", read)
    wanted = Quality(successes=Series(name="clicks"), trials=Series(name="shown"))
    asked = [Asked("shop", name, wanted) for name in ("a", "b", "poison", "c")]
    assert Halving().quality(asked, 0.0).keys() == {"shop/a", "shop/b", "shop/c"}
    assert f"{POISON}: its online quality cannot be read" in caplog.text


def fleet(count: int) -> tuple[list[Model], list[Observation]]:
    models = [Model(f"shop/{n}", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),)) for n in range(count)]
    seen = [Observation(0.0, {"cpu": PoolObservation(2, 2, rate_per_second=10.0 + n)}) for n in range(count)]
    return models, seen


def known_of(memory: Memory, key: str) -> list[Any]:
    """What a memory knows of a RecModel, as plain arrays."""
    row = [model.key for model in memory.fleet.models].index(key)
    return [
        memory.forecast.level[row],
        memory.forecast.known_ticks[row],
        memory.pods.seen_at[row],
        memory.pods.readies[:, row],
    ]


@pytest.mark.parametrize("broken", [["shop/3"], ["shop/0", "shop/12"], [f"shop/{n}" for n in range(13)]])
def test_only_the_broken_rows_of_the_memory_start_empty(broken: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    models, seen = fleet(13)
    judge = decider()
    for tick in range(5):
        judge.decide(models, seen, 15.0 * tick)
    assert judge._memory is not None
    rows = [[model.key for model in models].index(key) for key in broken]
    startup = judge._memory.pods.startup_seconds.copy()
    startup[rows] = -7.0  # never a start-up time: what the rest of the code meets is a value that it cannot bear
    pods = dataclasses.replace(judge._memory.pods, startup_seconds=startup)
    judge._memory = dataclasses.replace(judge._memory, pods=pods)
    real = decider_module.step

    def step(memory: Memory, observations: Any, now: float) -> Any:
        if (memory.pods.startup_seconds < 0).any():
            raise FloatingPointError("a broken row")
        return real(memory, observations, now)

    monkeypatch.setattr(decider_module, "step", step)
    decisions, failed = judge.decide(models, seen, 75.0)
    assert failed == {}
    assert set(decisions) == {model.key for model in models}
    assert judge._memory is not None
    assert judge._memory.pods.tick == 6
    for model in models:
        ticks = known_of(judge._memory, model.key)[1]
        assert ticks == (1 if model.key in broken else 6), model.key
    assert set(judge.decide(models, seen, 90.0)[0]) == {model.key for model in models}  # and it is whole again


def test_a_broken_row_costs_no_tick_while_another_model_is_quarantined(monkeypatch: pytest.MonkeyPatch) -> None:
    models, seen = fleet(6)
    judge = decider()
    judge.decide(models, seen, 0.0)
    real = decider_module.step

    def step(memory: Memory, observations: Any, now: float) -> Any:
        if any(model.key == "shop/1" for model in memory.fleet.models) or (memory.pods.startup_seconds < 0).any():
            raise FloatingPointError("broken")
        return real(memory, observations, now)

    monkeypatch.setattr(decider_module, "step", step)
    decisions, failed = judge.decide(models, seen, 15.0)
    assert (len(decisions), list(failed)) == (5, ["shop/1"])
    assert judge._memory is not None
    startup = judge._memory.pods.startup_seconds.copy()
    startup[2] = -7.0
    pods = dataclasses.replace(judge._memory.pods, startup_seconds=startup)
    judge._memory = dataclasses.replace(judge._memory, pods=pods)
    for tick in range(2, QUARANTINE_TICKS):
        decisions, failed = judge.decide(models, seen, 15.0 * tick)
        assert (len(decisions), list(failed)) == (5, ["shop/1"]), tick


def test_who_was_left_out_comes_back_with_what_it_knew_and_who_is_gone_does_not() -> None:
    models, seen = fleet(3)
    judge = decider()
    for tick in range(4):
        judge.decide(models, seen, 15.0 * tick)
    judge.decide(models[:1], seen[:1], 60.0)
    assert judge._memory is not None
    assert [model.key for model in judge._memory.fleet.models] == ["shop/0"]
    judge.forget("shop/2")
    judge.decide(models, seen, 75.0)
    assert judge._memory is not None
    assert judge._memory.pods.tick == 6
    assert [int(known_of(judge._memory, model.key)[1]) for model in models] == [6, 5, 1]
    judge.forget("shop/0")  # while it is in the memory itself
    judge.decide(models, seen, 90.0)
    assert judge._memory is not None
    assert [int(known_of(judge._memory, model.key)[1]) for model in models] == [1, 6, 2]


def test_an_event_of_a_pod_clears_nothing_that_deciding_failed_at(monkeypatch: pytest.MonkeyPatch) -> None:
    def step(memory: Memory, observations: Any, now: float) -> Any:
        raise ZeroDivisionError("poison")

    def pod(phase: str) -> dict[str, Any]:
        labels = {names.MODEL_LABEL: "feed", names.POOL_LABEL: "cpu"}
        metadata = {"namespace": "shop", "name": "feed-cpu-0", "uid": "pod", "labels": labels, "resourceVersion": ""}
        metadata["creationTimestamp"] = "2026-01-01T00:00:00Z"
        condition = {"type": "Ready", "status": phase, "lastTransitionTime": "2026-01-01T00:00:05Z"}
        return {"metadata": metadata, "status": {"conditions": [condition]}}

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.8)
        tracked = operator.reconciler.models["shop/feed"]
        for phase in ("True", "False", "True"):
            operator.inventory.see(names.POD, "MODIFIED", pod(phase))
            await asyncio.sleep(0.1)
            assert tracked.decided.undecided is not None
            ready = api.status["conditions"][0]
            assert (ready["status"], ready["reason"]) == ("False", "DecidingFailed")
        assert tracked.applied.failed is None

    monkeypatch.setattr(decider_module, "step", step)
    operated(story)
