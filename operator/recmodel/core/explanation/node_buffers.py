"""What a decision says of the nodes that it asks for ahead of need."""

from __future__ import annotations

import numpy as np

from recmodel.core import reasons
from recmodel.core.arrays.fleet import Fleet
from recmodel.core.plan.node_buffer import NodeBuffers
from recmodel.core.types import NodeBuffer, Reason


def node_buffers(found: NodeBuffers | None, fleet: Fleet, i: int) -> dict[str, NodeBuffer]:
    """By pool of model ``i`` that asks for one, with its reason."""
    if found is None:
        return {}
    return {
        pool.name: NodeBuffer(
            replicas=int(found.replicas[i, k]) if np.isfinite(found.replicas[i, k]) else None,
            horizon_seconds=round(float(found.forecast.horizon_seconds[i, k]), 1),
            reason=_reason(found, pool.name, pool.max_replicas, i, k),
        )
        for k, pool in enumerate(fleet.models[i].pools)
        if found.asks[i, k]
    }


def _reason(found: NodeBuffers, name: str, most: int, i: int, k: int) -> Reason:
    """Why so many: ``cpu: 8 carry the 120.0/s that are expected at most within 290 s, ...; 5 are decided: nodes for 3 more``."""
    source = "as recent pods took" if found.measured[i, k] else "with the leadTime of the spec"
    startup = f"a replica on a new node takes {found.startup_seconds[i, k]:.0f} s ({source})"
    need, held, replicas = (values[i, k] for values in (found.need, found.held, found.replicas))
    if not np.isfinite(held):
        return Reason(
            reasons.NODE_BUFFER_UNKNOWN,
            f"{name}: {startup}, and what is needed then is not known: the nodes that are asked for stay as they are",
        )
    decided = f"{found.decided[i, k]} are decided: nodes for {replicas:.0f} more"
    limit = f", as replicas.max is {most}" if held >= most else ""
    if not np.isfinite(need):
        said = f"{name}: {startup}, and what is needed then is not known now: {held:.0f} were needed; {decided}{limit}"
        return Reason(reasons.NODE_BUFFER_UNKNOWN, said)
    upper, seconds = found.forecast.upper[i, k], found.forecast.horizon_seconds[i, k]
    said = f"{name}: {need:.0f} wanted for at most {upper:.1f}/s within {seconds:.0f} s, {startup}"
    if held > need:
        return Reason(
            reasons.NODE_BUFFER_HELD,
            f"{said}; {held:.0f} were wanted within the time that a node takes, and {decided}{limit}",
        )
    return Reason(reasons.NODE_BUFFER_SIZED, f"{said}; {decided}{limit}")
