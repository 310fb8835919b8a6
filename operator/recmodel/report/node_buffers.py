"""What is reported of the nodes that are asked for ahead of need. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from recmodel.api.pool_status import NodeBufferStatus
from recmodel.cluster.observed.pool_state import PoolState
from recmodel.cluster.transport.errors import shortened
from recmodel.core.types import Decision

MESSAGE_CHARACTERS = 1024


def node_buffer(decision: Decision | None, name: str, state: PoolState) -> NodeBufferStatus | None:
    """What the last decision asks for of one pool, and what stands; None where it asks for nothing."""
    found = decision.node_buffers.get(name) if decision is not None else None
    if found is None:
        return None
    return NodeBufferStatus(
        replicas=found.replicas,
        standing=state.node_buffer.replicas if state.node_buffer is not None else None,
        reason=found.reason.reason,
        message=shortened(found.reason.message, MESSAGE_CHARACTERS),
    )


def buffers_say(pools: Mapping[str, PoolState]) -> list[str]:
    """Why pools that ask for nodes ahead of need have none, and what the node autoscaler says of the others that is not well."""
    found = {name: state.node_buffer for name, state in pools.items() if state.node_buffer is not None}
    without: dict[str, list[str]] = {}
    for name, buffer in found.items():
        if buffer.problem is not None:
            without.setdefault(buffer.problem, []).append(name)
    said = [f"nodeBuffer of pool {', '.join(names)}: {problem}" for problem, names in without.items()]
    return said + [f"node buffer of pool {name}: {words}" for name, buffer in found.items() for words in buffer.said]
