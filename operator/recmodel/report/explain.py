"""``recmodel explain``: why these replicas, for a human, from a RecModel's status or from a recorded decision."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import yaml

from recmodel.report.decision_status import cost_sentence, shown_costs


def explain(text: str) -> str:
    """The story of a RecModel (``kubectl get recmodel NAME -o json``), of each one of a list (``kubectl get recmodels -o json``), or
    of the last decision line that ``recmodel decide`` wrote.

    ``ValueError`` when the text is none of these, or was changed since it was written.
    """
    try:
        return _told(text)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        said = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"a field of it is not as recmodel writes it ({said}): pass on what was printed, whole"
        ) from error


def _told(text: str) -> str:
    for line in reversed(text.strip().splitlines()):
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            break
        if isinstance(record, dict) and "pools" in record and "reasons" in record:
            return _of_record(record)
    try:
        body = yaml.safe_load(text)  # JSON is YAML
    except yaml.YAMLError:
        body = None
    listed = isinstance(body, dict) and body.get("kind") in ("List", "RecModelList")
    bodies = (body.get("items") or []) if listed else [body]
    if not all(isinstance(one, dict) and one.get("kind") == "RecModel" for one in bodies):
        raise ValueError(
            "neither a RecModel (kubectl get recmodel NAME -o json), nor a list of them, nor a decision of recmodel decide"
        )
    return "\n\n".join(map(_of_status, bodies)) or "there are no RecModels in this list"


def _of_status(body: Mapping[str, Any]) -> str:
    metadata = body.get("metadata")
    if not isinstance(metadata, dict) or "name" not in metadata:
        raise ValueError("a RecModel without metadata.name")
    name = f"{metadata.get('namespace', 'default')}/{metadata['name']}"
    status = body.get("status") or {}
    lines = [f"{name}: {status.get('state', 'no decision yet')}", *_now(status)]
    lines += [f"  {status['recommendation']['message']}"] if status.get("recommendation") else []
    lines += _cost_of_status(status)
    lines += [f"  {c['type']:<18}{c['status']:<8}{c['reason']}: {c['message']}" for c in status.get("conditions", [])]
    for pool in status.get("pools", []):
        weight = pool.get("weight")  # of a reference it is not known without a load
        facts = [
            f"{pool['ready']} of {pool['desired']} ready"
            + (f" ({pool['warming']} warming)" if pool.get("warming") else ""),
            "weight not known" if weight is None else f"weight {weight} of 1000",
        ]
        counted = (
            f" (the estimate; the plan counts on {pool['plannedPerReplica']}/s)" if "plannedPerReplica" in pool else ""
        )
        facts += [
            f"{label} {pool[key]}{unit}"
            for key, label, unit in (
                ("loadPerSecond", "load", "/s"),
                ("withinThreshold", "within the threshold", ""),
                ("capacityPerReplica", "a replica carries", f"/s{counted}"),
                ("startupSeconds", "starts in", " s"),
                ("schedulingSeconds", "of that it waits for a node", " s"),
            )
            if pool.get(key) is not None
        ]
        lines.append(f"  pool {pool['name']}: {', '.join(facts)}")
        lines += _nodes(pool.get("nodeBuffer"))
    for forecast in status.get("forecast", []):
        lines.append(
            f"  forecast for {forecast['pool']}: {forecast['p50PerSecond']}/s, at most {forecast['upperPerSecond']}/s "
            f"within {forecast['seconds']} s"
        )
    if status.get("accuracyBudgetLeft"):
        lines.append(f"  {status['accuracyBudgetLeft']} of an hour's accuracy budget is left")
    if status.get("latencyBudgetLeft"):
        lines.append(f"  {status['latencyBudgetLeft']} of a week's latency budget is left")
    for decision in status.get("decisions", []):
        lines.append(f"  {decision['time']} {_mix(decision['replicas'])} ({decision['state']}, {decision['reason']})")
        if decision.get("proposedReplicas") and decision["proposedReplicas"] != decision["replicas"]:
            lines.append(f"    the plan wanted {_mix(decision['proposedReplicas'])}")
        lines.append(f"    {decision['message']}")
        if decision.get("runnerUp"):
            lines.append(f"    next best: {decision['runnerUp']}")
    return "\n".join(lines)


def _nodes(ahead: Mapping[str, Any] | None) -> list[str]:
    """Which nodes are asked for ahead of the pool's need."""
    if ahead is None:
        return []
    wanted = "not known" if ahead.get("replicas") is None else ahead["replicas"]
    standing = "no CapacityBuffer" if ahead.get("standing") is None else f"the CapacityBuffer has {ahead['standing']}"
    return [f"    nodes ahead of need, in replicas: {wanted} ({standing}): {ahead['reason']}: {ahead['message']}"]


