"""What the demo costs, and what a plain HPA would have cost."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from builders import demo_scenes as demo
from watch.money import HpaRules, plain_hpa
from watch.scene import Past, filled, hpa_rules


def test_a_replica_costs_from_when_it_is_asked_for() -> None:
    past = Past(demo.START)
    for second in (-2.0, 0.0, 1800.0, 3600.0):  # one hour: 2 cpu at 1.0 and 1 gpu at 1.6
        past.add(demo.snapshot(second))
    assert past.spent() == pytest.approx(3.6)


def test_the_cost_is_unknown_once_a_pools_replicas_were() -> None:
    past = Past(demo.START)
    whole = demo.snapshot(0.0)
    past.add(replace(whole, pools=(replace(whole.pools[0], desired=None), whole.pools[1])))
    past.add(demo.snapshot(10.0))
    assert past.spent() is None


RULES = HpaRules(
    full_per_replica=30.0,
    capacity_per_replica=30.0,
    startup_seconds=20.0,
    start_replicas=2,
    min_replicas=1,
    max_replicas=6,
    cost_per_hour=1.0,
)


def test_a_plain_hpa_adds_at_once_and_gets_the_pods_after_their_start() -> None:
    run = plain_hpa([100.0] * 60, RULES)
    assert run.desired[0] == 5, "2 x (100/60) / 0.7 = 4.8"
    assert (run.ready[19], run.ready[20]) == (2, 5)
    assert run.short_seconds([100.0] * 60) == 20
    assert run.cost()[-1] == pytest.approx(5 * 60 / 3600)


def test_a_plain_hpa_keeps_what_it_has_for_300_s_and_within_the_limits() -> None:
    run = plain_hpa([1000.0] * 60 + [10.0] * 400, RULES)
    assert run.desired[59] == 6
    assert run.desired[330] == 6, "the largest recommendation of the last 300 s holds"
    assert run.desired[-1] == 1


def test_a_plain_hpa_stays_while_the_load_is_unknown() -> None:
    assert set(plain_hpa([math.nan] * 60, RULES).desired) == {2}


def test_the_computed_hpa_needs_a_capacity_and_a_startup_time_that_were_found() -> None:
    seen = demo.snapshot(0.0)
    rules = hpa_rules(demo.MODEL, demo.DEVICES, [seen], {"cpu": 3})
    assert rules == HpaRules(pytest.approx(0.1 * 36.0 / 0.12), 25.0, 12.0, 3, 1, 6, 1.0)
    blind = replace(seen, pools=tuple(replace(pool, capacity_per_replica=None) for pool in seen.pools))
    assert hpa_rules(demo.MODEL, demo.DEVICES, [blind], {"cpu": 3}) is None
    assert hpa_rules(demo.MODEL, demo.DEVICES, [seen, blind], {"cpu": 3}) == rules, "the newest one that is known"
    idle = replace(seen, pools=tuple(replace(pool, cores_used=None) for pool in seen.pools))
    assert hpa_rules(demo.MODEL, demo.DEVICES, [idle], {"cpu": 3}) is None, "an HPA goes by the CPU that is used"
    twice = replace(seen, pools=tuple(replace(p, load_per_second=12.0, cores_used=0.12) for p in seen.pools))
    both = hpa_rules(demo.MODEL, demo.DEVICES, [seen, twice], {"cpu": 3})
    assert both is not None
    assert both.full_per_replica == pytest.approx(0.1 * 48.0 / 0.24), "of all that was measured"


def test_gaps_keep_the_value_before() -> None:
    values = filled({1: 5.0, 4: 7.0})
    assert math.isnan(values[0])
    assert values[1:] == [5.0, 5.0, 5.0, 7.0]
