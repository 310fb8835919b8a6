"""What the operator's own account may write, with the chart's admission policies: the API server asked by dry runs in its name.

The policies are those of a release of the test's own, so the operator of the cluster is not touched.
"""

from __future__ import annotations

import copy
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml
from kube import eventually
from serving import GPU, Pool, recmodel
from test_chart_renders import CHART, URL, helm, of_kind, run

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children import builders as build

__all__ = ["helm"]
pytestmark = pytest.mark.cluster

Asked = subprocess.CompletedProcess[str]
SETTINGS = (
    "routes.allowedGateways={demo/edge}",
    "routes.allowedHostnames={*.shop.example}",
    "allowServiceAccounts={trainer}",
)
ROUTE: dict[str, Any] = {"parentRefs": [{"name": "edge", "namespace": "demo"}], "hostnames": ["a.shop.example"]}
FOREIGN: dict[str, Any] = {
    "apiVersion": "v1", "kind": "Service", "metadata": {"name": "foreign"},
    "spec": {"selector": {"app": "x"}, "ports": [{"port": 80}]},
}  # fmt: skip


@pytest.fixture(scope="module")
def released(helm: str) -> Iterator[tuple[str, str]]:
    """A namespace with the account of a release, its rights and its policies; and the account."""
    name = f"recmodel-rights-{uuid.uuid4().hex[:6]}"
    flags = [part for setting in (URL, "rbac.aggregate=false", *SETTINGS) for part in ("--set", setting)]
    rendered = run(helm, "template", name, str(CHART), "--namespace", name, *flags)
    assert rendered.returncode == 0, rendered.stderr
    objects = [body for body in yaml.safe_load_all(rendered.stdout) if body]
    kinds = (
        "ServiceAccount",
        "ClusterRole",
        "ClusterRoleBinding",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    )
    wide = [body for kind in kinds for body in of_kind(objects, kind)]
    foreign = {**FOREIGN, "metadata": {"name": "foreign", "namespace": name}}
    text = yaml.safe_dump_all([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, *wide, foreign])
    account = of_kind(objects, "ServiceAccount")[0]["metadata"]["name"]
    try:
        made = run("kubectl", "apply", "-f", "-", given=text)
        assert made.returncode == 0, made.stderr
        user = f"system:serviceaccount:{name}:{account}"
        eventually(
            "the policies are in force",
            lambda: "RecModel" in asked(user, "apply", body(name, "Service", owner={})).stderr,
            60.0,
        )
        yield name, user
    finally:
        run("kubectl", "delete", "--wait=false", "--ignore-not-found", "-f", "-", given=text)


def asked(user: str, verb: str, body: dict[str, Any]) -> Asked:
    """What the API server says to this request in the operator's name; nothing is written."""
    flags = ("--server-side", "--force-conflicts") if verb == "apply" else ()
    return run("kubectl", "--as", user, verb, *flags, "--dry-run=server", "-f", "-", given=yaml.safe_dump(body))


def made(namespace: str) -> list[dict[str, Any]]:
    """What the operator makes for a RecModel with two pools and a route."""
    spec = RecModelSpec.model_validate(recmodel(namespace, "ranker", Pool(), GPU, route=ROUTE)["spec"])
    owner = build.Owner(namespace, "ranker", str(uuid.uuid4()))
    route = build.route(owner, spec, build.initial_weights(spec))
    assert route is not None
    return [*(child for _, child in build.children(owner, spec, monitors=False)), route]


def body(namespace: str, kind: str, owner: dict[str, Any] | None = None) -> dict[str, Any]:
    """One of those; ``owner`` are the owner references in place of its own, where given."""
    found = copy.deepcopy(next(child for child in made(namespace) if child["kind"] == kind))
    if owner is not None:
        found["metadata"]["ownerReferences"] = [owner] if owner else []
    return found


def pod(change: Callable[[dict[str, Any]], Any]) -> tuple[str, Callable[[dict[str, Any]], Any]]:
    return "Deployment", lambda found: change(found["spec"]["template"]["spec"])


