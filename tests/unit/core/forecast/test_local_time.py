"""Days and weeks are those of the owner's time zone: where the clocks change, the load moves by an hour, and its forecast with it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from builders.local_days import at, rush, shown
from recmodel.api.time_zone import calendar
from recmodel.core.arrays.calendars import ALL_UTC, Calendars
from recmodel.core.arrays.fleet import Floats
from recmodel.core.engine import step
from recmodel.core.forecast import candidates, season
from recmodel.core.forecast.bootstrap import learn_history, seasonal_profile
from recmodel.core.memory import begin
from recmodel.core.reindex import reindex
from recmodel.core.types import UTC, Model, Observation, Pool, PoolObservation

DAY, HORIZON_SECONDS = 86400.0, 1080.0
# Sundays at four in the morning, when the clocks have changed.
CHANGES = {
    "Berlin-to-summer": ("Europe/Berlin", (2026, 3, 29, 4)),
    "Berlin-to-winter": ("Europe/Berlin", (2026, 10, 25, 4)),
    "Sydney-to-winter": ("Australia/Sydney", (2026, 4, 5, 4)),
    "Sydney-to-summer": ("Australia/Sydney", (2026, 10, 4, 4)),
    "Lord-Howe-by-half-an-hour": ("Australia/Lord_Howe", (2026, 10, 4, 4)),
    "New-York-to-summer": ("America/New_York", (2026, 3, 8, 4)),
}
STEADY = {
    "Kolkata": ("Asia/Kolkata", (2026, 3, 29, 4)),
    "Tokyo": ("Asia/Tokyo", (2026, 10, 25, 4)),
    "Berlin-a-week-before": ("Europe/Berlin", (2026, 3, 22, 4)),
}


def missed(zone: str, sunday: tuple[int, ...], calendars: Calendars) -> Floats:
    """By how much the predicted rises miss the true ones in log load, on the mornings of Sunday and Monday: the means of both. Two
    weeks of history, then every five minutes are learned as they pass.
    """
    start = at(zone, *sunday)
    past = np.arange(start - 15 * DAY, start, season.BIN_SECONDS)
    history = (past, rush(shown(zone, past + 0.5 * season.BIN_SECONDS)))
    known = learn_history(candidates.empty(1, 15.0), [history], calendars).season
    horizon, misses = np.array([[HORIZON_SECONDS]]), []
    for now in np.arange(start, start + 32 * 3600.0, season.BIN_SECONDS):
        load = rush(shown(zone, now + np.linspace(0.0, HORIZON_SECONDS, 19)))
        known = season.learn(known, load[:1], np.zeros(1), np.ones(1, bool), float(now), calendars)
        hour = shown(zone, np.array([now]))[0] % DAY / 3600.0
        if 5.0 <= hour < 12.0:
            misses.append(abs(known.rise(horizon, float(now), calendars)[0, 0] - math.log(load.max() / load[0])))
    return np.reshape(misses, (2, -1)).mean(1)


@pytest.mark.parametrize("name", [*CHANGES, *STEADY])
def test_the_sunday_and_the_monday_of_a_change_are_forecast_like_any_other(name: str) -> None:
    zone, sunday = {**CHANGES, **STEADY}[name]
    usual = missed("UTC", sunday, ALL_UTC)
    known = missed(zone, sunday, Calendars((calendar(zone),)))
    assert (known < 1.15 * usual + 0.001).all()


@pytest.mark.parametrize("name", CHANGES)
def test_by_utc_these_days_are_forecast_worse(name: str) -> None:
    """The story above can fail: it is the zone that it tells of."""
    zone, sunday = CHANGES[name]
    usual, by_utc = missed("UTC", sunday, ALL_UTC), missed(zone, sunday, ALL_UTC)
    assert by_utc[0] > 1.05 * usual[0]
    assert by_utc[1] > 2.0 * usual[1]


def test_a_fleet_of_many_zones_sees_each_of_them_as_it_does_alone() -> None:
    zones = ("UTC", "Europe/Berlin", "Asia/Kolkata", "Europe/Berlin", "Australia/Sydney")
    together = Calendars(tuple(calendar(zone) for zone in zones))
    times = at("UTC", 2026, 3, 28) + np.arange(0.0, 10 * DAY, 1234.5)
    for row, zone in enumerate(zones):
        np.testing.assert_array_equal(together.local(np.tile(times, (5, 1)))[row], shown(zone, times))
        np.testing.assert_array_equal(together.only(row).local(times[None, :])[0], shown(zone, times))


@pytest.mark.parametrize("end", [(2026, 3, 31), (2026, 10, 27)], ids=["23 hours", "25 hours"])
def test_a_past_with_a_change_in_it_teaches_one_day(end: tuple[int, ...]) -> None:
    zone = "Europe/Berlin"
    past = np.arange(at(zone, *end) - 8 * DAY, at(zone, *end), 300.0)
    load = rush(shown(zone, past + 150.0) % DAY)  # all days are alike
    true = np.log(rush((np.arange(season.DAY_BINS) + 0.5) * season.BIN_SECONDS))
    by_zone = seasonal_profile(past, load, Calendars((calendar(zone),))).day
    by_utc = seasonal_profile(past, load).day
    assert np.abs(by_zone - true).max() < 0.05
    steady = np.roll(true, -12 if end[1] == 3 else -24)  # of the days before the change
    assert np.abs(by_utc - steady).max() > 0.2


def test_the_hour_that_comes_twice_is_learned_twice_and_loses_nothing() -> None:
    calendars, begin_seconds = Calendars((calendar("Europe/Berlin"),)), at("UTC", 2026, 10, 25)
    known = season.empty(1)
    for now in np.arange(begin_seconds, begin_seconds + 4 * 3600.0, 60.0):  # until 4:00, from 2:00 (summer) on
        load = np.array([100.0 if now < begin_seconds + 3600.0 else 200.0])
        known = season.learn(known, load, np.zeros(1), np.ones(1, bool), float(now), calendars)
    known = season.settled(known, calendars)
    learned = np.flatnonzero(np.isfinite(known.day[0])) // 12
    assert sorted(set(learned)) == [2, 3, 4]
    first, gain = math.log(100.0), season.DAY_GAIN * math.log(2.0)
    np.testing.assert_allclose(known.day[0, 2 * 12 : 3 * 12], first + gain, rtol=1e-3)
    np.testing.assert_allclose(known.day[0, 3 * 12 : 5 * 12 - 1], math.log(200.0), rtol=1e-3)


@pytest.mark.parametrize("zone", ["Asia/Kolkata", "America/New_York", "Pacific/Auckland"])
def test_a_zone_that_is_set_later_turns_what_was_learned(zone: str) -> None:
    start = at("UTC", 2026, 6, 1)
    past = np.arange(start - 15 * DAY, start, 300.0)
    feed = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 50, 1.0),))
    history = [(past, rush(shown(zone, past)))]
    memory = begin([feed], history=history)
    learned = season.learn(memory.forecast.season, np.array([100.0]), np.zeros(1), np.ones(1, bool), start)
    memory = replace(memory, forecast=replace(memory.forecast, season=learned))
    turned = reindex([replace(feed, calendar=calendar(zone))], memory)
    asked = begin([replace(feed, calendar=calendar(zone))], history=history)
    for name, most in (("day", 0.05), ("week", 0.05)):
        mine, theirs = (getattr(m.forecast.season, name).astype(float) for m in (turned, asked))
        assert np.median(np.abs(mine - theirs)) < most
    before = reindex([replace(feed, calendar=UTC)], turned)
    np.testing.assert_array_equal(before.forecast.season.day, memory.forecast.season.day)
    np.testing.assert_array_equal(before.forecast.season.week, memory.forecast.season.week)


TICK_SECONDS = 30.0


def test_the_engine_on_the_monday_after_a_change_has_the_head_room_when_it_is_needed() -> None:
    """Two feeds with one load, one by its zone and one by UTC: what is planned for, against what comes within the horizon."""
    zone = "Europe/Berlin"
    feed = Model("shop/zone", 0.95, 0.1, (Pool("cpu", 1, 50, 1.0),), calendar=calendar(zone))
    start = at(zone, 2026, 10, 26, 5, 30)
    past = np.arange(start - 15 * DAY, start, 60.0)
    history = (past, rush(shown(zone, past + 30.0)))
    memory = begin([feed, replace(feed, key="shop/utc", calendar=UTC)], TICK_SECONDS, [history, history])
    times = np.arange(start, start + 2.5 * 3600.0, TICK_SECONDS)
    load, upper = rush(shown(zone, times)), []
    for time, rate in zip(times, load, strict=True):
        latency = {0.05: 0.9 * rate, 0.1: 0.99 * rate, math.inf: rate}
        seen = PoolObservation(8, 8, 0, 100.0, 600.0, rate, 0.0, latency, 0.5)
        memory, decisions = step(memory, [Observation(time, {"cpu": seen})] * 2, time)
        upper.append([decisions[row].forecast["cpu"].upper_per_second for row in (0, 1)])
        horizon_seconds = decisions[0].forecast["cpu"].horizon_seconds
    ticks = int(horizon_seconds // TICK_SECONDS)
    came = np.array([load[tick : tick + ticks + 1].max() for tick in range(len(load) - ticks)])[:, None]
    told = np.array(upper)[: len(came)]
    miss = np.log(came / told)
    pinball = np.maximum(0.95 * miss, -0.05 * miss).mean(0)
    assert pinball[0] < 0.5 * pinball[1]
    assert np.abs(miss[:, 0]).mean() < 0.7 * np.abs(miss[:, 1]).mean()


CHRISTMAS = 20812  # 2026-12-25, a Friday


def morning_misses(holidays: tuple[int, ...]) -> Floats:
    """By how much predicted rises miss, as above, on the mornings of a Friday that is a holiday and of the Friday after it."""
    zone = "Europe/Berlin"
    calendars = Calendars((replace(calendar(zone), holidays=holidays),))

    def load(seconds: Floats) -> Floats:
        local = shown(zone, seconds)
        return rush(local + np.where(local // DAY == CHRISTMAS, 2 * DAY, 0.0))

    start = at(zone, 2026, 12, 25, 4)
    past = np.arange(start - 22 * DAY, start, season.BIN_SECONDS)
    known = learn_history(candidates.empty(1, 15.0), [(past, load(past + 0.5 * season.BIN_SECONDS))], calendars).season
    horizon, misses = np.array([[HORIZON_SECONDS]]), []
    for now in np.arange(start, start + 7.5 * DAY, season.BIN_SECONDS):
        ahead = load(now + np.linspace(0.0, HORIZON_SECONDS, 19))
        known = season.learn(known, ahead[:1], np.zeros(1), np.ones(1, bool), float(now), calendars)
        local = shown(zone, np.array([now]))[0]
        if local // DAY in (CHRISTMAS, CHRISTMAS + 7) and 5.0 <= local % DAY / 3600.0 < 12.0:
            misses.append(abs(known.rise(horizon, float(now), calendars)[0, 0] - math.log(ahead.max() / ahead[0])))
    return np.reshape(misses, (2, -1)).mean(1)


def test_a_holiday_is_forecast_as_a_sunday_and_teaches_the_next_week_nothing_wrong() -> None:
    named, unnamed, usual = morning_misses((CHRISTMAS,)), morning_misses(()), morning_misses((CHRISTMAS - 100,))
    np.testing.assert_array_equal(unnamed, usual)  # a day long ago changes nothing
    assert named[0] < 0.6 * unnamed[0]
    assert named[1] < 0.6 * unnamed[1]


def test_a_holiday_is_a_day_of_the_owners_clocks() -> None:
    calendars = Calendars((replace(calendar("Asia/Kolkata"), holidays=(CHRISTMAS,)),))
    midnight = at("Asia/Kolkata", 2026, 12, 25)
    times = midnight + np.array([[-1.0, 0.0, DAY - 1.0, DAY, 2 * DAY]])
    sunday = (CHRISTMAS + 2) * DAY
    expected = [CHRISTMAS * DAY - 1.0, sunday, sunday + DAY - 1.0, (CHRISTMAS + 1) * DAY, sunday]
    np.testing.assert_array_equal(calendars.local(times)[0], expected)
    by_utc = Calendars((replace(UTC, holidays=(CHRISTMAS,)),))
    np.testing.assert_array_equal(by_utc.local(times - times[0, 1] + CHRISTMAS * DAY)[0], expected)


def test_a_holiday_that_is_named_on_the_day_turns_nothing() -> None:
    feed = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 50, 1.0),), calendar=calendar("Europe/Berlin"))
    start = CHRISTMAS * DAY + 12 * 3600.0
    past = np.arange(start - 15 * DAY, start, 300.0)
    memory = begin([feed], history=[(past, rush(past))])
    learned = season.learn(memory.forecast.season, np.array([100.0]), np.zeros(1), np.ones(1, bool), start)
    memory = replace(memory, forecast=replace(memory.forecast, season=learned))
    named = reindex([replace(feed, calendar=replace(feed.calendar, holidays=(CHRISTMAS,)))], memory)
    np.testing.assert_array_equal(named.forecast.season.week, memory.forecast.season.week)


def test_a_new_model_with_holidays_of_which_no_load_was_ever_known_is_decided_on() -> None:
    """Its last known load is infinitely long ago, which is no day of the week."""
    clock = replace(calendar("Europe/Berlin"), holidays=(20_447,))
    feed = Model("shop/feed", 0.95, 0.1, (Pool("cpu", 1, 9, 1.0),), calendar=clock)
    silent = Observation(0.0, {"cpu": PoolObservation(1, 1, 0, 100.0, 45.0, None, None, None)})
    _, decisions = step(begin([feed]), [silent], 1.78e9)
    assert decisions[0].pools["cpu"].replicas == 1
