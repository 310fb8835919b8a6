"""What the report says, as values. None and NaN: not known, which is never zero."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recmodel.core.arrays.fleet import Floats
from recmodel.core.types import UTC, Calendar
from recmodel.prometheus.histogram import Bracket
from recmodel.prometheus.past import Past
from recmodel.prometheus.past_decisions import Decisions
from recmodel.prometheus.past_slots import Slots


@dataclass(frozen=True)
class Given:
    """What was read, and what was asked for. ``prices``: of one replica an hour, by pool; empty: not known."""

    namespace: str
    past: Past
    slots: Slots
    within_ratio: float
    threshold_seconds: float
    budget_ratio: float  # of the minutes that may be over
    prices: Mapping[str, float] = field(default_factory=dict)
    decisions: Decisions | None = None
    calendar: Calendar = UTC
    zone: str = "UTC"
    kinds_by: str = ""  # what tells them apart, in words
    notes: tuple[str, ...] = ()  # what could not be read, and the way out


@dataclass(frozen=True)
class Figures:
    """Of some hours together."""

    load_per_second: float | None
    peak_per_second: float | None
    mean_seconds: float | None
    percentile: Bracket | None  # seconds, of the objective's share of the requests; between two edges of the histogram
    late: Bracket | None  # share of the requests


@dataclass(frozen=True)
class PoolFigures:
    """Of one pool in some hours: its load, how many replicas, and how busy one of them was."""

    load_per_second: float | None
    replicas: float | None
    cpu_ratio: float | None
    gpu_ratio: float | None
    load_ratio: float | None  # of what its ready replicas are known to carry
    queue: float | None  # requests that wait, a replica


@dataclass(frozen=True)
class Limit:
    """The pool that is the bottleneck at an hour of the day: in ``times`` of ``of`` such hours, and the sign of it, such as ``CPU``."""

    pool: str
    times: int
    of: int
    sign: str


@dataclass(frozen=True)
class Spent:
    """What ran cost, in the unit of the prices: by hour of the day, and how much of it while replicas had under half the load that they
    carry. ``of``: money, or replica-hours of one pool. ``half``: None where what a replica carries is not known.
    """

    total: float  # of the hours that are known ...
    known_hours: float
    all_hours: float  # ... of so many
    of: str
    source: str
    hours: tuple[float | None, ...]  # mean of an hour, by hour of the day
    half_hours: tuple[float | None, ...]  # in the minutes in which the load is known: at under half load ...
    rest_hours: tuple[float | None, ...]  # ... and the rest of it
    half_ratio: float | None
    half_at_least: bool  # no replica was loaded to its limit, so half of what it carries is more than was taken


@dataclass(frozen=True)
class Budget:
    """The latency budget: minutes over, certain and possible, of those that may be over; ``left_ratio`` as the operator says, or None."""

    over: Bracket
    allowed: float
    known_minutes: int
    left_ratio: float | None


@dataclass(frozen=True)
class Day:
    """A day of the calendar: its hours as ``over``, ``within``, ``perhaps``, ``idle``, ``gone`` where the clocks showed no such hour, or
    empty where nothing is known.
    """

    name: str
    hours: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """All that the page shows."""

    title: str
    span: str
    objective: str
    percentile_name: str  # p95
    threshold_seconds: float
    allowed_ratio: float  # of the requests that may be late
    zone: str
    clock_changes: tuple[str, ...]  # a sentence for each within the range
    first_line: str
    hours: tuple[Figures, ...]  # by hour of the day
    whole: Figures
    pools: Mapping[str, tuple[PoolFigures, ...]]  # by hour of the day
    pool_whole: Mapping[str, PoolFigures]
    carries: Mapping[str, str]  # what is known of a replica of each pool, in words
    kinds: Mapping[str, tuple[Figures, ...]]
    kind_whole: Mapping[str, Figures]
    kinds_by: str
    limits: tuple[Limit | None, ...]  # by hour of the day
    limit_times: Mapping[str, tuple[int, ...]]  # on how many days a pool was the bottleneck, by hour of the day
    judged_times: tuple[int, ...]  # of so many that can be judged
    days: tuple[Day, ...]
    spent: Spent | None
    budget: Budget | None
    decisions: Decisions | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class HalfLoad:
    """What one replica of a pool is known to carry, in requests/s; ``bound``: at least so much, as none was loaded to its limit."""

    per_second: float
    bound: bool


@dataclass(frozen=True)
class Signs:
    """Of one pool, a value an hour of the range: what tells that it is at its limit."""

    late: Floats  # certain share
    busy: Mapping[str, Floats]  # by what is busy: CPU, GPU, load
