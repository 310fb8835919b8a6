"""Several releases of the chart, and one that is upgraded or installed again: in a namespace one operator acts, and says so."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from chart import CHART
from figures import measured
from installed import OPERATOR_NAMESPACE, RELEASE, ROOT, operator_pod
from kube import NAMESPACE, Kube, Refused, eventually, run, throughout
from requests_sent import Load, failed
from second_release import OTHER, OTHER_NAMESPACE, claim, values
from serving import Pool, Served

from recmodel.cluster import names
from recmodel.cluster.names import Kind

pytestmark = pytest.mark.cluster

CLUSTER_ROLE = Kind("ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles")
CRD = Kind("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions")
QUOTA = Kind("ResourceQuota", "v1", "resourcequotas")
SMALL = Pool("small", least=1, most=2, service_ms=20.0, slots=1)


def documented(command: str) -> list[str]:
    """A command as docs/operations.md has it, from its first words on; the chart's folder and the image are the tests'."""
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").replace("\\\n", " ")
    (line,) = set(re.findall(rf"^(?:\d\. `)?({re.escape(command)}[^`\n]*)", text, re.MULTILINE))
    here = {"charts/recmodel": str(CHART), "REGISTRY/": os.environ.get("IMAGE_PREFIX", "localhost/"), "TAG": "dev"}
    for written, meant in here.items():
        line = line.replace(written, meant)
    return shlex.split(line)


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
    found = {}
    for place in (OPERATOR_NAMESPACE, OTHER_NAMESPACE):
        for pod in kube.list(names.POD, place, "app.kubernetes.io/name=recmodel"):
            name = pod["metadata"]["name"]
            if at := decided_at(kube, served, place, name):
                found[f"{place}/{name}"] = at
    return found


def decided_at(kube: Kube, served: Served, place: str, pod: str) -> float | None:
    """When a pod decided about a model; 0 where it does not act, None where it does not listen yet, or any more."""
    series = f'recmodel_decision_timestamp_seconds{{model="{served.name}",namespace="{served.namespace}"}} '
    try:
        page = kube.proxied(place, pod, 9090, "/metrics")
    except Refused:
        return None
    said = re.search(re.escape(series) + r"(\S+)", page)
    return float(said[1]) if said else 0.0


def overlap(kube: Kube, served: Served, done: Future[None]) -> int:
    """Looks at the operator's pods until ``done``: never do two act. Returns how often two of them answered."""
    both = 0
    while not done.done():
        pods = kube.list(names.POD, OPERATOR_NAMESPACE, f"app.kubernetes.io/instance={RELEASE}")
        # The younger one first: where it acts already, the older one must have ceased before it is looked at.
        pods.sort(key=lambda pod: str(pod["metadata"]["creationTimestamp"]), reverse=True)
        said = [decided_at(kube, served, OPERATOR_NAMESPACE, pod["metadata"]["name"]) for pod in pods]
        assert sum(at is not None and at > 0 for at in said) <= 1, f"two pods act: {said}"
        both += sum(at is not None for at in said) > 1
        time.sleep(0.2)
    return both


def ready(served: Served) -> dict[str, Any]:
    return next((c for c in served.status().get("conditions", []) if c["type"] == "Ready"), {})


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
    with ThreadPoolExecutor(1) as aside:
        done = aside.submit(upgrade, [served.namespace])  # from all of them; both pods are up for some seconds
        both = overlap(kube, served, done)
    done.result()
    measured("helm upgrade with both pods up", f"{both} looks at both, never two that act")
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


def test_a_quota_that_refuses_the_claim_is_told_and_the_namespace_is_served_once_it_is_gone(
    kube: Kube, namespace: str, serve: Callable[..., Served]
) -> None:
    limits = {"hard": {"count/leases.coordination.k8s.io": "0"}}
    body = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "no-leases"}, "spec": limits}
    kube.create(QUOTA, namespace, body)
    eventually("the quota counts", lambda: kube.get(QUOTA, namespace, "no-leases").get("status", {}).get("hard"), 60.0)
    served = serve(SMALL)
    series = f'recmodel_claim_refused{{namespace="{namespace}"}} 1.0'

    def page() -> str:
        return kube.proxied(OPERATOR_NAMESPACE, operator_pod(kube)["metadata"]["name"], 9090, "/metrics")

    eventually("the metric names the namespace", lambda: series in page(), 30.0)
    said = run("kubectl", "logs", "-n", OPERATOR_NAMESPACE, f"deployment/{RELEASE}")
    (line,) = [line for line in said.splitlines() if f"does not act in namespace {namespace}" in line]
    assert "exceeded quota: no-leases" in line
    assert served.status() == {}
    assert kube.list(names.DEPLOYMENT, namespace) == []
    kube.delete(QUOTA, namespace, "no-leases")
    served.wait_ready(small=1)
    assert "recmodel_claim_refused{" not in page()


