"""The best setting of HPA or KEDA that could have been chosen, had the day been known: the bar to pass."""

from __future__ import annotations

import math
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from recmodel.lab.controllers.baselines import Hpa, Keda
from recmodel.lab.simulator.result import Summary
from recmodel.lab.simulator.scenario import Floats, PoolScenario, Scenario
from recmodel.lab.simulator.simulation import simulate

Kind = Literal["hpa", "keda"]
CONTROLLERS = {"hpa": Hpa, "keda": Keda}

ALLOWED_OVER_RATIO = 0.005  # the best in hindsight may be over as often as the engine, or this often
TARGETS = tuple(round(0.30 + 0.05 * step, 2) for step in range(14))  # 0.30 to 0.95
SLOW_COST_FACTOR = 1.03  # by which a cost in slow motion may miss that at full load ...
SLOW_OVER_FACTOR, SLOW_OVER_MINUTES = 1.25, 2.0  # ... and the minutes over
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
class SettingRun:
    """A run of one setting, to its end or up to where it was given up."""

    summary: Summary
    finished: bool
    cost_at_least: float  # of the whole time


@dataclass(frozen=True, slots=True)
class Search:
    """Which settings are tried, with how many minutes over at most, and how.

    ``floor_cost_by_minute`` is what each minute costs at least (the clairvoyant's), for giving up early; ``slower`` above 1
    searches in :func:`slow_motion`, that many times faster. ``runs`` keeps what was run, by setting and slowness: another search of the
    same load, for other minutes over, goes on from there.
    """

    most_minutes_over_ratio: float
    kinds: Sequence[Kind] = ("hpa", "keda")
    targets: Sequence[float] = TARGETS
    shares: Sequence[float] = SHARES
    floor_cost_by_minute: Floats | None = None
    slower: float = 1.0
    seed: int = 0
    runs: MutableMapping[str, SettingRun] = field(default_factory=dict)

    def most_over(self, minutes: int) -> int:
        """Of so many minutes."""
        return int(self.most_minutes_over_ratio * minutes)

    def least_rest(self, minutes: int) -> Floats:
        """What the minutes from each one on cost at least, and 0 after the last."""
        floor = np.zeros(minutes) if self.floor_cost_by_minute is None else self.floor_cost_by_minute
        return np.append(np.cumsum(floor[::-1])[::-1], 0.0)


