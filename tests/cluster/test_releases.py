"""Several releases of the chart, and one that is upgraded or installed again: in a namespace one operator acts, and says so."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chart import CHART
from figures import measured
from installed import OPERATOR_NAMESPACE, RELEASE
from kube import NAMESPACE, Kube, Refused, eventually, run
from serving import Pool, Served

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

SMALL = Pool("small", least=1, most=2, service_ms=20.0, slots=1)
OTHER, OTHER_NAMESPACE = "recmodel-other", "recmodel-other"


def values() -> list[str]:
    """The settings of the release under test, for another one; the namespaces aside."""
    found = json.loads(run("helm", "get", "values", RELEASE, "-n", OPERATOR_NAMESPACE, "-o", "json"))
    kept = {name: found[name] for name in ("image", "prometheus", "tickSeconds") if name in found}
    return [part for name, value in kept.items() for part in ("--set-json", f"{name}={json.dumps(value)}")]


@pytest.fixture
def other(kube: Kube, operator: None) -> Iterator[Callable[..., None]]:
    """Installs a second release in a namespace of its own, with these settings; gone again afterwards."""

    def install(*settings: str) -> None:
        more = [part for setting in settings for part in ("--set", setting)]
        run(
            "helm", "install", OTHER, str(CHART), "-n", OTHER_NAMESPACE, "--create-namespace", *values(), *more,
            "--wait", "--timeout", "120s", seconds=150.0,
        )  # fmt: skip

    yield install
    run("helm", "uninstall", OTHER, "-n", OTHER_NAMESPACE, "--ignore-not-found", seconds=120.0)
    kube.delete(NAMESPACE, None, OTHER_NAMESPACE)


@pytest.fixture
def upgrade(operator: None) -> Iterator[Callable[..., None]]:
    """Upgrades the release under test; without namespaces again afterwards."""

    def change(namespaces: list[str]) -> None:
        run(
            "helm", "upgrade", RELEASE, str(CHART), "-n", OPERATOR_NAMESPACE, "--reuse-values",
            "--set-json", f"watchNamespaces={json.dumps(namespaces)}", "--wait", "--timeout", "180s", seconds=200.0,
        )  # fmt: skip

    yield change
    change([])


def decides(kube: Kube, served: Served) -> dict[str, float]:
    """When the pods of all releases decided about a model, by pod; only one that acts reports it."""
    series = f'recmodel_decision_timestamp_seconds{{model="{served.name}",namespace="{served.namespace}"}} '
    found = {}
    for place in (OPERATOR_NAMESPACE, OTHER_NAMESPACE):
        for pod in kube.list(names.POD, place, "app.kubernetes.io/name=recmodel"):
            name = pod["metadata"]["name"]
            try:
                page = kube.proxied(place, name, 9090, "/metrics")
            except Refused:  # it does not listen yet, or any more
                continue
            if said := re.search(re.escape(series) + r"(\S+)", page):
                found[f"{place}/{name}"] = float(said[1])
    return found


def ready(served: Served) -> dict[str, Any]:
    return next((c for c in served.status().get("conditions", []) if c["type"] == "Ready"), {})


def claim(kube: Kube, namespace: str) -> str:
    return str(kube.get(names.LEASE, namespace, "recmodel.dev")["spec"].get("holderIdentity") or "")


def test_a_second_release_over_the_same_namespace_stands_by_and_says_who_acts(
    kube: Kube, serve: Callable[..., Served], other: Callable[..., None]
) -> None:
    """It is installed in another namespace, without a flag though the CRD belongs to the first one."""
    served = serve(SMALL)
    served.wait_ready(small=1)
    eventually("one decides", lambda: decides(kube, served), 30.0)
    other(f"watchNamespaces={{{served.namespace}}}")
    until = time.monotonic() + 20.0
    while time.monotonic() < until:
        assert [pod for pod in decides(kube, served) if pod.startswith(OTHER_NAMESPACE)] == []
        time.sleep(1.0)
    assert claim(kube, served.namespace) == f"{OPERATOR_NAMESPACE}/{RELEASE}"
    (pod,) = kube.list(names.POD, OTHER_NAMESPACE, "app.kubernetes.io/name=recmodel")
    page = kube.proxied(OTHER_NAMESPACE, pod["metadata"]["name"], 9090, "/metrics")
    assert "recmodel_acting 0.0" in page
    assert f'recmodel_stands_by{{namespace="{served.namespace}",release="{OPERATOR_NAMESPACE}/{RELEASE}"}} 1.0' in page
    said = run("kubectl", "logs", "-n", OTHER_NAMESPACE, f"deployment/{OTHER}")
    assert f"stands by in namespace {served.namespace}: the operator of {OPERATOR_NAMESPACE}/{RELEASE} acts" in said


def test_an_upgrade_with_other_namespaces_never_has_two_acting_and_leaves_no_model_unserved_and_ready(
    kube: Kube, serve: Callable[..., Served], upgrade: Callable[..., None]
) -> None:
    served = serve(SMALL)
    served.wait_ready(small=1)
    eventually("one decides", lambda: decides(kube, served), 30.0)
    began = time.monotonic()
    upgrade([served.namespace])  # from all of them; both pods are up for some seconds
    seen: set[str] = set()
    for _ in range(3):
        acting = eventually("it goes on", lambda: decides(kube, served), 60.0)
        assert len(acting) == 1
        seen |= acting.keys()
        time.sleep(2.0)
    assert len(seen) == 1
    measured("watchNamespaces changed by an upgrade to the next decision", f"{time.monotonic() - began:.1f} s")
    upgrade(["default"])  # and away from it
    said = eventually("it says so", lambda: ready(served) if ready(served).get("reason") == "NotServed" else None, 60.0)
    assert said["status"] == "False"
    assert served.namespace in said["message"]
    assert served.ready() == {"small": 1}
    eventually("the claim is given back", lambda: claim(kube, served.namespace) == "", 30.0)
    upgrade([])
    eventually("it is served again", lambda: ready(served).get("status") == "True", 60.0)
