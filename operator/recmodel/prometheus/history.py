"""The arrivals of the past, for the forecaster's start: read again from Prometheus, so that a restart loses nothing."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recmodel.prometheus.answers import owner_of
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.profiles import CUSTOM, Profile, profile_for
from recmodel.prometheus.queries import model_rate
from recmodel.prometheus.readings import ModelView

MODELS_A_QUERY = 20
# Prometheus refuses more than 11,000 points a series; an answer of this many stays below some MB for twenty models.
POINTS_A_QUERY = 600


@dataclass(frozen=True, slots=True)
class History:
    """Arrivals/s over the step that *begins* at each of ``seconds`` (Unix time, uniform). NaN: unknown, never zero."""

    seconds: NDArray[np.float64]
    per_second: NDArray[np.float64]


def histories(
    client: PrometheusClient,
    models: Sequence[ModelView],
    now_seconds: float,
    span_seconds: float = 14 * 86400.0,
    step_seconds: float = 300.0,
) -> dict[str, History]:
    """The past of each model by key, on one grid; models with a refused profile are absent. Raises ``PrometheusError``.

    A pool without a series where another pool of its model has one counts as no requests there: gateways make a pool's
    series at its first request. Where no pool has one, the model's arrivals are unknown.
    """
    step = max(1, round(step_seconds))
    grid = _grid(now_seconds, span_seconds, step)
    found: dict[str, History] = {}
    for profile, namespace, batch in _batches(models):
        sums = {model.key: np.full(grid.size, math.nan) for model in batch}
        owner = owner_of(profile, batch)
        query = model_rate(profile, namespace, [(m.name, [p.name for p in m.pools]) for m in batch], step_seconds)
        for begin in range(0, grid.size, POINTS_A_QUERY):
            part = grid[begin : begin + POINTS_A_QUERY]
            answer = client.query_range(query, float(part[0]), float(part[-1]), step_seconds)
            for labels, samples in answer.rows:
                pool = owner(labels)
                if pool is not None:
                    _add(sums[pool[0]], grid[0], step_seconds, samples)
        found |= {key: History(grid - step, values) for key, values in sums.items()}
    return found


def _grid(now_seconds: float, span_seconds: float, step: int) -> NDArray[np.float64]:
    last = math.floor(now_seconds / step)
    return np.arange(last - max(1, math.floor(span_seconds / step)) + 1, last + 1, dtype=np.float64) * step


def _batches(models: Sequence[ModelView]) -> Iterator[tuple[Profile, str, list[ModelView]]]:
    groups: dict[tuple[str, str], list[ModelView]] = defaultdict(list)
    for model in models:
        custom = model.metrics.custom
        shape = custom.model_dump_json() if custom and model.metrics.profile == CUSTOM else model.metrics.profile
        groups[shape, model.namespace].append(model)
    for (_, namespace), members in groups.items():
        try:
            profile = profile_for(members[0].metrics)
        except ValueError:
            continue
        if profile.refusal:
            continue
        for begin in range(0, len(members), MODELS_A_QUERY):
            yield profile, namespace, members[begin : begin + MODELS_A_QUERY]


def _add(
    values: NDArray[np.float64], first: float, step_seconds: float, samples: Sequence[tuple[float, float]]
) -> None:
    for seconds, value in samples:
        place = round((seconds - first) / step_seconds)
        if 0 <= place < values.size and math.isfinite(value) and value >= 0:
            values[place] = value if math.isnan(values[place]) else values[place] + value
