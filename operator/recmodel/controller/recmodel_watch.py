"""The RecModels as their watch tells of them. One that cannot be read stops no other.

They are followed like every other kind, and not by kopf's event handlers, which lose guarantees that an operator of its
own CRD needs: docs/decisions/0002 has the measurements.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from recmodel.cluster import names
from recmodel.cluster.observed.objects import identity_of, uid_of
from recmodel.controller.tracked import Tracked

logger = logging.getLogger(__name__)

Body = Mapping[str, Any]


class RecModelWatch:
    """Tells ``observe`` of each RecModel that stands, and ``forget`` of each that went; ``listed`` after a whole list."""

    def __init__(
        self,
        known: Mapping[str, Tracked],
        observe: Callable[[Body], None],
        forget: Callable[[str], None],
        listed: Callable[[], None],
    ) -> None:
        self._known = known
        self._observe_one = observe
        self._forget = forget
        self._listed = listed

    def replace(self, kind: names.Kind, objects: list[dict[str, Any]], namespace: str | None) -> None:  # noqa: ARG002
        """The whole list, in one namespace or in all: those that are not in it are gone."""
        there = {_key(obj) for obj in objects}
        for key in [k for k, t in self._known.items() if k not in there and namespace in (None, t.owner.namespace)]:
            self._forget(key)
        for obj in objects:
            self._observe(obj)
        self._listed()

    def see(self, kind: names.Kind, change: str, obj: dict[str, Any]) -> None:  # noqa: ARG002
        """One change: ADDED, MODIFIED or DELETED."""
        if change != "DELETED":
            self._observe(obj)
            return
        key = _key(obj)
        tracked = self._known.get(key)
        if tracked is not None and uid_of(obj) in (None, tracked.owner.uid):  # else: it has a successor already
            self._forget(key)

    def rewound(self, kind: names.Kind, namespace: str | None) -> None:
        """Nothing is remembered by its resource version."""

    def _observe(self, obj: Body) -> None:
        try:
            self._observe_one(obj)
        except Exception:
            logger.exception("RecModel %s cannot be read; it stays as it was known", _key(obj))


def _key(obj: Body) -> str:
    return "/".join(identity_of(obj))
