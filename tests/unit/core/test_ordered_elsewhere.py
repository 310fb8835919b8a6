"""No pool has a ready replica, and what is ordered finds no node: another pool is asked, and let go when the first is there."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from builders.scarce_nodes import STARTUP_SECONDS, TICK_SECONDS, cluster
from recmodel.core import reasons
from recmodel.core.memory import begin
from recmodel.core.plan.limits import UNPLACED_PATIENCE_SECONDS
from recmodel.core.types import Pool

CPU, GPU, TPU = Pool("cpu", 1, 6, 1.0), Pool("gpu", 0, 2, 4.0), Pool("tpu", 0, 2, 9.0)


@pytest.mark.parametrize("unknown", [None, 0.0])
def test_a_new_model_whose_pods_find_no_node_is_served_by_the_other_pool(unknown: float | None) -> None:
    one = cluster(CPU, GPU, unknown=unknown, gpu=2)
    one.run(UNPLACED_PATIENCE_SECONDS / 60 - 0.25)
    assert one.desired == {"cpu": 1, "gpu": 0}, "a node may become free in a moment"
    one.run(1.0, until=lambda: one.desired["gpu"] > 0)
    assert one.desired == {"cpu": 1, "gpu": 1}
    said = one.decided[-1].pools["gpu"].bound
    assert said is not None
    assert said.reason == reasons.ORDERED_ELSEWHERE
    assert "no pool has a ready replica" in said.message
    one.run(60.0, until=lambda: one.ready("gpu") > 0)
    assert one.ticks * TICK_SECONDS <= UNPLACED_PATIENCE_SECONDS + STARTUP_SECONDS + 3 * TICK_SECONDS
    for _ in range(240):
        one.tick()
        assert one.ready("gpu") > 0, one.ticks
        assert one.desired["gpu"] <= 2


def test_a_model_that_served_and_lost_its_only_pool_is_served_by_the_other() -> None:
    one = cluster(CPU, GPU, cpu=6, gpu=2)
    one.load_per_second = 300.0
    one.run(60.0)
    assert one.ready("cpu") >= 3
    assert one.desired["gpu"] == 0
    one.nodes = {"cpu": 0, "gpu": 2}
    one.run(UNPLACED_PATIENCE_SECONDS / 60 + STARTUP_SECONDS / 60 + 0.75)
    assert one.ready("gpu") > 0


def test_a_model_that_served_and_lost_all_its_pods_keeps_what_it_knew_and_has() -> None:
    one = cluster(CPU, replace(CPU, name="spare", min_replicas=1), unknown=0.0, cpu=6, spare=6)
    one.load_per_second = 300.0
    one.run(60.0)
    before, forecast = dict(one.desired), one.decided[-1].forecast["cpu"]
    spent = one.decided[-1].latency_budget
    one.nodes = {"cpu": 0, "spare": 0}
    one.run(8.0)  # the pods are not given up yet
    assert one.ready("cpu") + one.ready("spare") == 0
    assert one.decided[-1].state == "Holding"
    why = one.decided[-1].reasons[0]
    assert why.reason == reasons.NO_READY_POOL
    assert "no pool has a ready replica: the load has been unknown for 4" in why.message
    assert one.decided[-1].forecast["cpu"].upper_per_second > 0.8 * forecast.upper_per_second, "no zero is learned"
    after = one.decided[-1].latency_budget
    assert spent is not None
    assert after is not None
    assert (after.over_minutes, after.known_minutes) == (spent.over_minutes, spent.known_minutes)
    one.nodes = {"cpu": 6, "spare": 6}
    one.run(5.0, until=lambda: one.ready("cpu") > 0)
    for tick in range(40):
        one.load_per_second = 75.0 * min(1 + tick, 4)  # the rate window still holds some of the outage
        one.tick()
        assert all(one.desired[name] >= before[name] for name in before), tick
    assert one.decided[-1].state in ("Tracking", "Learning")


def test_a_new_model_whose_pods_start_has_no_load_of_zero() -> None:
    one = cluster(CPU, unknown=0.0)
    one.run(5.0)
    assert {decision.state for decision in one.decided} == {"Holding"}
    assert {decision.reasons[0].reason for decision in one.decided} == {reasons.NO_READY_POOL}
    assert one.desired == {"cpu": 1}


@pytest.mark.parametrize("unknown", [None, 0.0])
def test_it_is_let_go_once_the_first_pool_is_ready_and_never_comes_back(unknown: float | None) -> None:
    one = cluster(CPU, GPU, unknown=unknown, gpu=2)
    one.run(20.0)
    assert one.ready("gpu")
    one.nodes["cpu"] = 6
    one.run(90.0)
    assert (one.ready("cpu") > 0, one.desired["gpu"]) == (True, 0)
    changes = sum(
        a.pools["gpu"].replicas != b.pools["gpu"].replicas for a, b in zip(one.decided, one.decided[1:], strict=False)
    )
    assert changes <= 4, "it does not flap"


def test_a_node_that_comes_while_the_other_pool_starts_takes_the_load_and_the_other_goes() -> None:
    one = cluster(CPU, GPU, gpu=2)
    one.run(2.0, until=lambda: one.desired["gpu"] > 0)
    one.nodes["cpu"] = 6
    one.run(60.0)
    assert (one.ready("cpu") > 0, one.desired["gpu"]) == (True, 0)


def test_of_three_pools_the_next_is_asked_where_the_cheaper_finds_no_node_either() -> None:
    one = cluster(CPU, GPU, TPU, tpu=2)
    one.run(2 * UNPLACED_PATIENCE_SECONDS / 60 + 0.5, until=lambda: one.desired["tpu"] > 0)
    assert one.desired == {"cpu": 1, "gpu": 1, "tpu": 1}
    one.run(60.0, until=lambda: one.ready("tpu") > 0)
    assert one.ticks * TICK_SECONDS <= 2 * UNPLACED_PATIENCE_SECONDS + STARTUP_SECONDS + 4 * TICK_SECONDS
    one.run(15.0)
    assert one.ready("tpu") > 0
    assert one.desired["gpu"] == 0, "what waits in vain is taken back"
    one.nodes["cpu"] = 6
    one.run(90.0)
    assert (one.ready("cpu") > 0, one.desired["gpu"], one.desired["tpu"]) == (True, 0, 0)


def test_what_starts_slowly_elsewhere_stays_while_the_first_pool_is_given_up_and_tried_again() -> None:
    one = cluster(CPU, GPU, gpu=1)
    one.run(2.0, until=lambda: one.desired["gpu"] > 0)
    for _ in range(160):  # the image of the other pool takes forty minutes
        one.placed["gpu"] = [math.inf]
        one.tick()
        assert one.desired["gpu"] == 1, one.ticks
        assert one.desired["cpu"] == 1, one.ticks


@pytest.mark.parametrize(
    "other",
    [replace(GPU, max_replicas=0), replace(GPU, accuracy_loss_ratio=None), replace(GPU, traffic_limit_ratio=0.0)],
    ids=["maximum", "never measured", "rolled back"],
)
def test_a_pool_that_may_have_none_or_may_answer_nothing_is_not_asked(other: Pool) -> None:
    cpu = replace(CPU, accuracy_loss_ratio=0.0)
    one = cluster(cpu, other, gpu=2)
    one.model = replace(one.model, accuracy_budget_ratio=0.01)
    one.memory = begin([one.model])
    one.run(40.0)
    assert all(decision.pools["gpu"].replicas == 0 for decision in one.decided)


def test_no_pool_is_asked_while_a_pod_of_what_is_ordered_has_its_node() -> None:
    one = cluster(replace(CPU, min_replicas=2), GPU, cpu=1, gpu=2)
    for _ in range(20):  # it starts for ever
        one.placed["cpu"] = [math.inf]
        one.tick()
    assert one.desired["gpu"] == 0


def test_recommend_changes_nothing_and_says_what_it_would_do() -> None:
    one = cluster(CPU, GPU, gpu=2)
    one.model = replace(one.model, acts=False)
    one.memory = begin([one.model])
    one.run(5.0)
    assert one.desired == {"cpu": 1, "gpu": 0}
    assert one.why("gpu") == reasons.MODE_RECOMMEND
