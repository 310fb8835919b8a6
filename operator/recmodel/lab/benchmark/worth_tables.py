"""The page's section on what each mechanism and each number of the core is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recmodel.lab.benchmark.sections import LIKELY, listed, table
from recmodel.lab.benchmark.variations import MOVES, Number, Variation
from recmodel.lab.simulator.scenario import Floats

ABLATIONS = ("guard", "candidate", "mechanism")


@dataclass(frozen=True)
class Ran:
    """What one variation came to on each row; ``error`` where it did not run to the end, and the rest is empty."""

    costs: tuple[float, ...] = ()
    over_ratios: tuple[float, ...] = ()
    error: str = ""


@dataclass(frozen=True)
class Difference:
    """A variation less the engine as it is, row by row."""

    cost_ratios: Floats  # [R] of the cost
    over_points: Floats  # [R] of the share of minutes over

    @classmethod
    def of(cls, varied: Ran, whole: Ran) -> Difference:
        """Both ran on the same rows."""
        cost = np.array(varied.costs) / np.array(whole.costs) - 1.0
        return cls(cost, np.array(varied.over_ratios) - np.array(whole.over_ratios))

    @property
    def rows(self) -> int:
        """That came out otherwise at all."""
        return int(((self.cost_ratios != 0.0) | (self.over_points != 0.0)).sum())


def section(variations: Mapping[Variation, Ran], numbers: Sequence[Number], names: Sequence[str], setting: str) -> str:
    """The whole section as Markdown, its heading included. ``names`` are those of the rows."""
    whole = variations[Variation("nothing")]
    parts = [
        "## What each mechanism and each number is worth",
        f"{setting} {_reading(len(names))}",
        "### Without one mechanism",
        ablation_table(variations, whole),
        "### With one number a quarter larger or smaller",
        sensitivity_table(variations, whole, numbers),
    ]
    return "\n\n".join(parts) + "\n"


def ablation_table(variations: Mapping[Variation, Ran], whole: Ran) -> str:
    """A row for each thing left out: what the engine costs more without it, and how much more often it is over."""
    rows = []
    for variation, ran in variations.items():
        if variation.kind not in ABLATIONS:
            continue
        if ran.error:
            rows.append((variation.kind, f"`{variation.name}`", "", "", "", f"does not run: {ran.error}"))
            continue
        difference = Difference.of(ran, whole)
        cost, over = mean_and_error(difference.cost_ratios), mean_and_error(difference.over_points)
        rows.append(
            (variation.kind, f"`{variation.name}`", _told(*cost), _told(*over), str(difference.rows), worth(cost, over))
        )
    head = ("", "without", "cost, %", "over, points", "rows that differ", "worth")
    return table(head, rows) if rows else "No mechanism was left out."


def worth(cost: tuple[float, float], over: tuple[float, float]) -> str:
    """What the mechanism does, as far as it is beyond the noise; ``cost`` and ``over`` are mean and standard error without it."""
    if cost == over == (0.0, 0.0):
        return "no difference here"
    words = []
    for (mean, error), more, less in ((cost, "saves", "**costs**"), (over, "keeps the objective", "**is over more**")):
        if abs(mean) > LIKELY * error:
            words.append(more if mean > 0.0 else less)
    return ", ".join(words) or "within the noise"


def sensitivity_table(variations: Mapping[Variation, Ran], whole: Ran, numbers: Sequence[Number]) -> str:
    """A row for each number of which a move makes a difference, the largest effect on the cost first; the others in a sentence."""
    rows: list[tuple[float, tuple[str, ...]]] = []
    idle, broken, absent = [], [], 0
    for number in numbers:
        name = f"{number.module.removeprefix('recmodel.core.')}.{number.name}"
        moves = [variations.get(Variation("number", number.name, number.module, factor)) for factor in MOVES]
        both = [ran for ran in moves if ran is not None]
        if len(both) < len(MOVES):
            absent += 1
            continue
        differences = [None if ran.error else Difference.of(ran, whole) for ran in both]
        if all(difference is None for difference in differences):
            broken.append(name)
        elif not any(difference is not None and difference.rows for difference in differences):
            idle.append(name)
        else:
            cells = [cell for difference in differences for cell in _cells(difference)]
            largest = max(abs(float(d.cost_ratios.mean())) for d in differences if d is not None)
            rows.append((largest, (f"`{name}`", f"{number.value:g}", *cells)))
    if absent == len(numbers):
        return "No number was moved in this run."
    rows.sort(key=lambda row: -row[0])
    head = ("number", "is", "up: cost, %", "over, points", "down: cost, %", "over, points")
    notes = [
        f"No move of these makes a difference on any row: {listed([f'`{name}`' for name in idle])}.",
        f"With these moved either way the engine does not run, so they are no settings: {listed([f'`{name}`' for name in broken])}.",
    ]
    if absent:
        notes.append(f"{absent} of {len(numbers)} numbers were not moved in this run.")
    return "\n\n".join([*([table(head, [row for _, row in rows])] if rows else []), *notes])


def mean_and_error(values: Floats) -> tuple[float, float]:
    """The mean and its standard error, which is infinite for a single row that differs."""
    if len(values) < 2:
        return float(values.mean()), np.inf if values.any() else 0.0
    return float(values.mean()), float(values.std(ddof=1)) / float(np.sqrt(len(values)))


def _cells(difference: Difference | None) -> tuple[str, str]:
    if difference is None:
        return "does not run", ""
    return _marked(*mean_and_error(difference.cost_ratios)), _marked(*mean_and_error(difference.over_points))


def _told(mean: float, error: float) -> str:
    return f"{100 * mean:+.2f} ± {100 * error:.2f}"


def _marked(mean: float, error: float) -> str:
    return f"**{_told(mean, error)}**" if abs(mean) > LIKELY * error else _told(mean, error)


def _reading(rows: int) -> str:
    return (
        f"Each figure is the mean over {rows} rows of the engine with the change less the engine as it is, on the same arrivals, ± "
        f"its standard error; what is beyond {LIKELY:g} standard errors is marked, and of twenty that are nothing but noise one is. A "
        "mechanism that lowers the cost when it is left out may keep the objective, and the other way round: read both. What makes "
        "no difference here may be for a trouble that these rows do not have."
    )
