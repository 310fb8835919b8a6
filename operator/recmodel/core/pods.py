"""What is kept of every pool's pods: how long they start, since when they are late or wait for a node, and what was ready and
proposed recently.

Shapes: ``[M, P]`` pools, ``R`` ticks in a ring, the newest first.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from recmodel.core.arrays.axes import axes
from recmodel.core.arrays.fleet import Bools, Fleet, Floats, Ints
from recmodel.core.arrays.observed import Observed
from recmodel.core.arrays.rings import pushed

STARTUP_SECONDS_UNKNOWN = (
    90.0  # before the first pod was seen to become ready: between a CPU pod's and an accelerator's
)
SLOW_POOL_SECONDS = 120.0  # a start-up beyond it cannot meet a load that has just risen
RATE_AGE_RATIO = 2.0 / 3.0  # of the window: a rate is as old as its middle, and the newest sample of it is not of now
RING_TICKS = 64  # 16 minutes of 15 s: a start-up of the slowest pool, and the ticks that failures are judged by
ROUNDING_REPLICAS = 0.1  # replicas by which a proposal may miss a whole one, since the capacity is never twice the same
LATE_FACTOR = 2.0  # times the late budget: once is the noise of counting, and each tick over it is a step towards help
UNSCHEDULABLE_PATIENCE_SECONDS = 600.0  # a cluster autoscaler needs pods that wait, and some minutes for a node
UNSCHEDULABLE_RETRY_SECONDS = 1200.0

Counts = NDArray[np.int32]


@dataclass(frozen=True)
class PodsMemory:
    """What is kept of the pods of every pool ``[M, P]``."""

    startup_seconds: Floats = field(metadata=axes("MP"))  # NaN: none was seen to start
    # requests/s that the proposed replicas were to carry
    proposed_loads: NDArray[np.float32] = field(metadata=axes("RMP"))
    readies: Counts = field(metadata=axes("RMP"))
    dearer_ticks: Ints = field(
        metadata=axes("MP")
    )  # with fewer replicas cheaper than what ran, less those with as many
    tick: int
    seen_at: Floats = field(metadata=axes("M"))  # time of the newest known load; -inf before any
    late_ticks: Ints = field(metadata=axes("MP"))  # in a row over twice the late budget
    # for which pods were unschedulable; below 0: ticks until more are tried again
    stuck_ticks: Ints = field(metadata=axes("MP"))
    warm_ticks: Ints = field(metadata=axes("MP"))  # since a pod was seen to warm

    def recent_ready(self, ticks: int) -> Counts:
        """The ready replicas ``[T, M, P]`` of the newest ``ticks``, as far as there were any."""
        return self.readies[: min(self.tick, ticks)]

    def with_proposed(self, replicas: Ints, each: Floats) -> PodsMemory:
        """The memory with what this tick's proposal carries, ``each`` ``[M, P]`` requests/s a replica (NaN unknown)."""
        load = replicas * np.where(np.isfinite(each), each, 0.0)
        return replace(self, proposed_loads=pushed(self.proposed_loads, load))

    def with_dearer(self, dearer: Bools, known: Bools) -> PodsMemory:
        """The memory with whether fewer replicas than run would be cheaper ``[M, P]``, where the load is ``known`` ``[M]``. A tick in which
        they would not be takes back one in which they would.
        """
        step = np.where(known[:, None], np.where(dearer, 1, -1), 0)
        return replace(self, dearer_ticks=np.maximum(self.dearer_ticks + step, 0))

    def recently_proposed(self, ticks: Floats, each: Floats, most: Ints) -> Ints:
        """Replicas ``[M, P]``, at most ``most``, that carry the largest load proposed in the last ``ticks`` ``[M, P]`` at what each is
        known to carry *now*: a proposal that fell because more was learned of the capacity is not held, only one that fell with
        the load. 0 where unknown.
        """
        replicas = _replicas_for(_recent_largest(self.proposed_loads, ticks), each)
        return np.where(np.isfinite(replicas), np.minimum(np.maximum(replicas, 0.0), most), 0).astype(np.int64)

    def proposed_for_ticks(self, ticks: Floats, each: Floats, replicas: Ints) -> Floats:
        """For how many ticks more ``[M, P]`` some proposal of the last ``ticks`` asks for ``replicas`` ``[M, P]``, at what each is known
        to carry now; NaN where none does.
        """
        loads, recent = _newest(self.proposed_loads, ticks)
        asked = (_replicas_for(loads, each) >= replicas) & recent
        result: Floats = np.where(asked.any(0), np.ceil(ticks - asked.argmax(0)), np.nan)
        return result


