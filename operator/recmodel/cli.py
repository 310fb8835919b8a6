"""The command line: ``recmodel crds | decide | explain | simulate | backtest``. Unpacks arguments, calls one function, prints."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from recmodel import __version__


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; the exit code is 0, or 2 with one line on standard error when the input is wrong."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code: int = options.run(options)
    except (ValueError, OSError) as error:
        print(f"recmodel {options.command}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="recmodel", description="Elastic recommender inference: the decisions, offline."
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    crds = commands.add_parser("crds", help="print the CustomResourceDefinition")
    crds.set_defaults(run=_crds)

    decide = commands.add_parser("decide", help="read an observation a line from stdin, write a decision a line")
    decide.add_argument("--model", type=Path, required=True, metavar="FILE", help="a RecModel manifest")
    decide.add_argument("--history", type=Path, metavar="CSV", help="past load: header seconds,rps, uniform step")
    decide.set_defaults(run=_decide)
    return parser


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
