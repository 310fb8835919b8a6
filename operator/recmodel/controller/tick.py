"""One turn of the loop: gather, decide, act, for all RecModels at once; what fails for one leaves out that one."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from recmodel.cluster.observed.backends import Backend
from recmodel.cluster.observed.pool_state import PoolState, ours_to_change
from recmodel.controller.decider import Decider
from recmodel.controller.history_loader import HistoryLoader
from recmodel.controller.isolation import each
from recmodel.controller.metrics import Metrics
from recmodel.controller.reconciler import Reconciler
from recmodel.controller.registry import Registry
from recmodel.controller.rollouts import Rollouts
from recmodel.controller.settings import Settings
from recmodel.controller.tracked import Tracked
from recmodel.controller.traffic_shift import forget_wanted
from recmodel.controller.views import core_model, measured_weights, model_view, observation
from recmodel.core.types import Decision, Model, Observation, Reason
from recmodel.prometheus import ModelReading, ModelView, Readings
from recmodel.rollout.wanted_versions import limits

logger = logging.getLogger(__name__)

YIELD_EVERY = 20  # thousands of RecModels must not keep a watch event waiting: about 10 ms of work between two looks
DECIDING_FAILED = "DecidingFailed"


@dataclass
class Tick:
    """What a turn works with."""

    settings: Settings
    decider: Decider
    metrics: Metrics
    reconciler: Reconciler
    registry: Registry
    history_loader: HistoryLoader
    rollouts: Rollouts
    pools: Callable[[Tracked], dict[str, PoolState]]
    backends: Callable[[Tracked], Sequence[Backend]]  # of its route, in their order
    missing: Callable[[Tracked], list[str]]  # what deciding needs and was never listed
    compare_routes: Callable[[Sequence[Tracked]], None]  # finds which are in the way of which
    may_act: Callable[[str], bool]  # in a namespace
    report: Callable[[Tracked], bool]  # False where that failed
    decided_at: float = field(default_factory=time.monotonic)
    """When a turn last decided something, or had nothing to decide; on the monotonic clock."""

    async def run(self, now_seconds: float) -> None:
        """Gather, decide, act. Whatever fails for one RecModel, at any stage, leaves out that one and says so."""
        failed: dict[str, str] = {}
        models = [t for t in self.reconciler.models.values() if t.spec is not None]
        missing = each(models, "looking for what it needs", self.missing, failed)
        waiting = {key for key, lacks in missing.items() if lacks}
        failed |= {key: f"not known yet: {', '.join(missing[key])}" for key in waiting}
        self._count(models)
        each(models, "taking over its records", self.registry.learn, failed)
        self.compare_routes(models)
        states = each(models, "looking at its pools", self.pools, failed)
        views = each(models, "asking for its metrics", lambda t: self._view(t, states[t.key]), failed)
        if self.settings.history_seconds > 0:
            self.history_loader.want(list(views.values()), now_seconds)
            await self.history_loader.first(self.settings.history_budget_seconds)
        readings = await asyncio.to_thread(self.decider.gather, list(views.values()), now_seconds)
        self._gathered(readings)
        # What stands may have changed while Prometheus was asked.
        models = [t for t in models if self.reconciler.keeps(t)]
        for tracked in models:
            _read(tracked, readings.models.get(tracked.key))
        states = each(models, "looking at its pools", self.pools, failed)
        decidable = [t for t in models if t.key in states and _decidable(states[t.key])]
        acted = [t for t in decidable if self.may_act(t.owner.namespace)]
        await self.rollouts.tick(acted, states, now_seconds)
        asked = each(decidable, "putting the question", lambda t: self._question(t, states[t.key], now_seconds), failed)
        started = time.monotonic()
        decisions, undecided = await asyncio.to_thread(
            self.decider.decide, [m for m, _ in asked.values()], [o for _, o in asked.values()], now_seconds
        )
        self.metrics.tick.labels("decide").observe(time.monotonic() - started)
        failed |= undecided
        await self._end(models, states, decisions, failed)
        if decisions or not (decidable or failed.keys() - waiting):
            self.decided_at = time.monotonic()

    def _view(self, tracked: Tracked, states: Mapping[str, PoolState]) -> ModelView:
        return model_view(tracked, states, self.weights(tracked), self.backends(tracked))

    def _question(
        self, tracked: Tracked, states: Mapping[str, PoolState], now_seconds: float
    ) -> tuple[Model, Observation]:
        return core_model(tracked, states), observation(tracked, states, self.weights(tracked), now_seconds)

    async def _end(
        self,
        models: Sequence[Tracked],
        states: Mapping[str, dict[str, PoolState]],
        decisions: Mapping[str, Decision],
        failed: dict[str, str],
    ) -> None:
        """Acts on what was decided, and reports on all."""
        for count, tracked in enumerate(models, 1):
            if self.reconciler.keeps(tracked):
                each([tracked], "acting", lambda t: self._take_over(t, states[t.key], decisions), failed)
                self._undecided(tracked, failed.get(tracked.key))
                if not self.report(tracked):
                    failed.setdefault(tracked.key, "reporting failed")
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(0)
        self.metrics.quarantined.set(len(failed))
        self.metrics.decided_models.set(len(decisions))

    def _take_over(self, tracked: Tracked, states: dict[str, PoolState], decisions: Mapping[str, Decision]) -> None:
        decision = decisions.get(tracked.key)
        # The spec may have changed while the tick was deciding: then this was decided for other pools, or other workloads.
        if decision is not None and set(decision.pools) == states.keys() and _same(states, self.pools(tracked)):
            tracked.decided = replace(tracked.decided, decision=decision)
            if self.may_act(tracked.owner.namespace):
                self.act(tracked, decision, states)

    def _undecided(self, tracked: Tracked, problem: str | None) -> None:
        """Why nothing was decided in this tick, which stands beside what the reconciler says of applying."""
        reason = Reason(DECIDING_FAILED, problem) if problem is not None else None
        if reason is not None and reason != tracked.decided.undecided:
            logger.error("%s is left out of the tick: %s", tracked.key, problem)
        tracked.decided = replace(tracked.decided, undecided=reason)

    def act(self, tracked: Tracked, decision: Decision, states: Mapping[str, PoolState]) -> None:
        """Has a decision carried out, and shows it in the metrics."""
        if tracked.desired.acts and ours_to_change(states):
            self.reconciler.decided(tracked, decision, states)
        else:
            forget_wanted(tracked)
        ready = {name: state.ready for name, state in states.items()}
        self.metrics.decided(tracked, decision, ready, self.weights(tracked))
        self.metrics.started(tracked, states)
        if tracked.spec is not None:
            self.metrics.rolled(tracked, limits(tracked.spec, tracked.versions.serving, tracked.versions.trials))

    def _count(self, models: Sequence[Tracked]) -> None:
        self.metrics.models.clear()
        for tracked in models:
            if tracked.spec is not None and self.may_act(tracked.owner.namespace):
                self.metrics.models.labels(tracked.spec.mode).inc()
        self.metrics.known.set(sum(not tracked.desired.paused for tracked in models))

    def weights(self, tracked: Tracked) -> dict[str, int]:
        """The route's weights as they are now, of 1,000; of pools by reference without one the shares that were measured."""
        if tracked.spec is not None and tracked.spec.by_reference and tracked.spec.route_ref is None:
            return measured_weights(tracked)
        return self.reconciler.weights(tracked, tracked.spec) if tracked.spec is not None else {}

    def _gathered(self, readings: Readings) -> None:
        self.metrics.prometheus_seconds.observe(readings.seconds)
        self.metrics.prometheus_queries.set(readings.queries)
        if readings.error is not None:
            self.metrics.prometheus_errors.labels(readings.error.reason).inc()
            logger.warning("Prometheus: %s", readings.error.message)


def _read(tracked: Tracked, reading: ModelReading | None) -> None:
    """Takes over what Prometheus said in this tick; None: it was not asked."""
    counted = tracked.decided.counted or (reading is not None and reading.counts)
    tracked.decided = replace(tracked.decided, reading=reading, counted=counted)


def _same(before: Mapping[str, PoolState], now: Mapping[str, PoolState]) -> bool:
    """Whether these are the same pools, and refer to the same workloads."""
    referred = [
        {n: (s.reference.group, s.reference.shown) for n, s in pools.items() if s.reference is not None}
        for pools in (before, now)
    ]
    return before.keys() == now.keys() and referred[0] == referred[1]


def _decidable(states: Mapping[str, PoolState]) -> bool:
    """Whether there is something to decide: a pool that is about to be made is waited for, one that is refused is not."""
    return any(state.exists for state in states.values()) and all(s.exists or s.unschedulable for s in states.values())
