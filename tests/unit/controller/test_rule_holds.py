"""A rule of a route that stands already: what is unknown, refused or somebody else's leaves its weights as they are, and is told."""

from __future__ import annotations

from typing import Any

import pytest

from builders.operator_stage import operated
from builders.references import condition, workload
from builders.route_world import ExistingRoutes, route, routed_recmodel, served
from builders.rule_stage import Judge, begin, seconds, told
from builders.virtual_time import until
from recmodel.cluster import names
from recmodel.controller.operator import Operator

HPA = {
    "metadata": {"namespace": "shop", "name": "ranker", "uid": "h", "resourceVersion": "3"},
    "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "ranker-gpu"}, "maxReplicas": 6},
}


def other(**more: Any) -> dict[str, Any]:
    """The route with another first rule."""
    body = route()
    body["spec"]["rules"][0] |= more
    return body


def only(*names_and_ports: tuple[str, int]) -> dict[str, Any]:
    """The route with other backends in the rule."""
    body = route()
    rule = body["spec"]["rules"][1]
    rule["backendRefs"] = [{"name": name, "port": port, "weight": 1} for name, port in names_and_ports]
    return body


def owned() -> dict[str, Any]:
    body = route()
    body["metadata"]["ownerReferences"] = [{"kind": "RecModel", "name": "other", "uid": "o", "controller": True}]
    return body


def switched() -> dict[str, Any]:
    body = route()
    body["spec"]["rules"].reverse()
    return body


NAMED = {"namespace": "shop", "name": "shop", "uid": "r"}


