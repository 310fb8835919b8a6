"""The largest load expected within a horizon, as a distribution: level, trend, season, and its own errors.

Three candidates run side by side for every model: the level alone, the level with its trend, and the level
times the rise that is usual at this time of day and week. Each predicts the log of the largest load within each of four horizons;
what it missed by is kept as a decaying histogram of log errors per candidate and horizon, which gives every quantile: the
forecast is calibrated by what it did, not by a distribution that was assumed (rolling conformal prediction; Gibbs and Candes,
2021, on why it must forget). The candidate whose upper quantile had the smallest rolling pinball loss is used. A pool's horizon
lies between two of the four, and so do its quantiles. A jump is believed at once: the level follows the newest rate, not an
average of the past.

Shapes: ``[M]`` models, ``[M, P]`` one horizon a pool, ``K`` horizons, ``C`` candidates, ``B`` bins of log error, ``R`` ticks in
the ring, the newest first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.calendars import ALL_UTC, Calendars
from recmodel.core.arrays.fleet import Floats, Ints
from recmodel.core.arrays.rings import pushed
from recmodel.core.forecast import errors as histograms
from recmodel.core.forecast import jumps, rises
from recmodel.core.forecast import season as seasons
from recmodel.core.forecast.season import Half, Season, Small

CANDIDATES = 3
LEVEL, TREND, SEASON = range(CANDIDATES)
# A pool that takes longer to start than the last one is planned for as if it took that long.
HORIZONS_SECONDS = np.array([40.0, 120.0, 360.0, 1080.0])

LEVEL_GAIN_PER_15_SECONDS = 0.6  # the rate is already a mean over a window: smoothing it again only adds lag
BELIEVED_AT_ERRORS = (
    3.0  # standard errors of the count beyond which a change is no noise, and the level follows it at once
)

ERROR_HALF_LIFE_SECONDS = 3 * 3600.0  # loads are calm by night and restless by day
LARGEST_ERROR = 1.1  # of log load: against a load that triples no head-room is worth its price; it is met as it comes
WARM_UP_TICKS = 8  # a load that has just begun grows out of nothing, and says nothing of how loads change
UPPER_QUANTILE = 0.95  # of the load that is planned for, at which the candidates compete
DECILES = (0.1, 0.3, 0.5, 0.7, 0.9)  # of the load, for the mean cost of a mix
PRIOR_LOSS = 0.05  # of log load, of each candidate before its first forecast was judged ...
SEASON_PRIOR_LOSS = 0.01  # ... and so much more of the season: it is used once it has shown to be better
LOSS_HALF_LIFE_SECONDS = 3 * 3600.0
QUANTILE_TICKS = 8  # between two looks at the candidates' quantiles, which change slowly
USUAL_WINDOWS = 5.0  # rate windows over which a load is averaged, to tell a dip of the count from a fall of the load
CHUNK = 1024  # models whose histograms are summed at a time


@dataclass(frozen=True)
class ForecastMemory:
    """What the forecaster knows of every model."""

    level: Floats = field(metadata=axes("M"))  # log of requests/s; NaN before the first rate
    climb: Floats = field(metadata=axes("MK"))  # log of the trend's rise within each horizon, at least 0
    known_ticks: Floats = field(metadata=axes("M"))  # with a known load
    season: Season
    # log loads; forecasts wait in the ring until their horizon has passed
    ring_load: Small = field(metadata=axes("RM"))
    ring_level: Small = field(metadata=axes("RM"))  # the level then; NaN where no forecast was made
    ring_climb: Half = field(metadata=axes("RMK"))
    # log of the season's rise within each horizon; NaN where the season was not known
    ring_rise: Half = field(metadata=axes("RMK"))
    ring_rise_by_day: Half = field(metadata=axes("RM"))  # that of the day alone within the longest horizon, and ...
    ring_rise_by_week: Half = field(metadata=axes("RM"))  # ... that with the week
    tick: int
    errors: Small = field(metadata=axes("MKCB"))  # decaying histogram of log(actual / forecast)
    upper_error: Small = field(metadata=axes("MKC"))  # its upper quantile, a few ticks old
    loss: Floats = field(metadata=axes("MKC"))  # rolling pinball loss of the upper forecast


@dataclass(frozen=True)
class Counting:
    """How the loads of a tick were counted."""

    tick_seconds: float
    window_seconds: float = 60.0
    moved_ratio: Floats | float = 0.0  # [M] share of the load that changed pods within the window


@dataclass(frozen=True)
class LoadForecast:
    """The distribution of the largest load within each pool's horizon, in requests/s."""

    horizon_seconds: Floats  # [M, P]
    point: Floats  # [M, P] log of the chosen candidate
    errors: Small  # [M, P, 2, B] its error histograms at the next shorter and longer horizon, cumulative, 0..1
    between: Floats  # [M, P] 0: the horizon is the shorter one, 1: the longer one
    candidate: Ints  # [M, P]
    most: Floats  # [M, 1] log of the load beyond which no head-room is planned
    upper_quantile: Floats  # [M] that is planned for

    @cached_property
    def upper(self) -> Floats:
        """The load ``[M, P]`` in requests/s that is planned for; the plan, the guards and the report ask for it."""
        return self._looked_up[..., -1]

    @cached_property
    def middle(self) -> Floats:
        """The load ``[M, P]`` in requests/s that is as likely exceeded as not."""
        return self._looked_up[..., DECILES.index(0.5)]

    @property
    def deciles(self) -> Floats:
        """The loads ``[M, P, D]`` in requests/s at ``DECILES``."""
        return self._looked_up[..., :-1]

    @cached_property
    def _looked_up(self) -> Floats:
        """All that every tick asks for ``[M, P, D + 1]``: to look them up together costs little more than one."""
        return self.quantiles(*DECILES, self.upper_quantile[:, None, None])

    def quantiles(self, *several: float | Floats) -> Floats:
        """The loads in requests/s that are not exceeded with these probabilities, ``[M, P, Q]``; each a number, or ``[M, 1, 1]``. NaN
        where nothing is known.
        """
        near, far = np.moveaxis(histograms.quantiles(self.errors, *several), -2, 0)
        error = near + self.between[..., None] * (far - near)
        result: Floats = np.exp(np.minimum(self.point[..., None] + error, self.most[..., None]))
        return result


