"""The largest load expected within a horizon, as a distribution: level, slope, daily season, and its own errors.

Three candidates run side by side for every model and pool: the level alone, a damped trend (Gardner and McKenzie, 1985), and the
level times the seasonal ratio learned from the days before. Each predicts the log of the largest load in the horizon; what it
missed by is kept as a decaying histogram of log errors per candidate and horizon. The candidate with the smallest rolling
pinball loss is used, and its error histogram gives every quantile: the forecast is calibrated by what it did, not by a
distribution that was assumed. A jump is believed at once: the level follows the newest rate, not an average of the past.

Shapes: ``[M]`` models, ``[M, P]`` one horizon a pool, ``C`` candidates, ``B`` bins of log error, ``R`` ticks in the ring.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recmodel.core.fleet import Bools, Floats

Small = NDArray[np.float32]

CANDIDATES = 3
LEVEL, TREND, SEASON = range(CANDIDATES)

SLOPE_GAIN_PER_15_SECONDS = 0.12
SLOPE_DAMPING_PER_15_SECONDS = 0.94  # a slope is carried on for about 4 minutes, not for ever
LEVEL_GAIN_PER_15_SECONDS = 0.6  # the rate is already a mean over a window: smoothing it again only adds lag
BELIEVED_AT_ERRORS = (
    3.0  # standard errors of the count beyond which a change is no noise, and the level follows it at once
)

SEASON_BINS = 288  # of five minutes: a day
SEASON_BIN_SECONDS = 300.0
SEASON_GAIN_PER_DAY = 0.3

ERROR_BINS = 96
ERROR_LOW, ERROR_STEP = -0.4, 0.025  # log errors from -33 % to 7.4 times
ERROR_HALF_LIFE_SECONDS = 12 * 3600.0
PRIOR_WEIGHT = 8.0  # independent errors that the prior head-room is worth
LARGEST_ERROR = 1.1  # of log load: against a load that triples no head-room is worth its price; it is met as it comes
LARGEST_TREND = 0.7  # of log load: a slope is not carried on beyond twice the load
WARM_UP_TICKS = 8  # a load that has just begun grows out of nothing, and says nothing of how loads change
PRIOR_UPPER_LOG = 0.30  # q95 before anything was learned, at a horizon of 60 s: 1.35 times
RING_TICKS = 64  # forecasts wait here until their horizon has passed


@dataclass(frozen=True)
class ForecastMemory:
    """What the forecaster knows of every model."""

    level: Floats  # [M] log of requests/s; NaN before the first rate
    slope: Floats  # [M] log per second
    known_ticks: Floats  # [M] with a known load
    season: Small  # [M, SEASON_BINS] log of the usual load at that time of day; NaN where never seen
    season_sum: Floats  # [M] of the bin that is being filled
    season_count: Floats  # [M]
    season_bin: int
    ring_forecast: Small  # [R, M, P, C] log forecasts that wait for their truth
    ring_load: Small  # [R, M] log loads seen since
    ring_due: NDArray[np.int32]  # [R, M, P] tick at which a forecast is judged
    tick: int
    errors: Small  # [M, P, C, B] decaying histogram of log(actual / forecast)
    loss: Floats  # [M, P, C] rolling pinball loss


@dataclass(frozen=True)
class LoadForecast:
    """The distribution of the largest load within each pool's horizon, in requests/s."""

    horizon_seconds: Floats  # [M, P]
    point: Floats  # [M, P] log of the chosen candidate
    errors: Small  # [M, P, B] its error histogram, cumulative, 0..1
    candidate: NDArray[np.int64]  # [M, P]
    most: Floats  # [M, 1] log of the load beyond which no head-room is planned

    def quantile(self, q: float | Floats) -> Floats:
        """The load that is not exceeded with probability ``q``: requests/s, ``[M, P]``; NaN where nothing is known."""
        wanted = np.broadcast_to(np.asarray(q, float), self.point.shape)[..., None]
        above = self.errors >= wanted - 1e-9
        index = np.argmax(above, axis=-1)
        index = np.where(above.any(-1), index, ERROR_BINS - 1)
        high = np.take_along_axis(self.errors, index[..., None], -1)[..., 0]
        low = np.where(index > 0, np.take_along_axis(self.errors, np.maximum(index - 1, 0)[..., None], -1)[..., 0], 0.0)
        inside = np.clip((wanted[..., 0] - low) / np.maximum(high - low, 1e-9), 0.0, 1.0)
        result: Floats = np.exp(np.minimum(self.point + ERROR_LOW + ERROR_STEP * (index + inside), self.most))
        return result


