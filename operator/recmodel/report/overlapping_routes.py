"""RecModels that ask for the same requests: of two with the same Gateway, hostname and path, the older route wins."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed.route_status import refused_by

Object = Mapping[str, Any]
ANY_CALL = ""  # in place of a path: what a GRPCRoute matches
Place = tuple[str, str, str, str]  # of a claim: the Gateway's namespace and name, the hostname, the path


@dataclass(frozen=True, slots=True)
class Overlaps:
    """Who wins and who loses, by ``namespace/name`` of a RecModel."""

    lost: Mapping[str, str]  # of each that loses requests to an older one: a sentence that names it
    younger: Mapping[str, frozenset[str]]  # of each that an older route wins for: those that lose to it
    mixed: Mapping[
        str, str
    ]  # of each with a hostname that a route of the other kind has, too: a sentence that names it


def overlaps(models: Iterable[tuple[Owner, Object | None]]) -> Overlaps:
    """Compares all RecModels, each with its route as it stands, None where there is none.

    The Gateway API gives equal matches to the route with the oldest creationTimestamp, and of equally old ones to the first
    by ``namespace/name``. A route that the Gateway refuses gets no requests, and is in nobody's way. Of an HTTPRoute
    and a GRPCRoute with one hostname the gateway has to refuse one. Not every gateway does, and then it is not told who wins.
    """
    models = list(models)
    lost: dict[str, str] = {}
    younger: dict[str, set[str]] = defaultdict(set)
    for (namespace, name, hostname, path), claimants in _claims(models).items():
        first: dict[str | None, str] = {}  # the oldest for each listener, oldest first; None: for all listeners
        for _, key, listener in sorted(claimants, key=lambda one: one[:2]):
            older = [
                other for of, other in first.items() if other != key and (listener is None or of in (None, listener))
            ]
            first.setdefault(listener, key)
            for other in older:
                younger[other].add(key)
            if older:
                lost.setdefault(
                    key,
                    f"RecModel {older[0]} has the older route for {hostname}{path} of Gateway {namespace}/{name}: it gets the "
                    f"requests; give one of the two another hostname{' or path' if path else ''}",
                )
    return Overlaps(lost, {key: frozenset(others) for key, others in younger.items()}, _mixed(models))


def _mixed(models: Iterable[tuple[Owner, Object | None]]) -> Mapping[str, str]:
    """Of each RecModel with a hostname that one with a route of the other kind has, too: a sentence that names the first such."""
    hosts: dict[tuple[str, ...], dict[bool, dict[str, str | None]]] = defaultdict(lambda: {True: {}, False: {}})
    for (*place, path), claimants in _claims(models).items():
        of_kind = hosts[tuple(place)][path == ANY_CALL]
        for _, key, listener in claimants:
            of_kind.setdefault(key, listener)
    found: dict[str, str] = {}
    for (namespace, name, hostname), kinds in hosts.items():
        for grpc, mine in kinds.items():
            for key, listener in mine.items() if kinds[not grpc] else ():
                for other, of in kinds[not grpc].items():
                    if listener is None or of in (None, listener):
                        found.setdefault(
                            key,
                            f"RecModel {other} has {'an HTTPRoute' if grpc else 'a GRPCRoute'} for {hostname} of Gateway "
                            f"{namespace}/{name}, and this one {'a GRPCRoute' if grpc else 'an HTTPRoute'}: a gateway serves one of "
                            "them; give one of the two another hostname",
                        )
                        break
    return found


def _claims(models: Iterable[tuple[Owner, Object | None]]) -> Mapping[Place, list[tuple[str, str, str | None]]]:
    """By place, each claim as (creationTimestamp, ``namespace/name``, listener). What the route says counts: a spec that is not
    written yet, or never will be, claims nothing.
    """
    claims: dict[Place, list[tuple[str, str, str | None]]] = defaultdict(list)
    for owner, body in models:
        if body is None:
            continue
        created = str(body["metadata"].get("creationTimestamp") or "")
        route = body.get("spec") or {}
        for parent in route.get("parentRefs") or []:
            listener = parent.get("sectionName")
            gateway = {"name": parent["name"], "namespace": parent.get("namespace") or owner.namespace}
            if refused_by(body, {**gateway, "sectionName": listener}):
                continue
            for hostname in route.get("hostnames") or ["*"]:
                for path in _paths(route):
                    claims[gateway["namespace"], gateway["name"], hostname, path].append((created, owner.key, listener))
    return claims


def _paths(route: Object) -> list[str]:
    """The path prefixes that a route matches; for the Gateway API /a and /a/ are the same. A GRPCRoute of ours has no ``matches``."""
    if route.get("rules") and not any("matches" in rule for rule in route["rules"]):
        return [ANY_CALL]
    matches = [match for rule in route.get("rules") or [{}] for match in rule.get("matches") or [{}]]
    paths = (str((match.get("path") or {}).get("value") or "/").rstrip("/") or "/" for match in matches)
    return list(dict.fromkeys(paths))
