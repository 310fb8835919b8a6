"""All models as arrays, so that one tick decides for ten thousand of them at once.

Shapes: ``M`` models, ``P`` pools (the most that any model has; shorter ones are padded and masked by ``exists``).
Unknown numbers are NaN here, as they are None at the edge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.calendars import Calendars
from recmodel.core.types import Model

SCRAPE_AGE_TICKS = 2  # a rate window ends with the newest scrape, which is up to a scrape and a delay old

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Fleet:
    """What the owners wrote, as arrays: ``[M]`` per model, ``[M, P]`` per pool."""

    models: tuple[Model, ...]
    exists: Bools = field(metadata=axes("MP"))
    min_replicas: Ints = field(metadata=axes("MP"))
    max_replicas: Ints = field(metadata=axes("MP"))
    cost_per_hour: Floats = field(metadata=axes("MP"))
    # place of the pool's name in the alphabet: what is equal otherwise goes by it, not by the order written
    name_rank: Ints = field(metadata=axes("MP"))
    accuracy_loss_ratio: Floats = field(metadata=axes("MP"))  # NaN: not measured
    # largest share of the traffic that the pool may answer: below 1 it is on trial
    traffic_limit_ratio: Floats = field(metadata=axes("MP"))
    warm_up_seconds: Floats = field(metadata=axes("MP"))  # after Ready, until a pod counts in full
    node_lead_seconds: Floats = field(
        metadata=axes("MP")
    )  # what a new node takes; NaN: none is asked for ahead of need
    leaving: Bools = field(metadata=axes("MP"))  # no longer wanted: nothing is planned with it
    accuracy_budget_ratio: Floats = field(metadata=axes("M"))  # NaN: no budget
    late_budget_ratio: Floats = field(metadata=axes("M"))  # 0.05 for a p95 objective
    minutes_over_budget_ratio: Floats = field(metadata=axes("M"))  # share of a week's minutes that may be over it
    acts: Bools = field(metadata=axes("M"))
    routed: Bools = field(metadata=axes("M"))  # False: the weights are not ours
    tick_seconds: float
    rate_window_seconds: float  # over which the observed rates were taken

    @property
    def window_ticks(self) -> int:
        """Ticks that a rate window spans, rounded up: 4 for a minute at ticks of 15 s."""
        return math.ceil(self.rate_window_seconds / self.tick_seconds)

    @property
    def span_ticks(self) -> int:
        """Ticks that a rate window and the age of its newest sample reach back: 6 for a minute at ticks of 15 s."""
        return self.window_ticks + SCRAPE_AGE_TICKS

    @property
    def own_shares(self) -> Bools:
        """Models ``[M]`` of several pools, each of which has to carry the part of the requests that it gets."""
        result: Bools = ~self.routed & (self.exists.sum(1) > 1)
        return result

    @cached_property
    def calendars(self) -> Calendars:
        """The clocks that the loads of the models follow."""
        return Calendars(tuple(model.calendar for model in self.models))

    def smallest(self, values: Floats) -> Floats:
        """The smallest of each model's pools ``[M, 1]`` of values ``[M, P]``."""
        result: Floats = np.where(self.exists, values, np.inf).min(1, keepdims=True)
        return result


def pack(models: Sequence[Model], tick_seconds: float, rate_window_seconds: float) -> Fleet:
    """The models as arrays. Two models of one and two pools give ``exists == [[1, 0], [1, 1]]``."""
    width = max((len(model.pools) for model in models), default=1)
    shape = (len(models), width)
    exists = np.zeros(shape, bool)
    low, high = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    cost, loss, limit = np.zeros(shape), np.full(shape, np.nan), np.ones(shape)
    rank, warm_up, leaving = np.zeros(shape, np.int64), np.zeros(shape), np.zeros(shape, bool)
    lead = np.full(shape, np.nan)
    for i, model in enumerate(models):
        names = sorted(pool.name for pool in model.pools)
        for k, pool in enumerate(model.pools):
            exists[i, k], rank[i, k] = True, names.index(pool.name)
            low[i, k], high[i, k], cost[i, k] = pool.min_replicas, pool.max_replicas, pool.cost_per_hour
            limit[i, k] = min(max(pool.traffic_limit_ratio, 0.0), 1.0)
            warm_up[i, k], leaving[i, k] = pool.warm_up_seconds, pool.leaving
            if pool.node_lead_seconds is not None:
                lead[i, k] = pool.node_lead_seconds
            if pool.accuracy_loss_ratio is not None:
                loss[i, k] = pool.accuracy_loss_ratio
    budget = [math.nan if m.accuracy_budget_ratio is None else m.accuracy_budget_ratio for m in models]
    return Fleet(
        models=tuple(models),
        exists=exists,
        min_replicas=low,
        max_replicas=high,
        cost_per_hour=cost,
        name_rank=rank,
        accuracy_loss_ratio=loss,
        traffic_limit_ratio=limit,
        warm_up_seconds=warm_up,
        node_lead_seconds=lead,
        leaving=leaving,
        accuracy_budget_ratio=np.array(budget, float),
        late_budget_ratio=np.array([1.0 - m.within_ratio for m in models], float),
        minutes_over_budget_ratio=np.array([m.minutes_over_budget_ratio for m in models], float),
        acts=np.array([m.acts for m in models], bool),
        routed=np.array([m.routed for m in models], bool),
        tick_seconds=tick_seconds,
        rate_window_seconds=rate_window_seconds,
    )
