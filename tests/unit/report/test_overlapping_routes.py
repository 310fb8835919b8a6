"""Two RecModels that ask for the same requests."""

from __future__ import annotations

from typing import Any

import pytest

from recmodel.cluster.children.builders import Owner
from recmodel.report.overlapping_routes import overlaps

Model = tuple[Owner, dict[str, Any] | None]


def model(
    name: str,
    created: str,
    hostnames: tuple[str, ...] = ("a.example",),
    namespace: str = "shop",
    paths: tuple[str, ...] = ("/",),
    parent: dict[str, str] | None = None,
) -> Model:
    matches = [{"path": {"type": "PathPrefix", "value": path}} for path in paths]
    route = {
        "parentRefs": [{"name": "edge", "namespace": "infra", **(parent or {})}],
        "hostnames": list(hostnames),
        "rules": [{"matches": matches, "backendRefs": []}],
    }
    return Owner(namespace, name, "u"), {
        "metadata": {"creationTimestamp": f"2026-01-0{created}T00:00:00Z"},
        "spec": route,
    }


def refused(model: Model) -> Model:
    owner, body = model
    said = [{"type": "Accepted", "status": "False", "reason": "NotAllowedByListeners"}]
    parents = [{"parentRef": {"name": "edge", "namespace": "infra"}, "conditions": said}]
    return owner, {**(body or {}), "status": {"parents": parents}}


OLD = model("old", "1")
CASES: dict[str, tuple[list[Model], dict[str, str]]] = {
    "the younger": ([model("a", "2"), OLD], {"shop/a": "shop/old"}),
    "of another namespace": ([OLD, model("a", "2", namespace="ads")], {"ads/a": "shop/old"}),
    "equally old: by name": ([model("b", "1"), model("c", "1")], {"shop/c": "shop/b"}),
    "three": ([model("a", "3"), model("b", "2"), OLD], {"shop/a": "shop/old", "shop/b": "shop/old"}),
    "one of several hostnames": ([OLD, model("a", "2", ("z.example", "a.example"))], {"shop/a": "shop/old"}),
    "one listener of all": ([OLD, model("a", "2", parent={"sectionName": "web"})], {"shop/a": "shop/old"}),
    "all of one listener": ([model("o", "1", parent={"sectionName": "web"}), model("a", "2")], {"shop/a": "shop/o"}),
    "other listeners": (
        [model("o", "1", parent={"sectionName": "x"}), model("a", "2", parent={"sectionName": "y"})],
        {},
    ),
    "another hostname": ([OLD, model("a", "2", ("b.example",))], {}),
    "another path": ([OLD, model("a", "2", paths=("/v2",))], {}),
    "another Gateway": ([OLD, model("a", "2", parent={"namespace": "shop"})], {}),
    "the same path with a slash": (
        [model("o", "1", paths=("/", "/v2/")), model("a", "2", paths=("/v2", "/")), model("b", "2", paths=("/v2/x",))],
        {"shop/a": "shop/o"},
    ),
    "of two listeners, and one of both between them in age": (
        [
            model("o", "1", parent={"sectionName": "x"}),
            model("a", "2"),
            model("b", "3", parent={"sectionName": "y"}),
        ],
        {"shop/a": "shop/o", "shop/b": "shop/a"},
    ),
    "an older one that the Gateway refuses": ([refused(OLD), model("a", "2")], {}),
    "no route yet": ([OLD, (model("a", "2")[0], None)], {}),
}


@pytest.mark.parametrize("case", CASES)
def test_of_two_with_the_same_requests_the_younger_route_names_the_older(case: str) -> None:
    models, expected = CASES[case]
    found = overlaps(models).lost
    assert found.keys() == expected.keys()
    for key, winner in expected.items():
        assert f"RecModel {winner} has the older route for a.example/ of Gateway infra/edge" in found[key]


@pytest.mark.parametrize("reverse", [False, True])
def test_the_winner_knows_all_that_lose_to_it_and_a_loser_those_that_would(reverse: bool) -> None:
    models = [OLD, model("b", "2"), model("a", "3", namespace="ads"), model("z", "2", ("z.example",))]
    found = overlaps(models[::-1] if reverse else models)
    assert found.younger == {"shop/old": {"shop/b", "ads/a"}}
    assert found.lost.keys() == {"shop/b", "ads/a"}


def grpc(name: str, created: str, parent: dict[str, str] | None = None) -> Model:
    """One with a GRPCRoute, which has no matches."""
    owner, body = model(name, created, parent=parent)
    return owner, {**(body or {}), "spec": {**(body or {})["spec"], "rules": [{"backendRefs": []}]}}


def test_grpc_routes_are_compared_with_each_other_by_hostname() -> None:
    found = overlaps([grpc("a", "1"), grpc("b", "2")])
    assert found.lost.keys() == {"shop/b"}
    assert "RecModel shop/a has the older route for a.example of Gateway infra/edge" in found.lost["shop/b"]
    assert found.lost["shop/b"].endswith("give one of the two another hostname")
    assert found.mixed == {}


def test_of_a_grpc_route_and_an_http_route_with_one_hostname_both_are_told_and_none_wins() -> None:
    """Whatever path the other one has: the Gateway API gives a hostname to one of the two kinds."""
    found = overlaps([grpc("a", "1"), model("c", "2", paths=("/v2",)), model("d", "3", ("d.example",))])
    assert found.lost == {}
    assert found.mixed == {
        key: f"RecModel {other} has {theirs} for a.example of Gateway infra/edge, and this one {its}: a gateway serves one of them; "
        "give one of the two another hostname"
        for key, other, theirs, its in (
            ("shop/a", "shop/c", "an HTTPRoute", "a GRPCRoute"),
            ("shop/c", "shop/a", "a GRPCRoute", "an HTTPRoute"),
        )
    }
    x, y = model("x", "1", parent={"sectionName": "x"}), grpc("y", "2", parent={"sectionName": "y"})
    assert overlaps([x, y]).mixed == {}
    assert overlaps([x, grpc("z", "2")]).mixed.keys() == {"shop/x", "shop/z"}


def test_a_spec_that_is_not_written_claims_nothing() -> None:
    """What an edit asks for counts once its route has it: until then the requests still go where they went."""
    owner, body = OLD
    assert overlaps([(owner, body), model("a", "2", ("new.example",))]).lost == {}
    assert overlaps([(owner, None), model("a", "2")]).lost == {}
