"""Models under load at the level of requests: a spike with and without an accuracy budget, rollouts, and ten refreshes in a row."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from recmodel.core.arrays.observed import late_bracket
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.reindex import reindex, with_budget_left
from recmodel.core.traffic import accuracy_budget
from recmodel.core.types import Decision, Observation, PoolDecision, PoolObservation, Reason
from recmodel.lab.simulator.simulation import CPU_POOL, Result, Scenario, simulate
from recmodel.rollout import steps as rollouts
from recmodel.rollout.sequential import SequentialEvidence, excess, updated
from recmodel.rollout.steps import Policy, Rollout, RolloutTick, Side

pytestmark = pytest.mark.usefixtures("compiled_simulator")

TICK_SECONDS = 15.0

FULL = replace(CPU_POOL, name="full", startup_seconds=120.0, accuracy_loss_ratio=0.0)
LIGHT = replace(FULL, name="light", service_seconds=0.006, min_replicas=2, accuracy_loss_ratio=0.03)


class Engine:
    """The engine; without an accuracy budget nothing is ever saved."""

    def __init__(self, scenario: Scenario, spends: bool = True) -> None:
        self.memory = with_budget_left(begin([scenario.model()], scenario.tick_seconds), {"lab/model": 0.5})
        self.spends = spends

    def decide(self, observation: Observation) -> Decision:
        if not self.spends:
            self.memory = replace(self.memory, accuracy_budget=accuracy_budget.empty(1))
        self.memory, decisions = step(self.memory, [observation], observation.time_seconds)
        return decisions.unsplit(0)


def spike(spends: bool) -> tuple[Result, float, float]:
    """Three times the load within a second, after 45 minutes of calm, with half of an hour's budget left: the late share of its
    first ten minutes, and what the requests of these lost on average. A replica needs two minutes to start.
    """
    scenario = Scenario((FULL, LIGHT), accuracy_budget_ratio=0.01)
    begins, lasts = 2700, 1200 if spends else 600
    rates = np.full(begins + lasts, 400.0)
    rates[begins:] = 1200.0
    result = simulate(scenario, rates, Engine(scenario, spends), seed=1)
    minutes, ticks = slice(begins // 60, begins // 60 + 10), slice(begins // 15, begins // 15 + 40)
    late = result.late[minutes].sum() / result.requests[minutes].sum()
    answered = result.tally.buckets[:, ticks].sum((1, 2))
    return result, float(late), float(answered[1] / answered.sum() * 0.03)


def test_a_spike_that_needs_more_replicas_than_can_start_in_time_is_survived_by_what_was_saved() -> None:
    (with_it, late, lost), (without, late_without, lost_without) = spike(True), spike(False)
    for name, run, share, loss in (("with", with_it, late, lost), ("without", without, late_without, lost_without)):
        print(
            f"{name} an accuracy budget: {share:.1%} late in ten minutes, {run.late_ratio[45:50].round(3)} by minute, loss {loss:.2%}"
        )
    assert late < 0.3 * late_without
    assert with_it.over[46:65].sum() == 0  # the minute in which nobody could know of it yet is the only one
    assert without.over[45:].sum() >= 3
    assert 0.01 < lost < 0.02  # more than the budget for a while, out of what was saved ...
    answered = with_it.tally.buckets.sum((1, 2))
    saved_seconds = 3600.0
    assert answered[1] * 0.03 <= 0.01 * (answered.sum() + 400.0 * saved_seconds)  # ... and no more than an hour's worth
    reasons = [[reason.reason for reason in decision.reasons] for decision in with_it.decisions]
    open_ticks = [i for i, said in enumerate(reasons) if "LighterVariantsServe" in said]
    assert open_ticks[0] <= 2700 / 15 + 3
    assert open_ticks[-1] < 2700 / 15 + 40  # the full model is back, though the spike lasts
    assert sum(b - a > 1 for a, b in pairwise(open_ticks)) <= 1  # and does not flap


OLD = replace(CPU_POOL, name="old")
NEW = replace(CPU_POOL, name="new", min_replicas=0, initial_replicas=0)
BEGINS = 1200.0
POLICY = Policy(steps=(0.05, 0.25, 0.5, 1.0), min_requests=300.0, max_error_excess_ratio=0.005)


class Releasing:
    """The engine, and a rollout of the pool ``new`` from some time on, as the operator would do it."""

    def __init__(self, scenario: Scenario, quality: tuple[float, float] | None, seed: int = 0) -> None:
        self.written = scenario.model()
        self.model = replace(self.written, pools=tuple(replace(p, traffic_limit_ratio=0.0) if p.name == "new" else p
                                                       for p in self.written.pools))  # fmt: skip
        self.memory = begin([self.model], scenario.tick_seconds)
        self.quality, self.random = quality, np.random.default_rng(seed)
        self.rollout: Rollout | None = None
        self.said: list[tuple[float, Reason]] = []
        self.shares: list[float] = []

    def side(self, seen: PoolObservation, quality: float | None) -> Side:
        """What the operator counts: rates over a window, times the tick."""
        late, _ = late_bracket(seen.latency, seen.rate_per_second, seen.errors_per_second, 0.1)
        if not seen.rate_per_second or math.isnan(late):
            return Side()
        requests = seen.rate_per_second * TICK_SECONDS
        clicks = None if quality is None else float(self.random.binomial(int(requests), quality))
        errors = (seen.errors_per_second or 0.0) * TICK_SECONDS
        return Side(requests, late * requests, errors, clicks, None if clicks is None else float(int(requests)))

    def decide(self, observation: Observation) -> Decision:
        now, old, new = observation.time_seconds, observation.pools["old"], observation.pools["new"]
        if now >= BEGINS:
            self.rollout = self.rollout or rollouts.begin("new", "v2", now)
            good, bad = (None, None) if self.quality is None else self.quality
            sides = self.side(old, good), self.side(new, bad)
            late = sum(side.late or 0.0 for side in sides) / max(sum(side.requests or 0.0 for side in sides), 1.0)
            self.shares.append(new.weight or 0.0)
            seen = RolloutTick(sides[1], sides[0], late > 0.05, new.ready > 0, new.weight)
            self.rollout, reason = rollouts.advance(POLICY, self.rollout, seen, now)
            self.said += [(now, reason)] if reason else []
            limit = rollouts.limit_ratio(POLICY, self.rollout)
            pools = tuple(replace(p, traffic_limit_ratio=limit) if p.name == "new" else p for p in self.written.pools)
            if pools != self.model.pools:
                self.model = replace(self.written, pools=pools)
                self.memory = reindex([self.model], self.memory)
        self.memory, decisions = step(self.memory, [observation], now)
        return decisions.unsplit(0)


def released(
    slower: float = 1.0, quality: tuple[float, float] | None = None, seconds: int = 3600
) -> tuple[Releasing, Result]:
    """A rollout beside a pool that answers 400 requests/s."""
    scenario = Scenario((OLD, replace(NEW, slowdown=((0.0, slower),))))
    controller = Releasing(scenario, quality)
    result = simulate(scenario, np.full(seconds, 400.0), controller, seed=2)
    for now, reason in controller.said:
        if reason.reason != "RolloutWaiting":
            print(f"{now - BEGINS:.0f} s: {reason.reason}: {reason.message}")
    return controller, result


def test_a_good_version_comes_into_all_of_the_traffic() -> None:
    controller, result = released(quality=(0.3, 0.3))
    assert controller.rollout is not None
    assert controller.rollout.phase == "Done"
    done = next(now for now, reason in controller.said if reason.reason == "RolloutDone")
    assert result.over[int(BEGINS / 60) : int(done / 60)].sum() == 0
    assert result.late[int(BEGINS / 60) :].sum() < 0.01 * result.requests[int(BEGINS / 60) :].sum()
    advanced = [reason for _, reason in controller.said if reason.reason == "RolloutAdvanced"]
    assert len(advanced) == 4
    # In each step no more than its share, and in the first one no less: what is ready carries it.
    steps = [round(now) for now, reason in controller.said if reason.reason == "RolloutAdvanced"]
    first = [share for tick, share in enumerate(controller.shares) if BEGINS + 15 * tick <= steps[1]]
    assert 0.04 < max(first) <= 0.0501


def test_a_slow_version_is_taken_back_before_the_objective_is_missed() -> None:
    controller, result = released(slower=2.5, seconds=2400)
    assert controller.rollout is not None
    assert controller.rollout.phase == "RolledBack"
    assert result.over[int(BEGINS / 60) :].sum() == 0
    back = next(now for now, reason in controller.said if reason.reason == "RolloutRolledBack")
    assert back - BEGINS < 600.0
    assert max(controller.shares) <= 0.2501
    assert controller.shares[-1] == 0.0
    assert result.tally.failed.sum() == 0


def test_a_version_that_answers_wrong_is_taken_back_though_it_is_as_fast() -> None:
    controller, result = released(quality=(0.3, 0.24))
    assert controller.rollout is not None
    assert controller.rollout.phase == "RolledBack"
    assert "of the quality signal against" in controller.said[-1][1].message
    assert max(controller.shares) < 0.6  # never all of the traffic
    assert result.over[int(BEGINS / 60) :].sum() == 0


class Refreshing(Engine):
    """The engine, updated of each new version as it comes."""

    def __init__(self, scenario: Scenario, times: tuple[float, ...]) -> None:
        super().__init__(scenario)
        self.model, self.times = scenario.model(), times

    def decide(self, observation: Observation) -> Decision:
        version = f"v{sum(since <= observation.time_seconds for since in self.times)}"
        if version != self.memory.fleet.models[0].pools[0].version:
            pools = (replace(self.model.pools[0], version=version),)
            self.memory = reindex([replace(self.model, pools=pools)], self.memory)
        return super().decide(observation)


def test_ten_refreshes_in_a_row_under_load_keep_the_objective_and_lose_nothing() -> None:
    times = tuple(1800.0 + 420.0 * i for i in range(10))
    scenario = Scenario((replace(CPU_POOL, refreshes=times),))
    rates = 500.0 + 150.0 * np.sin(np.arange(6300) / 700.0)
    result = simulate(scenario, rates, Refreshing(scenario, times), seed=3)
    quiet = simulate(Scenario((CPU_POOL,)), rates, Engine(Scenario((CPU_POOL,))), seed=3)
    during = slice(30, 105)
    print(f"late {result.late[during].sum() / result.requests[during].sum():.2%} with ten refreshes, "
          f"{quiet.late[during].sum() / quiet.requests[during].sum():.2%} without; worst minutes "
          f"{result.late_ratio[during].max():.1%} and {quiet.late_ratio[during].max():.1%}; replica-hours "
          f"{result.summary().replica_hours['cpu']:.1f} and {quiet.summary().replica_hours['cpu']:.1f}")  # fmt: skip
    assert result.tally.failed.sum() == 0
    # Where the end of the capacity is, is learned once, in a minute of the first rise; the refreshes bring none.
    assert result.over[during].sum() <= min(quiet.over[during].sum(), 1)
    starts = result.replicas["cpu"][during].sum() - quiet.replicas["cpu"][during].sum()
    assert starts > 10.0  # minutes of surge pods: they were really replaced
    # What the old version taught is kept: an engine that forgets it keeps twice as many.
    assert result.summary().replica_hours["cpu"] < 1.5 * quiet.summary().replica_hours["cpu"]


class Equal:
    """Two pools with the same replicas and weights; the late requests of both are compared at every tick."""

    def __init__(self, margins: tuple[float, ...]) -> None:
        self.evidence = {margin: SequentialEvidence() for margin in margins}
        self.largest = dict.fromkeys(margins, -math.inf)

    def decide(self, observation: Observation) -> Decision:
        counts = []
        for seen in observation.pools.values():
            late, _ = late_bracket(seen.latency, seen.rate_per_second, seen.errors_per_second, 0.1)
            requests = None if seen.rate_per_second is None else seen.rate_per_second * TICK_SECONDS
            counts.append((None if requests is None else late * requests, requests))
        for margin, before in self.evidence.items():
            after = updated(before, excess(margin, rollouts.BURSTS), counts[0], counts[1], POLICY.needed)
            self.evidence[margin], self.largest[margin] = after, max(self.largest[margin], after.log_worse)
        return Decision(observation.time_seconds, {n: PoolDecision(3, 1.0) for n in observation.pools}, "Tracking", ())


def test_equal_pools_near_their_limits_under_bursts_are_not_told_apart_for_an_hour() -> None:
    scenario = Scenario(
        (replace(OLD, initial_replicas=3), replace(OLD, name="twin", initial_replicas=3)), burst_cv=0.15
    )
    controller = Equal((0.01, 0.02))
    result = simulate(scenario, np.full(3600, 700.0), controller, seed=7)
    print(f"{result.late.sum() / result.requests.sum():.2%} late; largest log wealth {controller.largest}")
    assert result.late.sum() > 0.01 * result.requests.sum()
    assert controller.largest[0.02] < 1.0
    assert controller.largest[0.01] < POLICY.needed
