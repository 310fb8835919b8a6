"""Guards of what is certain: blindness, the owner's limits, and what must never be empty."""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Ints
from recmodel.core.capacity.estimate import carried
from recmodel.core.plan.causes import Cause
from recmodel.core.plan.guard_context import Codes, GuardContext, first_cause
from recmodel.core.plan.situation import on_trial

BLIND_GROWTH = 0.5
# Nobody is answered meanwhile, and the scheduler needs seconds: a node that is about to be free is waited for, no longer. A node
# autoscaler may be faster than the replica elsewhere; to have started that one too costs less than minutes without an answer.
UNPLACED_PATIENCE_SECONDS = 60.0


def hold_when_blind(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """Without metrics nothing is released; the forecast, carried on by the season, may still add up to half."""
    seen = context.seen
    blind = context.blind_seconds > 0
    never = ~np.isfinite(context.blind_seconds)
    most = np.ceil(seen.desired * (1.0 + BLIND_GROWTH)).astype(np.int64)
    held = np.where(never[:, None], seen.desired, np.clip(replicas, seen.desired, np.maximum(most, seen.desired)))
    more = held < replicas
    why = first_cause(
        ((never & ~seen.requested)[:, None], Cause.NEVER_REQUESTED),
        (context.doubted[:, None] & more & ~never[:, None], Cause.DOUBTED_GROWS_LITTLE),
        (context.doubted[:, None], Cause.RATE_DOUBTED),
        (never[:, None], Cause.NEVER_KNOWN),
        (more, Cause.BLIND_GROWS_LITTLE),
        otherwise=Cause.BLIND_KEEPS,
    )
    return np.where(blind[:, None], held, replicas), why


def within_limits(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """The owner's minimum and maximum are never left. Only a workload that was there before us may run more while its load is not
    known: doubt takes none of them away.
    """
    fleet, seen = context.fleet, context.seen
    low = np.where(fleet.exists, fleet.min_replicas, 0)
    high = np.maximum(fleet.max_replicas, low)
    kept = ~fleet.routed[:, None] & (context.blind_seconds > 0)[:, None] & (seen.desired > high)
    why = first_cause(
        (fleet.leaving, Cause.LEAVES),
        (replicas < low, Cause.BELOW_MINIMUM),
        (kept, Cause.BLIND_KEEPS),
        otherwise=Cause.ABOVE_MAXIMUM,
    )
    return np.where(fleet.exists, np.clip(replicas, low, np.where(kept, seen.desired, high)), 0), why


def keep_leaving_until_carried(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A pool that its owner wants no more goes as a whole, once what is ready and warm of the others is known to carry what
    is expected. Until then all that runs of it stays, and answers.

    Known is what was seen: a pool that has answered nothing yet carries nothing. Where there is no load, or no request was ever
    counted, one ready replica of another pool is enough.
    """
    fleet, seen, proposal = context.fleet, context.seen, context.proposal
    staying = np.where(fleet.exists & ~fleet.leaving, np.minimum(replicas, seen.ready), 0)
    warm = np.minimum(staying, seen.warm).astype(float)
    able = carried(warm, context.capacity, proposal.per_replica, proposal.assumed)
    able = np.where((staying > 0) & ~proposal.assumed & np.isfinite(able), able, 0.0)
    able = np.where(context.allowed < 1.0, np.minimum(able, context.allowed * context.load[:, None]), able).sum(1)
    expected = np.where(fleet.exists & ~fleet.leaving, context.upper, np.inf).min(1)
    need = np.fmax(context.load, expected) * (1.0 - 1e-6)
    idle = (context.load == 0.0) | (~np.isfinite(context.blind_seconds) & ~seen.requested)
    enough = np.where(idle, staying.any(1), (context.blind_seconds == 0.0) & (able >= need))
    held = fleet.leaving & ~enough[:, None]
    why = first_cause(
        (~held, Cause.LEAVES),
        ((context.blind_seconds > 0)[:, None], Cause.LEAVES_NOT_BLIND),
        otherwise=Cause.LEAVES_WHEN_CARRIED,
    )
    return np.where(held, seen.desired, np.where(fleet.leaving, 0, replicas)), why


def keep_trials_running(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A pool whose new version is on trial runs a replica at least, or nothing would ever be found out."""
    least = np.where(on_trial(context.fleet), context.least, 0)
    return np.maximum(replicas, least), Cause.ON_TRIAL.code


def order_elsewhere(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """While no pool has a ready replica and all that is ordered finds no node, one replica of the cheapest other pool is ordered
    that may answer requests; if that finds none either, one of the next. One that starts already stays instead.
    """
    fleet, seen = context.fleet, context.seen
    blocked = context.given_up | ((seen.unschedulable > 0) & (seen.unschedulable >= seen.desired))
    ordered = replicas > 0
    out = (seen.ready.sum(1) == 0) & (blocked | ~ordered).all(1) & blocked.any(1)
    out &= fleet.routed  # else no request would move there
    patient = (~(blocked & ordered) | (context.unplaced_seconds >= UNPLACED_PATIENCE_SECONDS)).all(1, keepdims=True)
    able = fleet.exists & ~blocked & (fleet.max_replicas > 0) & (context.allowed > 0.0)
    starting = able & (seen.desired > 0)
    among = np.where(starting.any(1, keepdims=True), starting, able & patient)
    rows = np.nonzero(out & among.any(1))[0]
    cheapest = np.argmin(np.where(among, fleet.cost_per_hour, np.inf), axis=1)
    result = replicas.copy()
    result[rows, cheapest[rows]] = 1
    return result, first_cause((starting, Cause.KEPT_ELSEWHERE), otherwise=Cause.ORDERED_ELSEWHERE)


def never_without_replicas(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """At least one replica of some pool stays, or nothing could ever be measured again.

    Where the traffic is not ours to share out, requests may be sent to any pool that runs: each keeps one, and one to which a weight is
    known to send some gets one. Any other that somebody else has taken to 0 stays there.
    """
    fleet = context.fleet
    none = (replicas.sum(1) == 0) & fleet.routed
    price = np.where(fleet.exists & (fleet.max_replicas > 0), fleet.cost_per_hour, np.inf)
    first = np.argmin(price, axis=1)
    result = replicas.copy()
    rows = np.nonzero(none)[0]
    result[rows, first[rows]] = np.minimum(1, fleet.max_replicas[rows, first[rows]])
    runs = context.seen.desired > 0
    needed = fleet.exists & ~fleet.routed[:, None] & (runs | (context.seen.weight > 0))
    why = first_cause(
        (needed & runs, Cause.LAST_OF_ITS_OWN), (needed, Cause.FIRST_OF_ITS_OWN), otherwise=Cause.LAST_OF_ALL
    )
    return np.where(needed, np.maximum(result, 1), result), why


def change_nothing_unless_acting(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """Modes Recommend and Paused, or somebody else scales: what runs stays; the report has the proposed replicas."""
    return np.where(context.fleet.acts[:, None], replicas, context.seen.desired), Cause.NOT_ACTING.code
