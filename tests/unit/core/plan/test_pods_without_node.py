"""Some pods of a pool that serves find no node: they keep nobody from releasing others."""

from __future__ import annotations

import pytest

from builders.scarce_nodes import TICK_SECONDS, Cluster, cluster
from recmodel.core.types import Pool

CPU = Pool("cpu", 1, 10, 1.0)


def short_of_nodes(load_per_second: float) -> Cluster:
    """Four pods have a node, and more are wanted."""
    one = cluster(CPU, cpu=4)
    one.load_per_second = 200.0
    one.run(30.0)
    one.load_per_second = load_per_second
    one.run(15.0, until=lambda: one.desired["cpu"] > 4)
    one.run(1.0)
    assert (one.ready("cpu"), one.desired["cpu"] > 4) == (4, True)
    return one


@pytest.mark.parametrize("falls_to", [0.0, 60.0])
def test_where_fewer_are_wanted_than_have_a_node_the_release_waits_for_no_node(falls_to: float) -> None:
    one = short_of_nodes(380.0)
    one.load_per_second = falls_to
    one.run(5.0, until=lambda: one.desired["cpu"] < 4)
    assert one.desired["cpu"] < 4, one.why("cpu")
    one.run(5.0)
    assert one.desired["cpu"] <= 2


def test_where_all_that_have_a_node_are_wanted_the_others_go_on_waiting() -> None:
    one = short_of_nodes(380.0)
    ordered = one.desired["cpu"]
    one.run(7.0)
    assert one.desired["cpu"] == ordered
    one.nodes["cpu"] = 10
    one.run(2.0)
    assert one.ready("cpu") == ordered


def test_a_pod_that_has_a_node_and_is_not_ready_is_still_waited_for() -> None:
    one = short_of_nodes(380.0)
    one.load_per_second = 60.0
    one.run(2.0, until=lambda: "waits until all" in one.said("cpu"))
    for _ in range(20):
        one.placed["cpu"][-1] = one.ticks * TICK_SECONDS  # its container starts again and again
        one.tick()
        assert one.desired["cpu"] >= 4, one.said("cpu")
    assert "3 of " in one.said("cpu")
    one.run(5.0)
    assert one.desired["cpu"] < 4
