"""The season of the load: a day and a week, learned from a past and online, against courses that are known."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from builders.followed_forecast import follow
from recmodel.core.arrays.fleet import Floats
from recmodel.core.forecast import candidates, season
from recmodel.core.forecast.bootstrap import learn_history, seasonal_profile
from recmodel.core.forecast.errors import PRIOR_WEIGHT

NAN = math.nan


def day(seconds: Floats) -> Floats:
    """Steep mornings: from 100 to 500 requests/s and back within a day."""
    return 100.0 + 400.0 / (1.0 + np.exp(-12.0 * np.sin(2.0 * np.pi * seconds / 86400.0)))


@pytest.mark.parametrize("step", [10.0, 60.0, 300.0, 3600.0])
def test_a_day_is_learned_from_coarse_and_fine_history_with_gaps(step: float) -> None:
    seconds = np.arange(0.0, 5 * 86400.0, step)
    load = day(seconds + 0.5 * step)
    load[int(1.4 * 86400 / step) : int(1.5 * 86400 / step)] = NAN
    usual = seasonal_profile(seconds, load).day
    middles = (np.arange(season.DAY_BINS) + 0.5) * season.BIN_SECONDS
    error = np.abs(usual - np.log(day(middles)))
    assert np.isfinite(usual).all()
    assert np.median(error) < 0.02
    assert error.max() < (0.5 if step > 600.0 else 0.1)


def losses(memory: candidates.ForecastMemory, load: Floats, start: float) -> list[float]:
    """The pinball loss of each model's upper forecasts, all of which see the same load ``[T]``."""
    models = len(memory.level)
    upper, came = follow(memory, np.repeat(load[:, None], models, axis=1), np.full((models, 1), 300.0), start)
    miss = np.log(came / upper)
    return [float(loss) for loss in np.maximum(0.95 * miss, -0.05 * miss).mean(0)]


def test_the_season_lowers_the_pinball_loss() -> None:
    seconds = np.arange(0.0, 4 * 86400.0, 60.0)
    random = np.random.default_rng(1)
    past = day(seconds) * np.exp(0.03 * random.normal(size=len(seconds)))
    start = 4 * 86400.0
    today = day(start + 15.0 * np.arange(800)) * np.exp(0.03 * random.normal(size=800))
    one_is_taught = learn_history(candidates.empty(2, 15.0), [(seconds, past), None])
    assert np.isfinite(one_is_taught.season.day).all(1).tolist() == [True, False]
    taught, fresh = losses(replace(one_is_taught, level=one_is_taught.level[[0, 0]]), today, start)
    assert taught < 0.9 * fresh


def test_a_history_of_nothing_teaches_nothing() -> None:
    fresh = candidates.empty(1, 15.0)
    for past in ((np.array([]), np.array([])), (np.arange(9.0) * 60.0, np.full(9, NAN))):
        assert np.isnan(learn_history(fresh, [past]).season.day).all()


