"""The benchmark on drawn plants and days, and its section of the page.

    python -m recmodel.lab.benchmark.drawn [--hours 12] [--seeds 3] [--jobs 2] [--told] [--page docs/benchmark.md]

What was run is kept (see :mod:`recmodel.lab.benchmark.kept`): an interrupted run goes on where it was, and after a change of the
engine HPA and KEDA are not searched again.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path

from recmodel.lab.benchmark.contest import Heat, Outcome
from recmodel.lab.benchmark.days import find_traces
from recmodel.lab.benchmark.drawn_days import KINDS
from recmodel.lab.benchmark.kept import Store, kept_or_run
from recmodel.lab.benchmark.marked import DRAWN, with_section
from recmodel.lab.benchmark.plants import FAMILIES
from recmodel.lab.benchmark.standings import best_ratio, bound_ratio, section


def run_all(heats: Sequence[Heat], traces: Sequence[Path], jobs: int) -> Iterator[tuple[Outcome, bool]]:
    """Each heat's outcome, and whether it was kept, as they come."""
    store = Store.of(traces)
    if jobs == 1:
        yield from (kept_or_run(heat, traces, store) for heat in heats)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for done in as_completed([pool.submit(kept_or_run, heat, traces, store) for heat in heats]):
            yield done.result()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; the exit status is 0 also where the engine loses: the section says so."""
    parser = argparse.ArgumentParser(
        prog="python -m recmodel.lab.benchmark.drawn", description="The engine on plants and days drawn by seed."
    )
    parser.add_argument("--hours", type=float, default=12.0, help="of each day")
    parser.add_argument("--seeds", type=int, default=3, help="how many; the first is --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--told",
        action="store_true",
        help="also run the engine told the truth, with the first seed: five times the engine's time",
    )
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="may be repeated")
    parser.add_argument("--day", action="append", choices=list(KINDS), help="may be repeated")
    parser.add_argument("--page", type=Path, help="file of which the section is written; else it is printed")
    options = parser.parse_args(arguments)
    heats = [
        Heat(family, day, seed, options.hours, options.told and seed == options.seed)
        for seed in range(options.seed, options.seed + options.seeds)
        for family in options.family or FAMILIES
        for day in options.day or KINDS
    ]
    outcomes = _run_and_tell(heats, find_traces(), options.jobs)
    given = sys.argv[1:] if arguments is None else arguments
    text = section(outcomes, f"python -m recmodel.lab.benchmark.drawn {what_was_run(given)}".strip())
    if options.page is None:
        sys.stdout.write(text)
    else:
        before = options.page.read_text("utf-8") if options.page.exists() else ""
        options.page.write_text(with_section(before, DRAWN, text), encoding="utf-8")
    return 0


def _run_and_tell(heats: Sequence[Heat], traces: Sequence[Path], jobs: int) -> list[Outcome]:
    """In the order of the heats; a line on stderr for each as it ends."""
    started = time.monotonic()
    outcomes: dict[Heat, Outcome] = {}
    for outcome, kept in run_all(heats, traces, jobs):
        outcomes[outcome.heat] = outcome
        ratio = best_ratio(outcome)
        sys.stderr.write(
            f"[{time.monotonic() - started:5.0f} s] {len(outcomes)}/{len(heats)} {outcome.heat}: over {outcome.over_ratio:.2%}, "
            f"{bound_ratio(outcome):.3f} x clairvoyant, {'-' if ratio is None else f'{ratio:.3f}'} x best in hindsight"
            f"{' (kept)' if kept else ''}\n"
        )
    return [outcomes[heat] for heat in heats]


def what_was_run(arguments: Sequence[str]) -> str:
    """The arguments that the figures depend on, for a shell: the same run gives the same section anywhere."""
    left, skip = [], False
    for word in arguments:
        skips = word in ("--page", "--jobs")
        if not skip and not skips and not word.startswith(("--page=", "--jobs=")):
            left.append(word)
        skip = skips
    return shlex.join(left)


if __name__ == "__main__":
    sys.exit(main())
