"""What one replica of a pool carries at the objective: learned online from how many requests were late at which load.

The law (a queue's waiting time has an exponential tail whose rate falls in a straight line with the load: Abate, Choudhury and
Whitt, 1995; Kingman, 1962):

    late(x, n) = b + (1 - b) * min(1, exp(-k * n**g * (1 - x / X)))

``x`` load per ready replica in requests/s, ``n`` ready replicas, ``X`` where a replica saturates, ``k`` how sharply lateness
rises towards it, ``b`` what is late even when idle (large requests), ``g`` how much replicas help each other out
(1: one common queue; 0: each for itself). Worker pools and batching pools differ in ``X``, ``k`` and ``b`` alone, so which one
a pool is follows from the data.

What was seen is kept by :mod:`recmodel.core.capacity.posterior`; this module says what the plan may make of it. Not knowing the capacity is
never a reason to scale up: the plan may rely on a load per replica only a step above what was seen to be good (the trust region).

Shapes: ``[M, P]`` pools, ``S`` shapes of the law, ``G`` grid points of log X.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.capacity.evidence import PLANNED_LATE_RATIO, Evidence
from recmodel.core.capacity.posterior import (
    CHUNK,
    GRID,
    GRID_STEP,
    LARGEST_SHARPNESS,
    SHAPES,
    SHARING,
    CapacityMemory,
    Small,
)
from recmodel.core.capacity.sustained import glimpsed

TRUST_GROWTH = 0.15  # the plan may go so far beyond the load at which nothing was late, less where some was
CALM_GROWTH = 3.0  # times as far, where no request took even half of the time that it may: a full batch takes longer
COUNTING_ERRORS = 3.0  # standard errors of a count by which two loads may differ and be the same
LEAST_QUEUEING_RATIO = 0.2  # of the budget: what queues may add where more is late without any than was planned
UNTROUBLED = 0.75  # of the way, in log lateness, from the planned share down to nothing
SAFE_UTILISATION = 0.7  # a pool that is busy for this share of the time keeps its objective, whatever it is made of
SAFE_GROWTH = 1.5  # times what was seen to be good, in one step: it may be busy with waiting for others, which no utilisation shows
WORKER_SLOPE = 0.85  # utilisation that rises in proportion to the load is that of workers ...
WORKER_UTILISATION = 0.75  # ... if it was seen up to here
WORKER_LIMIT = 0.94  # ... which no balancing fills beyond this share without queues
LEAST_CARRIED_RATIO = (
    0.15  # of X, that a replica carries at least: at a p99 the law's softest shape would leave it nothing
)
UNTRIED_FROM = 1.5  # times what its price makes it worth: what known pools carry before an untried one gets any; less would not fill it
KNOWN_SPREAD = 0.15  # of log capacity, a standard deviation: a belief that is wider is not planned with
LEARNED_SHARE = 0.9  # of what is believed: a trust region that reaches it teaches nothing more
NOTHING_LATE = 0.001  # a late share that no histogram distinguishes from none


@dataclass(frozen=True)
class Capacity:
    """What one replica carries at the planned late share, as a law that the plan can evaluate for any number of replicas."""

    saturation: Floats  # [M, P] X, requests/s a replica
    sharpness: Floats  # [M, P] k
    slack: Floats  # [M, P] log of 1 / planned late share, net of b
    caution: Floats  # [M, P] factor <= 1 from the middle of the belief to its cautious bound
    proven: Floats  # [M, P] load per replica that was good, or that utilisation says is; 0: none
    limit: Floats  # [M, P] trust region: largest load per replica that may be planned
    ceiling: Floats  # [M, P] no belief goes beyond what was seen to be bad
    tried_in_vain: Floats  # [M, P] load per replica that was tried for long and not found to be good; inf: none
    promised: Floats  # [M, P] load per replica worth a try in need, by utilisation alone or by one reading; 0: unknown
    untroubled: (
        Bools  # [M, P] next to nothing was late at the largest good load, and no utilisation says that the end is near
    )
    known: Bools  # [M, P] enough was seen to plan with

    def hoped(self, replicas: Floats | Ints) -> Floats:
        """Requests/s that each of ``replicas`` may turn out to carry: the middle of the belief, beyond the trust region."""
        return np.minimum(self._believed(replicas), self.ceiling)

    def learning(self, replicas: Floats | Ints) -> Bools:
        """Where the trust region, not the belief, limits what may be planned: more load would show more."""
        result: Bools = self.per_replica(replicas) < LEARNED_SHARE * self.hoped(replicas)
        return result

    def per_replica(self, replicas: Floats | Ints, cautious: bool = True) -> Floats:
        """Requests/s that each of ``replicas`` carries, same shape (a leading axis of candidates may be added).

        With X = 160, k = 12, 4 replicas and 3 % planned late: 160 * (1 - 3.5 / (12 * 4**0.4)) = 133.
        """
        middle = self._believed(replicas)
        bound = np.maximum(middle * self.caution, self.proven)  # no caution goes below what was seen
        result: Floats = np.minimum(bound, self.limit) if cautious else np.minimum(middle, self.ceiling)
        return result

    def _believed(self, replicas: Floats | Ints) -> Floats:
        return self.saturation * _part(self.sharpness, self.slack, replicas)


def _part(sharpness: Floats | float, slack: Floats, replicas: Floats | Ints) -> Floats:
    """Of X, that each of ``replicas`` carries. With k = 12 and 3 % planned late, one carries 0.71 of X and each of four 0.83."""
    sharp = np.minimum(sharpness * np.maximum(replicas, 1.0) ** SHARING, LARGEST_SHARPNESS)
    result: Floats = np.maximum(1.0 - slack / sharp, LEAST_CARRIED_RATIO)
    return result


def estimate(memory: CapacityMemory, fleet: Fleet, ready: Ints) -> Capacity:
    """The law that the plan uses: the middle of the belief, its caution, and the trust region."""
    moments = _moments(memory.log_belief)
    planned = PLANNED_LATE_RATIO * fleet.late_budget_ratio[:, None, None]
    floor = SHAPES[:, 1]
    queueing = np.maximum(
        (planned - floor) / (1.0 - floor), LEAST_QUEUEING_RATIO * fleet.late_budget_ratio[:, None, None]
    )
    slack = -np.log(queueing)  # [M, 1, S]
    sharp = np.minimum(SHAPES[:, 0] * np.maximum(ready, 1)[..., None] ** SHARING, LARGEST_SHARPNESS)  # [M, P, S]
    carried = np.log(np.maximum(1.0 - slack / sharp, LEAST_CARRIED_RATIO))  # log of capacity / X
    by_shape, first, second = moments[..., 0], moments[..., 1] * GRID_STEP, moments[..., 2] * GRID_STEP**2
    relative = (first + by_shape * carried).sum(-1)  # mean of log capacity, from the grid's origin
    square = (second + 2.0 * first * carried + by_shape * carried**2).sum(-1)
    spread = np.sqrt(np.maximum(square - relative**2, 0.0))
    mean = memory.origin + relative
    sharpness = np.exp((by_shape * np.log(SHAPES[:, 0])).sum(-1))
    slack_used = (by_shape * slack).sum(-1)
    part = _part(sharpness, slack_used, ready)
    saturation = np.exp(mean) / part
    trust = _trusted(memory, fleet, ready, _times(memory.evidence, fleet, part, sharpness))
    proven, limit, ceiling, tried_in_vain, promised, untroubled = trust
    return Capacity(
        saturation=saturation,
        sharpness=sharpness,
        slack=slack_used,
        caution=np.exp(-np.minimum(spread, 1.0)),
        proven=proven,
        limit=limit,
        ceiling=ceiling,
        tried_in_vain=tried_in_vain,
        promised=promised,
        untroubled=untroubled,
        known=np.isfinite(memory.origin) & (spread < KNOWN_SPREAD),
    )


def _times(evidence: Evidence, fleet: Fleet, part: Floats, sharpness: Floats) -> Small:
    """How much more ``[M, P, B]`` than what was too much in a bin one of the ready replicas carries, which carry ``part`` of X each.

    Many share what comes in bursts, so what was too much for few need not be so for each of them; but what saturated few is.
    30 requests/s on one replica, 6 % late: it saturates at 39 by the law with k = 12, and each of four carries 33, 1.09 times as much.
    """
    bad = evidence.too_much(fleet.late_budget_ratio[:, None])
    models, pools, bins = np.nonzero(bad)
    seen = evidence.bin((models, pools), bins)
    there = _part(sharpness[models, pools], -np.log(np.clip(seen.late_high, 1e-9, 1.0)), seen.replicas)
    times = np.ones(bad.shape, np.float32)
    times[bad] = np.maximum(part[models, pools] / there, 1.0)
    return times


def _moments(log_belief: Small) -> Floats:
    """Of each shape's belief: its mass and the first two moments of the grid index ``[M, P, S, 3]``; all masses add up to 1."""
    index = np.arange(GRID, dtype=np.float32)
    powers = np.stack([np.ones_like(index), index, index**2], axis=1)
    moments = np.concatenate(
        [np.exp(part) @ powers for part in np.array_split(log_belief, max(1, len(log_belief) // CHUNK))]
    )
    result: Floats = np.asarray(moments, float)
    result /= result[..., :1].sum(-2, keepdims=True)
    return result


def _trusted(
    memory: CapacityMemory, fleet: Fleet, ready: Ints, times: Small
) -> tuple[Floats, Floats, Floats, Floats, Floats, Bools]:
    """Loads per replica ``[M, P]``: proven (0: none), the largest that may be planned, where all belief ends (inf: none), what was
    tried in vain (inf: none), what utilisation alone promises; and whether the pool is untroubled.

    ``times`` ``[M, P, B]``: see :func:`_times`.

    The second is a step beyond what was good. Lateness rises exponentially with the load, so the step is measured by the logarithm of
    what is left to the planned share, net of what is late at any load; it is a larger one where the requests do not even come
    near the threshold. Utilisation, where it is known, widens it: a worker that is busy for a share u of the time saturates at
    load / u, and a batching pool later still, so load * 0.7 / u is safe for both; not in one leap, though, since a server that
    waits for a remote store is not busy either; and not where the pool was late at much less. Where it rose in proportion to the
    load it is that of workers, and load / u is where they saturate.
    """
    budget = np.broadcast_to(fleet.late_budget_ratio[:, None], ready.shape)
    inherent = memory.evidence.inherent(budget)
    queueing = np.maximum(PLANNED_LATE_RATIO * budget - inherent, LEAST_QUEUEING_RATIO * budget)
    planned = np.minimum(inherent + queueing, budget)
    good, late_there, slow_there = memory.evidence.proven(planned)
    tried_in_vain = memory.evidence.tried_in_vain(planned, good)
    bad = memory.evidence.smallest_bad(budget, times)
    nothing = np.minimum(NOTHING_LATE, 0.5 * queueing)
    left = np.log(queueing / np.maximum(late_there - inherent, nothing)) / np.log(queueing / nothing)
    growth = TRUST_GROWTH * np.where(slow_there < NOTHING_LATE, CALM_GROWTH, 1.0)
    trusted = good * (1.0 + growth * np.clip(left, 0.0, 1.0))
    busy, slope = memory.evidence.busy(budget)
    busy = np.where(np.isfinite(busy), busy, memory.evidence.busy_together(budget))
    # Late more than one such step before its utilisation says that it may be: of such a pool utilisation shows a part of the work.
    known = (good > 0) & np.isfinite(busy) & (SAFE_GROWTH * bad * busy > SAFE_UTILISATION)
    idle = np.where(known, SAFE_UTILISATION / np.where(known, busy, 1.0), 0.0)
    safe = np.minimum(idle, SAFE_GROWTH * good)
    trusted = np.maximum(trusted, safe)
    # Batches of one look like workers: only near its full use does a batching pool show itself.
    full_enough = known & (good * np.where(known, busy, 0.0) > WORKER_UTILISATION)
    workers = np.where(full_enough & (slope > WORKER_SLOPE), WORKER_LIMIT / np.where(known, busy, 1.0), np.inf)
    ceiling = np.maximum(np.minimum(bad, workers), good)
    trusted = np.minimum(trusted, ceiling)
    untroubled = (good > 0) & (left > UNTROUBLED) & (~known | (idle > safe))
    # A load that is the same to within the noise of counting it was seen, too: no replica comes and goes for that.
    counted = np.maximum(good * np.maximum(ready, 1) * fleet.rate_window_seconds, 1.0)
    seen = good * (1.0 + COUNTING_ERRORS / np.sqrt(counted))
    trusted = np.maximum(trusted, np.minimum(seen, ceiling))
    proven = np.minimum(np.maximum(seen, safe), ceiling)
    promised = np.minimum(np.maximum(idle, SAFE_GROWTH * glimpsed(memory.sampling.readings, fleet)), ceiling)
    return proven, np.where(trusted > 0, trusted, ceiling), ceiling, tried_in_vain, promised, untroubled


def carried(replicas: Floats, capacity: Capacity, each: Floats, assumed: Bools) -> Floats:
    """Requests/s that ``replicas`` of a pool carry at the planned late share."""
    there = np.where(assumed, each, capacity.per_replica(np.maximum(replicas, 1.0)))
    return replicas * np.where(np.isfinite(there), there, 0.0)