def prior_errors(horizon_seconds: Floats) -> Small:
    """The error histogram before anything was learned: log-normal, wider for a longer horizon (a random walk's square root).

    At 60 s the 95 % quantile is 1.35 times the point, at 240 s 1.8 times.
    """
    sigma = PRIOR_UPPER_LOG / 1.645 * np.sqrt(np.maximum(horizon_seconds, 15.0) / 60.0)
    centre = ERROR_LOW + ERROR_STEP * (np.arange(ERROR_BINS) + 0.5)
    density = np.exp(-0.5 * (centre / sigma[..., None]) ** 2)
    weight: Small = (PRIOR_WEIGHT * density / density.sum(-1, keepdims=True)).astype(np.float32)
    return weight


def empty(horizon_seconds: Floats) -> ForecastMemory:
    """A forecaster that knows nothing but its prior head-room, for models and pools in the shape of ``horizon_seconds``."""
    models, pools = horizon_seconds.shape
    prior = prior_errors(horizon_seconds)
    return ForecastMemory(
        level=np.full(models, np.nan),
        slope=np.zeros(models),
        known_ticks=np.zeros(models),
        season=np.full((models, SEASON_BINS), np.nan, np.float32),
        season_sum=np.zeros(models),
        season_count=np.zeros(models),
        season_bin=-1,
        ring_forecast=np.full((RING_TICKS, models, pools, CANDIDATES), np.nan, np.float32),
        ring_load=np.full((RING_TICKS, models), np.nan, np.float32),
        ring_due=np.full((RING_TICKS, models, pools), -1, np.int32),
        tick=0,
        errors=np.repeat(prior[:, :, None, :], CANDIDATES, axis=2),
        loss=np.full((models, pools, CANDIDATES), 0.1) + np.array([0.0, 0.0, 0.02]),
    )


def _season_at(season: Small, time_seconds: float) -> Floats:
    """The usual log load at a time of day, between bin centres: ``[M]``; NaN where a neighbour was never seen."""
    position = (time_seconds % 86400.0) / SEASON_BIN_SECONDS - 0.5
    first = int(np.floor(position))
    share = position - first
    return (1.0 - share) * season[:, first % SEASON_BINS].astype(float) + share * season[:, (first + 1) % SEASON_BINS]


