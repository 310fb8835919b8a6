"""The load of the past in the whole operator: whose is read, when, and how much at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from builders import virtual_time
from builders.operator_stage import Api, Seeing, operated, recmodel
from recmodel.api.v1alpha1 import Metrics as SpecMetrics
from recmodel.controller import history_loader
from recmodel.controller.operator import Operator
from recmodel.core.types import Model, Pool
from recmodel.prometheus import GatherSettings, History, ModelView, PrometheusUnavailable


class Remembering(Seeing):
    """Notes whose past is asked for; Prometheus does not answer the first ``deaf`` times, and lacks a part in the next
    ``partial`` ones.
    """

    def __init__(self, deaf: int = 0, partial: int = 0) -> None:
        super().__init__(None, GatherSettings(), 1.0, 3600.0, 60.0)  # type: ignore[arg-type]
        self.asked: list[list[str]] = []
        self.deaf = deaf
        self.partial = partial

    def read_history(self, views: Sequence[ModelView], now_seconds: float) -> dict[str, History]:
        self.asked.append([view.key for view in views])
        if len(self.asked) <= self.deaf:
            raise PrometheusUnavailable("nobody answers")
        seconds = np.arange(now_seconds - 3600.0, now_seconds, 60.0)
        partial = len(self.asked) <= self.deaf + self.partial
        return {view.key: History(seconds, np.full(seconds.size, 20.0), partial) for view in views}


def test_the_past_of_models_that_come_later_is_read_once_and_together() -> None:
    judge = Remembering()

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.8)
        assert judge.asked == [["shop/feed"]]
        for name in ("late", "later"):
            operator.observe(recmodel(name=name, uid=name))
        await asyncio.sleep(2.2)
        assert judge.asked == [["shop/feed"], ["shop/late", "shop/later"]]
        operator.forget("shop/late")
        await asyncio.sleep(1.2)
        operator.observe(recmodel(name="late", uid="made again"))
        await asyncio.sleep(1.2)
        assert judge.asked[2:] == [["shop/late"]]
        assert judge._memory is not None
        assert np.isfinite(judge._memory.forecast.season.day).any(1).all()

    operated(story, judge, history_seconds=3600)


def test_a_past_that_cannot_be_read_holds_no_tick_up_and_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_loader, "RETRY_SECONDS", 1.0)
    judge = Remembering(deaf=2)

    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(1.0)
        assert operator.reconciler.models["shop/feed"].decision is not None
        assert len(judge.asked) == 1
        await asyncio.sleep(2.5)
        assert judge.asked == [["shop/feed"]] * 3

    operated(story, judge, history_seconds=3600)


def test_a_past_that_lacks_a_part_is_not_learned_and_asked_for_at_growing_intervals() -> None:
    """Virtual time: the store is away for the first four answers."""
    judge = Remembering(partial=4)
    feed, other = (ModelView("shop", name, 0.1, 0.95, SpecMetrics(), ()) for name in ("feed", "other"))
    models = [Model(view.key, 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),)) for view in (feed, other)]
    asked_at: list[float] = []

    async def run() -> None:
        known = history_loader.HistoryLoader(judge, lambda: models)
        for now in np.arange(7200.0, 7200.0 + 3600.0, 15.0):
            before = len(judge.asked)
            known.want([feed], float(now))
            if known._reading is not None:
                await known._reading
            asked_at.extend([float(now) - 7200.0] * (len(judge.asked) - before))
            if len(judge.asked) <= 4:
                assert judge._memory is None, "half of a past was learned as the season"
        known.want([feed, other], 10800.0)
        await known.first(5.0)
        if known._reading is not None:
            await known._reading

    virtual_time.run(run())
    assert asked_at == [0.0, 120.0, 360.0, 840.0, 1800.0]
    assert judge._memory is not None
    assert np.isfinite(judge._memory.forecast.season.day).any(1).all()
    assert judge.asked[-1] == ["shop/other"], "what was read whole is not asked for again"


def test_a_reading_of_the_past_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_loader, "MODELS_A_READING", 2)
    judge = Remembering()

    async def run() -> None:
        known = history_loader.HistoryLoader(judge, list)
        known.want([ModelView("shop", name, 0.1, 0.95, SpecMetrics(), ()) for name in "abcde"], 7200.0)
        await known.first(5.0)
        await known.stop()

    virtual_time.run(run())
    assert judge.asked == [["shop/a", "shop/b"], ["shop/c", "shop/d"], ["shop/e"]]
