"""What may be decided on: of a model's readings, those numbers that are known of the whole, and None for the rest.

Docs/metrics.md has it as a table, by verdict. A number of a part never stands for the whole: half of the pods' requests
would look like half of the load. What is withheld keeps its reason.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from recmodel.core.types import Reason
from recmodel.prometheus import readings
from recmodel.prometheus.histogram import INFINITY, edge_bracket, served_bracket
from recmodel.prometheus.readings import ModelView, PoolReading, PoolView

COVERED_RATIO = 0.8  # fewer pods than this reporting: their sum is not the pool's load
NEAR_RATIO = 0.2  # an edge this near to the threshold makes the bracket narrow enough to act on

PART_MISSING = Reason(readings.PARTIAL_ANSWER, "the metrics server said that its answer may lack a part")


def serving(pool: PoolView) -> bool:
    """Whether the pool may be getting traffic; unknown means that it may."""
    return pool.weight != 0 and pool.ready != 0


def none_ready(model: ModelView) -> bool:
    """Whether no pool has a ready pod: no request reaches one, so what the pools count says nothing of how many come."""
    return all(pool.ready == 0 for pool in model.pools)


def uncovered(pools: Mapping[str, PoolReading]) -> dict[str, float]:
    """The pools of which too few ready pods reported, or too few pages of the gateway were read, with the share."""
    shares = {name: pool.coverage_ratio for name, pool in pools.items()}
    return {name: share for name, share in shares.items() if share is not None and share < COVERED_RATIO}


def not_all_reported(pools: Mapping[str, PoolReading]) -> bool:
    """Whether any page of a ready pod, or of the gateway, was not read, so that the load is more than is counted."""
    return any(pool.coverage_ratio not in (None, 1.0) for pool in pools.values())


def unknown(pool: PoolReading, reason: Reason | None) -> PoolReading:
    """The reading without what the pool's own series say. How busy the pods are comes from elsewhere, and stays."""
    return PoolReading(
        age_seconds=pool.age_seconds,
        coverage_ratio=pool.coverage_ratio,
        unread=pool.unread,
        cpu_utilisation_ratio=pool.cpu_utilisation_ratio,
        gpu_utilisation_ratio=pool.gpu_utilisation_ratio,
        reason=reason,
    )


def known(model: ModelView, pools: Mapping[str, PoolReading], *, partial: bool) -> dict[str, PoolReading]:
    """The readings of a model's pools with everything that is not known of the whole taken out."""
    few = uncovered(pools)
    every = not not_all_reported(pools)
    found = {}
    for name, pool in pools.items():
        if partial:
            found[name] = unknown(pool, pool.reason or PART_MISSING)
        elif name in few:
            whose = "the gateway's pages with its requests are read" if pool.unread else "the ready pods reported"
            found[name] = unknown(pool, Reason(readings.PODS_MISSING, f"{few[name]:.0%} of {whose}"))
        else:
            found[name] = dataclasses.replace(pool, share_is_known=share_is_known(model, pool, every))
    candidates = [pool for pool in model.pools if serving(pool)] or model.pools
    lacking = [p for p in model.pools if found[p.name].rate_per_second is None and (p in candidates or p.name in few)]
    # The sum over the others would pass for all requests where those that are not known count as silent.
    if lacking and not any(serving(pool) for pool in lacking):
        found = {name: unknown(pool, pool.reason) for name, pool in found.items()}
    return found


def share_is_known(model: ModelView, pool: PoolReading, every: bool) -> bool:
    """Whether it follows from the pool's histogram if the objective is kept: there is an edge at the threshold or near
    it, or the bracket between the next ones lies on one side of the objective, and not above all edges. While not
    ``every`` ready pod reported, as just after some were started, the load is more than is counted: then only what is
    late counts, so that a pool may grow for it and is not made smaller.
    """
    if pool.latency is None:
        return False
    if not pool.rate_per_second:
        return True
    within = served_bracket(pool.latency, model.threshold_seconds, pool.rate_per_second, pool.errors_per_second)
    if within is None or (not every and within.lower >= model.within_ratio):
        return False
    edges = edge_bracket(pool.latency, model.threshold_seconds)
    if any(is_near(edge, model.threshold_seconds) for edge in edges):
        return True
    if edges.upper == INFINITY:
        return False
    return within.lower >= model.within_ratio or within.upper < model.within_ratio


def is_near(edge_seconds: float, threshold_seconds: float) -> bool:
    """Whether the edge is as good as at the threshold."""
    return edge_seconds < INFINITY and abs(edge_seconds - threshold_seconds) <= NEAR_RATIO * threshold_seconds
