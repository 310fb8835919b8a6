"""``recmodel report``: what was read of the last week becomes a page in a file, or one that is served."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time

from recmodel.api.time_zone import calendar
from recmodel.controller.weekly import Question, question_of, read_now
from recmodel.lab.figure_file import check_figure
from recmodel.lab.weekly.figures import report_of
from recmodel.lab.weekly.page import page
from recmodel.lab.weekly.picture import drawn
from recmodel.lab.weekly.served import ADDRESS, PORT, Live, server_of, url_of
from recmodel.lab.weekly.values import Given, Report
from recmodel.lab.weekly.written import check, write


def run(options: argparse.Namespace) -> int:
    """Writes the page, or serves it; ``ValueError`` with the way out where that cannot be."""
    if options.serve:
        return _served(options)
    if options.port is not None or options.address is not None:
        raise ValueError("--port and --address are of a page that is served: add --serve")
    if options.html is not None:
        check(options.html)
    check_figure(options.figure)
    report = _weekly(question_of(options))
    said = sys.stdout
    if options.html is None:  # the page alone is on standard output
        said = sys.stderr
        print(page(report), end="")
    else:
        write(page(report), options.html)
    print(report.first_line, file=said)
    if options.html is not None:
        print(f"page: {options.html}", file=said)
    if options.figure:
        print(drawn(report, options.figure), file=said)
    return 0


def _served(options: argparse.Namespace) -> int:
    if options.html is not None or options.figure is not None:
        raise ValueError("--serve writes no file: leave --html and --figure out")
    question = question_of(options)
    address, port = options.address or ADDRESS, PORT if options.port is None else options.port
    server = server_of(Live(lambda: _weekly(question), time.time), address, port)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _end)  # the first process of a container ends by nothing that it does not handle
    print(f"the report is at {url_of(server)} until Ctrl-C", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print("ended", file=sys.stderr)
    finally:
        server.server_close()
    return 0


def _end(*_: object) -> None:
    raise KeyboardInterrupt


def _weekly(question: Question) -> Report:
    found = read_now(question)
    wanted, latency = found.wanted, found.wanted.latency
    return report_of(
        Given(
            wanted.namespace,
            found.past,
            found.slots,
            latency.within_ratio,
            latency.threshold_seconds,
            latency.minutes_over_budget_ratio,
            wanted.prices,
            found.decisions,
            calendar(found.zone),
            found.zone,
            found.kinds_by,
            found.notes,
        )
    )
