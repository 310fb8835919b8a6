"""The one reader of a load in a file: a CSV with the header ``seconds,rps``, plain or gzipped, as a range query gives it.

``recmodel decide --history``, ``simulate`` and ``backtest`` read the same files: gaps are gaps, and never zero.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MOST_STEPS = 10_000_000  # a time in milliseconds among times in seconds would be a gap of terabytes
_GZIP = b"\x1f\x8b"


class InvalidLoad(ValueError):
    """The file is no CSV ``seconds,rps`` at a uniform step; the message names the file, the line and the rule."""


@dataclass(frozen=True)
class Load:
    """Mean requests/s of the step that begins at each of ``seconds``, which are uniform; NaN where it is not known."""

    seconds: Floats
    per_second: Floats
    step_seconds: float  # NaN for fewer than two rows


def read_load(path: Path) -> Load:
    """The load of a file. A row that is missing is a gap, as is a value that is empty or can be no rate (NaN, infinite,
    negative); a byte order mark and further columns are passed over. ``InvalidLoad`` for everything else.
    """
    lines: list[int] = []
    seconds: list[float] = []
    values: list[float] = []
    for number, row in _rows(path):
        if not row:
            continue
        moment = _number(path, number, row[0], "seconds")
        if not math.isfinite(moment):
            raise InvalidLoad(f"{path}: line {number}: {row[0]!r} is not a finite number of seconds")
        if seconds and moment <= seconds[-1]:
            raise InvalidLoad(f"{path}: line {number}: seconds must rise from line to line, not go to {moment:g}")
        text = row[1].strip() if len(row) > 1 else ""
        value = _number(path, number, text, "requests/s") if text else math.nan
        lines.append(number)
        seconds.append(moment)
        values.append(value if math.isfinite(value) and value >= 0 else math.nan)
    return _on_grid(path, lines, np.array(seconds, np.float64), np.array(values, np.float64))


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if raw.startswith(_GZIP) else raw).decode("utf-8-sig")
        header, *rows = list(csv.reader(io.StringIO(text))) or [[]]
    except (UnicodeDecodeError, EOFError, csv.Error) as error:
        raise InvalidLoad(f"{path}: not a CSV file in UTF-8, plain or gzipped: {error}") from error
    if [cell.strip() for cell in header[:2]] != ["seconds", "rps"]:
        raise InvalidLoad(f"{path}: the header must be seconds,rps, not {','.join(header)[:80]!r}")
    return list(enumerate(rows, start=2))


def _number(path: Path, line: int, text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidLoad(f"{path}: line {line}: {text!r} is not a number of {what}") from None


def _on_grid(path: Path, lines: list[int], seconds: Floats, values: Floats) -> Load:
    """The rows at the smallest step between two of them, with NaN where one is missing."""
    if len(seconds) < 2:
        return Load(seconds, values, math.nan)
    steps = np.diff(seconds)
    step = float(steps.min())
    if (seconds[-1] - seconds[0]) / step > MOST_STEPS:
        raise InvalidLoad(f"{path}: {seconds[0]:g} to {seconds[-1]:g} s are more than {MOST_STEPS} steps of {step:g} s")
    wrong = np.flatnonzero(np.abs(steps - np.round(steps / step) * step) > 1e-6 * max(step, 1.0))
    if len(wrong):
        first = int(wrong[0])
        raise InvalidLoad(
            f"{path}: line {lines[first + 1]}: the step is {steps[first]:g} s, not {step:g} s or a multiple of it"
        )
    places = np.round((seconds - seconds[0]) / step).astype(np.int64)
    whole = np.full(int(places[-1]) + 1, np.nan)
    whole[places] = values
    return Load(seconds[0] + step * np.arange(len(whole)), whole, step)
