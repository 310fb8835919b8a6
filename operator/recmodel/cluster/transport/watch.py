"""Follows one kind of object: lists, watches, and lists again when the watch has lost its place. Level-triggered.

A follower receives either the whole list or one change. No action may depend on seeing every change:
several may arrive as one.

When etcd is restored from a backup, resource versions go back. An API server does not refuse a watch from a version that is
still to come: it is silent until that version is reached. So before a watch goes on, the server is asked where it stands.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from recmodel.cluster.names import Kind
from recmodel.cluster.transport.client import Client
from recmodel.cluster.transport.errors import ApiUnavailable, ClusterError, Gone, NotFound, Rewound
from recmodel.cluster.transport.resource_version import as_number, version_of

logger = logging.getLogger(__name__)

ABSENT_KIND_SECONDS = 60.0  # how often to look whether a missing CRD has been installed meanwhile
LONGEST_BACKOFF_SECONDS = 20.0
SHORTEST_WATCH_SECONDS = 1.0
STEADY_SECONDS = 60.0  # a list and its watch that went well for so long are no failure when they end
WATCH_FAILURES = 5  # in a row, after which the place counts as lost


@dataclass(frozen=True, slots=True)
class Selection:
    """The objects that are followed: of one kind, in one namespace (None: all), with these labels and fields (empty: any)."""

    kind: Kind
    namespace: str | None = None
    labels: str = ""
    fields: str = ""


class Follower(Protocol):
    """Receives the objects: ``replace`` with the whole list of a namespace (None: all), ``see`` with one change. ``rewound``
    comes before a list whose versions may be lower than those of before.
    """

    def replace(self, kind: Kind, objects: list[dict[str, Any]], namespace: str | None) -> None: ...

    def see(self, kind: Kind, change: str, obj: dict[str, Any]) -> None: ...

    def rewound(self, kind: Kind, namespace: str | None) -> None: ...


async def follow(
    client: Client,
    selection: Selection,
    follower: Follower,
    *,
    synced: asyncio.Event,
    absent_seconds: float = ABSENT_KIND_SECONDS,
    on_turn: Callable[[Exception | None], None] = lambda problem: None,  # noqa: ARG005
) -> None:
    """Keeps ``follower`` up to date for ever; sets ``synced`` after the first list, or once it is known that the cluster
    lacks the kind. ``on_turn`` is called with why the kind is not known just now; None: it is.

    Whatever the API server refuses (400, 401, 403, 410) is asked again at growing intervals, unless it went well for long.
    A kind that is absent twice has no objects any more: a single 404 may be a server that is just starting.
    """
    kind, namespace = selection.kind, selection.namespace
    failures, absences = 0, 0
    place = _Place()
    while True:
        began = time.monotonic()
        try:
            objects, version = await client.list(kind, namespace, selection.labels, selection.fields)
            if place.is_behind(version):
                follower.rewound(kind, namespace)
            place.version = version
            follower.replace(kind, objects, namespace)
            synced.set()
            on_turn(None)
            absences = 0
            await _watch(client, selection, follower, place)
        except NotFound:
            synced.set()
            on_turn(None)
            absences += 1
            if absences == 2:
                follower.replace(kind, [], namespace)
            await asyncio.sleep(absent_seconds)
        except ClusterError as error:
            failures = 1 if time.monotonic() - began >= STEADY_SECONDS else failures + 1
            on_turn(error)
            level = logging.INFO if isinstance(error, Gone | Rewound) else logging.WARNING
            logger.log(level, "following %s is started again: %s", kind.plural, error)
            await asyncio.sleep(backoff_seconds(failures))
        except Exception as error:  # whoever keeps this task begins it again
            on_turn(error)
            raise


@dataclass(slots=True)
class _Place:
    """The version up to which a kind is known; empty before the first list."""

    version: str = ""

    def is_behind(self, version: str) -> bool:
        """Whether ``version`` is lower than what is known. Only numbers are compared: others have no order."""
        return 0 < as_number(version) < as_number(self.version)

    def check(self, version: str, doing: str) -> None:
        """Raises ``Rewound`` where the API server is at a lower ``version``."""
        if self.is_behind(version):
            raise Rewound(
                f"{doing}: the API server is at resource version {version}, after {self.version}: its history went back, as after "
                "a restore of etcd; all is listed again"
            )


async def _watch(client: Client, selection: Selection, follower: Follower, place: _Place) -> None:
    """Watches on and on from ``place``; a watch that ends or breaks continues from there, at growing intervals where it
    ends at once. ``Rewound`` where the API server has gone back behind it.
    """
    kind, doing = selection.kind, f"watch {selection.kind.plural}"
    failures, first = 0, True
    while True:
        started, problem = time.monotonic(), None
        try:
            if not first:
                latest = await client.latest(kind, selection.namespace, selection.labels, selection.fields)
                place.check(latest, doing)
            first = False
            changes = client.watch(kind, place.version, selection.namespace, selection.labels, selection.fields)
            async for change, obj in changes:
                version = version_of(obj)
                place.check(version, doing)
                place.version = version or place.version
                if change != "BOOKMARK":
                    follower.see(kind, change, obj)
        except ApiUnavailable as error:
            problem = error
            logger.info("%s", error)
        if time.monotonic() - started >= SHORTEST_WATCH_SECONDS:
            failures = 0
            if problem is None:
                continue
        failures += 1
        if problem is not None and failures > WATCH_FAILURES:
            raise problem
        await asyncio.sleep(max(SHORTEST_WATCH_SECONDS, backoff_seconds(failures)))


def backoff_seconds(failures: int) -> float:
    """1 s, 2 s, 4 s ... to 20 s after so many failures in a row, each with jitter of a half."""
    longest = min(LONGEST_BACKOFF_SECONDS, 2.0 ** min(failures - 1, 10))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  jitter, no secret
