"""What of the memory outlives the process: of each model what its replicas carry, what forecasts missed by, and its season.

``keep`` takes it out as plain values, ``with_kept`` puts it back. The belief over the laws follows from the evidence and is made again.
What is of minutes, such as the newest loads and what was proposed, is not kept: it is seen again before it would be written.

It is trusted less the older it is, and never more than what is learned now:

- *Capacity.* While nobody looks, nothing contradicts it. So a load that was seen counts as fewer independent requests with each day,
  down to the ``ENOUGH_WEIGHT`` that evidence of another version counts for: the trust region stays where it was and does not grow, and
  what is seen now soon outweighs it. Of 1,500 requests 750 are left after a day, 94 after four, 20 after a week. So it is with the
  scrapes that utilisation is the mean of, down to those that are enough to believe it.
- *Forecast errors* and losses go back to what is assumed before any was seen, with the half-life by which the engine forgets them. After
  three hours half of them is left, after a day 0.4 %.
- *The season.* The day and its jumps stay, since only newer days correct them. The week has to earn its place again: what it has saved
  halves each day.

Shapes: ``B`` what is kept by bins, ``K`` horizons, ``C`` candidates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from recmodel.core.arrays.calendars import DAY_SECONDS
from recmodel.core.arrays.fleet import Floats
from recmodel.core.capacity import posterior
from recmodel.core.capacity.bins import Small, bin_of
from recmodel.core.capacity.evidence import (
    BINNED,
    ENOUGH_SCRAPES,
    ENOUGH_WEIGHT,
    LARGEST_WEIGHT,
    UTILISATION_GAIN,
)
from recmodel.core.capacity.posterior import CapacityMemory
from recmodel.core.forecast import candidates
from recmodel.core.forecast import errors as histograms
from recmodel.core.forecast.candidates import (
    ERROR_HALF_LIFE_SECONDS,
    LOSS_HALF_LIFE_SECONDS,
    UPPER_QUANTILE,
    ForecastMemory,
)
from recmodel.core.forecast.season import SAVED_HALF_LIFE_SECONDS, Half, Season
from recmodel.core.memory import Memory
from recmodel.core.types import Model

CAPACITY_HALF_LIFE_SECONDS = DAY_SECONDS  # in which each load of the usual course has been there once
LOAD, WEIGHT, SCRAPES = (BINNED.index(name) for name in ("load", "weight", "scrapes"))


@dataclass(frozen=True)
class KeptPool:
    """What was seen of one pool's capacity."""

    name: str
    version: str  # that it served
    origin: float  # log of the first capacity that is thought possible, in requests/s
    bins: Floats  # [len(BINNED), B] of the bins in which something was seen, in any order
    failed_retests: int = 0  # in a row, of a load that was too much


@dataclass(frozen=True)
class KeptForecast:
    """What was learned of one model's load."""

    errors: Small  # [K, C, ERROR_BINS]
    loss: Floats  # [K, C]
    day: Small  # [DAY_BINS]; NaN where never seen
    week: Half  # [WEEK_HALF_HOURS]
    jump: Half  # [DAY_BINS]
    saved_by_week: float
    ahead_seconds: float  # of UTC, that the model's clocks were at ``time_seconds``


@dataclass(frozen=True)
class KeptModel:
    """What is kept of one model."""

    time_seconds: float  # of the newest load that had taught it anything
    threshold_seconds: float  # by which requests counted as late
    pools: tuple[KeptPool, ...]
    forecast: KeptForecast | None = None


def keep(memory: Memory, i: int) -> KeptModel | None:
    """What is to be kept of the model ``i``; None where its load was not seen since the memory began."""
    model, time_seconds = memory.fleet.models[i], float(memory.pods.seen_at[i])
    if not np.isfinite(time_seconds):
        return None
    pools = (_pool(memory, i, k) for k in range(len(model.pools)))
    forecast, season = memory.forecast, memory.forecast.season
    return KeptModel(
        time_seconds,
        model.threshold_seconds,
        tuple(pool for pool in pools if pool is not None),
        KeptForecast(
            errors=forecast.errors[i],
            loss=forecast.loss[i],
            day=season.day[i],
            week=season.week[i],
            jump=season.jump[i],
            saved_by_week=float(season.saved_by_week[i]),
            ahead_seconds=_ahead_seconds(memory, i, time_seconds),
        ),
    )


def _pool(memory: Memory, i: int, k: int) -> KeptPool | None:
    """What is kept of a pool; None where nothing was seen of it. While requests are late and nobody knows yet whether replicas
    cure that, it is what was believed before.
    """
    failing, evidence, origin = memory.failing, memory.capacity.evidence, memory.capacity.origin
    if failing.from_replicas[i, k] > 0 and failing.quiet_ticks[i, k] == 0 and failing.floor[i, k] == 0:
        evidence, origin = failing.before, failing.before_origin
    seen = evidence.weight[i, k] > 0
    if not seen.any() or np.isnan(origin[i, k]):
        return None
    pool = memory.fleet.models[i].pools[k]
    bins = np.array([getattr(evidence, name)[i, k][seen] for name in BINNED], float)
    retests = int(memory.capacity.sampling.failed_retests[i, k])
    return KeptPool(pool.name, pool.version, float(origin[i, k]), bins, retests)


