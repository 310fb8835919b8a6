"""One tick of the judgement for all models: observations in, decisions out.

``begin`` makes the memory, ``step`` is one tick, ``reindex`` carries the memory over to a changed set of models. Nothing here
reads a clock: ``now_seconds`` is an argument, and the same input gives the same output, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from recmodel.core import belief, failing, guards, sustained, weights
from recmodel.core import capacity as capacities
from recmodel.core import forecast as forecasts
from recmodel.core import valve as valves
from recmodel.core.accuracy import allowed_shares
from recmodel.core.carry import carry, less_certain, stays
from recmodel.core.fleet import STARTUP_SECONDS_UNKNOWN, Fleet, Floats, Ints, Seen, pack, see
from recmodel.core.history import History, learn_history
from recmodel.core.plan import assumed_capacity, plan
from recmodel.core.record import Decisions
from recmodel.core.types import Model, Observation

Number = TypeVar("Number", np.float32, np.int32)

RATE_WINDOW_SECONDS = 60.0  # unless the metrics are read over another one
RATE_AGE_RATIO = 2.0 / 3.0  # of the window: a rate is as old as its middle, and the newest sample of it is not of now
WISH_RING = 64
WISH_ROUNDING = 0.1  # replicas by which a wish may miss a whole one, since the capacity is never twice the same
SLOW_POOL_SECONDS = 120.0
TRIAL_PATIENCE_WINDOWS = 10.0  # rate windows without a change of replicas, before one is tried to be done without
TRIAL_TICKS = sustained.SCRAPE_AGE_TICKS + 3  # after a rate window, until a change of replicas has been judged
BREAK_EVEN_FACTOR_FAST, BREAK_EVEN_FACTOR_SLOW = 1.5, 4.0
USUAL_WINDOWS = 5.0  # rate windows over which a load is averaged, to tell a dip of the count from a fall of the load
UNSCHEDULABLE_PATIENCE_SECONDS = 600.0  # a cluster autoscaler needs pods that wait, and some minutes for a node
UNSCHEDULABLE_RETRY_SECONDS = 1200.0


@dataclass(frozen=True)
class Memory:
    """Everything that the engine keeps between ticks; a value like any other."""

    fleet: Fleet
    forecast: forecasts.ForecastMemory
    capacity: belief.CapacityMemory
    startup_seconds: Floats  # [M, P]
    wishes: NDArray[np.float32]  # [WISH_RING, M, P] requests/s that the wished replicas were to carry
    readies: NDArray[np.int32]  # [WISH_RING, M, P]
    tick: int
    seen_at: Floats  # [M] time of the newest known load; -inf before any
    late_ticks: Ints  # [M, P]
    stuck_ticks: Ints  # [M, P] ticks for which pods were unschedulable; below 0: ticks until more are tried again
    valve: valves.ValveMemory
    failing: failing.FailingMemory


def begin(
    models: Sequence[Model],
    tick_seconds: float = 15.0,
    history: Sequence[History | None] | None = None,
    rate_window_seconds: float = RATE_WINDOW_SECONDS,
) -> Memory:
    """The memory before the first tick. ``history`` holds for each model its past load, or None where there is none."""
    fleet = pack(models, tick_seconds, rate_window_seconds)
    size = fleet.exists.shape
    capacity = belief.empty(*size)
    memory = Memory(
        fleet=fleet,
        forecast=forecasts.empty(size[0], tick_seconds),
        capacity=capacity,
        startup_seconds=np.full(size, np.nan),
        wishes=np.zeros((WISH_RING, *size), np.float32),
        readies=np.zeros((WISH_RING, *size), np.int32),
        tick=0,
        seen_at=np.full(size[0], -np.inf),
        late_ticks=np.zeros(size, np.int64),
        stuck_ticks=np.zeros(size, np.int64),
        valve=valves.empty(size[0]),
        failing=failing.empty(capacity.evidence),
    )
    if history is not None and any(h is not None for h in history):
        memory = replace(memory, forecast=learn_history(memory.forecast, history))
    return memory


def _horizon(fleet: Fleet, startup_seconds: Floats) -> Floats:
    """Start-up, the wait for the next tick, and the age of the rate: 45 + 15 + 40 s with a window of a minute."""
    return startup_seconds + fleet.tick_seconds + RATE_AGE_RATIO * fleet.rate_window_seconds


def total_load(fleet: Fleet, seen: Seen) -> Floats:
    """Arrivals of each model in requests/s ``[M]``: completed and failed, over all pools; NaN where a part is unknown.

    A pool without ready replicas, or without weight, may be silent; any other silent pool makes the sum unknown.
    """
    silent = ~np.isfinite(seen.rate_per_second)
    may_be_silent = ~fleet.exists | (seen.ready == 0) | (seen.weight == 0.0)
    unknown = (silent & ~may_be_silent).any(1) | (silent | ~fleet.exists).all(1)
    total = np.where(fleet.exists & ~silent, seen.rate_per_second, 0.0).sum(1)
    return np.where(unknown, np.nan, total)


def step(memory: Memory, observations: Sequence[Observation], now_seconds: float) -> tuple[Memory, Decisions]:
    """One tick: the decisions for all models of the memory's fleet, in their order, and the memory for the next tick."""
    fleet, tick = memory.fleet, memory.tick + 1
    observed = see(fleet, observations)
    observed, load, doubted = sustained.without_doubted(
        fleet, observed, total_load(fleet, observed), belief.recent_totals(memory.capacity, fleet)
    )
    failing_memory, believed, judged = failing.judge(
        memory.failing, memory.capacity, fleet, observed, load, _recent_ready(memory)
    )
    seen = judged.seen
    known = np.isfinite(load)
    seen_at = np.where(known, now_seconds, memory.seen_at)
    # A clock that was put back makes nobody see.
    blind_seconds = np.where(known, 0.0, np.maximum(now_seconds - seen_at, fleet.tick_seconds))
    startup = np.where(np.isfinite(seen.startup_seconds), seen.startup_seconds, memory.startup_seconds)
    startup_used = np.where(np.isfinite(startup), startup, STARTUP_SECONDS_UNKNOWN)
    late = judged.late_ratio > 2.0 * fleet.late_budget_ratio[:, None]
    late_ticks = np.where(late, memory.late_ticks + 1, 0)
    stuck = seen.unschedulable > 0
    stuck_ticks = np.where(stuck | (memory.stuck_ticks < 0), memory.stuck_ticks + 1, 0)
    patience = round(UNSCHEDULABLE_PATIENCE_SECONDS / fleet.tick_seconds)
    retry = round(UNSCHEDULABLE_RETRY_SECONDS / fleet.tick_seconds)
    stuck_ticks = np.where(stuck_ticks >= patience, -retry, stuck_ticks)

    forecast_memory = forecasts.observe(
        memory.forecast, load, now_seconds, fleet.tick_seconds, fleet.rate_window_seconds
    )
    learned = belief.learn(believed, fleet, judged.learnable, load)
    forecast, forecast_memory = forecasts.predict(
        forecast_memory, _horizon(fleet, startup_used), now_seconds, blind_seconds
    )
    capacity = capacities.estimate(learned, fleet, seen.ready)
    most = np.where(stuck | (stuck_ticks < 0), np.minimum(seen.ready, fleet.max_replicas), fleet.max_replicas)
    upper, middle = forecast.upper, forecast.quantile(0.5)
    # To do without one replica of few is tried where nothing hints at trouble, and kept up until a window tells how it went.
    verdict_ticks = np.full(startup_used.shape, fleet.window_ticks + TRIAL_TICKS)
    before = np.maximum(_recent_largest(memory.readies, memory.tick, verdict_ticks), seen.ready)
    calm = learned.settled_ticks * fleet.tick_seconds >= TRIAL_PATIENCE_WINDOWS * fleet.rate_window_seconds
    dared = capacity.untroubled & (calm | (seen.ready < before)) & (before > 1) & (startup_used <= SLOW_POOL_SECONDS)
    planned = capacities.stretched(capacity, upper, middle, before, dared)
    slow = startup_used > SLOW_POOL_SECONDS
    hold_seconds = startup_used * np.where(slow, BREAK_EVEN_FACTOR_SLOW, BREAK_EVEN_FACTOR_FAST)
    # Wishes out of the same rate window are one opinion, however fast pods start.
    hold_ticks = np.maximum(hold_seconds / fleet.tick_seconds, sustained.span_ticks(fleet))
    each = np.where(fleet.exists, assumed_capacity(fleet, planned, seen.ready)[0], np.nan)
    held = _replicas_for(_recent_largest(memory.wishes, memory.tick, hold_ticks - 1.0), each, seen.desired)
    allowed = allowed_shares(fleet)
    wish = plan(fleet, seen, forecast, planned, most, held, startup_used, allowed)
    wish = replace(
        wish,
        replicas=np.where(np.isfinite(wish.per_replica), wish.replicas, seen.desired),
        assumed=wish.assumed & (allowed > 0),  # what may answer nothing is not tried either
    )

    wishes, readies = memory.wishes.copy(), memory.readies.copy()
    wishes[tick % WISH_RING] = wish.replicas * np.where(np.isfinite(each), each, 0.0)
    readies[tick % WISH_RING] = seen.ready
    context = guards.Context(
        fleet=fleet,
        seen=seen,
        wish=wish,
        capacity=planned,
        load=load,
        usual=forecasts.recent_mean(
            forecast_memory, round(USUAL_WINDOWS * fleet.rate_window_seconds / fleet.tick_seconds)
        ),
        upper=upper,
        allowed=allowed,
        blind_seconds=blind_seconds,
        late_ticks=late_ticks,
        settled=(learned.settled_ticks > fleet.window_ticks) & (seen.ready == seen.desired),
        recent_wish=_replicas_for(_recent_largest(wishes, tick, hold_ticks), each, seen.desired),
        given_up=stuck_ticks < 0,
        slow=startup_used > fleet.smallest(startup_used),
        failing=judged,
        grown_from=_ago(readies, tick, startup_used / fleet.tick_seconds),
    )
    replicas, changed = guards.guard(context)
    rises = belief.rises(learned, fleet)
    shares = weights.weigh(fleet, seen, replicas, context.slow, capacity, wish.per_replica, load, rises)
    sure, hoped = valves.ready_capacity(seen, replicas, capacity, wish.per_replica)
    valve_memory, valve = valves.turn(memory.valve, fleet, seen, load, sure, hoped)
    ready = fleet.exists & (np.minimum(seen.ready, replicas) > 0)
    able = (sure, hoped, np.isfinite(capacity.ceiling))
    shares = valves.answering(shares, fleet, seen, ready, able, load, valve)
    shares = weights.held_while_blind(shares, seen, ready, context.blind_seconds)
    shares = weights.to_the_ready(shares, fleet, seen, replicas)
    decisions = Decisions(
        fleet=fleet,
        seen=observed,
        failing=judged,
        now_seconds=now_seconds,
        load=load,
        doubted=doubted,
        forecast=forecast,
        capacity=capacity,
        wish=wish,
        replicas=replicas,
        weights=shares,
        valve=valve,
        allowed=allowed,
        changed=changed,
        blind_seconds=context.blind_seconds,
        upper=upper,
        middle=middle,
    )
    return (
        replace(
            memory,
            forecast=forecast_memory,
            capacity=learned,
            startup_seconds=startup,
            wishes=wishes,
            readies=readies,
            tick=tick,
            seen_at=seen_at,
            late_ticks=late_ticks,
            stuck_ticks=stuck_ticks,
            valve=valve_memory,
            failing=failing_memory,
        ),
        decisions,
    )


