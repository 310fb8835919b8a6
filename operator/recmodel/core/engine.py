"""One tick of the judgement for all models: observations in, decisions out.

``begin`` makes the memory, ``step`` is one tick, ``reindex`` carries the memory over to a changed set of models. A tick is what the
observations teach (``learn``) and what follows from that (``plan``), so a study can plan with other knowledge. Nothing here
reads a clock: ``now_seconds`` is an argument, and the same input gives the same output, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recmodel.core import latency_budget, pods
from recmodel.core.arrays.fleet import Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed, see, total_load
from recmodel.core.capacity import posterior, probe, samples, sustained
from recmodel.core.capacity.estimate import Capacity, estimate
from recmodel.core.explanation.cost_split import CostSplit
from recmodel.core.explanation.sentences import Decisions
from recmodel.core.failures import load_independent
from recmodel.core.failures.load_independent import Failing
from recmodel.core.forecast import candidates
from recmodel.core.forecast.candidates import Counting, LoadForecast
from recmodel.core.forecast.moved import moved_ratio
from recmodel.core.latency_budget import LatencyBudget
from recmodel.core.memory import Memory
from recmodel.core.plan import node_buffer
from recmodel.core.plan.guard_context import GuardContext
from recmodel.core.plan.guards import guard
from recmodel.core.plan.hold_times import left_seconds
from recmodel.core.plan.mix import propose
from recmodel.core.plan.situation import Proposal, Situation, assumed_capacity, least_replicas
from recmodel.core.pods import Pods
from recmodel.core.traffic.accuracy import allowed_shares
from recmodel.core.traffic.context import TrafficContext
from recmodel.core.traffic.shares import share
from recmodel.core.types import Observation


@dataclass(frozen=True)
class Learned:
    """What is known in one tick before anything is planned: what was seen, and what all of it has taught."""

    now_seconds: float
    fleet: Fleet
    observed: Observed
    load: Floats  # [M] arrivals in requests/s; NaN unknown
    doubted: Floats  # [M] requests/s that were counted and are not believed; NaN: none
    failing: Failing  # its ``seen`` is what was observed, net of what is bad at any load
    latency_budget: LatencyBudget
    pods: Pods
    forecast: LoadForecast
    usual: Floats  # [M] load over the last minutes
    capacity: Capacity
    allowed: Floats  # [M, P] share of the traffic that each pool may answer all the time


def step(memory: Memory, observations: Sequence[Observation], now_seconds: float) -> tuple[Memory, Decisions]:
    """One tick: the decisions for all models of the memory's fleet, in their order, and the memory for the next tick."""
    return plan(*learn(memory, observations, now_seconds))


def plan(memory: Memory, learned: Learned) -> tuple[Memory, Decisions]:
    """The decisions that follow from what was learned, and the memory of them."""
    situation = _situation(memory, learned)
    memory, proposal, context = _propose(memory, learned, situation)
    guarded = guard(context)
    buffer_memory, buffers = node_buffer.size(
        memory.node_buffer, situation, memory.forecast, learned.pods, guarded.replicas, learned.now_seconds
    )
    weights, budget, budget_memory = share(
        memory.accuracy_budget,
        TrafficContext(
            fleet=learned.fleet,
            seen=learned.failing.seen,
            replicas=guarded.replicas,
            capacity=learned.capacity,
            each=proposal.per_replica,
            load=learned.load,
            rises=posterior.rises(memory.capacity, learned.fleet),
            slower=learned.pods.slower,
            blind_seconds=learned.pods.blind_seconds,
        ),
    )
    hold_left = left_seconds(
        guarded, learned.fleet, memory.pods, learned.pods, proposal.per_replica, memory.capacity.sampling.settled_ticks
    )
    return replace(memory, accuracy_budget=budget_memory, node_buffer=buffer_memory), Decisions(
        fleet=learned.fleet,
        seen=learned.observed,
        failing=learned.failing,
        now_seconds=learned.now_seconds,
        load=learned.load,
        doubted=learned.doubted,
        forecast=learned.forecast,
        capacity=learned.capacity,
        proposal=proposal,
        guarded=guarded,
        cost=CostSplit(context, learned.forecast, guarded, hold_left),
        hold_left_seconds=hold_left,
        given_up=learned.pods.given_up,
        weights=weights,
        accuracy_budget=budget,
        latency_budget=learned.latency_budget,
        allowed=learned.allowed,
        blind_seconds=learned.pods.blind_seconds,
        node_buffers=buffers,
    )


