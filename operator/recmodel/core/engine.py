"""One tick of the judgement for all models: observations in, decisions out.

``begin`` makes the memory, ``step`` is one tick, ``reindex`` carries the memory over to a changed set of models. Nothing here
reads a clock: ``now_seconds`` is an argument, and the same input gives the same output, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from recmodel.core.capacity import estimate as capacities
from recmodel.core.capacity import posterior, sustained
from recmodel.core.explanation import Decisions
from recmodel.core.failures import load_independent
from recmodel.core.fleet import Ints
from recmodel.core.forecast import candidates as forecasts
from recmodel.core.memory import Memory
from recmodel.core.observed import see, total_load
from recmodel.core.plan import guards
from recmodel.core.plan.mix import assumed_capacity, plan
from recmodel.core.pods import (
    RING_TICKS,
    STARTUP_SECONDS_UNKNOWN,
    UNSCHEDULABLE_PATIENCE_SECONDS,
    UNSCHEDULABLE_RETRY_SECONDS,
    ago,
    horizon,
    recent_largest,
    replicas_for,
)
from recmodel.core.traffic import accuracy_budget as budgets
from recmodel.core.traffic import weights
from recmodel.core.traffic.accuracy import allowed_shares
from recmodel.core.types import Observation

SLOW_POOL_SECONDS = 120.0
CALM_BEFORE_PROBE_WINDOWS = 10.0  # rate windows without a change of replicas, before one is tried to be done without
PROBE_TICKS = sustained.SCRAPE_AGE_TICKS + 3  # after a rate window, until a change of replicas has been judged
BREAK_EVEN_FACTOR_FAST, BREAK_EVEN_FACTOR_SLOW = 1.5, 4.0
USUAL_WINDOWS = 5.0  # rate windows over which a load is averaged, to tell a dip of the count from a fall of the load


def step(memory: Memory, observations: Sequence[Observation], now_seconds: float) -> tuple[Memory, Decisions]:
    """One tick: the decisions for all models of the memory's fleet, in their order, and the memory for the next tick."""
    fleet, tick = memory.fleet, memory.tick + 1
    observed = see(fleet, observations)
    observed, load, doubted = sustained.without_doubted(
        fleet, observed, total_load(fleet, observed), posterior.recent_totals(memory.capacity, fleet)
    )
    failing_memory, believed, judged = load_independent.judge(
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
    learned = posterior.learn(believed, fleet, judged.learnable, load)
    forecast, forecast_memory = forecasts.predict(
        forecast_memory, horizon(fleet, startup_used), now_seconds, blind_seconds
    )
    capacity = capacities.estimate(learned, fleet, seen.ready)
    most = np.where(stuck | (stuck_ticks < 0), np.minimum(seen.ready, fleet.max_replicas), fleet.max_replicas)
    upper, middle = forecast.upper, forecast.quantile(0.5)
    # To do without one replica of few is tried where nothing hints at trouble, and kept up until a window tells how it went.
    verdict_ticks = np.full(startup_used.shape, fleet.window_ticks + PROBE_TICKS)
    before = np.maximum(recent_largest(memory.readies, memory.tick, verdict_ticks), seen.ready)
    calm = learned.settled_ticks * fleet.tick_seconds >= CALM_BEFORE_PROBE_WINDOWS * fleet.rate_window_seconds
    probed = capacity.untroubled & (calm | (seen.ready < before)) & (before > 1) & (startup_used <= SLOW_POOL_SECONDS)
    planned = capacities.stretched(capacity, upper, middle, before, probed)
    slow = startup_used > SLOW_POOL_SECONDS
    hold_seconds = startup_used * np.where(slow, BREAK_EVEN_FACTOR_SLOW, BREAK_EVEN_FACTOR_FAST)
    # Wishes out of the same rate window are one opinion, however fast pods start.
    hold_ticks = np.maximum(hold_seconds / fleet.tick_seconds, sustained.span_ticks(fleet))
    each = np.where(fleet.exists, assumed_capacity(fleet, planned, seen.ready)[0], np.nan)
    held = replicas_for(recent_largest(memory.proposed_loads, memory.tick, hold_ticks - 1.0), each, seen.desired)
    allowed = allowed_shares(fleet)
    proposal = plan(fleet, seen, forecast, planned, most, held, startup_used, allowed)
    proposal = replace(
        proposal,
        replicas=np.where(np.isfinite(proposal.per_replica), proposal.replicas, seen.desired),
        assumed=proposal.assumed & (allowed > 0),  # what may answer nothing is not tried either
    )

    proposed_loads, readies = memory.proposed_loads.copy(), memory.readies.copy()
    proposed_loads[tick % RING_TICKS] = proposal.replicas * np.where(np.isfinite(each), each, 0.0)
    readies[tick % RING_TICKS] = seen.ready
    context = guards.GuardContext(
        fleet=fleet,
        seen=seen,
        proposal=proposal,
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
        recently_proposed=replicas_for(recent_largest(proposed_loads, tick, hold_ticks), each, seen.desired),
        given_up=stuck_ticks < 0,
        slow=startup_used > fleet.smallest(startup_used),
        failing=judged,
        grown_from=ago(readies, tick, startup_used / fleet.tick_seconds),
    )
    replicas, changed = guards.guard(context)
    rises = posterior.rises(learned, fleet)
    shares = weights.weigh(fleet, seen, replicas, context.slow, capacity, proposal.per_replica, load, rises)
    sure, hoped = budgets.ready_capacity(seen, replicas, capacity, proposal.per_replica)
    budget_memory, accuracy_budget = budgets.advance(memory.accuracy_budget, fleet, seen, load, sure, hoped)
    ready = fleet.exists & (np.minimum(seen.ready, replicas) > 0)
    able = (sure, hoped, np.isfinite(capacity.ceiling))
    shares = budgets.answering(shares, fleet, seen, ready, able, load, accuracy_budget)
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
        proposal=proposal,
        replicas=replicas,
        weights=shares,
        accuracy_budget=accuracy_budget,
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
            proposed_loads=proposed_loads,
            readies=readies,
            tick=tick,
            seen_at=seen_at,
            late_ticks=late_ticks,
            stuck_ticks=stuck_ticks,
            accuracy_budget=budget_memory,
            failing=failing_memory,
        ),
        decisions,
    )


def _recent_ready(memory: Memory) -> list[Ints]:
    """The ready replicas ``[M, P]`` of the ticks before, the newest first."""
    return [
        memory.readies[(memory.tick - back) % RING_TICKS].astype(np.int64)
        for back in range(min(memory.tick, posterior.RECENT_TICKS))
    ]
