"""``recmodel report``: reads a past and how it was served. It needs read access to Prometheus and nothing else.

What is read of load, late shares and replicas is that of ``recmodel backtest``. Of what is asked beside it each part may be missing: then
the report says so.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from pydantic import TypeAdapter, ValidationError

from recmodel.api.objective import Latency
from recmodel.api.time_zone import TimeZone
from recmodel.controller.past import MOST_NAMES, Asked, Floats, asked_for, asking, read_ran, settings_of, span
from recmodel.prometheus.client import PrometheusClient
from recmodel.prometheus.history import grid_of
from recmodel.prometheus.past import Past
from recmodel.prometheus.past_decisions import Decisions, read_decisions, read_workloads, recmodels
from recmodel.prometheus.past_kinds import KindsBy
from recmodel.prometheus.past_slots import Slots, read_slots
from recmodel.prometheus.session import PrometheusError
from recmodel.prometheus.slot_questions import SLOT_SECONDS

DAYS = 7.0


@dataclass(frozen=True)
class Found:
    """What was asked for and read. ``notes``: what could not be read, and the way out; ``kinds_by``: what tells kinds apart."""

    wanted: Asked
    past: Past
    slots: Slots
    decisions: Decisions | None
    zone: str
    kinds_by: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Question:
    """What is asked for, each time again. ``by``: what tells kinds of requests apart; ``recmodel``: whose decisions, where it is named."""

    wanted: Asked
    by: KindsBy | None
    zone: str
    recmodel: str | None


def question_of(options: argparse.Namespace) -> Question:
    """From the command line; ``ValueError`` with the way out where it asks for nothing that can be read."""
    wanted = asked_for(options, DAYS, all_priced=False)
    wanted = replace(wanted, latency=_with_budget(wanted.latency, options.budget))
    if options.by is not None and options.route is not None:
        raise ValueError("--by and --route both tell the kinds of requests apart: name one of them")
    by = KindsBy(options.by, options.route) if options.by or options.route else None
    settings_of(wanted.url)
    span(wanted.begin, wanted.end, time.time(), wanted.days)
    return Question(wanted, by, _zone(options.time_zone), options.recmodel)


def read_now(question: Question) -> Found:
    """What Prometheus has of it, up to now; ``ValueError`` with the way out where that is not enough."""
    by = question.by

    def read(client: PrometheusClient, wanted: Asked, times: tuple[float, float], scope: Sequence[str]) -> Found:
        ran = read_ran(client, wanted, times, scope)
        begin = float(ran.past.seconds[0])
        moments = grid_of(times[1], times[1] - begin, round(SLOT_SECONDS))
        slots = read_slots(client, ran.view, moments, ran.edges, by, scope)
        found, note = None, "No decisions: they were not asked for, as Prometheus did not answer in time"
        if not slots.gave_up:
            try:
                found, note = _decisions(client, wanted, question.recmodel, moments, scope)
            except PrometheusError as error:
                note = f"No decisions: {error}"
        notes = [note] if note else []
        notes += [f"A question was not answered, so what it asks for is not known: {why}" for why in slots.refused]
        if by is not None and not slots.kinds and not slots.kinds_unanswered:
            notes.append(_no_kinds(by))
        return Found(wanted, ran.past, slots, found, question.zone, _named(by), tuple(notes))

    return asking(question.wanted, time.time(), read)


def _decisions(
    client: PrometheusClient, wanted: Asked, named: str | None, moments: Floats, scope: Sequence[str]
) -> tuple[Decisions | None, str]:
    """Those of the RecModel that is named, or whose pools have the workloads; else why there are none."""
    there = recmodels(client, wanted.namespace, float(moments[-1]), scope)
    workloads = read_workloads(client, wanted.namespace, float(moments[-1]), scope)
    mine = whose(there, wanted.deployments, workloads)
    if named is None and len(mine) == 1:
        named = mine[0]
    if named is None:
        other = f"; there is {', '.join(there[:MOST_NAMES])}: name one with --recmodel" if there else ""
        return (
            None,
            f"No decisions: Prometheus has no RecModel of these workloads in namespace {wanted.namespace}{other}",
        )
    if named not in there:
        raise ValueError(
            f"--recmodel {named}: Prometheus has no recmodel_decision_timestamp_seconds of it in namespace {wanted.namespace} in the day "
            "before --to: see whether it reads the operator's page, or leave --recmodel out"
        )
    found = read_decisions(client, (wanted.namespace, named), moments, SLOT_SECONDS, scope)
    has = workloads.get(named, {})
    if pools_are(named, found.changes, wanted.deployments, has) or not np.isfinite(found.cost_per_hour).any():
        return found, ""
    there_are = [f"{pool} (workload {has[pool]})" if pool in has else pool for pool in sorted({*found.changes, *has})]
    pools = f"its pools are {', '.join(there_are)}" if there_are else "its pools are not known"
    return replace(found, cost_per_hour=np.full(moments.size, math.nan)), (
        f"The cost of RecModel {named} is left out: {pools}, and the workloads named are {', '.join(wanted.deployments)}. Name the "
        "workload of each pool with --deployment, or give prices with --cost"
    )


def whose(models: Sequence[str], named: Collection[str], workloads: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Those of ``models`` whose pools have the workloads ``named``: as the operator exports it, by model and pool. One of which it
    exports nothing is that after which they all are named: of ``ranker-cpu`` and ``ranker-gpu`` that is ``ranker``.
    """
    exported = [name for name in models if name in workloads and {*named} <= {*workloads[name].values()}]
    return exported or [
        name
        for name in models
        if name not in workloads and all(one == name or one.startswith(f"{name}-") for one in named)
    ]


def pools_are(model: str, pools: Collection[str], named: Collection[str], workloads: Mapping[str, str]) -> bool:
    """Whether the ``pools`` of a RecModel have the workloads ``named`` and no others: as exported, by pool; else each by its own name, or
    by that of the Deployment that the operator makes of it.
    """
    if workloads:
        return {*workloads.values()} == {*named} and {*pools} <= workloads.keys()
    of_workloads = {one if one in pools else one.removeprefix(f"{model}-") for one in named}
    return of_workloads == {*pools} and len(named) == len(pools)


def _no_kinds(by: KindsBy) -> str:
    if by.route is not None:
        return (
            f"Kinds of requests: Prometheus has no envoy_cluster_upstream_rq_time of the route {by.route}: --route reads the rules of a "
            "route at Envoy Gateway; take --by LABEL for a label of the pods' histogram"
        )
    return f"Kinds of requests: the histogram of the pods has no requests with a label {by.label}"


def _named(by: KindsBy | None) -> str:
    if by is None:
        return ""
    return f"rule of the route {by.route}" if by.route is not None else str(by.label)


def _with_budget(latency: Latency, budget: str) -> Latency:
    try:
        return Latency.model_validate({**latency.model_dump(), "budget": budget})
    except ValidationError as error:
        raise ValueError(
            f"--budget {budget!r}: write a share of the minutes from 0.01% to 10%, such as 0.5%"
        ) from error


def _zone(text: str) -> str:
    try:
        return TypeAdapter(TimeZone).validate_python(text)
    except ValidationError as error:
        raise ValueError(f"--time-zone {text!r} {error.errors()[0]['msg']}") from error
