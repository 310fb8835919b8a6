"""What counts of a route that is not ours, and which of its backends gets the requests of which pool. Pure.

A weight may be moved only where it is sure what it does. So the backends of the rule are the pools' Services one to one, and no
other rule of the route sends to one of them. What is doubted has a reason, with the way out, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from recmodel.api.route import RouteRef
from recmodel.api.route_reference import ServiceRef
from recmodel.api.v1alpha1 import KIND
from recmodel.cluster import names
from recmodel.cluster.children import ownership
from recmodel.cluster.observed.route_status import RouteStatus, route_status
from recmodel.cluster.observed.shapes import Count, Listed, Metadata, RouteShape, Said, Shape
from recmodel.core.types import Reason

# Reasons of conditions. API: never renamed.
ROUTE_MISMATCH = "RouteMismatch"
ROUTE_NOT_ACCEPTED = "RouteNotAccepted"

MOST_NAMES = 8  # of backends, in a message


class Backend(Shape):
    """Where a rule sends to; what the API fills in may be absent."""

    group: Said = ""
    kind: Said = "Service"
    namespace: Said = ""
    name: Said
    port: Count = 0
    weight: Count = 1

    @property
    def shown(self) -> str:
        """For messages: ``ranker-cpu:80``."""
        kind = "" if (self.group, self.kind) == ("", "Service") else f"{self.kind} "
        return f"{kind}{f'{self.namespace}/' if self.namespace else ''}{self.name}:{self.port}"


class Rule(Shape):
    """One rule of a route."""

    backend_refs: Listed[Backend] = []


class Spec(Shape):
    """The rules of a route."""

    rules: Listed[Rule] = []


class ForeignRouteShape(Shape):
    """A route, with what is read of its backends."""

    metadata: Metadata
    spec: Spec


@dataclass(frozen=True, slots=True)
class RouteState:
    """One route that is not ours."""

    uid: str
    resource_version: str  # of the object that says all this
    rules: tuple[tuple[Backend, ...], ...]
    status: RouteStatus
    made_by: str | None  # the name of the RecModel whose child it is
    holders: tuple[str, ...]  # the field managers that own its rules, ours aside


@dataclass(frozen=True, slots=True)
class RouteRule:
    """The rule as a RecModel needs it. ``weights``: by pool as they stand, of whatever total; in doubt, what all rules together send to
    the pool's Service. None: the route is not known.
    """

    problem: Reason | None = None  # why its weights are left as they are
    weights: Mapping[str, int] | None = None
    places: Mapping[str, int] | None = None  # by pool among the rule's backends; None while there is a problem


def route_state(kind: names.Kind, obj: Mapping[str, Any], plain: Mapping[str, Any]) -> RouteState:
    """The route's state; ``plain`` is the same without nulls. ``ValueError`` where it is not as its kind says."""
    RouteShape.model_validate(obj)
    shape = ForeignRouteShape.model_validate(obj)
    owners = shape.metadata.owner_references
    return RouteState(
        uid=shape.metadata.uid,
        resource_version=shape.metadata.resource_version,
        rules=tuple(tuple(rule.backend_refs) for rule in shape.spec.rules),
        status=route_status(plain, kind),
        made_by=next((owner.name for owner in owners if owner.controller and owner.kind == KIND), None),
        holders=ownership.holders_of("rules", obj),
    )


def rule_of(state: RouteState, ref: RouteRef, services: Mapping[str, ServiceRef], namespace: str) -> RouteRule:
    """The rule that ``ref`` names, where it sends to the pools' ``services``."""
    problem = _taken(state, ref) or _mismatch(state, ref, services, namespace) or _not_accepted(state, ref)
    if problem is not None:
        return RouteRule(problem, {pool: _sent(state, service, namespace) for pool, service in services.items()})
    rule = state.rules[ref.rule]
    places = {pool: _place(rule, service, namespace) for pool, service in services.items()}
    return RouteRule(None, {pool: rule[place].weight for pool, place in places.items()}, places)


def _taken(state: RouteState, ref: RouteRef) -> Reason | None:
    if state.made_by is None:
        return None
    return Reason(
        ROUTE_MISMATCH,
        f"{ref.kind} {ref.name} is made by RecModel {state.made_by}, which sets its weights: name a route of yours in route.ref",
    )


def _mismatch(state: RouteState, ref: RouteRef, services: Mapping[str, ServiceRef], namespace: str) -> Reason | None:
    """Where the rule does not send to the pools' Services one to one, or another rule sends to one as well."""
    wanted = ", ".join(service.shown for service in services.values())
    fitting = [i for i, rule in enumerate(state.rules) if _fits(rule, services, namespace)]
    if ref.rule not in fitting:
        here = state.rules[ref.rule] if ref.rule < len(state.rules) else None
        has = f"has only {len(state.rules)} rules" if here is None else f"sends to {_listed(here)}"
        subject = f"{ref.kind} {ref.name}" if here is None else ref.shown
        way = (
            f"rule {fitting[0]} does: set route.ref.rule: {fitting[0]}"
            if len(fitting) == 1
            else "give each pool the service of one backend, and each backend a pool, or correct route.ref"
        )
        return Reason(
            ROUTE_MISMATCH,
            f"{subject} {has}, and the pools' services are {wanted}, each once: its weights are left as they are; {way}",
        )
    for index, rule in enumerate(state.rules):
        shared = [
            b.shown for b in rule if any(_is(b, service, namespace, ports=False) for service in services.values())
        ]
        if index != ref.rule and shared:
            return Reason(
                ROUTE_MISMATCH,
                f"rule {index} of {ref.kind} {ref.name} sends to {', '.join(shared)}, too, so that a weight of rule {ref.rule} says little "
                "of what the pool gets: its weights are left as they are; give the pools Services of their own, or move that rule to "
                "another backend",
            )
    return None


def _not_accepted(state: RouteState, ref: RouteRef) -> Reason | None:
    said = [*state.status.refused, *state.status.silent]
    if not said:
        return None
    return Reason(
        ROUTE_NOT_ACCEPTED,
        f"{ref.kind} {ref.name} is not accepted, so its weights are left as they are: {'; '.join(said)}",
    )


def _fits(rule: tuple[Backend, ...], services: Mapping[str, ServiceRef], namespace: str) -> bool:
    matched = [sum(_is(backend, service, namespace) for backend in rule) for service in services.values()]
    return len(rule) == len(matched) and all(count == 1 for count in matched)


def _is(backend: Backend, service: ServiceRef, namespace: str, ports: bool = True) -> bool:
    same = (backend.group, backend.kind, backend.name) == ("", "Service", service.name)
    return same and backend.namespace in ("", namespace) and (not ports or backend.port == service.port)


def _place(rule: tuple[Backend, ...], service: ServiceRef, namespace: str) -> int:
    return next(place for place, backend in enumerate(rule) if _is(backend, service, namespace))


def _sent(state: RouteState, service: ServiceRef, namespace: str) -> int:
    return sum(b.weight for rule in state.rules for b in rule if _is(b, service, namespace, ports=False))


def _listed(rule: tuple[Backend, ...]) -> str:
    shown = [backend.shown for backend in rule]
    more = f" and {len(shown) - MOST_NAMES} more" if len(shown) > MOST_NAMES else ""
    return ", ".join(shown[:MOST_NAMES]) + more if shown else "no backend"
