"""What is kept of the engine's memory as text of the status, and back. Nothing that is read is trusted.

The text is JSON of a few KiB, packed as ``lastValidSpec`` is. Each part is held to limits of its own, and one that does not keep them is
left out, with the reason. Another version is left out whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from recmodel.api.shown import shown
from recmodel.controller.last_valid_spec import packed, unpacked
from recmodel.core.capacity.bins import BINS
from recmodel.core.capacity.evidence import BINNED, LARGEST_WEIGHT
from recmodel.core.capacity.posterior import GRID, GRID_STEP
from recmodel.core.capacity.samples import MOST_FAILED_RETESTS
from recmodel.core.forecast.candidates import CANDIDATES, HORIZONS_SECONDS
from recmodel.core.forecast.errors import ERROR_BINS
from recmodel.core.forecast.season import DAY_BINS, WEEK_HALF_HOURS
from recmodel.core.kept import KeptForecast, KeptModel, KeptPool

VERSION = 1
LARGEST_CHARACTERS = 16384  # of the text: eight pools that were seen at every load have some 12,000
LARGEST_BYTES = (
    1 << 16
)  # before it is packed: those eight pools have 43,000. A KiB of packed text may be a MiB of anything else
MOST_POOLS = 8
CLOCK_SECONDS = 60.0  # by which clocks of two nodes may differ
DIGITS = 4  # that count, of a load: it is known to a few per cent
SHARE_DIGITS, LOG_DIGITS, JUMP_DIGITS, WEIGHT_DIGITS = 5, 3, 2, 3  # after the point

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Load = Annotated[float, Field(gt=1e-9, le=1e9)]
Count = Annotated[float, Field(ge=0.0, le=1e9)]
Log = Annotated[float, Field(ge=-50.0, le=50.0)]
T = TypeVar("T")
Column = Annotated[list[T], Field(min_length=1, max_length=BINS)]
ErrorWeights = Annotated[list[Annotated[float, Field(ge=0.0, le=1e6)]], Field(max_length=ERROR_BINS)]
ByCandidate = Annotated[list[T], Field(min_length=CANDIDATES, max_length=CANDIDATES)]
ByHorizon = Annotated[list[ByCandidate[T]], Field(min_length=len(HORIZONS_SECONDS), max_length=len(HORIZONS_SECONDS))]


class _Part(BaseModel):
    """Numbers are numbers and finite, and there is nothing else."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        alias_generator=to_camel,
        populate_by_name=True,
    )


class _Pool(_Part):
    """The evidence of one pool, by columns: the ``n``-th number of each is of the same bin."""

    name: Annotated[str, Field(max_length=63)]
    version: Annotated[str, Field(max_length=256)]
    made: Annotated[str, Field(max_length=64)]  # a digest of what its pods are made from
    origin: Log
    failed_retests: Annotated[int, Field(ge=0, le=MOST_FAILED_RETESTS)]
    load: Column[Load]
    replicas: Column[Annotated[float, Field(ge=1.0, le=1e6)]]
    late_low: Column[Share]
    late_high: Column[Share]
    weight: Column[Annotated[float, Field(gt=0.0, le=LARGEST_WEIGHT)]]
    slow: Column[Share]
    utilisation: Column[Annotated[float, Field(ge=0.0, le=10.0)]]
    scrapes: Column[Count]

    @model_validator(mode="after")
    def _columns_are_alike(self) -> _Pool:
        lengths = {name: len(getattr(self, name)) for name in BINNED}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"the columns have {sorted(set(lengths.values()))} numbers, and must have as many each")
        return self

    @model_validator(mode="after")
    def _origin_is_near(self) -> _Pool:
        width = GRID * GRID_STEP
        if not any(-GRID_STEP <= math.log(load) - self.origin <= width for load in self.load):
            raise ValueError(f"origin is {self.origin}, and the logarithm of no load lies within {width:.1f} above it")
        return self


