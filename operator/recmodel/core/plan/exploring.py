"""Which pools are kept at one replica, though the plan would do without, since nobody knows yet how much it carries.

A pool that was seen at small loads only is believed to carry little more than that, so the plan releases it, and nothing would ever
show that it carries ten times as much: a belief that confirms itself. One replica of it is kept, or ordered, and the weights fill
it step by step, until its limit was seen or its price is worth it. What that costs is bounded: it is done where the other pools
cost half as much again as the replica, so that it could replace what it costs, and for half an hour in all.
"""

from __future__ import annotations

import numpy as np

from recmodel.core.capacity.estimate import Capacity
from recmodel.core.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.plan.mix import Proposal

WORTH = 1.5  # times the price of a replica that others cost, so that the load could fill it
EXPLORING_SECONDS = 1800.0  # of one replica: at a fifth more load for each rate window and its age, 20 times the load


def could_fill(fleet: Fleet, cost_of_others: Floats) -> Bools:
    """Where a replica ``[M, P]`` could replace what costs more than it, ``cost_of_others`` ``[M, P]`` an hour."""
    result: Bools = (fleet.max_replicas > 0) & (cost_of_others >= WORTH * fleet.cost_per_hour)
    return result


def explored(
    fleet: Fleet, proposal: Proposal, capacity: Capacity, fewest_ready: Ints, ticks: Ints, allowed: Floats
) -> Bools:
    """Pools ``[M, P]`` that are not planned for, and get a replica to learn from; ``ticks`` ``[M, P]`` were spent on that.

    Not where it is known to be worth more for its price than any other pool: there the plan knows what it does without. What the
    others cost is what they cost all the time, ``fewest_ready`` ``[M, P]`` of the last quarter of an hour: no burst is worth it.
    """
    cost = np.minimum(proposal.replicas, fewest_ready) * fleet.cost_per_hour
    known = fleet.exists & ~proposal.assumed & (capacity.proven > 0)
    worth = np.where(known, capacity.proven / np.maximum(fleet.cost_per_hour, 1e-9), 0.0)
    unlimited = ~np.isfinite(capacity.ceiling) & capacity.learning(np.ones_like(cost))
    wanted = known & (proposal.replicas == 0) & unlimited & (worth < worth.max(1, keepdims=True)) & (allowed > 0)
    left = ticks * fleet.tick_seconds < EXPLORING_SECONDS
    result: Bools = wanted & left & could_fill(fleet, cost.sum(1, keepdims=True) - cost)
    return result
