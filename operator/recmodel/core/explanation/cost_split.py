"""The parts of each model's cost as records, each with what it is for in a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from recmodel.core.arrays.fleet import Bools, Floats
from recmodel.core.explanation import cost_parts
from recmodel.core.explanation.cost_parts import CostParts
from recmodel.core.forecast.candidates import LoadForecast
from recmodel.core.plan.causes import BY_CODE
from recmodel.core.plan.guard_context import GuardContext
from recmodel.core.plan.guards import Guarded
from recmodel.core.types import CostPart, Pool

SAME_RATIO = 0.999  # of what is believed: what is counted on is told apart only where it is less


@dataclass(frozen=True)
class CostSplit:
    """Of each model of a tick why it costs what it does. Nothing is worked out before the first one is asked for."""

    context: GuardContext
    forecast: LoadForecast
    guarded: Guarded
    hold_left_seconds: Floats  # [M, P] of the guard that moved a number last; NaN: not a matter of time

    def __getitem__(self, i: int) -> tuple[CostPart, ...]:
        """The parts of model ``i`` that are not nothing, in the order of the chain. They add up to its cost per hour."""
        pools = self.context.fleet.models[i].pools
        found = [
            CostPart(part, value, self._sentence(i, part, value) + _replicas(value, pools))
            for part, value in zip(cost_parts.PLANNED, self._planned[i], strict=True)
            if value
        ]
        if self._lump[i]:
            found.append(CostPart(cost_parts.UNKNOWN, self._lump[i], self._unknown(i)))
        return (*found, *self._held(i))

    @cached_property
    def parts(self) -> CostParts:
        """As arrays."""
        return cost_parts.split(self.context, self.guarded)

    @cached_property
    def _planned(self) -> list[list[float]]:
        """Of each part of the plan; rounded so that they add up to its rounded price."""
        reached = np.round(np.cumsum(np.nan_to_num(self.parts.planned), axis=1), 4)
        rounded: list[list[float]] = np.round(np.diff(reached, axis=1, prepend=0.0), 4).tolist()
        return rounded

    @cached_property
    def _lump(self) -> list[float]:
        """The price of a plan that cannot be split, else 0."""
        unknown = np.isnan(self.parts.planned).any(1)
        lump: list[float] = np.round(np.where(unknown, self.parts.plan, 0.0), 4).tolist()
        return lump

    @cached_property
    def _moves(self) -> dict[int, list[tuple[int, int]]]:
        """By model the guards and pools whose replicas they moved."""
        moves = defaultdict(list)
        for g, i, k in np.argwhere(self.parts.moved).tolist():
            moves[i].append((g, k))
        return moves

    def _held(self, i: int) -> Iterator[CostPart]:
        """What guards added to the plan or took from it."""
        for g, k in self._moves.get(i, ()):
            pool, code = self.context.fleet.models[i].pools[k], int(self.guarded.causes[g, i, k])
            moved, left = int(self.parts.moved[g, i, k]), self.hold_left_seconds[i, k]
            cause = BY_CODE[code]
            timed = code == self.guarded.why[i, k] and np.isfinite(left)
            yield CostPart(
                cost_parts.GUARD,
                round(moved * pool.cost_per_hour, 4),
                f"{pool.name}: {abs(moved)} {'more' if moved > 0 else 'fewer'} than planned",
                pool=pool.name,
                reason=cause.reason,
                ends=cause.ends.format(minimum=pool.min_replicas, maximum=pool.max_replicas),
                left_seconds=float(left) if timed else None,
            )

    def _sentence(self, i: int, part: str, cost: float) -> str:
        """What a part of the plan is for."""
        match part:
            case cost_parts.LOAD:
                carries = self._each(i, self._believed[i])
                return f"the load of {self._loads[i]:.1f}/s; believed to carry: {carries}"
            case cost_parts.HEAD_ROOM:
                upper, seconds = self._upper[i]
                return f"head-room: at most {upper:.1f}/s expected (q{self.forecast.upper_quantile[i]:.2f}) within {seconds:.0f} s"
            case cost_parts.CAPACITY_DOUBT:
                return f"doubt about the capacity; counted on for less: {self._each(i, self._counted[i])}"
            case cost_parts.MINIMUM:
                pools = self.context.fleet.models[i].pools
                least = ", ".join(f"{pool.name} {pool.min_replicas}" for pool in pools if pool.min_replicas)
                return f"replicas.min: {least}"
            case cost_parts.TRIAL:
                return "a replica of each pool whose new version is on trial"
            case cost_parts.ROUNDING:
                return "rounded up to whole replicas"
            case _:
                return self._mix(i, cost > 0)

    def _each(self, i: int, carries: list[float]) -> str:
        """``46.1/s each of 9 cpu, 261/s each of 1 gpu``: of the size that the plan has; of pools that were ever tried."""
        names = [pool.name for pool in self.context.fleet.models[i].pools]
        known = zip(names, carries, self._sizes[i], strict=False)
        return ", ".join(f"{each:.3g}/s each of {size} {name}" for name, each, size in known if each == each)

    # As lists: what is asked for one model at a time is slow in arrays.

    @cached_property
    def _loads(self) -> list[float]:
        loads: list[float] = self.context.load.tolist()
        return loads

    @cached_property
    def _upper(self) -> list[tuple[float, float]]:
        """The upper forecast that the plan carries in requests/s, and its horizon in seconds."""
        at = np.arange(len(self._loads)), self.context.proposal.last
        return list(zip(self.context.upper[at].tolist(), self.forecast.horizon_seconds[at].tolist(), strict=True))

    @cached_property
    def _believed(self) -> list[list[float]]:
        believed: list[list[float]] = np.where(self.context.proposal.assumed, np.nan, self.parts.believed).tolist()
        return believed

    @cached_property
    def _counted(self) -> list[list[float]]:
        less = (self.parts.counted < SAME_RATIO * self.parts.believed) & ~self.context.proposal.assumed
        counted: list[list[float]] = np.where(less, self.parts.counted, np.nan).tolist()
        return counted

    @cached_property
    def _sizes(self) -> list[list[int]]:
        sizes: list[list[int]] = np.maximum(self.context.proposal.replicas, 1).tolist()
        return sizes

    def _mix(self, i: int, dearer: bool) -> str:
        if dearer:
            return "; ".join(["a dearer mix than the cheapest: starts cost", *self._beyond(i)])
        if not self.context.proposal.feasible[i]:
            return "missing: limits, nodes or the accuracy budget do not allow more in time"
        if (self.context.recently_proposed[i] > self.context.proposal.replicas[i]).any():
            return "saved elsewhere, since the plan counts on replicas that are held"
        return "saved elsewhere, since the plan counts on a pool that was never tried"

    def _beyond(self, i: int) -> Iterator[str]:
        """What else the plan knows that the cheapest mix does not."""
        seen, proposed = self.context.seen, self.context.proposal.replicas[i]
        if self._own_shares[i]:
            yield "each pool carries the part of the requests that it gets"
        for k, pool in enumerate(self.context.fleet.models[i].pools):
            if proposed[k] and self._learning[i, k]:
                yield f"{pool.name} may carry more than is known"
            if proposed[k] > seen.ready[i, k]:
                yield f"{seen.ready[i, k]} of {proposed[k]} {pool.name} are ready"
            if seen.warming[i, k]:
                yield f"{seen.warming[i, k]} of {seen.ready[i, k]} ready {pool.name} are still warming"
            if self.context.given_up[i, k] or seen.unschedulable[i, k]:
                yield f"pods of {pool.name} find no node"

    @cached_property
    def _own_shares(self) -> list[bool]:
        own: list[bool] = self.context.fleet.own_shares.tolist()
        return own

    @cached_property
    def _learning(self) -> Bools:
        """Where a pool is tried ``[M, P]``: what it may carry is worth more replicas than what it is known to."""
        return self.context.slow & self.context.capacity.learning(np.maximum(self.context.proposal.replicas, 1))

    def _unknown(self, i: int) -> str:
        if not np.isfinite(self.context.load[i]):
            return "the plan, not split: the load is unknown"
        return "the plan, not split: what a replica carries is not known yet"


def _replicas(cost: float, pools: Sequence[Pool]) -> str:
    """How many replicas a cost is, where there is but one kind of them."""
    return f" ({cost / pools[0].cost_per_hour:.2f} replicas)" if len(pools) == 1 else ""
