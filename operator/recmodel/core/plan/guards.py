"""The ordered checks between what the plan wants and what is decided. Order is read here, not inferred.

Each guard takes the replicas proposed so far and the tick's context, and returns the replicas it lets pass and, for each pool, the
cause why it would change them (:mod:`recmodel.core.plan.causes`). Doubt has a direction: no guard removes a replica because
something is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recmodel.core.capacity.estimate import COUNTING_ERRORS, SAFE_GROWTH, Capacity, carried
from recmodel.core.failures.load_independent import UNPROVEN_REPLICAS, Failing
from recmodel.core.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.observed import Observed, least_weight
from recmodel.core.plan.causes import Cause
from recmodel.core.plan.mix import Proposal

LATE_TICKS_BEFORE_HELP = 2
HELP_RATIO = 0.2  # of the ready replicas, added when the objective is missed although the plan thought it was kept
UNKNOWN_GROWTH = 1.0  # per start-up time: while the capacity is not known, replicas may double, not more
FILLED_SHARE = 0.7  # of the trust region
BLIND_GROWTH = 0.5
FALL_ERRORS = 5.0  # standard errors of a count


@dataclass(frozen=True)
class GuardContext:
    """What the guards look at."""

    fleet: Fleet
    seen: Observed
    proposal: Proposal
    capacity: Capacity
    load: Floats  # [M] requests/s now; NaN unknown
    usual: Floats  # [M] its mean over the last minutes; NaN unknown
    upper: Floats  # [M, P] upper quantile of the load over each pool's horizon
    allowed: Floats  # [M, P] largest share of the traffic for each pool's variant
    blind_seconds: Floats  # [M] age of the newest known load; 0: known now; inf: never known
    doubted: Bools  # [M] a load was counted and is not believed
    late_ticks: Ints  # [M, P] ticks in a row over twice the late budget
    unchanged: Bools  # [M, P] the rate window holds no change of ready replicas
    recently_proposed: Ints  # [M, P] for the largest load that the pool was wished for within its break-even time
    given_up: Bools  # [M, P] pods were unschedulable for long: none are ordered for a while
    slow: Bools  # [M, P] a faster pool of the same model can fill the gap meanwhile
    failing: Failing  # what is bad at any load is not answered with replicas
    grown_from: Ints  # [M, P] ready replicas one start-up time ago


@dataclass(frozen=True)
class Guarded:
    """What the guards let pass ``[M, P]``, and the last of them that moved each number."""

    replicas: Ints
    why: Ints  # code of its cause; 0: no guard moved it
    before: Ints  # replicas that it was given; those that are decided where no guard moved them


Codes = Ints | int  # of causes, in a shape that numpy broadcasts to [M, P]
Guard = Callable[[Ints, GuardContext], tuple[Ints, Codes]]


def _why(*causes: tuple[Bools, Cause], otherwise: Cause) -> Ints:
    """The code of the first cause that holds, in the shape of the conditions."""
    return np.select([where for where, _ in causes], [cause.code for _, cause in causes], otherwise.code).astype(
        np.int64
    )


def explore_untried(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A pool that was never tried gets one replica when the load could fill it, else its capacity is never known."""
    fleet, proposal = context.fleet, context.proposal
    spend = np.where(proposal.assumed, 0.0, replicas * fleet.cost_per_hour).sum(1, keepdims=True)
    could_fill = proposal.assumed & (fleet.max_replicas > 0) & (spend >= 1.5 * fleet.cost_per_hour)
    tried = np.where(could_fill, 1, fleet.least_replicas)
    kept = np.maximum(np.where(context.seen.ready > 0, context.seen.desired, tried), fleet.least_replicas)
    replicas = np.where(proposal.assumed, kept, replicas)
    # While a pool is being learned, what is there is filled first; a second replica would teach nothing that the first cannot.
    seen = context.seen
    filled = seen.rate_per_second >= FILLED_SHARE * context.capacity.limit * np.maximum(seen.ready, 1)
    unfilled = context.capacity.learning(np.maximum(seen.ready, 1)) & (seen.desired > 0) & ~filled & context.slow
    why = _why(
        (~proposal.assumed, Cause.NOT_FILLED),
        (seen.ready > 0, Cause.BEING_TRIED),
        (could_fill, Cause.TRIED),
        otherwise=Cause.NOT_TRIED_YET,
    )
    return np.where(unfilled & ~proposal.assumed, np.minimum(replicas, seen.desired), replicas), why


