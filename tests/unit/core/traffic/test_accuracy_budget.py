"""The accuracy budget over time: what is saved, what spends it, and that no more is spent than was saved."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from recmodel.core.arrays.fleet import pack
from recmodel.core.arrays.observed import see
from recmodel.core.engine import step
from recmodel.core.memory import Memory, begin
from recmodel.core.reindex import reindex, with_budget_left
from recmodel.core.traffic.accuracy_budget import (
    BUCKET_SECONDS,
    AccuracyBudget,
    AccuracyBudgetMemory,
    advance,
    carried_within,
    empty,
)
from recmodel.core.types import Decision, Model, Observation, Pool, PoolObservation
from recmodel.lab.simulator.scenario import EDGES_SECONDS
from recmodel.lab.simulator.simulation import CPU_POOL, Scenario, simulate

FULL, LIGHT = Pool("full", 1, 50, 1.0, 0.0), Pool("light", 4, 50, 0.9, 0.04)
FEED = Model("shop/feed", 0.95, 0.1, (FULL, LIGHT), accuracy_budget_ratio=0.01)
ABLE = np.array([[500.0, 600.0]])


def observed(full: float | None, light: float | None, late: float = 0.0) -> Observation:
    pools = {}
    for name, rate in (("full", full), ("light", light)):
        latency = None if rate is None else {0.1: rate * (1.0 - late), math.inf: rate}
        pools[name] = PoolObservation(4, 4, 0, 50.0, 45.0, rate, None if rate is None else 0.0, latency)
    return Observation(0.0, pools)


def tick(
    memory: AccuracyBudgetMemory, full: float | None, light: float | None, late: float = 0.0, model: Model = FEED
) -> tuple[AccuracyBudgetMemory, AccuracyBudget]:
    fleet = pack([model], 15.0, 60.0)
    load = math.nan if full is None or light is None else full + light
    return advance(memory, fleet, see(fleet, [observed(full, light, late)]), np.array([load]), ABLE, ABLE)


def filled() -> AccuracyBudgetMemory:
    """After two hours on the full model at 400 requests/s."""
    memory = empty(1)
    for _ in range(480):
        memory, _ = tick(memory, 400.0, 0.0)
    return memory


def test_what_pools_carry_within_a_budget() -> None:
    loss = np.array([[0.0, 0.04]])
    for budget, carried in ((0.0, 300.0), (0.01, 400.0), (0.02, 600.0), (0.04, 800.0), (math.nan, 800.0)):
        assert carried_within(np.array([[300.0, 500.0]]), loss, np.array([budget]))[0] == pytest.approx(carried)
    three = carried_within(np.array([[300.0, 500.0, 500.0]]), np.array([[0.0, math.inf, 0.02]]), np.array([0.01]))
    assert three[0] == pytest.approx(600.0)  # never measured: not counted


def test_an_hour_on_the_full_model_fills_the_bucket_and_no_more() -> None:
    memory = filled()
    assert memory.tokens[0] == pytest.approx(0.01 * 400.0 * BUCKET_SECONDS)
    _, accuracy_budget = tick(memory, 400.0, 0.0)
    assert accuracy_budget.left_ratio[0] == 1.0
    assert not accuracy_budget.open[0]


def test_the_steady_share_of_a_light_variant_still_saves_a_tenth() -> None:
    memory = empty(1)
    for _ in range(241):
        memory, accuracy_budget = tick(memory, 310.0, 90.0)  # 22.5 % at 4 % is 0.9 %
    assert accuracy_budget.left_ratio[0] == pytest.approx(0.1, abs=0.001)


@pytest.mark.parametrize(
    ("full", "light", "late", "opens"),
    [
        (400.0, 50.0, 0.0, False),
        (700.0, 50.0, 0.0, True),  # more than 500 and what the budget lets through
        (450.0, 50.0, 0.0, True),  # not yet, but it jumped in the newest tick: 400 + 4 * 100 requests/s
        (412.0, 0.0, 0.0, False),  # no more than chance
        (400.0, 0.0, 0.2, True),  # late, whatever was believed
    ],
)
def test_it_opens_when_what_is_ready_does_not_carry_the_load(
    full: float, light: float, late: float, opens: bool
) -> None:
    _, accuracy_budget = tick(filled(), full, light, late)
    assert bool(accuracy_budget.open[0]) is opens
    assert bool(accuracy_budget.budget[0] > 0.02) is opens


def test_it_stays_open_for_three_minutes_after_it_was_last_needed() -> None:
    memory, accuracy_budget = tick(filled(), 700.0, 0.0)
    lasted = 0
    while accuracy_budget.open[0] and lasted < 100:
        memory, accuracy_budget = tick(memory, 200.0, 200.0)
        lasted += 1
    assert lasted == 12


def test_what_was_saved_is_spent_once_and_at_the_end_the_budget_holds_again() -> None:
    memory, spent, requests, share = filled(), 0.0, 0.0, 0.0
    saved = memory.tokens[0]
    for _ in range(960):  # four hours of a load that nothing carries; the light pool answers what the budget allows
        memory, accuracy_budget = tick(memory, 1000.0 * (1.0 - share), 1000.0 * share)
        share = min(float(accuracy_budget.budget[0]) / 0.04, 0.6)
        spent, requests = spent + 15.0 * 1000.0 * share * 0.04, requests + 15.0 * 1000.0
    assert spent <= saved + 0.01 * requests + 150.0  # a tick's, since it is counted afterwards
    assert spent > 0.9 * saved + 0.01 * requests
    assert accuracy_budget.budget[0] < 0.0101


def test_while_nothing_is_seen_nothing_is_saved_and_spending_goes_on() -> None:
    memory, _ = tick(filled(), 500.0, 500.0)
    before = memory.tokens[0]
    after, accuracy_budget = tick(memory, None, None)
    assert after.tokens[0] == pytest.approx(before - 15.0 * (20.0 - 10.0))
    assert accuracy_budget.open[0]  # it neither opens nor closes
    calm, _ = tick(filled(), 400.0, 0.0)
    assert tick(calm, None, None)[0].tokens[0] == calm.tokens[0]


@pytest.mark.parametrize(
    "model",
    [
        replace(FEED, accuracy_budget_ratio=None),
        replace(FEED, pools=(FULL, replace(LIGHT, accuracy_loss_ratio=None))),
        replace(FEED, pools=(FULL,)),
    ],
    ids=["no budget", "never measured", "nothing lighter"],
)
def test_without_a_budget_or_a_measured_lighter_variant_nothing_is_spent(model: Model) -> None:
    memory = empty(1)
    fleet = pack([model], 15.0, 60.0)
    able = ABLE[:, : len(model.pools)]
    for load in (400.0, 400.0, 3000.0):
        seen = see(fleet, [observed(load, 0.0, 0.5)])
        memory, accuracy_budget = advance(memory, fleet, seen, np.array([load]), able, able)
        assert not accuracy_budget.open[0]
    assert math.isnan(accuracy_budget.left_ratio[0]) is (model.accuracy_budget_ratio is None)


def told(memory: Memory, now: float, full: float, light: float) -> tuple[Memory, Decision]:
    seen = observed(full, light)
    memory, decisions = step(memory, [Observation(now, seen.pools)], now)
    return memory, decisions[0]


def test_the_decision_says_that_lighter_variants_serve_and_what_is_left() -> None:
    memory, now = begin([FEED]), 0.0
    for _ in range(240):
        memory, decision = told(memory, now, 300.0, 80.0)
        now += 15.0
    assert decision.accuracy_budget_left_ratio is not None
    calm = decision.accuracy_budget_left_ratio
    assert 0.1 < calm < 0.3
    assert "LighterVariantsServe" not in {reason.reason for reason in decision.reasons}
    assert decision.pools["light"].weight <= 22.5 + 1e-3
    memory, decision = told(memory, now, 600.0, 160.0)  # twice the load: more than what is ready is known to carry
    said = next(reason for reason in decision.reasons if reason.reason == "LighterVariantsServe")
    assert decision.pools["light"].weight > 22.5
    assert "light" in said.message
    assert "22.5 % in calm times" in said.message
    # While nothing is seen the weights of the route are held, whose sum is 1000 there: the sentence names shares all the same.
    route = {"full": 575.0, "light": 425.0}
    pools = {
        name: replace(pool, weight=route[name], rate_per_second=None, errors_per_second=None, latency=None)
        for name, pool in observed(600.0, 160.0).pools.items()
    }
    _, blind = step(memory, [Observation(now + 15.0, pools)], now + 15.0)
    said = next(reason for reason in blind[0].reasons if reason.reason == "LighterVariantsServe")
    assert "light 42.5 % of the traffic, 22.5 % in calm times" in said.message
    assert "full" not in said.message
    kept = reindex([Model("a/b", 0.95, 0.1, (FULL,)), FEED], memory)
    assert kept.accuracy_budget.tokens[1] == memory.accuracy_budget.tokens[0]
    assert np.isnan(kept.accuracy_budget.mean_load[0])


def test_after_a_restart_the_bucket_is_as_full_as_it_was() -> None:
    memory = with_budget_left(begin([FEED, Model("a/b", 0.95, 0.1, (FULL,), 0.01)]), {"shop/feed": 0.6, "gone/by": 1.0})
    seen = observed(300.0, 0.0)
    memory, decisions = step(memory, [Observation(0.0, seen.pools)] * 2, 0.0)
    assert decisions[0].accuracy_budget_left_ratio == pytest.approx(0.6)
    assert decisions[1].accuracy_budget_left_ratio == 0.0
    later, decisions = step(with_budget_left(memory, {"shop/feed": 0.1}), [Observation(15.0, seen.pools)] * 2, 15.0)
    assert decisions[0].accuracy_budget_left_ratio == pytest.approx(0.6 + 15.0 / 3600.0, abs=0.001)
    assert later.accuracy_budget.tokens[0] > memory.accuracy_budget.tokens[0]


def test_a_first_reading_of_a_moment_is_no_hour() -> None:
    """2/s read at the start, then 400/s: the light variant may answer most of a spike, as it may after an hour of 400/s."""
    memory = replace(empty(1), begins_with=np.array([0.9]))
    memory, first = tick(memory, 2.0, 0.0)
    for _ in range(8):
        memory, _ = tick(memory, 400.0, 0.0)
    memory, spike = tick(memory, 300.0, 900.0)
    assert first.left_ratio[0] == pytest.approx(0.9)
    assert spike.left_ratio[0] == pytest.approx(0.9, abs=0.02)
    assert memory.mean_load[0] == pytest.approx(np.mean([2.0, *[400.0] * 8, 1200.0]))
    assert spike.budget[0] / 0.04 > 0.75  # of the traffic


class Restarted:
    """The engine of an operator that restarts ``at`` a time, and takes over what was left of the budget."""

    def __init__(self, scenario: Scenario, at: float) -> None:
        self.scenario, self.at = scenario, at
        self.memory = self.begun()

    def begun(self) -> Memory:
        scenario = self.scenario
        memory = begin([scenario.model()], scenario.tick_seconds, rate_window_seconds=scenario.window_seconds)
        return with_budget_left(memory, {"lab/model": 0.9})

    def decide(self, observation: Observation) -> Decision:
        if observation.time_seconds == self.at:
            self.memory = self.begun()
        # A gateway tells nothing of how busy the pods are.
        pools = {name: replace(pool, utilisation_ratio=None) for name, pool in observation.pools.items()}
        self.memory, decisions = step(self.memory, [replace(observation, pools=pools)], observation.time_seconds)
        return decisions.unsplit(0)


@pytest.mark.usefixtures("compiled_simulator")
@pytest.mark.parametrize(("wait", "delay"), [(30, 0.0), (40, 0.0), (60, 0.0), (30, 1.0), (40, 1.0)])
@pytest.mark.parametrize(
    ("budget", "losses", "light_share"),
    [(0.01, (0.0, 0.04), 0.5), (None, (None, None), 0.45), (0.01, (0.0, None), 0.0)],
    ids=["lighter variant", "same variant", "never measured"],
)
def test_soon_after_a_restart_a_spike_moves_to_the_pool_that_has_seen_little_load(
    budget: float | None, losses: tuple[float | None, float | None], light_share: float, wait: int, delay: float
) -> None:
    """35 requests/s become 100 for a minute, of which two pods of the full model carry 50, and a new one needs 45 s. What has
    queued meanwhile is late however little is added to it, so the full model has to get less than it carries until that is gone.
    """
    full = replace(
        CPU_POOL,
        name="full",
        workers=1,
        service_seconds=0.04,
        service_cv=0.0,
        startup_jitter_ratio=0.0,
        min_replicas=2,
        max_replicas=5,
        initial_replicas=2,
        accuracy_loss_ratio=losses[0],
    )
    light = replace(full, name="light", service_seconds=0.005, min_replicas=1, max_replicas=1, initial_replicas=1)
    scenario = Scenario(
        (full, replace(light, accuracy_loss_ratio=losses[1])),
        threshold_seconds=0.4,
        timeout_seconds=5.0,
        tick_seconds=5.0,
        scrape_seconds=5.0,
        window_seconds=20.0,
        scrape_delay_seconds=delay,
        accuracy_budget_ratio=budget,
    )
    begins = 120 + wait
    rates = np.full(begins + 90, 35.0)
    rates[begins : begins + 60] = 100.0
    result = simulate(scenario, rates, Restarted(scenario, 120.0), seed=1)

    def within(since: float, until: float) -> tuple[float, float]:
        ticks = slice(int((begins + since) / 5.0), int((begins + until) / 5.0))
        answered, failures = result.tally.buckets[:, ticks].sum(1), result.tally.failures[:, ticks].sum()
        in_time = answered[:, : EDGES_SECONDS.index(0.5) + 1].sum()
        return float(in_time / (answered.sum() + failures)), float(answered[1].sum() / answered.sum())

    during, share = within(0.0, 60.0)
    noticed, _ = within(30.0, 45.0)  # a scrape, a tick, and the end of the queue that grew until then
    if light_share:
        assert during > (0.65 if delay else 0.75)
        assert noticed > (0.65 if budget is None else 0.8)
        assert share > light_share
    else:
        assert during < 0.2
        assert share < 0.02
    replicas = [decision.pools["full"].replicas for decision in result.decisions]
    spike = replicas[begins // 5 : begins // 5 + 12]
    assert spike == sorted(spike)
    assert spike[-1] == 5
