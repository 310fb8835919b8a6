"""Weights and replicas of one RecModel, brought a step nearer to what was decided: ``cluster.weight_steps`` says the step,
and here it is written.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import weight_steps
from recmodel.cluster.children.builders import initial_weights, route_kind
from recmodel.cluster.observed.inventory import Inventory
from recmodel.cluster.observed.leaving import leaving, places
from recmodel.cluster.observed.pool_state import PoolState, jointly_routed, leaves, routed_weights
from recmodel.cluster.transport.errors import ClusterError
from recmodel.cluster.transport.request import RETRIES
from recmodel.cluster.weight_pace import WeightPace
from recmodel.cluster.writing.apply import Actor, scaled
from recmodel.cluster.writing.attempts import stops_all
from recmodel.controller import contests
from recmodel.controller.metrics import Metrics
from recmodel.controller.reference_pools import ReferencePools
from recmodel.controller.reference_watch import workloads
from recmodel.controller.route_rules import forget_rule, sighted
from recmodel.controller.tracked import Tracked
from recmodel.core.types import Decision, PoolDecision
from recmodel.rollout.wanted_versions import limits

logger = logging.getLogger(__name__)

SHARE_TOLERANCE_RATIO = 0.01  # smaller moves of the weights than this share of the traffic are not worth a write


class TrafficShift:
    """Keeps nothing: what was wanted and written is in ``Tracked``, what stands in the inventory."""

    def __init__(self, actor: Actor, inventory: Inventory, references: ReferencePools, metrics: Metrics) -> None:
        self._actor = actor
        self._inventory = inventory
        self._references = references
        self._metrics = metrics

    async def shift(self, tracked: Tracked) -> float | None:
        """The next step of weights and replicas; returns after how long to look again."""
        spec = tracked.spec
        if spec is None or not tracked.desired.acts:
            return None
        started = time.monotonic()
        states = self._states(tracked, spec)
        if not any(state.exists for state in states.values()):
            return None
        if spec.by_reference:
            contests.count_overwritten(tracked, states, started, time.time())
            self._references.rules.count_overwritten(tracked, states)
            states = self._states(tracked, spec)  # which may be contested from now on
        now = self.weights(tracked, spec) if _routed(spec, states) else {}
        step = self._step(tracked, spec, states, now)
        # Growing comes before the weights that it bears; shrinking after the weights that leave. What is refused of one pool
        # stops neither the others nor the weights.
        unscaled: list[ClusterError] = []
        grown = [
            await self._scale(tracked, n, s, step.replicas[n], unscaled)
            for n, s in states.items()
            if step.replicas[n] > s.desired
        ]
        refusal: ClusterError | None = None
        if spec.route_ref is not None and now:
            if (blocked_seconds := await self._references.rules.write(tracked, now, step.weights)) is not None:
                return blocked_seconds
        elif self._actor.route_differs(tracked.owner, spec, step.weights):
            overwritten = (
                [(route_kind(spec), tracked.owner.name)] if _overwritten(tracked, now, step.weights, states) else []
            )
            if waits := tracked.backoffs.waits(overwritten, started):
                return min(waits.values())
            tracked.backoffs.made(overwritten, started)
            refusal = await self._weights(tracked, spec, step.weights, started)
        shrunk = [
            await self._scale(tracked, n, s, step.replicas[n], unscaled)
            for n, s in states.items()
            if step.replicas[n] < s.desired and (refusal is None or now.get(n, 0) <= step.weights[n])
        ]
        if any(grown) or any(shrunk):
            logger.info("%s: replicas %s", tracked.key, dict(step.replicas))
        _written(tracked, {n: step.replicas[n] for n, state in states.items() if step.replicas[n] == state.desired})
        if first := refusal or next(iter(unscaled), None):
            raise first
        return step.again_seconds

    def _step(
        self, tracked: Tracked, spec: RecModelSpec, states: Mapping[str, PoolState], now: Mapping[str, int]
    ) -> weight_steps.Step:
        """The next step. In a rule of somebody else's no weight moves without a decision on it, or while the load is not known, but from a
        pool without pods.
        """
        decided = tracked.wanted if tracked.wanted is not None and states.keys() <= tracked.wanted.keys() else None
        pools = {name: _traffic(tracked, decided, name, state, now.get(name, 0)) for name, state in states.items()}
        if spec.route_ref is None:
            settled_seconds = time.monotonic() - tracked.traffic.changed_at
            return weight_steps.step(pools, settled_seconds, routed=spec.own_route is not None, pace=_pace(spec))
        if not now:
            return weight_steps.step({name: _as_it_gets(tracked, p) for name, p in pools.items()}, 0.0, routed=False)
        settled_seconds = self._references.rules.settled_seconds(tracked)
        if not (tracked.traffic.sighted and tracked.traffic.jointly):
            pools = {name: replace(pool, wanted_share=float(pool.weight)) for name, pool in pools.items()}
            if all(pool.ready > 0 for pool in pools.values() if pool.weight > 0):
                return weight_steps.holding(pools, settled_seconds)
        return weight_steps.step(pools, settled_seconds, pace=_pace(spec))

    async def _weights(
        self, tracked: Tracked, spec: RecModelSpec, weights: Mapping[str, int], started: float
    ) -> ClusterError | None:
        """Writes the route; its refusal is no reason to leave replicas as they are, but for pools that bear on."""
        try:
            await self._actor.apply_weights(tracked.owner, spec, weights)
        except ClusterError as error:
            if stops_all(error):
                raise
            return error
        changed_at = time.monotonic()
        tracked.traffic = replace(tracked.traffic, written_weights=dict(weights), changed_at=changed_at)
        self._metrics.weight_seconds.observe(changed_at - started)
        logger.info("%s: weights %s", tracked.key, dict(weights))
        return None

    def _states(self, tracked: Tracked, spec: RecModelSpec) -> dict[str, PoolState]:
        stand = {pool.name: self._state(tracked, pool.name) for pool in spec.made_pools}
        stand |= self._references.states(tracked)
        away = leaving(self._inventory, tracked.owner, spec)
        return {p.name: stand[p.name] for p in spec.pools} | {n: leaves(self._state(tracked, n)) for n in away}

    def _state(self, tracked: Tracked, pool: str) -> PoolState:
        """What stands for a pool; one whose Deployment or Service could not be made, or is somebody else's, has
        nothing to shift.
        """
        state = self._inventory.pool(tracked.key, pool, tracked.owner.uid)
        if self._actor.made(tracked.owner, pool) and not self._actor.cut_off(
            tracked.owner, pool, tracked.applied.refusals
        ):
            return state
        return replace(state, exists=False, desired=0, ready=0)

    def weights(self, tracked: Tracked, spec: RecModelSpec) -> dict[str, int]:
        """The route's weights now, of 1,000; the first ones where there is no route yet. In a rule of somebody else's none while one of
        them is not known.
        """
        if spec.by_reference:
            known = routed_weights(self._states(tracked, spec))
            return known if len(known) == len(spec.pools) else {}
        pools = places(self._inventory, tracked.owner, spec)
        weights = self._inventory.weights(tracked.key, pools, route_kind(spec))
        return initial_weights(spec) if weights is None else scaled(weights)

    async def _scale(
        self, tracked: Tracked, pool: str, state: PoolState, replicas: int, refused: list[ClusterError]
    ) -> bool:
        """Writes a pool's replicas and returns whether it did; a refusal is added to ``refused``. What was refused before is sent
        once, as the weights wait behind it.
        """
        # Only for a fresh decision: somebody else's change of the number is seen, and judged, by the next one.
        if pool not in tracked.traffic.pending or state.left_alone or not state.exists:
            return False
        before = tracked.traffic.refused
        retries = 0 if pool in before else RETRIES
        workload = workloads(tracked.owner.namespace, tracked.spec).get(pool)
        try:
            if workload is None:
                await self._actor.apply_replicas(tracked.owner, pool, replicas, retries)
            elif await self._references.write(workload, replicas, retries):
                contests.written(tracked, contests.child_of(workload), replicas, time.monotonic())
            else:
                return False
        except ClusterError as error:
            if stops_all(error):
                raise
            tracked.traffic = replace(tracked.traffic, refused=before | {pool})
            refused.append(error)
            return False
        _written(tracked, {pool: replicas})
        return True


def want(tracked: Tracked, decision: Decision, states: Mapping[str, PoolState]) -> bool:
    """Takes over a decision; returns whether there is anything to do. Weights that hardly moved stay as they were."""
    before, wanted = tracked.wanted, dict(decision.pools)
    if before is not None and not _other_shares(before, wanted):
        wanted = {name: PoolDecision(pool.replicas, before[name].weight) for name, pool in wanted.items()}
    jointly = (tracked.spec is not None and tracked.spec.own_route is not None) or jointly_routed(states)
    known, as_before = sighted(tracked), (before, tracked.traffic.jointly, tracked.traffic.sighted)
    moved = (wanted, jointly, known) != as_before or any(
        states[n].desired != pool.replicas for n, pool in wanted.items()
    )
    pending = frozenset(wanted) if moved else tracked.traffic.pending
    tracked.traffic = replace(
        tracked.traffic,
        wanted=wanted,
        sighted=known,
        jointly=jointly,
        pending=pending,
        refused=tracked.traffic.refused & pending,
    )
    return moved


def forget_wanted(tracked: Tracked) -> None:
    """Weights and replicas stay as they stand in the cluster until the next decision."""
    tracked.traffic = replace(tracked.traffic, wanted=None, pending=frozenset(), refused=frozenset())
    contests.forget_written(tracked)


def forget_written_weights(tracked: Tracked) -> None:
    """The weights that stand now are nobody's change: the route was applied as a child, or another operator may have acted."""
    tracked.traffic = replace(tracked.traffic, written_weights=None)
    forget_rule(tracked)