@dataclass(frozen=True)
class Pods:
    """What holds of every pool's pods in this tick ``[M, P]``."""

    startup_seconds: Floats  # until a new replica counts in full; the default where none was seen to start
    slower: Bools  # a faster pool of the same model can fill the gap meanwhile
    late_ticks: Ints
    given_up: Bools  # pods were unschedulable for long: none are ordered for a while
    unplaced_seconds: Floats  # for which some pods have been unschedulable; inf: given up
    most: Ints  # replicas that the pool can have now
    grown_from: Ints  # ready replicas one start-up ago
    hold_ticks: Floats  # for which a replica that was wanted is kept
    blind_seconds: Floats  # [M] age of the newest known load; 0: known now; inf: never known

    @property
    def slow(self) -> Bools:
        """Where pods take so long that none would be ready in time."""
        return self.startup_seconds > SLOW_POOL_SECONDS


def empty(models: int, pools: int) -> PodsMemory:
    """Nothing was seen."""
    shape = (models, pools)
    return PodsMemory(
        startup_seconds=np.full(shape, np.nan),
        proposed_loads=np.zeros((RING_TICKS, *shape), np.float32),
        readies=np.zeros((RING_TICKS, *shape), np.int32),
        dearer_ticks=np.zeros(shape, np.int64),
        tick=0,
        seen_at=np.full(models, -np.inf),
        late_ticks=np.zeros(shape, np.int64),
        stuck_ticks=np.zeros(shape, np.int64),
        warm_ticks=np.full(shape, RING_TICKS),
    )


def observe(
    memory: PodsMemory, fleet: Fleet, seen: Observed, late_ratio: Floats, load: Floats, now_seconds: float
) -> tuple[PodsMemory, Pods]:
    """One tick. ``late_ratio`` ``[M, P]`` is the late share that replicas may cure, ``load`` ``[M]`` are the arrivals in requests/s;
    both are NaN where unknown.
    """
    known = np.isfinite(load)
    seen_at = np.where(known, now_seconds, memory.seen_at)
    late = late_ratio > LATE_FACTOR * fleet.late_budget_ratio[:, None]
    stuck, stuck_ticks = _stuck(memory.stuck_ticks, fleet, seen)
    memory = replace(
        memory,
        startup_seconds=np.where(np.isfinite(seen.startup_seconds), seen.startup_seconds, memory.startup_seconds),
        readies=pushed(memory.readies, seen.ready),
        tick=memory.tick + 1,
        seen_at=seen_at,
        late_ticks=np.where(late, memory.late_ticks + 1, 0),
        stuck_ticks=stuck_ticks,
        warm_ticks=np.where(seen.warming > 0, 0, memory.warm_ticks + 1),
    )
    startup = np.where(np.isfinite(memory.startup_seconds), memory.startup_seconds, STARTUP_SECONDS_UNKNOWN)
    startup = startup + fleet.warm_up_seconds  # until then a new pod does not carry its part
    pods = Pods(
        startup_seconds=startup,
        slower=slower(fleet, startup),
        late_ticks=memory.late_ticks,
        given_up=stuck_ticks < 0,
        unplaced_seconds=np.where(stuck_ticks < 0, np.inf, stuck_ticks * fleet.tick_seconds),
        most=np.where(stuck | (stuck_ticks < 0), np.minimum(seen.ready, fleet.max_replicas), fleet.max_replicas),
        grown_from=_ago(memory, startup / fleet.tick_seconds),
        hold_ticks=_hold_ticks(fleet, startup),
        # A clock that was put back makes nobody see.
        blind_seconds=np.where(known, 0.0, np.maximum(now_seconds - seen_at, fleet.tick_seconds)),
    )
    return memory, pods


