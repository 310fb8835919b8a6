"""The tick: who is left out when deciding fails, when ticks come, and what the past adds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import numpy as np
import pytest

from builders import virtual_time
from builders.deciders import decider
from recmodel.controller import decider as decider_module
from recmodel.controller.decider import QUARANTINE_TICKS
from recmodel.controller.metrics import Metrics
from recmodel.controller.tick_loop import Loop
from recmodel.core.forecast import bootstrap
from recmodel.core.types import Model, Observation, Pool, PoolObservation
from recmodel.prometheus import History

MODELS = [Model(key, 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),)) for key in ("shop/a", "shop/poison", "shop/c")]


def seen(models: Sequence[Model]) -> list[Observation]:
    return [Observation(0.0, {"cpu": PoolObservation(2, 2, rate_per_second=10.0)}) for _ in models]


def test_a_model_that_breaks_the_core_is_left_out_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    real, broken = decider_module.step, True

    def step(memory: Any, observations: Any, now: float) -> Any:
        if broken and any(model.key == "shop/poison" for model in memory.fleet.models):
            raise ZeroDivisionError("poison")
        return real(memory, observations, now)

    monkeypatch.setattr(decider_module, "step", step)
    judge = decider()
    decisions, failed = judge.decide(MODELS, seen(MODELS), 0.0)
    assert set(decisions) == {"shop/a", "shop/c"}
    assert failed == {"shop/poison": "deciding failed: ZeroDivisionError: poison"}
    for tick in range(1, QUARANTINE_TICKS):
        decisions, failed = judge.decide(MODELS, seen(MODELS), 15.0 * tick)
        assert set(failed) == {"shop/poison"}
    broken = False
    decisions, failed = judge.decide(MODELS, seen(MODELS), 15.0 * QUARANTINE_TICKS)
    assert set(decisions) == {"shop/a", "shop/poison", "shop/c"}
    assert failed == {}


def test_models_that_come_and_go_keep_their_decisions_apart() -> None:
    judge = decider()
    for models in (MODELS, MODELS[:1], MODELS[1:], []):
        decisions, failed = judge.decide(models, seen(models), 0.0)
        assert set(decisions) == {model.key for model in models}
        assert failed == {}


def test_the_past_is_taken_over_before_and_after_the_first_tick() -> None:
    seconds = np.arange(0.0, 86400.0, 300.0)
    past = {"shop/a": History(seconds, 50.0 + 40.0 * np.sin(seconds / 86400.0 * 2 * np.pi))}
    early, late, never = decider(), decider(), decider()
    early.learn(MODELS, past)
    for judge in (early, late, never):
        judge.decide(MODELS, seen(MODELS), 86400.0)
    late.learn(MODELS, past)
    forecasts = []
    for judge in (early, late, never):
        decisions, _ = judge.decide(MODELS, seen(MODELS), 86415.0)
        forecasts.append(judge._memory.forecast.season.day[0])  # type: ignore[union-attr]
        assert set(decisions) == {model.key for model in MODELS}
    known = [np.isfinite(season).mean() for season in forecasts]  # share of the day whose usual load is known
    assert min(known[:2]) > 0.9
    assert known[2] < 0.1


def test_a_later_past_touches_only_the_models_that_it_is_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "REPLAY_SECONDS", 4 * 3600.0)  # enough for errors to be learned
    seconds = np.arange(0.0, 86400.0, 60.0)
    day = History(seconds, 50.0 + 40.0 * np.sin(seconds / 86400.0 * 2 * np.pi))
    judge = decider()
    judge.learn(MODELS, {"shop/a": day})
    for i in range(20):
        judge.decide(MODELS, seen(MODELS), 86400.0 + 15.0 * i)
    before = judge._memory
    assert before is not None
    judge.learn(MODELS, {"shop/c": day, "shop/poison": History(seconds, np.full(seconds.size, np.nan))})
    after = judge._memory
    assert after is not None
    a, poison, c = range(3)
    for field in ("season.day", "season.week", "errors", "loss", "level", "climb"):
        old, new = (attrgetter(field)(memory.forecast) for memory in (before, after))
        np.testing.assert_array_equal(new[[a, poison]], old[[a, poison]], field)
    assert np.isfinite(after.forecast.season.day[c]).mean() > 0.9
    assert not np.array_equal(after.forecast.errors[c], before.forecast.errors[c])
    assert after.forecast.level[c] == before.forecast.level[c]  # what was seen since is newer than the past
    assert after.forecast.tick == before.forecast.tick
    np.testing.assert_array_equal(after.capacity.origin, before.capacity.origin)


def test_ticks_come_at_fixed_times_and_a_failing_one_does_not_end_them(caplog: pytest.LogCaptureFixture) -> None:
    times: list[float] = []

    async def tick(now: float) -> None:
        times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01 if len(times) % 2 else 0.03)
        if len(times) == 2:
            raise RuntimeError("once")

    async def run() -> None:
        work = asyncio.create_task(Loop(tick, 0.1, Metrics()).run())
        await asyncio.sleep(0.75)
        work.cancel()
        await asyncio.wait([work])

    virtual_time.run(run())
    assert [(t - times[0]) / 0.1 for t in times] == pytest.approx(range(8))  # no drift, none left out
    assert "once" in caplog.text


def test_a_loop_whose_ticks_do_not_end_is_stuck() -> None:
    async def run() -> tuple[bool, bool]:
        loop = Loop(lambda now: asyncio.sleep(60), 0.02, Metrics())
        before = loop.stuck
        work = asyncio.create_task(loop.run())
        await asyncio.sleep(0.2)
        work.cancel()
        await asyncio.wait([work])
        return before, loop.stuck

    assert virtual_time.run(run()) == (False, True)


def test_what_was_left_of_the_latency_budget_is_taken_over_and_leaves_over_a_week() -> None:
    models = [Model(key, 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),)) for key in ("shop/a", "shop/b")]
    one = PoolObservation(2, 2, rate_per_second=10.0, latency={0.1: 10.0, math.inf: 10.0})
    judge = decider()
    judge.recall("shop/a", None, 0.62)
    judge.recall("shop/b", None, None)
    # What was spent counts as earned before: 0.38 of a week, of which half has left after half a week in which nobody decides.
    for days, over, allowed in ((0.0, 0.38 * 50.4, 50.4), (3.5, 0.19 * 50.4, 0.31 * 50.4), (11.0, 0.0, 50.4)):
        now = days * 86400.0
        decisions, _ = judge.decide(models, [Observation(now, {"cpu": one})] * 2, now)
        used, other = (decisions[key].latency_budget for key in ("shop/a", "shop/b"))
        assert used is not None
        assert used.over_minutes == pytest.approx(over, rel=0.01)
        assert used.allowed_minutes == pytest.approx(allowed, rel=0.01)
        assert used.left_ratio == pytest.approx(1.0 - over / allowed, abs=0.01)
        assert other is not None
        assert other.left_ratio == 1.0


def test_what_was_left_of_the_accuracy_budget_is_taken_over() -> None:
    pools = (Pool("full", 1, 9, 1.0, accuracy_loss_ratio=0.0), Pool("light", 1, 9, 1.0, accuracy_loss_ratio=0.04))
    models = [Model(key, 0.95, 0.1, pools, accuracy_budget_ratio=0.01) for key in ("shop/a", "shop/b")]
    seen = [Observation(0.0, {p.name: PoolObservation(2, 2, rate_per_second=10.0) for p in pools}) for _ in models]
    judge = decider()
    judge.recall("shop/a", 0.62)
    judge.recall("shop/b", None)
    decisions, _ = judge.decide(models, seen, 0.0)
    assert decisions["shop/a"].accuracy_budget_left_ratio == pytest.approx(0.62)
    assert decisions["shop/b"].accuracy_budget_left_ratio == 0.0
    judge.recall("shop/a", 0.1)  # only the first load counts
    decisions, _ = judge.decide(models, seen, 15.0)
    left = decisions["shop/a"].accuracy_budget_left_ratio
    assert left is not None
    assert left > 0.5
