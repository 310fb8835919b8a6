"""Brings each RecModel's children, weights and replicas to what is wanted: one worker a model at a time, woken by
whatever changed.

Level-triggered: a wake-up carries no news, only "look again". What is wanted is the spec and the last decision; what
stands is the inventory; the way between is ``steering``. So the order of events does not matter, nor does
losing some, and a crash between two writes costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import traffic
from recmodel.cluster.apply import Actor, NameTaken
from recmodel.cluster.children import initial_replicas
from recmodel.cluster.errors import ApiRefused, ClusterError, LeadershipLost
from recmodel.cluster.inventory import Inventory, PoolState
from recmodel.cluster.watch import backoff_seconds
from recmodel.controller.metrics import Metrics
from recmodel.controller.releases import adopted
from recmodel.controller.steering import Steering
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Decision, PoolDecision, Reason
from recmodel.prometheus import profile_for

logger = logging.getLogger(__name__)

NAME_TAKEN = "NameTaken"
API_REFUSED = "ApiRefused"
API_UNAVAILABLE = "ApiUnavailable"
INTERNAL_ERROR = "InternalError"

WORKERS = 16
SHARE_TOLERANCE_RATIO = 0.01  # smaller moves of the weights than this share of the traffic are not worth a write


class Keeper:
    """The workers, and the RecModels that they keep."""

    def __init__(
        self,
        actor: Actor,
        inventory: Inventory,
        metrics: Metrics,
        report: Callable[[Tracked], None],
        may_act: Callable[[str], bool] = lambda namespace: True,  # noqa: ARG005
    ) -> None:
        self._actor = actor
        self._inventory = inventory
        self._steering = Steering(actor, inventory, metrics)
        self._report = report  # called when a failure begins or ends, so that the status says so before the next tick
        self._may_act = may_act  # in a namespace; False while another operator does: then nothing is looked at
        self.models: dict[str, Tracked] = {}
        self._queue: asyncio.Queue[str] = asyncio.Queue()
        self._queued: set[str] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}

    def wake(self, key: str) -> None:
        """Has a model looked at as soon as a worker is free; waking it twice before that is once."""
        if key in self.models and key not in self._queued:
            self._queued.add(key)
            self._queue.put_nowait(key)

    def decided(self, tracked: Tracked, decision: Decision, states: Mapping[str, PoolState]) -> None:
        """Takes over a decision. Weights that hardly moved stay as they were; where nothing is to be done, nobody is
        woken.
        """
        wanted = dict(decision.pools)
        if tracked.wanted is not None and not _other_shares(tracked.wanted, wanted):
            wanted = {n: PoolDecision(pool.replicas, tracked.wanted[n].weight) for n, pool in wanted.items()}
        moved = wanted != tracked.wanted or any(states[n].desired != pool.replicas for n, pool in wanted.items())
        tracked.wanted = wanted
        if moved:
            tracked.pending = set(wanted)
            self.wake(tracked.key)

    def begin_anew(self, models: Iterable[Tracked]) -> None:
        """Forgets what was wanted of these, as another operator may have acted since; what stands counts, all of it is
        looked at.
        """
        for tracked in models:
            tracked.wanted, tracked.steered, tracked.applied, tracked.pending = None, None, None, set()
            tracked.serving = {}
            self.wake(tracked.key)

    def forget(self, key: str) -> None:
        """Stops keeping a model that is gone; the API server removes its children."""
        self.models.pop(key, None)
        self._failures.pop(key, None)
        if timer := self._timers.pop(key, None):
            timer.cancel()

    async def run(self) -> None:
        """The workers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            self._queued.discard(key)
            tracked = self.models.get(key)
            if tracked is None or not self._may_act(key.partition("/")[0]):
                continue
            if tracked.lock.locked():  # another worker has it: it is looked at again as soon as that one is done
                self._again(key, 0.02)
                continue
            async with tracked.lock:
                try:
                    await self._look(key, tracked)
                except Exception:  # not even reporting a failure works for this one; the others go on
                    logger.exception("%s: left alone until it changes", key)

    async def _look(self, key: str, tracked: Tracked) -> None:
        """One look at one model. Nothing that is wrong with it reaches the others."""
        try:
            waits = [await self._children(tracked), await self._steering.steer(tracked)]
            await self._optimise(tracked)  # last: what it waits for holds up nothing that serves
        except LeadershipLost as lost:  # no fault of the model; whoever acts now looks at it
            logger.info("%s: %s", key, lost)
            return
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            known = isinstance(error, ClusterError)
            logger.log(logging.WARNING if known else logging.ERROR, "%s: %s", key, error, exc_info=not known)
            self._failed(tracked, Reason(_reason(error), str(error)[:900]))
            # A refusal may heal (a quota, a missing CRD, a name that gets free), so it is tried again, ever more
            # seldom.
            self._again(key, backoff_seconds(failures) * (1 if not isinstance(error, ApiRefused | NameTaken) else 3))
            return
        self._failures.pop(key, None)
        self._failed(tracked, None)
        if again := [seconds for seconds in waits if seconds is not None]:
            self._again(key, min(again))

    def _failed(self, tracked: Tracked, reason: Reason | None) -> None:
        if (reason.reason if reason else None) != (tracked.failed.reason if tracked.failed else None):
            tracked.failed = reason
            self._report(tracked)

    def _again(self, key: str, seconds: float) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.wake, key)

    async def _children(self, tracked: Tracked) -> float | None:
        """Applies the children where something is missing or changed; returns after how long to look again."""
        spec = tracked.spec
        if spec is None or tracked.paused:
            return None
        states = {pool.name: self._inventory.pool(tracked.key, pool.name) for pool in spec.pools}
        tracked.serving = adopted(tracked.variants, spec, tracked.serving, states)
        wished = (tracked.generation, tracked.serving)
        if tracked.applied == wished:
            if self._actor.intact(tracked.owner, spec):
                return None
            if (wait_seconds := tracked.patience.due_in(time.monotonic())) > 0:
                return wait_seconds
        profile = profile_for(spec.metrics)
        page = (profile.scrape.port, profile.scrape.path) if profile.scope == "pod" else None
        first = initial_replicas(spec)
        if tracked.acts and tracked.wanted is not None:
            first |= {name: pool.replicas for name, pool in tracked.wanted.items() if name in first}
        written = await self._actor.children(tracked.owner, spec, page, first, tracked.serving)
        tracked.applied = wished
        if written:
            tracked.steered = None
            logger.info("%s: applied %s", tracked.key, ", ".join(written))
        return None

    async def _optimise(self, tracked: Tracked) -> None:
        """Starts the Job that makes variants, once for each ``spec.optimisation``; not again where it ended well."""
        spec = tracked.spec
        if spec is None or not tracked.acts or spec.optimisation in (None, tracked.optimised):
            return
        if tracked.job is not None and tracked.job == tracked.finished:
            tracked.optimised = spec.optimisation
            return
        name = await self._actor.optimise(tracked.owner, spec)
        tracked.optimised, tracked.finished = spec.optimisation, None
        logger.info("%s: Job %s makes variants", tracked.key, name)

    def weights(self, tracked: Tracked, spec: RecModelSpec) -> dict[str, int]:
        """The route's weights now, of 1,000; the first ones where there is no route yet."""
        return self._steering.weights(tracked, spec)


def _other_shares(before: Mapping[str, PoolDecision], after: Mapping[str, PoolDecision]) -> bool:
    """Whether the traffic shall be shared otherwise than before, by more than is worth ignoring."""
    if before.keys() != after.keys() or any((before[n].weight > 0) != (after[n].weight > 0) for n in after):
        return True
    shares = [{name: pool.weight for name, pool in pools.items()} for pools in (before, after)]
    return traffic.differs(shares[0], shares[1], SHARE_TOLERANCE_RATIO)


def _reason(error: Exception) -> str:
    if isinstance(error, NameTaken):
        return NAME_TAKEN
    if isinstance(error, ApiRefused):
        return API_REFUSED
    return API_UNAVAILABLE if isinstance(error, ClusterError) else INTERNAL_ERROR
