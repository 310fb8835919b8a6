"""Brings each RecModel's children, weights and replicas to what is wanted: one worker a model at a time, woken by
whatever changed.

Level-triggered: a wake-up carries no news, only "look again". What is wanted is the spec and the last decision; what
stands is the inventory; the way between is ``traffic_shift``. So the order of events does not matter, nor does
losing some, and a crash between two writes costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import initial_replicas, route_kind
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.leaving import leaving
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.cluster.transport import errors as errors_module
from recmodel.cluster.transport.errors import ClusterError, LeadershipLost
from recmodel.cluster.transport.request import RETRIES
from recmodel.cluster.transport.watch import backoff_seconds
from recmodel.cluster.writing.apply import Actor
from recmodel.cluster.writing.attempts import Attempts
from recmodel.cluster.writing.drift import Child
from recmodel.cluster.writing.outcome import Failure, Outcome
from recmodel.controller.failures import log_failure
from recmodel.controller.fairness import FairQueue
from recmodel.controller.node_buffers import NodeBuffers
from recmodel.controller.overwriting import overwriting
from recmodel.controller.rollouts import adopt, forget_serving
from recmodel.controller.tracked import Tracked
from recmodel.controller.traffic_shift import TrafficShift, forget_wanted, forget_written_weights, want
from recmodel.core.types import Decision, Reason
from recmodel.prometheus import profile_for
from recmodel.report import refusals
from recmodel.report.snapshot import Intended

logger = logging.getLogger(__name__)

WORKERS = 64
AT_ONCE_IN_A_NAMESPACE = 8
SWEEP_SECONDS = 20.0  # so often each child is compared with what is wanted, whether or not any event came of it
SWEEP_EVERY = 50  # models between two pauses of a sweep


class Reconciler:
    """The workers, and the RecModels that they keep."""

    def __init__(
        self,
        actor: Actor,
        inventory: Inventory,
        steps: tuple[TrafficShift, NodeBuffers],
        report: Callable[[Tracked], object],
        may_act: Callable[[str], bool] = lambda namespace: True,  # noqa: ARG005
        known: Callable[[Tracked], bool] = lambda tracked: True,  # noqa: ARG005
    ) -> None:
        self._actor = actor
        self._inventory = inventory
        self._traffic_shift, self._node_buffers = steps  # what follows the children
        self._report = report  # called when a failure begins or ends, so that the status says so before the next tick
        self._may_act = may_act  # in a namespace; False while another operator does: then nothing is looked at
        self._known = known  # False while what stands in the cluster of a RecModel is not: then it is left as it is
        self.models: dict[str, Tracked] = {}
        self._queue = FairQueue(AT_ONCE_IN_A_NAMESPACE)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}

    def wake(self, key: str) -> None:
        """Has a model looked at as soon as a worker is free; waking it twice before that is once."""
        if key in self.models:
            self._queue.put(key)

    def decided(self, tracked: Tracked, decision: Decision, states: Mapping[str, PoolState]) -> None:
        """Has a decision carried out; where nothing is to be done, nobody is woken."""
        if want(tracked, decision, states) | self._node_buffers.want(tracked, decision, states):
            self.wake(tracked.key)

    def start_over(self, models: Iterable[Tracked]) -> None:
        """Forgets what was wanted of these, as another operator may have acted since; what stands counts, all of it is
        looked at.
        """
        for tracked in models:
            tracked.applied = replace(
                tracked.applied, intended=None, refusals=(), overwritten=None, unstarted=None, job_started=False
            )
            tracked.retries.keep(())
            forget_serving(tracked)
            forget_wanted(tracked)
            forget_written_weights(tracked)
            self.wake(tracked.key)

    def keeps(self, tracked: Tracked) -> bool:
        """Whether a RecModel has not gone, or been made again, meanwhile."""
        return self.models.get(tracked.key) is tracked

    def forget(self, key: str) -> None:
        """Stops keeping a model that is gone; the API server removes its children."""
        self.models.pop(key, None)
        self._failures.pop(key, None)
        self._actor.forget(key)
        self._node_buffers.forget(key)
        if timer := self._timers.pop(key, None):
            timer.cancel()

    async def run(self) -> None:
        """The workers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep())
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.get()
            try:
                await self._take(key)
            except Exception:  # not even reporting a failure works for this one; the others go on
                logger.exception("%s: left alone until it changes", key)
            finally:
                self._queue.done(key)

    async def _take(self, key: str) -> None:
        tracked = self.models.get(key)
        if tracked is None or not self._may_act(key.partition("/")[0]) or not self._known(tracked):
            return
        if tracked.lock.locked():  # another worker has it: it is looked at again as soon as that one is done
            self._again(key, 0.02)
            return
        async with tracked.lock:
            try:
                await self._look(key, tracked)
            finally:
                if key not in self.models:  # it went while it was looked at
                    self._actor.forget(key)

    async def _sweep(self) -> None:
        """Wakes the models that are not as wanted, over and over: a change that no watch reported is found, too."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            for count, (key, tracked) in enumerate(list(self.models.items()), 1):
                try:
                    acts = tracked.applied.intended is not None and self._may_act(tracked.owner.namespace)
                    if acts and self._drifted(tracked):
                        self.wake(key)
                except Exception:  # the look that it is woken for says what is wrong with it
                    self.wake(key)
                if count % SWEEP_EVERY == 0:
                    await asyncio.sleep(0)

    async def _look(self, key: str, tracked: Tracked) -> None:
        """One look at one model. Nothing that is wrong with it reaches the others, and what is refused of its children
        does not stop the writes of its weights and replicas.
        """
        waits: list[float | None] = []
        errors: list[Exception] = []
        # Node buffers and the Job come last: what they wait for holds up nothing that serves.
        for step in (self._children, self._traffic_shift.shift, self._node_buffers.bring, self._optimise):
            try:
                waits.append(await step(tracked))
            except LeadershipLost as lost:  # no fault of the model; whoever acts now looks at it
                logger.info("%s: %s", key, lost)
                return
            except Exception as error:
                level = logging.WARNING if errors_module.known(error) else logging.ERROR
                logger.log(level, "%s: %s", key, error, exc_info=not errors_module.known(error))
                errors.append(error)
                if isinstance(error, ClusterError) and not errors_module.heals_slowly(error):
                    break  # the API server does not answer: the next step would wait as long
        if self.models.get(key) is not tracked:  # gone meanwhile: what failed may have been just that
            return
        self._failed(tracked, *refusals.apart(tracked.owner.namespace, tracked.failures, errors))
        if errors:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            waits.append(backoff_seconds(failures) * (3 if errors_module.heals_slowly(errors[0]) else 1))
        else:
            self._failures.pop(key, None)
        if again := [seconds for seconds in waits if seconds is not None]:
            self._again(key, min(again))

    def _failed(self, tracked: Tracked, serving: Reason | None, beside: Reason | None) -> None:
        if (serving, beside) != (tracked.applied.failed, tracked.applied.lacking):
            tracked.applied = replace(tracked.applied, failed=serving, lacking=beside)
            self._report(tracked)

    def _again(self, key: str, seconds: float) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.wake, key)

    async def _children(self, tracked: Tracked) -> float | None:
        """Applies the children where something is missing or changed; returns after how long to look again."""
        spec = tracked.spec
        if spec is None or not tracked.desired.makes:
            tracked.applied = replace(tracked.applied, refusals=())
            return None
        states = {pool.name: self._inventory.pool(tracked.key, pool.name, tracked.owner.uid) for pool in spec.pools}
        adopt(tracked, spec, states)
        away = leaving(self._inventory, tracked.owner, spec)
        intended = (tracked.desired.generation, tracked.desired.written, tracked.versions.serving, away)
        now = time.monotonic()
        left: set[Child] = set()  # as they are, in this pass
        too_soon: dict[Child, float] = {}
        if tracked.applied.intended == intended:
            drifted = self._drifted(tracked)
            overwritten = await overwriting(self._actor, tracked, drifted, now)
            tracked.applied = replace(tracked.applied, overwritten=overwritten)
            refused = {refusal.child for refusal in tracked.applied.refusals}
            others = drifted.keys() - refused
            if tracked.desired.acts:  # whoever writes the weights puts the route right as well
                left = others & {(route_kind(spec), tracked.owner.name)}
                others -= left
            too_soon = tracked.backoffs.waits(others, now) | tracked.retries.waits(refused, now)
            left |= too_soon.keys()
            if (others | refused) <= left:
                return min(too_soon.values(), default=None)
            if due := others - left:
                tracked.backoffs.made(due, now)
                logger.info("%s: somebody changed %s", tracked.key, refusals.named(due))
        first = initial_replicas(spec)
        if tracked.desired.acts and tracked.wanted is not None:
            first |= {name: pool.replicas for name, pool in tracked.wanted.items() if name in first}
        attempts = Attempts(left, tracked.applied.refusals)
        outcome = await self._actor.apply_children(
            tracked.owner, spec, profile_for(spec.metrics).pod_page, first, tracked.versions.serving, attempts
        )
        again_seconds = self._applied(tracked, outcome, intended, attempts.left)
        return min([*too_soon.values()] + ([] if again_seconds is None else [again_seconds]), default=None)

    def _applied(self, tracked: Tracked, outcome: Outcome, intended: Intended, left: Collection[Child]) -> float | None:
        """Takes over what came of applying the children but those in ``left``; each that was refused is tried again, at
        growing intervals of its own. Returns after how long the first one is.
        """
        stands = intended if not outcome.held else None
        tracked.applied = replace(tracked.applied, intended=stands, refusals=outcome.failures)
        if any(f"{kind.kind} {tracked.owner.name}" in outcome.written for kind in names.ROUTES):
            forget_written_weights(tracked)
        if outcome.written:
            logger.info("%s: applied %s", tracked.key, ", ".join(outcome.written))
        attempted = [failure for failure in outcome.failures if failure.child not in left]
        for failure in attempted:
            log_failure(tracked.key, failure)
        now = time.monotonic()
        refused = {failure.child for failure in outcome.failures}
        tracked.retries.keep({failure.child for failure in tracked.applied.failures})
        tracked.retries.made([failure.child for failure in attempted], now)
        return min(tracked.retries.waits(refused, now).values(), default=None)

    def _drifted(self, tracked: Tracked) -> Mapping[Child, dict[str, Any]]:
        """The children that are missing or that somebody changed, with what they are to be."""
        spec = tracked.spec
        if spec is None or not tracked.desired.makes:
            return {}
        return self._actor.drifted(tracked.owner, spec, profile_for(spec.metrics).pod_page, tracked.versions.serving)

    async def _optimise(self, tracked: Tracked) -> float | None:
        """Starts the Job that makes variants, once for each ``spec.optimisation``; not again where it ended well. What refuses
        it holds up nothing else, and it is tried again at intervals of its own; returns after how long.
        """
        spec, name = tracked.spec, tracked.desired.job
        starts = (
            spec is not None and tracked.desired.acts and spec.optimisation not in (None, tracked.applied.optimised)
        )
        if spec is None or name is None or not starts:
            tracked.applied = replace(tracked.applied, unstarted=None)
            return None
        recalled_job = None if tracked.applied.job_started else tracked.recalled.finished_job
        if name == recalled_job:
            tracked.applied = replace(tracked.applied, optimised=spec.optimisation, unstarted=None)
            return None
        child = names.JOB, name
        if waits := tracked.retries.waits([child], time.monotonic()):
            return waits[child]
        try:
            await self._actor.optimise(tracked.owner, spec, RETRIES if tracked.applied.unstarted is None else 0)
        except LeadershipLost:
            raise
        except Exception as error:
            failure = Failure(child, error, serves=False)
            tracked.applied = replace(tracked.applied, unstarted=failure)
            log_failure(tracked.key, failure)
            now = time.monotonic()
            tracked.retries.made([child], now)
            return tracked.retries.waits([child], now)[child]
        tracked.applied = replace(tracked.applied, optimised=spec.optimisation, unstarted=None, job_started=True)
        logger.info("%s: Job %s makes variants", tracked.key, name)
        return None

    def weights(self, tracked: Tracked, spec: RecModelSpec) -> dict[str, int]:
        """The route's weights now, of 1,000; the first ones where there is no route yet."""
        return self._traffic_shift.weights(tracked, spec)
