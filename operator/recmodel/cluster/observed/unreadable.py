"""The objects that cannot be read: counted, and logged once each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection

from recmodel.cluster import names
from recmodel.cluster.observed.conflicting_controllers import Identity
from recmodel.cluster.transport.errors import Unreadable

logger = logging.getLogger(__name__)


def consequence(problem: Unreadable, known: bool) -> str:
    """What is wrong with an object, and what becomes of it; ``known``: whether it could be read before."""
    return f"{problem}; {'what was known of it stays in effect' if known else 'it is left out'}"


class UnreadableObjects:
    """Those that cannot be read now. ``on_count`` is called with a kind's name and how many of it there are.

    ``of`` keeps lists apart: what is not in the list of one workload's pods may be in another one's.
    """

    def __init__(self, on_count: Callable[[str, int], None]) -> None:
        self._on_count = on_count
        self._found: dict[names.Kind, set[tuple[str, Identity]]] = {}

    def add(self, kind: names.Kind, identity: Identity, problem: str, of: str = "") -> None:
        """One that was just seen; what is known of it already is not logged again."""
        found = self._found.setdefault(kind, set())
        if (of, identity) not in found:
            found.add((of, identity))
            logger.warning("%s", problem)
            self._on_count(kind.kind, len(found))

    def remove(self, kind: names.Kind, identity: Identity, of: str = "") -> None:
        """One that can be read again, or is gone."""
        found = self._found.get(kind)
        if found and (of, identity) in found:
            found.remove((of, identity))
            self._on_count(kind.kind, len(found))

    def listed(self, kind: names.Kind, seen: Collection[Identity], namespace: str | None, of: str = "") -> None:
        """All that there is of a kind, in one namespace or in all: the others are gone."""
        found = [identity for owner, identity in self._found.get(kind, ()) if owner == of]
        for identity in [i for i in found if i not in seen and namespace in (None, i[0])]:
            self.remove(kind, identity, of)
