"""A forecaster that follows a load."""

from __future__ import annotations

import math

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.core.forecast import candidates


def follow(
    memory: candidates.ForecastMemory, load: Floats, horizon: Floats, start: float = 0.0
) -> tuple[Floats, Floats]:
    """For loads ``[T, M]``: at each tick the 95 % quantile, and the largest load that came within the horizon ``[M, 1]``."""
    ticks = math.ceil(horizon[0, 0] / 15.0)
    upper, came = [], []
    for tick in range(len(load) - ticks):
        now = start + 15.0 * tick
        memory = candidates.observe(memory, load[tick], now, candidates.Counting(15.0))
        told_now, memory = candidates.predict(memory, horizon, now, np.zeros(load.shape[1]))
        upper.append(told_now.quantiles(0.95)[:, 0, 0])
        came.append(load[tick + 1 : tick + 1 + ticks].max(0))
    return np.array(upper), np.array(came)
