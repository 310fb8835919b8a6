"""The cheapest mix of replicas that keeps the objective at every pool's own horizon.

Pools are taken from the slowest to the fastest to start. A slow pool decides for a time in which the faster ones can still
react, so it is a newsvendor with recourse: its size is the one with the smallest mean cost over the deciles of the load, the
faster pools filling what is left (two-stage stochastic programming; Birge and Louveaux, 2011, section 1.1). The fastest pool has
nobody behind it: with what the slow pools have *ready*, it carries the upper quantile of the load. Of pools that start within a tick
of each other the one with the cheapest replica is last: it fills what is left in its small steps.

What a pool may turn out to carry (its belief) decides whether it is worth having; what it is known to carry (its trust region)
decides what it is counted for: so a cheaper pool is tried until it is known not to be cheaper, and nobody waits for it. Hope ends
at a load that was tried for long and not found to be good. A new version, or a larger load that is good, brings it back.

Shapes: ``[M, P]`` pools, ``[M]`` one pool of every model, ``K`` candidate sizes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recmodel.core.arrays.fleet import Bools, Floats, Ints
from recmodel.core.capacity.estimate import Capacity, carried
from recmodel.core.plan.lasting import LARGEST_LASTING_SECONDS, lasted_seconds
from recmodel.core.plan.own_share import with_own_shares
from recmodel.core.plan.situation import Proposal, Situation, needed

HOPE = 4.0  # a pool whose limit is the trust region is kept if it would pay at up to this many times of it, until that was tried in vain
LIMITED_SECONDS = 1e9  # slower than any start-up
UNMET_PRICE = 50.0  # of a replica-hour of the dearest pool: a request out of the objective costs more than any replica


def propose(situation: Situation) -> Proposal:
    """The cheapest mix. A model of which no pool's capacity is known keeps what it has, and what may answer nothing is not tried."""
    proposal = with_own_shares(situation, _cheapest(situation))
    return replace(
        proposal,
        replicas=np.where(np.isfinite(proposal.per_replica), proposal.replicas, situation.seen.desired),
        assumed=proposal.assumed & (situation.allowed > 0),
    )


@dataclass(frozen=True)
class Ordered:
    """The pools of each model in the order in which they are decided, the slowest to start first."""

    situation: Situation
    most: Ints  # [M, P] replicas, no more than the pool's share of the load fills
    share_limit: Floats  # [M, P] requests/s that the pool may answer; inf: all
    order: Ints  # [M, P] pools

    def at(self, rank: int) -> RankedPool:
        """The pool at ``rank`` of every model."""
        situation = self.situation
        fleet, seen, capacity = situation.fleet, situation.seen, situation.capacity
        at = np.arange(len(self.order)), self.order[:, rank]
        law = Capacity(**{name: values[at][:, None] for name, values in vars(capacity).items()})
        one, guess = situation.each[at][:, None], situation.assumed[at][:, None]
        end = np.minimum(np.maximum(law.tried_in_vain, law.limit), law.ceiling)
        hope = replace(law, limit=np.minimum(law.limit * HOPE, end), caution=np.ones_like(law.caution))
        floor = situation.least[at]
        most = np.where(fleet.exists[at], self.most[at], 0)
        ceiling = np.maximum(most, floor)
        return RankedPool(
            at=at,
            law=law,
            one=one,
            guess=guess,
            hope=hope,
            hoped=np.where(guess, one, hope.per_replica(np.maximum(seen.ready[at], 1)[:, None])),
            floor=floor,
            most=most,
            ceiling=ceiling,
            current=np.clip(seen.desired[at], floor, ceiling),
            usable=self.share_limit[at][:, None],
        )


