"""The baselines against their documentation, and the searches that use them."""

from dataclasses import replace

import numpy as np
import pytest

from recmodel.core.types import Observation, PoolObservation
from recmodel.lab.controllers.baselines import Hpa, Keda, Stabiliser, hpa_recommendation, keda_recommendation
from recmodel.lab.controllers.clairvoyant import capacity_table, clairvoyant
from recmodel.lab.controllers.hindsight import Search, best_in_hindsight, run_setting, slow_motion
from recmodel.lab.simulator.simulation import CPU_POOL, GPU_POOL, Scenario, simulate

pytestmark = pytest.mark.usefixtures("compiled_simulator")


@pytest.mark.parametrize(
    ("desired", "ready", "utilisation", "target", "expected", "why"),
    [
        (4, 4, 0.9, 0.6, 6, "a ratio of 1.5"),
        (4, 4, 0.2, 0.5, 2, "a ratio of 0.4: ceil(1.6)"),
        (10, 10, 0.65, 0.6, 10, "within the tolerance of 0.1"),
        (10, 10, 0.67, 0.6, 12, "beyond it: ceil(11.17)"),
        (6, 4, 0.9, 0.6, 6, "two starting pods count as idle: 4 x 0.9 / 6 is the target"),
        (5, 4, 0.9, 0.4, 9, "still above: ceil(4 x 2.25)"),
        (6, 4, 0.7, 0.6, 6, "the starting pods turn the change round"),
        (6, 4, 0.3, 0.6, 2, "on the way down only ready pods count"),
        (5, 0, None, 0.6, 5, "no metric, no change"),
    ],
)
def test_hpa_recommends_what_its_documentation_says(
    desired: int, ready: int, utilisation: float | None, target: float, expected: int, why: str
) -> None:
    seen = PoolObservation(desired, ready, utilisation_ratio=utilisation)
    assert hpa_recommendation(seen, target) == expected, why


def test_keda_divides_the_rate_by_the_target() -> None:
    assert keda_recommendation(PoolObservation(3, 3, rate_per_second=250.0), 60.0) == 5
    assert keda_recommendation(PoolObservation(4, 4, rate_per_second=250.0), 60.0) == 4  # 62.5 a replica: tolerated
    assert keda_recommendation(PoolObservation(3, 3), 60.0) == 3


def test_scale_up_is_limited_to_four_pods_or_double_in_fifteen_seconds() -> None:
    stabiliser = Stabiliser()
    sizes = [2]
    for tick in range(4):
        sizes.append(stabiliser.limit(15.0 * tick, sizes[-1], 100))
    assert sizes == [2, 6, 12, 24, 48]
    assert stabiliser.limit(50.0, 48, 100) == 48  # 5 s later: the policy's pods of this period are used up


def test_scale_down_waits_for_the_largest_recommendation_of_five_minutes() -> None:
    stabiliser = Stabiliser()
    wanted = {0.0: 10, 15.0: 4, 150.0: 7}
    sizes = {t: stabiliser.limit(t, 10, wanted.get(t, 4)) for t in np.arange(0.0, 600.0, 15.0)}
    assert sizes[285.0] == 10
    assert sizes[300.0] == 7
    assert sizes[435.0] == 7
    assert sizes[450.0] == 4


def test_keda_polls_every_thirty_seconds() -> None:
    scenario = Scenario((CPU_POOL,))
    keda = Keda(scenario, target_ratio=0.5)  # 80 requests/s a replica
    sizes = []
    for time, rate in ((0.0, 80.0), (15.0, 400.0), (30.0, 400.0)):
        seen = PoolObservation(1, 1, rate_per_second=rate)
        sizes.append(keda.decide(Observation(time, {"cpu": seen})).pools["cpu"].replicas)
    assert sizes == [1, 1, 5]


def test_a_pool_without_a_share_stays_at_its_minimum_and_one_with_a_share_never_goes_to_zero() -> None:
    scenario = Scenario()
    idle = {"cpu": PoolObservation(1, 1, utilisation_ratio=0.0), "gpu": PoolObservation(0, 0)}
    pools = Hpa(scenario, 0.7, 0.0).decide(Observation(0.0, idle)).pools
    assert (pools["cpu"].replicas, pools["gpu"].replicas, pools["gpu"].weight) == (1, 0, 0.0)
    pools = Hpa(scenario, 0.7, 0.4).decide(Observation(0.0, idle)).pools
    assert (pools["gpu"].replicas, pools["gpu"].weight) == (1, 0.4)
    with pytest.raises(ValueError, match="a fixed share"):
        Hpa(scenario, 0.7, 1.5)


