"""What is said of RecModels whose routes match the same requests, from the HTTPRoutes as Envoy Gateway answers for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from builders.status_scene import SPEC, STATE, status, tracked
from recmodel.api.status import Condition
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed.inventory import Inventory
from recmodel.controller.routes import compare_routes, read_route
from recmodel.core.types import Reason
from recmodel.report.events import changes

GATEWAY = {"name": "edge", "namespace": "infra"}
ROUTED = RecModelSpec.model_validate(
    {
        **SPEC.model_dump(by_alias=True, exclude_none=True),
        "route": {"parentRefs": [GATEWAY], "hostnames": ["a.example"]},
    }
)
READY, STARTING = STATE, replace(STATE, ready=0)
FOREIGN = "HTTPRoute web/site"
OLDER, SAME, YOUNGER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"


def a_route(key: str, created: str, overlapping: list[str]) -> dict[str, Any]:
    namespace, name = key.split("/")
    conditions = [{"type": kind, "status": "True", "reason": kind} for kind in ("Accepted", "ResolvedRefs")]
    if overlapping:
        message = f"Overlapping match conditions with route(s): {', '.join(sorted(overlapping))}"
        said = {"type": "RouteRulesOverlap", "status": "True", "reason": "RouteRulesOverlap", "message": message}
        conditions.append(said)
    metadata = {"namespace": namespace, "name": name, "uid": key, "creationTimestamp": created, "resourceVersion": "7"}
    return {
        "metadata": metadata,
        "spec": {"parentRefs": [GATEWAY], "hostnames": ["a.example"], "rules": []},
        "status": {"parents": [{"parentRef": GATEWAY, "controllerName": "c", "conditions": conditions}]},
    }


def judged(
    routes: Mapping[str, str], foreign: tuple[str, ...] = (), ready: Mapping[str, bool] | None = None
) -> dict[str, dict[str, Condition]]:
    """The conditions of RecModels with the same Gateway, hostname and path, by key; ``routes`` says when each was made."""
    inventory, models = Inventory(), []
    for key, created in routes.items():
        others = [f"HTTPRoute {other}" for other in routes if other != key]
        inventory.see(names.ROUTE, "ADDED", a_route(key, created, [*others, *foreign]))
        namespace, name = key.split("/")
        model = tracked(spec=ROUTED)
        model.owner = Owner(namespace, name, key)
        models.append(model)
    for model in models:
        read_route(model, inventory)
    compare_routes(models, inventory)
    found = {}
    for model in models:
        state = READY if (ready or {}).get(model.key, True) else STARTING
        found[model.key] = {c.type: c for c in status(model, {"cpu": state}).conditions}
    return found


@pytest.mark.parametrize("order", list(permutations(["shop/home", "ads/fifth", "ads/sixth"])))
def test_a_newcomer_of_whatever_namespace_does_not_make_the_oldest_not_ready(order: tuple[str, ...]) -> None:
    """Three routes, given in any order, of which the newcomers have names before the oldest's."""
    created = {"shop/home": OLDER, "ads/fifth": SAME, "ads/sixth": YOUNGER}
    found = judged({key: created[key] for key in order})
    ready = found["shop/home"]["Ready"]
    assert (ready.status, ready.reason) == ("True", "Serving")
    assert "do not get them: RecModel ads/fifth, RecModel ads/sixth" in ready.message
    assert found["shop/home"]["Degraded"].status == "False"
    for key in ("ads/fifth", "ads/sixth"):
        ready = found[key]["Ready"]
        assert (ready.status, ready.reason) == ("False", "RouteOverlaps")
        assert "RecModel shop/home has the older route" in ready.message


def test_routes_of_the_same_second_are_ordered_by_namespace_and_name() -> None:
    found = judged({"shop/a": SAME, "ads/z": SAME})
    assert found["ads/z"]["Ready"].status == "True"
    assert (found["shop/a"]["Ready"].status, found["shop/a"]["Ready"].reason) == ("False", "RouteOverlaps")


