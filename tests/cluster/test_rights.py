"""What the operator's own account may write, with the chart's admission policies: the API server asked by dry runs in its name.

The policies are those of a release of the test's own, so the operator of the cluster is not touched.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import yaml
from chart import run
from kube import Kube
from operator_account import FOREIGN, SOMEBODY, asked, body, installed_account, made, may

from recmodel.cluster.rights import CLAIMS, NEEDED, Right, Rights, needed

pytestmark = pytest.mark.cluster


def pod(change: Callable[[dict[str, Any]], Any]) -> tuple[str, Callable[[dict[str, Any]], Any]]:
    return "Deployment", lambda found: change(found["spec"]["template"]["spec"])


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


VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
ASKED = {(right.group, right.resource) for right in NEEDED} | {
    ("", "secrets"),
    ("", "pods/exec"),
    ("apps", "statefulsets/scale"),
}


@pytest.mark.parametrize("rights", get_args(Rights))
def test_the_account_may_do_what_the_value_rights_says_and_nothing_else(kube: Kube, helm: str, rights: Rights) -> None:
    """The cluster's own answer for each resource, verb and name: with ``observe`` every write but of itself is refused."""
    first, granted = needed(rights)[0], set[tuple[str, str, str, str]]()
    with installed_account(
        helm,
        f"rights={rights}",
        "admissionPolicy.enabled=false",
        in_force=lambda _, user: may(kube, user, "list", first),
    ) as (_, user):
        for group, resource in ASKED:
            for verb in VERBS:
                for name in ("", *CLAIMS) if resource == "leases" else ("",):
                    if may(kube, user, verb, Right(group, resource, ()), name):
                        granted.add((group, resource, verb, name))
    expected = {
        (r.group, r.resource, verb, name) for r in needed(rights) for verb in r.verbs for name in r.names or ("",)
    }
    expected |= {
        ("coordination.k8s.io", "leases", "create", name) for name in CLAIMS
    }  # which no role can keep to a name
    assert granted == expected
