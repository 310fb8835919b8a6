"""A namespace that enforces PodSecurity `restricted`: the pods of every sample are admitted there, and a pool starts."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from kube import NAMESPACE, Kube, Object, Refused, eventually
from serving import Pool, Served, recmodel

from recmodel.api.v1alpha1 import KIND, RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner, deployment
from recmodel.cluster.children.optimiser_job import job

pytestmark = pytest.mark.cluster

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "manifests" / "samples").glob("*.yaml"))
ENFORCED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


@pytest.fixture
def restricted(kube: Kube, namespace: str) -> str:
    """The test's namespace, enforcing."""
    kube.merge(NAMESPACE, None, namespace, ENFORCED)
    return namespace


def admit(kube: Kube, namespace: str, name: str, template: Object) -> Object:
    """A dry run of one pod of a template."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**template["metadata"], "name": name},
        "spec": template["spec"],
    }
    return kube.create(names.POD, namespace, pod, dry_run=True)


def recmodel_of(path: Path) -> tuple[str, RecModelSpec]:
    """Name and spec of a sample's RecModel."""
    bodies = yaml.safe_load_all(path.read_text(encoding="utf-8"))
    body = next(body for body in bodies if body["kind"] == KIND)
    return body["metadata"]["name"], RecModelSpec.model_validate(body["spec"])


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_pods_of_every_sample_are_admitted(kube: Kube, restricted: str, path: Path) -> None:
    name, spec = recmodel_of(path)
    for pool in spec.pools if not spec.by_reference else []:  # whose pods are not the operator's
        made = deployment(Owner(restricted, name, "u-1"), pool)["spec"]["template"]
        admit(kube, restricted, names.child_name(name, pool.name), made)
        bare = {**made, "spec": copy.deepcopy(made["spec"])}
        for container in bare["spec"]["containers"]:
            del container["securityContext"]
        with pytest.raises(Refused, match="violates PodSecurity"):  # it is what the operator adds that lets them in
            admit(kube, restricted, "bare", bare)


def test_side_cars_and_the_optimisers_job_are_admitted_and_a_root_that_is_asked_for_is_not(
    kube: Kube, restricted: str
) -> None:
    _, spec = recmodel_of(next(path for path in SAMPLES if path.name == "minimal.yaml"))
    written = spec.model_dump(by_alias=True, exclude_none=True)
    pod = written["pools"][0]["template"]["spec"]
    pod["initContainers"] = [
        {"name": "fetch", "image": "fetch:1"},
        {"name": "proxy", "image": "proxy:1", "restartPolicy": "Always"},
    ]
    written["optimisation"] = {"template": {"spec": {"containers": [{"name": "optimise", "image": "optimise:1"}]}}}
    owner, made = Owner(restricted, "feed", "u-1"), RecModelSpec.model_validate(written)
    admit(kube, restricted, "sidecar", deployment(owner, made.pools[0])["spec"]["template"])
    optimise = job(owner, made)
    assert optimise is not None
    admit(kube, restricted, "optimise", optimise["spec"]["template"])
    pod["securityContext"] = {"runAsUser": 0}
    root = deployment(owner, RecModelSpec.model_validate(written).pools[0])["spec"]["template"]
    with pytest.raises(Refused, match="runAsNonRoot"):
        admit(kube, restricted, "root", root)


def test_a_pool_whose_template_says_nothing_starts_there(
    kube: Kube, restricted: str, serve: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = Pool().spec()
    del silent["template"]["spec"]["containers"][0]["securityContext"]
    monkeypatch.setattr(Pool, "spec", lambda _: copy.deepcopy(silent))
    served = serve(Pool())
    served.wait_ready(cpu=1)
    (pod,) = served.pods("cpu")
    context = pod["spec"]["containers"][0]["securityContext"]
    assert context == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}


def test_a_template_that_must_run_as_root_is_refused_in_podsecuritys_own_words(kube: Kube, restricted: str) -> None:
    body = recmodel(restricted, "ranker", Pool())
    context = {"runAsUser": 0, "runAsNonRoot": False}
    body["spec"]["pools"][0]["template"]["spec"]["containers"][0]["securityContext"] = context
    served = Served(kube, body)
    eventually("it is told", served.has("Degraded", "True", "PodsRefused"), 60.0)
    with pytest.raises(Refused) as refused:
        admit(kube, restricted, "root", served.deployment("cpu")["spec"]["template"])
    (whole,) = re.findall(r"violates PodSecurity.*", refused.value.message)
    assert "runAsNonRoot != true" in whole
    assert whole in served.condition("Degraded")["message"]
    assert served.condition("Ready")["reason"] == "PodsRefused"
