"""What the demo's live view counts as spent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from builders import demo_scenes as demo
from watch.scene import Past


def test_a_replica_costs_from_when_it_is_asked_for() -> None:
    past = Past(demo.START)
    for second in (-2.0, 0.0, 1800.0, 3600.0):  # one hour: 2 cpu at 1.0 and 1 gpu at 1.6
        past.add(demo.snapshot(second))
    assert past.spent() == pytest.approx(3.6)


def test_the_warm_up_costs_nothing() -> None:
    past = Past(demo.START, counts_from=900)
    for second in (-2.0, 1800.0, 3600.0):
        past.add(demo.snapshot(second))
    assert past.spent() == pytest.approx(0.75 * 3.6)


def test_what_was_seen_before_the_start_was_known_counts_from_the_start() -> None:
    past = Past(None)
    past.add(demo.snapshot(-2.0))
    past.add(demo.snapshot(1800.0))
    assert (past.spent(), past.elapsed_seconds) == (0.0, None)
    past.starts_at(demo.START)
    past.add(demo.snapshot(3600.0))
    assert past.spent() == pytest.approx(3.6)
    assert past.elapsed_seconds == 3600.0
    assert set(past.loads) == {1800, 3600}


def test_the_cost_is_unknown_once_a_pools_replicas_were() -> None:
    past = Past(demo.START)
    whole = demo.snapshot(0.0)
    past.add(replace(whole, pools=(replace(whole.pools[0], desired=None), whole.pools[1])))
    past.add(demo.snapshot(10.0))
    assert past.spent() is None