def horizon_ticks(tick_seconds: float) -> Ints:
    """Whole ticks of each horizon ``[K]``, at least one."""
    return np.maximum(np.ceil(HORIZONS_SECONDS / tick_seconds - 1e-9), 1).astype(np.int64)


def empty(models: int, tick_seconds: float) -> ForecastMemory:
    """A forecaster that knows nothing but its prior head-room."""
    ring, size = int(horizon_ticks(tick_seconds)[-1]) + 1, (models, len(HORIZONS_SECONDS), CANDIDATES)
    prior = np.broadcast_to(histograms.prior(HORIZONS_SECONDS)[:, None, :], (*size, histograms.ERROR_BINS))
    return ForecastMemory(
        level=np.full(models, np.nan),
        climb=np.zeros((models, len(HORIZONS_SECONDS))),
        known_ticks=np.zeros(models),
        season=seasons.empty(models),
        ring_load=np.full((ring, models), np.nan, np.float32),
        ring_level=np.full((ring, models), np.nan, np.float32),
        ring_climb=np.zeros((ring, models, len(HORIZONS_SECONDS)), np.float16),
        ring_rise=np.full((ring, models, len(HORIZONS_SECONDS)), np.nan, np.float16),
        ring_rise_by_day=np.full((ring, models), np.nan, np.float16),
        ring_rise_by_week=np.full((ring, models), np.nan, np.float16),
        tick=0,
        errors=prior.copy(),
        upper_error=histograms.quantiles(histograms.cumulative(prior), UPPER_QUANTILE)[..., 0].astype(np.float32),
        loss=np.full(size, PRIOR_LOSS) + np.where(np.arange(CANDIDATES) == SEASON, SEASON_PRIOR_LOSS, 0.0),
    )


