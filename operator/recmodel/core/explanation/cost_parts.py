"""What each model costs in an hour, split by what it is for: the parts add up to the price of the decided replicas.

The chain goes from the load to the decision, and each part is the difference of two of its links:

====================  =================================================================================================
link                  price per hour of
====================  =================================================================================================
present load          fractions of replicas, the cheapest mix within the owner's limits, at the capacity that is believed
upper forecast        the same for the load that is planned for
capacity counted on   the same at the capacity that the plan counts on
minimum, trials       the same with the owner's minimum, and with a replica of what is on trial
whole replicas        the cheapest whole replicas that carry the same
plan                  the proposal, which knows what starts and stops cost, what has nodes and what is ready
each guard            what it let pass
====================  =================================================================================================

So the sum is exact, whatever a link is worth. A guard that undoes what another did takes from its part: each replica between plan and
decision belongs to the last guard that put it there, or took it away. Where load or capacity is unknown, the plan's price is one
part.

Shapes: ``[M]`` models, ``[M, P]`` pools, ``G`` guards.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.plan.guard_context import GuardContext
from recmodel.core.plan.guards import Guarded

# What a part is for: values of the API, in the order of the chain.
LOAD, HEAD_ROOM, CAPACITY_DOUBT, MINIMUM, TRIAL, ROUNDING, MIX = PLANNED = (
    "Load",
    "HeadRoom",
    "CapacityDoubt",
    "Minimum",
    "Trial",
    "Rounding",
    "Mix",
)
GUARD = "Guard"
UNKNOWN = "Unknown"
PARTS = (*PLANNED, UNKNOWN, GUARD)


@dataclass(frozen=True)
class CostParts:
    """The split of every model's cost per hour."""

    planned: Floats  # [M, 7] of each of ``PLANNED``; NaN where load or capacity is unknown
    plan: Floats  # [M] of the proposal, which these add up to
    moved: Ints  # [G, M, P] replicas that each guard added to the proposal or took from it
    believed: Floats  # [M, P] requests/s a replica by which the load is priced ...
    counted: Floats  # [M, P] ... and that the plan counts on


def split(context: GuardContext, guarded: Guarded) -> CostParts:
    """The parts of every model's cost. The upper forecast is that of the pool which fills what the others leave.

    One pool at 1.0 an hour that carries 30/s a replica, of which 25 are counted on, a load of 60 and an upper forecast of 80: 2.00
    load, 0.67 head-room, 0.53 doubt, 0.80 whole replicas, for a plan of 4.
    """
    fleet, capacity, proposal, load = context.fleet, context.capacity, context.proposal, context.load
    upper = context.upper[np.arange(len(load)), proposal.last]
    replicas = np.maximum(proposal.replicas, 1)
    certain, middle = (capacity.per_replica(replicas, cautious=cautious) for cautious in (True, False))
    counted = _worth_the_price(fleet, certain, proposal.assumed)
    believed = _worth_the_price(fleet, np.fmax(middle, certain), proposal.assumed)
    fillable = fleet.exists & (fleet.max_replicas > 0) & (np.nan_to_num(counted) > 0)
    plan = (proposal.replicas * fleet.cost_per_hour).sum(1)
    known = np.isfinite(load) & np.isfinite(upper) & fillable.any(1)
    untried = proposal.assumed
    now, later = (_Need(fleet, fillable, untried, context.allowed, told, known) for told in (load, upper))
    nothing, least = np.zeros_like(proposal.replicas), context.least
    fractions = later.fractions(counted, least)
    links = np.stack(
        [
            np.zeros_like(plan),
            now.cost(now.fractions(believed, nothing)),
            later.cost(later.fractions(believed, nothing)),
            later.cost(later.fractions(counted, nothing)),
            later.cost(later.fractions(counted, np.where(fleet.exists, fleet.min_replicas, 0))),
            later.cost(fractions),
            later.cheapest_whole(counted, fractions, least, proposal.replicas),
            plan,
        ],
        axis=1,
    )
    return CostParts(
        planned=np.where(known[:, None], np.diff(links, axis=1), np.nan),
        plan=plan,
        moved=_moved(proposal.replicas, guarded.steps),
        believed=believed,
        counted=counted,
    )


def _worth_the_price(fleet: Fleet, each: Floats, assumed: Bools) -> Floats:
    """Requests/s a replica ``[M, P]``, where a pool that was never tried is as good as the cheapest known one, as it is for the plan."""
    price = np.maximum(fleet.cost_per_hour, 1e-9)
    known = fleet.exists & ~assumed & np.isfinite(each)
    best = np.where(known, each / price, -np.inf).max(1, keepdims=True)
    return np.where(assumed, np.where(np.isfinite(best), best * price, np.nan), each)


