"""The rule of somebody else's route that sends to the pools of a RecModel: whether its weights are ours to set, and the write of them."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from recmodel.api.route import RouteRef
from recmodel.api.route_reference import ServiceRef
from recmodel.cluster import weight_steps
from recmodel.cluster.observed.pool_state import Contest, PoolState, Routed, jointly_routed
from recmodel.cluster.observed.referenced_routes import NamedRoute, ReferencedRoutes
from recmodel.cluster.observed.route_rule import RouteRule
from recmodel.cluster.observed.unreadable import UnreadableObjects
from recmodel.cluster.transport.client import Client
from recmodel.cluster.writing.apply import scaled
from recmodel.cluster.writing.drift import Child
from recmodel.cluster.writing.rule_weights import RuleWeights
from recmodel.controller.contests import stands
from recmodel.controller.route_watch import RouteWatch, route_of
from recmodel.controller.tasks import Tasks
from recmodel.controller.tracked import RuleWrites, Tracked, WrittenRule
from recmodel.core.types import Reason
from recmodel.prometheus import Verdict
from recmodel.report.rule_holds import contested, held

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Share:
    """Of all pools of a RecModel: why the weights of their rule are not set, and the rule itself."""

    rule: RouteRule
    held: Reason | None
    contested: Contest | None


class RouteRules:
    """Watches and writes through one client, and compares RecModels that refer to the same rule: ``model`` knows them by key, and
    ``wake`` has one looked at.
    """

    def __init__(
        self,
        client: Client,
        tasks: Tasks,
        unreadable: UnreadableObjects,
        model: Callable[[str], Tracked | None],
        wake: Callable[[str], None],
    ) -> None:
        self.routes = ReferencedRoutes(unreadable, time.monotonic)
        self.watch = RouteWatch(client, self.routes, tasks, wake)
        self._weights = RuleWeights(client, self.routes)
        self._model = model

    def want(self, tracked: Tracked) -> bool:
        """Follows what a RecModel refers to; whether that is other than before."""
        return self.watch.want(tracked.key, route_of(tracked.owner.namespace, tracked.spec))

    def routed(self, tracked: Tracked) -> Mapping[str, Routed]:
        """By pool its part of the traffic; empty where the RecModel refers to no rule."""
        share = self._share(tracked)
        if share is None:
            return {}
        weights = scaled(share.rule.weights) if share.rule.weights is not None else {}
        return {pool: Routed(weights.get(pool), share.held, share.contested) for pool in services(tracked)}

    def settled_seconds(self, tracked: Tracked) -> float:
        """For how long the weights have been as they are."""
        route = route_of(tracked.owner.namespace, tracked.spec)
        return self.routes.settled_seconds(route) if route is not None else 0.0

    async def write(self, tracked: Tracked, now: Mapping[str, int], weights: Mapping[str, int]) -> float | None:
        """Writes weights of 1,000 by pool over those that stand, ``now``, and over no others. Returns None where that is done, else after
        how many seconds it may be tried again: at growing intervals while others write the route.
        """
        rule, route = self._rule(tracked), route_of(tracked.owner.namespace, tracked.spec)
        ref = tracked.spec.route_ref if tracked.spec is not None else None
        if weights == now:
            self._stand_as_wanted(tracked)
            return None
        if rule is None or route is None or ref is None or rule.places is None:
            return weight_steps.LEAVE_SETTLE_SECONDS
        started, child = time.monotonic(), child_of(route)
        if waits := tracked.rule_conflicts.waits([child], started):
            return waits[child]
        if not await self._weights.write(route, ref.rule, rule.places, weights):
            tracked.rule_conflicts.made([child], time.monotonic())
            return max(tracked.rule_conflicts.waits([child], time.monotonic()).get(child, 0.0), 0.01)
        tracked.rule_conflicts.keep(())
        _stand(tracked, ref, weights)
        logger.info("%s: weights %s of %s", tracked.key, dict(weights), ref.shown)
        return None

    def _stand_as_wanted(self, tracked: Tracked) -> None:
        """The weights that stand need no write. They count as written, so that a contest ends when nobody changes them any more."""
        share, ref = self._share(tracked), tracked.spec.route_ref if tracked.spec is not None else None
        if tracked.rule.written is not None or not (tracked.traffic.sighted and tracked.traffic.jointly):
            return
        if share is not None and share.held is None and share.rule.weights is not None and ref is not None:
            _stand(tracked, ref, share.rule.weights)

    def count_overwritten(self, tracked: Tracked, states: Mapping[str, PoolState]) -> None:
        """Where other weights stand than this process wrote last, somebody else wrote them: that counts once, with who it was. Weights
        that no other field manager owns are ours, though their answer was lost.
        """
        found, written = tracked.rule, tracked.rule.written
        route, rule = route_of(tracked.owner.namespace, tracked.spec), self._rule(tracked)
        if route is None or rule is None or tracked.spec is None:
            _forget(tracked)
            return
        child, now = child_of(route), time.monotonic()
        overwritten = found.overwritten if not _over(found, now) else None
        tracked.rule_contests.keep({child} if overwritten is not None else ())
        if written is None or rule.places is None or rule.weights is None or written.ref != tracked.spec.route_ref:
            tracked.rule = RuleWrites(written if rule.places is None else None, overwritten)
            return
        if written.weights == rule.weights:
            tracked.rule = RuleWrites(written, overwritten)
            return
        state = self.routes.state(route)
        holders = state.holders if state is not None else ()
        if not holders:
            tracked.rule = RuleWrites(replace(written, weights=dict(rule.weights)), overwritten)
            return
        if not jointly_routed(states):  # somebody else has taken over what was ours
            tracked.rule = RuleWrites(None, overwritten)
            return
        stood_seconds = max(now - written.at, overwritten.stood_seconds if overwritten is not None else 0.0)
        tracked.rule_contests.made([child], now)
        times = tracked.rule_contests.attempts(child)
        contest = Contest(contested(written.ref, holders), holders, times, time.time(), stood_seconds)
        tracked.rule = RuleWrites(None, contest)

    def _rule(self, tracked: Tracked) -> RouteRule | None:
        spec, route = tracked.spec, route_of(tracked.owner.namespace, tracked.spec)
        if spec is None or route is None or spec.route_ref is None:
            return None
        return self.routes.rule(route, spec.route_ref, services(tracked))

    def _share(self, tracked: Tracked) -> Share | None:
        rule, route = self._rule(tracked), route_of(tracked.owner.namespace, tracked.spec)
        if rule is None or route is None or tracked.spec is None or tracked.spec.route_ref is None:
            return None
        if not tracked.desired.acts:
            return Share(rule, rule.problem, None)
        child, now = child_of(route), time.monotonic()
        overwritten = tracked.rule.overwritten
        fought = child in tracked.rule_contests.fighting(now) and not _over(tracked.rule, now)
        told = overwritten if fought else None
        waits = told.said if told is not None and tracked.rule_contests.waits([child], now) else None
        older = held(tracked.spec.route_ref, self._older(tracked, route))
        return Share(rule, rule.problem or older or waits, told)

    def _older(self, tracked: Tracked, route: NamedRoute) -> str | None:
        """The name of the oldest other RecModel that sets the weights of the same rule, where that is older."""
        others = (self._model(key) for key in self.watch.referring(route) if key != tracked.key)
        ref = tracked.spec.route_ref if tracked.spec is not None else None
        acting = [
            o for o in others if o is not None and o.desired.acts and o.spec is not None and o.spec.route_ref == ref
        ]
        first = min(acting, key=lambda other: other.age, default=tracked)
        return first.owner.name if first.age < tracked.age else None


def services(tracked: Tracked) -> dict[str, ServiceRef]:
    """By pool the Service to which the rule sends its requests."""
    pools = tracked.spec.pools if tracked.spec is not None else []
    return {pool.name: pool.service for pool in pools if pool.service is not None}


def child_of(route: NamedRoute) -> Child:
    """The route as corrections are counted by."""
    return route.kind, route.name


def sighted(tracked: Tracked) -> bool:
    """Whether the load is known: what was decided without it moves no weight."""
    reading = tracked.decided.reading
    return reading is not None and reading.verdict == Verdict.AVAILABLE


def forget_rule(tracked: Tracked) -> None:
    """The weights that stand now are nobody's change, as another operator may have acted."""
    tracked.rule = replace(tracked.rule, written=None)