def observe(
    memory: ForecastMemory, load: Floats, now_seconds: float, counting: Counting, calendars: Calendars = ALL_UTC
) -> ForecastMemory:
    """The memory after one tick with the loads ``[M]`` in requests/s (NaN: unknown; then nothing is learned of that model)."""
    tick_seconds, window_seconds = counting.tick_seconds, counting.window_seconds
    known = np.isfinite(load)
    log_load = seasons.log_load(np.where(known, load, 1.0))
    risen = rises.risen(memory.ring_load, log_load, counting.moved_ratio, tick_seconds, window_seconds)
    fresh = known & ~np.isfinite(memory.level)
    gain = 1.0 - (1.0 - LEVEL_GAIN_PER_15_SECONDS) ** (tick_seconds / 15.0)
    before = np.where(fresh | ~np.isfinite(memory.level), log_load, memory.level)
    # What cannot be the noise of counting is believed at once: the standard error of a count's logarithm is 1 / sqrt(count).
    noise = 1.0 / np.sqrt(np.maximum(np.exp(risen) * window_seconds, 1.0))
    gain = np.clip(np.abs(risen - before) / (BELIEVED_AT_ERRORS * noise), gain, 1.0)
    level = before + gain * (risen - before)
    memory = replace(
        memory,
        level=np.where(known, level, memory.level),
        known_ticks=memory.known_ticks + known,
        ring_load=pushed(memory.ring_load, np.where(known, log_load, np.nan)),
    )
    jump = jumps.seen(memory.ring_load, tick_seconds, window_seconds)
    memory = replace(memory, season=seasons.learn(memory.season, load, jump, known, now_seconds, calendars))
    settled_ticks = memory.known_ticks - WARM_UP_TICKS
    climb = rises.climbs(memory.ring_load, settled_ticks, HORIZONS_SECONDS, tick_seconds, window_seconds)
    return _judge(replace(memory, climb=climb), tick_seconds)


def _judge(memory: ForecastMemory, tick_seconds: float) -> ForecastMemory:
    """Compares the forecasts whose horizon has passed with the largest load seen meanwhile, and learns from the difference."""
    tick, ring_load = memory.tick + 1, memory.ring_load
    loss = memory.loss.copy()
    decay = np.float32(0.5 ** (tick_seconds / ERROR_HALF_LIFE_SECONDS))
    rolling = 1.0 - 0.5 ** (tick_seconds / LOSS_HALF_LIFE_SECONDS)
    all_ticks = horizon_ticks(tick_seconds)
    largest_of_last = np.fmax.accumulate(ring_load[: all_ticks[-1]])
    made = all_ticks - 1  # the newest forecast in the ring is of the tick before
    largest, level = largest_of_last[made].astype(float), memory.ring_level[made].astype(float)  # [K, M]
    horizon = np.arange(len(made))
    climb, rise = (ring[made, :, horizon].astype(float) for ring in (memory.ring_climb, memory.ring_rise))
    points = level[..., None] + np.stack([np.zeros_like(level), climb, np.where(np.isnan(rise), 0.0, rise)], axis=-1)
    judged = np.isfinite(largest) & np.isfinite(level)
    horizons, models = np.nonzero(judged)  # [N]
    at = models, horizons
    miss = largest[judged][:, None] - points[judged]  # [N, C]
    bins = histograms.bins_of(miss)
    # Forecasts made within one horizon miss the same event: together they count as one error.
    count = np.where(miss < LARGEST_ERROR, 1.0 / all_ticks[horizons, None], 0.0).astype(np.float32)
    errors = memory.errors * np.where(judged.T, decay, np.float32(1.0))[..., None, None]
    errors[models[:, None], horizons[:, None], np.arange(CANDIDATES), bins] += count
    over = np.clip(miss, -LARGEST_ERROR, LARGEST_ERROR) - memory.upper_error[at]
    pinball = np.maximum(UPPER_QUANTILE * over, (UPPER_QUANTILE - 1.0) * over)
    loss[at] += rolling * (pinball - loss[at])
    # The week is judged within the longest horizon.
    by_day, by_week = (ring[made[-1]].astype(float) for ring in (memory.ring_rise_by_day, memory.ring_rise_by_week))
    rose = np.where(np.isfinite(largest[-1]), np.maximum(largest[-1] - level[-1], 0.0), np.nan)
    season = seasons.judge(memory.season, rose, by_day, by_week, tick_seconds, LARGEST_ERROR)
    memory = replace(memory, season=season, errors=errors, loss=loss, tick=tick)
    return with_quantiles(memory) if tick % QUANTILE_TICKS == 0 else memory


def usual_load(memory: ForecastMemory, tick_seconds: float, window_seconds: float) -> Floats:
    """Mean load ``[M]`` in requests/s over the last rate windows, as far as the ring holds them; NaN where none of it was known."""
    ticks = round(USUAL_WINDOWS * window_seconds / tick_seconds)
    newest = memory.ring_load[:ticks]
    known = np.isfinite(newest)
    total = np.exp(np.where(known, newest, -np.inf), dtype=np.float64).sum(0)
    return np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)


