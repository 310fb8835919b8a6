"""Routes of others beside a RecModel's: one of its name is never written, and who asks for the same requests is told."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kube import Kube, Object, eventually, throughout
from serving import GATEWAY, GATEWAY_NAMESPACE, Pool, Served, hostname, recmodel
from side_by_side import together

from recmodel.cluster import names

pytestmark = pytest.mark.cluster


def foreign(namespace: str, name: str, host: str, *services: str) -> Object:
    """An HTTPRoute of somebody else, with the labels that a RecModel's would have."""
    backends = [{"name": service, "port": 80, "weight": 1} for service in services]
    return {
        "apiVersion": names.ROUTE.group_version,
        "kind": names.ROUTE.kind,
        "metadata": {"name": name, "namespace": namespace, "labels": names.labels(name)},
        "spec": {
            "parentRefs": [{"name": GATEWAY, "namespace": GATEWAY_NAMESPACE}],
            "hostnames": [host],
            "rules": [{"backendRefs": backends}],
        },
    }


def written(route: Object) -> Object:
    """What anybody but the gateway, which writes the status, has written."""
    metadata = {
        key: value for key, value in route["metadata"].items() if key not in ("resourceVersion", "managedFields")
    }
    managers = {entry["manager"] for entry in route["metadata"]["managedFields"] if "subresource" not in entry}
    return {"metadata": metadata, "spec": route["spec"], "managers": managers}


@together
def test_a_route_of_somebody_else_with_its_name_is_never_written(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    """Neither while a pool leaves and replicas move, nor when the RecModel is deleted."""
    body = foreign(namespace, "ranker", "somebody.example", "ranker-cpu", "ranker-spare")
    before = written(kube.create(names.ROUTE, namespace, body))

    def untouched() -> None:
        assert written(kube.get(names.ROUTE, namespace, "ranker")) == before

    served = serve(Pool(), Pool("spare"))
    eventually("it is told", served.has("Ready", "False", "NameTaken"), 60.0)
    eventually("its pods run", lambda: served.ready() == {"cpu": 1, "spare": 1}, 120.0)
    served.change_pools(Pool(least=2))
    gone = lambda: kube.find(names.DEPLOYMENT, namespace, "ranker-spare") is None  # noqa: E731
    eventually("the pool is drained", gone, 60.0)
    eventually("the other one is scaled", lambda: served.replicas() == {"cpu": 2}, 60.0)
    untouched()
    kube.delete(names.RECMODEL, namespace, "ranker")
    eventually("its children are gone", lambda: not kube.list(names.DEPLOYMENT, namespace), 60.0)
    throughout(6.0, untouched)  # more than a tick


@together
def test_who_asks_for_the_same_requests_is_told_to_the_one_that_may_lose_them(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    """Of RecModels the younger one; where the other route is somebody else's, as the gateway says it, newer or older."""
    first = serve(Pool())
    heir_host = hostname(namespace, "heir")
    kube.create(names.ROUTE, namespace, foreign(namespace, "older", heir_host, "ranker-cpu"))
    first.wait_ready(cpu=1)
    twin = recmodel(namespace, "twin", Pool())
    twin["spec"]["route"]["hostnames"] = [first.host]
    second = Served(kube, twin)
    heir = serve(Pool(), name="heir")
    eventually("the younger one is told", second.has("Ready", "False", "RouteOverlaps"), 60.0)
    assert f"RecModel {namespace}/ranker" in second.condition("Ready")["message"]
    assert first.has("Ready", "True")()

    def told(served: Served, other: str) -> None:
        eventually(f"{served.name} is told", served.has("Degraded", "True", "RouteOverlaps"), 60.0)
        said = served.condition("Degraded")["message"]
        assert "RouteRulesOverlap is True" in said, said  # the gateway's own words
        assert f"{namespace}/{other}" in said, said
        assert served.has("Ready", "True")()

    heir.wait_ready(cpu=1)
    told(heir, "older")
    kube.create(names.ROUTE, namespace, foreign(namespace, "newer", first.host, "heir-cpu"))
    told(first, "newer")
    for name in ("older", "newer"):
        kube.delete(names.ROUTE, namespace, name)
    for served in (first, heir):
        eventually(f"{served.name} has no rival", served.has("Degraded", "False"), 60.0)