def observe(
    memory: ForecastMemory, load: Floats, now_seconds: float, tick_seconds: float, window_seconds: float = 60.0
) -> ForecastMemory:
    """The memory after one tick with the loads ``[M]`` in requests/s over ``window_seconds`` (NaN: unknown; then nothing is
    learned of that model).
    """
    known = np.isfinite(load)
    log_load = np.log(np.maximum(np.where(known, load, 1.0), 1.0 / 60.0))
    fresh = known & ~np.isfinite(memory.level)
    ticks = tick_seconds / 15.0
    gain = 1.0 - (1.0 - LEVEL_GAIN_PER_15_SECONDS) ** ticks
    damping = SLOPE_DAMPING_PER_15_SECONDS**ticks
    slope_gain = 1.0 - (1.0 - SLOPE_GAIN_PER_15_SECONDS) ** ticks
    before = np.where(fresh | ~np.isfinite(memory.level), log_load, memory.level)
    # What cannot be the noise of counting is believed at once: the standard error of a count's logarithm is 1 / sqrt(count).
    noise = 1.0 / np.sqrt(np.maximum(np.exp(log_load) * window_seconds, 1.0))
    gain = np.clip(np.abs(log_load - before) / (BELIEVED_AT_ERRORS * noise), gain, 1.0)
    level = before + gain * (log_load - before)
    step = np.clip((log_load - before) / tick_seconds, -0.02, 0.02)
    slope = damping * memory.slope + slope_gain * (step - damping * memory.slope)
    memory = _learn_season(memory, log_load, known, now_seconds)
    memory = replace(
        memory,
        level=np.where(known, level, memory.level),
        known_ticks=memory.known_ticks + known,
        slope=np.where(
            known & (memory.known_ticks > WARM_UP_TICKS), slope, np.where(known, 0.0, damping * memory.slope)
        ),
    )
    return _judge(memory, np.where(known, log_load, np.nan), tick_seconds)


