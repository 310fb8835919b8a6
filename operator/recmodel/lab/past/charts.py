"""Tables and a chart of letters: what both sides cost and when. They need no library, so the operator's image has them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from recmodel.core.arrays.fleet import Floats
from recmodel.lab.past.compare import Comparison, Range, Side, measured, unexplained
from recmodel.lab.past.replay import Ground, Outcome, load_of

BLOCKS = "▁▂▃▄▅▆▇█"
COLUMNS = 48
HOURS_A_DAY, DAY_MINUTES = 24, 1440
ENGINE = "RecModel"


def sides_table(found: Comparison, ran: str, priced: bool) -> str:
    """One line a side."""
    head = ("", "cost" if priced else "replica-hours", "minutes over", "late", "changes of replicas")
    rows = [_side(name, side) for name, side in ((ran, found.ran), (ENGINE, found.engine))]
    return _aligned([head, *rows])


def days_table(ground: Ground, outcome: Outcome) -> str:
    """One line a replayed day, of the middle variant."""
    ran = measured(ground.past, ground.model)
    prices = np.array([pool.cost_per_hour for pool in ground.model.pools])
    budget, always = 1.0 - ground.model.within_ratio, unexplained(ground, ran)
    load = load_of(ground.past)
    rows = [("day from (UTC)", "peak/s", "cost that ran", ENGINE, "minutes over", ENGINE)]
    for day in range(ground.days):
        part = slice(day * ground.day_minutes, min((day + 1) * ground.day_minutes, ground.minutes))
        known = ran.known[part]
        mine = (outcome.late[part] > budget * outcome.requests[part] + 1e-9) | always[part]
        cost = float((outcome.replicas[part][known] @ prices).sum()) * ground.past.step_seconds / 3600.0
        peak = f"{np.nanmax(load[part]):.4g}" if np.isfinite(load[part]).any() else "?"
        begin = datetime.fromtimestamp(ground.past.seconds[part.start], UTC)
        rows.append(
            (
                f"{begin:%a %d %b %H:%M}",
                peak,
                f"{ran.cost[part][known].sum():.1f}",
                f"{cost:.1f}",
                f"{int((ran.over_low[part] & known).sum())}",
                f"{int((mine & known).sum())}",
            )
        )
    return _aligned(rows)


def chart(ground: Ground, outcome: Outcome) -> str:
    """Load and cost of both sides over the hours of a day, or over the whole range where it is shorter than two days."""
    ran = measured(ground.past, ground.model)
    prices = np.array([pool.cost_per_hour for pool in ground.model.pools])
    where, ends = _columns(ground)
    columns = int(where.max()) + 1
    rows = [
        ("load, requests/s", load_of(ground.past)),
        ("cost that ran", np.where(ran.known, ran.cost * 3600.0 / ground.past.step_seconds, np.nan)),
        (f"cost of {ENGINE}", np.where(ran.known, outcome.replicas @ prices, np.nan)),
    ]
    means = [_means(values, where, columns) for _, values in rows]
    costs = np.nanmax(np.concatenate(means[1:])) if np.isfinite(means[1]).any() else 1.0
    tops = [np.nanmax(means[0]) if np.isfinite(means[0]).any() else 1.0, costs, costs]
    width = max(len(name) for name, _ in rows)
    lines = [
        f"{name.ljust(width)}  {_blocks(values, top)}  up to {top:.4g}{'' if number == 0 else ' an hour'}"
        for number, ((name, _), values, top) in enumerate(zip(rows, means, tops, strict=True))
    ]
    return "\n".join([*lines, f"{' ' * width}  {ends[0]}{ends[1].rjust(columns - len(ends[0]))}"])


def _columns(ground: Ground) -> tuple[np.ndarray, tuple[str, str]]:
    """The column of each minute, and what is written below the first and the last."""
    if ground.minutes >= 2 * DAY_MINUTES:
        halves = np.floor(ground.past.seconds / 1800.0).astype(np.int64) % (2 * HOURS_A_DAY)
        return halves, ("00:00", "24:00 (UTC)")
    columns = min(COLUMNS, ground.minutes)
    where = np.arange(ground.minutes) * columns // ground.minutes
    begin, end = (datetime.fromtimestamp(ground.past.seconds[i], UTC) for i in (0, -1))
    return where, (f"{begin:%H:%M}", f"{end:%H:%M} (UTC)")


def _means(values: Floats, where: np.ndarray, columns: int) -> Floats:
    known = np.isfinite(values)
    sums = np.bincount(where[known], values[known], columns)
    numbers = np.bincount(where[known], minlength=columns)
    return np.asarray(np.where(numbers > 0, sums / np.maximum(numbers, 1), np.nan), np.float64)


def _blocks(values: Floats, top: float) -> str:
    """A letter a column, a gap where nothing is known."""
    scaled = np.clip(np.nan_to_num(values) / max(top, 1e-9) * len(BLOCKS), 0, len(BLOCKS) - 1).astype(int)
    return "".join(BLOCKS[level] if np.isfinite(value) else " " for level, value in zip(scaled, values, strict=True))


def _side(name: str, side: Side) -> tuple[str, ...]:
    return (
        name,
        _shown(side.cost, ".1f"),
        _shown(side.minutes_over, ".0f"),
        _shown(
            Range(*(100.0 * value for value in (side.late_ratio.low, side.late_ratio.middle, side.late_ratio.high))),
            ".2f",
        )
        + " %",
        str(side.changes),
    )


def _shown(value: Range, form: str) -> str:
    low, middle, high = (format(one, form) for one in (value.low, value.middle, value.high))
    return middle if low == high else f"{middle} ({low} to {high})"


def _aligned(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        ).rstrip()
        for row in rows
    )
