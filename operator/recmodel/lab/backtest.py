"""What would have been run on a user's own load: each of the last days, with what lay before it as history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recmodel.lab.simulate import Comparison, Progress, compare
from recmodel.lab.simulator.scenario import Floats, Scenario
from recmodel.lab.trace import Trace, regular_trace


@dataclass(frozen=True)
class Backtest:
    """The judged days by their number in the load (0 is the first one)."""

    days: dict[int, Comparison]

    def table(self) -> str:
        """A table a day, and one line a controller over all of them."""
        parts = [f"day {number}\n{comparison.table()}" for number, comparison in self.days.items()]
        bound = sum(comparison.bound.cost for comparison in self.days.values())
        lines = []
        for name in self._common():
            summaries = [comparison.results[name].summary() for comparison in self.days.values()]
            cost = sum(summary.cost for summary in summaries)
            over = sum(s.minutes_over for s in summaries) / sum(s.minutes for s in summaries)
            late = sum(s.late_ratio * s.requests for s in summaries) / max(sum(s.requests for s in summaries), 1)
            lines.append(
                f"{name}: minutes over {over:.2%}, late {late:.3%}, cost {cost:.1f}, {cost / bound:.3f} x clairvoyant"
            )
        return "\n\n".join([*parts, "all days\n" + "\n".join(lines)])

    def _common(self) -> list[str]:
        """Controllers that ran on every day (the best in hindsight is another one each day)."""
        first, *others = self.days.values()
        return [name for name in first.results if all(name in comparison.results for comparison in others)]


def backtest(
    scenario: Scenario,
    load: Trace,
    judged_days: int = 1,
    controllers: Sequence[str] = ("engine", "hpa:0.7:0.5", "keda:0.6:0.5"),
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Backtest:
    """Judge the last whole days of a load. A ValueError says when there are too few.

    How a pool serves (service times, start-up) comes from the scenario: a load alone does not show it.
    """
    whole = int(load.days + 1e-9)
    if not 1 <= judged_days <= whole:
        raise ValueError(f"{judged_days} days are to be judged, but the load has {load.days:.2f}")
    days: dict[int, Comparison] = {}
    for number in range(whole - judged_days, whole):
        past = load.history_before(number)
        day = load.between(number, number + 1)
        days[number] = compare(scenario, day, controllers, past, seed=seed, progress=progress)
    return Backtest(days)


def load_of_history(seconds: Floats, per_second: Floats) -> Trace:
    """A load from :class:`recmodel.prometheus.history.History`, whose values cover the step from each time on."""
    if len(seconds) < 2:
        raise ValueError("a history of fewer than two samples is not a load")
    step = float(np.median(np.diff(seconds)))
    return regular_trace(seconds.tolist(), per_second.tolist(), step)
