"""From what a run wrote down to what it came to. Pure: texts in, numbers out."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compare.canary import NotSound, short_minutes
from compare.plan import Plan, Series, Who
from watch.generator_log import ClientSecond, parse
from watch.snapshot import Snapshot, from_line


@dataclass(frozen=True)
class Outcome:
    """One run, over the recorded minutes; the warm-up is left out. Arrays have an entry a recorded minute.

    ``cost`` is in recorded time: four replicas at a price of 1 an hour, for 90 recorded minutes, cost 6. ``late`` counts what was answered
    too late or not at all, as the generator's clients saw it; ``failed`` is the part that got no answer or an error.
    """

    who: Who
    seed: int
    target_per_second: float | None  # KEDA's
    requests: int
    late: int
    failed: int
    cost: float
    changes: int
    load_per_second: Series
    late_ratios: Series
    replicas: Series  # asked for, the mean of the minute
    over: tuple[bool, ...]
    short_minutes: int  # in which the machine had no CPU to give

    @property
    def late_ratio(self) -> float:
        """Of all requests."""
        return self.late / self.requests


@dataclass(frozen=True)
class Written:
    """The texts of a run: the load generator's log, a snapshot a line, and what the canary measured."""

    log: str
    samples: str
    canary: str


def outcome(who: Who, seed: int, target_per_second: float | None, texts: Written, plan: Plan) -> Outcome:
    """Raises NotSound."""
    found = parse(texts.log)
    if not found.finished or found.start_seconds is None:
        raise NotSound(f"{who.value}, seed {seed}: the load generator's log has no summary")
    seconds = [s for s in found.seconds if plan.warm_up_seconds <= s.second < plan.seconds]
    if len(seconds) != plan.replay_seconds:
        raise NotSound(f"{who.value}, seed {seed}: the log has {len(seconds)} of {plan.replay_seconds} seconds")
    unsent = sum(s.unsent for s in seconds)
    if unsent:
        raise NotSound(f"{who.value}, seed {seed}: the generator did not send {unsent} requests, at its own limit")
    begin = found.start_seconds + plan.warm_up_seconds
    what = f"{who.value}, seed {seed}"
    short = short_minutes(what, texts.canary, begin, plan.recorded_minutes, plan.minute_seconds)
    snapshots = [from_line(line) for line in texts.samples.splitlines()]
    by_second, price = _replicas(snapshots, found.start_seconds, plan)
    late_ratios = _by_minute([s.due - s.within for s in seconds], plan) / np.maximum(
        _by_minute([s.due for s in seconds], plan), 1.0
    )
    return Outcome(
        who, seed, target_per_second,
        requests=sum(s.due for s in seconds),
        late=sum(s.due - s.within for s in seconds),
        failed=sum(s.lost for s in seconds),
        cost=float(by_second.sum()) * price * plan.faster / 3600.0,
        changes=int(np.sum(np.diff(by_second) != 0)),
        load_per_second=_by_minute([s.due for s in seconds], plan) / plan.minute_seconds,
        late_ratios=late_ratios,
        replicas=_by_minute(by_second, plan) / plan.minute_seconds,
        over=_over(seconds, plan),
        short_minutes=short,
    )  # fmt: skip


OBJECTIVE_RATIO = 0.95  # of the demo's ranker: 95 % within 100 ms, which is the generator's threshold


def _over(seconds: Sequence[ClientSecond], plan: Plan) -> tuple[bool, ...]:
    due = _by_minute([s.due for s in seconds], plan)
    within = _by_minute([s.within for s in seconds], plan)
    return tuple(bool(value) for value in within < OBJECTIVE_RATIO * due)


def _by_minute(values: Sequence[float] | Series, plan: Plan) -> Series:
    return np.asarray(np.asarray(values, np.float64).reshape(-1, plan.minute_seconds).sum(axis=1))


def _replicas(snapshots: Sequence[Snapshot], start_seconds: float, plan: Plan) -> tuple[Series, float]:
    """Replicas asked for, by second of the replay, and the price of one an hour. A snapshot holds until the next one that knows them."""
    known = [
        (s.time_seconds - start_seconds, s.pools[0].desired)
        for s in snapshots
        if s.pools and s.pools[0].desired is not None
    ]
    if not known or known[0][0] > plan.warm_up_seconds:
        raise NotSound("the replicas at the start of the replay are not known")
    longest = max((b[0] - a[0] for a, b in itertools.pairwise(known)), default=0.0)
    if longest > plan.decide_seconds or known[-1][0] < plan.seconds - plan.decide_seconds:
        raise NotSound(f"the replicas were not known for more than {plan.decide_seconds} s of the replay")
    times = np.array([at for at, _ in known])
    replicas = np.array([number for _, number in known], np.float64)
    at = np.arange(plan.warm_up_seconds, plan.seconds, dtype=np.float64) + 0.5
    return replicas[np.searchsorted(times, at, side="right") - 1], snapshots[0].pools[0].cost_per_hour
