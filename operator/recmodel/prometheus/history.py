"""The arrivals of the past, for the forecaster's start: read again from Prometheus, so that a restart loses nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from recmodel.prometheus.answers import PoolKey, arrivals_of, served_models
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.grouping import by_profile
from recmodel.prometheus.profile import Profile
from recmodel.prometheus.queries import model_rate
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.session import AnswerUnusable, QueryRefused

MODELS_A_QUERY = 20
# Prometheus refuses more than 11,000 points a series; an answer of this many stays below some MB for twenty models.
POINTS_A_QUERY = 600
SMALL_RATIO = 0.1  # of all requests
TAKEN_OVER_RATIO = 0.5  # of a pool's requests, found with the others where the pool is silent


@dataclass(frozen=True, slots=True)
class History:
    """Arrivals/s over the step that *begins* at each of ``seconds`` (Unix time, uniform). NaN: unknown, never zero.

    ``partial``: an answer may lack a part, or one question failed. It is to be asked again, and not to be learned.
    """

    seconds: NDArray[np.float64]
    per_second: NDArray[np.float64]
    partial: bool = False


def histories(
    client: PrometheusClient,
    models: Sequence[ModelView],
    now_seconds: float,
    span_seconds: float = 14 * 86400.0,
    step_seconds: float = 300.0,
    scope: Sequence[str] = (),
) -> dict[str, History]:
    """The past of each model by key, on one grid; models with a refused profile are absent. ``PrometheusUnavailable``
    where nobody answers; a question that is refused makes the past of its models partial.

    A pool without a series where another pool of its model has one counts as no requests there: gateways make a pool's
    series at its first request. Where no pool has one, the model's arrivals are unknown; and also where one has a gap
    though nobody took over its requests.
    """
    step = max(1, round(step_seconds))
    grid = grid_of(now_seconds, span_seconds, step)
    found: dict[str, History] = {}
    for profile, namespace, batch in by_profile(models).batches(MODELS_A_QUERY):
        query = model_rate(profile, namespace, batch, step_seconds, scope)
        try:
            pools, lacking = by_pool(client, query, profile, batch, grid, step_seconds)
        except (QueryRefused, AnswerUnusable):
            pools, lacking = {}, {model.key for model in batch}
        for model in batch:
            mine = [values for (key, _), values in pools.items() if key == model.key]
            found[model.key] = History(grid - step, total(mine, grid.size), model.key in lacking)
    return found


def by_pool(
    client: PrometheusClient,
    query: str,
    profile: Profile,
    models: Sequence[ModelView],
    grid: NDArray[np.float64],
    step_seconds: float,
) -> tuple[dict[PoolKey, NDArray[np.float64]], set[str]]:
    """The sum of each pool's rows on the grid, and the keys of the models whose past is not known as a whole: a part may be
    missing, or the pages count several models, such as the steps of an ensemble, and none was named.
    """
    owner = arrivals_of(profile, models)
    unnamed = {model.key for model in models if model.metrics.model is None}
    pools: dict[PoolKey, NDArray[np.float64]] = {}
    rows, partial = on_grid(client, query, grid, step_seconds)
    series = [labels for labels, _ in rows]
    for labels, values in rows:
        pool = owner(labels)
        if pool is not None:
            before = pools.get(pool)
            pools[pool] = (
                values if before is None else np.where(np.isnan(before), values, before + np.nan_to_num(values))
            )
    served = served_models(series, profile, models)
    mixed = {pool[0] for pool, names in served.items() if len(names) > 1} & unnamed
    known = {pool: values for pool, values in pools.items() if pool[0] not in mixed}
    return known, {model.key for model in models} if partial else mixed


def on_grid(
    client: PrometheusClient, query: str, grid: NDArray[np.float64], step_seconds: float
) -> tuple[list[tuple[Mapping[str, str], NDArray[np.float64]]], bool]:
    """The rows of a range query, asked in bounded parts: labels and values on the grid, NaN in the gaps; and whether a part may be
    missing.
    """
    rows: dict[frozenset[tuple[str, str]], tuple[Mapping[str, str], NDArray[np.float64]]] = {}
    partial = False
    for begin in range(0, grid.size, POINTS_A_QUERY):
        part = grid[begin : begin + POINTS_A_QUERY]
        answer = client.query_range(query, float(part[0]), float(part[-1]), step_seconds)
        partial |= answer.partial
        for labels, samples in answer.rows:
            row = rows.setdefault(frozenset(labels.items()), (labels, np.full(grid.size, math.nan)))
            _put(row[1], grid[0], step_seconds, samples)
    return list(rows.values()), partial


def total(pools: Sequence[NDArray[np.float64]], size: int) -> NDArray[np.float64]:
    """Arrivals/s of all pools together; NaN where no pool's are known, or where a part of them is missing.

    A pool that leaves the traffic has no series any more, but the others take over its requests: of 100 and 60, 158
    remain. Where 100 remain the other 60 are merely not known.
    """
    result = np.full(size, math.nan)
    if not pools:
        return result
    known = np.isfinite(pools).any(0)
    result[known] = np.nansum(pools, axis=0)[known]
    missing = np.zeros(size, bool)
    for pool in pools:
        inside = np.flatnonzero(np.isfinite(pool))
        others = result - np.nan_to_num(pool)
        for last, first in pairwise(inside):
            if first - last > 1 and not (
                _taken_over(pool[last], others[last], others[last + 1])
                or _taken_over(pool[first], others[first], others[first - 1])
            ):
                missing[last + 1 : first] = True
    result[missing] = math.nan
    return result


def _taken_over(own: float, others_beside: float, others_alone: float) -> bool:
    """Whether the others answer what a pool answered; a tenth of all is too little to tell, and to matter."""
    if not math.isfinite(others_alone):  # nobody is known there: no sum either
        return True
    return own <= SMALL_RATIO * (own + others_beside) or others_alone - others_beside >= TAKEN_OVER_RATIO * own


def grid_of(now_seconds: float, span_seconds: float, step: int) -> NDArray[np.float64]:
    """The moments at which is asked: whole steps, the last one at ``now_seconds`` or before it."""
    last = math.floor(now_seconds / step)
    return np.arange(last - max(1, math.floor(span_seconds / step)) + 1, last + 1, dtype=np.float64) * step


def _put(
    values: NDArray[np.float64], first: float, step_seconds: float, samples: Sequence[tuple[float, float]]
) -> None:
    for seconds, value in samples:
        place = round((seconds - first) / step_seconds)
        if 0 <= place < values.size and math.isfinite(value) and value >= 0:
            values[place] = value
