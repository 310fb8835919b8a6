"""The chart, as far as it can be read without helm; tests/cluster/test_chart_renders.py renders it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from recmodel.api.crd import crd_yaml
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.leases.claims import ALL_CLAIM, CLAIM
from recmodel.cluster.observed.conflicting_controllers import TARGET_FIELDS
from recmodel.cluster.rights import BUFFERING, HANDING_BACK
from recmodel.controller.metrics import Metrics
from recmodel.controller.settings import ALIASES, PREFIX, Settings
from recmodel.core import reasons

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "recmodel"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
TEMPLATES = {path.name: path.read_text(encoding="utf-8") for path in sorted((CHART / "templates").iterdir())}


def leaves(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> list[str]:
    """Paths of the values, as deep as the schema names fields."""
    found = []
    for name, value in values.items():
        here = f"{path}.{name}" if path else name
        inner = schema["properties"][name]
        if isinstance(value, dict) and "properties" in inner:
            found += leaves(value, inner, here)
        else:
            found.append(here)
    return found


LEAVES = leaves(VALUES, SCHEMA)
BUFFERS = {(right.group, right.resource) for right in BUFFERING}  # granted by the value nodeBuffers alone


def rules() -> list[dict[str, Any]]:
    """What the operator's role allows."""
    (text,) = re.findall(r'define "recmodel\.rules\.act" -\}\}\n(.*?)\{\{- end', TEMPLATES["_helpers.tpl"], re.DOTALL)
    return list(yaml.safe_load(text))


def test_the_roles_for_people_hold_nothing_but_recmodels() -> None:
    """They are added to Kubernetes' own view, edit and admin; the status is the operator's alone."""
    people = TEMPLATES["rbac.yaml"].split("if .Values.rbac.aggregate")[1]
    given = re.findall(r"apiGroups: \[(.*?)\]\n  resources: \[(.*?)\]\n  verbs: \[(.*?)\]", people)
    assert given == [
        ("recmodel.dev", "recmodels, recmodels/status", "get, list, watch"),
        ("recmodel.dev", "recmodels", "create, update, patch, delete, deletecollection"),
    ]
    assert people.count("apiGroups:") == 2


def test_the_crd_is_the_generated_one() -> None:
    assert (CHART / "files" / "recmodels.recmodel.dev.yaml").read_text(encoding="utf-8") == crd_yaml()


@pytest.mark.parametrize(
    ("source", "copy"), [("rules/alerts.yaml", "alerts.yaml"), ("dashboards/recmodel.json", "dashboard.json")]
)
def test_alerts_and_dashboard_are_those_of_manifests(source: str, copy: str) -> None:
    assert (ROOT / "manifests" / source).read_bytes() == (CHART / "files" / copy).read_bytes()


def test_uninstalling_keeps_the_crd() -> None:
    assert '"helm.sh/resource-policy" "keep"' in TEMPLATES["crds.yaml"]
    assert not (CHART / "crds").exists()  # helm never upgrades what lies there


def test_the_schema_knows_every_value_and_no_other() -> None:
    def fields(schema: dict[str, Any], path: str = "") -> list[str]:
        found = []
        for name, inner in schema["properties"].items():
            here = f"{path}.{name}" if path else name
            found += fields(inner, here) if "properties" in inner else [here]
        return found

    assert sorted(fields(SCHEMA)) == sorted([*LEAVES, "global"])
    assert SCHEMA["additionalProperties"] is False


@pytest.mark.parametrize("path", LEAVES)
def test_every_value_is_used(path: str) -> None:
    everything = "\n".join(TEMPLATES.values())
    parent, _, name = path.rpartition(".")
    if f".Values.{path}" in everything:
        return
    # Inside `with .Values.a.b`, a value is called by its last name alone.
    assert f"with .Values.{parent}" in everything, path
    assert re.search(rf"[\s({{]\.{name}\b", everything), path


def test_every_value_has_a_comment() -> None:
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    commented = False
    bare = []
    for line in lines:
        if line.lstrip().startswith("#"):
            commented = True
        elif not line.strip() or line.endswith(":"):
            commented = False
        elif not commented and not line.startswith("  requests") and not line.startswith("  limits"):
            bare.append(line)
    assert [
        line for line in bare if line.split(":")[0] not in {"podAnnotations", "tolerations", "affinity", "volumeMounts"}
    ] == []


