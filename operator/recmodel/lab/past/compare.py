"""What ran against what the engine would have run: costs, minutes over and late requests, on the minutes of which all is known.

What ran is measured, not simulated. A minute that was late though the load does not explain it (a slow node, a restart) would have been
late under the engine as well, so it counts on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recmodel.core.arrays.fleet import Bools, Floats
from recmodel.core.types import Model
from recmodel.lab.past.replay import Ground, Outcome, measured_late
from recmodel.prometheus.past import Past


@dataclass(frozen=True)
class Range:
    """A value with the smallest and the largest that it may have been; of what was measured exactly they are one."""

    low: float
    middle: float
    high: float


@dataclass(frozen=True)
class Side:
    """What one of both came to on the known minutes."""

    cost: Range
    minutes_over: Range
    late_ratio: Range  # of the requests
    changes: int  # of the number of replicas, over all pools


@dataclass(frozen=True)
class Comparison:
    """Both sides by the same minutes. ``unexplained``: minutes over that the load does not explain; they are in both."""

    ran: Side
    engine: Side
    minutes: int  # known ...
    all_minutes: int  # ... of so many
    unexplained: int
    allowed_ratio: float  # of the requests that may be late

    @property
    def saving(self) -> Range:
        """Of what ran: 0.28 is 28 % cheaper, and below 0 is dearer."""
        cost, ran = self.engine.cost, max(self.ran.cost.middle, 1e-9)
        return Range(1.0 - cost.high / ran, 1.0 - cost.middle / ran, 1.0 - cost.low / ran)


@dataclass(frozen=True)
class Measured:
    """What ran, by the minute; unknown minutes are not in ``known``, whatever the other arrays hold there."""

    known: Bools
    requests: Floats
    late_low: Floats  # requests: certain ...
    late_high: Floats  # ... and possible
    cost: Floats
    over_low: Bools
    over_high: Bools


def measured(past: Past, model: Model) -> Measured:
    """Of all pools together."""
    load = np.array([pool.per_second for pool in past.pools]) * past.step_seconds
    low, high = (np.array([getattr(pool, name) for pool in past.pools]) for name in ("late_low", "late_high"))
    running = np.array([pool.running for pool in past.pools])
    idle = load == 0.0
    known = np.isfinite(load).all(0) & np.isfinite(running).all(0) & (np.isfinite(high) | idle).all(0)
    requests = np.nansum(load, axis=0)
    late_low, late_high = (np.nansum(np.where(idle, 0.0, share) * load, axis=0) for share in (low, high))
    allowed = (1.0 - model.within_ratio) * requests + 1e-9
    prices = np.array([pool.cost_per_hour for pool in model.pools])
    cost = prices @ np.nan_to_num(running) * past.step_seconds / 3600.0
    return Measured(known, requests, late_low, late_high, cost, late_low > allowed, late_high > allowed)


def unexplained(ground: Ground, ran: Measured) -> Bools:
    """Minutes over the objective in which the load alone would have kept it."""
    result: Bools = ran.known & ran.over_low & (measured_late(ground) <= 1.0 - ground.model.within_ratio)
    return result


def compare(ground: Ground, outcomes: Sequence[Outcome]) -> Comparison:
    """Both sides; the first of ``outcomes`` is the middle one. ``ValueError`` where no minute is known."""
    ran = measured(ground.past, ground.model)
    known = ran.known
    if not known.any():
        raise ValueError("of no minute are load, replicas and late requests known together: take another range")
    always = unexplained(ground, ran)
    prices = np.array([pool.cost_per_hour for pool in ground.model.pools])
    requests = max(float(ran.requests[known].sum()), 1e-9)
    costs, overs, lates = [], [], []
    for outcome in outcomes:
        share = outcome.late / np.maximum(outcome.requests, 1e-9)
        share = np.where(always, np.maximum(share, ran.late_low / np.maximum(ran.requests, 1e-9)), share)
        over = (share > 1.0 - ground.model.within_ratio + 1e-12) & known
        costs.append(float((outcome.replicas[known] @ prices).sum()) * ground.past.step_seconds / 3600.0)
        overs.append(float(over.sum()))
        lates.append(float((share * ran.requests)[known].sum()) / requests)
    cost = float(ran.cost[known].sum())
    certain, possible = (float((over & known).sum()) for over in (ran.over_low, ran.over_high))
    late_low, late_high = (float(late[known].sum()) / requests for late in (ran.late_low, ran.late_high))
    running = np.array([pool.running for pool in ground.past.pools]).T
    return Comparison(
        Side(
            Range(cost, cost, cost),
            Range(certain, certain, possible),
            Range(late_low, late_low, late_high),
            _changes(running, known),
        ),
        Side(_range(costs), _range(overs), _range(lates), _changes(outcomes[0].replicas, known)),
        int(known.sum()),
        len(known),
        int(always.sum()),
        1.0 - ground.model.within_ratio,
    )


def _range(values: Sequence[float]) -> Range:
    return Range(min(values), values[0], max(values))


def _changes(replicas: Floats, known: Bools) -> int:
    """Minutes in which the replicas of a pool changed."""
    steps = np.round(replicas[1:]) != np.round(replicas[:-1])
    return int((steps & (known[1:] & known[:-1])[:, None]).sum())