@pytest.fixture
def formerly(tmp_path: Path) -> Path:
    """The chart with the names that it gave its wide objects before they had the release's namespace in them."""
    chart = tmp_path / "recmodel"
    shutil.copytree(CHART, chart)
    helpers = chart / "templates" / "_helpers.tpl"
    now = '{{ include "recmodel.name" $ }}.{{ $.Release.Namespace }}.{{ index . 1 }}'
    before = '{{ include "recmodel.name" $ }}{{ if ne (index . 1) "operator" }}-{{ index . 1 }}{{ end }}'
    text = helpers.read_text(encoding="utf-8")
    assert text.count(now) == 1
    helpers.write_text(text.replace(now, before), encoding="utf-8")
    return chart


def test_an_upgrade_to_other_names_of_the_roles_serves_throughout_and_leaves_none_behind(
    kube: Kube, serve: Callable[..., Served], formerly: Path
) -> None:
    served = serve(SMALL)
    served.wait_ready(small=1)
    upgrade = documented("helm upgrade recmodel")
    old, new = RELEASE, f"{RELEASE}.{OPERATOR_NAMESPACE}.operator"
    with Load(served, 10.0) as load:
        for chart, there, gone in ((formerly, old, new), (CHART, new, old)):
            words = [str(chart) if word == str(CHART) else word for word in upgrade]
            # Another build, so that the pod is another one, too.
            run(
                *words,
                "--set-string",
                f"podAnnotations.chart={chart.parent.name}",
                "--wait",
                "--timeout",
                "180s",
                seconds=200.0,
            )
            assert kube.find(CLUSTER_ROLE, None, there) is not None
            assert kube.find(CLUSTER_ROLE, None, gone) is None
            assert served.has("Ready", "True")()
            acts_for(kube, served)
        load.stop()
        assert failed(load.answers()) == {}
    said = run("kubectl", "logs", "-n", OPERATOR_NAMESPACE, f"deployment/{RELEASE}")
    assert "forbidden" not in said


def acts_for(kube: Kube, served: Served) -> None:
    """Whether one operator decides about a model now, and has the right to put back what was deleted."""
    service = f"{served.name}-small"
    since = time.time()
    eventually("one decides", lambda: [t for t in decides(kube, served).values() if t > since], 90.0)
    labels = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "nobody"}}}
    kube.merge(names.SERVICE, served.namespace, service, labels)

    def restored() -> bool:
        found = kube.get(names.SERVICE, served.namespace, service)["metadata"]["labels"]
        return bool(found["app.kubernetes.io/managed-by"] != "nobody")

    eventually("it is put back", restored, 60.0)


@pytest.fixture
def released(kube: Kube, operator: None, tmp_path: Path) -> Iterator[None]:
    """The release under test is there again afterwards, as it was."""
    found = tmp_path / "values.json"
    found.write_text(run("helm", "get", "values", RELEASE, "-n", OPERATOR_NAMESPACE, "-o", "json"), encoding="utf-8")
    yield
    run("helm", "uninstall", RELEASE, "-n", OTHER_NAMESPACE, "--ignore-not-found", "--wait", seconds=120.0)
    kube.delete(NAMESPACE, None, OTHER_NAMESPACE)
    run(
        "helm", "upgrade", "--install", RELEASE, str(CHART), "-n", OPERATOR_NAMESPACE, "-f", str(found),
        "--wait", "--timeout", "180s", seconds=200.0,
    )  # fmt: skip


def test_the_documented_uninstall_and_install_in_another_namespace_keep_the_crd_and_go_on_with_what_serves(
    kube: Kube, serve: Callable[..., Served], released: None
) -> None:
    served = serve(SMALL)
    served.wait_ready(small=1)
    before, settings = kube.get(CRD, None, "recmodels.recmodel.dev"), values()
    uid = served.deployment("small")["metadata"]["uid"]
    with Load(served, 10.0) as load:
        run(*documented("helm uninstall recmodel"), "--wait", seconds=120.0)
        throughout(10.0, lambda: _serves(served))
        install = documented("helm install recmodel")
        elsewhere = [OTHER_NAMESPACE if word == OPERATOR_NAMESPACE else word for word in install]
        began = time.monotonic()
        run(*elsewhere, *settings, "--wait", "--timeout", "180s", seconds=200.0)
        acts_for(kube, served)
        measured("uninstalled, to the first correction by an install elsewhere", f"{time.monotonic() - began:.1f} s")
        load.stop()
        assert failed(load.answers()) == {}
    assert claim(kube, served.namespace) == f"{OTHER_NAMESPACE}/{RELEASE}"
    after = kube.get(CRD, None, "recmodels.recmodel.dev")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert served.deployment("small")["metadata"]["uid"] == uid


def _serves(served: Served) -> None:
    assert served.ready()["small"] >= 1
