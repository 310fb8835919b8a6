"""What is seen at one moment, as a frozen value that can be shown, written down as a line of JSON, and read again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Bracket:
    """A figure that a histogram knows only as "between two of its edges". ``upper`` None: above all edges."""

    lower: float
    upper: float | None


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """One pool. None: not known at this moment, which is never the same as zero."""

    name: str
    device: str  # "cpu", or the resource that its pods ask for
    emulated: bool  # the nodes only say that they have this device; the pods run on the CPU
    cost_per_hour: float
    desired: int | None = None  # spec.replicas of the Deployment: what is paid for
    ready: int | None = None
    weight: int | None = None  # of 1000, as the HTTPRoute has it
    load_per_second: float | None = None
    percentile_seconds: Bracket | None = None  # the objective's percentile
    capacity_per_replica: float | None = None  # requests/s, as the operator believes
    startup_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DecisionSeen:
    """One entry of ``status.decisions``."""

    time_seconds: float  # Unix time
    state: str
    replicas: Mapping[str, int]
    weights: Mapping[str, int]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The RecModel at ``time_seconds`` (Unix time)."""

    time_seconds: float
    pools: tuple[PoolSnapshot, ...] = ()
    state: str | None = None
    reason: str | None = None
    load_per_second: float | None = None  # of all pools, from the gateway's counters
    percentile_seconds: Bracket | None = None  # of all pools together, as the gateway counts
    within_ratio: Bracket | None = None
    forecast_upper_per_second: float | None = None  # of the pool that is planned furthest ahead
    forecast_seconds: float | None = None
    conditions: Mapping[str, str] | None = None
    decisions: tuple[DecisionSeen, ...] = ()  # newest first, as the status has them

    def cost_per_hour(self) -> float | None:
        """Of the replicas that are asked for now; None while one of the pools is unknown."""
        parts = [None if pool.desired is None else pool.desired * pool.cost_per_hour for pool in self.pools]
        known = [part for part in parts if part is not None]
        return sum(known) if known and len(known) == len(parts) else None

    def capacity_per_second(self) -> float | None:
        """What the ready replicas carry at the objective, as the operator believes; None while that is unknown."""
        known = all(pool.ready == 0 or None not in (pool.ready, pool.capacity_per_replica) for pool in self.pools)
        return self.least_capacity_per_second() if self.pools and known else None

    def least_capacity_per_second(self) -> float:
        """The same, counting only the pools of which it is known."""
        return sum((pool.ready or 0) * (pool.capacity_per_replica or 0.0) for pool in self.pools)

    def short_of(self, load_per_second: float) -> bool | None:
        """Whether the ready replicas carry less than this load; None where a pool of unknown capacity decides it."""
        if self.least_capacity_per_second() >= load_per_second:
            return False
        return None if self.capacity_per_second() is None else True


def to_line(snapshot: Snapshot) -> str:
    """One line of JSON, without the newline."""
    return json.dumps(asdict(snapshot), separators=(",", ":"))


def from_line(line: str) -> Snapshot:
    """The snapshot that ``to_line`` wrote. Raises ValueError, KeyError or TypeError for anything else."""
    value: dict[str, Any] = json.loads(line)
    pools = tuple(
        PoolSnapshot(**{**pool, "percentile_seconds": _bracket(pool["percentile_seconds"])}) for pool in value["pools"]
    )
    brackets = {name: _bracket(value[name]) for name in ("percentile_seconds", "within_ratio")}
    return Snapshot(
        **{**value, **brackets, "pools": pools, "decisions": tuple(DecisionSeen(**d) for d in value["decisions"])}
    )


def _bracket(value: Mapping[str, Any] | None) -> Bracket | None:
    return None if value is None else Bracket(value["lower"], value["upper"])
