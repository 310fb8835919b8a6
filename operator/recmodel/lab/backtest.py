"""What would have been run on a user's own load: each of the last days, with what lay before it as history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recmodel.lab.benchmark.days import stretch
from recmodel.lab.controllers.hindsight import ALLOWED_OVER_RATIO
from recmodel.lab.simulate import Comparison, Progress, compare
from recmodel.lab.simulator.scenario import Floats, Scenario
from recmodel.lab.trace import Trace, regular_trace
from recmodel.lab.verdict import Standing, verdict


@dataclass(frozen=True)
class Backtest:
    """The judged days by their number in the load (0 is the first one)."""

    days: dict[int, Comparison]

    def verdict(self) -> str | None:
        """The engine against each of the others, over all days; None where it or every other one is missing."""
        stood = {name: self._standing(name) for name in self._common()}
        mine = stood.pop("engine", None)
        return verdict(mine, list(stood.values()), ALLOWED_OVER_RATIO) if mine is not None and stood else None

    def table(self) -> str:
        """A table a day, and one line a controller over all of them."""
        parts = [f"day {number}\n{comparison.table()}" for number, comparison in self.days.items()]
        bound = sum(comparison.bound.cost for comparison in self.days.values())
        lines = []
        for name in self._common():
            stood = self._standing(name)
            lines.append(
                f"{name}: minutes over {stood.minutes_over / stood.minutes:.2%}, late {stood.late_ratio:.3%}, "
                f"cost {stood.cost:.1f}, {stood.cost / bound:.3f} x clairvoyant"
            )
        return "\n\n".join([*parts, "all days\n" + "\n".join(lines)])

    def _standing(self, name: str) -> Standing:
        """What a controller came to on all days."""
        summaries = [comparison.results[name].summary() for comparison in self.days.values()]
        requests = sum(s.requests for s in summaries)
        return Standing(
            "the engine" if name == "engine" else name,
            cost=sum(s.cost for s in summaries),
            minutes=sum(s.minutes for s in summaries),
            minutes_over=sum(s.minutes_over for s in summaries),
            late_ratio=sum(s.late_ratio * s.requests for s in summaries) / max(requests, 1),
            changes=sum(s.scalings for s in summaries),
        )

    def _common(self) -> list[str]:
        """Controllers that ran on every day (the best in hindsight is another one each day)."""
        first, *others = self.days.values()
        return [name for name in first.results if all(name in comparison.results for comparison in others)]


@dataclass(frozen=True)
class Day:
    """One day to judge: the plant on which, its load, and what lay before it."""

    scenario: Scenario
    load: Trace
    history: Trace | None


def as_recorded(scenario: Scenario, load: Trace, number: int) -> Day:
    """A day of a load, by its number (0 is the first one)."""
    return Day(scenario, load.between(number, number + 1), load.history_before(number))


def as_in_the_benchmark(scenario: Scenario, load: Trace, number: int, peak_per_second: float, seed: int = 0) -> Day:
    """The same day with its own peak at ``peak_per_second``, made ready as :mod:`recmodel.lab.benchmark` does it: so that a row of the
    benchmark is the same run.
    """
    case = stretch("", load, scenario, float(number), (24.0, peak_per_second), seed)
    return Day(case.scenario, Trace(case.scenario.start_seconds, 1.0, case.rates), case.history)


def last_days(load: Trace, judged_days: int) -> range:
    """The numbers of the last whole days; a ValueError says when there are too few."""
    whole = load.whole_days
    if not 1 <= judged_days <= whole:
        raise ValueError(f"{judged_days} days are to be judged, but the load has {load.days:.2f}")
    return range(whole - judged_days, whole)


def backtest(
    days: Mapping[int, Day],
    controllers: Sequence[str] = ("engine", "hpa:0.7:0.5", "keda:0.6:0.5"),
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Backtest:
    """Judge days of a load, by their number.

    How a pool serves (service times, start-up) comes from the scenario: a load alone does not show it.
    """
    return Backtest(
        {
            number: compare(day.scenario, day.load, controllers, day.history, seed=seed, progress=progress)
            for number, day in days.items()
        }
    )


def load_of_history(seconds: Floats, per_second: Floats) -> Trace:
    """A load from :class:`recmodel.prometheus.history.History`, whose values cover the step from each time on."""
    if len(seconds) < 2:
        raise ValueError("a history of fewer than two samples is not a load")
    step = float(np.median(np.diff(seconds)))
    return regular_trace(seconds.tolist(), per_second.tolist(), step)
