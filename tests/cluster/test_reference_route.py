"""Two Deployments that stand already, behind a rule of an HTTPRoute that stands already: mode Recommend writes nothing of it, mode Auto
moves its weights without losing a request, and nothing else of it, and stops where somebody else keeps writing them. Deleting the
RecModel restores weights that were handed over.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from figures import measured
from kube import FIELD_MANAGER, Kube, Object, eventually, throughout
from operator_account import asked
from requests_sent import Load, failed, share
from serving import GATEWAY, GATEWAY_NAMESPACE, Pool, Served, hostname
from side_by_side import together
from test_attach import METRICS, granted, made
from test_handover import carried_out, given_back_by_deletion

from recmodel.api.v1alpha1 import API_VERSION, KIND
from recmodel.cluster import names

pytestmark = pytest.mark.cluster

BUSY = Pool(service_ms=20.0, slots=1)  # 50 requests/s
PER_SECOND = 15.0
POOLS = ("cpu", "gpu")


def answered_by(pool: str) -> Object:
    """A filter of the team's own, which the model server sends back."""
    return {
        "type": "RequestHeaderModifier",
        "requestHeaderModifier": {"set": [{"name": "x-recmodel-pool", "value": pool}]},
    }


def existing(kube: Kube, namespace: str) -> None:
    """What a team runs: all requests go to the pool cpu, and nothing of gpu runs."""
    for pool, replicas in zip(POOLS, (1, 0), strict=True):
        name = f"shop-{pool}"
        labels = {"app": name, "prometheus.io/scrape": "true"}
        template = {"metadata": {"labels": labels}, "spec": BUSY.spec()["template"]["spec"]}
        spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
        made(kube, namespace, names.DEPLOYMENT, name, spec)
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        made(kube, namespace, names.SERVICE, name, {"selector": {"app": name}, "ports": ports})
    backends = [
        {"name": f"shop-{pool}", "port": 80, "weight": weight, "filters": [answered_by(pool)]}
        for pool, weight in zip(POOLS, (100, 0), strict=True)
    ]
    header = {
        "type": "ResponseHeaderModifier",
        "responseHeaderModifier": {"set": [{"name": "x-shop", "value": "seen"}]},
    }
    redirect = {
        "type": "RequestRedirect",
        "requestRedirect": {"statusCode": 302, "path": {"type": "ReplaceFullPath", "replaceFullPath": "/"}},
    }
    route = {
        "parentRefs": [{"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}],
        "hostnames": [hostname(namespace, "ranker")],
        "rules": [
            {"matches": [{"path": {"type": "Exact", "value": "/old"}}], "filters": [redirect]},
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "filters": [header],
                "backendRefs": backends,
                "timeouts": {"request": "10s"},
            },
        ],
    }  # fmt: skip
    made(kube, namespace, names.ROUTE, "shop", route)


def referring(namespace: str, mode: str) -> Object:
    pools = [
        {
            "name": pool, "replicas": {"min": 1, "max": 2}, "costPerHour": cost,
            "targetRef": {"kind": "Deployment", "name": f"shop-{pool}"}, "service": {"name": f"shop-{pool}", "port": 80},
        }
        for pool, cost in zip(POOLS, ("1.0", "3.0"), strict=True)
    ]  # fmt: skip
    spec = {
        "mode": mode, "objective": {"latency": {"threshold": "100ms"}}, "metrics": METRICS, "pools": pools,
        "route": {"ref": {"kind": "HTTPRoute", "name": "shop", "rule": 1}},
    }  # fmt: skip
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": "ranker", "namespace": namespace},
        "spec": spec,
    }


def route_of(kube: Kube, namespace: str) -> Object:
    return kube.get(names.ROUTE, namespace, "shop")


def weights(kube: Kube, namespace: str) -> list[int]:
    return [backend["weight"] for backend in route_of(kube, namespace)["spec"]["rules"][1]["backendRefs"]]


