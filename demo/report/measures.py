"""The figures of a run's table. Pure: a run in, numbers out, None where the run does not show it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from report.collect import Run, Series, Side
from watch.generator_log import ClientSecond
from watch.schedule import Schedule
from watch.snapshot import DecisionSeen, Snapshot

WINDOW_SECONDS = 10  # the objective is judged over this many seconds of arrivals
AFTERMATH_SECONDS = 60  # a crowd's effect is looked for until this long after its end
MAX_LOST_RATIO = 0.01  # outside of the crowd: what comes within seconds, the pods that are there lose in part


@dataclass(frozen=True)
class Reaction:
    """To the flash crowd, in seconds from its start. None: unknown, or not before the end of what was looked at."""

    short: bool  # ready capacity was below the offered load, or may have been, at some time of the crowd
    capacity_seconds: float | None  # until it certainly no longer was (0: it never was)
    certain: bool  # the last time that counts was certainly below, not perhaps
    late: bool  # the percentile was above the threshold at some time
    recovered_seconds: float | None  # until it no longer was (0: it never was)


@dataclass(frozen=True)
class Counted:
    """What one side came to, after the warm-up. Counts are its load generator's; the cost is that of the replicas asked for."""

    requests: int
    answered: int
    failed: int
    timeouts: int
    lost_in_crowd: int  # of the failed and timed out ones, those that were sent in the flash crowd
    unsent: int
    late: int  # of the answered ones
    over_objective_seconds: int
    cost: float | None
    replica_changes: int

    @property
    def missed(self) -> int:
        """Requests that were late or lost."""
        return self.late + self.failed + self.timeouts

    @property
    def late_ratio(self) -> float | None:
        """Late or lost, of all requests."""
        return self.missed / self.requests if self.requests else None


@dataclass(frozen=True)
class Measures:
    """What the table shows."""

    served: Counted
    beside: Counted | None  # None: no HPA ran beside it
    short_seconds: float | None
    weight_changes: int
    decisions: Sequence[DecisionSeen]  # oldest first
    first_decision_seconds: float | None  # after the RecModel was created
    reaction: Reaction | None  # None: no flash crowd in the schedule
    within_ratio: float  # of the objective

    @property
    def lost_ratio(self) -> float:
        """Timeouts and errors outside of the flash crowd, of all requests that left."""
        sent = self.served.requests - self.served.unsent
        return (self.served.failed + self.served.timeouts - self.served.lost_in_crowd) / sent if sent else 1.0

    def problems(self) -> list[str]:
        """Why the run was not sound; empty: it was."""
        found = []
        if not self.served.answered:
            found.append("no request was answered")
        if not self.decisions:
            found.append("the operator made no decision")
        if self.lost_ratio >= MAX_LOST_RATIO:
            found.append(
                f"{self.lost_ratio:.2%} of the requests failed or timed out outside of the flash crowd; at most {MAX_LOST_RATIO:.0%} may"
            )
        unsent = self.served.unsent + (self.beside.unsent if self.beside else 0)
        if unsent:
            found.append(
                f"the load generator did not send {unsent} requests (its own limit): the load is not the plan's"
            )
        return found


def measures(run: Run) -> Measures:
    """All of them."""
    during = in_replay(run.served, run.schedule)
    created = datetime.fromisoformat(run.subject.created).timestamp()
    decisions = all_decisions(run.served.snapshots, since_seconds=created - 1.0)
    within_ratio = run.subject.model.within_ratio
    return Measures(
        served=counted(run.served, run.schedule, within_ratio),
        beside=None if run.beside is None else counted(run.beside, run.schedule, within_ratio),
        short_seconds=_short_seconds(run, during),
        weight_changes=_changes([tuple(pool.weight for pool in s.pools) for s in during]),
        decisions=decisions,
        first_decision_seconds=decisions[0].time_seconds - created if decisions else None,
        reaction=reaction(run, during),
        within_ratio=within_ratio,
    )


def counted(side: Side, schedule: Schedule, within_ratio: float) -> Counted:
    """What a side came to."""
    seconds = side.log.since(schedule.counts_from)
    during = in_replay(side, schedule)
    return Counted(
        requests=sum(s.due for s in seconds),
        answered=sum(s.ok for s in seconds),
        failed=sum(s.failed for s in seconds),
        timeouts=sum(s.timeouts for s in seconds),
        lost_in_crowd=sum(s.lost for s in seconds if schedule.in_crowd(s.second)),
        unsent=sum(s.unsent for s in seconds),
        late=sum(s.ok - s.within for s in seconds),
        over_objective_seconds=WINDOW_SECONDS * sum(over_objective(seconds, within_ratio).values()),
        cost=_last(cost(side, schedule)[1]),
        replica_changes=_changes([tuple(pool.desired for pool in s.pools) for s in during]),
    )