def _now(status: Mapping[str, Any]) -> list[str]:
    """The present decision, also one that changed nothing: why each pool has its replicas."""
    lines = []
    if status.get("message"):
        lines.append(
            f"  decided at {status.get('lastDecisionTime', 'an unknown time')}: {status.get('reason')}: {status['message']}"
        )
    for pool in status.get("pools", []):
        if (why := pool.get("decision")) is None:
            continue
        since = _since(pool["name"], pool["desired"], status.get("decisions", []))
        lines.append(f"    {pool['name']} {pool['desired']}{since}: {_held(why, pool['desired'])}")
    return lines


def _cost_of_status(status: Mapping[str, Any]) -> list[str]:
    """What the decided replicas cost, and what each part of it is for."""
    parts = status.get("costParts", [])
    timed = [f" until {part['until']} if nothing else changes" if part.get("until") else "" for part in parts]
    messages = [part["message"] + when for part, when in zip(parts, timed, strict=True)]
    return _sum(status.get("costPerHour"), [part["costPerHour"] for part in parts], messages)


def _cost_of_record(record: Mapping[str, Any]) -> list[str]:
    parts = record.get("costParts") or []
    left = [part.get("leftSeconds") for part in parts]
    ends = [
        part.get("ends") if seconds is None else f"for {seconds:g} s more if nothing else changes"
        for part, seconds in zip(parts, left, strict=True)
    ]
    messages = [cost_sentence(part["message"], part.get("reason"), end) for part, end in zip(parts, ends, strict=True)]
    return _sum(f"{record['costPerHour']:.2f}", shown_costs([part["costPerHour"] for part in parts]), messages)


def _sum(total: str | None, costs: Sequence[str], messages: Sequence[str]) -> list[str]:
    if not costs:
        return []
    width = max(len(cost) for cost in costs)
    each = [f"    {cost:>{width}}  {message}" for cost, message in zip(costs, messages, strict=True) if float(cost)]
    return [f"  {total} an hour, of which", *each]


def _held(why: Mapping[str, Any], replicas: int) -> str:
    if why.get("reason") is None:
        proposed = why.get("proposedReplicas")
        return "as the plan wanted" if proposed == replicas else f"the plan wanted {proposed}"
    until = f" until {why['until']} if nothing else changes" if why.get("until") else ""
    return f"{why['reason']}{until}: {why.get('message')}"


def _since(pool: str, replicas: int, decisions: Sequence[Mapping[str, Any]]) -> str:
    """Since when the pool has so many, as far back as past decisions are kept."""
    same = list(takewhile(lambda one: one["replicas"].get(pool) == replicas, decisions))
    if not same:
        return ""
    return f" since {same[-1]['time']}" + (" or longer" if len(same) == len(decisions) else "")


def _of_record(record: Mapping[str, Any]) -> str:
    replicas = {name: pool["replicas"] for name, pool in record["pools"].items()}
    weights = {name: pool["weight"] for name, pool in record["pools"].items()}
    lines = [f"at {record['time']:g} s: {_mix(replicas)} ({record['state']}), {record.get('costPerHour')} an hour"]
    lines.append(f"  traffic: {', '.join(f'{name} {weight:g} %' for name, weight in weights.items())}")
    if record.get("proposedReplicas") and record["proposedReplicas"] != replicas:
        lines.append(f"  the plan wanted {_mix(record['proposedReplicas'])}")
    lines += [f"  {reason['reason']}: {reason['message']}" for reason in record["reasons"]]
    lines += _cost_of_record(record)
    for name, forecast in (record.get("forecast") or {}).items():
        lines.append(
            f"  forecast for {name}: {forecast['p50']:g}/s, at most {forecast['upper']:g}/s within {forecast['seconds']:g} s"
        )
    for name, ahead in (record.get("nodeBuffers") or {}).items():
        wanted = "not known" if ahead["replicas"] is None else ahead["replicas"]
        lines.append(f"  nodes ahead of need for {name}, in replicas: {wanted}: {ahead['reason']}: {ahead['message']}")
    for name, capacity in (record.get("capacity") or {}).items():
        if capacity.get("perReplica") is not None:
            lines.append(
                f"  a replica of {name} carries {capacity['perReplica']:g}/s, counted as {capacity['lower']:g}/s"
            )
    if record.get("accuracyBudgetLeft") is not None:
        lines.append(f"  {record['accuracyBudgetLeft']:.0%} of an hour's accuracy budget is left")
    if record.get("latencyBudget"):
        budget = record["latencyBudget"]
        lines.append(
            f"  {budget['left']:.0%} of a week's latency budget is left: {budget['minutesOver']:g} of {budget['minutesKnown']:g} "
            f"known minutes were over the objective, {budget['minutesAllowed']:g} may be in a week"
        )
    if record.get("runnerUp"):
        other = record["runnerUp"]
        lines.append(f"  next best: {_mix(other['replicas'])} at {other['costPerHour']} an hour")
    return "\n".join(lines)


def _mix(replicas: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in replicas.items())
