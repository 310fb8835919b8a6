"""The benchmark on one plant: every trace that is there, judged against HPA, KEDA and a clairvoyant; a page and a picture of it.

    python -m recmodel.lab.benchmark [--quick] [--out docs] [--seed 0] [--jobs 1] [--only NAME]

The same seed gives the same page, timings aside. Nothing is read but the traces; ``RECMODEL_TRACES`` names a folder of more. Each
trace that was judged is kept (see :mod:`recmodel.lab.benchmark.kept`): an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

from recmodel.lab.benchmark.days import CHECKOUT, Judged, cut, day_hours, find_traces, judge, true_capacities
from recmodel.lab.benchmark.fleet_cost import FleetCost, measure
from recmodel.lab.benchmark.kept import ENGINE_SOURCES, folder, sources_digest, write
from recmodel.lab.benchmark.marked import with_sections_of
from recmodel.lab.benchmark.page import draw, page
from recmodel.lab.simulator.scenario import Floats

ABLATED = ("tencent_14", "nasa_jul95")  # the two that the repository itself holds
SEEDS = 10  # of the engine on those two
FLEETS = (1, 100, 1_000, 10_000)
SHOWN_EVERY_SECONDS = 5.0


class Progress:
    """A line on stderr at most every few seconds."""

    def __init__(self) -> None:
        self._started, self._shown = time.monotonic(), 0.0

    def __call__(self, what: str, done: float) -> None:
        now = time.monotonic()
        if now - self._shown >= SHOWN_EVERY_SECONDS:
            self._shown = now
            sys.stderr.write(f"[{now - self._started:5.0f} s] {what} {done:4.0%}\n")


def judge_trace(path: Path, tables: dict[str, Floats], quick: bool, seed: int, results: Path) -> Judged:
    """Everything for one trace, or what it came to when it was judged before."""
    fitted = "" if find_spec("statsforecast") is None else "-fitted"
    kept = results / f"{path.name}-{day_hours(quick):g}h-{seed}{fitted}.judged"
    if kept.exists():
        before: Judged = pickle.loads(kept.read_bytes())  # noqa: S301  written by this program, in its own cache
        return before
    case = cut(path, hours=day_hours(quick), seed=seed)
    ablate = case.name in ABLATED
    judged = judge(case, tables, Progress(), seed=seed, seeds=SEEDS if ablate else 1, ablate=ablate)
    write(kept, pickle.dumps(judged))
    return judged


def judge_all(paths: Sequence[Path], quick: bool, seed: int, jobs: int) -> Iterator[Judged]:
    """In the order of the paths."""
    tables = true_capacities(cut(paths[0]).scenario)
    results = folder() / "traces" / sources_digest(ENGINE_SOURCES, paths)
    one = partial(judge_trace, tables=tables, quick=quick, seed=seed, results=results)
    if jobs == 1:
        yield from map(one, paths)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(one, paths)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status is 0 also where the engine loses: the page says so."""
    parser = argparse.ArgumentParser(
        prog="python -m recmodel.lab.benchmark", description="The benchmark of the engine."
    )
    parser.add_argument("--quick", action="store_true", help="judge the middle 12 hours of each day only")
    parser.add_argument("--out", type=Path, default=CHECKOUT / "docs", help="folder of the page and its picture")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="traces judged at once; timings suffer above 1")
    parser.add_argument("--only", action="append", metavar="NAME", help="a trace by name; may be repeated")
    options = parser.parse_args(arguments)
    paths = [p for p in find_traces() if not options.only or p.name.removesuffix(".csv.gz") in options.only]
    if not paths:
        parser.error("no such trace is there")
    fleets: list[FleetCost] = []
    for models in FLEETS:
        sys.stderr.write(f"a decision for {models} models\n")
        fleets.append(measure(models))
    judged = []
    for number, case in enumerate(judge_all(paths, options.quick, options.seed, options.jobs), start=1):
        judged.append(case)
        over, cost = case.engine.minutes_over_ratio, case.engine.cost
        best = "-" if case.best is None else f"{cost / case.best.summary.cost:.3f}"
        sys.stderr.write(
            f"{number}/{len(paths)} {case.name}: over {over:.2%}, {cost / case.bound_cost:.3f} x clairvoyant, "
            f"{cost / case.hpa.cost:.3f} x HPA, {best} x best in hindsight\n"
        )
    (options.out / "images").mkdir(parents=True, exist_ok=True)
    draw(judged, options.out / "images" / "benchmark.png")
    command = "python -m recmodel.lab.benchmark" + (" --quick" if options.quick else "")
    file = options.out / "benchmark.md"
    before = file.read_text("utf-8") if file.exists() else ""
    file.write_text(with_sections_of(page(judged, fleets, command, options.seed), before), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
