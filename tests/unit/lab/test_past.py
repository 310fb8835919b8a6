"""A past of known servers: what is learned of them, and a replay that stays within what was measured."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recmodel.core.capacity.posterior import law
from recmodel.core.types import Model, Pool
from recmodel.lab.past.compare import compare, measured, unexplained
from recmodel.lab.past.judged import Given, judge, model_of
from recmodel.lab.past.picture import drawn
from recmodel.lab.past.replay import Ground, Outcome, Variant, replay
from recmodel.lab.past.servers import servers
from recmodel.lab.simulator.scenario import Floats
from recmodel.prometheus.histogram import Bracket
from recmodel.prometheus.past import Past, PoolPast
from recmodel.prometheus.past_scaling import Scaler

SATURATION, SHARPNESS = 60.0, 12.0
MODEL = Model("backtest/backtest", 0.95, 0.1, (Pool("ranker", 1, 30, 1.0),))


def true_late(load: Floats, replicas: Floats) -> Floats:
    return law(load / SATURATION, np.minimum(SHARPNESS * replicas**0.4, 160.0), np.zeros(len(load)))


def past_with(load: Floats, replicas: Floats, late: Floats | None = None, begin: float = 1_767_225_600.0) -> Past:
    share = true_late(load / replicas, replicas) if late is None else late
    pool = PoolPast("ranker", load, share, share, replicas, replicas, Bracket(0.1, 0.1))
    return Past(begin + 60.0 * np.arange(len(load)), (pool,), 60.0, "kube-state-metrics")


def ups_and_downs(minutes: int, least: float, most: float) -> Floats:
    return np.asarray(least + (most - least) * (0.5 - 0.5 * np.cos(np.arange(minutes) / 120.0 * math.pi)))


def test_the_capacity_lies_in_the_interval_that_is_learned_where_replicas_were_loaded_to_their_limit() -> None:
    load = ups_and_downs(960, 60.0, 235.0)
    (found,) = servers(past_with(load, np.full(960, 4.0)), MODEL)
    wanted = SATURATION * (1.0 - -math.log(0.65 * 0.05) / (SHARPNESS * 4.0**0.4))  # where 3.25 % are late
    assert found.low < wanted < found.high
    assert found.high < 1.25 * found.low
    assert not found.only_a_bound


def test_of_replicas_that_never_ran_near_their_limit_the_capacity_is_a_lower_bound() -> None:
    load = ups_and_downs(960, 40.0, 100.0)
    (found,) = servers(past_with(load, np.full(960, 4.0)), MODEL)
    assert found.only_a_bound
    assert found.low == found.middle == pytest.approx(25.0, rel=0.03)
    assert found.low <= found.loaded_to


def test_unknown_minutes_teach_nothing_and_a_past_of_nothing_else_is_refused() -> None:
    load, replicas = ups_and_downs(300, 60.0, 235.0), np.full(300, 4.0)
    replicas[:200] = math.nan
    few = past_with(load, replicas)
    (found,) = servers(few, MODEL)
    assert found.loaded_to == pytest.approx(float((load[201:] / 4.0).max()), rel=0.05)
    with pytest.raises(ValueError, match="no minute tells what a replica of it carries"):
        servers(past_with(load, np.full(300, math.nan)), MODEL)


def test_the_same_replay_twice_is_the_same_and_more_capacity_is_not_dearer() -> None:
    past = past_with(ups_and_downs(60, 100.0, 200.0), np.full(60, 8.0))
    ground = Ground(past, MODEL, servers(past, MODEL), 45.0)
    tried = [Variant((40.0,), 0), Variant((80.0,), 0)]
    first, second = replay(ground, tried), replay(ground, tried)
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.replicas, other.replicas)
        np.testing.assert_array_equal(one.late, other.late)
    assert first[1].replicas.sum() <= first[0].replicas.sum()
    assert first[0].replicas[0, 0] == pytest.approx(8.0, abs=1.0), "it begins with what ran"
    np.testing.assert_array_equal(first[0].requests, first[1].requests)


def outcome(past: Past, replicas: float, late_ratio: float) -> Outcome:
    minutes, requests = past.seconds.size, np.nan_to_num(past.pools[0].per_second) * 60.0
    return Outcome(np.full((minutes, 1), replicas), late_ratio * requests, requests)


def test_costs_and_late_minutes_are_of_the_minutes_that_are_known() -> None:
    load, replicas = np.full(120, 100.0), np.full(120, 8.0)
    load[:30] = math.nan
    past = past_with(load, replicas, np.where(np.arange(120) >= 110, 0.5, 0.0))
    ground = Ground(past, MODEL, servers(past, MODEL), 45.0)
    found = compare(ground, [outcome(past, 6.0, 0.01)])
    assert (found.minutes, found.all_minutes) == (90, 120)
    assert found.ran.cost.middle == pytest.approx(8.0 * 1.5)
    assert found.engine.cost.middle == pytest.approx(6.0 * 1.5)
    assert found.saving.middle == pytest.approx(0.25)


def test_what_the_load_does_not_explain_counts_on_both_sides() -> None:
    load = ups_and_downs(960, 60.0, 200.0)
    late = true_late(load / 4.0, np.full(960, 4.0))
    calm = np.flatnonzero(load < 80.0)[::40]
    late[calm] = 0.4  # a slow node, not the load
    past = past_with(load, np.full(960, 4.0), late)
    ground = Ground(past, MODEL, servers(past, MODEL), 45.0)
    assert unexplained(ground, measured(past, MODEL))[calm].all()
    found = compare(ground, [outcome(past, 4.0, 0.0)])
    assert found.unexplained == len(calm)
    assert found.engine.minutes_over.middle >= len(calm)


def test_without_an_autoscaler_the_limits_are_a_guess_and_with_one_they_are_its() -> None:
    past = past_with(np.full(60, 100.0), np.full(60, 4.0))
    given = Given(past, np.zeros(0), 0.95, 0.1)
    assert (model_of(given).pools[0].min_replicas, model_of(given).pools[0].max_replicas) == (1, 8)
    given = Given(past, np.zeros(0), 0.95, 0.1, {"ranker": Scaler("ranker", 2, 3, ("cpu at 60",))})
    assert (model_of(given).pools[0].min_replicas, model_of(given).pools[0].max_replicas) == (2, 4)


def test_the_text_begins_with_the_verdict_and_says_what_is_not_known(tmp_path: Path) -> None:
    past = past_with(ups_and_downs(90, 30.0, 60.0), np.full(90, 6.0))
    judged = judge(Given(past, np.zeros(0), 0.95, 0.1, seeds=1))
    text = judged.text
    first, second, *_ = text.splitlines()
    assert " over 1.5 hours: " in first
    assert re.match(
        r"Your replicas of ranker were never loaded beyond 9\.\d+ requests/s each: how far they go is not known\. ",
        second,
    )
    assert "If they carry 2 times as much: " in text
    assert "less than a day knows no shape of a day" in text
    picture = tmp_path / "past.png"
    assert drawn(judged, picture) == f"picture: {picture}"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_several_pools_share_one_load_and_each_has_its_price() -> None:
    minutes = 60
    awake = np.arange(minutes) >= 30
    load, gpus = np.full(minutes, 120.0), np.where(awake, 1.0, 0.0)
    cpu = past_with(np.where(awake, 60.0, load), np.full(minutes, 6.0)).pools[0]
    gpu = past_with(np.where(awake, 60.0, 0.0), np.maximum(gpus, 1.0), np.where(awake, 0.0, math.nan)).pools[0]
    both = (replace(cpu, name="cpu"), replace(gpu, name="gpu", running=gpus, ready=gpus))
    past = replace(past_with(load, np.full(minutes, 6.0)), pools=both)
    judged = judge(Given(past, np.zeros(0), 0.95, 0.1, prices={"cpu": 0.2, "gpu": 1.5}, seeds=1))
    found = judged.comparison
    assert found.minutes == minutes, "a pool that slept is known to have answered nothing"
    assert found.ran.cost.middle == pytest.approx(6.0 * 0.2 + 0.5 * 1.5)
    assert judged.outcomes[0].requests.sum() == pytest.approx(120.0 * 60.0 * minutes, rel=0.02)
    assert "limits of gpu: 1 to 2 replicas, a guess" in judged.text
