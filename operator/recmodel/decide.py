"""The ``recmodel decide`` protocol: one observation a line in, one decision a line out, as JSON.

One process, one model, no clock, no network; the same input gives the same output, byte for byte. A line that is no valid
observation is answered with one line ``{"error": "..."}`` and changes nothing. ``docs/decide.md`` has every field.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from recmodel.api.rules import broken_rule
from recmodel.api.v1alpha1 import API_VERSION, KIND, RecModelSpec
from recmodel.core.engine import step
from recmodel.core.forecast.bootstrap import History
from recmodel.core.memory import begin
from recmodel.core.types import CostPart, Decision, Model, Observation, PoolObservation
from recmodel.loads import read_load

Count = Annotated[int, Field(ge=0, le=1_000_000)]
LATEST_SECONDS = 1e12  # in either direction: thirty thousand years, beyond which a double knows no tick
Checked = TypeVar("Checked", bound=BaseModel)
Unknown = float | None  # NaN and infinities are read as unknown by the core


class InvalidManifest(ValueError):
    """The manifest is no valid RecModel; the message names the field, the value and the rule."""


class _PoolLine(BaseModel):
    model_config = ConfigDict(extra="ignore")
    desired: Count
    ready: Count
    unschedulable: Count | None = None
    weight: Unknown = None
    startupSeconds: Unknown = None  # noqa: N815  the protocol's name
    nodeStartupSeconds: Unknown = None  # noqa: N815
    readyForSeconds: list[Unknown] | None = None  # noqa: N815
    rate: Unknown = None
    errors: Unknown = None
    latency: dict[str, Unknown] | None = None
    utilisation: Unknown = None
    queue: Unknown = None


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore")
    time: Annotated[float, Field(allow_inf_nan=False, ge=-LATEST_SECONDS, le=LATEST_SECONDS)]
    pools: dict[str, dict[str, Any]]


def read_model(path: Path) -> Model:
    """The model of a manifest with one RecModel in it; :class:`InvalidManifest` says which field is wrong and why."""
    try:
        bodies = list(yaml.safe_load_all(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, RecursionError) as error:
        raise InvalidManifest(f"{path}: {error}") from error
    try:
        return model_of(bodies)
    except InvalidManifest as error:
        raise InvalidManifest(f"{path}: {error}") from error


def model_of(documents: Sequence[object]) -> Model:
    """The model of a manifest with these documents, of which one is a RecModel; else as :func:`read_model`."""
    found = [
        b for b in documents if isinstance(b, dict) and b.get("kind") == KIND and b.get("apiVersion") == API_VERSION
    ]
    if len(found) != 1:
        raise InvalidManifest(f"{len(found) or 'not a'} {KIND} of {API_VERSION}")
    (body,) = found
    try:
        spec = RecModelSpec.model_validate(body.get("spec"))
    except ValidationError as error:
        raise InvalidManifest(explain_invalid(error)) from error
    metadata = body.get("metadata") or {}
    if not isinstance(metadata, dict):
        raise InvalidManifest(f"metadata is {metadata!r}: must be a mapping")
    name = str(metadata.get("name", "model"))
    if problem := broken_rule(name, spec):
        raise InvalidManifest(problem)
    return spec.model(f"{metadata.get('namespace', 'default')}/{name}")


def explain_invalid(error: ValidationError) -> str:
    """Every fault as ``spec.pools.0.replicas.min: -1: Input should be greater than or equal to 0``, joined by semicolons."""
    faults = []
    for fault in error.errors():
        where = ".".join(["spec", *(str(part) for part in fault["loc"])])
        value = fault.get("input")
        shown = f"{value!r}: " if isinstance(value, str | int | float | bool) else ""
        faults.append(f"{where}: {shown}{fault['msg']}")
    return "; ".join(faults)


def read_history(path: Path) -> History:
    """Seconds and requests/s of a CSV with the header ``seconds,rps``; see :mod:`recmodel.loads`."""
    load = read_load(path)
    return load.seconds, load.per_second


def parse(text: str, model: Model, decided: Mapping[str, int] | None = None) -> Observation:
    """The observation of one line; ``ValueError`` says what is wrong with it. A pool of which it says nothing has the replicas that
    were ``decided`` for it, of which none is known to be ready; none where nothing was.
    """
    try:
        body = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise ValueError("the line must be an object with time and pools")
    line = _checked(_Line, body)
    names = {pool.name for pool in model.pools}
    strangers = sorted(set(line.pools) - names)
    if strangers:
        raise ValueError(f"pools.{strangers[0]}: the model has no such pool, only {', '.join(sorted(names))}")
    pools = {name: PoolObservation(desired=replicas, ready=0) for name, replicas in (decided or {}).items()}
    for name, found in line.pools.items():
        if not found:
            continue
        pool = _checked(_PoolLine, found, f"pools.{name}.")
        pools[name] = PoolObservation(
            desired=pool.desired,
            ready=pool.ready,
            unschedulable=pool.unschedulable,
            weight=pool.weight,
            startup_seconds=pool.startupSeconds,
            node_startup_seconds=pool.nodeStartupSeconds,
            ready_for_seconds=tuple(age for age in pool.readyForSeconds or () if age is not None),
            rate_per_second=pool.rate,
            errors_per_second=pool.errors,
            latency=_latency(name, pool.latency),
            utilisation_ratio=pool.utilisation,
            queue=pool.queue,
        )
    return Observation(time_seconds=line.time, pools=pools)


def _checked(kind: type[Checked], body: dict[str, Any], where: str = "") -> Checked:
    """``body`` as a line or a pool of it; ``ValueError`` names the first field that is wrong, its value and the rule."""
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        first = error.errors()[0]
        value = first["input"]
        shown = f"{value!r}: " if isinstance(value, str | int | float | bool | None) else ""
        raise ValueError(f"{where}{'.'.join(str(part) for part in first['loc'])}: {shown}{first['msg']}") from error


def _latency(name: str, latency: dict[str, Unknown] | None) -> dict[float, float] | None:
    if latency is None or any(rate is None for rate in latency.values()):
        return None
    found: dict[float, float] = {}
    try:
        for edge, rate in latency.items():
            bound = float(edge)
            found[bound] = found.get(bound, 0.0) + (rate or 0.0)  # 1 and 1.0 are one edge, of two kinds of servers
    except ValueError as error:
        raise ValueError(f"pools.{name}.latency: {error}: bucket edges are seconds or +Inf") from error
    return found


def show(decision: Decision) -> str:
    """A decision as one line of JSON, in the protocol's names."""
    return json.dumps(
        {
            "time": decision.time_seconds,
            "pools": {
                name: {"replicas": pool.replicas, "weight": pool.weight} for name, pool in decision.pools.items()
            },
            "state": decision.state,
            "reasons": [{"reason": reason.reason, "message": reason.message} for reason in decision.reasons],
            "forecast": {
                name: {
                    "seconds": forecast.horizon_seconds,
                    "p50": forecast.p50_per_second,
                    "upper": forecast.upper_per_second,
                }
                for name, forecast in decision.forecast.items()
            },
            "capacity": {
                name: {"perReplica": estimate.capacity_per_replica, "lower": estimate.capacity_lower}
                for name, estimate in decision.estimates.items()
            },
            "proposedReplicas": dict(decision.proposed_replicas),
            "costPerHour": decision.cost_per_hour,
            "costParts": [_cost_part(part) for part in decision.cost_parts],
            "accuracyBudgetLeft": decision.accuracy_budget_left_ratio,
            "latencyBudget": {
                "left": decision.latency_budget.left_ratio,
                "minutesOver": decision.latency_budget.over_minutes,
                "minutesAllowed": decision.latency_budget.allowed_minutes,
                "minutesKnown": decision.latency_budget.known_minutes,
            }
            if decision.latency_budget
            else None,
            "runnerUp": {"replicas": dict(decision.runner_up), "costPerHour": decision.runner_up_cost_per_hour}
            if decision.runner_up
            else None,
        }
        | ({"nodeBuffers": _node_buffers(decision)} if decision.node_buffers else {}),
        allow_nan=False,
    )