def week(seconds: Floats) -> Floats:
    """Steep mornings at six from Monday to Friday; at the weekend a tenth of their rise. The epoch began on a Thursday."""
    workday = day(seconds - 6.0 * 3600.0)
    weekend = np.isin((seconds // 86400.0).astype(int) % 7, (2, 3))
    return np.where(weekend, 100.0 + 0.1 * (workday - 100.0), workday)


MONDAY, SATURDAY = 18, 16


@pytest.mark.parametrize("today", [MONDAY, SATURDAY], ids=["Monday", "Saturday"])
def test_a_day_of_the_week_is_forecast_by_its_own_kind(today: int) -> None:
    random = np.random.default_rng(2)

    def noisy(seconds: Floats) -> Floats:
        return week(seconds) * np.exp(0.03 * random.normal(size=len(seconds)))

    early = today * 86400.0 + 4 * 3600.0
    past, now = np.arange(early - 14 * 86400.0, early, 60.0), np.arange(early, early + 3 * 3600.0, 15.0)
    load, history = noisy(now), (past, noisy(past))
    taught = learn_history(candidates.empty(2, 15.0), [history, history])
    assert taught.season.weekly.all()
    one_is_daily = replace(taught, season=replace(taught.season, week=taught.season.week * np.array([[1], [0]], "f2")))
    steepest = now[np.argmax(np.diff(week(now)))]
    rises = one_is_daily.season.rise(np.full((2, 1), 300.0), steepest)[:, 0]
    true = math.log(week(np.array([steepest + 300.0]))[0] / week(np.array([steepest]))[0])
    assert abs(rises[0] - true) < 0.7 * abs(rises[1] - true)
    by_week, by_day = losses(one_is_daily, load, now[0])
    assert by_week < by_day


def test_what_has_passed_is_learned_an_hour_later_or_after_a_gap() -> None:
    known, everywhere = season.empty(2), np.ones(2, bool)
    for now in range(0, 10 * 3600, 60):
        known = season.learn(known, np.array([100.0, 200.0]), np.zeros(2), everywhere & (now % 600 < 300), float(now))
    assert known.bin == 119
    learned = np.isfinite(known.day)
    assert learned[:, 0:107:2].all()
    assert not learned[:, 1::2].any()
    assert not learned[:, 107:].any()
    known = season.learn(known, np.array([100.0, 200.0]), np.zeros(2), everywhere, 15.0 * 3600)
    assert np.isfinite(known.day)[:, :119:2].all()
    assert not np.isfinite(known.day)[:, 119:].any()
    np.testing.assert_allclose(np.exp(known.day[:, 0]), [100.0, 200.0], rtol=1e-5)


@pytest.mark.parametrize("back_seconds", [1.0, 6 * 3600.0])
def test_a_clock_that_is_put_back_teaches_no_wrong_hours(back_seconds: float) -> None:
    known = season.empty(1)
    for number in range(300):
        now = 60.0 * number if number < 300 - 180 else 60.0 * number - back_seconds
        known = season.learn(known, np.exp([now // 3600.0]), np.zeros(1), np.ones(1, bool), now)
    hours = np.arange(season.DAY_BINS) * season.BIN_SECONDS // 3600.0
    learned = np.isfinite(known.day[0])
    assert learned.any()
    np.testing.assert_allclose(known.day[0, learned], hours[learned], atol=1e-5)


def test_the_week_is_used_while_it_earns_its_place() -> None:
    known, rise = season.empty(1), np.array([0.3])
    assert not known.weekly.any()
    for by_day, by_week, weekly in ((0.25, 0.3, True), (0.3, 0.1, False)):
        for _ in range(240):
            known = season.judge(known, rise, np.array([by_day]), np.array([by_week]), 15.0, 1.1)
        assert known.weekly.all() == weekly
    unseen = season.judge(known, np.array([NAN]), np.zeros(1), np.zeros(1), 15.0, 1.1)
    assert unseen.saved_by_week == known.saved_by_week


def two_weeks(step: float, end: float = 16 * 86400.0) -> Floats:
    """The times of a past that ends at ``end``, by default a Friday's midnight."""
    return np.arange(end - 14 * 86400.0, end, step)


@pytest.mark.parametrize("step", [60.0, 120.0])
def test_what_is_unknown_teaches_neither_the_day_nor_the_errors(step: float) -> None:
    seconds = two_weeks(step)
    load = np.where(seconds >= seconds[-1] - 2 * 3600.0, 100.0, NAN)
    load[-round(1800 / step) : -round(900 / step)] = NAN
    taught = learn_history(candidates.empty(1, 15.0), [(seconds, load)])
    assert np.isfinite(taught.season.day).sum() <= 23
    # What was known for an hour and three quarters makes at most six independent errors of 18 minutes, not those of a day.
    assert PRIOR_WEIGHT < taught.errors[0, -1].sum(-1).max() <= PRIOR_WEIGHT + 6.0


def test_a_load_that_comes_and_goes_by_the_minute_does_not_rise() -> None:
    seconds = two_weeks(60.0)
    taught = learn_history(candidates.empty(1, 15.0), [(seconds, np.where(seconds % 300.0 < 120.0, 200.0, 0.0))])
    for rise in taught.season.rises(np.array([[1080.0]]), seconds[-1] + 60.0):
        assert rise[0, 0] < 0.02


@pytest.mark.parametrize("step", [60.0, 300.0, 3600.0])
def test_a_day_of_another_height_foretells_the_same_rises(step: float) -> None:
    seconds = two_weeks(step, 16 * 86400.0 + 4 * 3600.0)
    today = np.where(seconds >= 16 * 86400.0, 2.0, 1.0)
    taught = learn_history(candidates.empty(1, 15.0), [(seconds, today * (100.0 + seconds % 86400.0 / 1000.0))])
    for minute in range(0, 60, 5):
        now = 16 * 86400.0 + 4 * 3600.0 + 60.0 * minute
        rise, _ = taught.season.rises(np.array([[1080.0]]), now)
        assert rise[0, 0] == pytest.approx(math.log1p(1.08 / (100.0 + now % 86400.0 / 1000.0)), abs=0.006)


def test_a_past_teaches_the_same_in_any_company() -> None:
    coarse, fine = two_weeks(300.0), two_weeks(60.0)
    pasts = [(coarse, week(coarse)), (fine, 2.0 * week(fine)), None, (coarse[-20:], week(coarse[-20:]))]
    together = learn_history(candidates.empty(4, 15.0), pasts)
    for i, past in enumerate(pasts):
        alone = learn_history(candidates.empty(1, 15.0), [past])
        for name in ("loss", "errors", "level", "climb"):
            np.testing.assert_array_equal(getattr(together, name)[i], getattr(alone, name)[0], name)
        np.testing.assert_array_equal(together.season.day[i], alone.season.day[0])
        np.testing.assert_array_equal(together.season.week[i], alone.season.week[0])
    assert (
        together.loss[0, -1, candidates.SEASON] < together.loss[0, -1, candidates.LEVEL]
    )  # such days are worth knowing
