"""What the guards look at, and what each of them gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed
from recmodel.core.capacity.estimate import Capacity
from recmodel.core.failures.load_independent import Failing
from recmodel.core.plan.causes import Cause
from recmodel.core.plan.situation import Proposal


@dataclass(frozen=True)
class GuardContext:
    """What the guards look at."""

    fleet: Fleet
    seen: Observed
    proposal: Proposal
    least: Ints  # [M, P] replicas that each pool must have: its minimum, and one of what is on trial
    capacity: Capacity
    load: Floats  # [M] requests/s now; NaN unknown
    usual: Floats  # [M] its mean over the last minutes; NaN unknown
    upper: Floats  # [M, P] upper quantile of the load over each pool's horizon
    allowed: Floats  # [M, P] largest share of the traffic for each pool's variant
    blind_seconds: Floats  # [M] age of the newest known load; 0: known now; inf: never known
    doubted: Bools  # [M] a load was counted and is not believed
    late_ticks: Ints  # [M, P] ticks in a row over twice the late budget
    unchanged: Bools  # [M, P] the rate window holds no change of ready replicas
    recently_proposed: Ints  # [M, P] for the largest load that the pool was proposed for within its break-even time
    given_up: Bools  # [M, P] pods were unschedulable for long: none are ordered for a while
    unplaced_seconds: Floats  # [M, P] for which some pods have been unschedulable; inf: given up
    slow: Bools  # [M, P] a faster pool of the same model can fill the gap meanwhile
    failing: Failing  # what is bad at any load is not answered with replicas
    grown_from: Ints  # [M, P] ready replicas one start-up time ago


Codes = Ints | int  # of causes, in a shape that numpy broadcasts to [M, P]
Guard = Callable[[Ints, GuardContext], tuple[Ints, Codes]]


def first_cause(*causes: tuple[Bools, Cause], otherwise: Cause) -> Ints:
    """The code of the first cause that holds, in the shape of the conditions."""
    code: Ints = np.asarray(otherwise.code)
    for where, cause in reversed(causes):
        code = np.where(where, cause.code, code)
    return code
