"""What the gateways say of a route."""

from __future__ import annotations

from typing import Any

import pytest

from recmodel.cluster import names
from recmodel.cluster.observed.route_status import Contested, RouteStatus, refused_by, route_status

EDGE = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge", "namespace": "demo"}
LOCAL = {"name": "local"}
TAKEN = [{"type": "Accepted", "status": "True"}, {"type": "ResolvedRefs", "status": "True"}]


def route(parents: list[dict[str, Any]], *answers: tuple[dict[str, Any], list[dict[str, Any]]]) -> dict[str, Any]:
    entries = [{"parentRef": ref, "controllerName": "c", "conditions": said} for ref, said in answers]
    status = {"status": {"parents": entries}} if answers else {}
    return {"metadata": {"namespace": "shop", "name": "feed"}, "spec": {"parentRefs": parents}, **status}


def no(kind: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": "False", "reason": reason, "message": message}


SILENT = "{} does not answer for the route: is it there, and does somebody serve its class?"
CASES = {
    "no route of ours": (None, RouteStatus()),
    "taken": (route([EDGE], (EDGE, TAKEN)), RouteStatus()),
    "taken by all": (route([EDGE, LOCAL], (EDGE, TAKEN), ({**LOCAL, "namespace": "shop"}, TAKEN)), RouteStatus()),
    "no word at all": (route([EDGE]), RouteStatus(silent=(SILENT.format("Gateway demo/edge"),))),
    "a word of another parent only": (
        route([EDGE], ({**EDGE, "name": "old"}, TAKEN)),
        RouteStatus(silent=(SILENT.format("Gateway demo/edge"),)),
    ),
    "a word of another section only": (
        route([{**EDGE, "sectionName": "https"}], (EDGE, TAKEN)),
        RouteStatus(silent=(SILENT.format("Gateway demo/edge (https)"),)),
    ),
    "not judged yet": (
        route([LOCAL], (LOCAL, [{"type": "Accepted", "status": "Unknown"}])),
        RouteStatus(silent=(SILENT.format("Gateway shop/local"),)),
    ),
    "refused": (
        route([EDGE], (EDGE, [no("Accepted", "NotAllowedByListeners", "no listener allows it"), TAKEN[1]])),
        RouteStatus(refused=("Gateway demo/edge: Accepted is False, NotAllowedByListeners: no listener allows it",)),
    ),
    "refused by one of two": (
        route([EDGE, LOCAL], (EDGE, TAKEN), (LOCAL, [no("Accepted", "NoMatchingParent")])),
        RouteStatus(refused=("Gateway shop/local: Accepted is False, NoMatchingParent",)),
    ),
    "unresolved": (
        route([EDGE], (EDGE, [TAKEN[0], no("ResolvedRefs", "BackendNotFound", "Service feed-cpu")])),
        RouteStatus(unresolved=("Gateway demo/edge: ResolvedRefs is False, BackendNotFound: Service feed-cpu",)),
    ),
    "no endpoints behind a weight": (
        route(
            [EDGE], (EDGE, [*TAKEN, no("BackendsAvailable", "EndpointsNotFound", "no ready endpoints for feed-cpu")])
        ),
        RouteStatus(
            impaired=(
                "Gateway demo/edge: BackendsAvailable is False, EndpointsNotFound: no ready endpoints for feed-cpu",
            )
        ),
    ),
    "another route takes the same requests": (
        route([EDGE], (EDGE, [*TAKEN, {"type": "RouteRulesOverlap", "status": "True", "reason": "RouteRulesOverlap"}])),
        RouteStatus(
            contested=(Contested("Gateway demo/edge: RouteRulesOverlap is True, RouteRulesOverlap", frozenset()),)
        ),
    ),
    "a part of the rules left out": (
        route([EDGE], (EDGE, [*TAKEN, {"type": "PartiallyInvalid", "status": "True", "reason": "UnsupportedValue"}])),
        RouteStatus(impaired=("Gateway demo/edge: PartiallyInvalid is True, UnsupportedValue",)),
    ),
    "not programmed": (
        route([EDGE], (EDGE, [*TAKEN, no("Programmed", "Pending")])),
        RouteStatus(impaired=("Gateway demo/edge: Programmed is False, Pending",)),
    ),
    "all well, in conditions of either kind": (
        route(
            [EDGE],
            (
                EDGE,
                [
                    *TAKEN,
                    no("RouteRulesOverlap", "None"),
                    no("PartiallyInvalid", "None"),
                    {"type": "BackendsAvailable", "status": "True"},
                ],
            ),
        ),
        RouteStatus(),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_the_gateways_say(case: str) -> None:
    given, expected = CASES[case]
    assert route_status(given, names.ROUTE) == expected


NAMED = {
    "Overlapping match conditions with route(s): HTTPRoute ads/fifth": {"ads/fifth"},
    "Overlapping match conditions with route(s): HTTPRoute ads/fifth, HTTPRoute shop/x.y-2": {
        "ads/fifth",
        "shop/x.y-2",
    },
    "Overlapping match conditions with route(s): ads/fifth, shop/six": {"ads/fifth", "shop/six"},
    "Overlapping match conditions with route(s): GRPCRoute ads/fifth, HTTPRoute shop/six": set(),
    "the rules of ads/fifth are the same": set(),
    "": set(),
}


def test_a_gateway_that_knows_no_grpc_routes_is_silent() -> None:
    (said,) = route_status(route([EDGE]), names.GRPC_ROUTE).silent
    assert said.endswith("is it there, and does somebody serve its class and know GRPCRoutes?")


def test_of_a_grpc_route_others_of_its_kind_are_known() -> None:
    said = {"type": "RouteRulesOverlap", "status": "True", "reason": "RouteRulesOverlap"}
    for names_others, known in (
        ("with route(s): GRPCRoute ads/fifth, GRPCRoute shop/six", {"ads/fifth", "shop/six"}),
        ("with route(s): HTTPRoute ads/fifth", set()),  # which of the two the gateway takes is for the gateway to say
        ("with route(s): ads/fifth", set()),
    ):
        answer = (EDGE, [*TAKEN, {**said, "message": names_others}])
        (found,) = route_status(route([EDGE], answer), names.GRPC_ROUTE).contested
        assert found.others == known


@pytest.mark.parametrize("message", NAMED)
def test_the_other_routes_are_known_only_where_the_gateway_names_each_of_them(message: str) -> None:
    said = {"type": "RouteRulesOverlap", "status": "True", "reason": "RouteRulesOverlap", "message": message}
    (found,) = route_status(route([EDGE], (EDGE, [*TAKEN, said])), names.ROUTE).contested
    assert found.others == NAMED[message]
    assert message in found.said


def test_a_route_is_refused_by_the_gateway_that_says_so_and_no_other() -> None:
    refused = route([EDGE, LOCAL], (EDGE, TAKEN), ({**LOCAL, "namespace": "shop"}, [no("Accepted", "NotAllowed")]))
    assert refused_by(refused, {"name": "local", "namespace": "shop"})
    assert not refused_by(refused, {"name": "edge", "namespace": "demo", "sectionName": None})
    assert not refused_by(route([EDGE]), {"name": "edge", "namespace": "demo"})