REFUSED = {
    "gone": (None, "RouteMissing", "there is no HTTPRoute shop/shop: create it, or correct route.ref"),
    "a backend more": (only(("ranker-cpu", 80), ("ranker-gpu", 80), ("old", 80)), "RouteMismatch", "ranker-gpu:80, old:80"),
    "a backend less": (only(("ranker-cpu", 80)), "RouteMismatch", "give each pool the service of one backend"),
    "another port": (only(("ranker-cpu", 80), ("ranker-gpu", 81)), "RouteMismatch", ":81, and the pools' services are ranker-cpu:80, "),
    "twice": (only(("ranker-cpu", 80), ("ranker-cpu", 80)), "RouteMismatch", "each once"),
    "no backend": (only(), "RouteMismatch", "rule 1 of HTTPRoute shop sends to no backend"),
    "another place": (switched(), "RouteMismatch", "rule 0 does: set route.ref.rule: 0"),
    "another rule too": (
        other(backendRefs=[{"name": "ranker-gpu", "port": 8080, "weight": 1}]), "RouteMismatch", "rule 0 of HTTPRoute shop sends to",
    ),
    "another namespace": (
        other(backendRefs=[{"name": "ranker-gpu", "namespace": "ads", "port": 80}]), "", "",
    ),
    "refused": (route(accepted="False"), "RouteNotAccepted", "Accepted is False"),
    "not answered": (route(accepted="Unknown"), "RouteNotAccepted", "does not answer for the route"),
    "made here": (owned(), "RouteMismatch", "is made by RecModel other"),
    "no route": ({"metadata": {**NAMED, "resourceVersion": "21"}, "spec": {"rules": 5}}, "RouteUnreadable", "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_where_it_is_not_sure_what_a_weight_does_all_stay_as_they_are_and_why_is_told(name: str) -> None:
    body, reason, said = REFUSED[name]
    api = ExistingRoutes(*([body] if body else []))
    if body is None:
        api.existing["httproutes"] = []

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(60)
        found = condition(api, "Degraded")
        if not reason:
            assert len(api.patches) == 1
            return
        assert api.patches == []
        assert (found["status"], found["reason"]) == ("True", reason)
        assert said in found["message"]
        assert condition(api, "Ready")["status"] == "True"
        api.existing["httproutes"] = [body or route()]
        api.set_route(route())
        told(operator, api)
        await until(lambda: api.weights == [750, 250], 10.0)
        await until(lambda: condition(api, "Degraded")["status"] == "False", 5.0)

    operated(story, Judge(), api=api)


def test_a_route_that_may_not_be_read_is_told_and_its_weights_stay() -> None:
    api = ExistingRoutes()
    api.forbidden = {"httproutes"}

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(60)
        assert api.patches == []
        found = condition(api, "Degraded")
        assert found["reason"] == "RouteUnreadable"
        assert "let the operator's account list and watch httproutes" in found["message"]

    operated(story, Judge(), api=api)


def test_a_pool_that_somebody_else_scales_keeps_all_weights_as_they_are() -> None:
    judge, api = Judge(), ExistingRoutes(horizontalpodautoscalers=[HPA])

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(30)
        assert api.patches == []
        assert not judge.seen["shop/feed"][0].routed, "each pool is planned for what it gets"
        operator.inventory.see(names.AUTOSCALER, "DELETED", HPA)
        await until(lambda: api.weights == [750, 250], 10.0)
        assert judge.seen["shop/feed"][0].routed

    operated(story, judge, api=api)


def made(name: str, created: str, mode: str = "Auto", generation: int = 1) -> dict[str, Any]:
    """One of several RecModels on the rule and its workloads."""
    body = routed_recmodel(name=name, mode=mode)
    body["metadata"] |= {"creationTimestamp": created, "generation": generation}
    return body


def degraded(api: ExistingRoutes, name: str) -> dict[str, Any]:
    return next((dict(c) for c in api.statuses[name]["conditions"] if c["type"] == "Degraded"), {})


@pytest.mark.parametrize("old", ["2026-01-01T00:00:00Z", "2026-05-01T00:00:00Z"])
def test_of_two_recmodels_on_one_rule_the_older_one_sets_the_weights_and_of_equal_ones_the_first_by_name(
    old: str,
) -> None:
    api = ExistingRoutes(deployments=[workload(name, 1) for name in ("ranker-cpu", "ranker-gpu", "a", "b")])

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        young = made("young", "2026-05-01T00:00:00Z")
        for pool, name in zip(young["spec"]["pools"], ("a", "b"), strict=True):  # nothing but the rule is shared
            pool["targetRef"]["name"] = name
        operator.observe(young)
        begin(operator, made("old", old))
        await until(lambda: api.weights == [750, 250], 10.0)
        await seconds(30)
        assert len(api.patches) == 1
        found = degraded(api, "young")
        assert (found["status"], found["reason"]) == ("True", "AnotherRecModel")
        assert "RecModel old sets the weights of rule 1 of HTTPRoute shop, too, and is older" in found["message"]
        assert "set mode: Recommend in one of the two, or delete one" in found["message"]
        assert degraded(api, "old")["status"] == "False"

    operated(story, Judge(), api=api)


def test_an_older_recmodel_that_begins_to_act_takes_the_rule_over_without_a_fight_and_gives_it_up_again() -> None:
    judge, api = Judge(), ExistingRoutes()

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        operator.observe(made("old", "2026-01-01T00:00:00Z", "Recommend"))
        begin(operator, made("young", "2026-05-01T00:00:00Z"))
        await until(lambda: api.weights == [750, 250], 10.0)
        assert "old" not in api.statuses or degraded(api, "old")["status"] == "False"
        judge.wanted = {"cpu": (2, 1.0), "gpu": (1, 3.0)}
        operator.observe(made("old", "2026-01-01T00:00:00Z", generation=2))
        await until(lambda: api.weights == [250, 750], 10.0)
        await seconds(60)
        assert len(api.patches) == 2
        assert (degraded(api, "young")["reason"], degraded(api, "old")["status"]) == ("AnotherRecModel", "False")
        assert "routeContested" not in api.statuses["young"]
        operator.forget("shop/old")
        judge.wanted = {"cpu": (2, 1.0), "gpu": (1, 1.0)}
        await until(lambda: api.weights == [500, 500], 10.0)
        await until(lambda: degraded(api, "young")["status"] == "False", 10.0)

    operated(story, judge, api=api)


def test_a_target_that_is_not_there_moves_no_weight() -> None:
    api = ExistingRoutes(deployments=[workload("ranker-cpu", 2)])

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator)
        await seconds(120)
        assert api.patches == []
        assert condition(api, "Degraded")["reason"] == "TargetMissing"

    operated(story, Judge(), api=api)


def test_a_hidden_rule_of_one_pool_is_as_good_as_any() -> None:
    """A pool of its own needs no weight, and none is written."""
    api = ExistingRoutes(only(("ranker-cpu", 80)))

    async def story(operator: Operator, api: ExistingRoutes) -> None:
        begin(operator, routed_recmodel(served("cpu", "ranker-cpu")))
        await seconds(30)
        assert api.patches == []
        assert condition(api, "Degraded")["status"] == "False"

    operated(story, Judge(cpu=(2, 1.0)), api=api)
