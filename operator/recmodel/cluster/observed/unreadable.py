"""The objects that cannot be read: counted, and logged once each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from recmodel.cluster import names
from recmodel.cluster.observed.conflicting_controllers import Identity

logger = logging.getLogger(__name__)


class UnreadableObjects:
    """Those that cannot be read now. ``on_count`` is called with a kind's name and how many of it there are."""

    def __init__(self, on_count: Callable[[str, int], None]) -> None:
        self._on_count = on_count
        self._found: dict[names.Kind, set[Identity]] = {}

    def add(self, kind: names.Kind, identity: Identity, problem: str) -> None:
        """One that was just seen; what is known of it already is not logged again."""
        found = self._found.setdefault(kind, set())
        if identity not in found:
            found.add(identity)
            logger.warning("%s", problem)
            self._on_count(kind.kind, len(found))

    def remove(self, kind: names.Kind, identity: Identity) -> None:
        """One that can be read again, or is gone."""
        found = self._found.get(kind)
        if found and identity in found:
            found.remove(identity)
            self._on_count(kind.kind, len(found))

    def listed(self, kind: names.Kind, seen: Collection[Identity], namespace: str | None) -> None:
        """All that there is of a kind, in one namespace or in all: the others are gone."""
        for identity in [i for i in self._found.get(kind, ()) if i not in seen and namespace in (None, i[0])]:
            self.remove(kind, identity)
