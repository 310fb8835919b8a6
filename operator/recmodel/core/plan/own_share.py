"""What each pool needs where whoever routes the requests is not told by us which pool answers them: the part that it gets now.

The cheapest mix would take replicas from a pool, counting on a weight that nobody takes away from it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from recmodel.core.plan.situation import Proposal, Situation, needed


def with_own_shares(situation: Situation, proposal: Proposal) -> Proposal:
    """The proposal, with what each pool's own share of the upper forecast needs for models of several pools that are not ``routed``.

    Of 300 and 100 requests/s and an upper forecast of 480 the pools are planned for 360 and 120. Where the shares are not known, a
    pool keeps what it has, unless less of it would carry all. One that runs keeps a replica, since requests may be sent to it; one that
    is known to be sent some, by a weight that is not ours to take away, gets one.
    """
    fleet, seen = situation.fleet, situation.seen
    mine = fleet.own_shares[:, None]
    if not mine.any():
        return proposal
    rate = np.where(fleet.exists & (seen.ready > 0), seen.rate_per_second, 0.0)
    total = rate.sum(1, keepdims=True)
    share = np.divide(rate, total, out=np.full_like(rate, np.nan), where=total > 0)
    part = np.where(np.isfinite(share), share, 1.0)
    need = needed(part * situation.forecast.upper, situation.capacity, situation.each, situation.assumed)
    counted = np.isfinite(need) & ~situation.assumed
    known = counted & np.isfinite(share)
    need = np.where(known, need, np.where(counted, np.minimum(need, seen.desired), seen.desired))
    least = np.maximum(situation.least, (seen.desired > 0) | (seen.weight > 0))
    most = np.maximum(situation.most, least)
    own = np.where(fleet.exists, np.clip(need, least, most), 0.0).astype(np.int64)
    cost = (own * fleet.cost_per_hour).sum(1)
    return replace(
        proposal,
        replicas=np.where(mine, own, proposal.replicas),
        feasible=np.where(mine[:, 0], (~known | (need <= most)).all(1), proposal.feasible),
        # To start one that was never tried would teach nothing, since no request follows it.
        assumed=proposal.assumed & ~(mine & (seen.desired == 0) & ~(seen.weight > 0)),
        runner_up=np.where(mine, own, proposal.runner_up),
        runner_up_cost=np.where(mine[:, 0], cost, proposal.runner_up_cost),
        cheapest=np.where(mine, own, proposal.cheapest),
    )