def with_kept(memory: Memory, kept: Mapping[str, KeptModel], now_seconds: float) -> Memory:
    """The memory with what is ``kept``, by the keys of models, where it says more than the memory itself: of a pool's capacity where none
    of its loads was seen; of a load where none was seen, and no past was read that outweighs it.

    A pool that serves another version than it did counts as one of another version. Lateness by another threshold says nothing, and a
    day by other clocks is none.
    """
    rows = [i for i, model in enumerate(memory.fleet.models) if model.key in kept]
    if not rows:
        return memory
    capacity, forecast = _own_capacity(memory.capacity), _own_forecast(memory.forecast)
    unseen = candidates.empty(1, memory.fleet.tick_seconds)
    changed: list[tuple[int, int]] = []
    for i in rows:
        model = memory.fleet.models[i]
        found = kept[model.key]
        age_seconds = max(now_seconds - found.time_seconds, 0.0)
        if found.threshold_seconds == model.threshold_seconds:
            changed += [(i, k) for k in _put_capacity(capacity, model, i, found, age_seconds)]
        if found.forecast is not None and not np.isfinite(memory.pods.seen_at[i]):
            _put_errors(forecast, unseen, i, found.forecast, age_seconds)
            if found.forecast.ahead_seconds == _ahead_seconds(memory, i, found.time_seconds):
                _put_season(forecast.season, i, found.forecast, age_seconds)
    models, pools = np.array(changed, np.int64).reshape(-1, 2).T
    if len(models):
        capacity = posterior.relearned(capacity, (models, pools), memory.fleet.late_budget_ratio[models])
    return replace(memory, capacity=capacity, forecast=forecast)


def _own_capacity(memory: CapacityMemory) -> CapacityMemory:
    """The memory with arrays that nobody else has, so that rows may be put into them."""
    evidence = replace(memory.evidence, **{name: getattr(memory.evidence, name).copy() for name in BINNED})
    sampling = replace(memory.sampling, failed_retests=memory.sampling.failed_retests.copy())
    return replace(memory, evidence=evidence, origin=memory.origin.copy(), sampling=sampling)


def _own_forecast(memory: ForecastMemory) -> ForecastMemory:
    season = memory.season
    own = replace(
        season,
        day=season.day.copy(),
        week=season.week.copy(),
        jump=season.jump.copy(),
        saved_by_week=season.saved_by_week.copy(),
    )
    return replace(
        memory,
        errors=memory.errors.copy(),
        upper_error=memory.upper_error.copy(),
        loss=memory.loss.copy(),
        season=own,
    )


def _put_capacity(memory: CapacityMemory, model: Model, i: int, kept: KeptModel, age_seconds: float) -> list[int]:
    """Puts in what is kept of the pools of the model ``i``; which of them got something."""
    fresh = 0.5 ** (age_seconds / CAPACITY_HALF_LIFE_SECONDS)
    most = max(fresh * LARGEST_WEIGHT, ENOUGH_WEIGHT), max(fresh / UTILISATION_GAIN, ENOUGH_SCRAPES)
    by_name = {pool.name: pool for pool in kept.pools}
    put = []
    for k, pool in enumerate(model.pools):
        found = by_name.get(pool.name)
        if found is None or np.isfinite(memory.origin[i, k]):
            continue
        same = found.version == pool.version
        bins = found.bins[:, np.argsort(found.bins[WEIGHT], kind="stable")]  # of two in one bin the heavier one stays
        # A bound, not a share: what is just enough to count stays enough.
        for row, largest in zip((WEIGHT, SCRAPES), most if same else (ENOUGH_WEIGHT, 0.0), strict=True):
            bins[row] = np.minimum(bins[row], largest)
        at = bin_of(bins[LOAD])
        for name, values in zip(BINNED, bins, strict=True):
            getattr(memory.evidence, name)[i, k, at] = values
        memory.origin[i, k] = found.origin
        memory.sampling.failed_retests[i, k] = found.failed_retests if same else 0
        put.append(k)
    return put


def _put_errors(memory: ForecastMemory, unseen: ForecastMemory, i: int, kept: KeptForecast, age_seconds: float) -> None:
    """Puts in what the forecasts of the model ``i`` missed by, unless more errors are known from its past; ``unseen`` knows none."""
    prior, prior_loss = unseen.errors[0], unseen.loss[0]
    errors = prior + np.float32(0.5 ** (age_seconds / ERROR_HALF_LIFE_SECONDS)) * (kept.errors - prior)
    if errors.sum() <= memory.errors[i].sum():
        return
    memory.errors[i] = errors
    memory.loss[i] = prior_loss + 0.5 ** (age_seconds / LOSS_HALF_LIFE_SECONDS) * (kept.loss - prior_loss)
    memory.upper_error[i] = histograms.quantiles(histograms.cumulative(errors), UPPER_QUANTILE)[..., 0]


def _put_season(season: Season, i: int, kept: KeptForecast, age_seconds: float) -> None:
    """Puts in the course of the model ``i`` where its past does not tell it: at times of the day, and at half hours of the week, of which
    a past of less than a week and a day tells nothing.
    """
    unknown, untold = np.isnan(season.day[i]), season.week[i] == 0
    season.day[i, unknown] = kept.day[unknown]
    season.jump[i] = np.where(season.jump[i] == 0, kept.jump, season.jump[i])  # a past may be too coarse to show any
    season.week[i, untold] = kept.week[untold]
    if season.saved_by_week[i] == 0:  # nothing judged the week
        season.saved_by_week[i] = kept.saved_by_week * 0.5 ** (age_seconds / SAVED_HALF_LIFE_SECONDS)


def _ahead_seconds(memory: Memory, i: int, time_seconds: float) -> float:
    """How far the clocks of the model ``i`` are ahead of UTC."""
    calendars = memory.fleet.calendars.only(i).without_holidays()
    return float(calendars.local(np.array([time_seconds]))[0]) - time_seconds
