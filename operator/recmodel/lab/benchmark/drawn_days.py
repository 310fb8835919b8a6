"""Loads drawn by seed: stretches of real traces, and calm, noisy, bursty and stepped ones, each of a peak of 1."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from recmodel.lab.simulator.scenario import Floats
from recmodel.lab.trace import DAY_SECONDS, Trace, read_trace

LAST_DAYS = 7  # of a trace, from which a stretch is drawn: before them lies its history
COARSE_STEP_SECONDS = 60.0  # a load known in longer steps than this is made to wobble, else it would be too easy
WOBBLE_RATIO, WOBBLE_MEMORY_SECONDS = 0.05, 300.0
BURST_FACTOR, BURST_SECONDS, BURST_EVERY_SECONDS, BURST_PROBABILITY = 4.0, 360, 1800, 0.3
PLATEAU_LEVELS, PLATEAU_SECONDS, STEP_SECONDS = (0.2, 0.35, 0.6, 1.0), (1200.0, 4500.0), 60


@dataclass(frozen=True)
class DrawnDay:
    """A stretch of load."""

    name: str  # its kind, and its trace where it has one
    rates: Floats  # relative to the peak, one value a second
    history: Trace | None  # on the same scale; None: nothing is known of the past
    start_seconds: float


def draw_day(kind: str, seed: int, hours: float, traces: Sequence[Path]) -> DrawnDay:
    """The stretch of a kind (a key of :data:`KINDS`) and a seed, the same each time; ``trace`` draws from ``traces``."""
    generator = np.random.default_rng([seed, zlib.crc32(kind.encode())])
    day = KINDS[kind](generator, hours, traces)
    peak = float(day.rates.max())
    past = None if day.history is None else replace(day.history, rates=day.history.rates / peak)
    return replace(day, rates=day.rates / peak, history=past)


def wobble(
    seconds: int,
    generator: np.random.Generator,
    ratio: float = WOBBLE_RATIO,
    memory_seconds: float = WOBBLE_MEMORY_SECONDS,
) -> Floats:
    """A factor on the load that wanders about 1 (a first-order autoregression, one value a minute)."""
    minutes = math.ceil(seconds / 60) + 1
    keep = math.exp(-60.0 / memory_seconds)
    noise = generator.standard_normal(minutes)
    values = np.empty(minutes)
    values[0] = noise[0]
    for i in range(1, minutes):
        values[i] = keep * values[i - 1] + math.sqrt(1.0 - keep**2) * noise[i]
    result: Floats = np.exp(ratio * np.interp(np.arange(seconds), 60.0 * np.arange(minutes), values))
    return result


def _traced(generator: np.random.Generator, hours: float, traces: Sequence[Path]) -> DrawnDay:
    """Some hours of one of the last days of a trace that has a day before it."""
    loads = {path.name.removesuffix(".csv.gz"): read_trace(path) for path in traces}
    names = sorted(name for name, load in loads.items() if load.days >= 2.0)
    if not names:
        raise ValueError(f"none of the traces has two days: {', '.join(sorted(loads)) or 'there is none'}")
    name = names[int(generator.integers(len(names)))]
    load = loads[name].smoothed()
    last = load.whole_days
    first = int(generator.integers(max(last - LAST_DAYS, 1), last)) + generator.uniform(0.0, 24.0 - hours) / 24.0
    step_days = load.step_seconds / DAY_SECONDS
    first = round(first / step_days) * step_days
    part = load.between(first, first + hours / 24.0)
    rates = part.per_second()
    if part.step_seconds > COARSE_STEP_SECONDS:
        rates = rates * wobble(len(rates), generator)
    past = load.history_before(first)
    return DrawnDay(f"trace {name}", rates, past, part.start_seconds)


def _of_no_history(name: str, rates: Floats) -> DrawnDay:
    return DrawnDay(name, rates, None, 0.0)


def _wave(generator: np.random.Generator, hours: float) -> Floats:
    """A part of a day that goes up and down once."""
    seconds = np.arange(round(3600.0 * hours))
    result: Floats = 0.55 + 0.25 * np.sin(2.0 * np.pi * (seconds / DAY_SECONDS + generator.uniform()))
    return result


def _calm(generator: np.random.Generator, hours: float, _: Sequence[Path]) -> DrawnDay:
    rates = _wave(generator, hours)
    return _of_no_history("calm", rates * wobble(len(rates), generator, 0.04, 600.0))


def _noisy(generator: np.random.Generator, hours: float, _: Sequence[Path]) -> DrawnDay:
    rates = _wave(generator, hours)
    return _of_no_history("noisy", rates * wobble(len(rates), generator, 0.15, 400.0))


def _bursts(generator: np.random.Generator, hours: float, _: Sequence[Path]) -> DrawnDay:
    """In three of ten half hours, at random, six minutes of four times the load; one at least."""
    rates = _wave(generator, hours)
    halves = math.ceil(len(rates) / BURST_EVERY_SECONDS)
    struck = generator.random(halves) < BURST_PROBABILITY
    struck[int(generator.integers(halves))] = True
    for half in np.flatnonzero(struck):
        first = half * BURST_EVERY_SECONDS + int(generator.integers(BURST_EVERY_SECONDS - BURST_SECONDS))
        rates[first : first + BURST_SECONDS] *= BURST_FACTOR
    return _of_no_history("bursts", rates * wobble(len(rates), generator, 0.05, 300.0))


def _plateaus(generator: np.random.Generator, hours: float, _: Sequence[Path]) -> DrawnDay:
    """Levels that last for 20 to 75 minutes, each reached within a minute."""
    seconds = round(3600.0 * hours)
    level = np.empty(0)
    while len(level) < seconds + STEP_SECONDS - 1:
        level = np.append(
            level, np.full(int(generator.uniform(*PLATEAU_SECONDS)), float(generator.choice(PLATEAU_LEVELS)))
        )
    smooth = np.convolve(level[: seconds + STEP_SECONDS - 1], np.ones(STEP_SECONDS) / STEP_SECONDS, mode="valid")
    return _of_no_history("plateaus", smooth * wobble(seconds, generator, 0.03, 300.0))


KINDS: dict[str, Callable[[np.random.Generator, float, Sequence[Path]], DrawnDay]] = {
    "trace": _traced,
    "calm": _calm,
    "bursts": _bursts,
    "plateaus": _plateaus,
    "noisy": _noisy,
}
BURSTY = ("bursts", "plateaus")  # kinds with jumps that nobody can foresee: more minutes over are allowed there