@dataclass(frozen=True)
class _Need:
    """A load, and the pools that may carry it."""

    fleet: Fleet
    fillable: Bools  # [M, P]
    untried: Bools  # [M, P] where another pool costs as much for a request, it is filled first
    allowed: Floats  # [M, P]
    load: Floats  # [M] requests/s
    known: Bools  # [M] else nothing is needed

    def cost(self, replicas: Floats | Ints) -> Floats:
        """Price per hour ``[M]`` of replicas ``[M, P]``."""
        result: Floats = (replicas * self.fleet.cost_per_hour).sum(1)
        return result

    def carries(self, replicas: Floats | Ints, each: Floats) -> Floats:
        """Requests/s ``[M, P]`` of the load that replicas carry, at ``each`` requests/s a replica."""
        able = replicas * np.nan_to_num(each)
        result: Floats = np.where(self.allowed < 1.0, np.minimum(able, self.allowed * self._needed[:, None]), able)
        return result

    @property
    def _needed(self) -> Floats:
        return np.where(self.known, self.load, 0.0)

    def fractions(self, each: Floats, least: Ints) -> Floats:
        """Replicas ``[M, P]``, not whole, that carry the load at the lowest price, each pool at ``least``: those of the cheapest request
        first. Where the limits are too tight, all that they allow.
        """
        fleet, rows = self.fleet, np.arange(len(self.load))
        replicas = least.astype(float)
        carried = self.carries(replicas, each)
        rest = self._needed - carried.sum(1)
        unit = np.where(self.fillable, fleet.cost_per_hour / np.where(self.fillable, each, 1.0), np.inf)
        for k in np.argsort(unit * (1.0 + 1e-9 * self.untried), axis=1, kind="stable").T:
            at = rows, k
            room = np.where(self.fillable[at], np.maximum(fleet.max_replicas, least)[at] * each[at], 0.0)
            share = np.where(self.allowed[at] < 1.0, self.allowed[at] * self._needed, np.inf)
            more = np.clip(rest, 0.0, np.maximum(np.minimum(room, share) - carried[at], 0.0))
            replicas[at] += np.where(more > 0, more / np.where(self.fillable[at], each[at], 1.0), 0.0)
            rest = rest - more
        return replicas

    def cheapest_whole(self, each: Floats, fractions: Floats, least: Ints, proposed: Ints) -> Floats:
        """Price per hour ``[M]`` of whole replicas that carry what the ``fractions`` do: those rounded up, or rounded down and filled
        up from one pool, or the proposal, whichever is cheapest.
        """
        fleet = self.fleet
        best = self.cost(np.ceil(fractions - 1e-6))
        down = np.maximum(np.floor(fractions + 1e-6), least)
        rest = np.maximum((1.0 - 1e-6) * self._needed - self.carries(down, each).sum(1), 0.0)
        for k in range(fractions.shape[1]):
            able = self.fillable[:, k] & (self.allowed[:, k] >= 1.0)
            more = np.ceil(rest / np.where(able, each[:, k], 1.0))
            able &= down[:, k] + more <= fleet.max_replicas[:, k]
            filled = self.cost(down) + more * fleet.cost_per_hour[:, k]
            best = np.where(able, np.minimum(best, filled), best)
        enough = self.carries(proposed, each).sum(1) >= (1.0 - 1e-6) * self._needed
        enough &= (proposed >= least).all(1)
        return np.where(enough, np.minimum(best, self.cost(proposed)), best)


def _moved(proposed: Ints, steps: Ints) -> Ints:
    """Replicas ``[G, M, P]`` of each guard, of those between ``proposed`` ``[M, P]`` and the last of the ``steps`` ``[G, M, P]``.

    From 5, three guards give 8, 6 and 7: 1 is the first one's, since the second took the others back, and 1 the third one's.
    """
    levels = np.concatenate([proposed[None], steps])
    low, high = np.minimum(proposed, levels[-1]), np.maximum(proposed, levels[-1])
    stays_above = np.minimum.accumulate(levels[::-1])[::-1]
    stays_below = np.maximum.accumulate(levels[::-1])[::-1]
    reached = np.clip(np.where(levels[-1] >= proposed, stays_above, stays_below), low, high)
    result: Ints = np.diff(reached, axis=0)
    return result
