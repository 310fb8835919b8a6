"""The ordered checks between what the plan wants and what is decided. Order is read here, not inferred.

Each guard takes the replicas proposed so far and the tick's context, and returns the replicas it lets pass and, for each pool, the
cause why it would change them (:mod:`recmodel.core.plan.causes`). Doubt has a direction: no guard removes a replica because
something is unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recmodel.core.arrays.fleet import Ints
from recmodel.core.plan.growth import (
    explore_untried,
    grow_where_it_helps,
    grow_within_reason,
    help_when_late,
    plan_without_unschedulable,
)
from recmodel.core.plan.guard_context import Guard, GuardContext
from recmodel.core.plan.limits import (
    change_nothing_unless_acting,
    hold_when_blind,
    keep_leaving_until_carried,
    keep_trials_running,
    never_without_replicas,
    order_elsewhere,
    within_limits,
)
from recmodel.core.plan.release import (
    hold_what_is_needed_again,
    keep_ready_capacity,
    make_room_where_it_costs_less,
    release_in_steps,
)

CHAIN: tuple[Guard, ...] = (
    explore_untried,
    help_when_late,
    grow_within_reason,
    hold_what_is_needed_again,
    make_room_where_it_costs_less,
    release_in_steps,
    keep_ready_capacity,
    grow_where_it_helps,
    hold_when_blind,
    plan_without_unschedulable,
    within_limits,
    keep_trials_running,
    order_elsewhere,
    never_without_replicas,
    keep_leaving_until_carried,
    change_nothing_unless_acting,
)


@dataclass(frozen=True)
class Guarded:
    """What the guards let pass ``[M, P]``, and the last of them that moved each number."""

    replicas: Ints
    why: Ints  # code of its cause; 0: no guard moved it
    before: Ints  # replicas that it was given; those that are decided where no guard moved them
    acting: Ints  # [M, P] what would be decided in mode Auto: all but the last guard's word, which knows the mode
    steps: Ints  # [G, M, P] what each guard of the chain let pass ...
    causes: Ints  # [G, M, P] ... and the code of its cause, to be read only where it moved a number


def guard(context: GuardContext) -> Guarded:
    """What all guards let pass, in order."""
    replicas = context.proposal.replicas
    why, before = np.zeros_like(replicas), replicas
    steps, codes = [], []
    for check in CHAIN:
        passed, causes = check(replicas, context)
        moved = passed != replicas
        why, before = np.where(moved, causes, why), np.where(moved, replicas, before)
        replicas = passed
        steps.append(passed)
        codes.append(np.broadcast_to(causes, passed.shape))
    before = np.where(why == 0, replicas, before)
    return Guarded(replicas, why, before, steps[-2], np.stack(steps), np.stack(codes))
