"""What one replica of a pool carries at the objective: learned online from how many requests were late at which load.

The law (a queue's waiting time has an exponential tail whose rate falls in a straight line with the load: Abate, Choudhury and
Whitt, 1995; Kingman, 1962):

    late(x, n) = b + (1 - b) * min(1, exp(-k * n**g * (1 - x / X)))

``x`` load per ready replica in requests/s, ``n`` ready replicas, ``X`` where a replica saturates, ``k`` how sharply lateness
rises towards it, ``b`` what is late even when idle (large requests), ``g`` how much replicas help each other out
(1: one common queue; 0: each for itself). Worker pools and batching pools differ in ``X``, ``k`` and ``b`` alone, so which one
a pool is follows from the data.

For every pool a posterior over (X, shape) is kept on a grid and multiplied each clean tick by the likelihood of what was seen.
It forgets by contradiction, not by time: an observation that the posterior thinks nearly impossible flattens it, so a model that
became slower is noticed within ticks and a quiet night makes nobody forget the day. Not knowing the capacity is never a reason
to scale up: the plan may rely on a load per replica only a step above what was seen to be good (the trust region).

Shapes: ``[M, P]`` pools, ``S`` shapes of the law, ``G`` grid points of log X.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recmodel.core.fleet import Bools, Fleet, Floats, Ints, Seen

Small = NDArray[np.float32]

GRID = 84
GRID_STEP = 0.045  # of log X: the whole grid spans a factor of 43
START_INDEX = 14  # where the first load seen is put: there is more room above than below
# (k, b): a soft worker pool ... a batching pool with a sharp edge, without and with inherently late requests.
SHAPES = np.array([(5.0, 0.0), (12.0, 0.0), (36.0, 0.0), (12.0, 0.012), (36.0, 0.012), (24.0, 0.03)])
SHARING = 0.4  # g: least-request balancing lies between a common queue (1) and none (0)
LARGEST_SHARPNESS = 160.0

PLANNED_LATE_RATIO = 0.6  # of the budget: at the whole budget on average, every second minute would be over it
TEMPER = 0.35  # neighbouring requests meet the same queue: their lateness says less than as many independent ones would
SURPRISE = -5.0  # log evidence under which an observation contradicts what was believed
FORGOTTEN = 0.25  # share of the belief that a contradiction spreads over the neighbourhood
TRUST_GROWTH = (
    0.5  # the plan may go this share beyond the load per replica at which nothing was late, less when some was
)
SAFE_UTILISATION = 0.6  # a pool that is busy for this share of the time keeps its objective, whatever it is made of
ENOUGH_REQUESTS = 60.0  # in one tick, for its lateness to say anything about the trust region


@dataclass(frozen=True)
class CapacityMemory:
    """What is believed of every pool."""

    log_belief: Small  # [M, P, S, G] log posterior, largest 0
    origin: Floats  # [M, P] log X of the first grid point; NaN before the first load
    trusted: Floats  # [M, P] largest load per replica that may be planned; 0 before any was seen to be good
    settled_ticks: Ints  # [M, P] ticks since the ready replicas last changed
    ready_before: Ints  # [M, P]
    late_before: Floats  # [M, P] late share a tick ago; NaN unknown


@dataclass(frozen=True)
class Capacity:
    """What one replica carries at the planned late share, as a law that the plan can evaluate for any number of replicas."""

    saturation: Floats  # [M, P] X, requests/s a replica
    sharpness: Floats  # [M, P] k
    slack: Floats  # [M, P] log of 1 / planned late share, net of b
    caution: Floats  # [M, P] factor <= 1 from the middle of the belief to its cautious bound
    limit: Floats  # [M, P] trust region: largest load per replica that may be planned
    known: Bools  # [M, P] enough was seen to plan with

    def per_replica(self, replicas: Floats | Ints, cautious: bool = True) -> Floats:
        """Requests/s that each of ``replicas`` carries, same shape (a leading axis of candidates may be added).

        With X = 160, k = 12, 4 replicas and 3 % planned late: 160 * (1 - 3.5 / (12 * 4**0.4)) = 133.
        """
        sharp = np.minimum(self.sharpness * np.maximum(replicas, 1.0) ** SHARING, LARGEST_SHARPNESS)
        middle = self.saturation * np.maximum(1.0 - self.slack / sharp, 0.15)
        result: Floats = np.minimum(middle * self.caution, self.limit) if cautious else middle
        return result


def empty(models: int, pools: int) -> CapacityMemory:
    """Nothing is known of any pool."""
    shape = (models, pools)
    return CapacityMemory(
        log_belief=np.zeros((*shape, len(SHAPES), GRID), np.float32),
        origin=np.full(shape, np.nan),
        trusted=np.zeros(shape),
        settled_ticks=np.zeros(shape, np.int64),
        ready_before=np.full(shape, -1, np.int64),
        late_before=np.full(shape, np.nan),
    )


def law(load: Floats, saturation: Floats, sharpness: Floats, floor: Floats) -> Floats:
    """Share of the requests that are late at ``load`` per replica: 0..1. At load 133, X = 160, k = 20.9, b = 0: 0.030."""
    rising = np.exp(np.minimum(-sharpness * (1.0 - load / saturation), 0.0))
    result: Floats = floor + (1.0 - floor) * rising
    return result


def learn(memory: CapacityMemory, fleet: Fleet, seen: Seen, window_seconds: float) -> CapacityMemory:
    """The memory after one tick. Ticks whose rate window spans a change of ready replicas say nothing of any load per replica."""
    unchanged = seen.ready == memory.ready_before
    settled = np.where(unchanged, memory.settled_ticks + 1, 0)
    window_ticks = int(np.ceil(window_seconds / fleet.tick_seconds))
    served = seen.rate_per_second - np.where(np.isfinite(seen.errors_per_second), seen.errors_per_second, 0.0)
    load = np.where(seen.ready > 0, served / np.maximum(seen.ready, 1), np.nan)
    late = np.clip(0.5 * (seen.late_lower_ratio + seen.late_upper_ratio), 0.0, 1.0)
    clean = fleet.exists & (settled > window_ticks) & np.isfinite(load) & (load > 0) & np.isfinite(late)
    # A queue that built up drains for a while: lateness that falls from a peak belongs to a load that is over.
    draining = np.nan_to_num(memory.late_before) > np.maximum(3.0 * fleet.late_budget_ratio[:, None], 1.5 * late)
    clean &= ~draining
    memory = replace(
        memory, settled_ticks=settled, ready_before=seen.ready, late_before=np.where(np.isfinite(late), late, np.nan)
    )
    if not clean.any():
        return memory
    rows = np.nonzero(clean)
    origin = memory.origin.copy()
    new = np.isnan(origin[rows])
    origin[rows] = np.where(new, np.log(load[rows]) - START_INDEX * GRID_STEP, origin[rows])
    belief = memory.log_belief.copy()
    belief[rows], origin[rows] = _update(
        belief[rows],
        origin[rows],
        load[rows],
        seen.ready[rows],
        seen.late_lower_ratio[rows],
        seen.late_upper_ratio[rows],
        seen.rate_per_second[rows] * fleet.tick_seconds,
    )
    return replace(memory, log_belief=belief, origin=origin, trusted=_trust(memory.trusted, fleet, seen, load, clean))


def _trust(trusted: Floats, fleet: Fleet, seen: Seen, load: Floats, clean: Bools) -> Floats:
    """The trust region after one tick: a step beyond what was good, the larger the less was late; back to what was bad.

    Utilisation, where it is known, widens it: a worker that is busy for a share u of the time saturates at load / u, and a
    batching pool later still, so load * 0.6 / u is safe for both.
    """
    planned = PLANNED_LATE_RATIO * fleet.late_budget_ratio[:, None]
    requests = seen.rate_per_second * fleet.tick_seconds
    late = seen.late_upper_ratio
    worst = late + 1.64 * np.sqrt((late * (1.0 - late) + 1.0 / np.maximum(requests, 1.0)) / np.maximum(requests, 1.0))
    step = TRUST_GROWTH * np.clip(1.0 - worst / planned, 0.0, 1.0)
    good = clean & (late <= planned) & (requests >= ENOUGH_REQUESTS)
    trusted = np.where(good, np.maximum(trusted, load * (1.0 + step)), trusted)
    busy = good & (seen.utilisation_ratio > 0.02)
    with np.errstate(divide="ignore", invalid="ignore"):
        safe = load * SAFE_UTILISATION / seen.utilisation_ratio
    trusted = np.where(busy & (safe > trusted), safe, trusted)
    bad = clean & (seen.late_lower_ratio > 2.0 * fleet.late_budget_ratio[:, None])
    return np.where(bad, np.minimum(trusted, load), trusted)


def _update(
    belief: Small, origin: Floats, load: Floats, ready: Ints, late_low: Floats, late_high: Floats, requests: Floats
) -> tuple[Small, Floats]:
    """The belief ``[N, S, G]`` after the likelihood of one tick's counts, recentred where it runs out of the grid."""
    belief, origin = _recentre(belief, origin, load)
    saturation = np.exp(origin[:, None] + GRID_STEP * np.arange(GRID))[:, None, :]  # [N, 1, G]
    sharp = np.minimum(SHAPES[:, 0] * np.maximum(ready, 1)[:, None] ** SHARING, LARGEST_SHARPNESS)[:, :, None]
    share = np.clip(law(load[:, None, None], saturation, sharp, SHAPES[None, :, 1:2]), 1e-4, 0.97).astype(np.float32)
    told = np.clip(share, late_low[:, None, None], late_high[:, None, None]).astype(np.float32)
    told = np.clip(told, 0.0, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):  # 0 * log 0 is 0
        distance = np.where(told > 0, told * np.log(told / share), 0.0)
        distance += np.where(told < 1, (1.0 - told) * np.log((1.0 - told) / (1.0 - share)), 0.0)
    # Counts are bounded: a thousand requests of one tick met the same few queues.
    weight = TEMPER * np.minimum(requests, 1500.0)[:, None, None]
    likelihood = (-weight * distance).astype(np.float32)
    posterior = belief + likelihood
    size = posterior.shape[0]
    prior_mass = np.exp(belief).reshape(size, -1).sum(-1)
    evidence = np.log(np.maximum(np.exp(posterior).reshape(size, -1).sum(-1), 1e-30) / prior_mass)
    surprised = evidence < SURPRISE
    if surprised.any():
        floor = np.log(FORGOTTEN) + belief[surprised].reshape(int(surprised.sum()), -1).max(-1)[:, None, None]
        posterior[surprised] = np.maximum(belief[surprised], floor) + likelihood[surprised]
    posterior = posterior - posterior.reshape(size, -1).max(-1)[:, None, None]
    return np.maximum(posterior, -30.0).astype(np.float32), origin


