"""The status: what is said, what is worth writing, and what is read again."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest

from builders.status_scene import NOW, SPEC, STATE, decision, reading, status, tracked, with_records
from builders.variant_records import config_map, record
from recmodel.api.status import RecModelStatus
from recmodel.controller.recalled import Recalled, recall
from recmodel.controller.status_refresh import AT_ONCE, RefreshPace, StatusRefresh
from recmodel.core.engine import step
from recmodel.core.memory import begin
from recmodel.core.types import LatencyBudgetUse, Model, Observation, Pool, PoolObservation
from recmodel.prometheus import Bracket
from recmodel.report.explain import explain
from recmodel.report.status import as_object, worth_writing, written_status


def test_a_healthy_model_in_all_its_numbers() -> None:
    found = status()
    assert {c.type: (c.status, c.reason) for c in found.conditions} == {
        "Ready": ("True", "Serving"),
        "ObjectiveMet": ("True", "WithinObjective"),
        "MetricsAvailable": ("True", "MetricsFound"),
        "CapacityAvailable": ("True", "AllScheduled"),
        "Progressing": ("False", "Settled"),
        "Degraded": ("False", "AsWished"),
    }
    assert as_object(found)["pools"] == [
        {
            "name": "cpu", "desired": 3, "ready": 3, "weight": 1000, "loadPerSecond": "100", "withinThreshold": "97.0%",
            "latencyPercentile": "50ms-100ms", "capacityPerReplica": "40.0",
            "plannedPerReplica": "38.0", "startupSeconds": "40", "unschedulable": 0,
            "decision": {"proposedReplicas": 3},
        }
    ]  # fmt: skip
    assert found.last_decision_time == "2026-01-02T03:04:05Z"
    assert (found.replicas, found.load_per_second, found.cost_per_hour) == ("cpu 3/3", "100", "3.00")
    assert [(f.pool, f.seconds, f.p50_per_second, f.upper_per_second) for f in found.forecast] == [
        ("cpu", 76, "120", "150")
    ]
    assert all(c.observed_generation == 2 for c in found.conditions)


def test_ready_pods_that_warm_are_counted_where_the_pool_has_a_warm_up() -> None:
    warms = SPEC.model_copy(update={"pools": [SPEC.pools[0].model_copy(update={"warm_up": "2m"})]})
    now = NOW.timestamp()
    for ages, warming in (((10.0, 119.0, 120.0), 2), ((-3.0, 500.0), 1), ((), 0)):
        state = replace(STATE, ready_since=tuple(now - age for age in ages))
        found = status(tracked(spec=warms), {"cpu": state})
        assert (found.pools[0].warming, found.pools[0].ready) == (warming, 3)
        assert status(pools={"cpu": state}).pools[0].warming is None
        told = {"kind": "RecModel", "metadata": {"name": "feed"}, "status": as_object(found)}
        assert (f"3 of 3 ready ({warming} warming)" in explain(json.dumps(told))) == (warming > 0)


def test_noise_is_not_worth_a_write() -> None:
    first = status()
    noisy = tracked(reading=reading(Bracket(0.971, 0.971), 104.0), decision=decision(capacity=41.0))
    assert not worth_writing(status(noisy, now=NOW + timedelta(hours=1), written=first), first)


@pytest.mark.parametrize(
    "changed",
    [
        status(tracked(reading=reading(rate=150.0))),
        status(tracked(reading=reading(Bracket(0.9, 0.9)))),
        status(pools={"cpu": replace(STATE, ready=2)}),
        status(tracked(generation=3)),
        status(tracked(decision=decision(4))),
        status(tracked(decision=decision(reason="ForecastRise"))),
        status(tracked(decision=decision(capacity=60.0))),
    ],
)
def test_what_changed_is_worth_a_write(changed: RecModelStatus) -> None:
    assert worth_writing(changed, status())


def test_one_replica_of_many_is_worth_a_write() -> None:
    many, more = replace(STATE, ready=100), replace(STATE, ready=101)
    assert worth_writing(status(pools={"cpu": more}), status(pools={"cpu": many}))


def test_past_decisions_are_kept_newest_first_and_only_where_replicas_changed() -> None:
    found = status()
    for replicas in (3, 4, 4, 5, 6, 7, 8, 9, 8, 7, 6, 5, 4):
        found = status(tracked(decision=decision(replicas)), written=found)
    assert [d.replicas["cpu"] for d in found.decisions] == [4, 5, 6, 7, 8, 9, 8, 7, 6, 5]


def test_where_nothing_may_change_each_other_proposal_is_kept() -> None:
    found = status()
    for state in ("Paused", "Recommending", "Tracking"):
        for proposed in (3, 4, 4, 5):
            proposing = replace(decision(state=state), proposed_replicas={"cpu": proposed})
            found = status(tracked(decision=proposing), written=found)
    assert [(d.state, d.proposed_replicas) for d in found.decisions[:7]] == [
        ("Tracking", {"cpu": 3}), ("Recommending", {"cpu": 5}), ("Recommending", {"cpu": 4}), ("Recommending", {"cpu": 3}),
        ("Paused", {"cpu": 5}), ("Paused", {"cpu": 4}), ("Paused", {"cpu": 3}),
    ]  # fmt: skip


def test_what_was_written_is_read_back_as_the_same() -> None:
    found = status()
    assert written_status({"status": as_object(found)}) == found
    assert written_status({"status": {"conditions": 5}}) == RecModelStatus()
    assert written_status({}) == RecModelStatus()


def test_the_status_says_where_each_variants_accuracy_is_from() -> None:
    full, int8 = status(with_records(config_map(record()))).variants
    assert (full.value, full.interval, full.loss, full.source) == ("0.81", None, "0.00%", "spec")
    assert (int8.version, int8.value, int8.interval) == ("7", "0.8", "0.79-0.81")
    assert (int8.loss, int8.source) == ("1.23%", "ConfigMap feed-variants")


def test_another_record_that_is_refused_is_said_though_the_reason_is_the_same() -> None:
    first, second = (status(with_records(config_map(record(**bad)))) for bad in ({"value": "good"}, {"metric": 7}))
    assert worth_writing(second, first)
    assert not worth_writing(first, first)


def test_another_version_is_never_noise() -> None:
    first, second = (status(with_records(config_map(record(version=v)))) for v in ("1000", "1001"))
    assert worth_writing(second, first)


def test_what_is_left_of_the_accuracy_budget_is_said_and_read_again() -> None:
    found = status(tracked(decision=replace(decision(), accuracy_budget_left_ratio=0.617)))
    assert found.accuracy_budget_left == "62%"
    assert recall({"status": as_object(found)}, Recalled(), 0.0).budget_left_ratio == 0.62
    assert recall({"status": {"accuracyBudgetLeft": 7}}, Recalled(), 0.0).budget_left_ratio is None


def test_what_is_left_of_the_latency_budget_is_said_and_read_again() -> None:
    used = LatencyBudgetUse(over_minutes=3.3, allowed_minutes=50.4, known_minutes=600.0, left_ratio=0.935)
    found = status(tracked(decision=replace(decision(), latency_budget=used)))
    assert found.latency_budget_left == "94%"
    assert recall({"status": as_object(found)}, Recalled(), 0.0).latency_budget_left_ratio == 0.94
    for unknown in (None, "-3%", "much", 7):
        assert recall({"status": {"latencyBudgetLeft": unknown}}, Recalled(), 0.0).latency_budget_left_ratio is None
    assert status(tracked(decision=decision())).latency_budget_left is None


@pytest.mark.parametrize(
    ("models", "pace"),
    [
        (1, RefreshPace(15.0, 10.0)),
        (1000, RefreshPace(15.0, 10.0)),
        (300, RefreshPace(30.0, 10.0)),  # ticks so long that the allowance of one is less than what fills between two
        (200, RefreshPace(300.0, 10.0)),
        (60, RefreshPace(15.0, 0.5)),  # few writes a second are allowed
    ],
    ids=str,
)
def test_the_time_of_the_last_decision_alone_is_written_so_rarely_that_all_find_room(
    models: int, pace: RefreshPace
) -> None:
    @cache
    def at(seconds: float) -> RecModelStatus:
        return written.model_copy(update={"last_decision_time": (NOW + timedelta(seconds=seconds)).isoformat()})

    written = status(tracked(decision=decision()))
    assert not worth_writing(at(86400.0), at(0.0))
    refreshes = StatusRefresh(pace)
    last, writes, oldest = dict.fromkeys(range(models), 0.0), 0, 0.0
    span_seconds = 10 * pace.oldest_seconds(models)
    ticks = [pace.tick_seconds * tick for tick in range(1, int(span_seconds / pace.tick_seconds))]
    for now in ticks:
        for model in range(models):
            oldest = max(oldest, now - last[model])
            if refreshes.due(at(now), at(last[model]), models, now):
                last[model], writes = now, writes + 1
    assert writes <= min(models * (ticks[-1] / 60.0), pace.per_second * ticks[-1] + AT_ONCE)
    assert oldest <= pace.oldest_seconds(models)


def test_a_model_that_is_not_decided_on_keeps_the_time_of_its_last_decision() -> None:
    written = status(tracked())
    assert status(tracked(decision=None), written=written).last_decision_time == written.last_decision_time
    assert not StatusRefresh(RefreshPace(15.0, 10.0)).due(status(tracked(decision=None)), written, 1, 0.0)


def test_the_sentence_and_the_status_plan_with_the_same_figure() -> None:
    memory = begin([Model("shop/feed", 0.95, 0.1, (Pool("cpu", 0, 40, 1.0),))])
    seen = PoolObservation(
        10, 10, 0, 1000.0, 45.0, 800.0, 0.0, {0.05: 400.0, 0.1: 780.0, math.inf: 800.0}, utilisation_ratio=0.7
    )
    for tick in range(40):
        memory, decisions = step(memory, [Observation(15.0 * tick, {"cpu": seen})], 15.0 * tick)
        decided = decisions[0]
        said = re.findall(r"planned with cpu ([0-9.]+)/s a replica", decided.reasons[0].message)
        (pool,) = status(tracked(decision=decided), {"cpu": replace(STATE, ready=10, desired=10)}).pools
        assert (pool.planned_per_replica is not None) == bool(said)
        if pool.planned_per_replica is not None:
            assert float(pool.planned_per_replica) == pytest.approx(float(said[0]), rel=0.01)
    assert said
    assert pool.capacity_per_replica != pool.planned_per_replica
