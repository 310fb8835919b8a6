"""The whole: connections, watches, intake, keeper, reporter and tick, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.acceptance import acceptance
from recmodel.cluster.apply import Actor
from recmodel.cluster.children import wide_open
from recmodel.cluster.claims import Claims
from recmodel.cluster.client import Client
from recmodel.cluster.inventory import Inventory, PoolState
from recmodel.cluster.lease import Lease
from recmodel.cluster.predecessors import Predecessors
from recmodel.controller.farewell import Farewell
from recmodel.controller.intake import Intake
from recmodel.controller.keeper import Keeper
from recmodel.controller.metrics import Metrics
from recmodel.controller.overlaps import mark, route_of
from recmodel.controller.past import Past
from recmodel.controller.releases import limits
from recmodel.controller.reporter import Reporter
from recmodel.controller.rollouts import Rollouts
from recmodel.controller.settings import Settings
from recmodel.controller.tasks import Tasks
from recmodel.controller.tick import Decider, Loop
from recmodel.controller.tracked import Tracked
from recmodel.controller.views import core_model, model_view, observation
from recmodel.controller.watches import Watches
from recmodel.core.types import Decision, Model, Reason
from recmodel.prometheus import Readings

logger = logging.getLogger(__name__)

YIELD_EVERY = 20  # thousands of RecModels must not keep a watch event waiting: about 10 ms of work between two looks
DECIDING_FAILED = "DecidingFailed"


class Operator:
    """One process's work. ``observe`` and ``forget`` tell of RecModels; the rest follows from the watches and the tick."""

    def __init__(self, settings: Settings, client: Client, decider: Decider, metrics: Metrics) -> None:
        self._settings = settings
        self._client = client
        self._decider = decider
        self._metrics = metrics
        self.inventory = Inventory(self._changed, metrics.unread)
        self._actor = Actor(client, self.inventory)
        self.reporter = Reporter(client)
        self._farewell: Farewell | None = None
        self.lease, self.claims = self._leases()
        self.keeper = Keeper(self._actor, self.inventory, metrics, self._report, self._may_act)
        self._intake = Intake(self.keeper, self.inventory, decider, settings.permitted, self._report, self.forget)
        self.past = Past(decider, self._models)
        self.rollouts = Rollouts(decider, self.keeper.wake, self._weights, settings.tick_seconds)
        self.loop = Loop(self.tick, settings.tick_seconds, metrics)
        self._tasks = Tasks()
        self._watches = Watches(client, self.inventory, self._tasks)
        self._first_models = asyncio.Event()

    # --- RecModels, from the handlers ---

    def observe(self, body: Mapping[str, Any]) -> None:
        """A RecModel as it stands now. Only a new generation or a new object means work."""
        self._intake.observe(body)
        if self.claims is not None:
            self.claims.wake()

    def forget(self, key: str) -> None:
        """A RecModel that is gone."""
        self._intake.gone(key)
        self.inventory.forget(key)
        self.keeper.forget(key)
        self.reporter.forget(key)
        self._metrics.forget(key)

    # --- life ---

    async def start(self) -> None:
        """Starts watching, keeping and ticking; returns at once."""
        await self._client.__aenter__()
        self._actor.monitors = await self._client.serves(names.POD_MONITOR)
        self._watches.start(self._settings.namespaces, self._actor.monitors)
        if self.lease is not None:
            self._tasks.begin(self.lease.run(), "lease")
        if self.claims is not None:
            self._tasks.begin(self.claims.run(), "claims")
        if self._farewell is not None and self._settings.namespaces:
            self._tasks.begin(self._farewell.run(), "farewell")
        self._metrics.acting.set(self.claims is None)
        self._tasks.begin(self._work(), "work")

    async def stop(self) -> None:
        """Stops acting, and lets another one begin. Everything that serves goes on as it is."""
        await self._tasks.stop()
        await self.past.stop()
        if self.claims is not None:
            await self.claims.leave()
        if self.lease is not None:
            await self.lease.release()
        await self._client.__aexit__(None, None, None)

    @property
    def healthy(self) -> bool:
        """Whether ticks end and no part has died."""
        return not self.loop.stuck and not self._tasks.dead

    def listed(self) -> None:
        """The handlers have seen the first RecModels: the first tick need not wait for more of them."""
        self._first_models.set()

    async def _work(self) -> None:
        """Nothing acts before all is known that stands: a pool that merely was not listed yet must not lose its
        weight.
        """
        await self._watches.synced()
        for tracked in self.keeper.models.values():
            self._intake.learn(tracked)
        logger.info("the cluster's state is known")
        async with asyncio.TaskGroup() as group:
            group.create_task(self.keeper.run())
            group.create_task(self.reporter.run())
            group.create_task(self._ticks())

    async def _ticks(self) -> None:
        with contextlib.suppress(TimeoutError):  # without any RecModel there is nothing to wait for
            async with asyncio.timeout(2.0):
                await self._first_models.wait()
                await asyncio.sleep(0.5)  # the rest of the first list
        await self.loop.run()

    # --- one of several ---

    def _leases(self) -> tuple[Lease | None, Claims | None]:
        found = self._settings
        if not found.lease_name:
            return None, None
        place = (found.lease_namespace, found.lease_name, found.identity)
        lease = Lease(self._client, *place, lambda held: claims.wake())  # noqa: ARG005
        older = Predecessors(self._client, *place)
        claims = Claims(
            self._client, lease, self._namespaces, not found.namespaces, self._acting_changed, self._claimed, older
        )
        self._client.fence = claims.term
        self._farewell = Farewell(self._client, claims, found.leave_namespaces, lease.place)
        return lease, claims

    def _namespaces(self) -> set[str]:
        """Those in which there is, or by the settings may be, something to do."""
        if self._settings.namespaces:
            return {*self._settings.namespaces, *(self._farewell.left if self._farewell else ())}
        return {t.owner.namespace for t in self.keeper.models.values()}

    def _may_act(self, namespace: str) -> bool:
        """False while another operator acts there: then this one watches, decides and learns along, and writes nothing."""
        return self.claims is None or self.claims.acts(namespace)

    def _acting_changed(self, namespace: str, acting: bool) -> None:
        mine = [t for t in self.keeper.models.values() if t.owner.namespace == namespace]
        self.keeper.begin_anew(mine)
        for tracked in mine:
            self.reporter.forget(tracked.key)  # another operator may have written since
            self._decider.recall(tracked.key, tracked.recall(time.time()))
            if not acting:
                self._metrics.forget(tracked.key)
            elif tracked.decision is not None:  # a tick old at most, and made from all that was seen
                self._act(tracked, tracked.decision, self._pools(tracked))

    def _claimed(self) -> None:
        if self.claims is not None:
            self._metrics.acts(self.claims.acting, self.claims.others)

    def _changed(self, key: str) -> None:
        """From the inventory: something of a model changed, and its weights may have to move at once."""
        self.keeper.wake(key)

    # --- the tick ---

    async def tick(self, now_seconds: float) -> None:
        """Gather, decide, act."""
        models = [t for t in self.keeper.models.values() if t.spec is not None]
        self._metrics.models.clear()
        for tracked in models:
            if tracked.spec is not None and self._may_act(tracked.owner.namespace):
                self._metrics.models.labels(tracked.spec.mode).inc()
        for tracked in models:
            self._intake.learn(tracked)
        mark(models, self.inventory)
        states = {t.key: self._pools(t) for t in models}
        views = [model_view(t, states[t.key], self._weights(t), self.inventory.backends(t.key)) for t in models]
        if self._settings.history_seconds > 0:
            self.past.want(views, now_seconds)
            await self.past.first(self._settings.history_budget_seconds)
        readings = await asyncio.to_thread(self._decider.gather, views, now_seconds)
        self._gathered(readings)
        # What stands may have changed while Prometheus was asked.
        models = [t for t in models if self.keeper.models.get(t.key) is t]
        for tracked in models:
            states[tracked.key] = self._pools(tracked)
            tracked.reading = readings.models.get(tracked.key)
        decidable = [t for t in models if _decidable(states[t.key])]
        acted = [t for t in decidable if self._may_act(t.owner.namespace)]
        await self.rollouts.tick(acted, states, now_seconds)
        started = time.monotonic()
        decisions, failed = await asyncio.to_thread(
            self._decider.decide,
            [core_model(t, states[t.key]) for t in decidable],
            [observation(t, states[t.key], self._weights(t), now_seconds) for t in decidable],
            now_seconds,
        )
        self._metrics.tick.labels("decide").observe(time.monotonic() - started)
        self._metrics.quarantined.set(len(failed))
        for count, tracked in enumerate(models, 1):
            self._take_over(tracked, states[tracked.key], decisions, failed)
            if count % YIELD_EVERY == 0:
                await asyncio.sleep(0)

    def _take_over(
        self,
        tracked: Tracked,
        states: dict[str, PoolState],
        decisions: Mapping[str, Decision],
        failed: Mapping[str, str],
    ) -> None:
        decision = decisions.get(tracked.key)
        # The spec may have changed while the tick was deciding: then this was decided for other pools.
        if decision is not None and set(decision.pools) == self._pools(tracked).keys():
            tracked.decision = decision
            if self._may_act(tracked.owner.namespace):
                self._act(tracked, decision, states)
        if tracked.key in failed:
            tracked.failed = Reason(DECIDING_FAILED, failed[tracked.key])
        elif tracked.failed is not None and tracked.failed.reason == DECIDING_FAILED:
            tracked.failed = None
        self._report(tracked)

    def _act(self, tracked: Tracked, decision: Decision, states: Mapping[str, PoolState]) -> None:
        if tracked.acts and not any(state.autoscaler or state.releaser for state in states.values()):
            self.keeper.decided(tracked, decision, states)
        else:
            tracked.wanted, tracked.pending = None, set()
        ready = {name: state.ready for name, state in states.items()}
        self._metrics.decided(tracked, decision, ready, self._weights(tracked))
        if tracked.spec is not None:
            self._metrics.rolled(tracked, limits(tracked.spec, tracked.serving, tracked.trials))

    def _gathered(self, readings: Readings) -> None:
        self._metrics.prometheus_seconds.observe(readings.seconds)
        self._metrics.prometheus_queries.set(readings.queries)
        if readings.error is not None:
            self._metrics.prometheus_errors.labels(readings.error.reason).inc()
            logger.warning("Prometheus: %s", readings.error.message)

    # --- what stands ---

    def _pools(self, tracked: Tracked) -> dict[str, PoolState]:
        spec = tracked.spec
        return (
            {p.name: _stands(tracked, p.name, self.inventory.pool(tracked.key, p.name)) for p in spec.pools}
            if spec
            else {}
        )

    def _models(self) -> list[Model]:
        return [core_model(t, self._pools(t)) for t in self.keeper.models.values() if t.spec is not None]

    def _weights(self, tracked: Tracked) -> dict[str, int]:
        return self.keeper.weights(tracked, tracked.spec) if isinstance(tracked.spec, RecModelSpec) else {}

    def _report(self, tracked: Tracked) -> None:
        if not self._may_act(tracked.owner.namespace):
            return
        route = route_of(tracked, self.inventory)
        tracked.route = acceptance(route)
        if tracked.spec is not None and wide_open(tracked.spec) and (route is None or route["spec"].get("hostnames")):
            tracked.route = replace(tracked.route, withheld=True)
        status = self.reporter.report(tracked, self._pools(tracked), self._weights(tracked))
        if self.keeper.models.get(tracked.key) is tracked:  # one that is gone meanwhile leaves no series behind
            self._metrics.judged(tracked, status.conditions)


def _stands(tracked: Tracked, pool: str, state: PoolState) -> PoolState:
    """What stands for a pool. One whose Deployment the API refuses is as one whose pods find no node: planned around."""
    refused = any(r.child == (names.DEPLOYMENT, names.child_name(tracked.owner.name, pool)) for r in tracked.refusals)
    return replace(state, unschedulable=1) if refused and not state.exists else state


def _decidable(states: Mapping[str, PoolState]) -> bool:
    """Whether there is something to decide: a pool that is about to be made is waited for, one that is refused is not."""
    return any(state.exists for state in states.values()) and all(s.exists or s.unschedulable for s in states.values())
