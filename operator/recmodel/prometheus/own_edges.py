"""Which edges the histograms of each pool have: of the models at hand alone, not of everybody's with the same profile."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recmodel.prometheus.answers import PoolKey, owner_of
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.grouping import Groups
from recmodel.prometheus.profile import Profile
from recmodel.prometheus.queries import own_edges_query
from recmodel.prometheus.readings import ModelView
from recmodel.prometheus.session import PrometheusError

MODELS_A_QUERY = 100  # of two pools with thirty edges: 6,000 rows


@dataclass(frozen=True, slots=True)
class OwnEdges:
    """How many histograms of each pool have each ``le``; and by key of the model why it could not be asked."""

    counts: Mapping[PoolKey, Mapping[str, float]]
    failed: Mapping[str, PrometheusError]


def own_edges(
    client: PrometheusClient, groups: Groups, now_seconds: float, budget_seconds: float, scope: Sequence[str] = ()
) -> OwnEdges:
    """The edges of all models of ``groups`` at ``now_seconds`` (Unix time). Never raises for what Prometheus says or not."""
    asked: dict[str, list[tuple[Profile, tuple[ModelView, ...]]]] = defaultdict(list)
    for profile, namespace, batch in groups.batches(
        MODELS_A_QUERY
    ):  # of models that share a workload it is one question
        asked[own_edges_query(profile, namespace, batch, scope)].append((profile, batch))
    counts: dict[PoolKey, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    failed: dict[str, PrometheusError] = {}
    for query, answer in client.query_all(asked.keys(), now_seconds, budget_seconds).items():
        for profile, batch in asked[query]:
            if isinstance(answer, PrometheusError):
                failed |= {model.key: answer for model in batch}
                continue
            owner = owner_of(profile, batch)
            for labels, count in answer.rows:
                if "le" in labels and (pool := owner(labels)) is not None:
                    counts[pool][labels["le"]] += count
    return OwnEdges(counts, failed)
