"""Which children are still as they were applied, by the marks that the API server keeps (``children.ownership``)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from recmodel.cluster import names
from recmodel.cluster.children import ownership

Object = dict[str, Any]
Child = tuple[names.Kind, str]  # kind and name
# The uid, the hash that was applied last, the fields that are ours, and the rights of the pods.
Mark = tuple[str, str | None, str, frozenset[str]]


class Drift:
    """Remembers, by RecModel, the mark of each child when it was last as wanted: while the mark stays, so does the child.

    What the API answers to our own write is as wanted by definition, even where it does not count one of the fields as
    ours; so no oddity of a kind leads to writing again and again.
    """

    def __init__(self) -> None:
        self._marks: dict[str, dict[Child, tuple[str | None, Mark]]] = defaultdict(dict)

    def applied(self, key: str, kind: names.Kind, body: Object, answer: Object) -> None:
        """Takes over the API's answer to applying ``body``."""
        self._marks[key][kind, body["metadata"]["name"]] = (applied_hash(body), _mark(answer))

    def as_wanted(self, key: str, kind: names.Kind, body: Object, live: Object) -> bool:
        """Whether a child stands as ``body`` says, weights and replicas aside."""
        child, mark = (kind, body["metadata"]["name"]), _mark(live)
        if self._marks[key].get(child) == (applied_hash(body), mark):
            return True
        if applied_hash(live) != applied_hash(body) or ownership.lost(body, mark[2]):
            return False
        if not mark[3] <= ownership.rights(body):  # somebody else gave them
            return False
        self._marks[key][child] = (applied_hash(body), mark)
        return True

    def changed(self, key: str, child: Child, live: Object) -> bool:
        """Whether a child is other than when it was last as wanted, or never was."""
        known = self._marks[key].get(child)
        return known is None or known[1] != _mark(live)

    def forget(self, key: str, child: Child | None = None) -> None:
        """Forgets a RecModel's children, or one of them, which is compared again then."""
        if child is None:
            self._marks.pop(key, None)
        else:
            self._marks[key].pop(child, None)


def applied_hash(obj: Mapping[str, Any]) -> str | None:
    """The hash of what was applied, as the annotation has it."""
    found: str | None = (obj["metadata"].get("annotations") or {}).get(names.APPLIED_ANNOTATION)
    return found


def _mark(live: Object) -> Mark:
    return live["metadata"]["uid"], applied_hash(live), ownership.ours(live), ownership.rights(live)
