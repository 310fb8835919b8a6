"""The operator's own account as a release of the chart makes it, and what the API server says to requests in its name."""

from __future__ import annotations

import contextlib
import copy
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import yaml
from chart import CHART, URL, of_kind, run
from kube import Kube, eventually
from serving import GPU, Pool, recmodel

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster.children import builders as build
from recmodel.cluster.names import Kind
from recmodel.cluster.rights import Right

ACCESS_REVIEW = Kind("SubjectAccessReview", "authorization.k8s.io/v1", "subjectaccessreviews")
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
SOMEBODY = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "u", "controller": True}


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


def policies_hold(namespace: str, user: str) -> bool:
    """Whether a write of the operator is judged by the chart's policies already."""
    return "RecModel" in asked(user, "apply", body(namespace, "Service", owner={})).stderr


def may(kube: Kube, user: str, verb: str, right: Right, name: str = "") -> bool:
    """Whether the API server lets an account do this in some namespace, as ``kubectl auth can-i --as`` asks."""
    resource, _, part = right.resource.partition("/")
    attributes = {
        "verb": verb, "group": right.group, "resource": resource, "subresource": part, "name": name, "namespace": "default",
    }  # fmt: skip
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{user.split(':')[2]}", "system:authenticated"]
    spec = {"user": user, "groups": groups, "resourceAttributes": attributes}
    review = {"apiVersion": ACCESS_REVIEW.group_version, "kind": ACCESS_REVIEW.kind, "spec": spec}
    return bool(kube.create(ACCESS_REVIEW, None, review)["status"]["allowed"])


@contextlib.contextmanager
def installed_account(
    helm: str, *settings: str, in_force: Callable[[str, str], bool] = policies_hold
) -> Iterator[tuple[str, str]]:
    """A namespace with the account of a release, its rights and its policies; and the account."""
    name = f"recmodel-rights-{uuid.uuid4().hex[:6]}"
    flags = [part for setting in (URL, "rbac.aggregate=false", *SETTINGS, *settings) for part in ("--set", setting)]
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
        applied = run("kubectl", "apply", "-f", "-", given=text)
        assert applied.returncode == 0, applied.stderr
        user = f"system:serviceaccount:{name}:{account}"
        eventually("rights and policies are in force", lambda: in_force(name, user), 60.0)
        yield name, user
    finally:
        run("kubectl", "delete", "--wait=false", "--ignore-not-found", "-f", "-", given=text)
