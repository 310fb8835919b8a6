"""The cheapest mix of replicas that keeps the objective at every pool's own horizon.

Pools are taken from the slowest to the fastest to start. A slow pool decides for a time in which the faster ones can still
react, so it is a newsvendor with recourse: its size is the one with the smallest mean cost over the deciles of the load, the
faster pools filling what is left (two-stage stochastic programming; Birge and Louveaux, 2011, section 1.1). The fastest pool has
nobody behind it: with what the slow pools have *ready*, it carries the upper quantile of the load. Of pools that start within a tick
of each other the one with the cheapest replica is last: it fills what is left in its small steps. What it has no room for the others
get (:mod:`recmodel.core.plan.overflow`).

What a pool may turn out to carry (its belief) decides whether it is worth having; what it is known to carry (its trust region)
decides what it is counted for: so a cheaper pool is tried until it is known not to be cheaper, and nobody waits for it. Hope ends
at a load that was tried for long and not found to be good. A new version, or a larger load that is good, brings it back.

Shapes: ``[M, P]`` pools, ``[M]`` one pool of every model, ``K`` candidate sizes.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recmodel.core.arrays.fleet import Bools, Floats
from recmodel.core.capacity.estimate import Capacity, carried
from recmodel.core.plan.lasting import LARGEST_LASTING_SECONDS, lasted_seconds
from recmodel.core.plan.overflow import with_overflow
from recmodel.core.plan.own_share import with_own_shares
from recmodel.core.plan.ranked import Ordered, RankedPool, ordered
from recmodel.core.plan.situation import Proposal, Situation, needed

UNMET_PRICE = 50.0  # of a replica-hour of the dearest pool: a request out of the objective costs more than any replica


def propose(situation: Situation) -> Proposal:
    """The cheapest mix. A model of which no pool's capacity is known keeps what it has, and what may answer nothing is not tried."""
    proposal = with_own_shares(situation, _cheapest(situation))
    return replace(
        proposal,
        replicas=np.where(np.isfinite(proposal.per_replica), proposal.replicas, situation.seen.desired),
        assumed=proposal.assumed & (situation.allowed > 0),
    )


def _cheapest(situation: Situation) -> Proposal:
    """The cheapest mix, pool by pool, from the slowest to the fastest."""
    fleet, ranked = situation.fleet, ordered(situation)
    models, pools = fleet.exists.shape
    replicas, alternative, free = (np.zeros((models, pools), np.int64) for _ in range(3))
    chosen_capacity = np.zeros((models, 1))  # of the pools decided so far
    ready_capacity = np.zeros((models, 1))
    other_capacity = np.zeros((models, 1))  # of the next best mix, all of it ready
    feasible = np.ones(models, bool)
    for rank in range(pools):
        pool = ranked.at(rank)
        if rank == pools - 1:
            upper = situation.forecast.upper[pool.at][:, None]
            best, feasible = _last(pool, upper - ready_capacity)
            second, _ = _last(pool, upper - other_capacity)
            cheapest = best
        else:
            best, second, cheapest = _with_recourse(ranked, rank, pool, chosen_capacity)
        best = np.where(np.isfinite(best), best, pool.current)
        replicas[pool.at] = best.astype(np.int64)
        free[pool.at] = np.where(np.isfinite(cheapest), cheapest, pool.current).astype(np.int64)
        alternative[pool.at] = np.where(np.isfinite(second), second, pool.current).astype(np.int64)
        chosen_capacity = chosen_capacity + pool.may_carry(best)
        other_capacity = other_capacity + pool.carries(second)
        soon = np.minimum(np.maximum(best, situation.held[pool.at]), situation.seen.warm[pool.at])
        ready_capacity = ready_capacity + pool.carries(soon)
    replicas, feasible = with_overflow(ranked, replicas, feasible)
    return Proposal(
        replicas=replicas,
        feasible=feasible,
        assumed=situation.assumed,
        per_replica=situation.each,
        runner_up=alternative,
        runner_up_cost=(alternative * fleet.cost_per_hour).sum(1),
        cheapest=free,
        last=ranked.order[:, -1],
    )


def _last(pool: RankedPool, load: Floats) -> tuple[Floats, Bools]:
    """Replicas ``[M]`` of the fastest pool, which has nobody behind it, for ``load`` ``[M, 1]``; and whether they are within its
    limits.
    """
    wanted = needed(load, pool.law, pool.one, pool.guess)[:, 0]
    return np.clip(wanted, pool.floor, pool.ceiling), (wanted <= pool.most) | ~np.isfinite(wanted)


