"""Which guard is why the replicas of a model change, where the plan is not."""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Ints
from recmodel.core.plan.causes import BY_CODE
from recmodel.core.plan.guards import Guarded


def mover(i: int, runs: Ints, proposed: Ints, guarded: Guarded) -> str | None:
    """Of model ``i`` the reason of the guards that carried the number of each pool past what runs; None where the plan did, or
    where they differ. ``runs`` and ``proposed`` are ``[M, P]``.

    Where 4 run and 3 are proposed, and three guards let 3, 6 and 5 pass, the second is why.
    """
    found = set()
    for k in np.flatnonzero(guarded.replicas[i] != runs[i]):
        levels = np.array([proposed[i, k], *guarded.steps[:, i, k]])
        beyond = np.sign(levels - runs[i, k]) == np.sign(levels[-1] - runs[i, k])
        crossed = np.flatnonzero(beyond[1:] & ~beyond[:-1])
        cause = BY_CODE.get(int(guarded.causes[crossed[-1], i, k])) if crossed.size else None
        found.add(cause.reason if cause is not None else None)
    return found.pop() if len(found) == 1 else None