def _recentre(belief: Small, origin: Floats, load: Floats) -> tuple[Small, Floats]:
    """Shifts the grid of those whose load comes near its ends; what was off the grid gets the belief of the end."""
    index = (np.log(load) - origin) / GRID_STEP
    shift = np.where(
        index > GRID - 12, np.ceil(index) - START_INDEX, np.where(index < 4, np.floor(index) - START_INDEX, 0)
    )
    # Never shift away from what is believed because of a night's small load: only a load above the grid moves it up, and one
    # below it moves it down only while nothing is known (a flat belief).
    flat = belief.reshape(len(belief), -1).min(-1) > -3.0
    shift = np.where((shift < 0) & ~flat, 0, shift).astype(int)
    if not shift.any():
        return belief, origin
    where = np.clip(np.arange(GRID) + shift[:, None], 0, GRID - 1)
    return np.take_along_axis(belief, where[:, None, :], -1), origin + shift * GRID_STEP


def estimate(memory: CapacityMemory, fleet: Fleet, ready: Ints) -> Capacity:
    """The law that the plan uses: the middle of the belief, its caution, and the trust region."""
    weight = np.exp(memory.log_belief)
    weight /= weight.sum((-2, -1), keepdims=True)
    log_saturation = memory.origin[..., None] + GRID_STEP * np.arange(GRID)  # [M, P, G]
    planned = PLANNED_LATE_RATIO * fleet.late_budget_ratio[:, None, None]
    floor = SHAPES[:, 1]
    # Where more is late when idle than was planned, a fifth of the budget is what queueing may still add.
    queueing = np.maximum((planned - floor) / (1.0 - floor), 0.2 * fleet.late_budget_ratio[:, None, None])
    slack = -np.log(queueing)  # [M, 1, S]
    sharp = np.minimum(SHAPES[:, 0] * np.maximum(ready, 1)[..., None] ** SHARING, LARGEST_SHARPNESS)  # [M, P, S]
    carried = np.log(np.maximum(1.0 - slack / sharp, 0.15))  # log of capacity / X
    by_shape = weight.sum(-1)  # [M, P, S]
    inside = (weight * log_saturation[..., None, :]).sum(-1)  # [M, P, S]
    mean = (inside + by_shape * carried).sum(-1)
    second = (weight * (log_saturation[..., None, :] + carried[..., None]) ** 2).sum((-2, -1))
    spread = np.sqrt(np.maximum(second - mean**2, 0.0))
    sharpness = np.exp((by_shape * np.log(SHAPES[:, 0])).sum(-1))
    slack_used = (by_shape * slack).sum(-1)
    effective = np.minimum(sharpness * np.maximum(ready, 1) ** SHARING, LARGEST_SHARPNESS)
    saturation = np.exp(mean) / np.maximum(1.0 - slack_used / effective, 0.15)
    return Capacity(
        saturation=saturation,
        sharpness=sharpness,
        slack=slack_used,
        caution=np.exp(-np.minimum(spread, 1.0)),
        limit=np.where(memory.trusted > 0, memory.trusted, np.inf),
        known=np.isfinite(memory.origin) & (spread < 0.15),
    )
