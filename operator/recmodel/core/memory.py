"""Everything that the engine keeps between ticks, and what it is before the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recmodel.core.capacity import posterior
from recmodel.core.failures import load_independent
from recmodel.core.fleet import Fleet, Floats, Ints, pack
from recmodel.core.forecast import candidates as forecasts
from recmodel.core.forecast.bootstrap import History, learn_history
from recmodel.core.pods import RING_TICKS
from recmodel.core.traffic import accuracy_budget as budgets
from recmodel.core.types import Model

RATE_WINDOW_SECONDS = 60.0  # unless the metrics are read over another one


@dataclass(frozen=True)
class Memory:
    """Everything that the engine keeps between ticks; a value like any other."""

    fleet: Fleet
    forecast: forecasts.ForecastMemory
    capacity: posterior.CapacityMemory
    startup_seconds: Floats  # [M, P]
    proposed_loads: NDArray[np.float32]  # [RING_TICKS, M, P] requests/s that the wished replicas were to carry
    readies: NDArray[np.int32]  # [RING_TICKS, M, P]
    tick: int
    seen_at: Floats  # [M] time of the newest known load; -inf before any
    late_ticks: Ints  # [M, P]
    stuck_ticks: Ints  # [M, P] ticks for which pods were unschedulable; below 0: ticks until more are tried again
    accuracy_budget: budgets.AccuracyBudgetMemory
    failing: load_independent.FailingMemory


def begin(
    models: Sequence[Model],
    tick_seconds: float = 15.0,
    history: Sequence[History | None] | None = None,
    rate_window_seconds: float = RATE_WINDOW_SECONDS,
) -> Memory:
    """The memory before the first tick. ``history`` holds for each model its past load, or None where there is none."""
    fleet = pack(models, tick_seconds, rate_window_seconds)
    size = fleet.exists.shape
    capacity = posterior.empty(*size)
    memory = Memory(
        fleet=fleet,
        forecast=forecasts.empty(size[0], tick_seconds),
        capacity=capacity,
        startup_seconds=np.full(size, np.nan),
        proposed_loads=np.zeros((RING_TICKS, *size), np.float32),
        readies=np.zeros((RING_TICKS, *size), np.int32),
        tick=0,
        seen_at=np.full(size[0], -np.inf),
        late_ticks=np.zeros(size, np.int64),
        stuck_ticks=np.zeros(size, np.int64),
        accuracy_budget=budgets.empty(size[0]),
        failing=load_independent.empty(capacity.evidence),
    )
    if history is not None and any(h is not None for h in history):
        memory = replace(memory, forecast=learn_history(memory.forecast, history))
    return memory
