"""Stories of a simulated model: pods, gateway, clients, and what Prometheus shows of them."""

import math
from dataclasses import replace

import numpy as np
import pytest

from recmodel.core.types import Decision, Observation, PoolDecision
from recmodel.lab.controllers.baselines import Hpa, Static
from recmodel.lab.simulator.simulation import CPU_POOL, GPU_POOL, Result, Scenario, simulate

pytestmark = pytest.mark.usefixtures("compiled_simulator")

STEADY = replace(CPU_POOL, startup_jitter_ratio=0.0, initial_replicas=2)


class Script:
    """Orders replicas at given times, and keeps what it was shown."""

    def __init__(self, orders: dict[float, dict[str, tuple[int, float]]]) -> None:
        self.orders = orders
        self.seen: list[Observation] = []

    def decide(self, observation: Observation) -> Decision:
        self.seen.append(observation)
        order = self.orders.get(observation.time_seconds, {})
        pools = {name: PoolDecision(replicas, weight) for name, (replicas, weight) in order.items()}
        return Decision(observation.time_seconds, pools, "Tracking", ())

    def at(self, seconds: float) -> Observation:
        return next(seen for seen in self.seen if seen.time_seconds == seconds)


def run(scenario: Scenario, rate: float, seconds: int, script: Script) -> Result:
    return simulate(scenario, np.full(seconds, rate), script, seed=1)


def test_the_same_seed_gives_the_same_day_and_the_arrivals_do_not_depend_on_the_controller() -> None:
    scenario = Scenario(burst_cv=0.3)
    rates = 100 + 60 * np.sin(np.arange(3600) / 500)
    one, two = (simulate(scenario, rates, Hpa(scenario, 0.7, 0.3), seed=4) for _ in range(2))
    other = simulate(scenario, rates, Hpa(scenario, 0.4, 0.8), seed=4)
    assert np.array_equal(one.tally.fine, two.tally.fine)
    assert one.summary().cost == two.summary().cost
    assert np.array_equal(one.requests, other.requests)
    assert not np.array_equal(one.requests, simulate(scenario, rates, Hpa(scenario), seed=5).requests)


def test_a_pod_serves_after_its_start_up_and_costs_from_its_order_on() -> None:
    script = Script({60.0: {"cpu": (4, 1.0)}, 240.0: {"cpu": (1, 1.0)}})
    result = run(Scenario((STEADY,)), 50.0, 360, script)
    assert script.at(90.0).pools["cpu"].ready == 2
    assert script.at(90.0).pools["cpu"].desired == 4
    assert script.at(105.0).pools["cpu"].ready == 4  # 60 s + 45 s
    assert result.replicas["cpu"].tolist() == pytest.approx([2.0, 4.0, 4.0, 4.0, 1.0, 1.0], abs=0.01)
    assert result.ready["cpu"].tolist() == pytest.approx([2.0, 2.5, 4.0, 4.0, 1.0, 1.0], abs=0.01)
    assert result.cost.sum() == pytest.approx(16.0 / 60.0, abs=0.001)
    assert script.at(120.0).pools["cpu"].startup_seconds == pytest.approx(45.0)


def test_a_scale_down_takes_pods_that_are_not_ready_first_and_finishes_requests() -> None:
    script = Script({60.0: {"cpu": (6, 1.0)}, 90.0: {"cpu": (3, 1.0)}, 180.0: {"cpu": (1, 1.0)}})
    result = run(Scenario((STEADY,)), 50.0, 300, script)
    assert script.at(105.0).pools["cpu"].ready == 3
    assert script.at(195.0).pools["cpu"].ready == 1
    assert result.tally.failed.sum() == 0
    assert int(result.tally.fine.sum()) == int(result.requests.sum())


def test_a_refresh_replaces_pods_one_by_one_each_by_one_that_is_ready() -> None:
    script = Script({0.0: {"cpu": (2, 1.0)}, 200.0: {"cpu": (2, 1.0)}})
    result = run(Scenario((replace(STEADY, refreshes=(60.0,)),)), 50.0, 360, script)
    # One more than desired from 60 s to 105 s and from 120 s to 165 s, and never one less that is ready.
    assert result.replicas["cpu"].tolist() == pytest.approx([2.0, 2.75, 2.75, 2.0, 2.0, 2.0], abs=0.02)
    assert min(seen.pools["cpu"].ready for seen in script.seen) == 2
    assert {seen.pools["cpu"].desired for seen in script.seen} == {2}
    assert result.tally.failed.sum() == 0
    shrinks = Script({60.0: {"cpu": (1, 1.0)}, 75.0: {"cpu": (1, 1.0)}})
    result = run(Scenario((replace(STEADY, refreshes=(60.0,)),)), 20.0, 360, shrinks)
    assert result.replicas["cpu"].tolist()[3:] == pytest.approx([1.0, 1.0, 1.0], abs=0.02)
    assert result.tally.failed.sum() == 0


