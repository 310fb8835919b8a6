"""RecModels, and their CRD, that go and come again: nothing of them stays, and what comes is served within seconds."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from figures import measured
from installed import OPERATOR_NAMESPACE, RELEASE, ROOT, operator_pod
from kube import Kube, Object, Refused, eventually, run
from serving import Pool, Served

from recmodel.cluster import names

pytestmark = pytest.mark.cluster

CRD = names.Kind("CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions")
SERVED_SECONDS = 30.0


def page(kube: Kube) -> str:
    """The operator's own metrics; empty while it does not answer."""
    try:
        return kube.proxied(OPERATOR_NAMESPACE, operator_pod(kube)["metadata"]["name"], 9090, "/metrics")
    except (Refused, AssertionError):
        return ""


def series_of(kube: Kube, namespace: str) -> list[str]:
    """The operator's series about a namespace."""
    return [line for line in page(kube).splitlines() if f'namespace="{namespace}"' in line]


def counted(kube: Kube) -> float:
    """How many RecModels the operator counts, by its metric over the modes."""
    return sum(float(n) for n in re.findall(r"^recmodel_models\{[^}]*\} (\S+)$", page(kube), re.MULTILINE))


def process(kube: Kube) -> tuple[str, int]:
    """The operator's pod, and how often its container was started again."""
    pod = operator_pod(kube)
    return str(pod["metadata"]["name"]), int(pod["status"]["containerStatuses"][0]["restartCount"])


def test_a_deleted_recmodel_leaves_no_series_and_its_name_starts_clean(
    kube: Kube, serve: Callable[..., Served], namespace: str
) -> None:
    served = serve(Pool())
    served.wait_ready(cpu=1)
    eventually("it is decided for", lambda: "recmodel_decision_timestamp" in "".join(series_of(kube, namespace)), 60.0)
    body: Object = served.body()
    kube.delete(names.RECMODEL, namespace, served.name)
    gone = time.monotonic()
    eventually("no series is left", lambda: page(kube) and not series_of(kube, namespace), 30.0)
    measured("RecModel deleted to no series of it", f"{time.monotonic() - gone:.1f} s")
    eventually("it is not counted", lambda: counted(kube) == len(kube.list(names.RECMODEL, None)), 30.0)
    again = {k: v for k, v in body.items() if k in ("apiVersion", "kind", "spec")}
    kube.create(names.RECMODEL, namespace, {**again, "metadata": {"name": served.name, "namespace": namespace}})
    eventually("it serves again", served.has("Ready", "True"), 90.0)
    assert served.body()["metadata"]["uid"] != body["metadata"]["uid"]
    owners = served.deployment("cpu")["metadata"]["ownerReferences"]
    assert [owner["uid"] for owner in owners] == [served.body()["metadata"]["uid"]]


def test_an_invalid_edit_survives_a_restart_of_the_operator(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(Pool(least=1))
    served.wait_ready(cpu=1)
    eventually("the last valid spec is kept", lambda: served.status().get("lastValidSpec"), 60.0)
    path = "/spec/pools/0/template/spec/serviceAccountName"
    edit = [{"op": "add", "path": path, "value": "admin"}]
    kube.json_patch(names.RECMODEL, served.namespace, served.name, edit)
    eventually("the edit is refused", lambda: "serviceAccountName" in json.dumps(served.status()["conditions"]), 30.0)
    killed = operator_pod(kube)["metadata"]["name"]
    run("kubectl", "delete", "pod", "-n", OPERATOR_NAMESPACE, killed, "--grace-period=0", "--force")
    eventually(
        "another one decides", lambda: any("decision_timestamp" in s for s in series_of(kube, served.namespace)), 90.0
    )
    kube.merge(
        names.SERVICE, served.namespace, f"{served.name}-cpu", {"spec": {"selector": {"recmodel.dev/pool": "odd"}}}
    )

    def restored() -> bool:
        service = kube.get(names.SERVICE, served.namespace, f"{served.name}-cpu")
        return bool(service["spec"]["selector"]["recmodel.dev/pool"] == "cpu")

    eventually("its children are kept as before", restored, 90.0)


@pytest.fixture
def crd(kube: Kube) -> Iterator[Object]:
    """The CRD as the chart installed it, which stands again afterwards."""
    live = kube.get(CRD, None, "recmodels.recmodel.dev")
    path: Path = ROOT / "crds" / "recmodels.recmodel.dev.yaml"
    body: Object = yaml.safe_load(path.read_text())
    body["metadata"] |= {key: live["metadata"][key] for key in ("labels", "annotations") if key in live["metadata"]}
    yield body
    with contextlib.suppress(Refused):
        kube.create(CRD, None, body)


@pytest.mark.parametrize("there_before", [True, False], ids=["the operator runs on", "the operator starts without it"])
def test_a_crd_that_is_deleted_and_installed_again_is_served_within_seconds(
    kube: Kube, serve: Callable[..., Served], namespace: str, crd: Object, there_before: bool
) -> None:
    served = serve(Pool())
    served.wait_ready(cpu=1)
    body = served.body()
    kube.delete(CRD, None, "recmodels.recmodel.dev")
    eventually("the CRD is gone", lambda: kube.find(CRD, None, "recmodels.recmodel.dev") is None, 60.0)
    eventually("no series is left", lambda: page(kube) and not series_of(kube, namespace), 60.0)
    if not there_before:
        kube.delete(names.POD, OPERATOR_NAMESPACE, operator_pod(kube)["metadata"]["name"], grace_seconds=0)
        run("kubectl", "rollout", "status", f"deployment/{RELEASE}", "-n", OPERATOR_NAMESPACE, "--timeout=90s")
        eventually("another one runs", lambda: "recmodel_acting" in page(kube), 60.0)
    before = process(kube)
    kube.create(CRD, None, crd)
    again = {"apiVersion": body["apiVersion"], "kind": body["kind"], "spec": body["spec"]}
    metadata = {"name": served.name, "namespace": namespace}

    def created() -> bool:
        with contextlib.suppress(Refused):
            kube.create(names.RECMODEL, namespace, {**again, "metadata": metadata})
        try:
            return kube.find(names.RECMODEL, namespace, served.name) is not None
        except Refused:
            return False

    eventually("the API takes it", created, 60.0)
    began = time.monotonic()
    eventually("it has a status", lambda: served.status().get("conditions"), SERVED_SECONDS)
    measured("RecModel of a CRD installed again to its first status", f"{time.monotonic() - began:.1f} s")
    assert process(kube) == before, "the operator's process lived on"
    eventually("it serves", served.has("Ready", "True"), 90.0)
