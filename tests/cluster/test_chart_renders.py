"""The chart rendered by the real helm, and taken by the real API server (server-side dry run)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from chart import CHART, URL, of_kind, render, run
from kube import Kube

from recmodel.cluster import names
from recmodel.cluster.rights import Rights, needed
from recmodel.cluster.scale_targets import ScaleTarget
from recmodel.controller.settings import from_environment

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]


def test_lint_finds_nothing(helm: str) -> None:
    result = run(helm, "lint", "--strict", str(CHART), "--set", URL)
    assert result.returncode == 0, result.stdout


def test_without_a_prometheus_address_it_says_what_is_missing(helm: str) -> None:
    result = run(helm, "template", str(CHART))
    assert result.returncode != 0
    assert "prometheus.url is required" in result.stderr


def test_the_notes_say_where_another_release_acts(helm: str, kube: Kube, namespace: str) -> None:
    body = {"apiVersion": names.LEASE.group_version, "kind": names.LEASE.kind, "metadata": {"name": "recmodel.dev"}}
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    kube.create(names.LEASE, namespace, {**body, "spec": {"holderIdentity": "first/recmodel", "renewTime": now}})

    def notes(release: str, where: str) -> str:
        settings = ("--set", URL, "--set", f"watchNamespaces={{{namespace}}}")
        result = run(helm, "install", release, str(CHART), "--namespace", where, "--dry-run=server", *settings)
        assert result.returncode == 0, result.stderr
        return result.stdout

    another = f"the release of Lease first/recmodel acts in namespace {namespace}, and this one stands by there"
    assert another in notes("second", "second")
    assert another not in notes("recmodel", "first"), "it is that release"


@pytest.mark.parametrize(
    "setting", ["tickSeconds=0", "watchNamespace=shop", "logLevel=loud", "rights=look", "prometheus.url=ftp://x"]
)
def test_a_wrong_value_is_refused(helm: str, setting: str) -> None:
    result = run(helm, "template", str(CHART), "--set", URL, "--set", setting)
    assert result.returncode != 0
    assert setting.split("=")[0].split(".")[0] in result.stderr


def test_the_crd_is_the_generated_one_and_stays(helm: str) -> None:
    (crd,) = of_kind(render(helm, URL), "CustomResourceDefinition")
    generated = yaml.safe_load((ROOT / "crds" / "recmodels.recmodel.dev.yaml").read_text(encoding="utf-8"))
    assert crd["spec"] == generated["spec"]
    assert crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"
    assert of_kind(render(helm, URL, "crds.install=false"), "CustomResourceDefinition") == []


def test_named_namespaces_get_roles_and_nothing_cluster_wide(helm: str) -> None:
    objects = render(helm, URL, "watchNamespaces={shop,news}", "rbac.aggregate=false")
    for kind in ("Role", "RoleBinding"):
        found = {(body["metadata"]["namespace"], body["metadata"]["name"]) for body in of_kind(objects, kind)}
        assert found == {
            ("recmodel-system", "recmodel-lease"),
            *((place, "recmodel.recmodel-system.operator") for place in ("shop", "news")),
        }
    assert of_kind(objects, "ClusterRole") == of_kind(objects, "ClusterRoleBinding") == []
    (container,) = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    assert {"name": "RECMODEL_NAMESPACE", "value": "shop,news"} in container["env"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("recmodel", "a"), ("recmodel", "b")),
        (("recmodel", "a-b"), ("recmodel-a", "b")),
        (("recmodel", "view"), ("recmodel.view", "view")),
    ],
)
@pytest.mark.parametrize("settings", [[], ["watchNamespaces={shop}", "leaveNamespaces={news}"]])
def test_two_releases_share_no_object_but_the_crd(
    helm: str, one: tuple[str, str], other: tuple[str, str], settings: list[str]
) -> None:
    """Helm installs no release that has an object of another one."""
    found = []
    for release, namespace in (one, other):
        objects = render(helm, URL, *settings, release=release, namespace=namespace)
        names = [(b["kind"], b["metadata"].get("namespace"), b["metadata"]["name"]) for b in objects]
        assert len(set(names)) == len(names)
        bound = [b["roleRef"]["name"] for b in objects if "roleRef" in b]
        assert set(bound) <= {name for kind, _, name in names if kind in ("Role", "ClusterRole")}
        found.append({each for each in names if each[0] != "CustomResourceDefinition"})
    assert found[0] & found[1] == set()


def test_by_default_the_rights_are_cluster_wide(helm: str) -> None:
    objects = render(helm, URL)
    (binding,) = of_kind(objects, "ClusterRoleBinding")
    (account,) = of_kind(objects, "ServiceAccount")
    assert binding["subjects"] == [
        {"kind": "ServiceAccount", "name": account["metadata"]["name"], "namespace": "recmodel-system"}
    ]


@pytest.mark.parametrize(
    "settings",
    [
        (),
        ("watchNamespaces={shop,news}",),
        ("handback=false",),
        ("admissionPolicy.enabled=false",),
        ("nodeBuffers=true",),
        ("nodeBuffers=true", "watchNamespaces={shop,news}"),
    ],
)
@pytest.mark.parametrize("rights", get_args(Rights))
def test_the_value_rights_says_what_the_roles_grant_and_the_operator_is_told(
    helm: str, rights: Rights, settings: tuple[str, ...]
) -> None:
    objects = render(helm, URL, f"rights={rights}", *settings)
    roles = [
        b
        for b in [*of_kind(objects, "ClusterRole"), *of_kind(objects, "Role")]
        if b["metadata"]["name"].endswith(".operator")
    ]
    assert len(roles) == (2 if "watchNamespaces={shop,news}" in settings else 1)
    handback = rights == "act" and not {"handback=false", "admissionPolicy.enabled=false"} & {*settings}
    for role in roles:
        granted = {
            (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
        }
        asked = needed(rights, handback, node_buffers="nodeBuffers=true" in settings)
        assert granted == {(right.resource, verb) for right in asked for verb in right.verbs}
    (container,) = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    assert {"name": "RECMODEL_RIGHTS", "value": rights} in container["env"]
    ahead = str("nodeBuffers=true" in settings).lower()
    assert {"name": "RECMODEL_NODE_BUFFERS", "value": ahead} in container["env"]
    assert {"name": "RECMODEL_HANDBACK", "value": str(handback).lower()} in container["env"]
    policies = {body["metadata"]["name"].rsplit(".")[-1] for body in of_kind(objects, "ValidatingAdmissionPolicy")}
    assert ({"handback", "going-on", "stores", "givers"} <= policies) == handback


@pytest.mark.parametrize("settings", [(), ("watchNamespaces={shop}",)])
@pytest.mark.parametrize("rights", get_args(Rights))
def test_further_kinds_are_granted_told_to_the_operator_and_known_to_the_policy(
    helm: str, rights: Rights, settings: tuple[str, ...]
) -> None:
    kind = {"group": "argoproj.io", "kind": "Rollout", "resource": "rollouts"}
    given = [f"scaleTargets[0].{key}={value}" for key, value in kind.items()]
    objects = render(helm, URL, f"rights={rights}", *given, *settings)
    roles = [
        b
        for b in [*of_kind(objects, "ClusterRole"), *of_kind(objects, "Role")]
        if b["metadata"]["name"].endswith(".operator")
    ]
    expected = {(r.group, r.resource, verb) for r in needed(rights, targets=[ScaleTarget(**kind)]) for verb in r.verbs}
    for role in roles:
        granted = {
            (rule["apiGroups"][0], resource, verb)
            for rule in role["rules"]
            for resource in rule["resources"]
            for verb in rule["verbs"]
        }
        assert {one for one in granted if one[0] == "argoproj.io"} == {
            one for one in expected if one[0] == "argoproj.io"
        }
    (container,) = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert from_environment({"RECMODEL_SCALE_TARGETS": told["RECMODEL_SCALE_TARGETS"]}).scale_targets == (
        ScaleTarget(**kind),
    )
    (policy,) = [b for b in of_kind(objects, "ValidatingAdmissionPolicy") if b["metadata"]["name"].endswith(".authors")]
    (resources,) = policy["spec"]["variables"]
    assert json.loads(resources["expression"])["argoproj.io/Rollout"] == "rollouts"


def test_token_and_certificates_are_mounted(helm: str) -> None:
    objects = render(helm, URL, "prometheus.bearerTokenSecret=token", "prometheus.caConfigMap=ca")
    pod = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]
    environment = {entry["name"]: entry.get("value") for entry in pod["containers"][0]["env"]}
    mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    for name in ("RECMODEL_PROMETHEUS_TOKEN_FILE", "RECMODEL_PROMETHEUS_CA_FILE"):
        assert any(environment[name].startswith(f"{mount}/") for mount in mounts)


def test_without_the_setting_nothing_of_keda_is_rendered_and_with_it_port_service_and_policy_are(helm: str) -> None:
    assert "external-scaler" not in yaml.safe_dump_all(render(helm, URL, "networkPolicy.enabled=true"))
    tls = ("keda.externalScaler.tls.secret=pair", "keda.externalScaler.tls.knownClientsOnly=true")
    objects = render(
        helm,
        URL,
        "networkPolicy.enabled=true",
        "keda.externalScaler.enabled=true",
        "keda.externalScaler.port=9191",
        *tls,
    )
    pod = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["RECMODEL_EXTERNAL_SCALER_PORT"] == "9191"
    assert environment["RECMODEL_EXTERNAL_SCALER_KNOWN_CLIENTS"] == "true"
    (mount,) = [m for m in container["volumeMounts"] if m["name"] == "external-scaler"]
    assert mount["mountPath"] == environment["RECMODEL_EXTERNAL_SCALER_CERTIFICATES"]
    (volume,) = [v for v in pod["volumes"] if v["name"] == "external-scaler"]
    assert volume["secret"]["optional"] is True  # without it the operator runs, and says what is missing
    (port,) = [p for p in container["ports"] if p["name"] == "external-scaler"]
    (service,) = [s for s in of_kind(objects, "Service") if s["metadata"]["name"] == "recmodel-external-scaler"]
    assert (port["containerPort"], service["spec"]["ports"][0]["port"]) == (9191, 9191)
    (policy,) = of_kind(objects, "NetworkPolicy")
    (rule,) = [r for r in policy["spec"]["ingress"] if "from" in r]
    assert rule["ports"] == [{"port": "external-scaler", "protocol": "TCP"}]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "keda"}}}]


def lease_of(objects: list[dict[str, Any]]) -> str:
    """The name of the Lease that the operator asks for; its role must allow that one and no other."""
    (container,) = of_kind(objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["RECMODEL_LEASE_NAMESPACE"] == "recmodel-system"
    (role,) = [body for body in of_kind(objects, "Role") if body["metadata"]["name"].endswith("-lease")]
    assert role["metadata"]["namespace"] == "recmodel-system"
    leases = {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"]}
    name = environment["RECMODEL_LEASE_NAME"]
    assert role["rules"] == [
        {**leases, "resourceNames": [name], "verbs": ["get", "update"]},
        {**leases, "verbs": ["create", "list"]},
    ]
    return str(name)


def test_the_lease_of_a_release_does_not_depend_on_its_namespaces(helm: str) -> None:
    """Otherwise the two pods of an upgrade that changes them would both act."""
    names = {lease_of(render(helm, URL, *settings)) for settings in (
        [], ["replicas=2"], ["watchNamespaces={shop,news}"], ["watchNamespaces={shop}"],
    )}  # fmt: skip
    assert names == {"recmodel"}


def test_two_operators_are_spread_over_the_nodes(helm: str) -> None:
    (deployment,) = of_kind(render(helm, URL, "replicas=2"), "Deployment")
    assert deployment["spec"]["replicas"] == 2
    (spread,) = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert spread["labelSelector"] == deployment["spec"]["selector"]


EVERYTHING = (
    URL,
    "replicas=2",
    "networkPolicy.enabled=true",
    "metrics.dashboard.enabled=true",
    "prometheus.headers.X-Scope-OrgID=shop",
    "prometheus.parameters.partial_response=no",
    'prometheus.matchers[0]=cluster="eu-1"',
    "keda.externalScaler.enabled=true",
    "keda.externalScaler.tls.secret=pair",
)


def test_the_api_server_takes_all_of_it(helm: str) -> None:
    objects = render(helm, *EVERYTHING)
    for body in objects:
        if "namespace" in body["metadata"]:
            body["metadata"]["namespace"] = "default"  # it exists, and a dry run creates nothing
    text = yaml.safe_dump_all(objects)
    result = run(
        "kubectl",
        "apply",
        "--server-side",
        "--force-conflicts",
        "--dry-run=server",
        "--validate=strict",
        "-f",
        "-",
        given=text,
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == len(objects)


def test_the_pod_is_admitted_where_pod_security_is_restricted(helm: str) -> None:
    (deployment,) = of_kind(render(helm, *EVERYTHING), "Deployment")
    name = "recmodel-restricted-test"
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "recmodel", "namespace": name}}
    template = deployment["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "operator", "namespace": name, "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    }
    try:
        made = run("kubectl", "apply", "-f", "-", given=yaml.safe_dump_all([namespace, account]))
        assert made.returncode == 0, made.stderr
        result = run("kubectl", "create", "--dry-run=server", "-f", "-", given=yaml.safe_dump(pod))
        assert result.returncode == 0, result.stderr
    finally:
        run("kubectl", "delete", "namespace", name, "--wait=false", "--ignore-not-found")