@dataclass(frozen=True, slots=True)
class Ground:
    """A model and its load, as they are or in slow motion."""

    scenario: Scenario
    rates_per_second: Floats
    slower: float = 1.0

    def slowed(self, slower: float) -> Ground:
        """The same in slow motion."""
        return Ground(slow_motion(self.scenario, slower), self.rates_per_second / slower, slower)

    @property
    def minutes(self) -> int:
        """Of the load."""
        return -(-len(self.rates_per_second) // 60)


def best_in_hindsight(
    scenario: Scenario, rates_per_second: Floats, search: Search, progress: Callable[[float], None] | None = None
) -> Setting | None:
    """The cheapest setting within the most minutes over; None where there is none.

    For each kind and share the target is found by halving, since a higher target costs less and is late more often. A
    run is given up once it is over too often, or cannot become cheaper than the best one so far. Where minutes over do
    not rise with the target, a cheaper point may be missed. A search in slow motion lets pass what is over a little too
    often; then each of those that may be the cheapest, by its cost there, is run at full load, with a higher or a lower
    target where that is what holds.
    """
    full = Ground(scenario, rates_per_second)
    ground, first, doubt = full, search, 1.0
    if search.slower > 1.0:
        ground, doubt = full.slowed(search.slower), SLOW_COST_FACTOR
        loose = search.most_minutes_over_ratio * SLOW_OVER_FACTOR + SLOW_OVER_MINUTES / full.minutes
        first = replace(search, most_minutes_over_ratio=loose)
    tasks = [(kind, share) for kind in search.kinds for share in _middle_first(search.shares)]
    found: list[Setting] = []
    dearest = math.inf
    for number, (kind, share) in enumerate(tasks, start=1):
        setting = _highest_target(ground, first, kind, share, dearest)
        if setting is not None:
            found.append(setting)
            dearest = min(dearest, setting.summary.cost * doubt)
        if progress is not None:
            progress(number / len(tasks))
    found.sort(key=lambda setting: setting.summary.cost)
    if search.slower == 1.0:
        return found[0] if found else None
    best: Setting | None = None
    for setting in found:
        if best is not None and setting.summary.cost >= best.summary.cost * doubt:
            break
        best = _cheaper(best, _at_full_load(full, search, setting, math.inf if best is None else best.summary.cost))
    return best


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


def _try(ground: Ground, search: Search, setting: tuple[Kind, float, float], dearest: float) -> SettingRun:
    """Run a setting (kind, target, share), or look it up where what is known of it is enough to judge it."""
    kind, target, share = setting
    name = f"{kind} {target:g} {share:g} {ground.slower:g}"
    most_over, least_rest = search.most_over(ground.minutes), search.least_rest(ground.minutes)
    known = search.runs.get(name)
    if known is not None and (
        known.finished or known.summary.minutes_over > most_over or known.cost_at_least >= dearest
    ):
        return known
    given_up_at = 0.0

    def hopeless(minutes: int, minutes_over: int, cost: float) -> bool:
        nonlocal given_up_at
        given_up_at = cost + float(least_rest[minutes])
        return minutes_over > most_over or given_up_at >= dearest

    controller = CONTROLLERS[kind](ground.scenario, target, share)
    result = simulate(ground.scenario, ground.rates_per_second, controller, search.seed, give_up=hopeless)
    summary = result.summary()
    run = SettingRun(summary, result.finished, summary.cost if result.finished else given_up_at)
    search.runs[name] = run
    return run


def _highest_target(ground: Ground, search: Search, kind: Kind, share: float, dearest: float) -> Setting | None:
    """The highest target that is not over too often, if it is cheaper than ``dearest``."""
    targets = sorted(search.targets)
    low, high = 0, len(targets) - 1
    found: Setting | None = None
    while low <= high:
        middle = (low + high + 1) // 2
        run = _try(ground, search, (kind, targets[middle], share), dearest)
        if run.summary.minutes_over > search.most_over(ground.minutes):
            high = middle - 1
            continue
        low = middle + 1
        if run.finished and run.summary.cost < dearest:
            dearest = run.summary.cost
            found = Setting(kind, targets[middle], share, run.summary)
    return found


def _at_full_load(full: Ground, search: Search, found: Setting, dearest: float) -> Setting | None:
    """The setting at full load, its target raised for as long as it holds, or lowered until it does; None where it is dearer."""
    most_over, targets = search.most_over(full.minutes), sorted(search.targets)
    best: Setting | None = None

    def holds(target: float) -> bool:
        nonlocal best, dearest
        run = _try(full, search, (found.kind, target, found.gpu_share), dearest)
        if run.summary.minutes_over > most_over:
            return False
        if run.finished and run.summary.cost < dearest:
            best, dearest = Setting(found.kind, target, found.gpu_share, run.summary), run.summary.cost
        return True

    if holds(found.target_ratio):
        for target in targets[targets.index(found.target_ratio) + 1 :]:
            if not holds(target):
                break
        return best
    for target in reversed(targets[: targets.index(found.target_ratio)]):
        if holds(target):
            break
    return best


def _cheaper(one: Setting | None, other: Setting | None) -> Setting | None:
    if one is None or other is None:
        return one or other
    return other if other.summary.cost < one.summary.cost else one


def _middle_first(shares: Sequence[float]) -> list[float]:
    """Shares near a half first: a good setting early cuts the others short."""
    return sorted(shares, key=lambda share: (abs(share - 0.5), share))
