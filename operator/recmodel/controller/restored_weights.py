"""Handing back gives a rule its weights back, over the very version that was read, and only while those answer that get some."""

from __future__ import annotations

import asyncio
from typing import Any

from recmodel.cluster.names import HANDING_OVER, Kind
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused
from recmodel.report.handover.steps import Write, ready
from recmodel.report.handover.weights import StoredRule, weights_patch

ATTEMPTS = 5
STANDS_SECONDS = 2.0  # an operator that has not heard of the new mode yet would have set its own weights again by then
CONFLICTS = (409, 422)  # 422 where a test of the patch failed


async def restore_weights(client: Client, namespace: str, step: Write, rule: StoredRule) -> None:
    """``ValueError`` where that cannot be: the rule is another one by now, a workload has no ready pod, or somebody writes it again and
    again.
    """
    said = "somebody else writes the route at the same time"
    for _ in range(ATTEMPTS):
        for kind, name, weight in step.needs:
            if not ready(await _find(client, kind, namespace, name)):
                raise ValueError(f"no pod of {kind.kind} {name} is ready, which would get {weight} of the requests")
        body = await _find(client, rule.of, namespace, rule.name)
        if body is None:
            raise ValueError(f"there is no {rule.kind} {rule.name}")
        patch = weights_patch(rule, body)
        if not patch:
            return
        try:
            metadata = {"namespace": namespace, "name": rule.name}
            await client.patch(rule.of, metadata, patch, "json-patch", HANDING_OVER)
        except ApiRefused as error:
            if error.status not in CONFLICTS:
                raise
            said = error.said
        await asyncio.sleep(STANDS_SECONDS)
    raise ValueError(f"it did not stand within {ATTEMPTS} attempts: {said}")


async def _find(client: Client, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
    found, _ = await client.list(kind, namespace, fields=f"metadata.name={name}")
    return next(iter(found), None)
