"""How much of the traffic each pool may answer, so that the mix keeps the accuracy budget."""

from __future__ import annotations

import numpy as np

from recmodel.core.fleet import Fleet, Floats


def allowed_shares(fleet: Fleet) -> Floats:
    """Largest share 0..1 of a model's traffic ``[M, P]`` for each pool's variant; 1 where no budget is set.

    A pool within the budget may answer everything. One over it may answer so much that the mean over the traffic is the budget
    when the best pool answers the rest: with losses of 0 and 4 % and a budget of 1 %, a quarter. A variant whose loss was never
    measured may answer nothing. Where no pool is within the budget, the least lossy ones serve all the same: answers that are a
    little worse beat none.
    """
    budget = fleet.accuracy_budget_ratio[:, None]
    loss = np.where(
        fleet.exists, np.where(np.isfinite(fleet.accuracy_loss_ratio), fleet.accuracy_loss_ratio, np.inf), np.inf
    )
    best = loss.min(1, keepdims=True)
    known = np.isfinite(best)
    inside = loss <= np.maximum(budget, np.where(known, best, np.inf)) + 1e-12
    room = budget - np.where(known, best, 0.0)
    over = np.where(np.isfinite(loss), loss, 1.0) - np.where(known, best, 0.0)
    part = np.where(np.isfinite(loss), np.clip(room / np.maximum(over, 1e-9), 0.0, 1.0), 0.0)
    result: Floats = np.where(~np.isfinite(budget) | ~known | inside, 1.0, part)
    return result


def within_budget(shares: Floats, allowed: Floats) -> Floats:
    """Shares (any non-negative numbers ``[M, P]``) cut to what is allowed, the rest given to the pools that may have more.

    Equal shares with 1 and 0.25 allowed become 75 and 25 %. Pools over the budget share their part. Where no pool that gets
    traffic may have more, the shares stay: requests are answered before the budget is kept.
    """
    total = shares.sum(1, keepdims=True)
    share = np.divide(shares, total, out=np.zeros_like(shares), where=total > 0)
    lossy = allowed < 1.0
    # Each lossy pool uses up its own part of the budget; together not more than the whole of it.
    used = np.where(lossy & (allowed > 0), share / np.maximum(allowed, 1e-9), 0.0).sum(1, keepdims=True)
    banned = lossy & (allowed <= 0)
    cut = np.where(banned, 0.0, np.where(lossy, share / np.maximum(used, 1.0), share))
    free = np.where(lossy, 0.0, share)
    free_total = free.sum(1, keepdims=True)
    left = 1.0 - np.where(lossy, cut, 0.0).sum(1, keepdims=True)
    spread = np.divide(free * left, free_total, out=np.zeros_like(shares), where=free_total > 0)
    result: Floats = np.where(free_total > 0, np.where(lossy, cut, spread), share) * total
    return result
