"""What others change of the children is put back, with the operator up or down; what the API refuses of one stops no other."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from figures import measured
from kube import Kube, Object, eventually, run
from requests_sent import Load, failed
from serving import Pool, Served
from side_by_side import together

from recmodel.cluster import names
from recmodel.cluster.names import Kind

pytestmark = pytest.mark.cluster

QUOTA = Kind("ResourceQuota", "v1", "resourcequotas")
WEBHOOK = Kind("ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1", "validatingwebhookconfigurations")
# Of one model, the kind, the name, and a merge patch.
EDITS: list[tuple[Kind, str, Object]] = [
    (names.SERVICE, "ranker-cpu", {"spec": {"selector": {"app": "other"}}}),
    (names.SERVICE, "ranker-cpu", {"metadata": {"labels": {names.MODEL_LABEL: None}}}),
    (names.DISRUPTION_BUDGET, "ranker-cpu", {"spec": {"maxUnavailable": "100%"}}),
    # What excludes our own fields: an apply alone is refused.
    (names.DISRUPTION_BUDGET, "ranker-cpu", {"spec": {"maxUnavailable": None, "minAvailable": 1}}),
    (
        names.SERVICE,
        "ranker-cpu",
        {"spec": {"ports": [{"name": "http", "port": 81, "protocol": "TCP", "targetPort": 1}]}},
    ),
    (names.SERVICE, "ranker-cpu", {"spec": {"type": "NodePort"}}),
    (names.DISRUPTION_BUDGET, "ranker-cpu", {"metadata": {"ownerReferences": None}}),
    (names.DEPLOYMENT, "ranker-cpu", {"spec": {"strategy": {"rollingUpdate": {"maxUnavailable": 1}}}}),
    # No field of ours, and the operator's own policy refuses each of its writes beside them.
    (names.DEPLOYMENT, "ranker-cpu", {"spec": {"template": {"spec": {"hostNetwork": True}}}}),
    (names.DEPLOYMENT, "ranker-cpu", {"spec": {"template": {"spec": {"serviceAccountName": "default"}}}}),
    (names.ROUTE, "ranker", {"spec": {"hostnames": ["other.example"]}}),
    (names.ROUTE, "ranker", {"metadata": {"labels": {names.MODEL_LABEL: "other"}}}),
]
# What lists hold, by kubectl's arguments.
COMMANDS: list[tuple[str, ...]] = [
    ("set", "image", "deployment/ranker-cpu", "server=example.invalid/other:1"),
    ("set", "env", "deployment/ranker-cpu", "SERVICE_MS=7"),
    ("patch", "httproute/ranker", "--type=json", "-p", '[{"op": "remove", "path": "/spec/rules/0/backendRefs/0/filters"}]'),
    ("patch", "httproute/ranker", "--type=json", "-p", '[{"op": "replace", "path": "/spec/rules/0/matches/0/path/value", "value": "/v2"}]'),
]  # fmt: skip


def contents(served: Served) -> dict[str, Object]:
    """What the operator applies of the children, without the weights."""
    result: dict[str, Object] = {}
    for kind, name in {(kind, name) for kind, name, _ in EDITS}:
        body = served.kube.get(kind, served.namespace, name)
        metadata, spec = body["metadata"], dict(body["spec"])
        spec.pop("replicas", None)
        if kind == names.ROUTE:
            spec["rules"] = [{**rule, "backendRefs": _unweighted(rule["backendRefs"])} for rule in spec["rules"]]
        metadata = {key: metadata.get(key) for key in ("labels", "ownerReferences")}
        result[f"{kind.kind} {name}"] = {"metadata": metadata, "spec": spec}
    return result


def _unweighted(backends: list[Object]) -> list[Object]:
    return [{key: value for key, value in backend.items() if key != "weight"} for backend in backends]


def put_back(served: Served, before: dict[str, Object]) -> Callable[[], bool]:
    def look() -> bool:
        now = contents(served)
        other = [what for what in before if now[what] != before[what]]
        assert other == [], f"not as before: {other}"
        return True

    return look


@together
def test_what_is_edited_by_hand_is_put_back_and_serves(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(Pool())
    served.wait_ready(cpu=1)
    before = contents(served)
    took = []
    for kind, name, patch in EDITS:
        kube.merge(kind, served.namespace, name, patch)
        began = time.monotonic()
        eventually(f"{kind.kind} {patch} is put back", put_back(served, before), 60.0)
        took.append(time.monotonic() - began)
    for command in COMMANDS:
        run("kubectl", "-n", served.namespace, *command)
        began = time.monotonic()
        eventually(f"{' '.join(command)} is put back", put_back(served, before), 60.0)
        took.append(time.monotonic() - began)
    measured("edits by hand to put back", f"largest {max(took):.1f} s of {len(took)} in a row")
    eventually("it is Ready", served.has("Ready", "True"), 60.0)
    with Load(served, 20.0) as load:
        time.sleep(3.0)
    assert failed(load.answers()) == {}


@together
def test_a_refused_template_is_told_in_the_apis_words_and_the_others_go_on(
    kube: Kube, serve: Callable[..., Served]
) -> None:
    served = serve(Pool())
    served.wait_ready(cpu=1)
    kube.create(QUOTA, served.namespace, {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"},
        "spec": {"hard": {"count/deployments.apps": "1"}},
    })  # fmt: skip
    eventually("the quota counts", lambda: kube.get(QUOTA, served.namespace, "few")["status"].get("used"), 30.0)
    served.change_pools(Pool(least=2), Pool("spare", least=1))
    served.pools = ["cpu"]

    def told() -> bool:
        said = [condition["message"] for condition in served.status().get("conditions", [])]
        assert any("ranker-spare" in text and "exceeded quota: few" in text for text in said), said
        return True

    eventually("the API's sentence is in a condition", told, 60.0)
    eventually("the other pool is scaled on", lambda: served.replicas() == {"cpu": 2}, 60.0)
    kube.get(names.SERVICE, served.namespace, "ranker-spare")  # what was not refused is made
    kube.delete(QUOTA, served.namespace, "few")
    served.pools = ["cpu", "spare"]
    eventually("what was refused is made", lambda: served.replicas()["spare"] == 1, 120.0)


@together
def test_a_gateway_without_endpoints_behind_a_weight_is_told(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(Pool(), mode="Paused")
    served.change({"mode": "Recommend"})
    served.wait_ready(cpu=1)
    served.change({"mode": "Paused"})  # so that the edit stays
    time.sleep(2.0)
    kube.merge(names.SERVICE, served.namespace, "ranker-cpu", {"spec": {"selector": {"app": "other"}}})
    eventually("it is told", served.has("Ready", "False", "RouteImpaired"), 60.0)
    assert "BackendsAvailable is False" in served.condition("Ready")["message"]


def decided_seconds(served: Served) -> int:
    """The column that says how long ago it was decided on."""
    header, row = run("kubectl", "get", "rmo", served.name, "-n", served.namespace).splitlines()
    start = header.index("DECIDED")
    found = re.match(r"(?:(\d+)m)?(?:(\d+)s)?", row[start:].split()[0])
    assert found is not None
    return 60 * int(found[1] or 0) + int(found[2] or 0)


def test_edits_while_the_operator_is_down_are_put_back_when_it_is_back(
    kube: Kube, serve: Callable[..., Served], down: Callable[[bool], None]
) -> None:
    served = serve(Pool())
    served.wait_ready(cpu=1)
    before = contents(served)
    down(True)
    decided = served.status()["lastDecisionTime"]
    for kind, name, patch in EDITS:
        kube.merge(kind, served.namespace, name, patch)
    for command in COMMANDS:
        run("kubectl", "-n", served.namespace, *command)
    assert contents(served) != before
    shown = decided_seconds(served)
    eventually("the age of the last decision grows", lambda: decided_seconds(served) > shown, 15.0)
    assert served.status()["lastDecisionTime"] == decided
    down(False)
    began = time.monotonic()
    eventually("all is put back", put_back(served, before), 90.0)
    measured("operator started again to all edits put back", f"{time.monotonic() - began:.1f} s")
    eventually("it is Ready", served.has("Ready", "True"), 60.0)
