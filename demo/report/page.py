"""The report as one HTML file: nothing outside of it is loaded, and it reads well on light and dark screens."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from report.collect import Run
from report.measures import WINDOW_SECONDS, Measures, Reaction
from watch.money import HPA_TARGET_RATIO, HpaRun
from watch.words import UNKNOWN, amount, clock, share

_STYLE = Path(__file__).with_name("page.css")


@dataclass(frozen=True)
class Row:
    """A line of the table: what, its figure, and where the figure comes from."""

    what: str
    figure: str
    source: str


def page(run: Run, measures: Measures, light: bytes, dark: bytes) -> str:
    """The whole file."""
    model = run.subject.model
    began = datetime.fromtimestamp(run.start_seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
    objective = f"{model.within_ratio * 100:g}% of the requests within {model.threshold_seconds * 1000:.0f} ms"
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>RecModel {escape(model.key)}: a demo run</title><style>{_STYLE.read_text()}</style></head><body>",
        f"<h1>RecModel {escape(model.key)}</h1>",
        f'<p class="sub">{escape(began)}, {clock(run.schedule.seconds)} min of replay. Objective: {objective}.<br>',
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


def _emulated(run: Run) -> str:
    if not run.subject.emulated:
        return ""
    names = escape(", ".join(sorted(run.subject.emulated)))
    return (
        f'<p class="note">The accelerator of pool {names} is emulated: the nodes say that they have it, and the pods '
        "run for real, on the CPU. Its latency and capacity say nothing of a real accelerator.</p>"
    )


def rows(run: Run, measures: Measures) -> list[Row]:
    """The table."""
    client, api, both = "load generator", "Kubernetes API", "Kubernetes API, Prometheus"
    hpa = measures.hpa
    return [
        Row("Requests", f"{measures.requests:,}", client),
        Row("Answered", f"{measures.answered:,}", client),
        Row("Failed (error or broken connection)", f"{measures.failed:,}", client),
        Row("Timed out", f"{measures.timeouts:,}", client),
        Row("Of these two, in the flash crowd", f"{measures.lost_in_crowd:,}", client),
        Row("Not sent (the generator's own limit)", f"{measures.unsent:,}", client),
        Row("Answered late", f"{measures.late:,} ({share(measures.late_ratio)})", client),
        Row(
            "Over the objective",
            f"{measures.over_objective_seconds / 60:.1f} min of {clock(run.schedule.seconds)}",
            f"{client}, in windows of {WINDOW_SECONDS} s",
        ),
        Row("Cost", amount(measures.cost), f"{api}: replicas asked for, with their costPerHour"),
        Row("Cost of a plain HPA", amount(float(hpa.cost()[-1])) if hpa else UNKNOWN, _given(hpa)),
        Row(
            "Ready capacity below the load",
            _seconds(measures.short_seconds),
            f"{api}, capacity as the operator found it, the offered load",
        ),
        Row("The same of the plain HPA", _seconds(measures.hpa_short_seconds), "computed, not run"),
        Row("Changes of replicas", str(measures.replica_changes), f"{api}, every 2 s"),
        Row("Changes of weights", str(measures.weight_changes), f"{api}, every 2 s"),
        Row("Decisions that changed something", str(len(measures.decisions)), f"{api}: status.decisions"),
        Row("First decision", _seconds(measures.first_decision_seconds), f"{api}: after the RecModel was created"),
        *_reaction(measures.reaction, both, client),
    ]


def _given(hpa: HpaRun | None) -> str:
    if hpa is None:
        return "not computed: no capacity, start-up time or CPU use of a CPU pool was found"
    rules = hpa.rules
    return (
        "computed, not run: HPA v2 with its defaults on the CPU pool alone, the load as Prometheus measured it, target "
        f"{HPA_TARGET_RATIO:.0%} of the CPU that a replica requests, which {rules.full_per_replica:.1f}/s use, ready after "
        f"{rules.startup_seconds:.0f} s (both measured in this run), {rules.min_replicas} to {rules.max_replicas} replicas"
    )


def _reaction(reaction: Reaction | None, api: str, client: str) -> list[Row]:
    if reaction is None:
        return []
    if not reaction.short:
        capacity = "enough from the start"
    elif reaction.capacity_seconds is None:
        capacity = "not while it lasted" if reaction.certain else UNKNOWN
    else:
        capacity = f"after {'' if reaction.certain else 'at most '}{reaction.capacity_seconds:.0f} s"
    recovered = (
        "not within a minute of its end"
        if reaction.recovered_seconds is None
        else f"after {reaction.recovered_seconds:.0f} s"
    )
    return [
        Row("Flash crowd: ready capacity at the load", capacity, f"{api}, from the crowd's start"),
        Row(
            "Flash crowd: within the objective again",
            recovered if reaction.late else "never left it",
            f"{client}, from the crowd's start",
        ),
    ]


def _verdict(measures: Measures) -> str:
    problems = measures.problems()
    if not problems:
        return '<p class="good"><b>The run was sound.</b></p>'
    return f'<p class="bad"><b>The run was not sound:</b> {escape("; ".join(problems))}.</p>'


def _cards(run: Run, measures: Measures) -> str:
    within = (measures.answered - measures.late) / measures.requests if measures.requests else None
    met = within is not None and within >= run.subject.model.within_ratio
    saved = None
    if measures.hpa is not None and measures.cost is not None:
        saved = 1.0 - measures.cost / float(measures.hpa.cost()[-1])
    cards = [
        (
            "good" if met else "bad",
            share(within),
            f"of all requests answered within {run.subject.model.threshold_seconds * 1000:.0f} ms",
        ),
        ("", f"{measures.requests:,}", "requests offered"),
        (
            "good" if not measures.failed + measures.timeouts else "bad",
            f"{measures.failed + measures.timeouts:,}",
            "failed or timed out",
        ),
        ("", amount(measures.cost), "cost of the replay"),
        (
            "",
            UNKNOWN if saved is None else f"{abs(saved):.0%} {'less' if saved >= 0 else 'more'}",
            "than a plain HPA (computed)",
        ),
        ("", f"{measures.replica_changes} / {measures.weight_changes}", "changes of replicas / weights"),
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


def _table(head: Sequence[str], body: Sequence[Sequence[str]], number: int | None = None) -> str:
    cells = "".join(
        "<tr>"
        + "".join(f"<td{' class=n' if i == number else ''}>{escape(cell)}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row in body
    )
    return (
        f'<div class="wide"><table><tr>{"".join(f"<th>{escape(name)}</th>" for name in head)}</tr>{cells}</table></div>'
    )


def _rows(table: Sequence[Row]) -> str:
    return _table(("", "figure", "source"), [(row.what, row.figure, row.source) for row in table], 1)


def _pools(run: Run) -> str:
    last = {pool.name: pool for pool in run.snapshots[-1].pools}
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


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f} s"
