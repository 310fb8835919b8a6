"""``recmodel optimise``: arguments to a task, and the result to files, the screen and the cluster."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

import yaml

from recmodel.api.records import config_map
from recmodel.variants import plan, record, report
from recmodel.variants.choose import read_budget
from recmodel.variants.errors import InputError
from recmodel.variants.optimise import Result, optimise
from recmodel.variants.server import Runtime
from recmodel.variants.task import Task

DEFAULT_ADAPTER = "recmodel.variants.training:JaxAdapter"

# Of a record that goes to a file only: to be edited before it is applied.
FILE_TARGET = ("default", "recmodel")


def run(options: argparse.Namespace) -> Result:
    """Does all, and prints the table. Raises InputError (a ValueError) with one line where an input is wrong."""
    started = time.monotonic()
    stop_servers_on_termination()
    target = record.find(options.record) if options.record else None
    task = task_of(options)
    task.out.mkdir(parents=True, exist_ok=True)

    def progress(words: str) -> None:
        print(f"[{time.monotonic() - started:5.0f} s] {words}", file=sys.stderr, flush=True)

    result = optimise(task, progress)
    paths = report.write(result)
    print(paths["table"].read_text(encoding="utf-8"))
    print(f"chosen: {result.chosen}; {', '.join(str(path) for path in paths.values())}")
    publish(result, options, target)
    return result


def stop_servers_on_termination() -> None:
    """SIGTERM ends like an error, so that the servers that are being measured do not outlive us."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def publish(result: Result, options: argparse.Namespace, target: record.Target | None) -> None:
    """Writes the record to the file and the cluster, where these were asked for."""
    records = report.records(result, options.record_uri or str((result.task.out / "models").absolute()))
    made = config_map(*((target.namespace, target.recmodel) if target else FILE_TARGET), records)
    if options.record_file:
        options.record_file.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
        print(f"record: {options.record_file}")
    if target:
        record.write(target, made)
        print(f"record: ConfigMap {target.namespace}/{made['metadata']['name']}")


def task_of(options: argparse.Namespace) -> Task:
    """The task of these arguments."""
    if (options.server is None) != (options.server_program is None):
        raise InputError("server", options.server or options.server_program, "needs both --server and --server-program")
    return Task(
        model=options.model,
        evaluation=options.evaluation,
        out=options.out,
        budget_ratio=read_budget(options.budget),
        sizes=tuple(int(number) for number in _numbers("sizes", options.sizes)),
        training=options.training,
        report=options.report,
        baseline=options.baseline,
        output=options.output,
        sigmoid=options.sigmoid,
        adapter=options.adapter or DEFAULT_ADAPTER,
        designs=dict(_design(text) for text in options.design),
        recipes=options.recipes,
        quantisers=tuple(options.quantisers.split(",")) if options.quantisers else plan.installed(),
        widths=tuple(number / 100.0 for number in _numbers("widths", options.widths)),
        metric=options.metric,
        serving_size=options.serving_size,
        runtime=Runtime(options.server_program, options.server) if options.server else None,
        core=options.core,
        seed=options.seed,
    )


def _numbers(field: str, text: str) -> list[float]:
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or min(found) <= 0.0:
        raise InputError(field, text, "must be numbers above 0 with commas between them")
    return found


def _design(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or not name.replace("-", "").isalnum() or not name[0].isalpha() or name != name.lower():
        raise InputError("design", text, "must be NAME=FILE, with a name such as two-tower")
    return name, Path(path)
