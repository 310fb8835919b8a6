"""The pools of each model in the order in which a mix decides them, each with what it is known to carry and what it may turn out to.

Shapes: ``[M, P]`` pools, ``[M]`` one pool of every model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recmodel.core.arrays.fleet import Bools, Floats, Ints
from recmodel.core.capacity.estimate import Capacity, carried
from recmodel.core.plan.situation import Situation

HOPE = 4.0  # a pool whose limit is the trust region is kept if it would pay at up to this many times of it, until that was tried in vain
LIMITED_SECONDS = 1e9  # slower than any start-up


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


def ordered(situation: Situation) -> Ordered:
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
