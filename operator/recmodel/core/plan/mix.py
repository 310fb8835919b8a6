"""The cheapest mix of replicas that keeps the objective at every pool's own horizon.

Pools are taken from the slowest to the fastest to start. A slow pool decides for a time in which the faster ones can still
react, so it is a newsvendor with recourse: its size is the one with the smallest mean cost over the deciles of the load, the
faster pools filling what is left (two-stage stochastic programming; Birge and Louveaux, 2011, section 1.1). The fastest pool has
nobody behind it: with what the slow pools have *ready*, it carries the upper quantile of the load.

What a pool may turn out to carry (its belief) decides whether it is worth having; what it is known to carry (its trust region)
decides what it is counted for: so a cheaper pool is tried until it is known not to be cheaper, and nobody waits for it.

Shapes: ``[M, P]`` pools, ``[M]`` one pool of every model, ``K`` candidate sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recmodel.core.capacity.estimate import Capacity, carried
from recmodel.core.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.forecast.candidates import LoadForecast
from recmodel.core.observed import Observed

DECILES = (0.1, 0.3, 0.5, 0.7, 0.9)
START_AMORTISED_OVER_SECONDS = (
    900.0  # a replica that is started is kept for about this long: its idle start is spread over it
)
HOPE = 4.0  # a pool whose limit is the trust region is kept if it would pay at up to this many times of it: it is being tried
LIMITED_SECONDS = 1e9  # slower than any start-up
UNMET_PRICE = 50.0  # of a replica-hour of the dearest pool: a request out of the objective costs more than any replica


@dataclass(frozen=True)
class Situation:
    """What the plan rests on."""

    fleet: Fleet
    seen: Observed
    forecast: LoadForecast
    capacity: Capacity
    most: Ints  # [M, P] replicas that each pool can have now: limits, quota, unschedulable pods
    held: Ints  # [M, P] that stay anyway, since they were wanted a moment ago: the faster pools count on them
    startup_seconds: Floats  # [M, P]
    allowed: Floats  # [M, P] share of the traffic that each pool's variant may answer: no more of it is counted


@dataclass(frozen=True)
class Proposal:
    """What the plan wants before the guards."""

    replicas: Ints  # [M, P]
    feasible: Bools  # [M] the upper quantile of the load fits into the limits
    assumed: Bools  # [M, P] the capacity is a guess: the pool was never tried
    per_replica: Floats  # [M, P] requests/s a replica that the plan counted on
    runner_up: Ints  # [M, P] the next best mix
    runner_up_cost: Floats  # [M]


def assumed_capacity(fleet: Fleet, capacity: Capacity, ready: Ints) -> tuple[Floats, Bools]:
    """Requests/s a replica ``[M, P]``, cautious; an untried pool is taken to be worth its price until it is tried.

    A known pool that carries 100 requests/s for 1.0 an hour makes an untried one at 1.6 an hour count as 160. NaN where no pool
    of the model is known.
    """
    known = np.isfinite(capacity.saturation) & fleet.exists
    each = np.where(known, capacity.per_replica(np.maximum(ready, 1)), np.nan)
    price = np.maximum(fleet.cost_per_hour, 1e-9)
    best = np.max(np.where(known, each / price, -np.inf), axis=1, keepdims=True)
    guess = np.where(np.isfinite(best), best * price, np.nan)
    return np.where(known, each, guess), ~known & fleet.exists


def needed(load: Floats, capacity: Capacity, each: Floats, assumed: Bools) -> Floats:
    """Replicas (whole, as floats) that carry ``load``; 0 for none. More replicas share better, so each then carries a bit more."""
    replicas = np.ceil(np.maximum(load, 0.0) / np.maximum(each, 1e-9))
    for _ in range(2):
        there = np.where(assumed, each, capacity.per_replica(np.maximum(replicas, 1.0)))
        replicas = np.ceil(np.maximum(load, 0.0) / np.maximum(there, 1e-9) - 1e-6)
    # Where two and three replicas each point to the other, two do not carry it.
    return replicas + (carried(replicas, capacity, each, assumed) < np.maximum(load, 0.0) * (1.0 - 1e-6))


def _pick(capacity: Capacity, order: Ints, rank: int) -> Capacity:
    """The capacity of the pool that stands at ``rank`` in each model's order, as ``[M, 1]``."""
    rows = np.arange(len(order))
    return Capacity(**{name: values[rows, order[:, rank]][:, None] for name, values in vars(capacity).items()})


