"""A decider that shares requests out, and steps of stories about a rule of a route that stands already."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from builders.operator_stage import Seeing
from builders.route_world import ExistingRoutes, routed_recmodel
from recmodel.cluster import names
from recmodel.cluster.observed.referenced import Workload
from recmodel.cluster.observed.referenced_routes import NamedRoute
from recmodel.controller.operator import Operator
from recmodel.core.types import Decision, Model, Observation, PoolDecision
from recmodel.prometheus import GatherSettings, ModelReading, ModelView, Readings, Verdict

ROUTE = NamedRoute(names.ROUTE, "shop", "shop")
GPU = Workload(names.DEPLOYMENT, "shop", "ranker-gpu")


class Judge(Seeing):
    """Decides for ``wanted`` replicas and shares where the weights are ours, else for what runs; ``away``: the metrics are."""

    def __init__(self, **wanted: tuple[int, float]) -> None:
        super().__init__(None, GatherSettings(), 1.0, 0.0, 300.0)  # type: ignore[arg-type]
        self.wanted = wanted or {"cpu": (2, 3.0), "gpu": (1, 1.0)}
        self.away = False
        self.seen: dict[str, tuple[Model, Observation]] = {}

    def gather(self, views: Sequence[ModelView], now_seconds: float) -> Readings:
        found = super().gather(views, now_seconds)
        lost = ModelReading(Verdict.MISSING, "PrometheusUnavailable", "away", {})
        return replace(found, models=dict.fromkeys(found.models, lost)) if self.away else found

    def decide(
        self, models: Sequence[Model], observations: Sequence[Observation], now_seconds: float
    ) -> tuple[dict[str, Decision], dict[str, str]]:
        self.seen = {model.key: (model, seen) for model, seen in zip(models, observations, strict=True)}
        return {model.key: self._one(model, seen, now_seconds) for model, seen in self.seen.values()}, {}

    def _one(self, model: Model, seen: Observation, now_seconds: float) -> Decision:
        runs = {name: pool.desired for name, pool in seen.pools.items()}
        acts = model.acts and model.routed
        pools = {n: PoolDecision(self.wanted[n][0] if acts else runs[n], self.wanted[n][1]) for n in runs}
        proposed = {name: self.wanted[name][0] for name in runs}
        return Decision(now_seconds, pools, "Tracking", (), proposed_replicas=proposed, acting_replicas=proposed)


def told(operator: Operator, api: ExistingRoutes) -> None:
    """The watch tells of the route as it stands."""
    operator._reference_pools.rules.watch.seen(ROUTE, copy.deepcopy(api.route) if api.existing["httproutes"] else None)


def begin(operator: Operator, body: dict[str, Any] | None = None) -> None:
    operator.observe(body or routed_recmodel())
    operator.listed()


def pods_of_gpu(operator: Operator, api: ExistingRoutes, *ready: dict[str, Any]) -> None:
    """The watch tells which pods the gpu pool has."""
    watch = operator._references
    (follower,) = [w for w in watch._watched if w == GPU]
    before = operator.referenced.ready(follower)
    operator.referenced.list_pods(GPU, list(ready))
    assert operator.referenced.ready(follower) != before
    watch.pods_changed(GPU)


async def seconds(count: float) -> None:
    await asyncio.sleep(count)