def _recent_ready(memory: Memory) -> list[Ints]:
    """The ready replicas ``[M, P]`` of the ticks before, the newest first."""
    return [
        memory.readies[(memory.tick - back) % WISH_RING].astype(np.int64)
        for back in range(min(memory.tick, belief.RECENT_TICKS))
    ]


def _recent_largest(ring: NDArray[Number], tick: int, ticks: Floats | Ints) -> NDArray[Number]:
    """Largest value of the last ``ticks`` ``[M, P]`` ticks of a ring ``[R, M, P]``, this one included."""
    back = np.arange(max(min(int(np.ceil(ticks.max(initial=0))), len(ring) - 1, tick - 1), 0) + 1)
    values = ring[(tick - back) % len(ring)]
    result: NDArray[Number] = np.where(back[:, None, None] < ticks, values, values[0]).max(0)
    return result


def _replicas_for(load: NDArray[np.float32], each: Floats, most: Ints) -> Ints:
    """Replicas, at most ``most``, that carry a load wished a while ago at what each is known to carry *now*.

    So a wish that fell because more was learned of the capacity is not held, only one that fell with the load. 0 where unknown.
    """
    known = np.isfinite(each) & (each > 0)
    replicas = np.ceil(load / np.where(known, each, 1.0) - WISH_ROUNDING)
    return np.where(known, np.minimum(np.maximum(replicas, 0.0), most), 0).astype(np.int64)


