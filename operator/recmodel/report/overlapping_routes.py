"""RecModels that ask for the same requests: of two with the same Gateway, hostname and path, the older route wins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children.builders import Owner

Object = Mapping[str, Any]
Place = tuple[str, str, str, str]  # of a claim: the Gateway's namespace and name, the hostname, the path


def overlaps(models: Iterable[tuple[Owner, RecModelSpec, Object | None]]) -> dict[str, str]:
    """By ``namespace/name`` of each RecModel that loses requests to an older one: a sentence that names it.

    ``models`` come with their HTTPRoute as it stands, None where there is none. The Gateway API gives equal matches to the
    route with the oldest creationTimestamp, and of equally old ones to the first by ``namespace/name``.
    """
    claims: dict[Place, list[tuple[str, str, str | None]]] = defaultdict(list)  # age, key, listener
    for owner, spec, body in models:
        if spec.route is None or body is None:
            continue
        created = str(body["metadata"].get("creationTimestamp") or "")
        for parent in spec.route.parent_refs:
            for hostname in spec.route.hostnames or ["*"]:
                for path in spec.route.paths:
                    prefix = path.rstrip("/") or "/"  # for the Gateway API /a and /a/ are the same
                    place = (parent.namespace or owner.namespace, parent.name, hostname, prefix)
                    claims[place].append((created, owner.key, parent.section_name))
    found: dict[str, str] = {}
    for (namespace, name, hostname, path), claimants in claims.items():
        first: dict[str | None, str] = {}  # by listener, whose the requests are; None: of all listeners
        for _, key, listener in sorted(claimants, key=lambda one: one[:2]):
            winner = (
                first.get(listener)
                or first.get(None)
                or (next(iter(first.values()), None) if listener is None else None)
            )
            if winner is None or winner == key:
                first.setdefault(listener, key)
                continue
            found.setdefault(
                key,
                f"RecModel {winner} has the older route for {hostname}{path} of Gateway {namespace}/{name}: it gets the "
                "requests; give one of the two another hostname or path",
            )
    return found
