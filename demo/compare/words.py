"""What several seeds came to together, and what is said of them. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from compare.outcome import Outcome
from compare.plan import Plan, Who
from recmodel.lab.verdict import Standing

NAMES = {Who.HPA: "the HPA", Who.KEDA: "KEDA at its best target", Who.RECMODEL: "RecModel"}
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36}  # 97.5 % quantile, by the number of runs
NORMAL = 1.96

Figure = Callable[[Outcome], float]


def standing(outcomes: Sequence[Outcome]) -> Standing:
    """Of one controller's runs together: the mean cost and changes, and the minutes and requests of all."""
    requests = sum(one.requests for one in outcomes)
    return Standing(
        NAMES[outcomes[0].who],
        cost=float(np.mean([one.cost for one in outcomes])),
        minutes=sum(len(one.over) for one in outcomes),
        minutes_over=sum(sum(one.over) for one in outcomes),
        late_ratio=sum(one.late for one in outcomes) / requests,
        changes=round(float(np.mean([one.changes for one in outcomes]))),
    )


def mean_text(outcomes: Sequence[Outcome], figure: Figure, form: str) -> str:
    """The mean, and with at least two runs half the width of its 95 % interval. Worked: 5.0, 5.2 and 5.4 are 5.20 ± 0.50."""
    values = np.array([figure(one) for one in outcomes])
    mean = format(float(values.mean()), form)
    if len(values) < 2:
        return mean
    half = STUDENT.get(len(values), NORMAL) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return f"{mean} ± {format(half, form)}"


def table(by_who: Sequence[Sequence[Outcome]]) -> list[str]:
    """A row a controller, in Markdown."""
    rows = [
        "| | Cost | Late requests | Minutes over | Failed requests | Mean replicas | Changes | Minutes short of CPU |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for outcomes in by_who:
        whole = [
            mean_text(outcomes, lambda one: one.cost, ".2f"),
            mean_text(outcomes, lambda one: one.late_ratio, ".2%"),
            mean_text(outcomes, lambda one: float(sum(one.over)), ".1f" if len(outcomes) > 1 else ".0f"),
            f"{sum(one.failed for one in outcomes)} of {sum(one.requests for one in outcomes):,}",
            mean_text(outcomes, lambda one: float(one.replicas.mean()), ".2f"),
            mean_text(outcomes, lambda one: float(one.changes), ".1f" if len(outcomes) > 1 else ".0f"),
            str(sum(one.short_minutes for one in outcomes)),
        ]
        name = NAMES[outcomes[0].who]
        rows.append(f"| {name[0].upper()}{name[1:]} | " + " | ".join(whole) + " |")
    return rows


def where_over(outcomes: Sequence[Outcome], plan: Plan) -> str:
    """When the minutes over were, by thirds of the recording. Worked: "3 in minutes 1 to 30, 0 in 31 to 60, 1 in 61 to 90"."""
    third = plan.recorded_minutes // 3
    parts = []
    for first in (0, third, 2 * third):
        last = first + third if first < 2 * third else plan.recorded_minutes
        parts.append(f"{sum(sum(one.over[first:last]) for one in outcomes)} in minutes {first + 1} to {last}")
    return ", ".join(parts)