def propose(situation: Situation) -> Proposal:
    """The cheapest mix. A model of which no pool's capacity is known keeps what it has, and what may answer nothing is not tried."""
    proposal = _cheapest(situation)
    return replace(
        proposal,
        replicas=np.where(np.isfinite(proposal.per_replica), proposal.replicas, situation.seen.desired),
        assumed=proposal.assumed & (situation.allowed > 0),
    )


def _cheapest(situation: Situation) -> Proposal:
    fleet, seen, forecast, capacity = situation.fleet, situation.seen, situation.forecast, situation.capacity
    most, held, startup_seconds, allowed = (
        situation.most,
        situation.held,
        situation.startup_seconds,
        situation.allowed,
    )
    models, pools = fleet.exists.shape
    each, assumed = assumed_capacity(fleet, capacity, seen.ready)
    upper = forecast.upper
    deciles = forecast.quantiles(*DECILES)  # [M, P, D]
    # A pool over the accuracy budget is worth no more replicas than its share of the load fills.
    share_limit = np.where(allowed < 1.0, allowed * upper, np.inf)
    fills = np.where(np.isfinite(share_limit), np.ceil(share_limit / np.maximum(each, 1e-9)), most)
    most = np.minimum(most, np.where(np.isfinite(fills), fills, most)).astype(np.int64)
    # The last pool fills what the others leave, so it must be free to: one with a limited share counts among the slow ones.
    speed = np.where(fleet.exists, np.where(share_limit < np.inf, LIMITED_SECONDS, startup_seconds), np.inf)
    order = np.lexsort((fleet.name_rank, fleet.cost_per_hour, -speed), axis=1)  # padding first, then the slowest
    low = np.where(fleet.exists, fleet.min_replicas, 0)
    replicas = np.zeros((models, pools), np.int64)
    alternative = np.zeros((models, pools), np.int64)
    chosen_capacity = np.zeros((models, 1))  # of the pools decided so far
    ready_capacity = np.zeros((models, 1))
    other_capacity = np.zeros((models, 1))  # of the next best mix, all of it ready
    rows = np.arange(models)
    fastest = order[:, -1]
    middle = deciles[rows, fastest, DECILES.index(0.5)]
    margin = np.where(middle > 0, upper[rows, fastest] / np.where(middle > 0, middle, 1.0), 1.0)[:, None]
    for rank in range(pools):
        index = order[:, rank]
        law, one, guess = _pick(capacity, order, rank), each[rows, index][:, None], assumed[rows, index][:, None]
        hope = replace(law, limit=np.minimum(law.limit * HOPE, law.ceiling), caution=np.ones_like(law.caution))
        hoped = np.where(guess, one, hope.per_replica(np.maximum(seen.ready[rows, index], 1)[:, None]))
        floor, ceiling = low[rows, index], np.where(fleet.exists[rows, index], most[rows, index], 0)
        current = np.clip(seen.desired[rows, index], floor, np.maximum(ceiling, floor))
        if rank == pools - 1:
            short = upper[rows, index][:, None] - ready_capacity
            wanted = needed(short, law, one, guess)[:, 0]
            best = np.clip(wanted, floor, np.maximum(ceiling, floor))
            feasible = (wanted <= ceiling) | ~np.isfinite(wanted)
            other = needed(upper[rows, index][:, None] - other_capacity, law, one, guess)[:, 0]
            second = np.clip(other, floor, np.maximum(ceiling, floor))
        else:
            levels = deciles[rows, index]  # [M, D]
            # What is left to the faster pools they will carry with a margin of their own.
            rest = levels * margin - chosen_capacity
            candidates = _candidates(rest, hope, hoped, guess, current, floor, ceiling)
            own = carried(candidates, hope, hoped, guess)
            mean_cost = _mean_cost(candidates, own, rest, fleet, order, rank, each, most, current, startup_seconds)
            ranked = np.argsort(mean_cost, axis=1, kind="stable")
            best = candidates[rows, ranked[:, 0]]
            differs = candidates != best[:, None]
            second_cost = np.where(differs, mean_cost, np.inf)
            runner = np.argmin(second_cost, axis=1)
            second = np.where(differs.any(1), candidates[rows, runner], best)
        best = np.where(np.isfinite(best), best, current)
        replicas[rows, index] = best.astype(np.int64)
        alternative[rows, index] = np.where(np.isfinite(second), second, current).astype(np.int64)
        usable = share_limit[rows, index][:, None]
        chosen_capacity = chosen_capacity + np.minimum(carried(best[:, None], hope, hoped, guess), usable)
        other_capacity = other_capacity + np.minimum(carried(second[:, None], law, one, guess), usable)
        soon = np.minimum(np.maximum(best, held[rows, index]), seen.ready[rows, index])[:, None]
        ready_capacity = ready_capacity + np.minimum(carried(soon, law, one, guess), usable)
    return Proposal(
        replicas=replicas,
        feasible=feasible,
        assumed=assumed,
        per_replica=each,
        runner_up=alternative,
        runner_up_cost=(alternative * fleet.cost_per_hour).sum(1),
    )