def test_the_operators_settings_are_what_the_chart_sets() -> None:
    known = {PREFIX + ALIASES.get(name, name.upper()) for name in Settings.model_fields}
    used = set(re.findall(r"name: (RECMODEL_[A-Z_]+)", TEMPLATES["deployment.yaml"]))
    assert used <= known
    assert PREFIX + "PROMETHEUS_URL" in used


def test_the_charts_defaults_are_the_operators() -> None:
    fields = Settings.model_fields
    assert VALUES["tickSeconds"] == fields["tick_seconds"].default
    assert VALUES["prometheus"]["scrapeIntervalSeconds"] == fields["scrape_interval_seconds"].default
    assert VALUES["prometheus"]["rateWindowSeconds"] == fields["rate_window_seconds"].default
    assert VALUES["prometheus"]["historySeconds"] == fields["history_seconds"].default
    assert VALUES["logLevel"] == fields["log_level"].default
    assert VALUES["rights"] == fields["rights"].default
    assert VALUES["nodeBuffers"] == fields["node_buffers"].default is False


def test_an_object_outside_the_releases_namespace_has_a_name_that_no_other_release_has() -> None:
    wide = {"ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
    assert '$name := include "recmodel.wideName" (list $ $suffix)' in TEMPLATES["admissionpolicy.yaml"]
    found = 0
    for text in (
        part for name, whole in TEMPLATES.items() if name != "_helpers.tpl" for part in whole.split("\n---\n")
    ):
        kind = re.search(r"^kind: (\w+)", text, re.MULTILINE)
        name = re.search(r"^  name: (.*)", text, re.MULTILINE)
        if kind and name and (kind[1] in wide or "\n  namespace: {{ . }}\n" in text):
            assert "recmodel.wideName" in name[1] or name[1] == "{{ $name }}", text
            found += 1
    assert found == 14


def test_the_role_names_each_right_and_none_that_would_be_dangerous() -> None:
    for rule in rules():
        assert {"apiGroups", "resources", "verbs"} <= set(rule) <= {"apiGroups", "resources", "verbs", "resourceNames"}
        assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
        assert not {"escalate", "bind", "impersonate", "deletecollection"} & set(rule["verbs"])
    resources = {resource for rule in rules() for resource in rule["resources"]}
    forbidden = {
        "secrets",
        "pods/exec",
        "nodes",
        "serviceaccounts",
        "roles",
        "clusterroles",
        "customresourcedefinitions",
    }
    assert not resources & forbidden
    verbs = {resource: set(rule["verbs"]) for rule in rules() for resource in rule["resources"]}
    for read in ("pods", "recmodels", "horizontalpodautoscalers", "configmaps", "canaries", "rollouts"):
        assert verbs[read] == {"list", "watch"}
    assert verbs["recmodels/status"] == verbs["deployments/scale"] == verbs["statefulsets/scale"] == {"patch"}
    assert verbs["events"] == {"create"}
    leases = [(rule.get("resourceNames"), rule["verbs"]) for rule in rules() if rule["resources"] == ["leases"]]
    assert leases == [([CLAIM, ALL_CLAIM], ["get", "update"]), (None, ["create"])]


def test_the_role_covers_every_kind_that_the_operator_reads_or_writes() -> None:
    allowed = {
        (group, resource): set(rule["verbs"])
        for rule in rules()
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    for kind in names.CHILD_KINDS:
        group = kind.group_version.rpartition("/")[0]
        # apply is patch, and create where the object is new
        assert allowed[group, kind.plural] == {"get", "list", "watch", "create", "patch", "delete"}
    for kind in (names.RECMODEL, names.POD, names.CONFIG_MAP, *TARGET_FIELDS):
        assert {"list", "watch"} <= allowed[kind.group_version.rpartition("/")[0], kind.plural]
    assert allowed["batch", names.JOB.plural] == {"list", "watch", "create"}


def test_the_policies_cover_every_kind_that_the_operator_creates() -> None:
    text = re.sub(r"\{\{-.*?\}\}", "", (CHART / "files" / "policies.yaml").read_text(encoding="utf-8"))
    policies = yaml.safe_load(re.sub(r"\{\{.*?\}\}", "[]", text))

    def covered(name: str, operation: str) -> set[tuple[str, str]]:
        found = policies[name]["matchConstraints"]["resourceRules"]
        of_it = (rule for rule in found if operation in rule["operations"])
        return {(rule["apiGroups"][0], resource) for rule in of_it for resource in rule["resources"]}

    created = {
        (group, resource)
        for rule in rules()
        if "create" in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    created -= {("", "events"), ("coordination.k8s.io", "leases")}
    for operation in ("CREATE", "UPDATE", "DELETE"):
        assert covered("owned", operation) | covered("routes", operation) == created | BUFFERS
    routes = {("gateway.networking.k8s.io", kind.plural) for kind in names.ROUTES}
    assert covered("routes", "CREATE") == covered("routes", "UPDATE") == routes
    assert covered("pods", "CREATE") == covered("pods", "UPDATE") == {("apps", "deployments"), ("batch", "jobs")}
    for policy in policies.values():
        assert all(check["message"] and check["expression"] for check in policy["validations"])


def test_the_policy_for_authors_looks_at_each_pool_that_a_recmodel_may_have_and_at_each_kind() -> None:
    """What the operator scales in mode Auto is what the author may scale: tests/cluster/test_rights.py asks the API server."""
    text, givers = TEMPLATES["admissionpolicy.yaml"].split('"givers"')
    (most,) = (str(m.max_length) for m in RecModelSpec.model_fields["pools"].metadata if hasattr(m, "max_length"))
    assert re.findall(r"until (\d+)", text) == re.findall(r"until (\d+)", givers) == [most]
    for kind in names.REFERABLE.values():
        assert f'"{kind.group}/{kind.kind}" "{kind.plural}"' in TEMPLATES["_helpers.tpl"]
        (scale,) = [rule for rule in rules() if rule["resources"] == [f"{kind.plural}/scale"]]
        assert (scale["apiGroups"], scale["verbs"]) == ([kind.group_version.partition("/")[0]], ["patch"])
    assert set(re.findall(r"check\('(\w+)'\)", text)) == {"update", "patch"}
    assert "resources: [recmodels]}" in text  # not the status, which the operator writes
    # And what it makes when a RecModel is deleted is what the author of the store may make.
    made = {right.resource: verb for right in HANDING_BACK for verb in right.verbs if right.resource != "configmaps"}
    assert dict(re.findall(r"resource\('(\w+)'\)[^)]*\)\.check\('(\w+)'\)", givers)) == made
    assert 'include "recmodel.handsBack"' in text


def test_the_pod_fits_pod_security_restricted() -> None:
    text = TEMPLATES["deployment.yaml"]
    for line in (
        "runAsNonRoot: true", "seccompProfile: {type: RuntimeDefault}", "allowPrivilegeEscalation: false",
        "readOnlyRootFilesystem: true", "capabilities: {drop: [ALL]}",
    ):  # fmt: skip
        assert line in text
    assert not re.search(r"host(Network|PID|IPC|Path)", text)


def test_a_missing_prometheus_address_is_said_in_words() -> None:
    assert re.search(
        r'required "prometheus\.url is required: [^"]+" \.Values\.prometheus\.url', TEMPLATES["deployment.yaml"]
    )
    assert VALUES["prometheus"]["url"] == ""


# --- alerts and dashboard ---


def exported() -> set[str]:
    """Every sample name that the operator exports, and the suffixes of its histograms."""
    registry: CollectorRegistry = Metrics().registry
    names = set()
    for family in registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
        names |= {family.name + suffix for suffix in suffixes}
    return names


def expressions() -> list[str]:
    """All PromQL of the alerts and the dashboard."""
    alerts = yaml.safe_load((ROOT / "manifests/rules/alerts.yaml").read_text(encoding="utf-8"))
    dashboard = json.loads((ROOT / "manifests/dashboards/recmodel.json").read_text(encoding="utf-8"))
    found = [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]
    found += [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return found + [variable["query"] for variable in dashboard["templating"]["list"]]


def test_alerts_and_dashboard_ask_only_for_metrics_that_the_operator_has() -> None:
    asked = {name for text in expressions() for name in re.findall(r"\brecmodel_\w+", text)}
    assert asked
    assert asked <= exported()


def test_alerts_name_only_reasons_and_states_that_exist() -> None:
    words = {value for name, value in vars(reasons).items() if name.isupper()}
    named = {word for text in expressions() for word in re.findall(r'(?:reason|state)="(\w+)"', text)}
    assert named
    assert named <= words


def test_every_alert_is_explained() -> None:
    alerts = yaml.safe_load((ROOT / "manifests/rules/alerts.yaml").read_text(encoding="utf-8"))
    manual = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    names = [rule["alert"] for group in alerts["groups"] for rule in group["rules"]]
    assert [name for name in names if name not in manual] == []
