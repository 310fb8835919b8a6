"""A RecModel has its own lighter variants made: the Job runs, measures through the real server, and writes the record."""

from __future__ import annotations

import copy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from figures import measured
from kube import CONFIG_MAP, Kube, Object, eventually, run
from serving import Pool, Served, recmodel

from recmodel.api.records import VariantRecord, read_records
from recmodel.cluster import names
from recmodel.cluster.names import Kind

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = "ranker-optimise"
KINDS = {
    "ServiceAccount": Kind("ServiceAccount", "v1", "serviceaccounts"),
    "Role": Kind("Role", "rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
}
# A tenth of the ratings: the way is tested here, the figures are `make paper`'s.
ROWS = 10_000
SECONDS = 600.0


def test_a_recmodel_has_its_variants_made_once_and_takes_over_their_record(kube: Kube, namespace: str) -> None:
    subprocess.run([ROOT / "hack" / "cluster" / "images.sh", "optimiser"], check=True, timeout=1800)
    run(
        "helm", "upgrade", "recmodel", str(ROOT / "charts" / "recmodel"), "-n", "recmodel-system", "--reuse-values",
        "--set", f"allowServiceAccounts={{{ACCOUNT}}}", "--wait", "--timeout", "180s", seconds=240.0,
    )  # fmt: skip
    text = (
        (ROOT / "manifests" / "optimise" / "job.yaml")
        .read_text(encoding="utf-8")
        .replace("demo/ranker", f"{namespace}/ranker")
    )
    text = text.replace("namespace: demo", f"namespace: {namespace}").replace(
        f"/app/{namespace}/ranker", "/app/demo/ranker"
    )
    parts = {body["kind"]: body for body in yaml.safe_load_all(text)}
    for kind, where in KINDS.items():
        kube.create(where, namespace, parts[kind])
    optimisation = {"deadline": "20m", "template": {"spec": _pod(parts["Job"])}}
    variants = [{"name": "full"}, {"name": "narrow"}]
    body = recmodel(namespace, "ranker", Pool(variant="full"), variants=variants, optimisation=optimisation)
    served = Served(kube, body)

    (job,) = eventually("the Job is there", lambda: kube.list(names.JOB, namespace), 60.0)
    assert job["metadata"]["ownerReferences"][0]["uid"] == served.body()["metadata"]["uid"]
    served.wait_ready(cpu=1)  # what serves does not wait for it
    eventually("its course is said", served.has("VariantsReady", "Unknown", "OptimisationRunning"), 30.0)

    records = eventually("the record is written", lambda: _records(kube, namespace), SECONDS, every_seconds=2.0)
    (chosen,) = [record for record in records.values() if record.chosen]
    assert records["full"].loss_interval == (0.0, 0.0)
    for record in records.values():
        assert set(record.latency_seconds) == {"1", "200"}
    # Fewer units, or a light design, is faster than the full model at 200 candidates wherever it runs.
    assert chosen.latency_seconds["200"] < records["full"].latency_seconds["200"]
    measured("the Job's choice in the cluster", f"{chosen.variant}: {chosen.reason}")
    owner = kube.get(CONFIG_MAP, namespace, "ranker-variants")["metadata"]["ownerReferences"][0]
    assert owner["uid"] == served.body()["metadata"]["uid"]

    eventually("its end is said", served.has("VariantsReady", "True", "OptimisationComplete"), 120.0, 1.0)
    message = served.condition("VariantsReady")["message"]
    assert f"chosen: {chosen.variant}, version {chosen.version}: {chosen.reason}" in message
    assert served.status()["optimisationJob"] == job["metadata"]["name"]

    kube.merge(names.RECMODEL, namespace, "ranker", {"spec": {"objective": {"latency": {"threshold": "120ms"}}}})
    eventually("the change is taken over", lambda: served.status().get("observedGeneration", 0) >= 2, 60.0)
    assert [found["metadata"]["name"] for found in kube.list(names.JOB, namespace)] == [job["metadata"]["name"]]


def _pod(job: Object) -> Object:
    """The example's pod, quick: few rows, one width."""
    pod: dict[str, Any] = copy.deepcopy(job["spec"]["template"]["spec"])
    del pod["restartPolicy"]  # the operator's
    pod["initContainers"][0]["command"].append(f"--rows={ROWS}")
    arguments = pod["containers"][0]["args"]
    pod["containers"][0]["args"] = [
        "--widths=25" if a.startswith("--widths") else "--budget=50%" if a.startswith("--budget") else a
        for a in arguments
    ]
    for container in (*pod["initContainers"], *pod["containers"]):
        container["resources"]["requests"] = {"cpu": "100m", "memory": "1Gi"}
    return pod


def _records(kube: Kube, namespace: str) -> dict[str, VariantRecord]:
    found = kube.find(CONFIG_MAP, namespace, "ranker-variants")
    records, wrong = read_records(found["data"] if found else {})
    assert wrong == {}
    return records