def _learn_season(memory: ForecastMemory, log_load: Floats, known: Bools, now_seconds: float) -> ForecastMemory:
    index = int((now_seconds % 86400.0) // SEASON_BIN_SECONDS)
    total, count, season = memory.season_sum, memory.season_count, memory.season
    if index != memory.season_bin:
        if memory.season_bin >= 0:
            season = season.copy()
            old = season[:, memory.season_bin]
            mean = total / np.maximum(count, 1.0)
            new = np.where(np.isfinite(old), old + SEASON_GAIN_PER_DAY * (mean - old), mean)
            season[:, memory.season_bin] = np.where(count > 0, new, old)
        total, count = np.zeros_like(total), np.zeros_like(count)
    return replace(
        memory,
        season=season,
        season_sum=total + np.where(known, log_load, 0.0),
        season_count=count + known,
        season_bin=index,
    )


def _judge(memory: ForecastMemory, log_load: Floats, tick_seconds: float) -> ForecastMemory:
    """Compares the forecasts whose horizon has passed with the largest load seen meanwhile, and learns from the difference."""
    tick = memory.tick + 1
    ring_load = memory.ring_load.copy()
    ring_load[tick % RING_TICKS] = log_load
    due = memory.ring_due == tick  # [R, M, P]
    errors, loss = memory.errors, memory.loss
    if due.any():
        errors, loss = errors.copy(), loss.copy()
        decay = 0.5 ** (tick_seconds / ERROR_HALF_LIFE_SECONDS)
        slots, models, pools = np.nonzero(due)
        ages = (tick - slots) % RING_TICKS  # ticks since the forecast was made
        largest = np.full(len(slots), -np.inf)
        for back in range(int(ages.max(initial=0))):
            value = ring_load[(tick - back) % RING_TICKS, models]
            largest = np.where((back < ages) & np.isfinite(value), np.maximum(largest, value), largest)
        told = np.isfinite(largest)
        slots, models, pools, ages, largest = slots[told], models[told], pools[told], ages[told], largest[told]
        miss = largest[:, None] - memory.ring_forecast[slots, models, pools]  # [N, C]
        bins = np.clip(((miss - ERROR_LOW) / ERROR_STEP).astype(int), 0, ERROR_BINS - 1)
        rows = errors[models, pools] * np.float32(decay)
        # Forecasts made within one horizon miss the same event: together they count as one error.
        count = np.where(miss < LARGEST_ERROR, 1.0 / ages[:, None], 0.0).astype(np.float32)
        np.put_along_axis(rows, bins[..., None], np.take_along_axis(rows, bins[..., None], -1) + count[..., None], -1)
        errors[models, pools] = rows
        miss = np.clip(miss, -LARGEST_ERROR, LARGEST_ERROR)
        pinball = np.maximum(0.9 * miss, -0.1 * miss)  # the side that costs lateness weighs more
        rolling = 1.0 - 0.5 ** (tick_seconds / (3 * 3600.0))
        loss[models, pools] += rolling * (pinball - loss[models, pools])
    return replace(memory, ring_load=ring_load, errors=errors, loss=loss, tick=tick)


def predict(
    memory: ForecastMemory, horizon_seconds: Floats, now_seconds: float, tick_seconds: float, blind_seconds: Floats
) -> tuple[LoadForecast, ForecastMemory]:
    """The distribution of the largest load in ``[now, now + horizon]`` for every pool, and the memory that will judge it.

    ``blind_seconds`` ``[M]`` is the age of the newest rate: the season carries the level on over it.
    """
    here = _season_at(memory.season, now_seconds)
    ahead = np.full(horizon_seconds.shape, -np.inf)
    for share in (0.25, 0.5, 0.75, 1.0):  # the peak on the way counts, not the load at its end
        for k in range(horizon_seconds.shape[1]):
            times = now_seconds + share * horizon_seconds[:, k]
            ahead[:, k] = np.fmax(ahead[:, k], _season_at_each(memory.season, times) - here)
    known_season = np.isfinite(ahead)
    level = memory.level[:, None]
    # The slope's reach: sum of a damped geometric series over the horizon, in seconds.
    damping = SLOPE_DAMPING_PER_15_SECONDS ** (1.0 / 15.0)
    reach = (1.0 - damping**horizon_seconds) / -np.log(damping)
    stale = _season_at_each(memory.season, np.full(len(level), now_seconds) - blind_seconds)
    carried = np.where(np.isfinite(here - stale), np.clip(here - stale, -1.0, 1.0), 0.0)[:, None]
    candidates = np.stack(
        [
            np.broadcast_to(level, horizon_seconds.shape),
            level + np.clip(memory.slope[:, None] * reach, 0.0, LARGEST_TREND),
            level + carried + np.where(known_season, np.clip(np.maximum(ahead, 0.0), 0.0, 1.5), 0.0),
        ],
        axis=-1,
    )
    chosen = np.argmin(memory.loss, axis=-1)
    chosen = np.where((chosen == SEASON) & ~known_season, TREND, chosen)
    point = np.take_along_axis(candidates, chosen[..., None], -1)[..., 0]
    histogram = np.take_along_axis(memory.errors, chosen[..., None, None], 2)[:, :, 0, :]
    summed = np.cumsum(histogram, axis=-1)
    cumulative: Small = (summed / np.maximum(summed[..., -1:], 1e-9)).astype(np.float32)

    slot = memory.tick % RING_TICKS
    ring_forecast, ring_due = memory.ring_forecast.copy(), memory.ring_due.copy()
    ring_forecast[slot] = candidates
    ticks_ahead = np.clip(np.ceil(horizon_seconds / tick_seconds), 1, RING_TICKS - 1).astype(np.int32)
    seen_now = ((blind_seconds <= 0.0) & (memory.known_ticks > WARM_UP_TICKS))[:, None] & np.isfinite(level)
    ring_due[slot] = np.where(seen_now, memory.tick + ticks_ahead, -1)
    forecast = LoadForecast(
        horizon_seconds=horizon_seconds, point=point, errors=cumulative, candidate=chosen, most=level + LARGEST_ERROR
    )
    return forecast, replace(memory, ring_forecast=ring_forecast, ring_due=ring_due)


def _season_at_each(season: Small, times: Floats) -> Floats:
    """As :func:`_season_at`, with one time for each model."""
    position = (np.where(np.isfinite(times), times, 0.0) % 86400.0) / SEASON_BIN_SECONDS - 0.5
    first = np.floor(position)
    share = position - first
    index = first.astype(int)
    rows = np.arange(len(season))
    result: Floats = (1.0 - share) * season[rows, index % SEASON_BINS] + share * season[rows, (index + 1) % SEASON_BINS]
    return result