def written(route: Object) -> tuple[Object, Object]:
    """What anybody has written, the gateway's status aside."""
    metadata = {
        key: value for key, value in route["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    return metadata, route["spec"]


def but_weights(route: Object) -> Object:
    """The same, byte for byte, but the weights of the rule and the number of the generation."""
    metadata, spec = copy.deepcopy(written(route))
    metadata.pop("generation")
    for backend in spec["rules"][1]["backendRefs"]:
        backend.pop("weight")
    return {"metadata": json.dumps(metadata), "spec": json.dumps(spec)}


@together
def test_the_weights_of_a_rule_that_stands_move_and_nothing_else_of_it(kube: Kube, namespace: str) -> None:
    existing(kube, namespace)
    before = route_of(kube, namespace)
    served = Served(kube, referring(namespace, "Recommend"))
    with Load(served, PER_SECOND) as load:
        eventually("the load is seen", served.has("MetricsAvailable", "True"), 60.0)

        def recommended() -> Any:
            return served.status().get("recommendation", {}).get("recommended", {}).get("weights")

        assert eventually("weights are recommended", recommended, 30.0) == {"cpu": 1000, "gpu": 0}, (
            "no pod of gpu is ready"
        )
        assert served.condition("Degraded")["status"] == "False"
        throughout(3.0, lambda: _same(written(route_of(kube, namespace)), written(before)))
        managers = {entry["manager"] for entry in route_of(kube, namespace)["metadata"]["managedFields"]}
        assert names.FIELD_MANAGER not in managers

        served.change({"mode": "Auto"})

        def joined() -> bool:
            now = weights(kube, namespace)
            assert (sum(now), now[1] > 100) == (1000, True), now
            return True

        eventually("gpu has a ready pod, and then its share", joined, 60.0)
        measured("Weights of a rule of somebody else's, after a pool joined", str(weights(kube, namespace)))
        assert but_weights(route_of(kube, namespace)) == but_weights(before)
        (ours,) = [
            e for e in route_of(kube, namespace)["metadata"]["managedFields"] if e["manager"] == names.FIELD_MANAGER
        ]
        assert ours["operation"] == "Update"
        eventually("gpu answers its share", lambda: share(load.answers()[-60:], "gpu") > 0.1, 20.0)
        assert failed(load.answers()) == {}, "not one request was lost"

        for _ in range(3):  # as a tool does that keeps the route from Git
            set_weights(kube, namespace, 90, 10)

            def put_right() -> bool:
                contested = served.condition("Degraded")["reason"] == "Contested"
                return contested or weights(kube, namespace) != [90, 10]

            eventually("they are put right, or left alone", put_right, 40.0)
        eventually("the writer is named", served.has("Degraded", "True", "Contested"), 40.0)
        said = served.condition("Degraded")["message"]
        assert (
            f"the field manager {FIELD_MANAGER} keeps writing over the weights of rule 1 of HTTPRoute shop" in said
        ), said
        throughout(5.0, lambda: _same(weights(kube, namespace), [90, 10]))
        assert failed(load.answers()) == {}
    assert but_weights(route_of(kube, namespace)) == but_weights(before)
    kube.delete(names.RECMODEL, namespace, "ranker")
    throughout(3.0, lambda: _same(weights(kube, namespace), [90, 10]))


@together
def test_deleting_a_recmodel_that_was_handed_over_restores_the_weights(kube: Kube, namespace: str) -> None:
    existing(kube, namespace)
    kube.merge(names.DEPLOYMENT, namespace, "shop-gpu", {"spec": {"replicas": 1}})

    def ready() -> bool:
        found = (kube.get(names.DEPLOYMENT, namespace, f"shop-{pool}") for pool in POOLS)
        return all(body["status"].get("readyReplicas") == 1 for body in found)

    eventually("both are ready", ready, 60.0)
    set_weights(kube, namespace, 70, 30)
    before = route_of(kube, namespace)["spec"]
    served = Served(kube, referring(namespace, "Recommend"))
    with Load(served, PER_SECOND) as load:
        eventually("the load is seen", served.has("MetricsAvailable", "True"), 60.0)
        carried_out("handover", served)
        eventually("the weights were moved", lambda: sum(weights(kube, namespace)) == 1000, 60.0)
        given_back_by_deletion(kube, namespace, "ranker")
        assert route_of(kube, namespace)["spec"] == before
        assert failed(load.answers()) == {}


def set_weights(kube: Kube, namespace: str, *values: int) -> None:
    steps = [
        {"op": "add", "path": f"/spec/rules/1/backendRefs/{place}/weight", "value": weight}
        for place, weight in enumerate(values)
    ]
    kube.json_patch(names.ROUTE, namespace, "shop", steps)


def _same(now: Any, before: Any) -> None:
    assert now == before


@together
def test_who_may_not_patch_the_route_gets_no_recmodel_that_moves_its_weights(kube: Kube, namespace: str) -> None:
    author = f"mover-{namespace}"
    granted(namespace, author, "writes", "recmodel.dev", "recmodels", ["create"])
    granted(namespace, author, "scales", "apps", "deployments/scale", ["patch"])
    acts, looks = (referring(namespace, mode) for mode in ("Auto", "Recommend"))
    eventually("the author may write RecModels", lambda: asked(author, "create", looks).returncode == 0, 30.0)
    said = f"spec.route.ref is HTTPRoute shop: in mode Auto its weights are set, and {author} may neither update nor patch httproutes"
    eventually("the route is asked about", lambda: said in asked(author, "create", acts).stderr, 30.0)
    granted(namespace, author, "routes", "gateway.networking.k8s.io", "httproutes", ["patch"])
    eventually("the author may patch it", lambda: asked(author, "create", acts).returncode == 0, 30.0)
