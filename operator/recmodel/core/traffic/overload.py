"""The shares of pools that together do not carry the load: each gets what it may carry, and a pool with a queue less until it is gone.

A pool's end is the load at which too many of its requests were late. Where it was seen, what is added beyond it is late, too.
"""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats
from recmodel.core.arrays.observed import Observed
from recmodel.core.capacity.estimate import SAFE_GROWTH
from recmodel.core.traffic.accuracy import losses, trial_limits, with_trials, within_budget, within_limits
from recmodel.core.traffic.accuracy_budget import AccuracyBudget
from recmodel.core.traffic.context import TrafficContext

MOST_TIMES = 4.0  # what is hoped for: so much at most is asked of a pool of which nobody knows where it ends
LEAST_DRAINING = 0.2  # of what a pool surely carries, that it gets while its queue is drained
LATE_ERRORS = 2.0  # standard errors by which the late share of a window may be over the budget and be within it


def ready_capacity(context: TrafficContext) -> tuple[Floats, Floats]:
    """Requests/s ``[M, P]`` of the ready replicas that stay: what is known, and what they may turn out to carry (the middle of
    the belief, or what utilisation or a single reading promises), since in need hope counts more than caution. Both are 0 where unknown.
    """
    staying, counted, capacity = context.staying, context.counted, context.capacity
    sure = np.where(np.isfinite(context.each), counted * context.each, 0.0)
    believed = counted * np.fmax(capacity.hoped(np.maximum(staying, 1)), capacity.promised)
    beyond = np.where(beyond_its_end(context), SAFE_GROWTH * context.seen.rate_per_second, 0.0)
    return sure, np.fmax(np.fmax(sure, believed), beyond)


def beyond_its_end(context: TrafficContext) -> Bools:
    """Pools ``[M, P]`` that answer more in time, now, than was seen to be too much: that was a moment's trouble, and no end.

    On a busy node 8 % of 13 requests/s were late once. Of 18 requests/s 1 % are late now, so nobody knows where the pool ends.
    """
    seen = context.seen
    in_time = seen.late_upper_ratio <= _late_beyond(seen, context.fleet)
    each = seen.rate_per_second / np.maximum(context.staying, 1)
    result: Bools = context.ready & in_time & (each >= context.capacity.ceiling)
    return result


def _late_beyond(seen: Observed, fleet: Fleet) -> Floats:
    """The share ``[M, P]`` beyond which a pool is late now, and not by the noise of counting a window's requests."""
    budget = fleet.late_budget_ratio[:, None]
    requests = np.where(np.isfinite(seen.rate_per_second), seen.rate_per_second, 0.0) * fleet.rate_window_seconds
    result: Floats = budget + LATE_ERRORS * np.sqrt(budget * (1.0 - budget) / np.maximum(requests, 1.0))
    return result


def opened_wide(sure: Floats, hoped: Floats, end_seen: Bools, drained: Floats, demand: Floats) -> Floats:
    """The shares ``[M, P]`` of pools that together may carry ``hoped`` ``[M, P]`` of ``demand`` ``[M]`` requests/s: in proportion.

    Where even that is not enough, pools of which it was seen where they end keep to what is ``sure``, since all that they get
    beyond is late. Nor is hope for a pool that is late now: it gets what is ``drained`` ``[M, P]`` (:func:`draining`; inf where it is
    not late), and more only of what the others cannot take. They take the rest, those whose end was not seen up to a multiple of what
    is hoped for. 400 requests/s on a pool that ends at 200 and one that has answered 50 so far are shared 200 to 200, not 320 to 80.
    """
    able = np.minimum(hoped, drained)
    ends = (demand > able.sum(1))[:, None] & end_seen & (sure > 0)
    bounded = ends | np.isfinite(drained)
    most = np.where(bounded, np.minimum(sure, hoped), hoped)
    able = np.minimum(able, most)
    free = np.where(bounded, 0.0, able)
    rest = np.fmax(demand - np.where(bounded, able, 0.0).sum(1), 0.0)[:, None]
    free_total = free.sum(1, keepdims=True)
    times = np.divide(rest, free_total, out=np.ones_like(rest), where=free_total > 0)
    times = np.where(bounded.any(1, keepdims=True), np.clip(times, 1.0, np.where(end_seen, 1.0, MOST_TIMES)), 1.0)
    left = np.fmax(rest - (free * times).sum(1, keepdims=True), 0.0)
    room = np.where(bounded, most - able, 0.0)
    room_total = room.sum(1, keepdims=True)
    back = np.divide(np.minimum(left, room_total), room_total, out=np.zeros_like(left), where=room_total > 0)
    able = np.where(bounded, able + room * back, free * times)
    total = able.sum(1, keepdims=True)
    result: Floats = 100.0 * np.divide(able, total, out=np.zeros_like(able), where=total > 0)
    return result


def draining(sure: Floats, seen: Observed, fleet: Fleet) -> Floats:
    """Requests/s ``[M, P]`` with which a pool that is late now gets rid of its queue; infinite where it is not late.

    In one rate window w a queue of (rate - sure) w has gathered. With ``2 sure - rate`` it is gone after another: a pool that
    carries 50 and got 70 gets 30. It keeps some: of a pool without requests nothing is seen.
    """
    rate = np.where(np.isfinite(seen.rate_per_second), seen.rate_per_second, 0.0)
    late = (rate > 0) & (np.fmax(seen.late_lower_ratio, 0.0) > _late_beyond(seen, fleet)) & (sure > 0)
    result: Floats = np.where(late, np.clip(2.0 * sure - rate, LEAST_DRAINING * sure, sure), np.inf)
    return result


def answering(
    shares: Floats, context: TrafficContext, sure: Floats, hoped: Floats, accuracy_budget: AccuracyBudget
) -> Floats:
    """Of the ``shares`` ``[M, P]`` in calm times those that the pools get: with the budget open, or in need, as :func:`opened_wide`
    says, always within the budget of this tick and the limits of the pools on trial. Where both cannot be kept, the limits are.
    """
    fleet = context.fleet
    drained = draining(sure, context.seen, fleet)
    end_seen = np.isfinite(context.capacity.ceiling) & ~beyond_its_end(context)
    wide = opened_wide(sure, hoped, end_seen, drained, accuracy_budget.demand)
    shares = np.where(
        (accuracy_budget.open | accuracy_budget.short)[:, None] & (hoped.sum(1, keepdims=True) > 0), wide, shares
    )
    loss = losses(fleet)
    if not (fleet.traffic_limit_ratio < 1.0).any():
        return within_budget(shares, loss, accuracy_budget.steady, accuracy_budget.budget)
    limit = trial_limits(fleet, context.seen, sure, context.load)
    shares = with_trials(shares, fleet, context.ready)
    for _ in range(2):
        shares = within_budget(within_limits(shares, limit), loss, accuracy_budget.steady, accuracy_budget.budget)
    return within_limits(shares, limit)