class _Forecast(_Part):
    """What was learned of the load. Of each histogram of errors: its first bin, and the weights from there on."""

    errors_from: ByHorizon[Annotated[int, Field(ge=0, lt=ERROR_BINS)]]
    errors: ByHorizon[ErrorWeights]
    loss: ByHorizon[Annotated[float, Field(ge=0.0, le=10.0)]]
    day: Annotated[list[Log | None], Field(min_length=DAY_BINS, max_length=DAY_BINS)]
    week: Annotated[list[Log], Field(min_length=WEEK_HALF_HOURS, max_length=WEEK_HALF_HOURS)]
    jump: Annotated[list[Annotated[float, Field(ge=0.0, le=1.0)]], Field(min_length=DAY_BINS, max_length=DAY_BINS)]
    saved_by_week: Annotated[float, Field(ge=-10.0, le=10.0)]
    ahead_seconds: Annotated[float, Field(ge=-2e5, le=2e5)]


class _Head(_Part):
    """What makes the rest readable."""

    version: Annotated[int, Field(ge=VERSION, le=VERSION)]
    time_seconds: Annotated[float, Field(ge=0.0, le=1e11)]
    threshold_seconds: Annotated[float, Field(gt=0.0, le=1e6)]


def written(kept: KeptModel, made: Mapping[str, str]) -> tuple[str | None, list[str]]:
    """The text for the status, None where it would be too long; and why parts are left out, a sentence each. ``made``: by pool, a digest
    of what its pods are made from.
    """
    wrong: list[str] = []
    head = {"version": VERSION, "timeSeconds": round(kept.time_seconds, 1), "thresholdSeconds": kept.threshold_seconds}
    pools = [_checked(_Pool, _pool(pool, made.get(pool.name, "")), f"pool {pool.name}", wrong) for pool in kept.pools]
    forecast = _checked(_Forecast, _forecast(kept.forecast), "forecast", wrong) if kept.forecast is not None else None
    body = {
        **head,
        "pools": [pool.model_dump(by_alias=True) for pool in pools if pool is not None],
        "forecast": forecast.model_dump(by_alias=True) if forecast is not None else None,
    }
    text = packed(body, LARGEST_BYTES)
    return (text if text is not None and len(text) <= LARGEST_CHARACTERS else None), wrong


def read(text: str | None, made: Mapping[str, str], now_seconds: float) -> tuple[KeptModel | None, list[str]]:
    """What such a text says that can be believed, and why the rest is left out, a sentence each. ``made`` is of the spec now: a pool whose
    pods are made from something else than they were counts as one of another version.
    """
    if not text:
        return None, []
    body = unpacked(text, LARGEST_BYTES) if len(text) <= LARGEST_CHARACTERS else None
    if body is None:
        return None, ["status.memory is none that can be read, so it is left out"]
    wrong: list[str] = []
    head = _checked(_Head, {name: body.get(name) for name in ("version", "timeSeconds", "thresholdSeconds")}, "", wrong)
    if head is None:
        return None, wrong
    if head.time_seconds > now_seconds + CLOCK_SECONDS:
        ahead = head.time_seconds - now_seconds
        return None, [
            f"status.memory is of {ahead:.0f} s from now, so it is left out: is the clock of this node right?"
        ]
    pools: dict[str, KeptPool] = {}
    listed = body.get("pools")
    for i, entry in enumerate(listed[:MOST_POOLS] if isinstance(listed, list) else ()):
        found = _checked(_Pool, entry, f"pools[{i}]", wrong)
        if found is not None and found.name in made:
            pools[found.name] = _kept_pool(found, found.made == made[found.name])
    forecast = None
    if body.get("forecast") is not None:
        forecast = _checked(_Forecast, body["forecast"], "forecast", wrong)
    return (
        KeptModel(
            head.time_seconds,
            head.threshold_seconds,
            tuple(pools.values()),
            _kept_forecast(forecast) if forecast is not None else None,
        ),
        wrong,
    )


