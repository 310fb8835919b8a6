"""Follows one kind of object: lists, watches, and lists again when the watch has lost its place. Level-triggered.

Whoever is told gets either the whole list or one change. No action may depend on seeing every change:
several may arrive as one.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from typing import Any, Protocol

from recmodel.cluster.client import Client
from recmodel.cluster.errors import ApiUnavailable, ClusterError, Gone, NotFound
from recmodel.cluster.names import Kind

logger = logging.getLogger(__name__)

ABSENT_KIND_SECONDS = 60.0  # how often to look whether a missing CRD has been installed meanwhile
LONGEST_BACKOFF_SECONDS = 20.0
SHORTEST_WATCH_SECONDS = 1.0


class Follower(Protocol):
    """Who is told: ``replace`` with the whole list of a namespace (None: all), ``see`` with one change."""

    def replace(self, kind: Kind, objects: list[dict[str, Any]], namespace: str | None) -> None: ...

    def see(self, kind: Kind, change: str, obj: dict[str, Any]) -> None: ...


async def follow(
    client: Client,
    kind: Kind,
    follower: Follower,
    *,
    synced: asyncio.Event,
    namespace: str | None = None,
    labels: str = "",
    on_failure: Callable[[str], None] = lambda plural: None,  # noqa: ARG005
) -> None:
    """Tells ``follower`` for ever; sets ``synced`` after the first list, or once it is known that the cluster
    lacks the kind.
    """
    failures = 0
    while True:
        try:
            objects, version = await client.list(kind, namespace, labels)
            follower.replace(kind, objects, namespace)
            synced.set()
            failures = 0
            await _watch(client, kind, follower, version, namespace, labels)
        except Gone:
            continue
        except NotFound:
            synced.set()
            await asyncio.sleep(ABSENT_KIND_SECONDS)
        except ClusterError as error:
            failures += 1
            on_failure(kind.plural)
            logger.warning("cannot follow %s: %s", kind.plural, error)
            await asyncio.sleep(backoff_seconds(failures))


async def _watch(
    client: Client, kind: Kind, follower: Follower, version: str, namespace: str | None, labels: str
) -> None:
    """Watches on and on from ``version``; a watch that ends or breaks goes on where it was."""
    failures = 0
    while True:
        started = time.monotonic()
        try:
            async for change, obj in client.watch(kind, version, namespace, labels):
                version = obj["metadata"]["resourceVersion"]
                failures = 0
                if change != "BOOKMARK":
                    follower.see(kind, change, obj)
            if time.monotonic() - started < SHORTEST_WATCH_SECONDS:  # a server that ends each watch at once
                await asyncio.sleep(SHORTEST_WATCH_SECONDS)
        except ApiUnavailable as error:
            failures += 1
            logger.info("%s", error)
            if failures > 5:
                raise
            await asyncio.sleep(backoff_seconds(failures))


def backoff_seconds(failures: int) -> float:
    """1 s, 2 s, 4 s ... to 20 s after so many failures in a row, each with jitter of a half."""
    longest = min(LONGEST_BACKOFF_SECONDS, 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  jitter, no secret
