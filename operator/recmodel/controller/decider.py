"""The tick: gather, decide, act, for all RecModels at once, at fixed times.

A failure of one RecModel's part leaves that one out and reports it; a failure of the whole leaves everything as it
stands and is tried again at the next tick. Prometheus is asked in a thread and with a budget, so that a silent one
never stops the watches or the weights.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from recmodel.controller.isolation import halved, joined, problem, recalled
from recmodel.core.arrays.carry_over import carry, stays
from recmodel.core.engine import step
from recmodel.core.forecast.bootstrap import take_over
from recmodel.core.kept import KeptModel, keep, with_kept
from recmodel.core.memory import Memory, begin
from recmodel.core.reindex import reindex, with_budget_left
from recmodel.core.types import Decision, Model, Observation
from recmodel.prometheus import (
    Asked,
    EdgeMemory,
    GatherSettings,
    History,
    ModelView,
    PrometheusClient,
    PrometheusError,
    RateMemory,
    Rates,
    Readings,
    gather,
    histories,
    read_quality,
)

logger = logging.getLogger(__name__)

QUARANTINE_TICKS = 20
KEPT_AT_ONCE = 1000  # models of which what is kept is read at a time: 10 KiB each, once it is unpacked

Kept = Callable[[float], KeptModel | None]  # given the time
Decidable = tuple[Model, Observation]
Decided = tuple[Memory, dict[str, Decision]]


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
        self._rates = RateMemory()  # so that an absurd rate is seen to be one
        self._memory: Memory | None = None
        self._lock = threading.Lock()  # a tick decides in one thread while the past arrives in another
        self._parked: dict[str, Memory] = {}  # by RecModel: what is known of one that is left out just now
        self._gone: set[str] = set()  # forgotten since the last tick
        self._quarantined: dict[str, tuple[int, str]] = {}  # ticks that are left, and why
        self._unasked: set[str] = set()  # of those, the ones that Prometheus is not asked for either
        self._budget_left: dict[
            str, float
        ] = {}  # by RecModel: what another process had left of the accuracy budget ...
        self._latency_budget_left: dict[str, float] = {}  # ... and of the latency budget
        self._kept: dict[str, Kept] = {}  # by RecModel: what another process had learned, for the next tick

    def gather(self, views: Sequence[ModelView], now_seconds: float) -> Readings:
        """What Prometheus says; for a thread. A RecModel that breaks the gathering has no reading, and is left out for
        some ticks.
        """

        def ask(some: Sequence[ModelView]) -> Readings:
            return gather(self._client, some, now_seconds, self._settings, self._edges, self._rates)

        def alone(view: ModelView, error: Exception) -> None:
            logger.error("%s: gathering its metrics failed", view.key, exc_info=error)
            self._quarantined[view.key] = QUARANTINE_TICKS, problem("asking for its metrics", error)
            self._unasked.add(view.key)

        here = [view for view in views if view.key not in self._gone]  # of those of the same name nothing is known yet
        self._rates.keep({(view.key, pool.name) for view in here for pool in view.pools})
        self._unasked &= self._quarantined.keys()
        parts = halved(ask, [view for view in views if view.key not in self._unasked], alone)
        if len(parts) == 1:
            return parts[0]
        return Readings(
            now_seconds,
            {key: reading for part in parts for key, reading in part.models.items()},
            gateway=next((part.gateway for part in parts if part.gateway is not None), None),
            error=next((part.error for part in parts if part.error is not None), None),
            queries=sum(part.queries for part in parts),
            seconds=sum(part.seconds for part in parts),
        )

    def read_history(self, views: Sequence[ModelView], now_seconds: float) -> dict[str, History]:
        """The past of each model that can be read; for a thread. Raises ``PrometheusError``."""

        def ask(some: Sequence[ModelView]) -> dict[str, History]:
            return histories(
                self._client, some, now_seconds, self._span_seconds, self._step_seconds, self._settings.scope
            )

        def alone(view: ModelView, error: Exception) -> None:
            logger.error("%s: reading its past failed", view.key, exc_info=error)

        parts = halved(ask, views, alone, passes=(PrometheusError,))
        return {key: past for part in parts for key, past in part.items()}

    def forget(self, key: str) -> None:
        """Drops all that is known of a RecModel that is gone, so that another one of its name starts from nothing."""
        self._gone.add(key)
        for known in (self._parked, self._quarantined, self._budget_left, self._latency_budget_left, self._kept):
            known.pop(key, None)

    def take_back(self, key: str, kept: Kept) -> None:
        """What another process had learned of a RecModel, for its next tick here; ``kept`` is asked then, in the thread that decides."""
        self._kept[key] = kept

    def keep(self, key: str) -> KeptModel | None:
        """What the next process is to know of a RecModel; None where this one has seen no load of it."""
        memory = self._parked.get(key, self._memory)
        rows = [i for i, model in enumerate(memory.fleet.models) if model.key == key] if memory is not None else []
        return keep(memory, rows[0]) if memory is not None and rows and key not in self._gone else None

    def recall(self, key: str, budget_left_ratio: float | None, latency_budget_left_ratio: float | None = None) -> None:
        """What was left of a RecModel's accuracy and latency budgets when another process decided for it; it counts from the
        first load on. None: not known, so nothing of the one is saved, and nothing of the other is spent.
        """
        self._budget_left[key] = budget_left_ratio or 0.0
        if latency_budget_left_ratio is not None:
            self._latency_budget_left[key] = latency_budget_left_ratio

    def learn(self, models: Sequence[Model], found: Mapping[str, History]) -> None:
        """Takes over the past of those models that have a whole one; all else that was learned since the start stays."""
        whole = {key: h for key, h in found.items() if not h.partial}
        known = {key: (h.seconds, h.per_second) for key, h in whole.items() if np.isfinite(h.per_second).sum() > 1}
        taught = [model for model in models if model.key in known]

        def teach(some: Sequence[Model]) -> Memory:
            return self._begin(some, [known[model.key] for model in some])

        def alone(model: Model, error: Exception) -> None:
            logger.error("%s: nothing is learned of its past", model.key, exc_info=error)

        for fresh in halved(teach, taught, alone) if taught else []:
            with self._lock:
                memory = self._memory_of(models, self._known(), from_scratch=False)
                forecast = take_over(memory.forecast, fresh.forecast, stays(fresh.fleet.models, models))
                self._memory = replace(memory, forecast=forecast)
                self._parked = {key: row for key, row in self._parked.items() if key not in {m.key for m in models}}

    def quality(self, asked: Sequence[Asked], now_seconds: float) -> dict[str, dict[str, Rates]]:
        """Online quality by RecModel and pool; for a thread. Of a RecModel that breaks it nothing is known."""

        def ask(some: Sequence[Asked]) -> dict[str, dict[str, Rates]]:
            return read_quality(self._client, some, now_seconds, self._settings)

        def alone(one: Asked, error: Exception) -> None:
            logger.error("%s: its online quality cannot be read", one.key, exc_info=error)

        parts = halved(ask, asked, alone)
        return {key: rates for part in parts for key, rates in part.items()}

    def decide(
        self, models: Sequence[Model], observations: Sequence[Observation], now_seconds: float
    ) -> tuple[dict[str, Decision], dict[str, str]]:
        """The decision of each model by key, and what is wrong with those that have none. For a thread: pure
        numbers, no waiting.
        """
        self._quarantined = {key: (left - 1, why) for key, (left, why) in self._quarantined.items() if left > 1}
        failed = {m.key: self._quarantined[m.key][1] for m in models if m.key in self._quarantined}
        usable = [(m, o) for m, o in zip(models, observations, strict=True) if m.key not in failed]
        with self._lock:
            known = self._known()
            before = self._with_kept([model for model, _ in usable], known, now_seconds)

            def attempt(some: Sequence[Decidable], from_scratch: bool = False) -> Decided:
                memory = self._memory_of([model for model, _ in some], before, from_scratch)
                memory = with_budget_left(memory, self._budget_left, self._latency_budget_left)
                memory, decisions = step(memory, [o for _, o in some], now_seconds)
                return memory, {model.key: decisions[i] for i, (model, _) in enumerate(some)}

            def alone(item: Decidable, error: Exception) -> Decided | None:
                key = item[0].key
                logger.error("%s: deciding failed", key, exc_info=error)
                try:
                    found = attempt([item], from_scratch=True)
                except Exception:
                    failed[key] = problem("deciding", error)
                    self._quarantined[key] = QUARANTINE_TICKS, failed[key]
                    return None
                logger.error("%s: what was learned of it is broken; learning starts again", key)
                return found

            parts = halved(attempt, usable, alone)
            decided = {key: decision for _, decisions in parts for key, decision in decisions.items()}
            if parts:
                self._memory = joined([m for m, _ in usable if m.key in decided], [memory for memory, _ in parts])
            self._park(known, decided)
            self._park(before, decided)
        return decided, failed

    def _with_kept(self, models: Sequence[Model], before: Memory | None, now_seconds: float) -> Memory | None:
        """What is known, with what another process had learned of these models: read once, however often deciding is tried, and not all
        of it at once.
        """
        keys = [model.key for model in models if model.key in self._kept]
        if not keys:
            return before
        try:
            memory = self._memory_of(models, before, from_scratch=False)
        except Exception as error:  # one of them breaks it, and is found when it is decided for; the next tick reads
            logger.error("what was kept is not read in this tick: %s", problem("reading", error))
            return before
        for model in models:  # it is in this memory now, and parked again where nothing is decided for it
            self._parked.pop(model.key, None)

        def put(found: Sequence[tuple[str, KeptModel]]) -> None:
            nonlocal memory
            memory = with_kept(memory, dict(found), now_seconds)

        def alone(item: tuple[str, KeptModel], error: Exception) -> None:
            logger.error("%s: nothing is learned of what was kept of it", item[0], exc_info=error)

        for start in range(0, len(keys), KEPT_AT_ONCE):
            asked = {key: self._kept.pop(key) for key in keys[start : start + KEPT_AT_ONCE]}
            halved(put, list(_answers(asked, now_seconds).items()), alone)
        return memory

    def _begin(self, models: Sequence[Model], past: Sequence[tuple[Any, Any] | None] | None = None) -> Memory:
        return begin(models, self._tick_seconds, past, self._settings.rate_window_seconds)

    def _known(self) -> Memory | None:
        """The memory without those that are gone: their name may be another one's by now."""
        gone, self._gone = self._gone, set()
        memory = self._memory
        if memory is not None and gone:
            models = tuple(replace(m, key="") if m.key in gone else m for m in memory.fleet.models)
            memory = self._memory = replace(memory, fleet=replace(memory.fleet, models=models))
        return memory

    def _memory_of(self, models: Sequence[Model], before: Memory | None, from_scratch: bool) -> Memory:
        """What is known of these models, those included that were left out for a while; ``from_scratch``: nothing but the time."""
        memory = self._begin(models) if before is None else before
        if from_scratch:
            return carry(self._begin(models), memory, stays((), models))
        if memory.fleet.models != tuple(models):
            memory = reindex(models, memory)
        kept = {m.key: reindex([m], self._parked[m.key]) for m in models if m.key in self._parked}
        return recalled(memory, kept) if kept else memory

    def _park(self, before: Memory | None, decided: Mapping[str, Decision]) -> None:
        """Keeps what is known of those that are left out of this tick, for when they are back."""
        for key in decided:
            self._parked.pop(key, None)
        for model in before.fleet.models if before is not None else ():
            if model.key and model.key not in decided and before is not None:
                try:
                    self._parked[model.key] = reindex([model], before)
                except Exception as error:
                    logger.error("%s: what was learned of it cannot be kept", model.key, exc_info=error)


def _answers(asked: Mapping[str, Kept], now_seconds: float) -> dict[str, KeptModel]:
    """What is kept, of those of which it can be read."""
    found: dict[str, KeptModel] = {}
    for key, read in asked.items():
        try:
            if (kept := read(now_seconds)) is not None:
                found[key] = kept
        except Exception as error:
            logger.error("%s: what was kept of it cannot be read", key, exc_info=error)
    return found
