"""What the gateways say of a route: taken, refused, or nothing at all. Pure.

Each gateway's controller writes a condition ``Accepted`` and a condition ``ResolvedRefs`` for its part of
``status.parents``. A parent that does not exist, or whose class nobody serves, gets no entry: silence is a refusal too,
once there was time to answer. Implementations add conditions of their own (Envoy Gateway: ``BackendsAvailable``,
``RouteRulesOverlap``); which status of one is the bad one follows from what its name says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recmodel.cluster import names

Object = Mapping[str, Any]
_NAMED = {
    names.ROUTE: re.compile(r"(?:HTTPRoute )?([a-z0-9-]+/[a-z0-9.-]+)"),
    names.GRPC_ROUTE: re.compile(r"GRPCRoute ([a-z0-9-]+/[a-z0-9.-]+)"),
}

READ_APART = ("Accepted", "ResolvedRefs")
OVERLAP = "Overlap"
# Conditions that are good when they are False have one of these words in their name, by the conventions of the API.
NAMES_OF_TROUBLE = (
    OVERLAP,
    "Invalid",
    "Conflict",
    "Degraded",
    "Error",
    "Fail",
    "Stalled",
    "Deprecated",
    "Aggregated",
)


@dataclass(frozen=True, slots=True)
class Contested:
    """A gateway says that other routes match requests of this one. It says so of all of them, also of the one that wins."""

    said: str
    # Routes of its kind as ``namespace/name``; empty where the gateway does not name each of them so, or one of another kind.
    others: frozenset[str]


@dataclass(frozen=True, slots=True)
class RouteStatus:
    """What the parents of a route say of it, in a sentence each; all empty where all is well."""

    refused: tuple[str, ...] = ()  # Accepted is False
    unresolved: tuple[str, ...] = ()  # accepted, but something that it points to is not there or not allowed
    silent: tuple[str, ...] = ()  # no word yet
    impaired: tuple[
        str, ...
    ] = ()  # accepted, and all is there, but the gateway says that requests are not served as asked for
    contested: tuple[Contested, ...] = ()  # other routes match the same requests; the gateway tells it to each of them
    withheld: bool = False  # the mode allows no such route: there is none, or an older one with other hostnames stays


def route_status(route: Object | None, kind: names.Kind) -> RouteStatus:
    """What stands in the status of a route of this kind; that of an older generation counts until it is replaced. Without
    a route there is nothing to accept.
    """
    if route is None:
        return RouteStatus()
    namespace = route["metadata"]["namespace"]
    entries = (route.get("status") or {}).get("parents") or []
    refused, unresolved, silent, impaired, contested = [], [], [], [], []
    for wanted in route["spec"].get("parentRefs") or []:
        name = f"{wanted.get('kind', 'Gateway')} {wanted.get('namespace', namespace)}/{wanted['name']}"
        name += f" ({wanted['sectionName']})" if wanted.get("sectionName") else ""
        answers = [entry for entry in entries if _same(entry["parentRef"], wanted, namespace)]
        conditions = [condition for entry in answers for condition in entry.get("conditions") or []]
        refused += [_as_sentence(name, c) for c in conditions if c["type"] == "Accepted" and c["status"] == "False"]
        unresolved += [
            _as_sentence(name, c) for c in conditions if c["type"] == "ResolvedRefs" and c["status"] == "False"
        ]
        bad = [c for c in conditions if c["type"] not in READ_APART and c["status"] == _bad(c["type"])]
        impaired += [_as_sentence(name, c) for c in bad if OVERLAP not in c["type"]]
        contested += [Contested(_as_sentence(name, c), _others(c, kind)) for c in bad if OVERLAP in c["type"]]
        if not any(c["type"] == "Accepted" and c["status"] != "Unknown" for c in conditions):
            served = "serve its class" if kind == names.ROUTE else f"serve its class and know {kind.kind}s"
            silent.append(f"{name} does not answer for the route: is it there, and does somebody {served}?")
    return RouteStatus(tuple(refused), tuple(unresolved), tuple(silent), tuple(impaired), tuple(contested))


def refused_by(route: Object, parent: Object) -> bool:
    """Whether the parent says that it does not take the route, so that the route gets none of its requests."""
    return any(
        condition["type"] == "Accepted" and condition["status"] == "False"
        for entry in (route.get("status") or {}).get("parents") or []
        if _same(entry["parentRef"], parent, parent["namespace"])
        for condition in entry.get("conditions") or []
    )


def _others(condition: Object, kind: names.Kind) -> frozenset[str]:
    """The routes that a condition names at its end: ``: HTTPRoute shop/feed, HTTPRoute ads/feed``, those without the kind, too."""
    named = [
        _NAMED[kind].fullmatch(one.strip()) for one in (condition.get("message") or "").rpartition(":")[2].split(",")
    ]
    return frozenset(one[1] for one in named if one) if all(named) else frozenset()


def _bad(kind: str) -> str:
    """The status of a condition that means trouble."""
    return "True" if any(word in kind for word in NAMES_OF_TROUBLE) else "False"


def _same(answered: Object, wanted: Object, namespace: str) -> bool:
    """Whether an entry of the status is about this parent; what is left out means the same everywhere."""
    defaults = {"kind": "Gateway", "namespace": namespace, "sectionName": None, "port": None}
    return answered["name"] == wanted["name"] and all(
        answered.get(field, default) == wanted.get(field, default) for field, default in defaults.items()
    )


def _as_sentence(parent: str, condition: Object) -> str:
    message = f": {condition['message']}" if condition.get("message") else ""
    return f"{parent}: {condition['type']} is {condition['status']}, {condition.get('reason', 'without a reason')}{message}"
