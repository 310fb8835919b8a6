"""The command line: ``recmodel crds | decide | explain | adopt | handover | handback | doctor | simulate | backtest | report |
optimise``.

Unpacks arguments, calls one function, prints. Imports stand inside the commands, so that ``recmodel decide`` never waits
for the lab's compiler.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from typing import Any

from recmodel.arguments import CONTROLLERS, CONTROLLERS_OF_MANY_POOLS, parser

NEEDS = {
    "simulate": "run it from a checkout, $(hack/venv.sh)/bin/recmodel; the operator's image has no simulator",
    "backtest": "run it from a checkout, $(hack/venv.sh)/bin/recmodel: the operator's image has no simulator, and takes --prometheus alone",
    "optimise": "run it from a checkout, $(hack/venv.sh variants)/bin/recmodel, or in the optimiser's image",
}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; the exit code is 0, or 2 with one line on standard error when the input is wrong."""
    options = parser().parse_args(arguments)
    try:
        code = COMMANDS[options.command](options)
    except BrokenPipeError:
        return 0
    except (ValueError, OSError) as error:
        print(f"recmodel {options.command}: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        print(f"recmodel {options.command}: {error}: {NEEDS.get(options.command, 'a whole install')}", file=sys.stderr)
        return 2
    return code


def _crds(_: argparse.Namespace) -> int:
    from recmodel.api.crd import crd_yaml

    print(crd_yaml(), end="")
    return 0


def _decide(options: argparse.Namespace) -> int:
    from recmodel.decide import decide, read_history, read_model

    history = read_history(options.history) if options.history else None
    for line in decide(sys.stdin, read_model(options.model), history):
        print(line, flush=True)
    return 0


def _explain(options: argparse.Namespace) -> int:
    from recmodel.report.explain import explain

    print(explain(options.file.read_text(encoding="utf-8") if options.file else sys.stdin.read()))
    return 0


def _adopt(options: argparse.Namespace) -> int:
    import asyncio

    from recmodel.controller.adopt import run
    from recmodel.report.adopted import objective, prices
    from recmodel.report.adoption import Wanted

    try:
        latency = objective(options.objective) if options.objective else None
        wanted = Wanted(options.namespace, options.name, latency, prices(options.cost))
        text = asyncio.run(run(options.workloads, wanted, options.prometheus, options.route))
    except ValueError as error:  # a shell has emptied the file behind > before
        raise ValueError(f"{error}. No RecModel was printed: a file that this was to go to is empty") from error
    print(text, end="")
    return 0


def _handover(options: argparse.Namespace) -> int:
    import asyncio

    from recmodel.controller.handover import run
    from recmodel.report.handover.store import KEEP, RESTORE

    try:
        on_delete = KEEP if getattr(options, "keep_on_delete", False) else RESTORE
        return asyncio.run(run(options.command, (options.namespace, options.name), options.yes, _say, on_delete))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def _say(text: str) -> None:
    """At once, and for as long as somebody reads it: what is under way ends even if nobody does."""
    with contextlib.suppress(BrokenPipeError):
        print(text, flush=True)


def _doctor(options: argparse.Namespace) -> int:
    import asyncio

    from recmodel.controller.doctor import run
    from recmodel.report.checks import exit_code, text

    found = asyncio.run(run(options.names))
    print(text(found))
    return exit_code(found)


def _simulate(options: argparse.Namespace) -> int:
    from recmodel.decide import read_model
    from recmodel.lab.figure_file import check_figure
    from recmodel.lab.simulate import assumed, compare, scenario_of, write_figure
    from recmodel.lab.trace import read_trace

    check_figure(options.figure)
    load = read_trace(options.load)
    number = options.day if options.day is not None else load.whole_days - 1
    if not 0 <= number < load.whole_days:
        raise ValueError(f"--day {number}: the load has {load.days:.2f} days")
    scenario = scenario_of(read_model(options.model), options.accelerated, options.set)
    print(assumed(scenario))
    day = _day(options, scenario, load, number)
    comparison = compare(
        day.scenario,
        day.load,
        options.controller or _controllers(len(scenario.pools)),
        day.history,
        seed=options.seed,
        progress=_progress,
    )
    print(comparison.table())
    if options.figure:
        write_figure(comparison, options.figure, f"{options.load.name}, day {number}")
        print(f"picture: {options.figure}")
    return 0


def _backtest(options: argparse.Namespace) -> int:
    from recmodel.lab.figure_file import check_figure

    check_figure(options.figure)
    if options.prometheus is not None:
        return _backtest_past(options)
    if options.model is None or options.load is None:
        raise ValueError(
            "name your Prometheus (--prometheus URL --namespace NAME --deployment NAME), or a file (--model FILE --load CSV)"
        )
    return _backtest_file(options)


def _backtest_past(options: argparse.Namespace) -> int:
    from recmodel.controller.past import asked_for, read_now
    from recmodel.lab.past.judged import Given, judge
    from recmodel.lab.past.picture import drawn

    if options.peak or options.load or options.model:
        raise ValueError(
            "--prometheus judges what ran: --peak, --load and --model are of a load in a file; leave them out"
        )
    wanted = asked_for(options)
    found = read_now(wanted)
    judged = judge(
        Given(
            found.past,
            found.before,
            wanted.latency.within_ratio,
            wanted.latency.threshold_seconds,
            found.scalers,
            found.startup_seconds if options.startup is None else options.startup,
            wanted.prices,
        ),
        _progress,
    )
    print(judged.text)
    if options.figure:
        print(drawn(judged, options.figure))
    return 0


def _report(options: argparse.Namespace) -> int:
    from recmodel.report_command import run

    return run(options)


def _backtest_file(options: argparse.Namespace) -> int:
    from recmodel.decide import read_model
    from recmodel.lab.backtest import backtest, last_days
    from recmodel.lab.simulate import assumed, scenario_of, write_figure
    from recmodel.lab.trace import read_trace

    load = read_trace(options.load)
    scenario = scenario_of(read_model(options.model), options.accelerated, options.set)
    days = {number: _day(options, scenario, load, number) for number in last_days(load, options.days)}
    print(assumed(scenario))
    judged = backtest(
        days,
        options.controller or _controllers(len(scenario.pools)),
        seed=options.seed,
        progress=_progress,
    )
    if said := judged.verdict():
        print(f"verdict: {said}\n")
    print(judged.table())
    if options.figure:
        number, last = list(judged.days.items())[-1]
        write_figure(last, options.figure, f"{options.load.name}, day {number}")
        print(f"picture: {options.figure}")
    return 0


def _day(options: argparse.Namespace, scenario: Any, load: Any, number: int) -> Any:
    from recmodel.lab.backtest import as_in_the_benchmark, as_recorded

    if options.peak:
        return as_in_the_benchmark(scenario, load, number, options.peak, options.seed)
    return as_recorded(scenario, load, number)


def _controllers(pools: int) -> tuple[str, ...]:
    return CONTROLLERS if pools <= 2 else CONTROLLERS_OF_MANY_POOLS


def _optimise(options: argparse.Namespace) -> int:
    from recmodel.variants.command import run

    run(options)
    return 0


def _progress(what: str, done: float) -> None:
    """Progress on standard error, on one line where that is a terminal."""
    if sys.stderr.isatty():
        print(f"\r{what}: {done:4.0%}", end="\n" if done >= 1.0 else "", file=sys.stderr, flush=True)
    elif done >= 1.0:
        print(f"{what}: done", file=sys.stderr, flush=True)


COMMANDS: dict[str, Callable[[Any], int]] = {
    "crds": _crds, "decide": _decide, "explain": _explain, "adopt": _adopt, "handover": _handover, "handback": _handover,
    "doctor": _doctor, "simulate": _simulate, "backtest": _backtest, "report": _report,
    "optimise": _optimise,
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
