"""What each mechanism and each number of the core is worth, and its section of the page.

    python -m recmodel.lab.benchmark.worth [--hours 1.5] [--jobs 2] [--only TEXT] [--page docs/benchmark.md]

The engine runs once as it is and once for each change, all rows as one fleet: with the defaults about 330 runs, which take two hours
on two free cores. What was run is kept (see :mod:`recmodel.lab.benchmark.kept`): an interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter

from recmodel.lab.benchmark.days import find_traces
from recmodel.lab.benchmark.drawn import what_was_run
from recmodel.lab.benchmark.drawn_days import KINDS
from recmodel.lab.benchmark.kept import RIVAL_SOURCES, folder, sources_digest, write
from recmodel.lab.benchmark.marked import WORTH, with_section
from recmodel.lab.benchmark.plants import FAMILIES
from recmodel.lab.benchmark.rows import NamedRow, draw_rows, read_rows, write_rows
from recmodel.lab.benchmark.variations import Variation, candidates, guards, moves, numbers
from recmodel.lab.benchmark.worth_tables import Ran, section
from recmodel.lab.controllers.mechanisms import MECHANISMS

ROW_SOURCES = (*RIVAL_SOURCES, "lab/benchmark/rows.py")
SOURCES = (
    *ROW_SOURCES,
    "core",
    "lab/benchmark/varied.py",
    "lab/benchmark/variations.py",
    "lab/controllers/fleet_engine.py",
    "lab/controllers/mechanisms.py",
)
RAN = TypeAdapter(Ran)


def all_variations(only: Sequence[str]) -> list[Variation]:
    """The engine as it is first; of the others those whose name holds one of the texts, or all."""
    left_out = [*guards(), *candidates(), *(Variation("mechanism", name) for name in MECHANISMS)]
    wanted = [v for v in (*left_out, *moves()) if not only or any(text in str(v) for text in only)]
    return [Variation("nothing"), *wanted]


def run(rows_file: Path, variation: Variation, results: Path) -> tuple[Ran, bool]:
    """What a variation comes to, in an interpreter of its own, and whether it was there already."""
    name = "-".join(str(part) for part in asdict(variation).values()).replace(" ", "_").replace("%", "")
    kept = results / f"{rows_file.stem}-{name}.json"
    if kept.exists():
        return RAN.validate_json(kept.read_bytes()), True
    command = [sys.executable, "-m", "recmodel.lab.benchmark.varied", str(rows_file), json.dumps(asdict(variation))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  this interpreter and this package
    if done.returncode == 0:
        costs, overs = zip(*json.loads(done.stdout), strict=True)
        ran = Ran(tuple(costs), tuple(overs))
    elif done.returncode < 0 or variation.kind == "nothing":  # interrupted, or the engine itself is at fault
        raise RuntimeError(f"{variation}: exit status {done.returncode}\n{done.stderr}")
    else:
        ran = Ran(error=done.stderr.strip().splitlines()[-1][:120])
    write(kept, RAN.dump_json(ran))
    return ran, False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all of it, a line on stderr for each run as it ends, and write the section."""
    parser = argparse.ArgumentParser(
        prog="python -m recmodel.lab.benchmark.worth", description="What each mechanism and each number is worth."
    )
    parser.add_argument("--hours", type=float, default=1.5, help="of each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="changes whose name holds it")
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="may be repeated")
    parser.add_argument("--day", action="append", choices=list(KINDS), help="may be repeated")
    parser.add_argument("--page", type=Path, help="file of which the section is written; else it is printed")
    options = parser.parse_args(arguments)
    traces = find_traces()
    families, days = options.family or list(FAMILIES), options.day or list(KINDS)
    rows, rows_file = _rows(families, days, options.seed, options.hours, traces)
    results = folder() / "worth" / sources_digest(SOURCES, traces)
    ran = _run_and_tell(all_variations(options.only), rows_file, results, options.jobs)
    given = what_was_run(sys.argv[1:] if arguments is None else arguments)
    setting = (
        f"Made by `{f'python -m recmodel.lab.benchmark.worth {given}'.strip()}`: {len(ran) - 1} changes on {len(rows)} rows of "
        f"{options.hours:g} h, seed {options.seed}: {', '.join(families)}, on days {', '.join(days)}, and calm days with a trouble."
    )
    text = section(ran, numbers(), [row.name for row in rows], setting)
    if options.page is None:
        sys.stdout.write(text)
    else:
        before = options.page.read_text("utf-8") if options.page.exists() else ""
        options.page.write_text(with_section(before, WORTH, text), encoding="utf-8")
    return 0


def _run_and_tell(variations: Sequence[Variation], rows_file: Path, results: Path, jobs: int) -> dict[Variation, Ran]:
    """In the order of the variations; a line on stderr for each as it ends."""
    started = time.monotonic()
    ran: dict[Variation, Ran] = {}
    with ThreadPoolExecutor(jobs) as pool:
        runs = {pool.submit(run, rows_file, variation, results): variation for variation in variations}
        try:
            for done in as_completed(runs):
                ran[runs[done]], was_kept = done.result()
                failed = f": does not run, {ran[runs[done]].error}" if ran[runs[done]].error else ""
                sys.stderr.write(
                    f"[{time.monotonic() - started:5.0f} s] {len(ran)}/{len(variations)} {runs[done]}{failed}"
                    f"{' (kept)' if was_kept else ''}\n"
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # what was not begun is left to the next time
            raise
    return {variation: ran[variation] for variation in variations}


def _rows(
    families: Sequence[str], days: Sequence[str], seed: int, hours: float, traces: Sequence[Path]
) -> tuple[list[NamedRow], Path]:
    """The rows and their file; drawn once, since to measure what a plant carries takes its time."""
    key = "-".join([*families, *days, str(seed), f"{hours:g}h"]).replace(" ", "_")
    file = folder() / "rows" / sources_digest(ROW_SOURCES, traces) / f"{key}.rows"
    if not file.exists():
        sys.stderr.write("measuring what the plants carry\n")
        file.parent.mkdir(parents=True, exist_ok=True)
        write_rows(file, draw_rows(families, days, seed, hours, traces))
    return read_rows(file), file


if __name__ == "__main__":
    sys.exit(main())