def _written(tracked: Tracked, replicas: Mapping[str, int]) -> None:
    """Pools that have the replicas that were decided wait for nothing."""
    wanted = tracked.wanted
    done = {
        name
        for name, count in replicas.items()
        if wanted is None or (name in wanted and wanted[name].replicas == count)
    }
    pending = tracked.traffic.pending - done
    tracked.traffic = replace(tracked.traffic, pending=pending, refused=tracked.traffic.refused & pending)


def _other_shares(before: Mapping[str, PoolDecision], after: Mapping[str, PoolDecision]) -> bool:
    """Whether the traffic is to be shared otherwise than before, by more than is worth ignoring."""
    if before.keys() != after.keys() or any((before[n].weight > 0) != (after[n].weight > 0) for n in after):
        return True
    shares = [{name: pool.weight for name, pool in pools.items()} for pools in (before, after)]
    return weight_steps.differs(shares[0], shares[1], SHARE_TOLERANCE_RATIO)


def _overwritten(
    tracked: Tracked, now: Mapping[str, int], wanted: Mapping[str, int], states: Mapping[str, PoolState]
) -> bool:
    """Whether somebody else wrote the route since we did; False while a pool without ready pods bears traffic: no time
    then.
    """
    urgent = any(states[name].ready == 0 for name, weight in now.items() if weight > 0)
    return (
        tracked.traffic.written_weights is not None
        and not urgent
        and (now != tracked.traffic.written_weights or now == wanted)
    )


