"""Guards of what is certain: blindness, the owner's limits, and what must never be empty."""

from __future__ import annotations

import numpy as np

from recmodel.core.fleet import Ints
from recmodel.core.plan.causes import Cause
from recmodel.core.plan.guard_context import Codes, GuardContext, first_cause

BLIND_GROWTH = 0.5


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
    """The owner's minimum and maximum are never left."""
    fleet = context.fleet
    low = np.where(fleet.exists, fleet.min_replicas, 0)
    why = first_cause((replicas < low, Cause.BELOW_MINIMUM), otherwise=Cause.ABOVE_MAXIMUM)
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
