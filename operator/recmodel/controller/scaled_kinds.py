"""Asks the API server for the kinds that pools refer to beside Deployment and StatefulSet, until it serves them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from recmodel.cluster.names import Kind
from recmodel.cluster.observed.discovered import unscalable
from recmodel.cluster.observed.referenced import Workload
from recmodel.cluster.scale_targets import named
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiRefused, ClusterError, NotFound
from recmodel.core.types import Reason

logger = logging.getLogger(__name__)

# Reasons of conditions. API: never renamed.
KIND_NOT_SERVED = "TargetKindNotServed"
KIND_NOT_ALLOWED = "TargetKindNotAllowed"

FIRST_SECONDS, LONGEST_SECONDS = 2.0, 30.0  # between two questions for a kind, however many workloads wait for it


@dataclass(slots=True)
class _Asked:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    answered: bool = False
    problem: str | None = None
    failures: int = 0
    again_at: float = 0.0


class ScaledKinds:
    """By kind what the API server said last."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._asked: dict[Kind, _Asked] = {}

    async def until_served(self, workload: Workload, kind: Kind, tell: Callable[[Reason | None], None]) -> None:
        """Returns once objects of its kind, which is this resource, can be followed. ``tell`` is told at each answer why they cannot;
        None: they can.
        """
        while True:
            asked = await self._look(kind)
            if asked.answered:
                problem = asked.problem
                tell(None if problem is None else Reason(KIND_NOT_SERVED, f"{workload.shown}: {problem}"))
                if problem is None:
                    return
            await asyncio.sleep(max(0.0, asked.again_at - time.monotonic()))

    async def _look(self, kind: Kind) -> _Asked:
        asked = self._asked.setdefault(kind, _Asked())
        async with asked.lock:
            if time.monotonic() < asked.again_at:
                return asked
            try:
                asked.problem, asked.answered = await self._unscalable(kind), True
                well = asked.problem is None
            except ClusterError as error:  # the API server is away: what it said before stands
                logger.info("%s of %s is not known yet: %s", kind.kind, kind.group_version, error)
                well = False
            asked.failures = 0 if well else asked.failures + 1
            wait_seconds = LONGEST_SECONDS if well else FIRST_SECONDS * 2.0 ** min(asked.failures - 1, 10)
            asked.again_at = time.monotonic() + min(LONGEST_SECONDS, wait_seconds)
            return asked

    async def _unscalable(self, kind: Kind) -> str | None:
        try:
            return unscalable(kind, await self._client.resources(kind))
        except NotFound:  # its group, or the version
            return unscalable(kind, [])
        except ApiRefused as error:
            return f"{error}: let the operator's account read what the API server serves (ClusterRole system:discovery)"


def not_allowed(workload: Workload) -> Reason:
    """That the operator's setting leaves the kind out, and the way out."""
    kind = workload.kind
    return Reason(
        KIND_NOT_ALLOWED,
        f"{workload.shown}: the operator's setting scaleTargets does not name {named(kind.group, kind.kind)}: have the platform team "
        "add its group, kind and resource there, or refer to a Deployment or StatefulSet",
    )