def test_pods_that_find_no_node_stay_pending_until_there_is_one() -> None:
    gpu = replace(GPU_POOL, initial_replicas=1, startup_jitter_ratio=0.0, schedulable=((0.0, 1.0), (600.0, 60.0)))
    script = Script({60.0: {"gpu": (3, 1.0)}})
    result = run(Scenario((STEADY, gpu)), 100.0, 900, script)
    assert script.at(585.0).pools["gpu"].unschedulable == 2
    assert script.at(585.0).pools["gpu"].ready == 1
    assert script.at(615.0).pools["gpu"].unschedulable == 0
    assert script.at(780.0).pools["gpu"].ready == 3  # 600 s + 180 s
    assert result.replicas["gpu"][5] == pytest.approx(3.0)  # paid for from the order on
    free = run(Scenario((STEADY, gpu), charge_pending=False), 100.0, 900, Script(script.orders))
    assert free.replicas["gpu"][5] == pytest.approx(1.0)


def test_pods_lost_with_their_nodes_are_pending_again() -> None:
    gpu = replace(GPU_POOL, initial_replicas=3, schedulable=((0.0, 60.0), (120.0, 1.0)), cap_evicts=True)
    script = Script({})
    run(Scenario((STEADY, gpu)), 100.0, 300, script)
    assert script.at(120.0).pools["gpu"].ready == 3
    assert script.at(135.0).pools["gpu"].ready == 1
    assert script.at(135.0).pools["gpu"].unschedulable == 2


def test_traffic_follows_the_weights_of_the_ready_pools() -> None:
    gpu = replace(GPU_POOL, initial_replicas=1, initial_weight=3.0)
    script = Script({300.0: {"gpu": (1, 0.0)}, 600.0: {"gpu": (0, 9.0)}})
    run(Scenario((STEADY, gpu)), 100.0, 900, script)
    assert script.at(300.0).pools["gpu"].rate_per_second == pytest.approx(75.0, rel=0.05)
    assert script.at(600.0).pools["gpu"].rate_per_second == 0.0
    assert script.at(600.0).pools["cpu"].weight == 1.0
    late = script.at(885.0).pools
    assert late["gpu"].rate_per_second is None  # no pod is there to be scraped: unknown, not zero
    assert late["cpu"].rate_per_second == pytest.approx(100.0, rel=0.05)


def test_requests_fail_while_no_pod_is_ready() -> None:
    gpu = replace(GPU_POOL, initial_replicas=0, startup_jitter_ratio=0.0)
    result = run(Scenario((gpu,)), 20.0, 300, Script({0.0: {"gpu": (1, 1.0)}}))
    assert np.array_equal(result.tally.failed[:3], result.requests[:3])
    assert result.tally.failed[3:].sum() == 0
    assert result.over.tolist() == [True, True, True, False, False]
    assert math.isinf(result.p95_seconds[0])


def test_requests_that_wait_longer_than_the_client_does_have_failed() -> None:
    script = Script({})
    result = run(Scenario((replace(STEADY, initial_replicas=1),)), 320.0, 600, script)  # twice what one pod carries
    assert result.summary().failed_ratio == pytest.approx(0.5, abs=0.02)
    seen = script.at(585.0).pools["cpu"]
    assert seen.errors_per_second == pytest.approx(160.0, rel=0.05)
    assert seen.rate_per_second == pytest.approx(320.0, rel=0.05)
    assert seen.latency is not None
    assert seen.latency[math.inf] == pytest.approx(seen.rate_per_second)
    assert seen.utilisation_ratio == pytest.approx(1.0, abs=0.01)
    assert seen.queue is not None
    assert seen.queue > 100


