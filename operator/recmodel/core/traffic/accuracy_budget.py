"""The accuracy budget over time: lighter variants take over at once when what is ready does not carry the load.

The budget B bounds the mean loss over the traffic. What is not used of it in calm times is kept in a token bucket, in units of
loss times requests:

    tokens <- min(tokens + (B * load - sum loss_k * rate_k) * tick, B * mean load * 3600 s)

so over any time the traffic loses at most B times its requests and an hour's worth. In calm times the shares keep to nine tenths
of B. When the ready pools cannot carry the load at that, the budget opens: every ready pool whose variant was measured gets
traffic in proportion to what it may carry, as long as the tokens last another minute. That is a matter of weights, thus of
seconds, not of a pod's start. The plan's sizes rest on the calm budget, so replicas follow, and the full model comes back.

Worked number: 400 requests/s on a budget of 1 % fill the bucket with 14,400 in an hour. A spike of 900 requests/s of which 60 % go
to a variant that loses 4 % spends 21.6 a second and earns 9: enough for 19 minutes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed
from recmodel.core.traffic.accuracy import calm_budget, losses, steady_budget

BUCKET_SECONDS = 3600.0  # of the steady budget at the mean load
LASTS_SECONDS = 60.0  # that the tokens must last: the rates are as old as their window, and nothing is spent twice
HOLD_SECONDS = 180.0  # that the budget stays open after it was last needed: two to three rate windows
CLOSE_RATIO = 0.9  # of what the steady shares carry, under which the load must be
LEAST_SPARE = 1.001  # times what is carried anyway: less than a thousandth more is none to open the budget for
NOISE = 3.0  # standard deviations of the newest tick's arrivals before they are believed to have jumped


@dataclass(frozen=True)
class AccuracyBudgetMemory:
    """What is left of every model's accuracy budget ``[M]``."""

    tokens: Floats = field(metadata=axes("M"))  # loss times requests; below 0 where more was spent
    mean_load: Floats = field(metadata=axes("M"))  # requests/s over about an hour; NaN before the first
    known_ticks: Ints = field(metadata=axes("M"))  # that the load was known, up to an hour's
    saved_per_second: Floats = field(metadata=axes("M"))  # tokens, in the newest tick that was seen
    load_before: Floats = field(metadata=axes("M"))  # requests/s a tick ago; NaN unknown
    begins_with: Floats = field(metadata=axes("M"))  # share of the bucket that is full before the first hour
    open_ticks: Ints = field(metadata=axes("M"))  # that the budget stays open yet; 0: closed


@dataclass(frozen=True)
class AccuracyBudget:
    """The budget of one tick ``[M]``."""

    budget: Floats  # mean loss that the weights may come to now; NaN: no budget
    steady: Floats  # the owner's budget
    open: Bools
    short: Bools  # requests are late, and the ready pools are not sure to carry the load: hope decides the shares within the budget
    left_ratio: Floats  # of the bucket; NaN: no budget or no load yet
    carried: Floats  # requests/s that the ready pools carry within the calm budget
    demand: Floats  # requests/s that there are now, a jump in the newest tick believed

    def sentence(self, i: int, shares: list[str], known: bool) -> str:
        """Why lighter variants answer more of model ``i``: ``shares`` in words, and whether its load is ``known``."""
        said = ", ".join(shares) or "no pool answers more than in calm times yet"
        if known:
            said += (
                f": in calm times the ready replicas are known to carry {self.carried[i]:.0f}/s within the accuracy budget, and "
                f"{self.demand[i]:.0f}/s are asked for"
            )
        else:
            said += ": the load is unknown, and was more than the accuracy budget carries in calm times"
        left = self.left_ratio[i]
        return said + (f"; {left:.0%} of an hour's budget is left" if np.isfinite(left) else "")


def empty(models: int) -> AccuracyBudgetMemory:
    """Nothing was saved and nothing spent."""
    unknown = np.full(models, np.nan)
    return AccuracyBudgetMemory(
        tokens=np.zeros(models),
        mean_load=unknown,
        known_ticks=np.zeros(models, np.int64),
        saved_per_second=np.zeros(models),
        load_before=unknown.copy(),
        begins_with=np.zeros(models),
        open_ticks=np.zeros(models, np.int64),
    )


def carried_within(able: Floats, loss: Floats, budget: Floats) -> Floats:
    """Most requests/s ``[M]`` that pools which carry ``able`` ``[M, P]`` answer at a mean loss of ``budget`` ``[M]``.

    Those within the budget are used to the full; what they leave of it goes to the others, the least lossy first. With 300
    requests/s at no loss and 500 at 4 %, a budget of 1 % lets 400 be carried. NaN budget: all.
    """
    limit = budget[:, None]
    over = loss - limit
    free = over <= 1e-12
    total = np.where(free, able, 0.0).sum(1)
    room = (able * np.where(free, -over, 0.0)).sum(1)
    order = np.argsort(np.where(free, 0.0, over), axis=1, kind="stable")
    rows = np.arange(len(able))
    for rank in range(able.shape[1]):
        index = order[:, rank]
        each, most = over[rows, index], able[rows, index]
        lossy = ~free[rows, index] & np.isfinite(each)
        more = np.where(lossy, np.minimum(most, room / np.where(lossy, np.maximum(each, 1e-12), 1.0)), 0.0)
        total, room = total + more, room - more * np.where(lossy, each, 0.0)
    result: Floats = np.where(np.isfinite(budget), total, able.sum(1))
    return result


