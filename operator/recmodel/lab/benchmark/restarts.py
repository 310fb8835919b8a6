"""What a restart of the operator costs: the hour after it, on drawn plants in a recorded day, by what the next process finds.

    python -m recmodel.lab.benchmark.restarts [--plants parity:3 "coarse GPU:1"] [--hours 13.5 21] [--seeds 1 2]

The defaults are 40 runs of two and a half hours, which take a quarter of an hour on a free core.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from recmodel.lab.benchmark.days import CHECKOUT
from recmodel.lab.benchmark.drawn_days import wobble
from recmodel.lab.benchmark.plants import Plant, draw_plant
from recmodel.lab.controllers.restarted import Finds, Restarted
from recmodel.lab.simulator.simulation import simulate
from recmodel.lab.trace import Trace, read_trace

TRACE = CHECKOUT / "tests/data/traces/tencent_14.csv.gz"
DAY = 3.0  # of the trace, with those before it as the past
BEFORE_HOURS, AFTER_HOURS = 1.5, 1.0  # of the restart
PEAK_RATIO = 1.6  # of the plant's: the trace's largest peak is another day's, and this one comes to half of it


@dataclass(frozen=True)
class After:
    """The hour after the restart."""

    finds: Finds
    cost: float
    minutes_over: int


def hour_after(plant: Plant, trace: Trace, hour: float, seed: int, finds: Finds) -> After:
    """One run: a restart an hour and a half after ``hour`` of the day."""
    load = trace.rescaled(peak_per_second=PEAK_RATIO * plant.peak_per_second)
    begin = DAY + hour / 24.0
    part, past = load.between(begin, begin + (BEFORE_HOURS + AFTER_HOURS) / 24.0), load.history_before(begin)
    rates = part.per_second()
    rates = rates * wobble(len(rates), np.random.default_rng([seed, 7]))
    scenario = plant.running(float(rates[:60].mean()), part.start_seconds)
    if past is None:
        raise ValueError(f"day {DAY:g} of the trace has no past")
    controller = Restarted(scenario, past, rates, 3600.0 * BEFORE_HOURS, finds)
    result = simulate(scenario, rates, controller, seed)
    after = slice(round(60.0 * BEFORE_HOURS), None)
    return After(finds, float(result.cost[after].sum()), int(result.over[after].sum()))


def table(found: Sequence[After]) -> Iterator[str]:
    """One line for each that the next process may find; cost relative to that of no restart."""
    whole = sum(after.cost for after in found if after.finds == "all")
    for finds in get_args(Finds):
        runs = [after for after in found if after.finds == finds]
        cost, over = sum(after.cost for after in runs), sum(after.minutes_over for after in runs)
        yield f"  {finds:15s} cost {cost:8.3f} ({cost / whole:.3f})  minutes over {over} in {len(runs)} hours"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs all, and prints a table for each plant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plants", nargs="+", default=["parity:3", "coarse GPU:1"], metavar="FAMILY:SEED")
    parser.add_argument("--hours", nargs="+", type=float, default=[13.5, 21.0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--trace", type=Path, default=TRACE)
    given = parser.parse_args(arguments)
    trace = read_trace(given.trace)
    for name in given.plants:
        family, _, number = name.rpartition(":")
        plant = draw_plant(family, int(number))
        rows = [(hour, seed, finds) for hour in given.hours for seed in given.seeds for finds in get_args(Finds)]
        found = [hour_after(plant, trace, hour, seed, finds) for hour, seed, finds in rows]
        sys.stdout.write("\n".join([name, *table(found), ""]))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
