"""Builds a load schedule from a recorded trace: a window of it, replayed faster, scaled to a peak, plus a flash crowd.

    python demo/load/schedule.py --out schedule.csv [--trace TRACE.csv.gz] [--peak 180] [--seconds 540]

The CSV has the header ``seconds,rps,mark``: one row a second, ``mark`` is ``flash`` where load was added by hand, ``warm-up`` where
what happens does not count yet, and empty elsewhere. Nothing is random: the generator draws the arrivals.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Series = NDArray[np.float64]

DEFAULT_TRACE = Path(__file__).resolve().parent.parent / "data" / "traces" / "tencent_14.csv.gz"


@dataclass(frozen=True)
class Flash:
    """A flash crowd: the load times ``factor`` for ``seconds``, reached in a tenth of that time and left as fast."""

    start_seconds: float
    seconds: float = 40.0
    factor: float = 1.8

    def gain(self, at_seconds: Series) -> Series:
        """What to multiply the load by at each time: 1 outside, ``factor`` inside, straight lines between."""
        ramp = self.seconds / 10.0
        corners = self.start_seconds + np.array([0.0, ramp, self.seconds - ramp, self.seconds])
        return np.interp(at_seconds, corners, [1.0, self.factor, self.factor, 1.0])


def read_trace(path: Path) -> tuple[float, Series]:
    """Step in seconds and rates of a ``seconds,rps`` file (gzip or plain). Raises ValueError for an uneven step."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        table = np.loadtxt(file, delimiter=",", skiprows=1)
    steps = np.diff(table[:, 0])
    if len(table) < 2 or not np.all(steps == steps[0]):
        raise ValueError(f"{path}: the step must be uniform, found {sorted(set(steps.tolist()))[:3]}")
    return float(steps[0]), table[:, 1]


def steepest_rise(rates: Series, window: int, *, skip: int = 0) -> int:
    """Where the window with the largest lasting rise begins: mean of its last third over the mean of its first third.

    Thirds, so that one spike of a minute does not win. Windows with an almost empty minute (a dropout of the recording:
    less than a tenth of the trace's median) are left out. Raises ValueError when no window is left.
    """
    if window < 3 or len(rates) - skip < window:
        raise ValueError(f"a window of {window} steps does not fit into {len(rates) - skip}")
    views = np.lib.stride_tricks.sliding_window_view(rates[skip:], window)
    third = window // 3
    ratio = views[:, -third:].mean(axis=1) / np.maximum(views[:, :third].mean(axis=1), 1e-9)
    ratio[views.min(axis=1) < 0.1 * np.median(rates)] = -np.inf
    best = int(np.argmax(ratio))
    if not np.isfinite(ratio[best]):
        raise ValueError("every window of the trace has a dropout in it")
    return skip + best


def compress(rates: Series, seconds: int, peak_per_second: float) -> Series:
    """[seconds]: the window stretched to ``seconds`` (straight lines between points), its maximum the peak."""
    at = np.linspace(0.0, len(rates) - 1.0, seconds)
    shape = np.interp(at, np.arange(len(rates)), rates)
    return np.asarray(shape * (peak_per_second / shape.max()))


def build(
    rates: Series, *, seconds: int, peak_per_second: float, flash: Flash | None
) -> tuple[Series, NDArray[np.bool_]]:
    """Rates by second, and where the flash crowd is in them. The peak includes the flash crowd."""
    base = compress(rates, seconds, 1.0)
    gain = flash.gain(np.arange(seconds, dtype=np.float64)) if flash else np.ones(seconds)
    load = base * gain
    return np.asarray(load * (peak_per_second / load.max())), gain > 1.0


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="build a load schedule from a trace")
    parser.add_argument("--trace", type=Path, default=DEFAULT_TRACE)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--window-minutes", type=float, default=180.0, help="how much of the trace to replay")
    parser.add_argument("--from-minute", type=float, help="where the window begins; default: its steepest lasting rise")
    parser.add_argument("--seconds", type=int, default=540, help="length of the replay")
    parser.add_argument(
        "--peak", type=float, default=150.0, help="highest requests/s of the schedule, the flash crowd included"
    )
    parser.add_argument(
        "--flash-at", type=float, default=0.7, help="start of the flash crowd as a share of the replay; 0: none"
    )
    parser.add_argument("--warm-up-seconds", type=int, default=0, help="of the replay, which do not count yet")
    parser.add_argument("--flash-factor", type=float, default=Flash.factor)
    parser.add_argument("--flash-seconds", type=float, default=Flash.seconds)
    arguments = parser.parse_args()
    step_seconds, rates = read_trace(arguments.trace)
    window = round(arguments.window_minutes * 60.0 / step_seconds)
    start = (
        steepest_rise(rates, window)
        if arguments.from_minute is None
        else round(arguments.from_minute * 60.0 / step_seconds)
    )
    part = rates[start : start + window]
    if len(part) < window:
        raise SystemExit(f"the trace ends before minute {arguments.from_minute:g} + {arguments.window_minutes:g}")
    flash = (
        Flash(round(arguments.flash_at * arguments.seconds), arguments.flash_seconds, arguments.flash_factor)
        if arguments.flash_at
        else None
    )
    load, marked = build(part, seconds=arguments.seconds, peak_per_second=arguments.peak, flash=flash)
    with arguments.out.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["seconds", "rps", "mark"])
        writer.writerows(
            [second, f"{rate:.3f}", "warm-up" if second < arguments.warm_up_seconds else "flash" if mark else ""]
            for second, (rate, mark) in enumerate(zip(load, marked, strict=True))
        )
    print(
        f"{arguments.trace.name} from minute {start * step_seconds / 60:g}: {arguments.window_minutes:g} min in "
        f"{arguments.seconds} s ({arguments.window_minutes * 60 / arguments.seconds:.1f}x), {load.min():.0f} to "
        f"{load.max():.0f} requests/s, {load.sum():.0f} in all",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
