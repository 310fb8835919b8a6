"""The tick: gather, decide, act, for all RecModels at once, at fixed times.

A failure of one RecModel's part leaves that one out and reports it; a failure of the whole leaves everything as it
stands and is tried again at the next tick. Prometheus is asked in a thread and with a budget, so that a silent one
never stops the watches or the weights.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from recmodel.controller.metrics import Metrics
from recmodel.core.carry import stays
from recmodel.core.engine import Memory, begin, reindex, step, with_budget_left
from recmodel.core.history import take_over
from recmodel.core.types import Decision, Model, Observation
from recmodel.prometheus import (
    Asked,
    EdgeMemory,
    GatherSettings,
    History,
    ModelView,
    PrometheusClient,
    Rates,
    Readings,
    gather,
    histories,
    read_quality,
)

logger = logging.getLogger(__name__)

STUCK_TICKS = 5  # without a finished tick for so many, the process counts as stuck and is restarted
QUARANTINE_TICKS = 20


class Decider:
    """The core's memory over the ticks, and the history that it starts from. Holds no connection; every call is
    bounded.
    """

    def __init__(
        self,
        client: PrometheusClient,
        settings: GatherSettings,
        tick_seconds: float,
        span_seconds: float,
        step_seconds: float,
    ) -> None:
        self._client = client
        self._settings = settings
        self._tick_seconds = tick_seconds
        self._span_seconds = span_seconds
        self._step_seconds = step_seconds
        self._edges = EdgeMemory()  # so that a large fleet asks for the buckets around its thresholds only
        self._memory: Memory | None = None
        self._lock = threading.Lock()  # a tick decides in one thread while the past arrives in another
        self._quarantined: dict[str, int] = {}
        self._budget_left: dict[str, float] = {}  # by RecModel: what another process had left of the accuracy budget

    def gather(self, views: Sequence[ModelView], now_seconds: float) -> Readings:
        """What Prometheus says; for a thread."""
        return gather(self._client, views, now_seconds, self._settings, self._edges)

    def read_history(self, views: Sequence[ModelView], now_seconds: float) -> dict[str, History]:
        """The past of each model; for a thread. Raises ``PrometheusError``."""
        return histories(self._client, views, now_seconds, self._span_seconds, self._step_seconds, self._settings.scope)

    def recall(self, key: str, budget_left_ratio: float | None) -> None:
        """What was left of a RecModel's accuracy budget when another process decided for it; it counts from the first
        load on. None: not known, so nothing is.
        """
        self._budget_left[key] = budget_left_ratio or 0.0

    def learn(self, models: Sequence[Model], found: Mapping[str, History]) -> None:
        """Takes over the past of those models that have a whole one; all else that was learned since the start stays."""
        whole = {key: h for key, h in found.items() if not h.partial}
        known = {key: (h.seconds, h.per_second) for key, h in whole.items() if np.isfinite(h.per_second).sum() > 1}
        taught = [model for model in models if model.key in known]
        if not taught:
            return
        fresh = begin(taught, self._tick_seconds, [known[m.key] for m in taught], self._settings.rate_window_seconds)
        with self._lock:
            memory = self._memory or begin(models, self._tick_seconds, None, self._settings.rate_window_seconds)
            memory = reindex(models, memory)
            forecast = take_over(memory.forecast, fresh.forecast, stays(taught, models))
            self._memory = replace(memory, forecast=forecast)

    def quality(self, asked: Sequence[Asked], now_seconds: float) -> dict[str, dict[str, Rates]]:
        """Online quality by RecModel and pool; for a thread."""
        return read_quality(self._client, asked, now_seconds, self._settings)

    def decide(
        self, models: Sequence[Model], observations: Sequence[Observation], now_seconds: float
    ) -> tuple[dict[str, Decision], dict[str, str]]:
        """The decision of each model by key, and what is wrong with those that have none. For a thread: pure
        numbers, no waiting.
        """
        self._quarantined = {key: left - 1 for key, left in self._quarantined.items() if left > 1}
        failed = dict.fromkeys(self._quarantined, "deciding failed before; left out for some ticks")
        usable = [(m, o) for m, o in zip(models, observations, strict=True) if m.key not in self._quarantined]
        try:
            return self._step(usable, now_seconds), failed
        except Exception:
            logger.exception("deciding for %d RecModels failed; looking for the one to leave out", len(usable))
        for model, observation in usable:
            try:
                _, decisions = step(
                    begin([model], self._tick_seconds, None, self._settings.rate_window_seconds),
                    [observation],
                    now_seconds,
                )
                _ = decisions[0]
            except Exception as error:
                self._quarantined[model.key] = QUARANTINE_TICKS
                failed[model.key] = f"deciding failed: {type(error).__name__}: {error}"
        self._memory = (
            None if not failed else self._memory
        )  # nobody fails alone: the memory itself must be what is wrong
        return self._step([(m, o) for m, o in usable if m.key not in failed], now_seconds), failed

    def _step(self, usable: Sequence[tuple[Model, Observation]], now_seconds: float) -> dict[str, Decision]:
        models = tuple(model for model, _ in usable)
        with self._lock:
            return self._locked_step(models, [observation for _, observation in usable], now_seconds)

    def _locked_step(
        self, models: tuple[Model, ...], observations: Sequence[Observation], now_seconds: float
    ) -> dict[str, Decision]:
        memory = self._memory
        if memory is None:
            memory = begin(models, self._tick_seconds, None, self._settings.rate_window_seconds)
        elif memory.fleet.models != models:
            memory = reindex(models, memory)
        memory, decisions = step(with_budget_left(memory, self._budget_left), observations, now_seconds)
        result = {model.key: decisions[i] for i, model in enumerate(models)}
        self._memory = memory
        return result


class Loop:
    """Calls ``tick`` at fixed times: a late tick shifts none of the later ones, and a missed one is left out."""

    def __init__(self, tick: Callable[[float], Awaitable[None]], tick_seconds: float, metrics: Metrics) -> None:
        self._tick = tick
        self._tick_seconds = tick_seconds
        self._metrics = metrics
        self._finished_at = time.monotonic()

    @property
    def stuck(self) -> bool:
        """Whether no tick has finished for so long that only a restart may help."""
        return time.monotonic() - self._finished_at > STUCK_TICKS * self._tick_seconds

    async def run(self) -> None:
        """Ticks until cancelled."""
        due = time.monotonic()
        while True:
            started = time.monotonic()
            try:
                # Slower than this, the numbers are of no use any more: the next tick asks anew.
                async with asyncio.timeout(max(2 * self._tick_seconds, 30.0)):
                    await self._tick(time.time())
                self._finished_at = time.monotonic()
            except TimeoutError:
                self._metrics.tick_failures.inc()
                logger.error("the tick did not end in time")
            except Exception:
                self._metrics.tick_failures.inc()
                # It failed, but the loop lives: a restart would change nothing about it.
                self._finished_at = time.monotonic()
                logger.exception("the tick failed")
            self._metrics.tick.labels("whole").observe(time.monotonic() - started)
            due += self._tick_seconds
            while due <= time.monotonic():
                due += self._tick_seconds
            await asyncio.sleep(due - time.monotonic())