Checked = TypeVar("Checked", bound=_Part)


def _checked(kind: type[Checked], value: Any, place: str, wrong: list[str]) -> Checked | None:
    if isinstance(value, dict) and len(value) > len(
        kind.model_fields
    ):  # each of thousands would be an error of its own
        wrong.append(
            f"status.memory: {place} has {len(value)} fields, and {len(kind.model_fields)} are known; it is left out"
        )
        return None
    try:
        return kind.model_validate(value)
    except (ValidationError, RecursionError) as error:
        first = error.errors(include_url=False)[0] if isinstance(error, ValidationError) else None
        path = ".".join(part for part in (place, *(map(str, first["loc"]) if first else ())) if part)
        path = shown(path)[1:-1]  # a field's name may be anything, a line of a log among it
        said = f"is {shown(first['input'])}: {first['msg']}" if first else "is nested too deeply"
        wrong.append(f"status.memory: {path} {said}; {place or 'all of it'} is left out")
        return None


def _pool(kept: KeptPool, made: str) -> dict[str, Any]:
    columns = {name: [float(v) for v in values] for name, values in zip(BINNED, kept.bins, strict=True)}
    shares = {name: [_share(v) for v in columns[name]] for name in ("late_low", "late_high", "slow")}
    others = {name: [_digits(v) for v in columns[name]] for name in columns.keys() - shares.keys()}
    about = {"name": kept.name, "version": kept.version, "made": made, "failed_retests": kept.failed_retests}
    return {**about, "origin": round(kept.origin, LOG_DIGITS + 1), **shares, **others}


def _kept_pool(found: _Pool, same: bool) -> KeptPool:
    bins = np.array([getattr(found, name) for name in BINNED], float)
    return KeptPool(
        found.name, found.version if same else f"not {found.version}", found.origin, bins, found.failed_retests
    )


def _forecast(kept: KeptForecast) -> dict[str, Any]:
    errors = np.round(np.asarray(kept.errors, float), WEIGHT_DIGITS)
    spans = [[np.flatnonzero(histogram) for histogram in row] for row in errors]
    return {
        "errors_from": [[int(span[0]) if span.size else 0 for span in row] for row in spans],
        "errors": [
            [
                [round(float(v), WEIGHT_DIGITS) for v in histogram[span[0] : span[-1] + 1]] if span.size else []
                for histogram, span in zip(row, within, strict=True)
            ]
            for row, within in zip(errors, spans, strict=True)
        ],
        "loss": [[round(float(v), LOG_DIGITS + 1) for v in row] for row in kept.loss],
        "day": [round(float(v), LOG_DIGITS) if math.isfinite(v) else None for v in kept.day],
        "week": [round(float(v), LOG_DIGITS) for v in kept.week],
        "jump": [round(float(v), JUMP_DIGITS) for v in kept.jump],
        "saved_by_week": round(kept.saved_by_week, LOG_DIGITS + 2),
        "ahead_seconds": kept.ahead_seconds,
    }


def _kept_forecast(found: _Forecast) -> KeptForecast:
    errors = np.zeros((len(HORIZONS_SECONDS), CANDIDATES, ERROR_BINS), np.float32)
    for k, (row, begins) in enumerate(zip(found.errors, found.errors_from, strict=True)):
        for c, (weights, first) in enumerate(zip(row, begins, strict=True)):
            part = weights[: ERROR_BINS - first]
            errors[k, c, first : first + len(part)] = part
    return KeptForecast(
        errors=errors,
        loss=np.array(found.loss, float),
        day=np.array([math.nan if v is None else v for v in found.day], np.float32),
        week=np.array(found.week, np.float16),
        jump=np.array(found.jump, np.float16),
        saved_by_week=found.saved_by_week,
        ahead_seconds=found.ahead_seconds,
    )


def _digits(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _share(value: float) -> float:
    return min(max(round(value, SHARE_DIGITS), 0.0), 1.0)