def _node_buffers(decision: Decision) -> dict[str, dict[str, Any]]:
    """Of the pools that ask for nodes ahead of need; where none does, the line has no such field."""
    return {
        name: {
            "replicas": found.replicas,
            "seconds": found.horizon_seconds,
            "reason": found.reason.reason,
            "message": found.reason.message,
        }
        for name, found in decision.node_buffers.items()
    }


def _cost_part(part: CostPart) -> dict[str, str | float]:
    """One part of the cost; what does not apply to it is left out."""
    told: dict[str, str | float | None] = {
        "part": part.part,
        "costPerHour": part.cost_per_hour,
        "message": part.message,
        "pool": part.pool,
        "reason": part.reason,
        "ends": part.ends,
        "leftSeconds": part.left_seconds,
    }
    return {name: value for name, value in told.items() if value is not None}


def decide(lines: Iterable[str], model: Model, history: History | None = None) -> Iterator[str]:
    """One answer for each non-empty line, in order."""
    memory = begin([model], history=[history])
    newest, decided = -math.inf, dict[str, int]()  # of each pool that was seen
    for text in lines:
        if not text.strip():
            continue
        try:
            observation = parse(text, model, decided)
            if observation.time_seconds <= newest:
                raise ValueError(f"time: {observation.time_seconds} is not after {newest}")
        except ValueError as error:
            yield json.dumps({"error": str(error)})
            continue
        newest = observation.time_seconds
        memory, decisions = step(memory, [observation], observation.time_seconds)
        decided = {name: decisions[0].pools[name].replicas for name in observation.pools}
        yield show(decisions[0])
