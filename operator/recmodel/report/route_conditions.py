"""What the conditions say of a route: that no gateway serves it, or that another route gets its requests. Pure.

Of equal matches the oldest route wins, by the Gateway API. A newcomer, of whatever namespace, must not make the older one
not Ready; and a route that gets no requests must not be Ready without a word.
"""

from __future__ import annotations

from recmodel.cluster.observed.route_rule import ROUTE_NOT_ACCEPTED
from recmodel.core.types import Reason
from recmodel.report.snapshot import Route

# Reasons of conditions. API: never renamed.
ROUTE_NOT_RESOLVED = "RouteNotResolved"
ROUTE_IMPAIRED = "RouteImpaired"
ROUTE_OVERLAPS = "RouteOverlaps"
ROUTE_WITHHELD = "RouteWithheld"
MOST_NAMES = 3  # of others, in a message


def refused(route: Route) -> Reason | None:
    """Why no gateway serves the route, whatever the pods do."""
    if route.status.withheld:
        return Reason(
            ROUTE_WITHHELD,
            "spec.route.hostnames is empty: mode Recommend makes no route that answers for every host of a gateway; name "
            "the hostnames, or set mode: Auto",
        )
    return Reason(ROUTE_NOT_ACCEPTED, "; ".join(route.status.refused)) if route.status.refused else None


def overlapped(route: Route, without_pods: Reason | None) -> Reason | None:
    """That an older RecModel gets the requests. It is said before ``without_pods``, why no pod is ready, since pods that start
    do not cure it; but not before a gateway has answered.
    """
    if route.overlap is None or route.status.silent:
        return None
    told = [*route.status.unresolved, *route.status.impaired, *(one.said for one in route.status.contested)]
    return Reason(ROUTE_OVERLAPS, "; ".join([route.overlap, *([without_pods.message] if without_pods else []), *told]))


def impaired(route: Route) -> Reason | None:
    """What of the route is not served. A new route is unanswered, and its Services unknown to the gateway, for a moment: where
    a pod is ready there was time.
    """
    if route.status.silent:
        return Reason(ROUTE_NOT_ACCEPTED, "; ".join(route.status.silent))
    if route.status.unresolved:
        return Reason(ROUTE_NOT_RESOLVED, "; ".join(route.status.unresolved))
    return Reason(ROUTE_IMPAIRED, "; ".join(route.status.impaired)) if route.status.impaired else None


def contested(route: Route) -> Reason | None:
    """That a route of the other kind has the same hostname; or that a gateway names other routes for the same requests, and that
    not all of them are known to be younger.
    """
    if route.overlap is None and route.mixed is not None:
        return Reason(ROUTE_OVERLAPS, "; ".join([route.mixed, *_doubted(route)]))
    if route.overlap is not None or not (doubted := _doubted(route)):
        return None
    return Reason(
        ROUTE_OVERLAPS,
        f"{'; '.join(doubted)}; the oldest of these routes gets the requests, and the operator does not know all of them: "
        "compare metadata.creationTimestamp, and give the others another hostname or path",
    )


def noted(route: Route) -> list[str]:
    """What is worth a word of a route that serves: who asks for the same requests."""
    told = []
    if route.younger:
        names = [f"RecModel {name}" for name in sorted(route.younger)]
        names = names[:MOST_NAMES] + ([f"{len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else [])
        told.append(f"younger routes ask for requests of this one and do not get them: {', '.join(names)}")
    if route.mixed is not None or _doubted(route):
        told.append("another route may get the requests: see the condition Degraded")
    return told


def _doubted(route: Route) -> list[str]:
    """What the gateways say of other routes that are not all known to be younger."""
    return [one.said for one in route.status.contested if not one.others or not one.others <= route.younger]
