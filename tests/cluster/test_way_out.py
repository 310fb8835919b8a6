"""The API server's own sentences when it refuses something: who refused is told from each of them."""

from __future__ import annotations

import contextlib
import re
import subprocess
import uuid
from collections.abc import Callable, Iterator

import pytest
import yaml
from kube import CONFIG_MAP, NAMESPACE, Kube, Object, Refused, eventually

from recmodel.cluster import names
from recmodel.cluster.names import Kind
from recmodel.cluster.transport.errors import refused
from recmodel.report.way_out import with_way_out

pytestmark = pytest.mark.cluster

ADMISSION = "admissionregistration.k8s.io/v1"
QUOTA = Kind("ResourceQuota", "v1", "resourcequotas")
POLICY = Kind("ValidatingAdmissionPolicy", ADMISSION, "validatingadmissionpolicies")
BINDING = Kind("ValidatingAdmissionPolicyBinding", ADMISSION, "validatingadmissionpolicybindings")
WEBHOOK = Kind("ValidatingWebhookConfiguration", ADMISSION, "validatingwebhookconfigurations")
RULE: Object = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
UNREACHABLE = "https://127.0.0.1:9/"


def quota(hard: Object) -> tuple[Kind, Object]:
    return QUOTA, {"metadata": {"name": "few"}, "spec": {"hard": hard}}


def only(namespace: str) -> Object:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


def policies(namespace: str) -> list[tuple[Kind, Object]]:
    rule = {"resourceRules": [RULE], "namespaceSelector": only(namespace)}
    validation = {"expression": "false", "message": "label team is missing"}
    spec = {"matchConstraints": rule, "validations": [validation]}
    bound = {"policyName": namespace, "validationActions": ["Deny"]}
    return [
        (POLICY, {"metadata": {"name": namespace}, "spec": spec}),
        (BINDING, {"metadata": {"name": namespace}, "spec": bound}),
    ]


def webhook(namespace: str) -> tuple[Kind, Object]:
    hook = {
        "name": "images.example.com", "clientConfig": {"url": UNREACHABLE}, "rules": [RULE], "sideEffects": "None",
        "namespaceSelector": only(namespace), "admissionReviewVersions": ["v1"], "timeoutSeconds": 2,
    }  # fmt: skip
    return WEBHOOK, {"metadata": {"name": namespace}, "webhooks": [hook]}


@pytest.fixture
def empty(kube: Kube) -> Iterator[str]:
    """A namespace that forbids what PodSecurity `restricted` forbids."""
    name = f"recmodel-test-refuses-{uuid.uuid4().hex[:6]}"
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.create(NAMESPACE, None, {"metadata": {"name": name, "labels": labels}})
    yield name
    kube.delete(NAMESPACE, None, name)


@contextlib.contextmanager
def there(kube: Kube, namespace: str, objects: list[tuple[Kind, Object]]) -> Iterator[None]:
    """These objects, and gone again."""
    for kind, body in objects:
        kube.create(kind, namespace if kind is QUOTA else None, body)
    try:
        yield
    finally:
        for kind, body in objects:
            kube.delete(kind, namespace if kind is QUOTA else None, body["metadata"]["name"])


def pod(**container: object) -> tuple[Kind, Object]:
    spec = {"containers": [{"name": "server", "image": "localhost/none", **container}]}
    return names.POD, {"metadata": {"name": "feed"}, "spec": spec}


CONFIG: tuple[Kind, Object] = CONFIG_MAP, {"metadata": {"name": "feed"}}
SAFE: Object = {
    "allowPrivilegeEscalation": False, "runAsNonRoot": True, "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}  # fmt: skip
# Who refuses: what is there, what is asked for, and what is told.
REFUSERS: dict[str, tuple[Callable[[str], list[tuple[Kind, Object]]], tuple[Kind, Object], str]] = {
    "a quota": (lambda _: [quota({"count/configmaps": "0"})], CONFIG, "the ResourceQuota few does not allow it"),
    "a quota that asks for limits": (
        lambda _: [quota({"limits.cpu": "1"})], pod(securityContext=SAFE), "the ResourceQuota few asks each container"),
    "PodSecurity": (lambda _: [], pod(), "PodSecurity restricted:latest refused it"),
    "a policy": (policies, CONFIG, "the ValidatingAdmissionPolicy {0} (binding {0}) refused it"),
    "a webhook that is down": (
        lambda namespace: [webhook(namespace)], CONFIG, "the admission webhook images.example.com could not be called"),
}  # fmt: skip


def refusal(kube: Kube, namespace: str, kind: Kind, body: Object) -> Refused | None:
    """What the API server says to this; None: it takes it, as it does until a policy is known to it."""
    try:
        kube.create(kind, namespace, body, dry_run=True)
    except Refused as error:
        return error
    return None


@pytest.mark.parametrize("who", REFUSERS)
def test_who_refused_is_told_from_the_api_servers_own_sentence(kube: Kube, empty: str, who: str) -> None:
    objects, (kind, body), told = REFUSERS[who]
    with there(kube, empty, objects(empty)):
        answer = eventually(f"{who} refuses", lambda: refusal(kube, empty, kind, body), 30.0)
    error = refused("POST x", answer.status, {"kind": "Status", "message": answer.message})
    assert with_way_out("", error).startswith(f"; {told.format(empty)}"), answer.message


def test_a_missing_right_is_told_from_the_api_servers_own_sentence(empty: str) -> None:
    kind, body = CONFIG
    given = yaml.safe_dump({"apiVersion": kind.group_version, "kind": kind.kind, **body})
    asked = ["kubectl", "--as", "somebody", "-n", empty, "create", "-f", "-"]
    answer = subprocess.run(asked, input=given, text=True, capture_output=True, timeout=30, check=False)
    said = re.sub(r"^.*error when creating \"STDIN\": ", "", answer.stderr.strip())
    assert with_way_out("", refused("POST x", 403, {"message": said})).startswith("; somebody lacks this right"), said
