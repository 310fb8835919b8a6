"""``recmodel adopt``, ``handover`` and ``handback`` for a kind that only its scale tells of."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from aiohttp import web

from builders.adopt_scene import Shop, adopt
from builders.handover_scene import Namespace, autoscaler, of_keda
from builders.references import reference_recmodel, referring
from builders.scaled_workloads import TARGET, scale_of, widget
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.controller.spec_reading import read_spec

GROUP = {"preferredVersion": {"groupVersion": "shop.example/v1", "version": "v1"}}
RESOURCES = [
    {"name": "widgets", "singularName": "widget", "shortNames": ["wd"], "kind": "Widget", "namespaced": True},
    {"name": "widgets/scale", "kind": "Scale", "namespaced": True},
]
SCALER = {"metadata": {"name": "hpa"}, "spec": {"scaleTargetRef": TARGET, "minReplicas": 3, "maxReplicas": 30}}
OTHERS = {
    **SCALER,
    "spec": {**SCALER["spec"], "scaleTargetRef": {**TARGET, "apiVersion": "other.example/v1"}, "maxReplicas": 7},
}
ONE = "widget.shop.example/ranker-cpu"


@dataclass
class Widgets(Shop):
    """A namespace with a Widget, and the autoscaler of it."""

    scale: Any = field(default_factory=lambda: scale_of(widget()))
    resources: list[Any] = field(default_factory=lambda: RESOURCES)

    def api(self, path: str, asked: dict[str, Any] | None) -> tuple[dict[str, Any], int]:
        self.asked.append(path if asked is None else f"POST {path}")
        found = {
            "/apis/shop.example": GROUP,
            "/apis/shop.example/v1": {"resources": self.resources},
            "/apis/shop.example/v1/namespaces/shop/widgets": {"items": [widget()], "metadata": {"resourceVersion": "1"}},
            "/apis/shop.example/v1/namespaces/shop/widgets/ranker-cpu/scale": self.scale,
            "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers": {
                "items": [OTHERS, SCALER], "metadata": {"resourceVersion": "1"},
            },
        }  # fmt: skip
        answer = found.get(path.partition("?")[0])
        if answer is None or (path.endswith("/scale") and ("get", "scale") in self.denied):
            return {"message": "no"}, 403 if answer is not None else 404
        return answer, 200


@pytest.mark.parametrize(
    "word", ["widget.shop.example", "widgets.shop.example", "Widget.shop.example", "wd.shop.example"]
)
def test_what_its_scale_says_is_printed_with_the_setting_that_it_needs(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shop = Widgets()
    assert adopt(monkeypatch, shop, f"{word}/ranker-cpu", "-n", "shop", "--objective", "p99<100ms") == 0
    printed = capsys.readouterr().out
    spec = read_spec(yaml.safe_load(printed))
    assert isinstance(spec, RecModelSpec), spec
    (pool,) = spec.pools
    assert pool.target_ref is not None
    assert (pool.target_ref.api_version, pool.target_ref.kind, pool.target_ref.name) == tuple(TARGET.values())
    assert (pool.replicas.min, pool.replicas.max) == (3, 30), "those of its own autoscaler"
    assert "Widget ranker-cpu runs 3 replicas." in printed
    said = "the operator's chart value scaleTargets must name the kind: {group: shop.example, kind: Widget, resource: widgets}."
    assert said in " ".join(printed.replace("#", " ").split())
    assert [asked for asked in shop.asked if asked.startswith("POST")] == []


@pytest.mark.parametrize(
    ("shop", "workload", "says"),
    [
        (Widgets(), "gadget.shop.example/x", "gadget.shop.example: the cluster serves no such kind: correct it"),
        (Widgets(), "widget.other.example/x", "kubectl api-resources --api-group=other.example"),
        (Widgets(resources=RESOURCES[:1]), "widget.shop.example/x", "has no scale subresource"),
        (Widgets(), "widget.shop.example/x", "there is no Widget shop/x; there is ranker-cpu"),
        (Widgets(), "widget./x", "of the kind 'widget.' the API group is not known"),
        (Widgets(scale={"spec": {"replicas": "3"}}), ONE, "the scale of Widget ranker-cpu cannot be read: spec.replicas"),
        (Widgets(scale=scale_of(widget(selector=""))), ONE, "Widget ranker-cpu cannot be a pool: status.selector"),
        (Widgets(denied={("get", "scale")}), ONE, "must be able to get widgets/scale.shop.example in namespace shop"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_pool_ends_with_2_and_the_way_out(
    shop: Widgets, workload: str, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert adopt(monkeypatch, shop, workload, "-n", "shop") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err


def scaler(name: str, **metadata: Any) -> dict[str, Any]:
    body = autoscaler(name, **metadata)
    body["spec"]["scaleTargetRef"] = copy.deepcopy(TARGET)
    return body


class WidgetNamespace(Namespace):
    """A RecModel that refers to a Widget. ``installed``: whether the cluster knows its kind."""

    def __init__(self, *scalers: dict[str, Any], mode: str = "Recommend") -> None:
        self.installed, self.made = True, widget(readyReplicas=2)
        super().__init__(mode, *(scalers or (scaler("ranker-cpu"),)))
        self.add("recmodels", reference_recmodel(referring(TARGET), name="ranker", mode=mode))
        self.play()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/apis/shop.example/v1":
            return web.json_response(
                {"resources": RESOURCES} if self.installed else {}, status=200 if self.installed else 404
            )
        if request.path.endswith("/widgets/ranker-cpu/scale"):
            return web.json_response(scale_of(self.made))
        if request.path.endswith("/widgets"):
            return web.json_response({"items": [self.made], "metadata": {"resourceVersion": "1"}})
        return await super().answer(request)


def test_it_is_handed_over_and_back_as_a_deployment_is() -> None:
    foreign = scaler("foreign")
    foreign["spec"]["scaleTargetRef"]["apiVersion"] = "other.example/v1"
    shop = WidgetNamespace(scaler("ranker-cpu"), foreign)
    code, said = shop.run("handover", yes=False)
    assert code == 0, said
    assert "pool cpu: Widget ranker-cpu runs 3 replicas, 2 ready; HorizontalPodAutoscaler ranker-cpu scales it" in said
    assert "foreign" not in said, "it scales another group's kind of the same name"
    shop.objects["horizontalpodautoscalers"].pop("foreign")
    code, said = shop.run("handover")
    assert code == 0, said
    assert (shop.mode, shop.autoscalers) == ("Auto", [])
    code, said = shop.run("handback")
    assert code == 0, said
    assert (shop.mode, shop.autoscalers) == ("Recommend", ["ranker-cpu"])
    restored = shop.look("horizontalpodautoscalers", "ranker-cpu")
    assert restored is not None
    assert restored["spec"] == scaler("ranker-cpu")["spec"]


def test_what_it_does_not_say_is_left_out_and_keda_is_known_by_its_target() -> None:
    owned = of_keda("ranker-cpu")
    owned["spec"]["scaleTargetRef"] = TARGET
    scaled = {
        "metadata": {"namespace": "shop", "name": "ranker-cpu", "uid": "s", "annotations": {}},
        "spec": {"scaleTargetRef": TARGET, "triggers": [{"type": "cron"}]},
    }
    shop = WidgetNamespace(scaled, owned)
    shop.made["status"]["readyReplicas"] = "two"
    code, said = shop.run("handover", yes=False)
    assert code == 0, said
    assert "pool cpu: Widget ranker-cpu runs 3 replicas; ScaledObject ranker-cpu scales it" in said


def test_what_is_stored_is_given_back_though_the_kind_is_gone() -> None:
    shop = WidgetNamespace()
    assert shop.run("handover")[0] == 0
    shop.installed = False
    code, said = shop.run("handover")
    assert code == 2
    assert "the cluster serves no Widget of shop.example/v1" in said
    shop.run("handback")
    assert shop.autoscalers == ["ranker-cpu"]