def learn(memory: Memory, observations: Sequence[Observation], now_seconds: float) -> tuple[Memory, Learned]:
    """What the observations say of failures, pods, load and capacity, and the memory that has learned from them."""
    fleet = memory.fleet
    observed = pods.with_cold(memory.pods, fleet, see(fleet, observations))
    observed, load, doubted = sustained.without_doubted(
        fleet, observed, total_load(fleet, observed), posterior.recent_totals(memory.capacity, fleet)
    )
    minutes, budget = latency_budget.count(memory.latency_budget, fleet, observed, load, now_seconds)
    readies = memory.pods.recent_ready(samples.RECENT_TICKS)
    failing_memory, believed, failing = load_independent.judge(
        memory.failing, memory.capacity, fleet, observed, load, readies
    )
    pods_memory, now = pods.observe(memory.pods, fleet, failing.seen, failing.late_ratio, load, now_seconds)
    capacity_memory = posterior.learn(believed, fleet, failing.learnable, load)
    shares = capacity_memory.sampling.readings.ring_share[: fleet.span_ticks + 1]
    moved = moved_ratio(shares, pods_memory.recent_ready(fleet.span_ticks + 1))
    counting = Counting(fleet.tick_seconds, fleet.rate_window_seconds, moved)
    forecaster = candidates.observe(memory.forecast, load, now_seconds, counting, fleet.calendars)
    horizon = pods.horizon(fleet, now.startup_seconds)
    forecast, forecaster = candidates.predict(forecaster, horizon, now_seconds, now.blind_seconds, fleet.calendars)
    forecast = replace(forecast, upper_quantile=budget.upper_quantile(latency_budget.event_seconds(fleet, horizon)))
    capacity = estimate(capacity_memory, fleet, failing.seen.ready)
    memory = replace(
        memory,
        forecast=forecaster,
        capacity=capacity_memory,
        failing=failing_memory,
        pods=pods_memory,
        latency_budget=minutes,
    )
    return memory, Learned(
        now_seconds=now_seconds,
        fleet=fleet,
        observed=observed,
        load=load,
        doubted=doubted,
        failing=failing,
        latency_budget=budget,
        pods=now,
        forecast=forecast,
        usual=candidates.usual_load(forecaster, fleet.tick_seconds, fleet.rate_window_seconds),
        capacity=capacity,
        allowed=allowed_shares(fleet),
    )


def _situation(memory: Memory, learned: Learned) -> Situation:
    """What the plan rests on."""
    fleet, seen, now = learned.fleet, learned.failing.seen, learned.pods
    planned = probe.planned(learned.capacity, memory.capacity, fleet, memory.pods, now, learned.forecast)
    each, assumed = assumed_capacity(fleet, planned, seen.ready)
    return Situation(
        fleet=fleet,
        seen=seen,
        forecast=learned.forecast,
        capacity=planned,
        each=each,
        assumed=assumed,
        least=least_replicas(fleet),
        most=now.most,
        recent_loads=candidates.recent_loads(memory.forecast),
        held=memory.pods.recently_proposed(now.hold_ticks - 1.0, each, _runs(learned)),
        startup_seconds=now.startup_seconds,
        slower=now.slower,
        allowed=learned.allowed,
        dearer_seconds=memory.pods.dearer_ticks.astype(float) * fleet.tick_seconds,
    )


def _runs(learned: Learned) -> Ints:
    """Replicas that run ``[M, P]`` of the pools that stay."""
    result: Ints = np.where(learned.fleet.leaving, 0, learned.failing.seen.desired)
    return result


def _propose(memory: Memory, learned: Learned, situation: Situation) -> tuple[Memory, Proposal, GuardContext]:
    """The cheapest mix, the memory of it, and what the guards are to look at."""
    fleet, seen, now, each = learned.fleet, learned.failing.seen, learned.pods, situation.each
    proposal = propose(situation)
    proposed = memory.pods.with_proposed(proposal.replicas, each)
    proposed = proposed.with_dearer(proposal.cheapest < seen.desired, np.isfinite(learned.load))
    return (
        replace(memory, pods=proposed),
        proposal,
        GuardContext(
            fleet=fleet,
            seen=seen,
            proposal=proposal,
            least=situation.least,
            capacity=situation.capacity,
            load=learned.load,
            usual=learned.usual,
            upper=learned.forecast.upper,
            allowed=learned.allowed,
            blind_seconds=now.blind_seconds,
            doubted=np.isfinite(learned.doubted),
            late_ticks=now.late_ticks,
            unchanged=memory.capacity.sampling.settled_ticks > fleet.window_ticks,
            recently_proposed=proposed.recently_proposed(now.hold_ticks, each, _runs(learned)),
            given_up=now.given_up,
            unplaced_seconds=now.unplaced_seconds,
            slow=now.slower,
            failing=learned.failing,
            grown_from=now.grown_from,
        ),
    )