def with_cold(memory: PodsMemory, fleet: Fleet, seen: Observed) -> Observed:
    """What was seen, with the pools marked of which a pod warms now, or did in the time that the rate window reaches back."""
    return replace(seen, cold=(seen.warming > 0) | (memory.warm_ticks < fleet.span_ticks))


def slower(fleet: Fleet, startup_seconds: Floats) -> Bools:
    """Where pods ``[M, P]`` start so much later than those of the model's fastest pool that it can fill the gap meanwhile: by more
    than a tick. With ticks of 15 s and start-ups of 40, 50 and 60 s, the third is.
    """
    result: Bools = startup_seconds > fleet.smallest(startup_seconds) + fleet.tick_seconds
    return result


def horizon(fleet: Fleet, startup_seconds: Floats) -> Floats:
    """Start-up, the wait for the next tick, and the age of the rate: 45 + 15 + 40 s with a window of a minute."""
    return startup_seconds + fleet.tick_seconds + RATE_AGE_RATIO * fleet.rate_window_seconds


def _stuck(ticks: Ints, fleet: Fleet, seen: Observed) -> tuple[Bools, Ints]:
    """Where pods are unschedulable now ``[M, P]``, and for how many ticks; from minus the time of a retry on once they are given up."""
    stuck = seen.unschedulable > 0
    ticks = np.where(stuck | (ticks < 0), ticks + 1, 0)
    patience = round(UNSCHEDULABLE_PATIENCE_SECONDS / fleet.tick_seconds)
    retry = round(UNSCHEDULABLE_RETRY_SECONDS / fleet.tick_seconds)
    return stuck, np.where(ticks >= patience, -retry, ticks)


def _hold_ticks(fleet: Fleet, startup_seconds: Floats) -> Floats:
    """Ticks ``[M, P]`` for which a replica that was wanted is kept: until that has cost as much as to start it again. But proposals
    out of the same rate window are one opinion, however fast pods start.
    """
    result: Floats = np.maximum(startup_seconds / fleet.tick_seconds, fleet.span_ticks)
    return result


def _replicas_for(load: NDArray[np.float32], each: Floats) -> Floats:
    """Whole replicas that carry a load at ``each`` ``[M, P]`` requests/s; NaN where that is unknown."""
    result: Floats = np.ceil(load / np.where(np.isfinite(each) & (each > 0), each, np.nan) - ROUNDING_REPLICAS)
    return result


def _newest(ring: NDArray[np.float32], ticks: Floats) -> tuple[NDArray[np.float32], Bools]:
    """The part of a ring ``[R, M, P]`` that holds the last ``ticks`` ``[M, P]``, and which of its values are of these."""
    values = ring[: int(np.ceil(ticks.max(initial=0))) + 1]
    return values, np.arange(len(values))[:, None, None] < ticks


def _recent_largest(ring: NDArray[np.float32], ticks: Floats) -> NDArray[np.float32]:
    """Largest value of the last ``ticks`` ``[M, P]`` ticks of a ring ``[R, M, P]``, this one always included."""
    values, recent = _newest(ring, ticks)
    result: NDArray[np.float32] = np.where(recent, values, values[0]).max(0)
    return result


def _ago(memory: PodsMemory, ticks: Floats) -> Ints:
    """The ready replicas ``ticks`` ``[M, P]`` ticks ago, or the oldest that are known."""
    back = np.clip(np.round(ticks).astype(np.int64), 0, min(len(memory.readies), memory.tick) - 1)
    rows, columns = np.indices(back.shape)
    value: Ints = memory.readies[back, rows, columns].astype(np.int64)
    return value
