"""Guards of growth: what is tried, what helps when requests are late, and how far a pool grows while it is not known that this helps."""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Ints
from recmodel.core.capacity.estimate import UNTRIED_FROM
from recmodel.core.failures.load_independent import UNPROVEN_REPLICAS
from recmodel.core.plan.causes import Cause
from recmodel.core.plan.guard_context import Codes, GuardContext, first_cause

LATE_TICKS_BEFORE_HELP = 2
HELP_RATIO = 0.2  # of the ready replicas, added when the objective is missed although the plan thought it was kept
UNKNOWN_GROWTH = 1.0  # per start-up time: while the capacity is not known, replicas may double, not more
FILLED_SHARE = 0.7  # of the trust region


def explore_untried(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """A pool that was never tried gets one replica when the load could fill it, else its capacity is never known. That load has lasted
    for some minutes: a crowd of one has gone before the try has shown anything, and needs what is known.
    """
    fleet, proposal = context.fleet, context.proposal
    paid = np.where(fleet.leaving, context.seen.desired, np.where(proposal.assumed, 0, replicas))
    spend = (paid * fleet.cost_per_hour).sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        lasting = np.clip(context.usual / context.load, 0.0, 1.0)[:, None]  # NaN: no
    could_fill = proposal.assumed & (fleet.max_replicas > 0) & (spend * lasting >= UNTRIED_FROM * fleet.cost_per_hour)
    # Whoever is to take over from a pool that leaves is tried in any case where none of them is known.
    unknown = (proposal.assumed | fleet.leaving | ~fleet.exists).all(1, keepdims=True)
    could_fill |= fleet.leaving.any(1, keepdims=True) & unknown & proposal.assumed & (fleet.max_replicas > 0)
    tried = np.where(could_fill, 1, context.least)
    kept = np.maximum(np.where(context.seen.ready > 0, context.seen.desired, tried), context.least)
    replicas = np.where(proposal.assumed, kept, replicas)
    # While a pool is being learned, what is there is filled first; a second replica would teach nothing that the first cannot.
    seen = context.seen
    filled = seen.rate_per_second >= FILLED_SHARE * context.capacity.limit * np.maximum(seen.ready, 1)
    unfilled = context.capacity.learning(np.maximum(seen.ready, 1)) & (seen.desired > 0) & ~filled & context.slow
    why = first_cause(
        (~proposal.assumed, Cause.NOT_FILLED),
        (seen.ready > 0, Cause.BEING_TRIED),
        (could_fill, Cause.TRIED),
        otherwise=Cause.NOT_TRIED_YET,
    )
    return np.where(unfilled & ~proposal.assumed, np.minimum(replicas, seen.desired), replicas), why


def help_when_late(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """Late for two ticks with everything ready: the plan was wrong, so a fifth is added whatever it says; but not to a slow pool while
    any grows, or where the rate window holds a change: that help comes sooner, or has come. Nor while pods warm, which are that help.
    """
    fleet, seen = context.fleet, context.seen
    late = (context.late_ticks >= LATE_TICKS_BEFORE_HELP) & (seen.warm >= seen.desired)
    helped = fleet.exists & ((replicas > seen.ready) | ~context.unchanged)
    late &= ~(context.slow & helped.any(1, keepdims=True))
    more = seen.ready + np.ceil(HELP_RATIO * seen.ready).astype(np.int64)
    late_now = (context.late_ticks > 0) & (seen.desired > 0)
    result = np.where(late, np.maximum(replicas, more), replicas)
    why = first_cause((late, Cause.LATE_THOUGH_READY), otherwise=Cause.LATE_NOW)
    return np.where(late_now, np.maximum(result, seen.desired), result), why


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
    why = first_cause((failing.gives_back, Cause.GROWN_IN_VAIN), otherwise=Cause.GROWTH_BOUNDED)
    return np.where(bounded, np.minimum(replicas, most), replicas), why


def plan_without_unschedulable(replicas: Ints, context: GuardContext) -> tuple[Ints, Codes]:
    """Pods that no node can take stay ordered for a while, so that they run as soon as there is room, but none are added.

    After ten minutes they are taken back, since waiting pods may cost and block others; twenty minutes later they are tried again.
    """
    seen = context.seen
    waiting = np.where(seen.unschedulable > 0, np.minimum(replicas, seen.desired), replicas)
    placed = np.maximum(
        seen.ready, seen.desired - seen.unschedulable
    )  # those that are not ready just now have their nodes
    why = first_cause((context.given_up, Cause.GIVEN_UP), otherwise=Cause.PODS_WAIT)
    return np.where(context.given_up, np.minimum(waiting, placed), waiting), why
