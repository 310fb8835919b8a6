"""What a run came to, in words: the table, and the one sentence that judges RecModel against the HPA beside it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from recmodel.lab.verdict import Judgement, Standing, judgement
from report.collect import Run
from report.measures import WINDOW_SECONDS, Counted, Measures, Reaction
from watch.words import UNKNOWN, amount, clock, share

COUNTING_ERRORS = 2.0  # standard errors of a difference of two counts


@dataclass(frozen=True)
class Row:
    """A line of the table: what, its figure, the same of the HPA beside it, and where the figures come from."""

    what: str
    figure: str
    beside: str
    source: str


def verdict(measures: Measures) -> str | None:
    """One sentence; None where no HPA ran, or a cost is not known. What is cheaper does not win where it was late more often; counts of
    late requests that differ by less than two standard errors are one.

    Worked: 0.50 against 0.60, 60 late of 20,000 against 80, where chance makes 24 of difference: "RecModel wins against the HPA: cost
    0.5000 against 0.6000 (17 % less), late or lost 0.30% against 0.40%, which is within the noise of counting".
    """
    mine, other = measures.served, measures.beside
    if other is None or mine.cost is None or other.cost is None or not mine.requests or not other.requests:
        return None
    noise = abs(mine.missed - other.missed) <= COUNTING_ERRORS * math.sqrt(mine.missed + other.missed)
    shares = [counted.missed / counted.requests for counted in (mine, other)]
    told = [_standing("RecModel", mine, shares[0]), _standing("the HPA", other, shares[1 - noise])]
    kind = judgement(*told)
    who = (
        "RecModel is cheaper and late more often than the HPA"
        if mine.cost < other.cost
        else "RecModel is dearer and late less often than the HPA"
    )
    if kind is not Judgement.TRADES:
        who = f"RecModel {kind.value} the HPA"
    change = mine.cost / other.cost - 1.0
    allowed = 1.0 - measures.within_ratio
    missing = [name for name, late in zip(("RecModel", "the HPA"), shares, strict=True) if late > allowed]
    missed = f"; {' and '.join(missing)} missed the objective, which allows {allowed:.0%}" if missing else ""
    return (
        f"{who}: cost {mine.cost:.4f} against {other.cost:.4f} ({abs(change):.0%} {'less' if change < 0 else 'more'}), "
        f"late or lost {shares[0]:.2%} against {shares[1]:.2%}{', which is within the noise of counting' if noise else ''}{missed}"
    )


def _standing(name: str, counted: Counted, late_ratio: float) -> Standing:
    """Minutes are told in the table: the windows over are late requests as well."""
    return Standing(name, counted.cost or 0.0, 0, 0, late_ratio, counted.replica_changes)


def rows(run: Run, measures: Measures) -> list[Row]:
    """The table."""
    api, both = "Kubernetes API", "Kubernetes API, Prometheus"
    return [
        *_counted(run, measures),
        Row(
            "Ready capacity below the load",
            _seconds(measures.short_seconds),
            "",
            f"{both}, capacity as the operator found it",
        ),
        Row("Changes of weights", str(measures.weight_changes), "", f"{api}, every 2 s"),
        Row("Decisions that changed something", str(len(measures.decisions)), "", f"{api}: status.decisions"),
        Row("First decision", _seconds(measures.first_decision_seconds), "", f"{api}: after the RecModel was created"),
        *_reaction(measures.reaction, both),
    ]


def _counted(run: Run, measures: Measures) -> list[Row]:
    """What is counted alike on both sides."""
    client, asked = "load generator", "Kubernetes API: replicas asked for, with their costPerHour"
    counts = clock(run.schedule.seconds - run.schedule.counts_from)
    told: list[tuple[str, Callable[[Counted], str], str]] = [
        ("Requests", lambda c: f"{c.requests:,}", client),
        ("Answered", lambda c: f"{c.answered:,}", client),
        ("Failed (error or broken connection)", lambda c: f"{c.failed:,}", client),
        ("Timed out", lambda c: f"{c.timeouts:,}", client),
        ("Of these two, in the flash crowd", lambda c: f"{c.lost_in_crowd:,}", client),
        ("Not sent (the generator's own limit)", lambda c: f"{c.unsent:,}", client),
        ("Answered late", lambda c: f"{c.late:,}", client),
        ("Late or lost, of all", lambda c: share(c.late_ratio), client),
        (
            "Over the objective",
            lambda c: f"{c.over_objective_seconds / 60:.1f} min of {counts}",
            f"{client}, in windows of {WINDOW_SECONDS} s",
        ),
        ("Cost", lambda c: amount(c.cost), asked),
        ("Changes of replicas", lambda c: str(c.replica_changes), "Kubernetes API, every 2 s"),
    ]
    beside = measures.beside
    return [Row(what, text(measures.served), text(beside) if beside else "", source) for what, text, source in told]


def _reaction(reaction: Reaction | None, api: str) -> list[Row]:
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
        Row("Flash crowd: ready capacity at the load", capacity, "", f"{api}, from the crowd's start"),
        Row(
            "Flash crowd: within the objective again",
            recovered if reaction.late else "never left it",
            "",
            "load generator, from the crowd's start",
        ),
    ]


def _seconds(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.0f} s"
