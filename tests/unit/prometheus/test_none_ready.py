"""No pool has a ready pod: the gateway answers by itself, so what the pools count says nothing of how many requests come."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest

from builders.envoy_page import CPU, GPU, NOTHING, NOW, SETTINGS, Canned, by_pool, read, view
from recmodel.api.v1alpha1 import CustomMetrics, LatencySeries, Metrics, ProfileName
from recmodel.prometheus import readings as r
from recmodel.prometheus.client import Vector
from recmodel.prometheus.gather import gather
from recmodel.prometheus.plausible import RateMemory
from recmodel.prometheus.profile import Profile, profile_for
from recmodel.prometheus.queries import profile_queries
from recmodel.prometheus.readings import ModelReading, ModelView, Verdict
from recmodel.prometheus.session import PrometheusError

CUSTOM = CustomMetrics(latency=LatencySeries(name="took", unit="s"))
EVERY = [Metrics(profile=name, custom=CUSTOM if name == "custom" else None) for name in get_args(ProfileName)]
PROFILES = {str(metrics.profile): metrics for metrics in EVERY if not profile_for(metrics).refusal}


def labels(profile: Profile, pool: str) -> dict[str, str]:
    """Those of a pool's series."""
    identity = profile.identity
    if identity.cluster:
        return {identity.cluster.label: f"httproute/demo/ranker/rule/0/backend/{('cpu', 'gpu').index(pool)}"}
    if identity.workload:
        return {identity.workload.namespace: "demo", identity.workload.name: f"ranker-{pool}"}
    return dict(zip(identity.owner_labels, ("demo", "ranker", pool), strict=True))


def counted(model: ModelView, rate: float | None, memory: RateMemory | None = None) -> ModelReading:
    """What is read while the pools' series say ``rate`` each (None: there are none) and everything is scraped well."""
    profile = profile_for(model.metrics)
    queries = profile_queries(profile, 60.0)
    answers: dict[str, Vector | PrometheusError] = dict.fromkeys(queries.all(), Vector(()))
    mine = [labels(profile, pool.name) for pool in model.pools]
    if rate is not None:
        for query in (queries.requests, queries.moved, queries.answered):
            answers |= {query: Vector(tuple((one, rate) for one in mine))} if query else {}
        answers[queries.age] = Vector(tuple((one, 1.0) for one in mine))
    answers |= {queries.page_age: Vector((({}, 1.0),))} if queries.page_age else {}
    answers |= dict.fromkeys(queries.downstream or (), Vector((({}, 0.0),)))
    return gather(Canned(answers), [model], NOW, SETTINGS, rates=memory).models["demo/ranker"]


def seen(metrics: Metrics, *ready: int | None, known: bool = True, weight: float = 500.0) -> ModelView:
    pools = (replace(CPU, weight=weight, ready=ready[0]), replace(GPU, weight=weight, ready=ready[1]))
    return replace(view(*pools), metrics=metrics, counted=known)


@pytest.mark.parametrize("weight", [500.0, 0.0])
@pytest.mark.parametrize("rate", [None, 0.0, 40.0], ids=["no series", "nothing counted", "a rate that falls"])
@pytest.mark.parametrize("known", [True, False], ids=["served before", "new"])
@pytest.mark.parametrize("profile", PROFILES)
def test_with_no_ready_pod_the_load_is_unknown_whatever_is_counted(
    profile: str, known: bool, rate: float | None, weight: float
) -> None:
    memory = RateMemory()
    found = counted(seen(PROFILES[profile], 0, 0, known=known, weight=weight), rate, memory)
    assert (found.verdict, found.reason) == (Verdict.MISSING, r.NO_READY_POOL)
    assert "no pool has a ready pod" in found.message
    assert [pool.rate_per_second for pool in found.pools.values()] == [None, None], "unknown is never zero"
    assert not found.counts
    assert not memory.pools, "nothing is learned of what is plausible"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_ready_pod_or_one_that_may_be_makes_what_is_counted_the_load(profile: str) -> None:
    for ready in ((1, 0), (0, None)):
        found = counted(seen(PROFILES[profile], *ready), 40.0)
        assert found.reason != r.NO_READY_POOL
        assert found.pools["cpu"].rate_per_second == 40.0


def test_a_pool_without_pods_is_not_silent_where_the_only_ready_one_has_no_weight() -> None:
    nothing = {**NOTHING, "requests": by_pool({0: 0.0}), "age": by_pool({0: 2.0})}
    reading = read(view(replace(CPU, weight=0.0), replace(GPU, weight=1000.0, ready=0)), **nothing)
    assert reading.verdict != Verdict.AVAILABLE
    assert all(pool.rate_per_second is None for pool in reading.pools.values())