def in_replay(side: Side, schedule: Schedule) -> list[Snapshot]:
    """The snapshots from just before what counts to the schedule's end."""
    at = [s.time_seconds - side.start_seconds for s in side.snapshots]
    first = max((i for i, second in enumerate(at) if second <= schedule.counts_from), default=0)
    return [s for i, s in enumerate(side.snapshots) if i >= first and at[i] <= schedule.seconds]


def cost(side: Side, schedule: Schedule) -> tuple[Series, Series]:
    """Seconds of the schedule, and the cumulative cost at them; NaN from where a pool's replicas were unknown. A replica costs from
    the moment that it is asked for, ready or not: that is when its node is taken.
    """
    during = in_replay(side, schedule)
    at = np.array([s.time_seconds - side.start_seconds for s in during] + [float(schedule.seconds)])
    at = at.clip(float(schedule.counts_from))
    prices = np.array([np.nan if s.cost_per_hour() is None else s.cost_per_hour() for s in during], dtype=np.float64)
    return at, np.concatenate([[0.0], np.cumsum(prices * np.diff(at) / 3600.0)])


def late_so_far(side: Side, schedule: Schedule) -> tuple[Series, Series]:
    """Seconds of the schedule, and how many requests were late or lost until then."""
    seconds = side.log.since(schedule.counts_from)
    at = np.array([s.second + 1.0 for s in seconds], dtype=np.float64)
    return at, np.cumsum(np.array([s.due - s.within for s in seconds], dtype=np.float64))


def all_decisions(snapshots: Sequence[Snapshot], since_seconds: float) -> list[DecisionSeen]:
    """Every decision that the status ever showed (it keeps the last ten), oldest first."""
    found = {(d.time_seconds, d.reason, tuple(sorted(d.replicas.items()))): d for s in snapshots for d in s.decisions}
    return sorted((d for d in found.values() if d.time_seconds >= since_seconds), key=lambda d: d.time_seconds)


def over_objective(seconds: Sequence[ClientSecond], within_ratio: float) -> dict[int, bool]:
    """By first second of each window: fewer than ``within_ratio`` of its arrivals were answered in time (lost ones
    are not).
    """
    due, good = dict[int, int](), dict[int, int]()
    for s in seconds:
        window = s.second // WINDOW_SECONDS * WINDOW_SECONDS
        due[window] = due.get(window, 0) + s.due
        good[window] = good.get(window, 0) + s.within
    return {window: good[window] < within_ratio * count for window, count in due.items() if count}


def reaction(run: Run, during: Sequence[Snapshot]) -> Reaction | None:
    """How the flash crowd was met."""
    start, end = run.schedule.flash_start, run.schedule.flash_end
    if start is None or end is None:
        return None
    crowd = [(s.time_seconds - run.served.start_seconds, s) for s in during]
    short = [(at, s.short_of(run.schedule.rates[int(at)])) for at, s in crowd if start <= at < end]
    was_short, capacity = _until([(at, value is not False) for at, value in short], start)
    last = [value for _, value in short if value is not False][-1:]
    late = [
        (float(window), over)
        for window, over in over_objective(run.served.log.seconds, run.subject.model.within_ratio).items()
        if start - WINDOW_SECONDS < window < end + AFTERMATH_SECONDS
    ]
    is_late, recovered = _until(late, start)
    return Reaction(was_short, capacity, last != [None], is_late, recovered)


def _until(points: Sequence[tuple[float, bool]], start: float) -> tuple[bool, float | None]:
    """Whether it was ever so, and the seconds until it last was (None: it still was at the last point)."""
    bad = [i for i, (_, value) in enumerate(points) if value]
    if not bad:
        return False, 0.0
    return True, None if bad[-1] == len(points) - 1 else points[bad[-1] + 1][0] - start


def _short_seconds(run: Run, during: Sequence[Snapshot]) -> float | None:
    """Seconds in which the ready capacity was certainly below the offered load; None if that was never known."""
    at = [s.time_seconds - run.served.start_seconds for s in during] + [float(run.schedule.seconds)]
    total, known = 0.0, False
    for i, s in enumerate(during):
        second = int(at[i])
        short = s.short_of(run.schedule.rates[second]) if 0 <= second < run.schedule.seconds else None
        if short is not None:
            known = True
            total += (at[i + 1] - at[i]) * short
    return total if known else None


def _changes(values: Sequence[tuple[int | None, ...]]) -> int:
    known = [value for value in values if None not in value]
    return sum(before != after for before, after in itertools.pairwise(known))


def _last(values: Series) -> float | None:
    return None if np.isnan(values[-1]) else float(values[-1])
