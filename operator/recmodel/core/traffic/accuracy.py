"""How much of the traffic each pool may answer: the mix keeps the accuracy budget, and a pool on trial its limit."""

from __future__ import annotations

import numpy as np

from recmodel.core.arrays.fleet import Bools, Fleet, Floats
from recmodel.core.arrays.observed import Observed

KEPT_BACK = (
    0.1  # of the budget in calm times: it fills an empty bucket in ten hours, though lighter variants are the cheapest
)
LEAST_ROLLOUT_SHARE = 0.01  # that a pool on trial gets at least, within its limit: what gets nothing cannot be compared


def losses(fleet: Fleet) -> Floats:
    """Loss of each pool's variant ``[M, P]``; infinite where it was never measured."""
    known = fleet.exists & np.isfinite(fleet.accuracy_loss_ratio)
    result: Floats = np.where(known, fleet.accuracy_loss_ratio, np.inf)
    return result


def steady_budget(fleet: Fleet) -> Floats:
    """Mean loss over the traffic that is kept to ``[M]``: the owner's, or that of the best variant where even it loses more,
    since answers that are a little worse beat none. NaN where there is no budget, or nothing was measured.
    """
    best = losses(fleet).min(1, initial=np.inf)
    result: Floats = np.where(np.isfinite(best), np.maximum(fleet.accuracy_budget_ratio, best), np.nan)
    return result


def calm_budget(fleet: Fleet) -> Floats:
    """Mean loss ``[M]`` that plan and weights keep to in calm times: a part of the budget above the best is kept back."""
    budget, best = steady_budget(fleet), losses(fleet).min(1, initial=np.inf)
    result: Floats = budget - KEPT_BACK * (budget - np.where(np.isfinite(best), best, 0.0))
    return result


def allowed_shares(fleet: Fleet) -> Floats:
    """Largest share 0..1 of a model's traffic ``[M, P]`` that each pool may answer all the time.

    A pool within the budget may answer everything. One over it may answer so much that the mean over the traffic is the calm
    budget when the best pool answers the rest: with losses of 0 and 4 % and a budget of 1 %, 22.5 %. A variant whose loss was
    never measured may answer nothing. A pool on trial may answer no more than its traffic limit either.
    """
    loss, budget = losses(fleet), steady_budget(fleet)[:, None]
    best = loss.min(1, keepdims=True, initial=np.inf)
    known = np.isfinite(loss) & np.isfinite(best)
    room = calm_budget(fleet)[:, None] - np.where(np.isfinite(best), best, 0.0)
    over = np.where(known, loss, 1.0) - np.where(known, best, 0.0)
    part = np.where(known, np.clip(room / np.maximum(over, 1e-9), 0.0, 1.0), 0.0)
    free = ~np.isfinite(budget) | (loss <= budget + 1e-12)
    result: Floats = np.minimum(np.where(free, 1.0, part), fleet.traffic_limit_ratio)
    return result


def within_budget(shares: Floats, loss: Floats, steady: Floats, budget: Floats) -> Floats:
    """Shares (any non-negative numbers ``[M, P]``) whose mean loss is at most ``budget`` ``[M]`` (NaN: none).

    What the pools over the ``steady`` budget have is cut by one factor, and the rest given to those within it in proportion to what they
    have. Equal shares with losses of 0 and 4 % and a budget of 1 % become 75 and 25 %. Where no pool within the budget gets
    traffic, the shares stay: requests are answered before the budget is kept. The unmeasured get nothing if anyone else does.
    """
    limit = budget[:, None]
    measured = np.isfinite(loss)
    total = shares.sum(1, keepdims=True)
    kept = np.where(measured, shares, 0.0)
    kept_total = kept.sum(1, keepdims=True)
    kept = np.where(kept_total > 0, kept, shares)
    share = np.divide(kept, kept.sum(1, keepdims=True), out=np.zeros_like(shares), where=total > 0)
    lossy = measured & (loss > steady[:, None] + 1e-12)
    value = np.where(measured, loss, 0.0)
    part = np.where(lossy, share, 0.0).sum(1, keepdims=True)
    free = np.where(lossy, 0.0, share)
    free_total = free.sum(1, keepdims=True)
    mean = np.divide((free * value).sum(1, keepdims=True), free_total, out=np.zeros_like(part), where=free_total > 0)
    over = np.where(lossy, share * value, 0.0).sum(1, keepdims=True) - part * mean
    factor = np.clip(np.divide(limit - mean, over, out=np.ones_like(part), where=over > 0), 0.0, 1.0)
    more = np.divide(1.0 - factor * part, free_total, out=np.ones_like(part), where=free_total > 0)
    cut = np.where(lossy, share * factor, share * more)
    cut = np.where((free_total > 0) & (kept_total > 0), cut, share)
    result: Floats = np.where(np.isfinite(limit), cut * total, shares)
    return result


def within_limits(shares: Floats, limit: Floats) -> Floats:
    """Shares (any non-negative numbers ``[M, P]``) of which none is over its pool's ``limit`` 0..1 of all, the rest given to
    those that get traffic and have room. Where nobody has room the rest stays where it was: requests are answered first.
    """
    total = shares.sum(1, keepdims=True)
    share = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    asked = share
    for _ in range(shares.shape[1]):
        cut = np.minimum(share, limit)
        room = np.where((cut > 0) & (cut < limit), cut, 0.0)
        room_total = room.sum(1, keepdims=True)
        rest = 1.0 - cut.sum(1, keepdims=True)
        share = cut + np.divide(room * rest, room_total, out=np.zeros_like(cut), where=room_total > 0)
    left = np.where(total > 0, 1.0 - np.minimum(share, limit).sum(1, keepdims=True), 0.0)
    over = np.maximum(asked - limit, 0.0)
    over_total = over.sum(1, keepdims=True)
    back = np.divide(over * left, over_total, out=np.zeros_like(share), where=over_total > 0)
    result: Floats = (np.minimum(share, limit) + back) * total
    return result


def trial_limits(fleet: Fleet, seen: Observed, able: Floats, load: Floats) -> Floats:
    """The traffic limits ``[M, P]`` that hold now.

    A limit that was lowered is reached as fast as the other pools can carry the rest (``able`` requests/s each), and until then
    the pool has no more than it has. One of 0 holds at once: what was taken back answers nothing.
    """
    limit = fleet.traffic_limit_ratio
    weight = np.where(np.isfinite(seen.weight) & (seen.ready > 0), seen.weight, 0.0)
    total = weight.sum(1, keepdims=True)
    has = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    demand = np.where(np.isfinite(load) & (load > 0), load, np.inf)[:, None]
    others = able.sum(1, keepdims=True) - able
    must = np.where(np.isfinite(demand), np.maximum(1.0 - others / demand, 0.0), 0.0)
    held = np.maximum(limit, np.minimum(has, must))
    result: Floats = np.where((limit > 0) & (limit < 1), held, limit)
    return result


def with_trials(shares: Floats, fleet: Fleet, ready: Bools) -> Floats:
    """Shares ``[M, P]`` of which each pool on trial that is ready gets at least what a comparison needs."""
    total = shares.sum(1, keepdims=True)
    trial = (fleet.traffic_limit_ratio > 0) & (fleet.traffic_limit_ratio < 1) & ready
    least = np.where(trial, np.minimum(fleet.traffic_limit_ratio, LEAST_ROLLOUT_SHARE), 0.0) * total
    raised = np.maximum(shares, least)
    raised_total = raised.sum(1, keepdims=True)
    result: Floats = raised * np.divide(total, raised_total, out=np.ones_like(total), where=raised_total > 0)
    return result
