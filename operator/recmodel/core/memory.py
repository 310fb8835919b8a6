"""Everything that the engine keeps between ticks, and what it is before the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recmodel.core import latency_budget, pods
from recmodel.core.arrays.fleet import Fleet, pack
from recmodel.core.capacity import posterior
from recmodel.core.failures import memory as failures
from recmodel.core.forecast import candidates
from recmodel.core.forecast.bootstrap import History, learn_history
from recmodel.core.plan import node_buffer
from recmodel.core.traffic import accuracy_budget
from recmodel.core.types import Model

RATE_WINDOW_SECONDS = 60.0  # unless the metrics are read over another one


@dataclass(frozen=True)
class Memory:
    """Everything that the engine keeps between ticks; a value like any other."""

    fleet: Fleet
    forecast: candidates.ForecastMemory
    capacity: posterior.CapacityMemory
    failing: failures.FailingMemory
    pods: pods.PodsMemory
    accuracy_budget: accuracy_budget.AccuracyBudgetMemory
    latency_budget: latency_budget.LatencyBudgetMemory
    node_buffer: node_buffer.NodeBufferMemory


def begin(
    models: Sequence[Model],
    tick_seconds: float = 15.0,
    history: Sequence[History | None] | None = None,
    rate_window_seconds: float = RATE_WINDOW_SECONDS,
) -> Memory:
    """The memory before the first tick. ``history`` holds for each model its past load, or None where there is none."""
    fleet = pack(models, tick_seconds, rate_window_seconds)
    count, width = fleet.exists.shape
    capacity = posterior.empty(count, width)
    memory = Memory(
        fleet=fleet,
        forecast=candidates.empty(count, tick_seconds),
        capacity=capacity,
        failing=failures.empty(capacity.evidence),
        pods=pods.empty(count, width),
        accuracy_budget=accuracy_budget.empty(count),
        latency_budget=latency_budget.empty(count),
        node_buffer=node_buffer.empty(count, width),
    )
    if history is not None and any(h is not None for h in history):
        memory = replace(memory, forecast=learn_history(memory.forecast, history, fleet.calendars))
    return memory
