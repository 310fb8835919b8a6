"""The first minute, without a cluster: who would have served a recorded half day at which cost, and how late.

    python -m recmodel.lab.trial [--load CSV] [--day N] [--hours 12] [--seed 0] [--picture try.png]

The sample RecModel under the engine, an HPA, the KEDA setting that was the best one on the day before, and the one that was the best
with the load known; one verdict, a table, one picture. The same arguments give the same verdict.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from recmodel.decide import read_model
from recmodel.lab.benchmark.days import CHECKOUT, PEAK_PER_SECOND, Case, cut, running
from recmodel.lab.controllers.hindsight import ALLOWED_OVER_RATIO
from recmodel.lab.simulate import scenario_of
from recmodel.lab.trace import read_trace
from recmodel.lab.trial.contest import ENGINE, HPA, KEDA, TUNED, Ran, Task, run_all
from recmodel.lab.trial.progress import Progress
from recmodel.lab.verdict import Standing, table, verdict

SAMPLE = CHECKOUT / "manifests/samples/minimal.yaml"
ACCELERATED = ("gpu",)
LOAD = CHECKOUT / "demo/data/traces/tencent_14.csv.gz"
HOURS = 12.0
IN_SENTENCES = {
    ENGINE: "RecModel",
    TUNED: "KEDA as tuned on the day before",
    KEDA: "the best KEDA setting",
    HPA: "the HPA",
}


def sample_case(
    load: Path,
    number: int | None = None,
    hours: float = HOURS,
    seed: int = 0,
    peak_per_second: float = PEAK_PER_SECOND,
) -> Case:
    """The middle hours of the load's last whole day, or of day ``number``, served by the sample."""
    case = cut(load, hours=hours, seed=seed, number=number, peak_per_second=peak_per_second)
    begun = running(scenario_of(read_model(SAMPLE), ACCELERATED), float(case.rates[:60].mean()))
    return replace(case, scenario=replace(begun, start_seconds=case.scenario.start_seconds))


def day_before(case: Case, load: Path, number: int | None, seed: int = 0) -> Case | None:
    """The same hours a day earlier, at the same scale; None where the load begins later."""
    if case.history is None or case.history.days < 1.0:
        return None
    hours = len(case.rates) / 3600.0
    same_hours = case.history.between(case.history.days - 1.0, case.history.days - 1.0 + hours / 24.0)
    number = read_trace(load).whole_days - 1 if number is None else number
    return sample_case(load, number - 1, hours, seed, float(same_hours.per_second().max()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status is 0 also where the engine loses: the verdict says so."""
    parser = argparse.ArgumentParser(
        prog="python -m recmodel.lab.trial", description="The sample on a recorded half day, against HPA and KEDA."
    )
    parser.add_argument("--load", type=Path, default=LOAD, metavar="CSV", help="seconds,rps, uniform step; may be gzip")
    parser.add_argument("--day", type=int, metavar="N", help="day of the load, from 0 (default: the last whole day)")
    parser.add_argument("--hours", type=float, default=HOURS, help="of its middle (default 12)")
    parser.add_argument("--seed", type=int, default=0, help="of arrivals and service times")
    parser.add_argument("--jobs", type=int, default=min(os.cpu_count() or 1, 2), help="processes")
    parser.add_argument("--picture", type=Path, default=Path("try.png"), metavar="PNG")
    options = parser.parse_args(arguments)
    try:
        case = sample_case(options.load, options.day, options.hours, options.seed)
        before = day_before(case, options.load, options.day, options.seed)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    task = Task(case, before, options.seed)
    which = "its last whole day" if options.day is None else f"day {options.day}"
    sys.stdout.write(_setting(task, which) + "\n")
    sys.stdout.flush()
    progress = Progress(sys.stderr, task.names())
    ran = run_all(task, progress, options.jobs)
    progress.end()
    sys.stdout.write(told(ran, case) + "\n")
    write_picture(ran, case, options.picture)
    sys.stdout.write(f"picture: {options.picture.resolve()}\n")
    return 0


def told(ran: dict[str, Ran], case: Case) -> str:
    """The verdict, the table, and which settings they are of."""
    stood = {
        name: Standing.of(IN_SENTENCES[name], one.result.summary())
        for name, one in ran.items()
        if one.result is not None
    }
    mine = stood.pop(ENGINE)
    budget = 1.0 - case.scenario.within_ratio
    settings = [f"{IN_SENTENCES[name]}: {one.setting}" for name, one in ran.items() if name != ENGINE]
    return "\n".join(
        [
            "",
            f"verdict: {verdict(mine, list(stood.values()), ALLOWED_OVER_RATIO)}",
            "",
            table([mine, *stood.values()]),
            "",
            *settings,
            f"over: minutes of which more than {budget:.0%} of the requests were late or failed, which is what the objective allows",
        ]
    )


def write_picture(ran: dict[str, Ran], case: Case, path: Path) -> None:
    """What each cost, and when it was late."""
    from recmodel.lab.figures import draw_verdict  # matplotlib takes a second to import: while nobody waits for it

    names = {ENGINE: "RecModel", TUNED: "KEDA, tuned on the day before", KEDA: "KEDA, best setting", HPA: "HPA"}
    shown = {names[name]: one.result for name, one in ran.items() if one.result is not None}
    hours = len(case.rates) / 3600.0
    draw_verdict(
        shown, path, f"{hours:g} recorded hours, served {len(shown)} ways: what each cost, and when it was late"
    )


def _setting(task: Task, which: str) -> str:
    case, scenario = task.case, task.case.scenario
    prices = ", ".join(f"{pool.name} {pool.price:g}" for pool in scenario.pools)
    past = 0.0 if case.history is None else case.history.days
    first, last = (_clock(scenario.start_seconds + seconds) for seconds in (0.0, len(case.rates)))
    tuned = (
        ["KEDA as tuned on the day before: the best of as many on the same hours of that day"]
        if task.day_before is not None
        else []
    )
    return "\n".join(
        [
            f"load: {case.name}, {which}, {first} to {last}: {case.rates.min():,.0f} to {case.rates.max():,.0f} requests/s, "
            f"{case.rates.sum() / 1e6:.1f} million requests, simulated one by one",
            f"model: {SAMPLE.relative_to(CHECKOUT)}: {scenario.within_ratio:.0%} within {1000 * scenario.threshold_seconds:g} ms; "
            f"prices an hour: {prices}",
            f"RecModel: untuned; it knows {past:.0f} days of past load, and of the pools only the prices",
            f"KEDA: the best of {task.settings()} settings, found with the load known ({len(task.targets)} targets x "
            f"{len(task.shares)} shares, by halving): the cheapest that is over in {task.most_over_ratio:.1%} of the minutes at "
            "most, or as often as RecModel",
            *tuned,
        ]
    )


def _clock(seconds: float) -> str:
    return f"{int(seconds // 3600) % 24:02d}:{int(seconds // 60) % 60:02d}"


if __name__ == "__main__":
    sys.exit(main())
