"""A chart of text cells: the schedule still to come, the load that was measured, and the forecast over it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text

from watch.schedule import Schedule

_EIGHTHS = " ▁▂▃▄▅▆▇█"
FUTURE, PAST, FLASH, FORECAST = "grey42", "cyan", "magenta", "bold yellow"


def load_chart(
    schedule: Schedule, loads: Mapping[int, float], uppers: Mapping[int, float], width: int, height: int
) -> Text:
    """``height`` lines of ``width`` cells over the whole schedule; the left edge says the scale in requests/s."""
    columns = max(width - 7, 10)
    spans = [_span(column, columns, schedule.seconds) for column in range(columns)]
    planned = [max(schedule.rates[first:last]) for first, last in spans]
    measured = [_within(loads, span) for span in spans]
    upper = [_within(uppers, span) for span in spans]
    known = [value for value in (*planned, *measured, *upper) if value is not None]
    top = _round_up(max(known, default=1.0))
    text = Text(no_wrap=True)
    shown = list(map(_Column, spans, planned, measured, upper))
    for row in range(height - 1, -1, -1):
        text.append(
            f"{top * (row + 1) / height:5.0f} ┤" if row in (height - 1, height // 2 - 1) else "      │", "grey50"
        )
        for column in shown:
            text.append(*_cell(schedule, column, row, height / top))
        text.append("\n" if row else "")
    return text


@dataclass(frozen=True)
class _Column:
    """A column's seconds, and its largest load and forecast in requests/s."""

    seconds: tuple[int, int]
    planned: float
    measured: float | None
    upper: float | None


def _cell(schedule: Schedule, column: _Column, row: int, scale: float) -> tuple[str, str]:
    span, measured, upper = column.seconds, column.measured, column.upper
    value = column.planned if measured is None else measured
    filled = min(max(math.floor((value * scale - row) * 8), 0), 8)
    if upper is not None and math.floor(upper * scale - 1e-9) == row and filled == 0:
        return "─", FORECAST
    flash = schedule.flash_start is not None and span[1] > schedule.flash_start and span[0] < (schedule.flash_end or 0)
    colour = FUTURE if measured is None else PAST
    return _EIGHTHS[filled], ("dim " if measured is None else "") + (FLASH if flash else colour)


def _span(column: int, columns: int, seconds: int) -> tuple[int, int]:
    first = column * seconds // columns
    return first, max((column + 1) * seconds // columns, first + 1)


def _within(values: Mapping[int, float], span: tuple[int, int]) -> float | None:
    found = [values[second] for second in range(*span) if second in values]
    if found:
        return max(found)
    # Between two snapshots a narrow column has none of its own: the one before holds.
    before = [second for second in range(span[0] - 5, span[0]) if second in values]
    after = any(second in values for second in range(span[1], span[1] + 5))
    return values[before[-1]] if before and after else None


def _round_up(value: float) -> float:
    step = 10.0 ** math.floor(math.log10(max(value, 1.0))) / 2
    return float(math.ceil(value / step) * step)
