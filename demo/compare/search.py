"""KEDA's best target, found with the load known: what a replica carries is measured, and each target is computed on that. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compare.plan import Plan, Series
from recmodel.core.types import PoolObservation
from recmodel.lab.controllers.baselines import Stabiliser, keda_recommendation
from watch.generator_log import ClientSecond

TARGET_RATIOS = tuple(np.round(np.arange(0.5, 1.101, 0.05), 2).tolist())  # of what a replica carries
SCRAPE_SECONDS = 5
MOST_OVER_RATIO = 0.005  # of the recorded minutes: as the search of `make try` allows it
SUSTAINED_WINDOWS = 2
PHASES = (0, 5, 10)  # of HPA's period against the load: nobody knows it beforehand


class NoCapacity(Exception):
    """The measurement does not show what a replica carries; the message says why."""


@dataclass(frozen=True)
class Limits:
    """Of the pool: replicas, and how long a new one takes until it serves."""

    least: int
    most: int
    start_up_seconds: int


@dataclass(frozen=True)
class Computed:
    """What a target comes to, as computed: the mean over the phases of HPA's period."""

    target_per_second: float
    replica_minutes: float  # recorded ones
    minutes_over: float


def capacity_per_second(seconds: Sequence[ClientSecond], within_ratio: float, window_seconds: int) -> float:
    """Requests/s that the replicas of the probe carried together: the arrivals of the last window within the objective before two in a
    row were not.

    Raises NoCapacity where the load never was too much, or was at once. Worked: windows at 30, 34, 38 and 42/s, of which the last two are
    over, give 34.
    """
    windows = [seconds[i : i + window_seconds] for i in range(0, len(seconds) - window_seconds + 1, window_seconds)]
    over = [sum(s.within for s in window) < within_ratio * sum(s.due for s in window) for window in windows]
    for first in range(len(over) - SUSTAINED_WINDOWS + 1):
        if all(over[first : first + SUSTAINED_WINDOWS]):
            if first == 0:
                raise NoCapacity(
                    "the replicas were over the objective from the first window on: begin with a lower load"
                )
            return sum(s.due for s in windows[first - 1]) / window_seconds
    raise NoCapacity("the replicas kept to the objective under the whole load: end with a higher one")


def computed(rates: Series, target_per_second: float, capacity: float, plan: Plan, limits: Limits) -> Computed:
    """KEDA's scaler behind HPA, second by second: rates over the window, HPA's tolerance, policies and down-window, and start-up times.

    Times are given to HPA's rules in recorded seconds: its window of 300 s is then the plan's, and its policies never bind for longer
    than the period of 15 s in which it decides.
    """
    runs = [_run(rates, target_per_second, capacity, plan, limits, phase) for phase in PHASES]
    return Computed(target_per_second, float(np.mean([r[0] for r in runs])), float(np.mean([r[1] for r in runs])))


def _run(rates: Series, target: float, capacity: float, plan: Plan, limits: Limits, phase: int) -> tuple[float, int]:
    stabiliser = Stabiliser()
    desired = ready = limits.least
    starting: list[tuple[int, int]] = []
    asked, able = np.empty(len(rates)), np.empty(len(rates))
    for second in range(len(rates)):
        ready = min(ready + sum(pods for at, pods in starting if at <= second), desired)
        starting = [(at, pods) for at, pods in starting if at > second]
        if second % plan.decide_seconds == phase:
            end = max(second - SCRAPE_SECONDS, 1)
            seen = float(rates[max(end - plan.window_seconds, 0) : end].mean())
            wanted = keda_recommendation(PoolObservation(desired, ready, rate_per_second=seen), target)
            bounded = min(max(wanted, limits.least), limits.most)
            decided = stabiliser.limit(second * plan.faster, desired, bounded)
            if decided > desired:
                starting.append((second + limits.start_up_seconds, decided - desired))
            desired, ready = decided, min(ready, decided)
        asked[second], able[second] = desired, ready
    counted = slice(plan.warm_up_seconds, None)
    by_minute = (-1, plan.minute_seconds)
    load_, carried = (values[counted].reshape(by_minute).mean(axis=1) for values in (rates, able * capacity))
    return float(asked[counted].sum() * plan.faster / 60.0), int(np.sum(load_ > carried))


def best_target(rates: Series, capacity: float, plan: Plan, limits: Limits) -> Computed:
    """The cheapest target that is over in few enough minutes; where none is, the one that is over least, and of these the cheapest."""
    found = [computed(rates, ratio * capacity, capacity, plan, limits) for ratio in TARGET_RATIOS]
    allowed = MOST_OVER_RATIO * plan.recorded_minutes
    good = [one for one in found if one.minutes_over <= allowed]
    if good:
        return min(good, key=lambda one: (one.replica_minutes, one.target_per_second))
    return min(found, key=lambda one: (one.minutes_over, one.replica_minutes))


def rounded(target_per_second: float) -> float:
    """As it is given to KEDA: down to a tenth, so that it is never above what was found."""
    return math.floor(10.0 * target_per_second + 1e-9) / 10.0
