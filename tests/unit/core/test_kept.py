"""What of the engine's memory outlives the process: the first decision after a restart is the one that there would have been."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from builders.closed_loop import World, batches, kept_of, play, workers
from recmodel.core.arrays.carry_over import stays
from recmodel.core.capacity.estimate import Capacity, estimate
from recmodel.core.capacity.evidence import BINNED, ENOUGH_SCRAPES, ENOUGH_WEIGHT, LARGEST_WEIGHT
from recmodel.core.forecast import candidates
from recmodel.core.forecast.bootstrap import take_over
from recmodel.core.kept import KeptModel, keep, with_kept
from recmodel.core.memory import Memory, begin
from recmodel.core.types import Calendar, Model

HOUR, DAY = 3600.0, 86400.0
RESTART = HOUR


def day(now: float) -> float:
    """Rises from 400 to 1,600 requests/s and falls again within an hour; at the restart it rises."""
    return 1000.0 + 600.0 * math.sin(2 * math.pi * (now - RESTART + 200.0) / HOUR)


def world(**more: object) -> World:
    return World((workers(), batches()), (6, 1), day, RESTART + HOUR / 4, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stories() -> dict[str, World]:
    worlds = {"on": world(), "kept": world(restarts=RESTART, keeps=True), "lost": world(restarts=RESTART)}
    play(worlds)
    return worlds


@pytest.fixture(scope="module")
def lived() -> tuple[Memory, Model, float]:
    story = replace(world(), seconds=RESTART)
    return play({"feed": story}), story.model(), story.now


def first(story: World) -> dict[str, tuple[int, float]]:
    """What the first decision from the restart on gave each pool, and what it counted on for one replica."""
    decision = next(d for d in story.decisions if d.time_seconds > RESTART)
    return {
        name: (pool.replicas, decision.estimates[name].planned_per_replica or 0.0)
        for name, pool in decision.pools.items()
    }


def test_the_first_decision_after_a_restart_is_the_one_that_there_would_have_been(stories: dict[str, World]) -> None:
    on, kept, lost = (first(stories[name]) for name in ("on", "kept", "lost"))
    for pool, (replicas, planned) in on.items():
        assert abs(kept[pool][0] - replicas) <= 1
        assert kept[pool][1] == pytest.approx(planned, rel=0.01)
    assert any(lost[pool][1] < 0.5 * planned for pool, (_, planned) in on.items())  # what it is there for


def test_the_quarter_of_an_hour_after_it_costs_what_it_would_have_cost(stories: dict[str, World]) -> None:
    def quarter(story: World) -> tuple[float, float]:
        price = {kind.pool.name: kind.pool.cost_per_hour for kind in story.kinds}
        costs = [
            sum(price[name] * pool.replicas for name, pool in decision.pools.items())
            for decision in story.decisions
            if decision.time_seconds > RESTART
        ]
        return float(np.mean(costs)), story.late_share(RESTART)

    (on, late), (kept, kept_late), _ = (quarter(stories[name]) for name in ("on", "kept", "lost"))
    assert kept == pytest.approx(on, rel=0.05)
    assert kept_late <= late + 0.005  # a tenth of what the objective allows: the newest loads are not kept


def after(lived: tuple[Memory, Model, float], seconds: float = 0.0, model: Model | None = None) -> Memory:
    """The memory of a process that begins so long after the last load was seen."""
    memory, before, now = lived
    return with_kept(begin([model or before]), {before.key: kept_of(memory, before.key, now)}, now + seconds)


def capacity(memory: Memory) -> Capacity:
    return estimate(memory.capacity, memory.fleet, np.array([[8, 2]]))


def test_all_that_is_believed_of_a_pool_comes_back(lived: tuple[Memory, Model, float]) -> None:
    before = capacity(lived[0])
    assert before.known.all()
    for seconds in (0.0, 45.0, 600.0):
        back = capacity(after(lived, seconds))
        for name in ("saturation", "sharpness", "caution", "proven", "limit", "ceiling", "known"):
            assert getattr(back, name) == pytest.approx(getattr(before, name), rel=1e-2), name


def test_what_was_seen_just_often_enough_to_count_still_counts_when_it_is_older(
    lived: tuple[Memory, Model, float],
) -> None:
    memory, model, now = lived
    kept = kept_of(memory, model.key, now)
    scrapes, weight = BINNED.index("scrapes"), BINNED.index("weight")
    for pool in kept.pools:
        pool.bins[scrapes], pool.bins[weight] = ENOUGH_SCRAPES, ENOUGH_WEIGHT
    for days in (0.0, 0.001, 30.0):
        evidence = with_kept(begin([model]), {model.key: kept}, now + days * DAY).capacity.evidence
        seen = evidence.weight > 0
        assert (evidence.scrapes[seen] == ENOUGH_SCRAPES).all()
        assert (evidence.weight[seen] == ENOUGH_WEIGHT).all()


@pytest.mark.parametrize(
    ("days", "requests"), [(0.0, 1500.0), (1.0, 750.0), (4.0, 93.75), (7.0, ENOUGH_WEIGHT), (400.0, ENOUGH_WEIGHT)]
)
def test_it_is_trusted_less_the_older_it_is_and_the_trust_region_does_not_grow(
    lived: tuple[Memory, Model, float], days: float, requests: float
) -> None:
    memory = after(lived, days * DAY)
    heaviest = lived[0].capacity.evidence.weight.max()
    assert memory.capacity.evidence.weight.max() == pytest.approx(min(requests, heaviest), rel=1e-3)
    now, then = capacity(memory), capacity(lived[0])
    assert (now.caution <= then.caution + 1e-3).all()
    assert (now.limit <= 1.01 * then.limit).all()
    assert now.limit == pytest.approx(then.limit, rel=0.35)


def test_errors_of_the_forecast_go_back_to_what_is_assumed_before_any(lived: tuple[Memory, Model, float]) -> None:
    prior = candidates.empty(1, 15.0)
    learned = lived[0].forecast
    for hours, share in ((0.0, 1.0), (3.0, 0.5), (24.0, 2.0**-8)):
        found = after(lived, hours * HOUR).forecast
        for name, tolerance in (("errors", 2e-3), ("loss", 1e-3)):
            assumed, seen = (getattr(memory, name) for memory in (prior, learned))
            assert getattr(found, name) == pytest.approx(assumed + share * (seen - assumed), abs=tolerance)
        assert found.season.day == pytest.approx(learned.season.day, abs=1e-3, nan_ok=True)


def test_what_no_longer_fits_is_left_out_part_by_part(lived: tuple[Memory, Model, float]) -> None:
    cpu, gpu = lived[1].pools
    plain = after(lived)
    other = after(lived, model=replace(lived[1], pools=(replace(cpu, version="full@2"), gpu)))
    assert (
        other.capacity.evidence.weight[0, 0].max() == ENOUGH_WEIGHT
    )  # as much as is left to a version that is replaced
    assert (other.capacity.evidence.scrapes[0, 0] == 0).all()
    assert (other.capacity.evidence.weight[0, 1] == plain.capacity.evidence.weight[0, 1]).all()
    renamed = after(lived, model=replace(lived[1], pools=(replace(cpu, name="arm"), gpu)))
    assert np.isnan(renamed.capacity.origin[0, 0])
    assert renamed.capacity.origin[0, 1] == plain.capacity.origin[0, 1]
    slower = after(lived, model=replace(lived[1], threshold_seconds=0.2))
    assert np.isnan(slower.capacity.origin).all()
    assert (slower.forecast.errors == plain.forecast.errors).all()
    moved = after(lived, model=replace(lived[1], calendar=Calendar((0.0,), (3600.0,))))
    assert np.isnan(moved.forecast.season.day).all()
    assert (moved.forecast.errors == plain.forecast.errors).all()
    dearer = after(lived, model=replace(lived[1], pools=(replace(cpu, cost_per_hour=9.0), gpu)))
    assert capacity(dearer).limit == pytest.approx(capacity(plain).limit)


def test_what_this_process_has_seen_itself_stays(lived: tuple[Memory, Model, float]) -> None:
    memory, model, now = lived
    kept = kept_of(memory, model.key, now)
    worse = replace(kept, pools=tuple(replace(p, bins=0.5 * p.bins, origin=p.origin - 1.0) for p in kept.pools))
    found = with_kept(memory, {model.key: worse}, now)
    for name in BINNED:
        assert (getattr(found.capacity.evidence, name) == getattr(memory.capacity.evidence, name)).all()
    assert (found.forecast.errors == memory.forecast.errors).all()


def test_a_past_that_says_more_than_what_is_kept_of_long_ago_stays(lived: tuple[Memory, Model, float]) -> None:
    memory, model, now = lived
    seconds = np.arange(now - 2 * DAY, now, 60.0)
    read = begin([model], history=[(seconds, np.array([day(t) for t in seconds]))])
    kept: dict[str, KeptModel] = {model.key: kept_of(memory, model.key, now)}
    old = with_kept(read, kept, now + DAY)
    assert (old.forecast.errors == read.forecast.errors).all()
    assert (old.forecast.season.day == read.forecast.season.day).all()
    hour = begin([model], history=[(seconds[-60:], np.array([day(t) for t in seconds[-60:]]))])
    new = with_kept(hour, kept, now)  # Prometheus itself has lost its past
    assert new.forecast.errors == pytest.approx(memory.forecast.errors, abs=2e-3)
    assert np.isfinite(new.forecast.season.day).sum() >= np.isfinite(memory.forecast.season.day).sum()


def test_a_past_of_some_days_leaves_the_week_to_what_is_kept(lived: tuple[Memory, Model, float]) -> None:
    memory, model, now = lived
    known = kept_of(memory, model.key, now)
    assert known.forecast is not None
    week = np.linspace(-0.3, 0.3, 336).astype(np.float16)
    kept = {model.key: replace(known, forecast=replace(known.forecast, week=week, saved_by_week=0.02))}
    for days, told in ((2.0, 0.02 / 2.0), (21.0, None)):  # read a day later, from Prometheus
        seconds = np.arange(now - (days - 1.0) * DAY, now + DAY, 300.0)
        load = np.array([day(t) * (1.3 if t // DAY % 7 in (2, 3) else 1.0) for t in seconds])
        read = begin([model], history=[(seconds, load)])
        found = with_kept(read, kept, now + DAY).forecast.season
        assert (found.day == read.forecast.season.day).all()
        if told is not None:
            assert (
                found.week[0] == np.where(read.forecast.season.week[0] == 0, week, read.forecast.season.week[0])
            ).all()
            assert (found.week[0] == week).mean() > 0.8
            assert found.saved_by_week[0] == pytest.approx(told)
        else:
            assert (found.week == read.forecast.season.week).all()
            assert found.saved_by_week[0] == read.forecast.season.saved_by_week[0] != 0


def test_a_past_that_comes_late_takes_nothing_from_what_is_kept(lived: tuple[Memory, Model, float]) -> None:
    """Prometheus may answer after the first tick, which has taken over what is kept: the order changes nothing of which one is used."""
    memory, model, now = lived
    week = replace(memory.forecast.season, week=np.full((1, 336), 0.1, np.float16), saved_by_week=np.array([0.01]))
    weekly = replace(memory, forecast=replace(memory.forecast, season=week))
    back = with_kept(begin([model]), {model.key: kept_of(weekly, model.key, now)}, now)
    times = np.arange(now - 2 * DAY, now, 60.0)
    loads = np.array([day(t) for t in times])
    for ticks, more in ((60, False), (len(times), True)):
        read = begin([model], history=[(times[-ticks:], loads[-ticks:])]).forecast
        found = take_over(back.forecast, read, stays([model], [model]))
        from_past = read if more else back.forecast
        assert (read.errors.sum() > back.forecast.errors.sum()) == more
        for name in ("errors", "loss", "upper_error"):
            assert (getattr(found, name) == getattr(from_past, name)).all()
        told = read.season.week != 0
        assert (found.season.week == np.where(told, read.season.week, back.forecast.season.week)).all()
        assert (found.season.saved_by_week == back.forecast.season.saved_by_week).all()  # two days judge no week
        known = np.isfinite(read.season.day)
        assert (found.season.day[known] == read.season.day[known]).all()


def test_nothing_is_kept_before_a_load_was_seen_and_what_was_good_before_a_trouble_is(
    lived: tuple[Memory, Model, float],
) -> None:
    memory, model, _ = lived
    assert keep(begin([model]), 0) is None
    failing = memory.failing
    nothing = begin([model]).capacity.evidence
    troubled = replace(
        memory,
        failing=replace(failing, from_replicas=np.full((1, 2), 3.0), quiet_ticks=np.zeros((1, 2), int), before=nothing),
    )
    found = keep(troubled, 0)
    assert found is not None
    assert found.pools == ()
    assert LARGEST_WEIGHT == 1500.0  # which the ages above are worked out for