def _ago(ring: NDArray[np.int32], tick: int, ticks: Floats) -> Ints:
    """The ring's value ``ticks`` ``[M, P]`` ticks ago, or its oldest."""
    back = np.clip(np.round(ticks).astype(np.int64), 0, min(len(ring), tick) - 1)
    rows, columns = np.indices(back.shape)
    value: Ints = ring[(tick - back) % len(ring), rows, columns].astype(np.int64)
    return value


def reindex(models: Sequence[Model], memory: Memory) -> Memory:
    """The memory for a changed set of models: what stays, by key and pool name, keeps all it knew; what is new knows nothing.

    A pool that serves another version than before keeps what it knew of its capacity with less weight.
    """
    fresh = begin(models, memory.fleet.tick_seconds, rate_window_seconds=memory.fleet.rate_window_seconds)
    kept = stays(memory.fleet.models, models)
    carried = carry(fresh, memory, kept)
    return replace(carried, capacity=less_certain(carried.capacity, carried.fleet, kept))


def with_budget_left(memory: Memory, left_ratio: Mapping[str, float]) -> Memory:
    """The memory after a restart: models, by key, whose load was not seen yet begin with what was left of the accuracy budget."""
    begins = np.array([left_ratio.get(model.key, 0.0) for model in memory.fleet.models], float)
    return replace(memory, valve=replace(memory.valve, begins_with=np.clip(np.nan_to_num(begins), 0.0, 1.0)))
