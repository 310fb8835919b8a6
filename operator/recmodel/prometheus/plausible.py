"""Rates that cannot be: thousands of times what a pool, or its neighbours, had a moment ago.

Two processes behind one page, servers that take turns and counters that collide go back and forth; ``rate`` takes each
step back for a restart and adds the whole counter. Two tests, each of which passes a flash crowd and a first reading:

* within the window: a true counter rises by what it moved, restarts included. Where the rate is a multiple of what lies
  between the counters' smallest and largest value, they went back and forth. This needs no memory.
* against the last hour and the other pools: the net below it, for whatever else makes a rate absurd.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from recmodel.core.types import Reason
from recmodel.prometheus import readings
from recmodel.prometheus.answers import PoolKey
from recmodel.prometheus.known import serving, unknown
from recmodel.prometheus.readings import ModelView, PoolReading

MOST_MOVES = 5.0  # extrapolation doubles a rate of two samples, and a restart counts the way up twice
MOST_RISE = 300.0  # a switch from 1 % of the traffic to all of it is 100
TELLING_PER_SECOND = 10.0  # less is too few requests in a window to be compared with
KEPT_SECONDS = 1800.0  # of each of two spans: what lasts longer than both is the new load


@dataclass(slots=True)
class _Recent:
    """The largest rate of the span that began at ``since_seconds``, and of the one before."""

    since_seconds: float
    largest: float = 0.0
    before: float = 0.0


@dataclass(slots=True)
class RateMemory:
    """The largest believed rate of each pool within the last half to whole hour: two numbers a pool. One for the process,
    kept by the controller's Decider, which says whose pools there are; losing it makes the next reading the first one.
    """

    pools: dict[PoolKey, _Recent] = field(default_factory=dict)

    def largest(self, pool: PoolKey, now_seconds: float) -> float:
        """Requests/s; 0 where none is known."""
        recent = self._rolled(pool, now_seconds)
        return max(recent.largest, recent.before) if recent else 0.0

    def believe(self, pool: PoolKey, rate: float, now_seconds: float) -> None:
        """A rate that was plausible."""
        recent = self._rolled(pool, now_seconds) or _Recent(now_seconds)
        recent.largest = max(recent.largest, rate)
        self.pools[pool] = recent

    def keep(self, keys: set[PoolKey]) -> None:
        """Forgets the pools that are gone."""
        for key in self.pools.keys() - keys:
            del self.pools[key]

    def _rolled(self, pool: PoolKey, now_seconds: float) -> _Recent | None:
        recent = self.pools.get(pool)
        if recent is None:
            return None
        age_seconds = now_seconds - recent.since_seconds
        if not 0.0 <= age_seconds < 2 * KEPT_SECONDS:
            del self.pools[pool]
            return None
        if age_seconds >= KEPT_SECONDS:
            self.pools[pool] = recent = _Recent(recent.since_seconds + KEPT_SECONDS, 0.0, recent.largest)
        return recent


def back_and_forth(rate: float, moved_per_second: float | None) -> str | None:
    """What is wrong with counters whose rate is a multiple of what they moved by within the window; None: nothing."""
    if moved_per_second is None or rate < TELLING_PER_SECOND or rate <= MOST_MOVES * moved_per_second:
        return None
    return (
        f"a rate of {rate:.0f}/s, though the counters moved by {moved_per_second:.0f}/s: they go back and forth, as those of "
        "two processes behind one page, or of servers that take turns; export one set of counters a pod, and ask for "
        "deduplicated series"
    )


def believed(
    model: ModelView, pools: Mapping[str, PoolReading], memory: RateMemory | None, now_seconds: float
) -> dict[str, PoolReading]:
    """The readings, without those whose rate is absurd beside the pool's last hour and the other pools of its model."""
    found = {}
    for view in model.pools:
        reading, key = pools[view.name], (model.key, view.name)
        rate = reading.rate_per_second
        own = memory.largest(key, now_seconds) if memory else 0.0
        largest_known = max(own, *_neighbours(model, view.name, pools), 0.0)
        if rate is not None and largest_known >= 1.0 and rate > MOST_RISE * max(largest_known, TELLING_PER_SECOND):
            said = (
                f"a rate of {rate:.0f}/s, where it and its neighbours had {largest_known:.0f}/s at most within the hour: more than "
                f"{MOST_RISE:.0f} times as much is taken for an error of the counters, unless it lasts for an hour"
            )
            reading = unknown(reading, Reason(readings.RATE_IMPLAUSIBLE, said))
        elif rate is not None and memory is not None:
            memory.believe(key, rate, now_seconds)
        found[view.name] = reading
    return found


def _neighbours(model: ModelView, name: str, pools: Mapping[str, PoolReading]) -> list[float]:
    """What the other pools' rates make of this one's by their weights, or as they are where that is more. A pool that
    gets no traffic, and one with too few requests, says nothing.
    """
    (own,) = (pool for pool in model.pools if pool.name == name)
    result = [0.0]
    for other in model.pools:
        rate = pools[other.name].rate_per_second
        if other.name == name or not (serving(own) and serving(other)) or rate is None or rate < TELLING_PER_SECOND:
            continue
        result.append(rate * max(1.0, (own.weight or 1.0) / (other.weight or 1.0)))
    return result
