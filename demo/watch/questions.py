"""What is asked of Prometheus, for the live view and for the report: series of Envoy Gateway, one Envoy cluster a
pool.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recmodel.prometheus.histogram import percentile_bracket, upper_bound_seconds, within_bracket
from recmodel.prometheus.promql import duration, literal, quoted
from watch.snapshot import Bracket

# Four scrapes of 5 s: fewer would make the rates jump, more would show a flash crowd late.
WINDOW_SECONDS = 20.0
_BACKEND = re.compile(r"/backend/(\d+)$")


@dataclass(frozen=True, slots=True)
class Questions:
    """PromQL for one model."""

    requests: str  # requests/s by envoy_cluster_name
    failures: str  # answered with 5xx or not at all, by envoy_cluster_name
    pool_buckets: str  # cumulative requests/s by envoy_cluster_name and le
    forecast: (
        str  # the operator's own metric, by pool: the upper quantile. The status holds it too, but only in coarse steps
    )
    capacity: str  # the same for the requests/s that a replica carries


def questions(namespace: str, name: str, window_seconds: float = WINDOW_SECONDS) -> Questions:
    """The questions about the RecModel ``namespace/name``."""
    window = duration(window_seconds)
    backends = quoted(f"httproute/{literal(namespace)}/{literal(name)}/rule/0/backend/[0-9]+")
    mine = f"envoy_cluster_name=~{backends}"
    failed = f'{mine},envoy_response_code_class="5"'

    def rate(series: str, matchers: str, by: str) -> str:
        return f"sum by ({by}) (rate(envoy_cluster_{series}{{{matchers}}}[{window}]))"

    return Questions(
        requests=rate("upstream_rq_xx", mine, "envoy_cluster_name"),
        failures=rate("upstream_rq_xx", failed, "envoy_cluster_name"),
        pool_buckets=rate("upstream_rq_time_bucket", mine, "envoy_cluster_name, le"),
        forecast=f'max by (pool) (recmodel_forecast_per_second{{model={quoted(name)},quantile="upper"}})',
        capacity=f"max by (pool) (recmodel_pool_capacity_per_second{{model={quoted(name)}}})",
    )


def pool_index(labels: Mapping[str, str]) -> int | None:
    """The index in spec.pools of the pool that a series is about; None for a series that names no backend."""
    found = _BACKEND.search(labels.get("envoy_cluster_name", ""))
    return int(found[1]) if found else None


def latency(rows: Iterable[tuple[Mapping[str, str], float]]) -> dict[float, float]:
    """Cumulative requests/s by upper bound in seconds, as ``recmodel.prometheus.histogram`` takes it; pools are added
    up.
    """
    found: dict[float, float] = defaultdict(float)
    for labels, value in rows:
        found[upper_bound_seconds(labels["le"], "ms", whole_units=True)] += value
    return dict(found)


def percentile(buckets: Mapping[float, float], ratio: float) -> Bracket | None:
    """The edges around the percentile, in seconds; None without requests."""
    found = percentile_bracket(buckets, ratio)
    return None if found is None else Bracket(found.lower, found.upper if found.upper < float("inf") else None)


def within(buckets: Mapping[float, float], threshold_seconds: float) -> Bracket | None:
    """The share of requests within the threshold; None without requests."""
    found = within_bracket(buckets, threshold_seconds)
    return None if found is None else Bracket(found.lower, found.upper)
