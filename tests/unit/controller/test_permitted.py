"""What the platform team's settings let a RecModel ask for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from builders.good_spec import changed
from builders.operator_stage import Api, operated, recmodel
from recmodel.api.permitted import Permitted
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.controller.operator import Operator
from recmodel.controller.settings import from_environment
from recmodel.controller.spec_reading import read_spec
from recmodel.core.types import Reason

EDGE = {"name": "edge", "namespace": "gateways"}
PERMITTED = Permitted(gateways=("gateways/edge", "shop/own"), hostnames=("*.shop.example", "feed.example"))


def route(parents: list[dict[str, Any]], hostnames: list[str] | None = None) -> dict[str, Any]:
    return changed("spec/route", {"parentRefs": parents, **({} if hostnames is None else {"hostnames": hostnames})})


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        (route([EDGE], ["a.shop.example"]), None),
        (route([EDGE], ["feed.example", "a.b.shop.example", "*.shop.example", "*.eu.shop.example"]), None),
        (route([{"name": "own"}], ["a.shop.example"]), None),
        (route([{"name": "own", "sectionName": "https"}], ["a.shop.example"]), None),
        (route([{"name": "edge"}], ["a.shop.example"]), "parentRefs[0] is the Gateway 'shop/edge'"),
        (route([EDGE, {"name": "admin", "namespace": "gateways"}], ["a.shop.example"]),
         "parentRefs[1] is the Gateway 'gateways/admin'"),
        (route([EDGE]), "hostnames is empty, which means every host"),
        (route([EDGE], []), "hostnames is empty, which means every host"),
        (route([EDGE], ["a.shop.example", "bank.example"]), "hostnames[1] is 'bank.example'"),
        (route([EDGE], ["shop.example"]), "hostnames[0] is 'shop.example'"),
        (route([EDGE], ["workshop.example"]), "hostnames[0] is 'workshop.example'"),
        (route([EDGE], ["*.example"]), "hostnames[0] is '*.example'"),
        (route([EDGE], ["*.feed.example"]), "hostnames[0] is '*.feed.example'"),
        (route([EDGE], ["a.shop.example.evil.test"]), "hostnames[0] is 'a.shop.example.evil.test'"),
    ],
)  # fmt: skip
def test_a_route_is_limited_to_what_the_settings_allow(body: dict[str, Any], refused: str | None) -> None:
    assert isinstance(read_spec(body), RecModelSpec)  # without a limit the Gateway API decides
    found = read_spec(body, PERMITTED)
    if refused is None:
        assert isinstance(found, RecModelSpec)
        return
    assert isinstance(found, Reason)
    setting = "allowedGateways" if "Gateway" in refused else "allowedHostnames"
    assert found.message.startswith(f"spec.route.{refused}")
    assert f"the operator's setting routes.{setting} names [" in found.message


def test_a_model_without_a_route_asks_for_nothing() -> None:
    assert isinstance(read_spec(changed("spec/mode", "Auto"), PERMITTED), RecModelSpec)


def test_the_settings_are_words_with_commas_between() -> None:
    settings = from_environment({
        "RECMODEL_PROMETHEUS_URL": "http://p:9090",
        "RECMODEL_ALLOW_GATEWAYS": "gateways/edge,shop/own",
        "RECMODEL_ALLOW_HOSTNAMES": "*.shop.example, feed.example",
    })  # fmt: skip
    assert settings.permitted == PERMITTED


def test_the_last_valid_spec_goes_on_serving() -> None:
    async def story(operator: Operator, api: Api) -> None:
        operator.observe(recmodel())
        operator.listed()
        await asyncio.sleep(0.5)
        writes = len(api.cluster.writes)
        assert writes > 0
        edit = recmodel(generation=2)
        edit["spec"]["route"] = {"parentRefs": [{"name": "edge"}, {"name": "admin", "namespace": "platform"}]}
        edit["spec"]["pools"][0]["replicas"]["min"] = 3
        operator.observe(edit)
        await asyncio.sleep(0.4)
        conditions = {c["type"]: c for c in api.status["conditions"]}
        assert conditions["Stalled"]["reason"] == "InvalidSpec"
        assert "spec.route.parentRefs[1] is the Gateway 'platform/admin'" in conditions["Stalled"]["message"]
        assert len(api.cluster.writes) == writes
        assert [ref["name"] for ref in api.cluster.objects["HTTPRoute", "feed"]["spec"]["parentRefs"]] == ["edge"]

    operated(story, allow_gateways=("shop/edge",))
