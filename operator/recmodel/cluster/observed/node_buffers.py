"""What stands of the nodes that are kept ahead of a pool's need, and what the node autoscaler says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from recmodel.cluster.transport.errors import shortened

SENTENCE_CHARACTERS = 300
NOT_TAKEN_UP = "no node autoscaler has taken it up: see that one runs, with its capacity buffers switched on"
# What a condition of the API says where something is wrong.
_TROUBLE = {"ReadyForProvisioning": "False", "Provisioning": "False", "LimitedByQuotas": "True"}


@dataclass(frozen=True, slots=True)
class NodeBufferState:
    """The CapacityBuffer of one pool that asks for it."""

    replicas: int | None = None  # for which room is asked for; None: there is none
    said: tuple[str, ...] = ()  # what the node autoscaler says that is not well, in its own words
    problem: str | None = None  # why none is made here, and the way out


def node_buffer_state(live: Mapping[str, Any] | None, problem: str | None = None) -> NodeBufferState:
    """The state of a buffer as it stands. ``live`` may hold anything: what is no number or condition is left out."""
    if live is None:
        return NodeBufferState(problem=problem)
    spec, status = (_mapping(live.get(part)) for part in ("spec", "status"))
    replicas = spec.get("replicas")
    known = replicas if isinstance(replicas, int) and not isinstance(replicas, bool) and replicas >= 0 else None
    return NodeBufferState(known, tuple(_said(status)) if known else (), problem)


def _said(status: Mapping[str, Any]) -> Iterator[str]:
    conditions = status.get("conditions")
    found = [one for one in conditions if isinstance(one, Mapping)] if isinstance(conditions, list) else []
    if not found:
        yield NOT_TAKEN_UP
    for one in found:
        kind = str(one.get("type"))
        if kind in _TROUBLE and one.get("status") == _TROUBLE[kind]:
            words = " ".join(str(one.get("message") or "").split())
            said = f"{kind} is {one.get('status')} ({one.get('reason')})" + (f": {words}" if words else "")
            yield shortened(said, SENTENCE_CHARACTERS)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