SOMEBODY = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "u", "controller": True}
REFUSED: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "no owner": ("Deployment", lambda o: o["metadata"].pop("ownerReferences"), "whose controller is a RecModel"),
    "another owner": ("Service", lambda o: o["metadata"].update(ownerReferences=[SOMEBODY]), "whose controller is a RecModel"),
    "a budget without owner": ("PodDisruptionBudget", lambda o: o["metadata"].pop("ownerReferences"), "whose controller is"),
    "an account": (*pod(lambda p: p.update(serviceAccountName="admin")), "allowServiceAccounts"),
    "a token": (*pod(lambda p: p.update(automountServiceAccountToken=True)), "allowServiceAccounts"),
    "host network": (*pod(lambda p: p.update(hostNetwork=True)), "no hostNetwork"),
    "host processes": (*pod(lambda p: p.update(hostPID=True)), "no hostNetwork, hostPID"),
    "a host path": (*pod(lambda p: p["volumes"].append({"name": "h", "hostPath": {"path": "/"}})), "no volume of hostPath"),
    "a token volume": (*pod(lambda p: p["volumes"].append(
        {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}})), "a service account token"),
    "a privileged one": (*pod(lambda p: p["containers"][0].update(securityContext={"privileged": True})), "not privileged"),
    "a privileged init container": (*pod(lambda p: p.update(initContainers=[
        {"name": "i", "image": "i", "securityContext": {"privileged": True}}])), "not privileged"),
    "a capability": (*pod(lambda p: p["containers"][0].update(
        securityContext={"capabilities": {"add": ["SYS_ADMIN"]}})), "no capability"),
    "a node's port": ("Service", lambda o: o["spec"].update(type="NodePort"), "of type ClusterIP"),
    "a load balancer": ("Service", lambda o: o["spec"].update(type="LoadBalancer"), "of type ClusterIP"),
    "another name": ("Service", lambda o: o["spec"].update(type="ExternalName", externalName="evil.test"), "of type ClusterIP"),
    "an address": ("Service", lambda o: o["spec"].update(externalIPs=["192.0.2.1"]), "no externalIPs"),
    "any pod": ("Service", lambda o: o["spec"].update(selector={"app": "bank"}), "select pods of a RecModel"),
    "a gateway": ("HTTPRoute", lambda o: o["spec"]["parentRefs"][0].update(name="admin"), "routes.allowedGateways"),
    "a host": ("HTTPRoute", lambda o: o["spec"].update(hostnames=["bank.example"]), "routes.allowedHostnames"),
    "every host": ("HTTPRoute", lambda o: o["spec"].pop("hostnames"), "routes.allowedHostnames"),
    "a namespace": ("HTTPRoute", lambda o: o["spec"]["rules"][0]["backendRefs"][0].update(namespace="bank"), "own namespace"),
}  # fmt: skip


def test_what_the_operator_makes_is_taken(released: tuple[str, str]) -> None:
    namespace, user = released
    children = made(namespace)
    assert {child["kind"] for child in children} == {"Deployment", "Service", "PodDisruptionBudget", "HTTPRoute"}
    for child in children:
        answer = asked(user, "apply", child)
        assert answer.returncode == 0, answer.stderr
    trainer = body(namespace, "Deployment")
    trainer["spec"]["template"]["spec"]["serviceAccountName"] = "trainer"
    assert asked(user, "apply", trainer).returncode == 0


@pytest.mark.parametrize("case", REFUSED)
def test_what_it_must_not_make_is_refused_with_a_sentence(released: tuple[str, str], case: str) -> None:
    namespace, user = released
    kind, change, said = REFUSED[case]
    wanted = body(namespace, kind)
    change(wanted)
    answer = asked(user, "apply", wanted)
    assert answer.returncode != 0
    assert said in answer.stderr, answer.stderr


def test_what_is_somebody_elses_is_neither_taken_over_nor_deleted(released: tuple[str, str]) -> None:
    namespace, user = released
    taken = body(namespace, "Service")
    taken["metadata"]["name"] = "foreign"
    for answer in (asked(user, "apply", taken), asked(user, "delete", taken)):
        assert answer.returncode != 0
        assert "only objects that a RecModel owns already" in answer.stderr, answer.stderr


def test_nobody_else_is_looked_at(released: tuple[str, str]) -> None:
    text = yaml.safe_dump({**FOREIGN, "metadata": {"name": "other", "namespace": released[0]}})
    answer = run("kubectl", "create", "--dry-run=server", "-f", "-", given=text)
    assert answer.returncode == 0, answer.stderr