def _candidates(
    load: Floats, law: Capacity, one: Floats, guess: Bools, current: Ints, floor: Ints, ceiling: Ints
) -> Floats:
    """Sizes worth a look ``[M, K]``: what each decile needs and one less, what runs now, and the limits."""
    need = needed(load, law, one, guess)
    need = np.where(np.isfinite(need), need, current[:, None])
    options = np.concatenate([need, need - 1.0, current[:, None], floor[:, None], need[:, -1:] + 1.0], axis=1)
    clipped: Floats = np.clip(options, floor[:, None], np.maximum(ceiling, floor)[:, None])
    return clipped


def _mean_cost(
    candidates: Floats, own: Floats, load: Floats, fleet: Fleet, order: Ints, rank: int,
    each: Floats, most: Ints, current: Ints, startup_seconds: Floats,
) -> Floats:  # fmt: skip
    """Mean cost per hour ``[M, K]`` of each candidate: itself, its changes, and the faster pools that fill the rest.

    ``own`` ``[M, K]`` is what each candidate carries, ``load`` ``[M, D]`` the deciles of what there is to carry.
    """
    rows = np.arange(len(candidates))
    price = fleet.cost_per_hour[rows, order[:, rank]][:, None]
    rest = np.maximum(load[:, None, :] - own[:, :, None], 0.0)  # [M, K, D]
    later = order[:, rank + 1 :]
    unit = np.take_along_axis(fleet.cost_per_hour / np.maximum(each, 1e-9), later, 1)
    unit = np.where(np.take_along_axis(fleet.exists, later, 1), unit, np.inf)
    cost = np.zeros_like(rest)
    for position in range(later.shape[1]):  # the cheapest of the faster pools first
        index = np.take_along_axis(later, np.argsort(unit, axis=1, kind="stable")[:, position : position + 1], 1)[:, 0]
        carries = np.maximum(each[rows, index], 1e-9)[:, None, None]
        have = np.where(fleet.exists[rows, index], most[rows, index], 0)[:, None, None]
        least = np.where(fleet.exists[rows, index], fleet.min_replicas[rows, index], 0)[:, None, None]
        used = np.clip(np.ceil(rest / carries - 1e-6), least, np.maximum(have, least))
        cost += used * fleet.cost_per_hour[rows, index][:, None, None]
        rest = np.maximum(rest - used * carries, 0.0)
    dearest = np.max(
        np.where(fleet.exists & np.isfinite(each), fleet.cost_per_hour / np.maximum(each, 1e-9), 0.0), axis=1
    )
    cost += UNMET_PRICE * dearest[:, None, None] * rest
    start = startup_seconds[rows, order[:, rank]][:, None] / START_AMORTISED_OVER_SECONDS
    change = price * start * np.abs(candidates - current[:, None])
    result: Floats = price * candidates + cost.mean(-1) + change
    return result