def help_when_late(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """Late for two ticks with everything ready: the plan was wrong, so a fifth is added whatever it says; but not to a slow pool while
    any grows, or where the rate window holds a change: that help comes sooner, or has come.
    """
    fleet, seen = context.fleet, context.seen
    late = (context.late_ticks >= LATE_TICKS_BEFORE_HELP) & (seen.ready >= seen.desired)
    helped = fleet.exists & ((replicas > seen.ready) | ~context.unchanged)
    late &= ~(context.slow & helped.any(1, keepdims=True))
    more = seen.ready + np.ceil(HELP_RATIO * seen.ready).astype(np.int64)
    late_now = (context.late_ticks > 0) & (seen.desired > 0)
    result = np.where(late, np.maximum(replicas, more), replicas)
    why = _why((late, Cause.LATE_THOUGH_READY), otherwise=Cause.LATE_NOW)
    return np.where(late_now, np.maximum(result, seen.desired), result), why


def release_in_steps(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A release rests on what was measured at today's size: the rate window must hold no change of it, lateness be known, and some
    load have been seen to be good. One that is right by no more than the noise of counting keeps one replica: the next count
    would bring it back. 60 requests/s counted for 20 s are known to within 3 %; a count of 55 after minutes of 60 is such noise,
    and the load that it is planned for is raised by as much. A pool whose weight is gone already does not come back for noise.
    """
    fleet, seen, proposal = context.fleet, context.seen, context.proposal
    down = replicas < seen.desired
    late_unknown = ~np.isfinite(seen.late_upper_ratio)
    unseen = (seen.rate_per_second > 0) & (late_unknown | (context.capacity.proven <= 0))
    load = np.where(np.isfinite(context.load), context.load, 0.0)
    error = 1.0 / np.sqrt(np.maximum(load * fleet.rate_window_seconds, 1.0))  # of the count, relative
    noise = COUNTING_ERRORS * error
    able = carried(replicas.astype(float), context.capacity, proposal.per_replica, proposal.assumed)
    dip = np.where(np.isfinite(context.usual) & (load > 0), context.usual / np.maximum(load, 1e-9), 1.0)
    # A count hardly ever falls that far by chance: then the load has.
    dip = np.where(dip - 1.0 > FALL_ERRORS * error, 1.0, np.clip(dip, 1.0, 1.0 + noise))
    need = fleet.smallest(context.upper)[:, 0] * dip * (1.0 + noise)
    narrow = np.where(fleet.exists, able, 0.0).sum(1) < need
    answers = ~(seen.weight <= least_weight(seen.weight))
    roomy = np.where(down & answers & narrow[:, None], np.minimum(replicas + 1, seen.desired), replicas)
    part = np.where(context.failing.gives_back, roomy, _a_part_at_a_time(roomy, context))
    unseen &= ~context.failing.gives_back  # there is a judgement
    all_ready = seen.ready == seen.desired
    waits = down & (~context.unchanged | ~all_ready | unseen)
    result = np.where(waits, seen.desired, part)
    why = _why(
        (waits & (result != part) & ~all_ready, Cause.NOT_ALL_READY),
        (waits & (result != part) & ~context.unchanged, Cause.WINDOW_HOLDS_CHANGE),
        (waits & (result != part) & late_unknown, Cause.LATENESS_UNKNOWN),
        (waits & (result != part), Cause.NO_LOAD_PROVEN),
        (part != roomy, Cause.IN_STEPS),
        otherwise=Cause.WITHIN_NOISE,
    )
    return result, why


def _a_part_at_a_time(replicas: Ints, context: GuardContext) -> Ints:
    """Replicas of which what stays ready is asked for half as much again at most, whatever was learned: then it is judged again.

    Of 32 ready replicas 22 stay at least, then 15; of two, one. A pool may leave at once where others carry its part.
    """
    fleet, seen, proposal = context.fleet, context.seen, context.proposal
    able = [
        np.where(
            fleet.exists, carried(count.astype(float), context.capacity, proposal.per_replica, proposal.assumed), 0.0
        ).sum(1)
        for count in (np.minimum(replicas, seen.ready), seen.ready)
    ]
    part = np.minimum(np.ceil(seen.ready / SAFE_GROWTH).astype(np.int64), np.maximum(seen.ready - 1, 0))
    steep = (able[0] * SAFE_GROWTH < able[1])[:, None] & (replicas < np.minimum(part, seen.desired))
    return np.where(steep, np.minimum(part, seen.desired), replicas)


def hold_what_is_needed_again(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A replica that was wanted within the time a new one takes to start is kept: starting it again would cost as much."""
    kept = np.maximum(replicas, np.minimum(context.recently_proposed, context.seen.desired))
    return kept, Cause.WANTED_RECENTLY.code


def keep_ready_capacity(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """No pool shrinks before what stays ready carries the present load: replacements must be ready first.

    Nor does the last pool with ready replicas let all of them go, even without any load: the next request would find nobody.
    """
    fleet, seen, proposal = context.fleet, context.seen, context.proposal
    staying = np.minimum(replicas, seen.ready).astype(float)
    able = carried(staying, context.capacity, proposal.per_replica, proposal.assumed)
    load = np.where(np.isfinite(context.load), context.load, 0.0)
    able = np.minimum(able, np.where(context.allowed < 1.0, context.allowed * load[:, None], np.inf))
    down = replicas < seen.desired
    nobody = (np.where(fleet.exists, staying, 0.0).sum(1) == 0) & (seen.ready > 0).any(1)
    too_few = np.where(fleet.exists, able, 0.0).sum(1) < load
    why = _why((too_few[:, None] & ~nobody[:, None], Cause.STAYING_TOO_FEW), otherwise=Cause.NOBODY_STAYS)
    return np.where(down & (too_few | nobody)[:, None], seen.desired, replicas), why


def grow_within_reason(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """While a pool's capacity is not known its replicas at most double in a start-up time, so a mistake stays small."""
    start = np.maximum(context.grown_from, 1)
    most = np.ceil(start * (1.0 + UNKNOWN_GROWTH)).astype(np.int64) + 1
    most = np.maximum(most, context.seen.desired)
    passed = np.where(context.capacity.known | context.proposal.assumed, replicas, np.minimum(replicas, most))
    return passed, Cause.CAPACITY_UNKNOWN.code


def grow_where_it_helps(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """Growth against failing or late requests is bounded until it has helped; what grew in vain is given back."""
    failing, seen = context.failing, context.seen
    bounded = np.isfinite(failing.replicas_per_load) & np.isfinite(context.upper)
    most = np.ceil(np.where(bounded, failing.replicas_per_load * context.upper, 0.0)).astype(np.int64)
    most = np.where(failing.gives_back, most, np.maximum(np.maximum(most, UNPROVEN_REPLICAS), seen.desired))
    why = _why((failing.gives_back, Cause.GROWN_IN_VAIN), otherwise=Cause.GROWTH_BOUNDED)
    return np.where(bounded, np.minimum(replicas, most), replicas), why


def hold_when_blind(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """Without metrics nothing is released; the forecast, carried on by the season, may still add up to half."""
    seen = context.seen
    blind = context.blind_seconds > 0
    never = ~np.isfinite(context.blind_seconds)
    most = np.ceil(seen.desired * (1.0 + BLIND_GROWTH)).astype(np.int64)
    held = np.where(never[:, None], seen.desired, np.clip(replicas, seen.desired, np.maximum(most, seen.desired)))
    more = held < replicas
    why = _why(
        ((never & ~seen.requested)[:, None], Cause.NEVER_REQUESTED),
        (context.doubted[:, None] & more & ~never[:, None], Cause.DOUBTED_GROWS_LITTLE),
        (context.doubted[:, None], Cause.RATE_DOUBTED),
        (never[:, None], Cause.NEVER_KNOWN),
        (more, Cause.BLIND_GROWS_LITTLE),
        otherwise=Cause.BLIND_KEEPS,
    )
    return np.where(blind[:, None], held, replicas), why


def plan_without_unschedulable(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """Pods that no node can take stay ordered for a while, so that they run as soon as there is room, but none are added.

    After ten minutes they are taken back, since waiting pods may cost and block others; twenty minutes later they are tried again.
    """
    seen = context.seen
    waiting = np.where(seen.unschedulable > 0, np.minimum(replicas, seen.desired), replicas)
    placed = np.maximum(
        seen.ready, seen.desired - seen.unschedulable
    )  # those that are not ready just now have their nodes
    why = _why((context.given_up, Cause.GIVEN_UP), otherwise=Cause.PODS_WAIT)
    return np.where(context.given_up, np.minimum(waiting, placed), waiting), why


def within_limits(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """The owner's minimum and maximum are never left."""
    fleet = context.fleet
    low = np.where(fleet.exists, fleet.min_replicas, 0)
    why = _why((replicas < low, Cause.BELOW_MINIMUM), otherwise=Cause.ABOVE_MAXIMUM)
    return np.where(fleet.exists, np.clip(replicas, low, np.maximum(fleet.max_replicas, low)), 0), why


def keep_trials_running(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A pool whose new version is on trial runs a replica at least, or nothing would ever be found out."""
    fleet = context.fleet
    least = np.where(fleet.exists & fleet.on_trial, fleet.least_replicas, 0)
    return np.maximum(replicas, least), Cause.ON_TRIAL.code


def never_without_replicas(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """At least one replica of some pool stays, or nothing could ever be measured again."""
    fleet = context.fleet
    none = replicas.sum(1) == 0
    price = np.where(fleet.exists & (fleet.max_replicas > 0), fleet.cost_per_hour, np.inf)
    first = np.argmin(price, axis=1)
    result = replicas.copy()
    rows = np.nonzero(none)[0]
    result[rows, first[rows]] = np.minimum(1, fleet.max_replicas[rows, first[rows]])
    return result, Cause.LAST_OF_ALL.code


def change_nothing_unless_acting(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """Modes Recommend and Paused: what runs stays; the wish is in the report."""
    return np.where(context.fleet.acts[:, None], replicas, context.seen.desired), Cause.NOT_ACTING.code


CHAIN: tuple[Guard, ...] = (
    explore_untried,
    help_when_late,
    grow_within_reason,
    hold_what_is_needed_again,
    release_in_steps,
    keep_ready_capacity,
    grow_where_it_helps,
    hold_when_blind,
    plan_without_unschedulable,
    within_limits,
    keep_trials_running,
    never_without_replicas,
    change_nothing_unless_acting,
)


def guard(context: GuardContext) -> Guarded:
    """What all guards let pass, in order."""
    replicas = context.proposal.replicas
    why, before = np.zeros_like(replicas), replicas
    for check in CHAIN:
        passed, causes = check(replicas, context)
        moved = passed != replicas
        why, before = np.where(moved, causes, why), np.where(moved, replicas, before)
        replicas = passed
    return Guarded(replicas, why, np.where(why == 0, replicas, before))
