"""The report as one HTML file: nothing outside of it is loaded, and it reads well on light and dark screens."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from report.collect import Run
from report.measures import Measures
from report.table import Row, rows, verdict
from watch.words import UNKNOWN, amount, clock, share

_STYLE = Path(__file__).with_name("page.css")


def page(run: Run, measures: Measures, light: bytes, dark: bytes) -> str:
    """The whole file."""
    model = run.subject.model
    began = datetime.fromtimestamp(run.served.start_seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    objective = f"{model.within_ratio * 100:g}% of the requests within {model.threshold_seconds * 1000:.0f} ms"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>RecModel {escape(model.key)}: a demo run</title><style>{_STYLE.read_text()}</style></head><body>",
        f"<h1>RecModel {escape(model.key)}</h1>",
        f'<p class="sub">{escape(began)}, {clock(run.schedule.seconds)} min of replay{_warm_up(run)}. Objective: {objective}.<br>',
        f"Replayed: {escape(run.replayed)}</p>",
        _verdict(measures),
        _emulated(run),
        _cards(run, measures),
        _picture(light, dark),
        f"<h2>What was measured</h2>{_rows(rows(run, measures))}",
        _pools(run),
        _decisions(measures),
        _events(run),
        _steps(run),
        "</body></html>\n",
    ]
    return "\n".join(parts)


def _warm_up(run: Run) -> str:
    counts_from = run.schedule.counts_from
    return f", of which the first {clock(counts_from)} are a warm-up that no figure counts" if counts_from else ""


def _emulated(run: Run) -> str:
    if not run.subject.emulated:
        return ""
    names = escape(", ".join(sorted(run.subject.emulated)))
    return (
        f'<p class="note">The accelerator of pool {names} is emulated: the nodes say that they have it, and the pods '
        "run for real, on the CPU. Its latency and capacity say nothing of a real accelerator.</p>"
    )


def _verdict(measures: Measures) -> str:
    problems = measures.problems()
    if problems:
        return f'<p class="bad"><b>The run was not sound:</b> {escape("; ".join(problems))}.</p>'
    against = verdict(measures)
    return f'<p class="good"><b>The run was sound.</b></p>{f"<p><b>{escape(against)}</b></p>" if against else ""}'


def _cards(run: Run, measures: Measures) -> str:
    served, threshold = measures.served, run.subject.model.threshold_seconds * 1000
    within = None if served.late_ratio is None else 1.0 - served.late_ratio
    met = within is not None and within >= run.subject.model.within_ratio
    lost = served.failed + served.timeouts
    cards = [
        ("good" if met else "bad", share(within), f"of all requests answered within {threshold:.0f} ms"),
        ("", f"{served.requests:,}", "requests offered"),
        ("good" if not lost else "bad", f"{lost:,}", "failed or timed out"),
        ("", amount(served.cost), "cost of the replay"),
        ("", f"{served.replica_changes} / {measures.weight_changes}", "changes of replicas / weights"),
    ]
    if measures.beside is not None:
        cards[4:4] = [
            ("", amount(measures.beside.cost), "cost of the HPA beside it"),
            ("", share(measures.beside.late_ratio), "late or lost under the HPA"),
        ]
    return (
        '<div class="cards">'
        + "".join(
            f'<div class="card"><b class="{c}">{escape(f)}</b><span>{escape(t)}</span></div>' for c, f, t in cards
        )
        + "</div>"
    )


def _picture(light: bytes, dark: bytes) -> str:
    sources = [f"data:image/png;base64,{base64.b64encode(data).decode()}" for data in (light, dark)]
    text = "load and forecast, latency against the objective, replicas, weights and cost over the minutes of the replay"
    dark_source = f'<source media="(prefers-color-scheme: dark)" srcset="{sources[1]}">'
    return f'<picture>{dark_source}<img src="{sources[0]}" alt="{text}"></picture>'


def _table(head: Sequence[str], body: Sequence[Sequence[str]], *numbers: int) -> str:
    cells = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if i in numbers else ''}>{escape(cell)}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row in body
    )
    return (
        f'<div class="wide"><table><tr>{"".join(f"<th>{escape(name)}</th>" for name in head)}</tr>{cells}</table></div>'
    )


def _rows(table: Sequence[Row]) -> str:
    if not any(row.beside for row in table):
        return _table(("", "figure", "source"), [(row.what, row.figure, row.source) for row in table], 1)
    body = [(row.what, row.figure, row.beside, row.source) for row in table]
    return _table(("", "RecModel", "HPA", "source"), body, 1, 2)


def _pools(run: Run) -> str:
    last = {pool.name: pool for pool in run.served.snapshots[-1].pools}
    body = []
    for pool in run.subject.model.pools:
        device = run.subject.devices[pool.name] + (" (emulated)" if pool.name in run.subject.emulated else "")
        found = last.get(pool.name)
        capacity = f"{found.capacity_per_replica:.1f}/s" if found and found.capacity_per_replica else UNKNOWN
        startup = f"{found.startup_seconds:.0f} s" if found and found.startup_seconds else UNKNOWN
        body.append(
            (
                pool.name,
                device,
                f"{pool.min_replicas} to {pool.max_replicas}",
                f"{pool.cost_per_hour:g}",
                capacity,
                startup,
            )
        )
    settings = ", ".join(
        f"{name}={value}" for name, value in sorted(run.settings.items()) if name.endswith(("_SECONDS", "_MODE"))
    )
    note = f"<p><small>Operator: {escape(settings)}</small></p>" if settings else ""
    head = ("pool", "device", "replicas allowed", "cost per hour", "a replica carries, as found", "start-up, as found")
    return f"<h2>The pools</h2>{_table(head, body)}{note}"


def _decisions(measures: Measures) -> str:
    body = [
        (
            datetime.fromtimestamp(d.time_seconds, UTC).astimezone().strftime("%H:%M:%S"),
            ", ".join(f"{name} {count} ({d.weights.get(name, 0)})" for name, count in d.replicas.items()),
            d.reason,
            d.message,
        )
        for d in measures.decisions
    ]
    head = ("time", "replicas (weight of 1000)", "reason", "why")
    return f"<h2>Every decision that changed something</h2>{_table(head, body, 1)}"


def _events(run: Run) -> str:
    body = [(event.time[11:19], event.reason, event.message, str(event.count)) for event in run.events]
    return (
        f"<h2>Events of the RecModel</h2>{_table(('time (UTC)', 'reason', 'message', 'times'), body)}" if body else ""
    )


def _steps(run: Run) -> str:
    body = [(name, f"{seconds:.0f} s") for name, seconds in run.steps]
    return f"<h2>The steps before the replay</h2>{_table(('step', 'took'), body, 1)}" if body else ""