def advance(
    memory: AccuracyBudgetMemory, fleet: Fleet, seen: Observed, load: Floats, sure: Floats, hoped: Floats
) -> tuple[AccuracyBudgetMemory, AccuracyBudget]:
    """One tick: what was spent, what is left, and whether the budget is open.

    ``sure`` and ``hoped`` ``[M, P]`` requests/s that the ready replicas are known to carry, and may turn out to. A load beyond what
    is sure opens it.
    """
    loss, steady, calm_loss, tick = losses(fleet), steady_budget(fleet), calm_budget(fleet), fleet.tick_seconds
    memory = _accounted(memory, seen, load, loss, steady, tick)
    limit = np.where(fleet.traffic_limit_ratio < 1.0, fleet.traffic_limit_ratio * np.fmax(load, 0.0)[:, None], np.inf)
    carried = carried_within(np.minimum(sure, limit), loss, calm_loss)
    spare = np.where(np.isfinite(loss), np.minimum(hoped, limit), 0.0).sum(1) > carried * LEAST_SPARE
    demand = np.fmax(load, _newest(memory, load, fleet))
    rate = np.where(np.isfinite(seen.rate_per_second), seen.rate_per_second, 0.0)
    late = (rate * np.fmax(seen.late_lower_ratio, 0.0)).sum(1) > fleet.late_budget_ratio * rate.sum(1)
    needed = np.isfinite(steady) & spare & ((demand > carried) | late) & np.isfinite(load)
    calm = (demand <= CLOSE_RATIO * carried) & ~late
    hold = round(HOLD_SECONDS / tick)
    ticks = np.where(needed, hold, np.where(calm, np.maximum(memory.open_ticks - 1, 0), memory.open_ticks))
    ticks = np.where(spare | ~np.isfinite(load), ticks, 0)
    drain = np.where(np.isfinite(demand), demand, memory.mean_load) * LASTS_SECONDS  # tokens at a loss of 1
    lasting = np.divide(np.maximum(memory.tokens, 0.0), drain, out=np.zeros_like(load), where=drain > 0)
    opened = (ticks > 0) & (lasting > 0)
    bucket = steady * memory.mean_load * BUCKET_SECONDS
    left = np.divide(np.maximum(memory.tokens, 0.0), bucket, out=np.full_like(load, np.nan), where=bucket > 0)
    return (
        replace(memory, open_ticks=ticks.astype(np.int64), load_before=load),
        AccuracyBudget(
            budget=np.where(opened, steady + lasting, calm_loss),
            steady=steady,
            open=opened,
            short=late & (demand > carried),
            left_ratio=np.minimum(left, 1.0),
            carried=carried,
            demand=demand,
        ),
    )


def _accounted(
    memory: AccuracyBudgetMemory, seen: Observed, load: Floats, loss: Floats, steady: Floats, tick: float
) -> AccuracyBudgetMemory:
    """The bucket after what the newest tick saved or spent. While the load is unknown nothing is saved, and as much is spent as
    before.
    """
    known = np.isfinite(load) & np.isfinite(steady)
    before = np.where(np.isfinite(memory.mean_load), memory.mean_load, 0.0)
    ticks = np.minimum(memory.known_ticks + known, round(BUCKET_SECONDS / tick))
    # In the first hour it is the mean of all that was seen: the first reading after a start may be that of a moment.
    mean = np.where(known, before + (np.where(known, load, 0.0) - before) / np.maximum(ticks, 1), memory.mean_load)
    bucket = np.fmax(steady * mean, 0.0) * BUCKET_SECONDS
    # What was left before a restart is a share of the bucket, so it becomes more or less with it while the mean is being learned.
    young = known & (memory.known_ticks < round(BUCKET_SECONDS / tick))
    grown = bucket - np.fmax(steady * before, 0.0) * BUCKET_SECONDS
    tokens = memory.tokens + np.where(young, memory.begins_with * grown, 0.0)
    first = known & (memory.known_ticks == 0)
    rate = np.where(np.isfinite(seen.rate_per_second), seen.rate_per_second, 0.0)
    within = np.where(np.isfinite(steady), steady, 0.0)
    # What was never measured counts as the budget: it neither saves nor spends.
    each = np.where(np.isfinite(loss), loss, within[:, None])
    saved = np.where(known, (rate * (within[:, None] - each)).sum(1), np.minimum(memory.saved_per_second, 0.0))
    tokens = np.clip(tokens + np.where(first, 0.0, saved * tick), -bucket, bucket)
    return replace(
        memory,
        tokens=np.where(np.isfinite(steady), tokens, 0.0),
        mean_load=mean,
        known_ticks=ticks,
        saved_per_second=np.where(np.isfinite(steady), saved, 0.0),
    )


def _newest(memory: AccuracyBudgetMemory, load: Floats, fleet: Fleet) -> Floats:
    """Requests/s of the newest tick alone, as far as it is certain that they jumped; else NaN.

    A rate is the mean over its window. If it was steady before, a jump in the newest of w ticks moves it by a w-th: 400 then 550
    with four ticks in a window is 1,000 in the newest one.
    """
    ticks = max(fleet.rate_window_seconds / fleet.tick_seconds, 1.0)
    moved = load - memory.load_before
    noise = NOISE * np.sqrt(2.0 * np.maximum(memory.load_before, 0.0) / fleet.tick_seconds)
    result: Floats = np.where(moved * ticks > noise, memory.load_before + moved * ticks - noise, np.nan)
    return result