def recall_rule_contest(tracked: Tracked, now: float, time_seconds: float) -> None:
    """Goes on with the contest of the rule that the status tells of, and with no other: whoever acted until now knows best. ``now`` is
    monotonic, ``time_seconds`` Unix time.
    """
    _forget(tracked)
    told, route = tracked.recalled.rule_contest, route_of(tracked.owner.namespace, tracked.spec)
    ref = tracked.spec.route_ref if tracked.spec is not None else None
    if told is None or route is None or ref is None or told.target != ref.shown:  # the route.ref was edited meanwhile
        return
    contest = Contest(contested(ref, told.writers), told.writers, told.times, told.time_seconds, told.stood_seconds)
    tracked.rule = RuleWrites(None, contest)
    tracked.rule_contests.recall(child_of(route), told.times, now - max(0.0, time_seconds - told.time_seconds))


def _stand(tracked: Tracked, ref: RouteRef, weights: Mapping[str, int]) -> None:
    before = tracked.rule.written
    at = before.at if before is not None and before.ref == ref else time.monotonic()
    tracked.rule = replace(tracked.rule, written=WrittenRule(ref, dict(weights), at))


def _forget(tracked: Tracked) -> None:
    tracked.rule = RuleWrites()
    tracked.rule_contests.keep(())
    tracked.rule_conflicts.keep(())


def _over(found: RuleWrites, now: float) -> bool:
    """Whether nobody writes over the weights any more."""
    written, overwritten = found.written, found.overwritten
    if written is None or overwritten is None:
        return False
    return stands(written.at, overwritten.stood_seconds, now)
