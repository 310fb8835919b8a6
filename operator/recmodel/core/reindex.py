"""The memory for a changed set of models, or after a restart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from recmodel.core.arrays.calendars import Calendars
from recmodel.core.arrays.carry_over import Stays, carry, stays
from recmodel.core.arrays.fleet import Fleet, Floats
from recmodel.core.capacity import posterior
from recmodel.core.capacity.evidence import ENOUGH_WEIGHT
from recmodel.core.capacity.posterior import CapacityMemory
from recmodel.core.forecast.candidates import ForecastMemory
from recmodel.core.forecast.season import on_other_clocks
from recmodel.core.memory import Memory, begin
from recmodel.core.types import Model

OLD_VERSION_REQUESTS = ENOUGH_WEIGHT  # independent ones that a load seen under another version counts for, at most


def reindex(models: Sequence[Model], memory: Memory) -> Memory:
    """The memory for a changed set of models: what stays, by key and pool name, keeps all it knew; what is new knows nothing.

    A pool that serves another version than before keeps what it knew of its capacity with less weight.
    """
    fresh = begin(models, memory.fleet.tick_seconds, rate_window_seconds=memory.fleet.rate_window_seconds)
    kept = stays(memory.fleet.models, models)
    carried = carry(fresh, memory, kept)
    return replace(
        carried,
        forecast=_on_its_clock(carried.forecast, memory.fleet.models, carried.fleet),
        capacity=less_certain(carried.capacity, carried.fleet, kept),
    )


def _on_its_clock(memory: ForecastMemory, before: Sequence[Model], fleet: Fleet) -> ForecastMemory:
    """The forecaster's memory where the models went by other calendars ``before``."""
    old = {model.key: model.calendar for model in before}
    calendars = Calendars(tuple(old.get(model.key, model.calendar) for model in fleet.models))
    if calendars == fleet.calendars:
        return memory
    return replace(memory, season=on_other_clocks(memory.season, calendars, fleet.calendars))


def with_budget_left(
    memory: Memory, accuracy_left_ratio: Mapping[str, float], latency_left_ratio: Mapping[str, float] | None = None
) -> Memory:
    """The memory after a restart: models, by key, whose load was not seen yet begin with what was left of their budgets. Unless it is
    said, nothing was saved of an accuracy budget, and nothing was spent of a latency budget.
    """

    def begins_with(left_ratio: Mapping[str, float], otherwise: float) -> Floats:
        begins = np.array([left_ratio.get(model.key, otherwise) for model in memory.fleet.models], float)
        result: Floats = np.clip(np.nan_to_num(begins, nan=otherwise), 0.0, 1.0)
        return result

    return replace(
        memory,
        accuracy_budget=replace(memory.accuracy_budget, begins_with=begins_with(accuracy_left_ratio, 0.0)),
        latency_budget=replace(memory.latency_budget, begins_with=begins_with(latency_left_ratio or {}, 1.0)),
    )


def less_certain(memory: CapacityMemory, fleet: Fleet, kept: Stays) -> CapacityMemory:
    """The capacity memory with less weight for the pools whose version changed.

    Whatever was seen at a load counts as 20 independent requests at most: enough for the trust region to stay where it was, too
    few for it to grow, and soon outweighed by what the new version does. A tick of 100 requests/s tells as much as 525. What the
    utilisation said is forgotten, since the new version's requests may be larger.
    """
    rows, evidence = kept.changed, memory.evidence
    if not len(rows[0]):
        return memory
    weight, utilisation, scrapes = evidence.weight.copy(), evidence.utilisation.copy(), evidence.scrapes.copy()
    weight[rows] = np.minimum(weight[rows], OLD_VERSION_REQUESTS)
    utilisation[rows], scrapes[rows] = 0.0, 0.0
    settled = memory.sampling.settled_ticks.copy()
    settled[rows] = 0
    memory = replace(
        memory,
        evidence=replace(evidence, weight=weight, utilisation=utilisation, scrapes=scrapes),
        sampling=replace(memory.sampling, settled_ticks=settled),
    )
    return posterior.relearned(memory, rows, fleet.late_budget_ratio[rows[0]])
