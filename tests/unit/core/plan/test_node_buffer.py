"""Nodes that are asked for ahead of need: for the upper forecast at the time that a new node takes, less what is decided."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.any_model import days, examples, models
from builders.closed_loop import World, play, steps, workers
from recmodel.core.arrays.fleet import pack
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.plan.node_buffer import beside, empty, held, startup_on_new_node
from recmodel.core.types import Decision, Model, NodeBuffer, Observation, Pool

LEAD_SECONDS, WINDOW_TICKS = 180.0, 4.0
NAN = math.nan


@pytest.mark.parametrize(
    ("wanted", "decided", "most", "replicas"),
    [
        (8.0, 5, 20, 3.0),
        (5.0, 8, 20, 0.0),  # never below 0
        (8.0, 5, 6, 1.0),  # replicas and nodes ahead of them stay within the maximum
        (8.0, 9, 6, 0.0),  # what was there before us may be more than that
        (0.0, 0, 5, 0.0),
        (NAN, 5, 20, NAN),  # unknown is not zero
    ],
)
def test_nodes_are_asked_for_beside_what_is_decided(wanted: float, decided: int, most: int, replicas: float) -> None:
    found = beside(np.array([[wanted]]), np.array([[decided]]), np.array([[most]]))[0, 0]
    assert found == pytest.approx(replicas, nan_ok=True)


counts = st.integers(0, 40)


@given(counts, counts, counts, counts)
@examples
def test_more_need_never_asks_for_fewer_nodes_and_never_for_more_than_the_limit(
    less: int, more: int, decided: int, most: int
) -> None:
    low, high = (
        beside(np.array([[float(n)]]), np.array([[decided]]), np.array([[most]]))[0, 0] for n in sorted((less, more))
    )
    assert 0.0 <= low <= high
    assert high == 0.0 or decided + high <= most


@pytest.mark.parametrize(
    ("needs", "standing", "holds"),
    [
        ([3, 5, 4], NAN, [3, 5, 5]),  # up at once, down not
        ([5, 2, 3, 2, 2, 2], NAN, [5, 5, 5, 5, 5, 3]),  # the largest of the time in which it was lower
        ([5, 2, 2, 2, 5, 2, 2, 2], NAN, [5] * 8),  # one that comes back begins it again
        ([5, 2, NAN, NAN, NAN, 2, 2, 2, 2], NAN, [5, 5, 5, 5, 5, 5, 5, 5, 2]),  # unknown counts as neither
        ([NAN, NAN, 3], NAN, [NAN, NAN, 3]),
        ([NAN, 3, 3, 3, 3, 3], 7.0, [NAN, 7, 7, 7, 7, 3]),  # what another process asked for is held, and not for ever
        ([9], 7.0, [9]),
        ([0, 0], NAN, [0, 0]),
    ],
)
def test_a_need_stays_for_as_long_as_a_new_node_takes(needs: list[float], standing: float, holds: list[float]) -> None:
    memory, asks, found = empty(1, 1), np.array([[True]]), []
    for need in needs:
        memory = held(memory, asks, np.array([[need]]), np.array([[standing]]), np.array([[WINDOW_TICKS]]))
        found.append(memory.held[0, 0])
    assert found == pytest.approx(holds, nan_ok=True)
    out = held(memory, ~asks, np.array([[1.0]]), np.array([[standing]]), np.array([[WINDOW_TICKS]]))
    assert np.isnan(out.held).all(), "one that asks for no buffer holds nothing"


@pytest.mark.parametrize(
    ("lead", "shown", "warm_up", "seconds"),
    [
        (LEAD_SECONDS, NAN, 0.0, 225.0),  # the usual start-up, and the node
        (LEAD_SECONDS, 130.0, 0.0, 130.0),  # as pods have shown
        (LEAD_SECONDS, 130.0, 60.0, 190.0),
        (LEAD_SECONDS, 10.0, 0.0, 45.0),  # a node never makes a pod start sooner
        (None, 130.0, 0.0, 45.0),
    ],
)
def test_what_a_replica_takes_on_a_new_node_is_measured_where_it_can_be(
    lead: float | None, shown: float, warm_up: float, seconds: float
) -> None:
    pool = Pool("cpu", 1, 9, 1.0, warm_up_seconds=warm_up, node_lead_seconds=lead)
    fleet = pack([Model("shop/feed", 0.95, 0.1, (pool,))], 15.0, 60.0)
    assert startup_on_new_node(fleet, np.array([[45.0]]), np.array([[shown]]))[0, 0] == seconds


def world(seconds: float = 3600.0, lead: float | None = LEAD_SECONDS, most: int = 40, **more: object) -> World:
    kind = workers(most=most)
    kind = replace(kind, pool=replace(kind.pool, node_lead_seconds=lead))
    return World((kind,), (4,), more.pop("load", 400.0), seconds, **more)  # type: ignore[arg-type]


def lived(world: World) -> list[Decision]:
    play({"feed": world})
    return world.decisions


def buffers(decisions: list[Decision]) -> list[NodeBuffer]:
    return [decision.node_buffers["cpu"] for decision in decisions]


def test_a_rise_is_ahead_of_its_nodes_and_a_fall_gives_them_back_later() -> None:
    """The load doubles for 20 minutes. What is asked for is what the plan wants for the larger forecast of a longer horizon."""
    rises_at, falls_at = 2400.0, 3600.0
    decisions = lived(world(6000.0, load=steps(400.0, 800.0, rises_at, falls_at)))
    totals = [(d.time_seconds, d.pools["cpu"].replicas + (d.node_buffers["cpu"].replicas or 0)) for d in decisions]
    before = [n for t, n in totals if rises_at - 600.0 < t < rises_at]
    replicas = [d.pools["cpu"].replicas for d in decisions if rises_at - 600.0 < d.time_seconds < rises_at]
    assert max(before) > max(replicas), "nodes for more than runs"
    after = [d for d in decisions if falls_at < d.time_seconds < falls_at + 180.0]
    peak = max(n for t, n in totals if rises_at + 300.0 < t < falls_at)
    assert all(d.pools["cpu"].replicas + (d.node_buffers["cpu"].replicas or 0) >= 0.8 * peak for d in after)
    assert totals[-1][1] < 0.75 * peak
    assert buffers(decisions)[-1].horizon_seconds == 45.0 + LEAD_SECONDS + 15.0 + 40.0
    for decision in decisions:
        found, replicas = decision.node_buffers["cpu"], decision.pools["cpu"].replicas
        told = re.search(r"(\d+) are decided: nodes for (\d+) more", found.reason.message)
        assert told is not None or found.replicas is None
        assert told is None or (int(told[1]), int(told[2])) == (replicas, found.replicas)


def test_a_pool_that_asks_for_none_has_none_and_decides_the_same() -> None:
    asked, unasked = lived(world(1800.0)), lived(world(1800.0, lead=None))
    assert [d.pools for d in asked] == [d.pools for d in unasked]
    assert all(decision.node_buffers == {} for decision in unasked)
    assert [replace(d, node_buffers={}) for d in asked] == unasked


def test_nothing_is_known_until_a_capacity_is_and_what_is_known_stays_while_the_load_is_not() -> None:
    blind_from, blind_until = 1800.0, 3000.0
    decisions = lived(world(3600.0, blind=(blind_from, blind_until)))
    first = buffers(decisions)[0]
    assert (first.replicas, first.reason.reason) == (None, "NodeBufferUnknown")
    seen = [d for d in decisions if d.time_seconds <= blind_from][-1]
    total = seen.pools["cpu"].replicas + (seen.node_buffers["cpu"].replicas or 0)
    blind = [d for d in decisions if blind_from < d.time_seconds <= blind_until]
    assert len(blind) > 70
    for decision in blind:
        found = decision.node_buffers["cpu"]
        assert found.reason.reason == "NodeBufferUnknown"
        assert found.replicas == max(0, total - decision.pools["cpu"].replicas)


def test_a_process_that_begins_again_holds_what_stands() -> None:
    """Another process has asked for nodes for 9; this one would need fewer, and gives them back after the time of a node."""
    one = world(1800.0)
    memory = begin([one.model()])
    totals = []
    while one.now < one.seconds:
        one.serve()
        seen = one.observe()
        memory, decisions = step(
            memory, [replace(seen, pools={"cpu": replace(seen.pools["cpu"], buffered=9)})], one.now
        )
        one.obey(decisions[0])
        decided = decisions[0]
        if (spare := decided.node_buffers["cpu"].replicas) is not None:
            totals.append((one.now, spare + decided.pools["cpu"].replicas, decided.node_buffers["cpu"].reason.reason))
    began = totals[0][0]
    held_for = [t - began for t, n, _ in totals if n >= totals[0][1]]
    assert totals[0][1] >= 13
    assert totals[0][2] == "NodeBufferHeld"
    assert LEAD_SECONDS < max(held_for) < 2 * (LEAD_SECONDS + 45.0)
    assert totals[-1][1] < 13


def test_at_its_maximum_a_pool_asks_for_no_nodes_and_says_so() -> None:
    last = buffers(lived(world(3600.0, most=4)))[-1]
    assert last.replicas == 0
    assert last.reason.message.endswith("4 are decided: nodes for 0 more, as replicas.max is 4")


@given(st.data())
@examples
def test_whatever_is_seen_what_is_asked_for_is_within_the_limits(data: st.DataObject) -> None:
    model = data.draw(models())
    leads = [data.draw(st.sampled_from([None, 60.0, 600.0])) for _ in model.pools]
    pools = tuple(replace(p, node_lead_seconds=lead) for p, lead in zip(model.pools, leads, strict=True))
    memory, plain = begin([replace(model, pools=pools)]), begin([model])
    for seen in data.draw(days(model, wild=True)):
        spare = data.draw(st.sampled_from([None, 0, 3, 10**6]))
        node = data.draw(st.sampled_from([None, 200.0, NAN, -1.0, 1e12]))
        told = {n: replace(p, buffered=spare, node_startup_seconds=node) for n, p in seen.pools.items()}
        memory, decisions = step(memory, [Observation(seen.time_seconds, told)], seen.time_seconds)
        plain, others = step(plain, [seen], seen.time_seconds)
        decision = decisions[0]
        assert replace(decision, node_buffers={}) == others[0], "what runs does not depend on it"
        assert decision.node_buffers.keys() == {pool.name for pool in pools if pool.node_lead_seconds is not None}
        for name, found in decision.node_buffers.items():
            most = next(pool.max_replicas for pool in pools if pool.name == name)
            assert (
                found.horizon_seconds >= decision.forecast[name].horizon_seconds if name in decision.forecast else True
            )
            assert "nan" not in found.reason.message
            if found.replicas:
                assert 0 < found.replicas <= most - decision.pools[name].replicas
