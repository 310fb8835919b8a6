"""The best setting of HPA or KEDA that could have been chosen, had the day been known: the bar to pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from recmodel.lab.controllers.baselines import Hpa, Keda
from recmodel.lab.simulator.result import Summary
from recmodel.lab.simulator.scenario import Floats, PoolScenario, Scenario
from recmodel.lab.simulator.simulation import simulate

Kind = Literal["hpa", "keda"]
CONTROLLERS = {"hpa": Hpa, "keda": Keda}

TARGETS = tuple(round(0.30 + 0.05 * step, 2) for step in range(14))  # 0.30 to 0.95
SHARES = tuple(round(0.1 * step, 1) for step in range(11))  # of the traffic, to the second pool


@dataclass(frozen=True, slots=True)
class Setting:
    """One point of the grid, and how the day went with it."""

    kind: Kind
    target_ratio: float
    gpu_share: float
    summary: Summary

    def __str__(self) -> str:
        return f"{self.kind} target {self.target_ratio:g}, share {self.gpu_share:g}: {self.summary}"


@dataclass(frozen=True, slots=True)
class Search:
    """Which settings are tried, with how many minutes over at most, and how.

    ``floor_cost_by_minute`` is what each minute costs at least (the clairvoyant's), for giving up early; ``slower`` above 1
    searches in :func:`slow_motion`, that many times faster.
    """

    most_minutes_over_ratio: float
    kinds: Sequence[Kind] = ("hpa", "keda")
    targets: Sequence[float] = TARGETS
    shares: Sequence[float] = SHARES
    floor_cost_by_minute: Floats | None = None
    slower: float = 1.0
    seed: int = 0

    def most_over(self, minutes: int) -> int:
        """Of so many minutes."""
        return int(self.most_minutes_over_ratio * minutes)

    def least_rest(self, minutes: int) -> Floats:
        """What the minutes from each one on cost at least, and 0 after the last."""
        floor = np.zeros(minutes) if self.floor_cost_by_minute is None else self.floor_cost_by_minute
        return np.append(np.cumsum(floor[::-1])[::-1], 0.0)


def best_in_hindsight(
    scenario: Scenario, rates_per_second: Floats, search: Search, progress: Callable[[float], None] | None = None
) -> Setting | None:
    """The cheapest setting within the most minutes over; None where there is none.

    For each kind and share the target is found by halving, since a higher target costs less and is late more often. A
    run is given up once it is over too often, or cannot become cheaper than the best one so far. Where minutes over do
    not rise with the target, a cheaper point may be missed: ``every_setting`` runs them all. What a search in slow motion
    finds is run, and lowered where needed, at full load.
    """
    slow, rates = slow_motion(scenario, search.slower), rates_per_second / search.slower
    tasks = [(kind, share) for kind in search.kinds for share in _middle_first(search.shares)]
    best: Setting | None = None
    for number, (kind, share) in enumerate(tasks, start=1):
        best = _cheaper(best, _highest_target(slow, rates, search, kind, share, best))
        if progress is not None:
            progress(number / len(tasks))
    if search.slower == 1.0 or best is None:
        return best
    return _at_full_load(scenario, rates_per_second, search, best)


def slow_motion(scenario: Scenario, slower: float) -> Scenario:
    """The same model with every service, the threshold and the client's patience ``slower`` times as long.

    At a load divided by the same number, utilisations, waits relative to the threshold, replicas and cost stay as they
    are, for as long as a service is short against a tick; only there are fewer requests, so a minute's share late is
    known less exactly. HPA and KEDA see no difference; histogram edges are not scaled, so an engine would.
    """

    def slowed(pool: PoolScenario) -> PoolScenario:
        return replace(
            pool,
            service_seconds=pool.service_seconds * slower,
            base_seconds=pool.base_seconds * slower,
            item_seconds=pool.item_seconds * slower,
            max_wait_seconds=pool.max_wait_seconds * slower,
        )

    return replace(
        scenario,
        pools=tuple(slowed(pool) for pool in scenario.pools),
        threshold_seconds=scenario.threshold_seconds * slower,
        timeout_seconds=scenario.timeout_seconds * slower,
    )


def run_setting(scenario: Scenario, rates: Floats, kind: Kind, target: float, share: float, seed: int = 0) -> Setting:
    """One point, run to the end."""
    result = simulate(scenario, rates, CONTROLLERS[kind](scenario, target, share), seed)
    return Setting(kind, target, share, result.summary())


def every_setting(
    scenario: Scenario, rates: Floats, kinds: Sequence[Kind] = ("hpa", "keda"), seed: int = 0
) -> list[Setting]:
    """The whole grid, every point run to the end: slow, for a picture of cost against minutes over."""
    return [
        run_setting(scenario, rates, kind, target, share, seed)
        for kind in kinds
        for target in TARGETS
        for share in SHARES
    ]


def _highest_target(
    scenario: Scenario, rates: Floats, search: Search, kind: Kind, share: float, best: Setting | None
) -> Setting | None:
    """The better of ``best`` and the highest target that is not over too often."""
    minutes = -(-len(rates) // 60)
    most_over, least_rest = search.most_over(minutes), search.least_rest(minutes)
    targets = sorted(search.targets)
    low, high = 0, len(targets) - 1
    while low <= high:
        middle = (low + high + 1) // 2
        dearest = best.summary.cost if best is not None else float("inf")
        controller = CONTROLLERS[kind](scenario, targets[middle], share)

        def hopeless(minutes: int, minutes_over: int, cost: float, dearest: float = dearest) -> bool:
            return minutes_over > most_over or cost + least_rest[minutes] >= dearest

        result = simulate(scenario, rates, controller, search.seed, give_up=hopeless)
        summary = result.summary()
        if summary.minutes_over > most_over:
            high = middle - 1
            continue
        low = middle + 1
        if result.finished:
            best = _cheaper(best, Setting(kind, targets[middle], share, summary))
    return best


def _at_full_load(scenario: Scenario, rates: Floats, search: Search, found: Setting) -> Setting | None:
    """The setting at full load, its target lowered until it holds; None where no target does."""
    most_over = search.most_over(-(-len(rates) // 60))
    for target in sorted((target for target in search.targets if target <= found.target_ratio), reverse=True):
        setting = run_setting(scenario, rates, found.kind, target, found.gpu_share, search.seed)
        if setting.summary.minutes_over <= most_over:
            return setting
    return None


def _cheaper(one: Setting | None, other: Setting | None) -> Setting | None:
    if one is None or other is None:
        return one or other
    return other if other.summary.cost < one.summary.cost else one


def _middle_first(shares: Sequence[float]) -> list[float]:
    """Shares near a half first: a good setting early cuts the others short."""
    return sorted(shares, key=lambda share: (abs(share - 0.5), share))
