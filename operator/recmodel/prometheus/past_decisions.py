"""What the operator decided in the past, from its own metrics, where Prometheus reads them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recmodel.prometheus.answers import spacing_seconds
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.history import on_grid
from recmodel.prometheus.past import SCRAPE_SECONDS, SPACING_SPAN_SECONDS
from recmodel.prometheus.past_scaling import LONGEST_LOOK_BACK_SECONDS, in_namespace, in_namespace_over
from recmodel.prometheus.promql import duration, quoted

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Decisions:
    """Of one RecModel. ``cost_per_hour``: a value a moment, NaN unknown."""

    model: str
    cost_per_hour: Floats
    changes: Mapping[str, int] = field(default_factory=dict)  # of the replicas decided on, by pool
    reasons: Mapping[str, int] = field(default_factory=dict)  # how many decisions gave each, the most frequent first
    budget_left_ratio: float | None = None  # of the latency budget, at the end


def recmodels(client: PrometheusClient, namespace: str, at_seconds: float, scope: Sequence[str] = ()) -> list[str]:
    """The RecModels of a namespace that were decided for in the day before. Raises ``PrometheusError``."""
    back = f"[{duration(LONGEST_LOOK_BACK_SECONDS)}]"
    chosen = in_namespace_over("recmodel_decision_timestamp_seconds", namespace, back, *scope)
    answer = client.query(f"group by (model) ({chosen})", at_seconds)
    return sorted({labels["model"] for labels, _ in answer.rows if labels.get("model")})


def read_workloads(
    client: PrometheusClient, namespace: str, at_seconds: float, scope: Sequence[str] = ()
) -> dict[str, dict[str, str]]:
    """By RecModel and pool the workload whose replicas it had, for most of the day before; an older operator does not say so.

    Raises ``PrometheusError``.
    """
    back = f"[{duration(LONGEST_LOOK_BACK_SECONDS)}]"
    said = in_namespace_over("recmodel_pool_workload_info", namespace, back, *scope, function="count_over_time")
    answer = client.query(f"topk by (model, pool) (1, sum by (model, pool, workload) ({said}))", at_seconds)
    found: dict[str, dict[str, str]] = {}
    for labels, _ in answer.rows:
        if all(labels.get(label) for label in ("model", "pool", "workload")):
            found.setdefault(labels["model"], {})[labels["pool"]] = labels["workload"]
    return found


def read_decisions(
    client: PrometheusClient,
    key: tuple[str, str],
    moments: Floats,
    step_seconds: float,
    scope: Sequence[str] = (),
) -> Decisions:
    """Of the RecModel ``key`` (namespace, name) at ``moments``. Raises ``PrometheusError``."""
    namespace, model = key
    mine = (f"model={quoted(model)}", *scope)
    end = float(moments[-1])
    # A window of one step alone has no pair of the last sample of a step and the first one of the next.
    step = f"[{duration(step_seconds + _scrape_seconds(client, namespace, end, mine))}]"
    costs, _ = on_grid(
        client, f"max by (model) ({in_namespace('recmodel_cost_per_hour', namespace, *mine)})", moments, step_seconds
    )
    desired = in_namespace_over("recmodel_pool_desired_replicas", namespace, step, *mine, function="changes")
    changed, _ = on_grid(client, f"max by (pool) ({desired})", moments, step_seconds)
    span = f"[{duration(max(end - float(moments[0]), step_seconds))}]"
    gave = in_namespace_over("recmodel_decision_reasons_total", namespace, span, *mine, function="increase")
    counted = client.query(f"sum by (reason) ({gave})", end)
    left = client.query(f"max({in_namespace('recmodel_latency_budget_left_ratio', namespace, *mine)})", end).rows
    reasons = {labels.get("reason", ""): round(value) for labels, value in counted.rows if math.isfinite(value)}
    return Decisions(
        model,
        costs[0][1] if len(costs) == 1 else np.full(moments.size, math.nan),
        {labels.get("pool", ""): int(np.nansum(values)) for labels, values in changed},
        {name: number for name, number in sorted(reasons.items(), key=lambda item: -item[1]) if number > 0},
        left[0][1] if len(left) == 1 and math.isfinite(left[0][1]) else None,
    )


def _scrape_seconds(client: PrometheusClient, namespace: str, at_seconds: float, mine: Sequence[str]) -> float:
    """Between two samples of the operator's page, at the end of the range."""
    span = f"[{duration(SPACING_SPAN_SECONDS)}]"
    samples = in_namespace_over("recmodel_pool_desired_replicas", namespace, span, *mine, function="count_over_time")
    answer = client.query(f"{SPACING_SPAN_SECONDS:g} / max({samples})", at_seconds)
    return spacing_seconds(answer) or SCRAPE_SECONDS