def _with_recourse(ranked: Ordered, rank: int, pool: RankedPool, chosen: Floats) -> tuple[Floats, Floats, Floats]:
    """Replicas ``[M]`` of a pool that faster ones stand behind: the size with the smallest mean cost over the deciles of the load,
    the next best, and the cheapest if changes cost nothing. ``chosen`` ``[M, 1]`` is what the pools before it may carry.
    """
    forecast, rows = ranked.situation.forecast, pool.at[0]
    deciles = forecast.deciles
    fastest = ranked.order[:, -1]
    middle = forecast.middle[rows, fastest]
    margin = np.where(middle > 0, forecast.upper[rows, fastest] / np.where(middle > 0, middle, 1.0), 1.0)[:, None]
    # What is left to the faster pools they will carry with a margin of their own.
    rest = deciles[pool.at] * margin - chosen
    candidates = _candidates(pool, rest)
    running = _mean_cost(ranked, rank, pool, candidates, rest)
    cheapest = candidates[rows, np.argsort(running, axis=1, kind="stable")[:, 0]]
    cost = running + _change_cost(ranked, pool, candidates, chosen, margin)
    best = candidates[rows, np.argsort(cost, axis=1, kind="stable")[:, 0]]
    differs = candidates != best[:, None]
    runner = np.argmin(np.where(differs, cost, np.inf), axis=1)
    return best, np.where(differs.any(1), candidates[rows, runner], best), cheapest


def _candidates(pool: RankedPool, load: Floats) -> Floats:
    """Sizes worth a look ``[M, K]``: what each decile of the load ``[M, D]`` needs and one less, what runs now, and the limits."""
    need = needed(load, pool.hope, pool.hoped, pool.guess)
    current, floor = pool.current[:, None], pool.floor[:, None]
    need = np.where(np.isfinite(need), need, current)
    options = np.concatenate([need, need - 1.0, current, floor, need[:, -1:] + 1.0], axis=1)
    clipped: Floats = np.clip(options, floor, pool.ceiling[:, None])
    return clipped


def _mean_cost(ranked: Ordered, rank: int, pool: RankedPool, candidates: Floats, load: Floats) -> Floats:
    """Mean cost per hour ``[M, K]`` of each candidate: itself, and the faster pools that fill the rest of the deciles ``[M, D]`` of
    the load.
    """
    fleet = ranked.situation.fleet
    own = carried(candidates, pool.hope, pool.hoped, pool.guess)
    cost, rest = _filled(ranked, rank, np.maximum(load[:, None, :] - own[:, :, None], 0.0))
    each = ranked.situation.each
    unit = np.where(fleet.exists & np.isfinite(each), fleet.cost_per_hour / np.maximum(each, 1e-9), 0.0)
    cost += UNMET_PRICE * unit.max(axis=1)[:, None, None] * rest
    result: Floats = fleet.cost_per_hour[pool.at][:, None] * candidates + cost.mean(-1)
    return result


def _change_cost(ranked: Ordered, pool: RankedPool, candidates: Floats, chosen: Floats, margin: Floats) -> Floats:
    """Cost per hour ``[M, K]`` of the starts that lead to each candidate, spread over what the load that needs it has lasted, with
    the ``margin`` ``[M, 1]`` that whoever carries it has. One less may have to be started again, and is as likely as not to be
    the cheaper choice for as long as it has been.
    """
    situation = ranked.situation
    fewer = carried(np.maximum(candidates - 1.0, 0.0), pool.hope, pool.hoped, pool.guess)
    lasted = lasted_seconds(situation.recent_loads, situation.fleet.tick_seconds, (chosen + fewer) / margin)
    more = candidates - pool.current[:, None]
    dearer = situation.dearer_seconds[pool.at][:, None]
    spread = np.where(more > 0, lasted, np.maximum(LARGEST_LASTING_SECONDS, dearer))
    start = situation.fleet.cost_per_hour[pool.at] * situation.startup_seconds[pool.at]
    result: Floats = start[:, None] / spread * np.abs(more)
    return result


def _filled(ranked: Ordered, rank: int, rest: Floats) -> tuple[Floats, Floats]:
    """Cost per hour of the pools faster than the one at ``rank``, the cheapest first, that fill a ``rest`` ``[M, K, D]`` of the
    load; and what they leave of it.
    """
    situation, rows, later = ranked.situation, np.arange(len(rest)), ranked.order[:, rank + 1 :]
    fleet = situation.fleet
    unit = np.take_along_axis(fleet.cost_per_hour / np.maximum(ranked.situation.each, 1e-9), later, 1)
    unit = np.where(np.take_along_axis(fleet.exists, later, 1), unit, np.inf)
    cheapest = np.take_along_axis(later, np.argsort(unit, axis=1, kind="stable"), 1)
    cost = np.zeros_like(rest)
    for position in range(later.shape[1]):
        at = rows, cheapest[:, position]
        law = Capacity(**{name: values[at][:, None, None] for name, values in vars(situation.capacity).items()})
        one, guess = situation.each[at][:, None, None], situation.assumed[at][:, None, None]
        # By how many it would be, not by how many are ready: a pool that is small now would share better.
        many = np.ceil(rest / np.maximum(one, 1e-9))
        carries = np.maximum(np.where(guess, one, law.per_replica(np.maximum(many, 1.0))), 1e-9)
        have = np.where(fleet.exists[at], ranked.most[at], 0)[:, None, None]
        least = ranked.situation.least[at][:, None, None]
        used = np.clip(np.ceil(rest / carries - 1e-6), least, np.maximum(have, least))
        cost += used * fleet.cost_per_hour[at][:, None, None]
        rest = np.maximum(rest - used * carries, 0.0)
    return cost, rest