@pytest.fixture(scope="module")
def small() -> Scenario:
    """Few replicas, a GPU that starts in a minute: quick to run."""
    return Scenario((replace(CPU_POOL, max_replicas=12), replace(GPU_POOL, max_replicas=3, startup_seconds=60.0)))


@pytest.fixture(scope="module")
def hour() -> np.ndarray:
    return 350.0 + 250.0 * np.sin(np.arange(5400) / 5400 * 2 * np.pi)


@pytest.fixture(scope="module")
def tables(small: Scenario) -> dict[str, np.ndarray]:
    return {pool.name: capacity_table(small, pool) for pool in small.pools}


def test_the_capacity_of_a_pool_is_what_it_carries_within_the_objective(
    small: Scenario, tables: dict[str, np.ndarray]
) -> None:
    cpu = tables["cpu"]
    assert cpu[0] == 0.0
    assert np.all(np.diff(cpu) > 0.0)
    assert 0.8 * 160 < cpu[1] < 160
    assert cpu[8] / 8 > cpu[1]  # least-request balancing pools the queues
    assert tables["gpu"][1] < small.pools[1].nominal_capacity_per_second()


def test_the_clairvoyant_mixes_the_pools_by_price(small: Scenario, tables: dict[str, np.ndarray]) -> None:
    cheap = replace(small, pools=(small.pools[0], replace(small.pools[1], price=1.5)))
    rates = np.repeat([50.0, 700.0, 1400.0], 60)
    mixes = {name: values.tolist() for name, values in clairvoyant(cheap, rates, tables).replicas.items()}
    assert mixes == {"cpu": [1, 1, 1], "gpu": [0, 1, 2]}
    lost = replace(cheap, pools=(cheap.pools[0], replace(cheap.pools[1], schedulable=((0.0, 3.0), (60.0, 0.0)))))
    mixes = {name: values.tolist() for name, values in clairvoyant(lost, rates, tables).replicas.items()}
    assert mixes == {"cpu": [1, 5, 9], "gpu": [0, 0, 0]}


def test_the_search_finds_the_best_point_of_the_grid(
    small: Scenario, hour: np.ndarray, tables: dict[str, np.ndarray]
) -> None:
    targets, shares = (0.5, 0.7, 0.9), (0.0, 0.7)
    grid = [run_setting(small, hour, "keda", target, share) for target in targets for share in shares]
    allowed = [point for point in grid if point.summary.minutes_over_ratio <= 0.02]
    expected = min(allowed, key=lambda point: point.summary.cost)
    floor = clairvoyant(small, hour, tables)
    search = Search(0.02, ("keda",), targets, shares, floor_cost_by_minute=floor.cost_by_minute)
    found = best_in_hindsight(small, hour, search)
    assert found == replace(expected, summary=replace(expected.summary, decide_seconds=found.summary.decide_seconds))
    assert floor.cost < found.summary.cost


def test_slow_motion_keeps_cost_and_minutes_over(small: Scenario, hour: np.ndarray) -> None:
    full = run_setting(small, hour, "hpa", 0.8, 0.0).summary
    slow = run_setting(slow_motion(small, 4.0), hour / 4.0, "hpa", 0.8, 0.0).summary
    assert slow.requests == pytest.approx(full.requests / 4.0, rel=0.01)
    assert slow.cost == pytest.approx(full.cost, rel=0.03)
    assert slow.late_ratio == pytest.approx(full.late_ratio, abs=0.003)
    quick = best_in_hindsight(small, hour, Search(0.02, ("hpa",), (0.6, 0.8), (0.0,), slower=4.0))
    assert quick is not None
    assert quick.summary.requests == full.requests  # what is found is run at full load


def test_no_setting_within_an_impossible_bound(small: Scenario) -> None:
    jump = np.concatenate([np.full(600, 100.0), np.full(300, 1500.0)])  # nothing that reacts starts pods in time
    assert best_in_hindsight(small, jump, Search(0.0, ("hpa",), (0.8, 0.9), (0.0,))) is None


def test_default_hpa_keeps_a_calm_hour_within_the_objective(small: Scenario, hour: np.ndarray) -> None:
    summary = simulate(small, hour, Hpa(small, 0.7, 0.0)).summary()
    assert summary.minutes_over == 0
    assert summary.scalings > 3
