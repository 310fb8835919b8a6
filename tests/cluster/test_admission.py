"""What the API server refuses, with the field and the rule; and that a refused edit touches nothing that serves."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from kube import CONFIG_MAP, Kube, Object, Refused, eventually
from serving import GPU, Pool, Served, recmodel

from builders.protocol_specs import EDITED_PROTOCOLS, REFUSED_PROTOCOLS, TAKEN_PROTOCOLS
from builders.references import reference_spec
from builders.refused_references import EDITED_REFERENCES, REFUSED_REFERENCES, TAKEN_MIXES, TAKEN_REFERENCES
from builders.refused_specs import REFUSED
from builders.taken_specs import TAKEN
from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.cluster import names
from recmodel.cluster.children.builders import Owner, children, route, route_kind

pytestmark = pytest.mark.cluster

KINDS = {kind.kind: kind for kind in (names.RECMODEL, CONFIG_MAP)}  # what a sample may hold
SAMPLES = sorted((Path(__file__).resolve().parents[2] / "manifests" / "samples").glob("*.yaml"))


def at(path: str, value: Any) -> Callable[[Object], None]:
    """Puts a value at a path such as ``pools.0.port``; None takes the field away."""

    def put(spec: Object) -> None:
        *parents, last = path.split(".")
        node: Any = spec
        for key in parents:
            node = node[int(key)] if key.isdigit() else node.setdefault(key, {})
        if value is None:
            del node[last]
        else:
            node[last] = value

    return put


def above(field: str) -> list[str]:
    """``spec.a[0].b``, and what it lies in: a rule between fields is said of the object that has both."""
    parts = re.findall(r"\.?[^.\[]+|\[\d+\]", field)
    return ["".join(parts[:count]) for count in range(len(parts), 0, -1)]


CONTAINER = "pools.0.template.spec.containers.0"
POD, SECURITY = "spec.pools[0].template.spec", "containers[0].securityContext"  # as the API server names them
# What is wrong, and what the answer must name: the field, and the rule.
WRONG: list[tuple[str, Callable[[Object], None], str, str]] = [
    ("threshold in words", at("objective.latency.threshold", "fast"), "spec.objective.latency.threshold", "should match"),
    ("percentile 100", at("objective.latency.percentile", 100), "spec.objective.latency.percentile", "less than or equal to 99"),
    ("percentile 40", at("objective.latency.percentile", 40), "spec.objective.latency.percentile", "greater than or equal to 50"),
    ("no objective", at("objective", None), "spec.objective", "Required value"),
    ("accuracy in words", at("objective.accuracy", {"maxLoss": "little"}), "spec.objective.accuracy.maxLoss", "should match"),
    ("mode", at("mode", "Automatic"), "spec.mode", 'supported values: "Auto", "Recommend", "Paused"'),
    ("no pools", at("pools", []), "spec.pools", "at least 1 items"),
    ("two pools of one name", lambda spec: spec["pools"].append(copy.deepcopy(spec["pools"][0])), "spec.pools[2]", "Duplicate value"),
    ("min above max", at("pools.0.replicas", {"min": 3, "max": 2}), "spec.pools[0].replicas", "min must not be above replicas.max"),
    ("max of zero", at("pools.0.replicas", {"max": 0}), "spec.pools[0].replicas.max", "greater than or equal to 1"),
    ("price as a number", at("pools.0.costPerHour", 1.5), "spec.pools[0].costPerHour", "must be of type string"),
    ("port", at("pools.0.port", 70000), "spec.pools[0].port", "less than or equal to 65535"),
    ("replicas of the whole", at("replicas", 3), "spec.replicas", "unknown field"),
    ("host network", at("pools.0.template.spec.hostNetwork", True), f"{POD}.hostNetwork", "must be false"),
    ("host path", at("pools.0.template.spec.volumes.0.hostPath", {"path": "/"}), f"{POD}.volumes[0].hostPath", "unknown field"),
    ("privileged", at(f"{CONTAINER}.securityContext.privileged", True), f"{SECURITY}.privileged", "must be false"),
    ("added capability", at(f"{CONTAINER}.securityContext.capabilities", {"add": ["NET_ADMIN"]}), "capabilities.add[0]", "Unsupported"),
    ("gains", at(f"{CONTAINER}.securityContext.allowPrivilegeEscalation", True), f"{SECURITY}.allowPrivilegeEscalation", "must be false"),
    ("root", at(f"{CONTAINER}.securityContext.runAsUser", 0), POD, "must not be 0 where runAsNonRoot is true"),
    ("variant that is not listed", at("pools.0.variant", "tiny"), "spec", "must be the name of one of spec.variants"),
    ("torchserve", at("metrics", {"profile": "torchserve"}), "spec", "torchserve has no latency histogram"),
    ("custom without series", at("metrics", {"profile": "custom"}), "spec", "if, and only if, metrics.profile is custom"),
    ("no gateway", at("route.parentRefs", []), "spec.route.parentRefs", "at least 1 items"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "field", "rule"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_an_invalid_spec_is_refused_with_the_field_and_the_rule(
    kube: Kube, operator: None, wrong: Callable[[Object], None], field: str, rule: str
) -> None:
    body = recmodel("default", "refused", Pool(), GPU)
    wrong(body["spec"])
    with pytest.raises(Refused) as refusal:
        kube.create(names.RECMODEL, "default", body, dry_run=True)
    assert refusal.value.status in (400, 422)
    assert field in refusal.value.message
    assert rule in refusal.value.message


def test_the_model_of_these_cases_is_valid_without_the_mistake(kube: Kube, operator: None) -> None:
    kube.create(names.RECMODEL, "default", recmodel("default", "refused", Pool(), GPU), dry_run=True)


def test_what_the_types_refuse_and_take_is_what_the_api_server_does(kube: Kube, operator: None) -> None:
    wrong = []
    for case in (*REFUSED, *REFUSED_REFERENCES, *REFUSED_PROTOCOLS):
        try:
            kube.create(names.RECMODEL, "default", case.body(), dry_run=True)
            wrong += [f"{case.name} is taken"] if case.by_schema else []
        except Refused as error:
            said = error.message if error.status in (400, 422) else ""
            named = (
                any(f"{place}: " in said or f"{place}[" in said for place in above(case.field)) or case.field in said
            )
            right = named and case.says in said and not (case.unsaid and case.unsaid in said)
            wrong += [] if right and case.by_schema else [f"{case.name}: {error}"]
    for case in (*TAKEN, *TAKEN_REFERENCES, *TAKEN_MIXES, *TAKEN_PROTOCOLS):
        try:
            kube.create(names.RECMODEL, "default", case.body(), dry_run=True)
        except Refused as error:
            wrong.append(f"{case.name}: {error}")
    assert wrong == []


def test_the_children_of_whatever_is_taken_are_taken(kube: Kube, operator: None) -> None:
    """By server-side apply, which alone refuses what stands twice under one key."""
    wrong = []
    for case in (*TAKEN, *TAKEN_PROTOCOLS):
        body = case.body()
        spec, owner = RecModelSpec.model_validate(body["spec"]), Owner("default", body["metadata"]["name"], "u-1")
        made = children(owner, spec, monitors=False)
        if (of_gateway := route(owner, spec, {"cpu": 1000})) is not None:
            made.append((route_kind(spec), of_gateway))
        for kind, child in made:
            try:
                kube.apply(kind, child)
            except Refused as error:
                wrong.append(f"{case.name}: {kind.kind}: {error}")
    assert wrong == []


def test_the_protocol_of_a_pool_stays(kube: Kube, operator: None) -> None:
    """An edit of it is refused with the way out; pools come and go as ever."""
    wrong = []
    for index, (before, after, says) in enumerate(EDITED_PROTOCOLS):
        body = recmodel("default", f"edited-{index}", Pool())
        body["spec"] = {**before, "mode": "Paused"}  # nothing is made of it
        kube.create(names.RECMODEL, "default", body)
        try:
            kube.merge(names.RECMODEL, "default", f"edited-{index}", {"spec": {**after, "mode": "Paused"}})
            wrong += [f"{index} is taken"] if says else []
        except Refused as error:
            wrong += [] if says and says in error.message else [f"{index}: {error}"]
        finally:
            kube.delete(names.RECMODEL, "default", f"edited-{index}")
    assert wrong == []


def test_a_pool_that_was_made_becomes_no_reference(kube: Kube, operator: None) -> None:
    wrong = []
    for index, (before, after, says) in enumerate(EDITED_REFERENCES):
        name = f"mixed-{index}"
        body = recmodel("default", name, Pool())
        body["spec"] = reference_spec(*before, mode="Paused")  # nothing is made of it
        kube.create(names.RECMODEL, "default", body)
        try:
            kube.merge(names.RECMODEL, "default", name, {"spec": reference_spec(*after, mode="Paused")})
            wrong += [f"{index} is taken"] if says else []
        except Refused as error:
            wrong += [] if says and says in error.message else [f"{index}: {error}"]
        finally:
            kube.delete(names.RECMODEL, "default", name)
    assert wrong == []


def test_a_name_that_leaves_no_room_for_the_pools_is_refused(kube: Kube, operator: None) -> None:
    body = recmodel("default", "m" * 50, Pool(), GPU)
    with pytest.raises(Refused, match="together must not be longer than 52 characters"):
        kube.create(names.RECMODEL, "default", body, dry_run=True)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_every_sample_is_taken_by_the_api_server(kube: Kube, operator: None, path: Path) -> None:
    made = []
    for body in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        body["metadata"]["namespace"] = "default"  # it exists, and a dry run creates nothing
        made.append(kube.create(KINDS[body["kind"]], "default", body, dry_run=True))
    models = [body for body in made if body["kind"] == names.RECMODEL.kind]
    assert models
    assert all(model["spec"]["pools"] for model in models)


def test_an_invalid_edit_touches_nothing_that_serves(kube: Kube, serve: Callable[..., Served]) -> None:
    served = serve(Pool())
    served.wait_ready(cpu=1)
    before = [served.deployment("cpu")["metadata"]["generation"], served.route()["metadata"]["generation"]]
    with pytest.raises(Refused, match=r"spec\.objective\.latency\.threshold"):
        served.change({"objective": {"latency": {"threshold": "fast"}}})
    # The API server cannot know which service accounts the operator allows: the operator refuses that one.
    pool = Pool().spec()
    pool["template"]["spec"]["serviceAccountName"] = "admin"
    served.change({"pools": [pool]})
    eventually("the operator refuses it", served.has("Stalled", "True", "InvalidSpec"), 30.0)
    assert "spec.pools[cpu].template.spec.serviceAccountName is 'admin'" in served.condition("Stalled")["message"]
    assert served.condition("Ready")["status"] == "True"
    assert [served.deployment("cpu")["metadata"]["generation"], served.route()["metadata"]["generation"]] == before
    assert served.ready() == {"cpu": 1}
    served.change_pools(Pool())
    eventually("the mended one is taken", served.has("Stalled", None), 30.0)
    assert served.condition("Ready")["status"] == "True"
    assert [served.deployment("cpu")["metadata"]["generation"], served.route()["metadata"]["generation"]] == before