@dataclass(frozen=True)
class RankedPool:
    """One pool of every model."""

    at: tuple[Ints, Ints]  # where it stands in arrays [M, P]
    law: Capacity  # [M, 1] what a replica is known to carry ...
    one: Floats  # [M, 1] ... by it with the replicas that are ready
    guess: Bools  # [M, 1]
    hope: Capacity  # [M, 1] what a replica may turn out to carry ...
    hoped: Floats  # [M, 1] ... by it
    floor: Ints  # [M]
    most: Ints  # [M] replicas that it can have now ...
    ceiling: Ints  # [M] ... and at least the floor
    current: Ints  # [M]
    usable: Floats  # [M, 1] requests/s that it may answer

    def carries(self, replicas: Floats) -> Floats:
        """Requests/s ``[M, 1]`` that ``replicas`` ``[M]`` are known to carry, of those that the pool may answer."""
        return np.minimum(carried(replicas[:, None], self.law, self.one, self.guess), self.usable)

    def may_carry(self, replicas: Floats) -> Floats:
        """The same, as it may turn out."""
        return np.minimum(carried(replicas[:, None], self.hope, self.hoped, self.guess), self.usable)


def _ordered(situation: Situation) -> Ordered:
    fleet, most, upper, allowed = situation.fleet, situation.most, situation.forecast.upper, situation.allowed
    # A pool over the accuracy budget is worth no more replicas than its share of the load fills.
    share_limit = np.where(allowed < 1.0, allowed * upper, np.inf)
    fills = np.where(np.isfinite(share_limit), np.ceil(share_limit / np.maximum(situation.each, 1e-9)), most)
    # The last pool fills what the others leave, so it must be free to: one with a limited share counts among the slow ones.
    startup = np.where(situation.slower, situation.startup_seconds, 0.0)
    speed = np.where(fleet.exists & ~fleet.leaving, np.where(share_limit < np.inf, LIMITED_SECONDS, startup), np.inf)
    return Ordered(
        situation=situation,
        most=np.minimum(most, np.where(np.isfinite(fills), fills, most)).astype(np.int64),
        share_limit=share_limit,
        # Padding and what leaves first, then the slowest; of those that start alike the dearest.
        order=np.lexsort((fleet.name_rank, -fleet.cost_per_hour, -speed), axis=1),
    )


def _cheapest(situation: Situation) -> Proposal:
    """The cheapest mix, pool by pool, from the slowest to the fastest."""
    fleet, ordered = situation.fleet, _ordered(situation)
    models, pools = fleet.exists.shape
    replicas, alternative, free = (np.zeros((models, pools), np.int64) for _ in range(3))
    chosen_capacity = np.zeros((models, 1))  # of the pools decided so far
    ready_capacity = np.zeros((models, 1))
    other_capacity = np.zeros((models, 1))  # of the next best mix, all of it ready
    feasible = np.ones(models, bool)
    for rank in range(pools):
        pool = ordered.at(rank)
        if rank == pools - 1:
            upper = situation.forecast.upper[pool.at][:, None]
            best, feasible = _last(pool, upper - ready_capacity)
            second, _ = _last(pool, upper - other_capacity)
            cheapest = best
        else:
            best, second, cheapest = _with_recourse(ordered, rank, pool, chosen_capacity)
        best = np.where(np.isfinite(best), best, pool.current)
        replicas[pool.at] = best.astype(np.int64)
        free[pool.at] = np.where(np.isfinite(cheapest), cheapest, pool.current).astype(np.int64)
        alternative[pool.at] = np.where(np.isfinite(second), second, pool.current).astype(np.int64)
        chosen_capacity = chosen_capacity + pool.may_carry(best)
        other_capacity = other_capacity + pool.carries(second)
        soon = np.minimum(np.maximum(best, situation.held[pool.at]), situation.seen.warm[pool.at])
        ready_capacity = ready_capacity + pool.carries(soon)
    return Proposal(
        replicas=replicas,
        feasible=feasible,
        assumed=situation.assumed,
        per_replica=situation.each,
        runner_up=alternative,
        runner_up_cost=(alternative * fleet.cost_per_hour).sum(1),
        cheapest=free,
        last=ordered.order[:, -1],
    )


def _last(pool: RankedPool, load: Floats) -> tuple[Floats, Bools]:
    """Replicas ``[M]`` of the fastest pool, which has nobody behind it, for ``load`` ``[M, 1]``; and whether they are within its
    limits.
    """
    wanted = needed(load, pool.law, pool.one, pool.guess)[:, 0]
    return np.clip(wanted, pool.floor, pool.ceiling), (wanted <= pool.most) | ~np.isfinite(wanted)