def test_the_loser_says_so_while_its_pods_still_start() -> None:
    ready = judged({"shop/home": OLDER, "ads/fifth": YOUNGER}, ready={"ads/fifth": False})["ads/fifth"]["Ready"]
    assert (ready.status, ready.reason) == ("False", "RouteOverlaps")
    assert "RecModel shop/home has the older route" in ready.message
    assert "no replica is ready yet" in ready.message


@pytest.mark.parametrize("foreign", [FOREIGN, "GRPCRoute ads/fifth"])
def test_of_a_route_that_the_operator_does_not_know_no_more_is_said_than_the_gateway_says(foreign: str) -> None:
    for routes in ({"shop/home": OLDER}, {"shop/home": OLDER, "ads/fifth": YOUNGER}):
        found = judged(routes, foreign=(foreign,))["shop/home"]
        assert (found["Ready"].status, found["Ready"].reason) == ("True", "Serving"), "nobody knows that it is younger"
        assert "see the condition Degraded" in found["Ready"].message
        assert (found["Degraded"].status, found["Degraded"].reason) == ("True", "RouteOverlaps")
        assert foreign in found["Degraded"].message
        assert "metadata.creationTimestamp" in found["Degraded"].message


def test_a_route_that_may_get_no_requests_is_a_warning_and_its_end_is_told() -> None:
    alone, contested = tracked(spec=ROUTED), tracked(spec=ROUTED)
    for model, overlapping in ((alone, []), (contested, [FOREIGN])):
        inventory = Inventory()
        inventory.see(names.ROUTE, "ADDED", a_route("shop/feed", OLDER, overlapping))
        read_route(model, inventory)
    calm, warned = status(alone), status(contested)
    assert [(kind, reason.reason) for kind, reason in changes(warned, calm)] == [("Warning", "RouteOverlaps")]
    assert [(kind, reason.reason) for kind, reason in changes(calm, warned)] == [("Normal", "AsWished")]


def test_a_hostname_with_routes_of_both_kinds_is_a_warning_and_none_is_called_the_loser() -> None:
    model = tracked(spec=ROUTED)
    inventory = Inventory()
    inventory.see(names.ROUTE, "ADDED", a_route("shop/feed", OLDER, []))
    read_route(model, inventory)
    model.route = replace(model.route, mixed="RecModel shop/calls has a GRPCRoute for a.example")
    found = {c.type: c for c in status(model, {"cpu": READY}).conditions}
    assert found["Ready"].status == "True"
    assert "see the condition Degraded" in found["Ready"].message
    assert (found["Degraded"].status, found["Degraded"].reason) == ("True", "RouteOverlaps")
    assert found["Degraded"].message == "RecModel shop/calls has a GRPCRoute for a.example"


def test_many_newcomers_are_named_in_few_words() -> None:
    found = judged({"shop/home": OLDER} | {f"ads/n{n:03}": YOUNGER for n in range(100)})["shop/home"]["Ready"]
    assert found.status == "True"
    assert found.message.endswith("RecModel ads/n000, RecModel ads/n001, RecModel ads/n002, 97 more")


def test_pods_that_start_and_a_gateway_that_is_silent_are_no_overlap_yet() -> None:
    model = tracked(spec=ROUTED)
    body = a_route("shop/feed", YOUNGER, [])
    inventory = Inventory()
    inventory.see(names.ROUTE, "ADDED", {**body, "status": {}})
    read_route(model, inventory)
    model.route = replace(model.route, overlap="RecModel shop/home has the older route")
    ready = next(c for c in status(model, {"cpu": STARTING}).conditions if c.type == "Ready")
    assert ready.reason == "Starting"


def test_children_that_cannot_be_applied_are_told_before_an_overlap() -> None:
    model = tracked(spec=ROUTED, failed=Reason("NameTaken", "Service exists"))
    model.route = replace(model.route, overlap="RecModel shop/home has the older route")
    assert next(c for c in status(model).conditions if c.type == "Ready").reason == "NameTaken"