def _routed(spec: RecModelSpec, states: Mapping[str, PoolState]) -> bool:
    """Whether the operator shares out the traffic."""
    return spec.own_route is not None or jointly_routed(states)


def _as_it_gets(tracked: Tracked, pool: weight_steps.PoolTraffic) -> weight_steps.PoolTraffic:
    """A pool whose weight is not ours just now: nothing is taken away on a decision that has counted on moving it."""
    if not tracked.traffic.jointly or pool.wanted_replicas >= pool.replicas:
        return pool
    return replace(pool, wanted_replicas=pool.replicas)


def _traffic(
    tracked: Tracked, decided: Mapping[str, PoolDecision] | None, pool: str, state: PoolState, weight: int
) -> weight_steps.PoolTraffic:
    wanted = decided[pool] if decided is not None else None
    if wanted is None or state.left_alone:
        replicas, share = state.desired, float(weight) if wanted is None else wanted.weight
    else:
        replicas, share = (wanted.replicas if pool in tracked.traffic.pending else state.desired), wanted.weight
    at_once = _pace(tracked.spec) is not None and _leaves_at_once(tracked, pool)
    return weight_steps.PoolTraffic(weight, state.ready, state.desired, replicas, share, at_once)


def _pace(spec: RecModelSpec | None) -> WeightPace | None:
    """How fast the owner lets weights move; None: as fast as they can."""
    shift = spec.route.shift if spec is not None and spec.route is not None else None
    return WeightPace(shift.max_step_ratio * weight_steps.TOTAL, shift.interval_seconds) if shift is not None else None


def _leaves_at_once(tracked: Tracked, pool: str) -> bool:
    """Whether the pool answers with more errors than may be late, or may answer nothing by its rollout."""
    spec, reading = tracked.spec, tracked.decided.reading
    if spec is None:
        return False
    if limits(spec, tracked.versions.serving, tracked.versions.trials).get(pool) == 0.0:
        return True
    found = reading.pools.get(pool) if reading is not None else None
    if found is None or found.rate_per_second is None or found.errors_per_second is None:
        return False
    return found.errors_per_second > (1.0 - spec.objective.latency.within_ratio) * found.rate_per_second