def _with_recourse(ordered: Ordered, rank: int, pool: RankedPool, chosen: Floats) -> tuple[Floats, Floats, Floats]:
    """Replicas ``[M]`` of a pool that faster ones stand behind: the size with the smallest mean cost over the deciles of the load,
    the next best, and the cheapest if changes cost nothing. ``chosen`` ``[M, 1]`` is what the pools before it may carry.
    """
    forecast, rows = ordered.situation.forecast, pool.at[0]
    deciles = forecast.deciles
    fastest = ordered.order[:, -1]
    middle = forecast.middle[rows, fastest]
    margin = np.where(middle > 0, forecast.upper[rows, fastest] / np.where(middle > 0, middle, 1.0), 1.0)[:, None]
    # What is left to the faster pools they will carry with a margin of their own.
    rest = deciles[pool.at] * margin - chosen
    candidates = _candidates(pool, rest)
    running = _mean_cost(ordered, rank, pool, candidates, rest)
    cheapest = candidates[rows, np.argsort(running, axis=1, kind="stable")[:, 0]]
    cost = running + _change_cost(ordered, pool, candidates, chosen, margin)
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


def _mean_cost(ordered: Ordered, rank: int, pool: RankedPool, candidates: Floats, load: Floats) -> Floats:
    """Mean cost per hour ``[M, K]`` of each candidate: itself, and the faster pools that fill the rest of the deciles ``[M, D]`` of
    the load.
    """
    fleet = ordered.situation.fleet
    own = carried(candidates, pool.hope, pool.hoped, pool.guess)
    cost, rest = _filled(ordered, rank, np.maximum(load[:, None, :] - own[:, :, None], 0.0))
    each = ordered.situation.each
    unit = np.where(fleet.exists & np.isfinite(each), fleet.cost_per_hour / np.maximum(each, 1e-9), 0.0)
    cost += UNMET_PRICE * unit.max(axis=1)[:, None, None] * rest
    result: Floats = fleet.cost_per_hour[pool.at][:, None] * candidates + cost.mean(-1)
    return result


def _change_cost(ordered: Ordered, pool: RankedPool, candidates: Floats, chosen: Floats, margin: Floats) -> Floats:
    """Cost per hour ``[M, K]`` of the starts that lead to each candidate, spread over what the load that needs it has lasted, with
    the ``margin`` ``[M, 1]`` that whoever carries it has. One less may have to be started again, and is as likely as not to be
    the cheaper choice for as long as it has been.
    """
    situation = ordered.situation
    fewer = carried(np.maximum(candidates - 1.0, 0.0), pool.hope, pool.hoped, pool.guess)
    lasted = lasted_seconds(situation.recent_loads, situation.fleet.tick_seconds, (chosen + fewer) / margin)
    more = candidates - pool.current[:, None]
    dearer = situation.dearer_seconds[pool.at][:, None]
    spread = np.where(more > 0, lasted, np.maximum(LARGEST_LASTING_SECONDS, dearer))
    start = situation.fleet.cost_per_hour[pool.at] * situation.startup_seconds[pool.at]
    result: Floats = start[:, None] / spread * np.abs(more)
    return result


def _filled(ordered: Ordered, rank: int, rest: Floats) -> tuple[Floats, Floats]:
    """Cost per hour of the pools faster than the one at ``rank``, the cheapest first, that fill a ``rest`` ``[M, K, D]`` of the
    load; and what they leave of it.
    """
    situation, rows, later = ordered.situation, np.arange(len(rest)), ordered.order[:, rank + 1 :]
    fleet = situation.fleet
    unit = np.take_along_axis(fleet.cost_per_hour / np.maximum(ordered.situation.each, 1e-9), later, 1)
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
        have = np.where(fleet.exists[at], ordered.most[at], 0)[:, None, None]
        least = ordered.situation.least[at][:, None, None]
        used = np.clip(np.ceil(rest / carries - 1e-6), least, np.maximum(have, least))
        cost += used * fleet.cost_per_hour[at][:, None, None]
        rest = np.maximum(rest - used * carries, 0.0)
    return cost, rest