def recent_loads(memory: ForecastMemory) -> Floats:
    """Loads ``[R, M]`` in requests/s at the newest ticks, the newest first; NaN unknown."""
    return np.exp(memory.ring_load, dtype=np.float64)


def with_quantiles(memory: ForecastMemory) -> ForecastMemory:
    """The memory with the candidates' upper quantiles as their errors are now."""
    upper = np.empty_like(memory.upper_error)
    for first in range(0, len(upper), CHUNK):
        part = slice(first, first + CHUNK)
        upper[part] = histograms.quantiles(histograms.cumulative(memory.errors[part]), UPPER_QUANTILE)[..., 0]
    return replace(memory, upper_error=upper)


def predict(
    memory: ForecastMemory,
    horizon_seconds: Floats,
    now_seconds: float,
    blind_seconds: Floats,
    calendars: Calendars = ALL_UTC,
) -> tuple[LoadForecast, ForecastMemory]:
    """The distribution of the largest load in ``[now, now + horizon]`` for every pool, and the memory that will judge it.

    ``blind_seconds`` ``[M]`` is the age of the newest rate: the season carries the level on over it.
    """
    level = memory.level[:, None]
    rise = memory.season.rise(horizon_seconds, now_seconds, calendars)
    carried: Floats | float = 0.0
    if blind_seconds.any():
        carried = memory.season.change(now_seconds - blind_seconds, now_seconds, calendars)[:, None]
    candidates = np.stack(
        [
            np.broadcast_to(level, horizon_seconds.shape),
            level + rises.within(memory.climb, HORIZONS_SECONDS, horizon_seconds),
            level + carried + np.where(np.isnan(rise), 0.0, rise),
        ],
        axis=-1,
    )
    # Between the horizons errors grow as a random walk's do, with the square root.
    near = np.clip(np.searchsorted(HORIZONS_SECONDS, horizon_seconds, side="right") - 1, 0, len(HORIZONS_SECONDS) - 2)
    low, high = np.sqrt(HORIZONS_SECONDS[near]), np.sqrt(HORIZONS_SECONDS[near + 1])
    between = np.clip((np.sqrt(np.maximum(horizon_seconds, 0.0)) - low) / (high - low), 0.0, 1.0)
    rows = np.arange(len(level))[:, None]
    loss = memory.loss[rows, near] + between[..., None] * (memory.loss[rows, near + 1] - memory.loss[rows, near])
    chosen = np.argmin(
        np.where(np.isfinite(rise)[..., None] | (np.arange(CANDIDATES) != SEASON), loss, np.inf), axis=-1
    )
    usual = memory.season.jumps(horizon_seconds, now_seconds, calendars)
    jump = jumps.to_come(usual, memory.level, memory.ring_load, HORIZONS_SECONDS[-1])
    head_room = memory.upper_error[rows, near, chosen]
    forecast = LoadForecast(
        horizon_seconds=horizon_seconds,
        point=jumps.raised(np.take_along_axis(candidates, chosen[..., None], -1)[..., 0], level, jump, head_room),
        errors=histograms.cumulative(np.stack([memory.errors[rows, near + far, chosen] for far in (0, 1)], axis=2)),
        between=between,
        candidate=chosen,
        most=level + LARGEST_ERROR,
        upper_quantile=np.full(len(level), UPPER_QUANTILE),
    )
    return forecast, remembered(memory, now_seconds, blind_seconds, calendars)


def remembered(
    memory: ForecastMemory, now_seconds: float, blind_seconds: Floats, calendars: Calendars = ALL_UTC
) -> ForecastMemory:
    """The memory with what this tick's forecasts rest on in the rings; once a tick, after :func:`observe`."""
    seen_now = (blind_seconds <= 0.0) & (memory.known_ticks > WARM_UP_TICKS)
    horizons = np.broadcast_to(HORIZONS_SECONDS, memory.ring_rise.shape[1:])
    by_day, by_week = memory.season.rises(horizons, now_seconds, calendars)
    return replace(
        memory,
        ring_level=pushed(memory.ring_level, np.where(seen_now, memory.level, np.nan)),
        ring_climb=pushed(memory.ring_climb, memory.climb),
        ring_rise=pushed(memory.ring_rise, memory.season.believed(by_day, by_week)),
        ring_rise_by_day=pushed(memory.ring_rise_by_day, by_day[:, -1]),
        ring_rise_by_week=pushed(memory.ring_rise_by_week, by_week[:, -1]),
    )
