"""What the operator's own account may write, with the chart's admission policies: the API server asked by dry runs in its name.

The policies are those of a release of the test's own, so the operator of the cluster is not touched.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any, get_args

import pytest
import yaml
from chart import run
from kube import Kube, eventually
from operator_account import FOREIGN, SOMEBODY, asked, body, installed_account, made, may
from test_attach import granted

from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.cluster.rights import CLAIMS, HANDING_BACK, NEEDED, Right, Rights, needed
from recmodel.report.handover.store import RESTORE, Stored, config_map
from recmodel.report.handover.weights import StoredRule

pytestmark = pytest.mark.cluster

RBAC_ROLE = Kind("Role", "rbac.authorization.k8s.io/v1", "roles")
RBAC_BINDING = Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings")


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


def test_of_a_route_of_somebody_else_weights_may_be_written_and_nothing_else(released: tuple[str, str]) -> None:
    namespace, user = released
    backends = [{"name": "a", "port": 80, "weight": 60}, {"name": "b", "port": 80, "weight": 40}]
    header = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "seen"}]}}
    mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "c", "port": 80}}}
    rules = [{"backendRefs": [backends[0]]}, {"filters": [header, mirror], "backendRefs": backends}]
    spec = {"parentRefs": [{"name": "any", "namespace": "infra"}], "hostnames": ["bank.example"], "rules": rules}
    metadata = {"name": "theirs", "namespace": namespace, "labels": {"team": "bank"}}
    theirs = {"apiVersion": names.ROUTE.group_version, "kind": "HTTPRoute", "metadata": metadata, "spec": spec}
    assert run("kubectl", "create", "-f", "-", given=yaml.safe_dump(theirs)).returncode == 0

    def patched(*steps: dict[str, Any]) -> Any:
        which = ("-n", namespace, "httproute", "theirs", "--type=json", "--dry-run=server", "-p", json.dumps(steps))
        return run("kubectl", "--as", user, "patch", *which)

    rule = "/spec/rules/1"
    weights = [{"op": "add", "path": f"{rule}/backendRefs/{i}/weight", "value": 500} for i in (0, 1)]
    answer = patched(*weights)
    assert answer.returncode == 0, answer.stderr
    for step in (
        {"op": "replace", "path": f"{rule}/backendRefs/0/name", "value": "c"},
        {"op": "replace", "path": f"{rule}/backendRefs/0/port", "value": 81},
        {"op": "add", "path": f"{rule}/backendRefs/0/namespace", "value": "other"},
        {"op": "add", "path": f"{rule}/backendRefs/0/filters", "value": [header]},
        {"op": "add", "path": f"{rule}/backendRefs/-", "value": {"name": "c", "port": 80}},
        {"op": "remove", "path": f"{rule}/backendRefs/0"},
        {"op": "remove", "path": f"{rule}/filters/1"},
        {"op": "remove", "path": f"{rule}/backendRefs"},
        {"op": "add", "path": f"{rule}/timeouts", "value": {"request": "1s"}},
        {"op": "replace", "path": f"{rule}/matches", "value": [{"path": {"type": "Exact", "value": "/a"}}]},
        {"op": "remove", "path": "/spec/rules/0"},
        {"op": "replace", "path": "/spec/hostnames", "value": ["feed.example"]},
        {"op": "replace", "path": "/spec/parentRefs/0/name", "value": "other"},
        {"op": "add", "path": "/metadata/labels/team", "value": "feed"},
        {"op": "add", "path": "/metadata/annotations", "value": {"recmodel.dev/owner-uid": "u"}},
        {"op": "add", "path": "/metadata/ownerReferences", "value": [{**SOMEBODY, "kind": "RecModel"}]},
    ):
        answer = patched(*weights, step)
        assert answer.returncode != 0, step
        assert "weights alone" in answer.stderr, answer.stderr
    answer = asked(user, "delete", theirs)
    assert "changes weights alone, and deletes none" in answer.stderr, answer.stderr


def test_nobody_else_is_looked_at(released: tuple[str, str]) -> None:
    text = yaml.safe_dump({**FOREIGN, "metadata": {"name": "other", "namespace": released[0]}})
    answer = run("kubectl", "create", "--dry-run=server", "-f", "-", given=text)
    assert answer.returncode == 0, answer.stderr


AUTOSCALER: dict[str, Any] = {
    "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "ranker"},
    "spec": {"maxReplicas": 2, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ranker"}},
}  # fmt: skip
MADE: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "a Deployment": (lambda o: None, ""),
    "another kind": (
        lambda o: o["spec"]["scaleTargetRef"].update(kind="Machines"),
        "scale Deployments, StatefulSets and the kinds",
    ),
    "another group": (
        lambda o: o["spec"]["scaleTargetRef"].update(apiVersion="x.test/v1"),
        "scale Deployments, StatefulSets and the kinds",
    ),
    "a finalizer": (lambda o: o["metadata"].update(finalizers=["x.test/y"]), "no finalizers and no owner"),
    "an owner": (lambda o: o["metadata"].update(ownerReferences=[SOMEBODY]), "no finalizers and no owner"),
}


@pytest.mark.parametrize("case", MADE)
def test_what_it_restores_scales_what_it_may_scale(released: tuple[str, str], case: str) -> None:
    namespace, user = released
    (change, said), wanted = MADE[case], copy.deepcopy(AUTOSCALER)
    wanted["metadata"]["namespace"] = namespace
    change(wanted)
    answer = asked(user, "create", wanted)
    assert (answer.returncode == 0) == (not said), answer.stderr
    assert said in answer.stderr


def test_it_deletes_no_config_map_but_a_store_and_whoever_writes_one_may_do_what_it_restores(
    kube: Kube, released: tuple[str, str]
) -> None:
    namespace, user = released
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["create", "update", "patch", "get"]}
    author = f"system:serviceaccount:{namespace}:author"
    made_by = (
        (RBAC_ROLE, {"rules": [rule]}),
        (RBAC_BINDING, {"roleRef": {"kind": "Role", "name": "author", "apiGroup": "rbac.authorization.k8s.io"},
                        "subjects": [{"kind": "ServiceAccount", "name": "author", "namespace": namespace}]}),
    )  # fmt: skip
    for kind, body_of in made_by:
        kube.create(kind, namespace, {"metadata": {"name": "author", "namespace": namespace}, **body_of})
    store = config_map(namespace, "ranker", Stored(on_delete=RESTORE))
    kept = config_map(namespace, "other", Stored())
    plain = {**kept, "metadata": {"name": "plain", "namespace": namespace}}
    eventually("the author may write", lambda: asked(author, "create", plain).returncode == 0, 30.0)
    assert asked(author, "create", kept).returncode == 0
    refused = asked(author, "create", store)
    assert f"{author} may not create horizontalpodautoscalers.autoscaling in namespace {namespace}" in refused.stderr
    assert "hand over with --keep-on-delete" in refused.stderr
    for one in (store, kept, plain):
        kube.create(names.CONFIG_MAP, namespace, copy.deepcopy(one))
    assert asked(author, "apply", {**store, "data": {"mode": "Auto"}}).returncode != 0
    assert asked(user, "delete", store).returncode == 0
    for one in (kept, plain):
        answer = asked(user, "delete", one)
        assert "only deletes ConfigMaps that recmodel handover wrote" in answer.stderr, answer.stderr


def test_whoever_stores_weights_that_are_restored_may_move_them_and_scale_what_answers(
    released: tuple[str, str],
) -> None:
    namespace, _ = released
    author = f"weigher-{namespace}"
    backends = (("ranker-cpu:80", 60), ("ranker-gpu:80", 40))
    workloads = {"ranker-cpu:80": "Deployment ranker-cpu", "ranker-gpu:80": "StatefulSet ranker-gpu"}
    rule = StoredRule("HTTPRoute", "ranker", 0, backends, workloads)
    store = config_map(namespace, "moved", Stored(on_delete=RESTORE, rule=rule))
    granted(namespace, author, "stores", "", "configmaps", ["create"])
    granted(namespace, author, "scalers", "autoscaling", "horizontalpodautoscalers", ["create"])
    for said, (group, resource, verb) in {
        "restores the weights of HTTPRoute/ranker, and": ("gateway.networking.k8s.io", "httproutes", "patch"),
        "restores weights, for which Deployment/ranker-cpu is scaled from 0 to 1": (
            "apps",
            "deployments/scale",
            "update",
        ),
        "restores weights, for which StatefulSet/ranker-gpu is scaled from 0 to 1": (
            "apps",
            "statefulsets/scale",
            "patch",
        ),
    }.items():
        eventually("what is lacking is named", lambda: said in asked(author, "create", store).stderr, 30.0)  # noqa: B023
        granted(namespace, author, resource.replace("/", "-"), group, resource, [verb])

    def stored() -> bool:
        answer = asked(author, "create", store)
        assert answer.returncode == 0, answer.stderr
        return True

    eventually("with all rights it is stored", stored, 30.0)
    for line, broken in {"route": "HTTPRoute", "workloads": "Deployment/a " * 8 + "Deployment/b"}.items():
        answer = asked(author, "create", {**store, "data": {**store["data"], line: broken}})
        assert "write it with recmodel handover" in answer.stderr, answer.stderr


VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
ASKED = {(right.group, right.resource) for right in (*NEEDED, *HANDING_BACK)} | {
    ("", "secrets"),
    ("", "pods/exec"),
    ("apps", "statefulsets/scale"),
}


@pytest.mark.parametrize(("rights", "handback"), [("act", True), *((rights, False) for rights in get_args(Rights))])
def test_the_account_may_do_what_the_value_rights_says_and_nothing_else(
    kube: Kube, helm: str, rights: Rights, handback: bool
) -> None:
    """The cluster's own answer for each resource, verb and name: with ``observe`` every write but of itself is refused."""
    first, granted = needed(rights)[0], set[tuple[str, str, str, str]]()
    policies = f"admissionPolicy.enabled={str(handback).lower()}"  # without them it hands nothing back
    with installed_account(
        helm,
        f"rights={rights}",
        policies,
        in_force=lambda _, user: may(kube, user, "list", first),
    ) as (_, user):
        for group, resource in ASKED:
            for verb in VERBS:
                for name in ("", *CLAIMS) if resource == "leases" else ("",):
                    if may(kube, user, verb, Right(group, resource, ()), name):
                        granted.add((group, resource, verb, name))
    expected = {
        (r.group, r.resource, verb, name)
        for r in needed(rights, handback)
        for verb in r.verbs
        for name in r.names or ("",)
    }
    expected |= {
        ("coordination.k8s.io", "leases", "create", name) for name in CLAIMS
    }  # which no role can keep to a name
    assert granted == expected