def test_prometheus_shows_the_rates_of_its_window_and_nothing_while_blind() -> None:
    rates = np.concatenate([np.full(300, 40.0), np.full(300, 80.0)])
    script = Script({})
    simulate(Scenario((STEADY,), blind=((420.0, 510.0),)), rates, script, seed=2)
    assert script.at(15.0).pools["cpu"].rate_per_second is None  # one sample is no rate
    assert script.at(300.0).pools["cpu"].rate_per_second == pytest.approx(40.0, rel=0.1)
    # The newest of the four samples is 15 s old, so the first 45 s after a jump are seen after 60 s.
    assert script.at(330.0).pools["cpu"].rate_per_second == pytest.approx(40 + 40 / 3, rel=0.1)
    assert script.at(360.0).pools["cpu"].rate_per_second == pytest.approx(80.0, rel=0.1)
    for moment in (420.0, 495.0):
        blind = script.at(moment).pools["cpu"]
        assert (blind.desired, blind.ready) == (2, 2)
        assert blind.rate_per_second is None
        assert blind.latency is None
        assert blind.weight is None
    assert script.at(525.0).pools["cpu"].rate_per_second is None
    assert script.at(540.0).pools["cpu"].rate_per_second == pytest.approx(80.0, rel=0.2)


def test_utilisation_and_latency_are_those_of_the_load() -> None:
    script = Script({})
    result = run(Scenario((STEADY,)), 160.0, 1200, script)  # half of what two pods carry
    seen = script.at(1185.0).pools["cpu"]
    assert seen.utilisation_ratio == pytest.approx(0.5, abs=0.03)
    assert seen.latency is not None
    below = sum(result.tally.fine[-1, :50]) / result.tally.fine[-1].sum()
    assert seen.latency[0.05] / seen.latency[math.inf] == pytest.approx(below, abs=0.02)
    assert list(seen.latency.values()) == sorted(seen.latency.values())


def test_a_slower_model_has_less_capacity_from_then_on() -> None:
    slow = replace(STEADY, slowdown=((0.0, 1.0), (600.0, 1.3)))
    script = Script({})
    run(Scenario((slow,)), 160.0, 1200, script)
    before, after = script.at(600.0).pools["cpu"], script.at(1185.0).pools["cpu"]
    assert before.utilisation_ratio is not None
    assert after.utilisation_ratio == pytest.approx(1.3 * before.utilisation_ratio, rel=0.06)


def test_a_batching_pod_that_may_wait_makes_fuller_batches() -> None:
    def busy(max_wait_seconds: float) -> float:
        gpu = replace(GPU_POOL, initial_replicas=1, max_wait_seconds=max_wait_seconds)
        script = Script({})
        run(Scenario((gpu,)), 100.0, 300, script)
        seen = script.at(285.0).pools["gpu"].utilisation_ratio
        assert seen is not None
        return seen

    assert busy(0.05) < 0.5 * busy(0.0)


def test_gamma_bursts_keep_the_mean_and_widen_the_counts() -> None:
    hold = {"cpu": 4}, {"cpu": 1.0}
    fano = []
    for burst_cv in (0.0, 0.5):
        scenario = Scenario((replace(STEADY, initial_replicas=4),), burst_cv=burst_cv)
        result = simulate(scenario, np.full(24_000, 20.0), Static(scenario, *hold), seed=9)
        assert result.requests.mean() == pytest.approx(1200.0, rel=0.02)
        fano.append(float(result.requests.var() / result.requests.mean()))
    assert fano[0] == pytest.approx(1.0, abs=0.2)
    assert fano[1] == pytest.approx(1.0 + 1200 * 0.25 / 6, rel=0.2)  # six independent factors a minute


def test_a_run_can_be_given_up() -> None:
    scenario = Scenario((STEADY,))
    asked: list[tuple[int, int, float]] = []

    def enough(minutes: int, over: int, cost: float) -> bool:
        asked.append((minutes, over, cost))
        return minutes >= 120

    hold = Static(scenario, {"cpu": 2}, {"cpu": 1.0})
    result = simulate(scenario, np.full(14_400, 5.0), hold, give_up=enough)
    assert not result.finished
    assert asked[-1][0] == 120
    assert asked[-1][2] == pytest.approx(4.0, rel=0.01)


def test_a_load_that_is_none_is_refused() -> None:
    scenario = Scenario((STEADY,))
    for wrong in (np.array([]), np.array([1.0, np.nan]), np.array([-1.0])):
        with pytest.raises(ValueError, match="finite, non-negative"):
            simulate(scenario, wrong, Static(scenario, {}, {}))
