"""The whole: connections, watches, registry, reconciler, reporter and tick, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from typing import Any

from recmodel.cluster import names
from recmodel.cluster.leases.claims import Claims, Scope
from recmodel.cluster.leases.lease import Lease, LeaseIdentity
from recmodel.cluster.leases.predecessors import Predecessors
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.objects import identity_of
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.cluster.observed.referenced import Referenced
from recmodel.cluster.scale_targets import Referable
from recmodel.cluster.transport.client import Client
from recmodel.cluster.writing.apply import Actor
from recmodel.controller.contests import recall_contests
from recmodel.controller.decider import Decider
from recmodel.controller.giving_back import GivingBack
from recmodel.controller.history_loader import HistoryLoader
from recmodel.controller.isolation import each
from recmodel.controller.keeping import Keeping, kept_text, recall
from recmodel.controller.late_kinds import LateKinds
from recmodel.controller.left_namespaces import LeftNamespaces
from recmodel.controller.metrics import Metrics
from recmodel.controller.node_buffers import NodeBuffers
from recmodel.controller.recmodel_watch import RecModelWatch
from recmodel.controller.reconciler import Reconciler
from recmodel.controller.reference_pools import ReferencePools
from recmodel.controller.reference_watch import ReferenceWatch
from recmodel.controller.registry import Registry
from recmodel.controller.reporter import Reporter
from recmodel.controller.reports import Reports
from recmodel.controller.rollouts import Rollouts
from recmodel.controller.route_rules import RouteRules, recall_rule_contest
from recmodel.controller.routes import backends, compare_routes
from recmodel.controller.settings import Settings
from recmodel.controller.standing import standing_pools
from recmodel.controller.tasks import Tasks
from recmodel.controller.tick import Tick
from recmodel.controller.tick_loop import Loop
from recmodel.controller.tracked import Tracked
from recmodel.controller.traffic_shift import TrafficShift, forget_wanted
from recmodel.controller.views import core_model
from recmodel.controller.watches import Watches, served
from recmodel.core.types import Model

logger = logging.getLogger(__name__)

# So long without any decision, with RecModels that could be decided for, and only a restart may help. Neither Prometheus
# nor the API server being away is that: holding is a decision, too.
UNDECIDED_SECONDS, UNDECIDED_TICKS = 300.0, 20


class Operator:
    """One process's work. ``observe`` and ``forget`` tell of RecModels; the rest follows from the watches and the tick."""

    def __init__(self, settings: Settings, client: Client, decider: Decider, metrics: Metrics) -> None:
        self._settings = settings
        self._client = client
        self._decider = decider
        self._metrics = metrics
        self.inventory = Inventory(self._changed, metrics.unread, time.time)
        self._actor = Actor(client, self.inventory)
        self._keeping = Keeping(decider)
        self.reporter = Reporter(client, settings.refresh_pace, self._keeping)
        self._left_namespaces: LeftNamespaces | None = None
        self.lease, self.claims = self._leases()
        self._tasks = Tasks()
        self._watches = Watches(client, self.inventory, self._tasks, self._listed, metrics.followed)
        self._late_kinds = late = LateKinds(client, self._watches, settings.namespaces)
        self._node_buffers = NodeBuffers(client, self.inventory, late if settings.keeps_nodes else None, self._listed)
        self.referenced = Referenced(self.inventory.acting_on, self.inventory.unreadable, time.monotonic, time.time)
        referable, changed = Referable(settings.scale_targets), self._changed
        self._references = ReferenceWatch(client, self.referenced, self._tasks, referable, changed)
        rules = RouteRules(client, self._tasks, self.inventory.unreadable, self._tracked, changed)
        seen = self.referenced, self._references
        self._reference_pools = ReferencePools(client, *seen, self._tracked, self._watches.scalers_unlisted, rules)
        steps = TrafficShift(self._actor, self.inventory, self._reference_pools, metrics), self._node_buffers
        self.reconciler = Reconciler(self._actor, self.inventory, steps, self._report, self._may_act, self._knows)
        self._registry = Registry(
            self.reconciler, self.inventory, decider, settings.permitted, self._report, self.forget
        )
        self.history_loader = HistoryLoader(decider, self._models)
        self.rollouts = Rollouts(decider, self.reconciler.wake, lambda t: self.tick.weights(t), settings.tick_seconds)
        self.tick = Tick(
            settings, decider, metrics, self.reconciler, self._registry, self.history_loader, self.rollouts,
            self._pools, lambda t: backends(t, self.inventory), self._missing,
            lambda models: compare_routes(models, self.inventory), self._may_act, self._report,
        )  # fmt: skip
        self._reports = Reports(
            self.reporter, self._keeping, metrics, self.inventory, self._pools, self.tick.weights, self._may_report
        )
        self.loop = Loop(self.tick.run, settings.tick_seconds, metrics)
        self._giving_back = GivingBack(client, self.reconciler.models, self._may_act)
        self._recmodel_watch = RecModelWatch(self.reconciler.models, self.observe, self.forget, self.listed)
        self._first_models = asyncio.Event()
        self._settled = False

    # --- RecModels, from their watch ---

    def observe(self, body: Mapping[str, Any]) -> None:
        """A RecModel as it stands now. Only another spec or a new object means work."""
        key = "/".join(identity_of(body))
        known = kept_text(before) if (before := self._tracked(key)) else None
        self._registry.observe(body)
        tracked = self._tracked(key)
        if tracked and self._reference_pools.want(tracked):
            forget_wanted(tracked)  # it was decided for other workloads
        if tracked and not self._may_act(tracked.owner.namespace) and kept_text(tracked) != known:
            recall(self._decider, tracked)  # of the one that acts there; what is known here stays
        if self.claims is not None:
            self.claims.wake()

    def forget(self, key: str) -> None:
        """A RecModel that is gone."""
        self.inventory.forget(key)
        self._reference_pools.forget(key)
        self._registry.gone(key)
        self.reconciler.forget(key)
        self.reporter.forget(key)
        self._keeping.forget(key)
        self.history_loader.forget(key)
        self._decider.forget(key)
        self._metrics.forget(key)

    # --- life ---

    async def start(self) -> None:
        """Starts watching, keeping and ticking; returns at once."""
        await self._client.__aenter__()
        if self.lease is not None:
            self._tasks.begin(self.lease.run(), "lease")
        if self.claims is not None:
            self._tasks.begin(self.claims.run(), "claims")
        if self._left_namespaces is not None and self._settings.namespaces:
            self._tasks.begin(self._left_namespaces.run(), "farewell")
        self._metrics.acting.set(self.claims is None)
        self._tasks.begin(self._work(), "work")

    async def stop(self) -> None:
        """Stops acting, and lets another one begin. Everything that serves goes on as it is."""
        await self._tasks.stop()
        await self.history_loader.stop()
        await self._reports.last(list(self.reconciler.models.values()))
        if self.claims is not None:
            await self.claims.leave()
        if self.lease is not None:
            await self.lease.release()
        await self._client.__aexit__(None, None, None)

    @property
    def illness(self) -> str | None:
        """What a restart may mend: ticks that do not end, a part that has died, no decision at all; None: well."""
        if self.loop.stuck:
            return "the tick is stuck"
        if self._tasks.dead:
            return "a part has died"
        patience = max(UNDECIDED_SECONDS, UNDECIDED_TICKS * self._settings.tick_seconds)
        if self.reconciler.models and self._settled and time.monotonic() - self.tick.decided_at > patience:
            return f"RecModels exist, and none was decided for in {patience:.0f} s"
        return None

    @property
    def healthy(self) -> bool:
        """Whether no restart is called for."""
        return self.illness is None

    def listed(self) -> None:
        """All RecModels were listed: the first tick need not wait for more of them."""
        self._first_models.set()

    async def _work(self) -> None:
        """Nothing acts for a RecModel before all is known that stands of it: a pool that merely was not listed yet must
        not lose its weight. What one waits for stops no other.
        """
        self._actor.monitors = await served(self._client, names.POD_MONITOR)
        self._watches.start(self._settings.namespaces, self._actor.monitors, self._recmodel_watch)
        if self._settings.handback:
            self._watches.stores(self._settings.namespaces, self._giving_back)
            self._tasks.keep(self._giving_back.run, "giving back")
        await self._watches.settled()
        self._settled, self.tick.decided_at = True, time.monotonic()
        self._listed()
        logger.info("the cluster's state is known")
        async with asyncio.TaskGroup() as group:
            group.create_task(self.reconciler.run())
            group.create_task(self.reporter.run())
            group.create_task(self._ticks())
            group.create_task(self._later())
            group.create_task(self._node_buffers.run())

    async def _later(self) -> None:
        """PodMonitors may come to the cluster after the operator: from then on they are made."""
        if not self._actor.monitors:
            await self._late_kinds.found(names.POD_MONITOR)
            self._actor.monitors = True
            self._listed()

    async def _ticks(self) -> None:
        with contextlib.suppress(TimeoutError):  # without any RecModel there is nothing to wait for
            async with asyncio.timeout(2.0):
                await self._first_models.wait()
                await asyncio.sleep(0.5)  # the children of the new ones
        await self.loop.run()

    # --- one of several ---

    def _leases(self) -> tuple[Lease | None, Claims | None]:
        found = self._settings
        if not found.lease_name:
            return None, None
        identity = LeaseIdentity(found.lease_namespace, found.lease_name, found.identity)
        lease = Lease(self._client, identity, lambda held: claims.wake(), time.monotonic)  # noqa: ARG005
        scope = Scope(self._namespaces, everywhere=not found.namespaces)
        older = Predecessors(self._client, identity, time.monotonic)
        claims = Claims(self._client, scope, lease, self._acting_changed, self._claimed, older)
        self._client.fence = claims.term
        self._left_namespaces = LeftNamespaces(self._client, claims, found.leave_namespaces, lease.place)
        return lease, claims

    def _namespaces(self) -> set[str]:
        """Those in which there is, or by the settings may be, something to do."""
        if self._settings.namespaces:
            return {*self._settings.namespaces, *(self._left_namespaces.left if self._left_namespaces else ())}
        return {t.owner.namespace for t in self.reconciler.models.values()} | self._giving_back.namespaces

    def _may_act(self, namespace: str) -> bool:
        """False while another operator acts there: then this one watches, decides and learns along, and writes nothing."""
        return self.claims is None or self.claims.acts(namespace)

    def _knows(self, tracked: Tracked) -> bool:
        """Whether all is known that acting for a RecModel needs."""
        return self._settled and not self._missing(tracked)

    def _missing(self, tracked: Tracked) -> list[str]:
        return [*self._watches.missing(tracked), *self._reference_pools.missing(tracked)]

    def _listed(self) -> None:
        """A kind is known from now on: those that waited for it are looked at."""
        if self._settled:
            models = list(self.reconciler.models.values())
            each(models, "taking over its records", self._registry.learn, {})
            for tracked in models:
                self.reconciler.wake(tracked.key)

    def _acting_changed(self, namespace: str, acting: bool) -> None:
        mine = [t for t in self.reconciler.models.values() if t.owner.namespace == namespace]
        self.reconciler.start_over(mine)
        failed: dict[str, str] = {}
        each(mine, "taking over", lambda t: self._taken_over(t, acting), failed)
        for key, problem in failed.items():
            logger.error("%s: %s", key, problem)

    def _taken_over(self, tracked: Tracked, acting: bool) -> None:
        self.reporter.forget(tracked.key)  # another operator may have written since
        self._registry.recall(tracked)
        recall_contests(tracked, time.monotonic(), time.time())
        recall_rule_contest(tracked, time.monotonic(), time.time())
        if not acting:
            self._metrics.forget(tracked.key)
        elif tracked.decision is not None:  # a tick old at most, and made from all that was seen
            self.tick.act(tracked, tracked.decision, self._pools(tracked))

    def _claimed(self) -> None:
        if self.claims is not None:
            self._metrics.acts(self.claims.acting, self.claims.others, self.claims.refused)

    def _tracked(self, key: str) -> Tracked | None:
        return self.reconciler.models.get(key)

    def _changed(self, key: str) -> None:
        self.reconciler.wake(key)  # something of a model changed, and its weights may have to move at once

    # --- what stands ---

    def _pools(self, tracked: Tracked) -> dict[str, PoolState]:
        found = standing_pools(tracked, self.inventory, self._actor, self._reference_pools)
        return self._node_buffers.standing(tracked, found)

    def _models(self) -> list[Model]:
        models = [t for t in self.reconciler.models.values() if t.spec is not None]
        return list(each(models, "its past", lambda t: core_model(t, self._pools(t)), {}).values())

    def _report(self, tracked: Tracked) -> bool:
        return self._reports.report(tracked)

    def _may_report(self, tracked: Tracked) -> bool:
        return self._may_act(tracked.owner.namespace) and self.reconciler.keeps(tracked) and self._knows(tracked)
