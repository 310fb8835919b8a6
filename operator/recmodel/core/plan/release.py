"""Guards of a release: nothing leaves before it is known that what stays is enough."""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Bools, Floats, Ints
from recmodel.core.arrays.observed import least_weight
from recmodel.core.capacity.estimate import COUNTING_ERRORS, SAFE_GROWTH, carried
from recmodel.core.plan.causes import Cause
from recmodel.core.plan.guard_context import Codes, GuardContext, first_cause

FALL_ERRORS = 5.0  # standard errors of a count


def hold_what_is_needed_again(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A replica that was wanted within the time a new one takes to start is kept: starting it again would cost as much."""
    kept = np.maximum(replicas, np.minimum(context.recently_proposed, context.seen.desired))
    return kept, Cause.WANTED_RECENTLY.code


def make_room_where_it_costs_less(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A release that is right by no more than the noise of counting keeps a replica, see :func:`release_in_steps`. Where one of
    a cheaper pool makes that room, it is ordered instead, and the release waits until it is ready.

    A GPU replica at 3.0 an hour is not kept where another CPU replica at 0.5 makes up for what is missing.
    """
    fleet, seen, proposal = context.fleet, context.seen, context.proposal
    short = _needed_to_release(context) - _carried(replicas, context)
    leaves = (replicas < seen.desired) & _answers(context)
    price = fleet.cost_per_hour
    kept_price = np.where(leaves, price, np.inf).min(1, keepdims=True)  # of what is kept without another pool's help
    known = fleet.exists & ~proposal.assumed & (context.capacity.proven > 0)
    free = (replicas >= seen.desired) & (replicas < fleet.max_replicas) & (seen.unschedulable == 0)
    free &= ~context.given_up & ~context.slow  # a slow one would come too late to be of use
    free &= fleet.routed[:, None]  # else no request would move to it
    enough = proposal.per_replica >= short[:, None]
    cheaper = known & free & enough & (price < kept_price) & np.isfinite(kept_price) & (short > 0)[:, None]
    cheapest = np.argmin(np.where(cheaper, price * (1.0 + 1e-9 * fleet.name_rank), np.inf), axis=1)[:, None]
    chosen = cheaper & (np.arange(replicas.shape[1]) == cheapest)
    return np.where(chosen, replicas + 1, replicas), Cause.CHEAPER_ROOM.code


def release_in_steps(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A release rests on what was measured at today's size: the rate window must hold no change of it, lateness be known, and some
    load have been seen to be good. One that is right by no more than the noise of counting keeps one replica, of the cheapest pool
    where one of it is enough: the next count would bring it back. A pool whose weight is gone already does not come back for noise.

    Pods that find no node hold up none of it. Where fewer are wanted than have one, they go at once: they answer nothing.
    """
    seen = context.seen
    down = replicas < seen.desired
    standing = _standing(replicas, context)
    late_unknown = ~np.isfinite(seen.late_upper_ratio)
    unseen = (seen.rate_per_second > 0) & (late_unknown | (context.capacity.proven <= 0))
    roomy = _with_room(replicas, context)
    part = np.where(context.failing.gives_back, roomy, _a_part_at_a_time(roomy, context))
    unseen &= ~context.failing.gives_back  # there is a judgement
    all_ready, warming = seen.ready == standing, seen.warming > 0
    waits = down & (~context.unchanged | ~all_ready | warming | unseen)
    result = np.where(waits, standing, part)
    why = first_cause(
        (waits & (result != part) & ~all_ready, Cause.NOT_ALL_READY),
        (waits & (result != part) & warming, Cause.NOT_ALL_WARM),
        (waits & (result != part) & ~context.unchanged, Cause.WINDOW_HOLDS_CHANGE),
        (waits & (result != part) & late_unknown, Cause.LATENESS_UNKNOWN),
        (waits & (result != part), Cause.NO_LOAD_PROVEN),
        (part != roomy, Cause.IN_STEPS),
        otherwise=Cause.WITHIN_NOISE,
    )
    return result, why


def _standing(replicas: Ints, context: GuardContext) -> Ints:
    """Replicas ``[M, P]`` of which ``replicas`` are a release: those that run or start. Pods without a node count among them as long
    as all that have one are wanted, since a plan that knows of no more room asks for no more.

    Of 5 ordered and 4 ready, one without a node: where 2 are wanted it is a release from 4; where 4 are, the fifth goes on waiting.
    """
    seen = context.seen
    placed = np.minimum(np.maximum(seen.ready, seen.desired - seen.unschedulable), seen.desired)
    return np.where(replicas < placed, placed, seen.desired)


def _needed_to_release(context: GuardContext) -> Floats:
    """Requests/s ``[M]`` that what stays must be known to carry: the expected load and the noise of counting it.

    60 requests/s counted for 20 s are known to within 3 %; a count of 55 after minutes of 60 is such noise, and the load that it is
    planned for is raised by as much.
    """
    load = np.where(np.isfinite(context.load), context.load, 0.0)
    error = 1.0 / np.sqrt(np.maximum(load * context.fleet.rate_window_seconds, 1.0))  # of the count, relative
    noise = COUNTING_ERRORS * error
    dip = np.where(np.isfinite(context.usual) & (load > 0), context.usual / np.maximum(load, 1e-9), 1.0)
    # A count hardly ever falls that far by chance: then the load has.
    dip = np.where(dip - 1.0 > FALL_ERRORS * error, 1.0, np.clip(dip, 1.0, 1.0 + noise))
    result: Floats = context.fleet.smallest(context.upper)[:, 0] * dip * (1.0 + noise)
    return result


def _carried(replicas: Ints, context: GuardContext) -> Floats:
    """Requests/s ``[M]`` that ``replicas`` of all pools together are known to carry."""
    proposal = context.proposal
    able = carried(replicas.astype(float), context.capacity, proposal.per_replica, proposal.assumed)
    result: Floats = np.where(context.fleet.exists, able, 0.0).sum(1)
    return result


def _answers(context: GuardContext) -> Bools:
    """Pools ``[M, P]`` whose weight is not gone yet."""
    result: Bools = ~(context.seen.weight <= least_weight(context.seen.weight))
    return result


def _with_room(replicas: Ints, context: GuardContext) -> Ints:
    """One replica more of the pools that release some, the cheapest first, until what stays *ready* is known to be enough."""
    seen, rows, standing = context.seen, np.arange(len(replicas)), _standing(replicas, context)
    need, leaves = _needed_to_release(context), (replicas < seen.desired) & _answers(context)
    order = np.argsort(context.fleet.cost_per_hour * (1.0 + 1e-9 * context.fleet.name_rank), axis=1, kind="stable")
    replicas = replicas.copy()
    for rank in range(replicas.shape[1]):
        at = rows, order[:, rank]
        narrow = _carried(np.minimum(replicas, seen.warm), context) < need
        replicas[at] = np.where(leaves[at] & narrow, np.minimum(replicas[at] + 1, standing[at]), replicas[at])
    return replicas


def _a_part_at_a_time(replicas: Ints, context: GuardContext) -> Ints:
    """Replicas of which what stays ready is asked for half as much again at most, whatever was learned: then it is judged again.

    Of 32 ready replicas 22 stay at least, then 15; of two, one. A pool may leave at once where others carry its part.
    """
    seen = context.seen
    able = [_carried(count, context) for count in (np.minimum(replicas, seen.warm), seen.warm)]
    part = np.minimum(np.ceil(seen.ready / SAFE_GROWTH).astype(np.int64), np.maximum(seen.ready - 1, 0))
    steep = (able[0] * SAFE_GROWTH < able[1])[:, None] & (replicas < np.minimum(part, seen.desired))
    return np.where(steep, np.minimum(part, seen.desired), replicas)


def keep_ready_capacity(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """No pool shrinks before what stays ready carries the present load: replacements must be ready, and warm, first.

    Nor does the last pool with ready replicas let all of them go, even without any load: the next request would find nobody.
    """
    fleet, seen, proposal = context.fleet, context.seen, context.proposal
    staying, warm = np.minimum(replicas, seen.ready), np.minimum(replicas, seen.warm).astype(float)
    able = carried(warm, context.capacity, proposal.per_replica, proposal.assumed)
    load = np.where(np.isfinite(context.load), context.load, 0.0)
    able = np.minimum(able, np.where(context.allowed < 1.0, context.allowed * load[:, None], np.inf))
    down = replicas < seen.desired
    nobody = (np.where(fleet.exists, staying, 0).sum(1) == 0) & (seen.ready > 0).any(1)
    too_few = np.where(fleet.exists, able, 0.0).sum(1) < load
    cold: Bools = np.any((seen.warming > 0) & fleet.exists, axis=1)
    why = first_cause(
        (nobody[:, None], Cause.NOBODY_STAYS), (cold[:, None], Cause.STAYING_COLD), otherwise=Cause.STAYING_TOO_FEW
    )
    return np.where(down & (too_few | nobody)[:, None], seen.desired, replicas), why
