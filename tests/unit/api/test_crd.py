"""The CustomResourceDefinition: fresh, bounded wherever a user writes, and as strict as the types it is made from."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import pytest
import yaml
from pydantic import BaseModel, Field, ValidationError

from recmodel.api.crd import crd, crd_yaml, structural
from recmodel.api.v1alpha1 import RecModelSpec

ROOT = Path(__file__).resolve().parents[3]
LARGEST_BYTES = 230_000  # room for a tenth more
ROOT_SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]


def nodes(schema: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    yield where, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{where}.{name}")
    for key, sign in (("items", "[]"), ("additionalProperties", "{}")):
        if isinstance(schema.get(key), dict):
            yield from nodes(schema[key], where + sign)


SPEC = dict(nodes(ROOT_SCHEMA["properties"]["spec"], "spec"))


def test_the_file_in_crds_is_the_generated_one() -> None:
    generated = crd_yaml()
    assert (ROOT / "crds" / "recmodels.recmodel.dev.yaml").read_text(encoding="utf-8") == generated
    assert yaml.load(generated, yaml.CSafeLoader) == crd()  # as safe, and ten times as fast


def test_whatever_a_user_writes_is_bounded() -> None:
    open_ended = []
    for where, node in SPEC.items():
        kind = node.get("type")
        bounded = (
            node.get("x-kubernetes-preserve-unknown-fields")
            or node.get("x-kubernetes-int-or-string")
            or (kind == "string" and ("maxLength" in node or "enum" in node or "pattern" in node))
            or (kind == "array" and "maxItems" in node)
            or (kind == "integer" and "minimum" in node)
            or (kind == "object" and ("properties" in node or "maxProperties" in node))
            or kind == "boolean"
            or "enum" in node
        )
        if not bounded:
            open_ended.append(where)
    assert open_ended == []


def test_no_part_of_a_spec_is_open() -> None:
    """An unknown field below an open node would be found only when a child is applied, and then by an error of the server."""
    open_nodes = {where for where, node in SPEC.items() if node.get("x-kubernetes-preserve-unknown-fields")}
    assert "spec.pools[].template.spec.containers[].resources.limits{}" in open_nodes
    for where in open_nodes:  # a number or text, for which the API has no type
        node = SPEC[where]
        assert {"pattern", "minimum", "maximum"} <= set(node), where
        assert node["minProperties"] > node["maxProperties"], where
        assert node["minItems"] > node["maxItems"], where


def test_kubectl_can_keep_its_copy_of_it() -> None:
    kept = json.dumps(crd(), separators=(",", ":"))
    escaped = sum(kept.count(sign) for sign in "<>&") * len(r"u003c")  # as Go writes them
    assert len(kept) + escaped < LARGEST_BYTES, "client-side apply keeps it in an annotation of at most 262,144 bytes"


def test_what_is_kubernetes_own_is_not_described_again() -> None:
    template = {where.partition(".template.")[2] for where, node in SPEC.items() if "description" in node}
    assert "spec.containers[].resources" in template, "which says what is ours"
    assert not {"spec.containers[].livenessProbe", "spec.affinity", "spec.containers[].env[]"} & template


def test_every_node_has_one_type_and_what_is_required_exists() -> None:
    for where, node in nodes(ROOT_SCHEMA, "root"):
        untyped = node.get("x-kubernetes-int-or-string") or node.get("x-kubernetes-preserve-unknown-fields")
        assert ("type" in node) != bool(untyped), where
        assert set(node.get("required", [])) <= set(node.get("properties", {})), where
        assert not ({"properties", "additionalProperties"} <= set(node)), where
        if "default" in node and "enum" in node:
            assert node["default"] in node["enum"], where


def test_what_a_user_writes_is_described() -> None:
    for where in ("spec", "spec.pools", "spec.objective", "spec.mode", "spec.pools[].costPerHour", "spec.route"):
        assert SPEC[where].get("description") or SPEC[where].get("items", {}).get("description"), where


GOOD: dict[str, Any] = {
    "objective": {"latency": {"threshold": "100ms"}},
    "pools": [
        {
            "name": "cpu", "replicas": {"min": 1, "max": 9}, "port": 80,
            "template": {"spec": {"containers": [{"name": "s", "image": "s:1"}]}},
        }
    ],
}  # fmt: skip

UNKNOWN = (
    "replicas", "objective.accurracy", "objective.latency.treshold", "pools.0.cost", "pools.0.replicas.maximum",
    "pools.0.template.spec.nodeName", "pools.0.template.spec.schedulingGates", "pools.0.template.metadata.ownerReferences",
    "pools.0.template.spec.containers.0.privileged", "pools.0.template.spec.volumes.0.hostPath",
    "pools.0.template.spec.containers.0.securityContext.seLinuxOptions",
    "pools.0.template.spec.containers.0.securityContext.capabilities.keep",
    "pools.0.template.spec.containers.0.readinessProbe.failureThresold",
    "pools.0.template.spec.containers.0.volumeDevices",
    "pools.0.template.spec.securityContext.sysctls", "route.parentRefs.0.kind", "metrics.prometheusUrl",
)  # fmt: skip


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_field_is_refused_by_name(path: str) -> None:
    spec = copy.deepcopy(GOOD)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    node: Any = spec
    for part, after in pairwise([*parents, last]):
        empty: Any = [{"name": "x"}] if isinstance(after, int) else {}
        node = node[part] if isinstance(part, int) else node.setdefault(part, empty)
    node[last] = {}
    with pytest.raises(ValidationError) as refused:
        RecModelSpec.model_validate(spec)
    where = [".".join(str(part) for part in fault["loc"]) for fault in refused.value.errors()]
    assert path in where
    assert f"spec.{path}".replace(".0", "[]") not in SPEC


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("objective.latency.percentile", 100),
        ("objective.latency.percentile", 49),
        ("objective.latency.threshold", "0.1"),
        ("objective.latency.threshold", "1e3ms"),
        ("mode", "auto"),
        ("pools.0.name", "CPU"),
        ("pools.0.name", "x" * 41),
        ("pools.0.replicas.max", 10_001),
        ("pools.0.port", 65_536),
        ("pools.0.costPerHour", "-1"),
        ("pools.0.costPerHour", "NaN"),
        ("metrics", {"profile": "prometheus"}),
        ("pools", []),
        ("pools.0.template.spec.containers", []),
        ("pools.0.template.spec.containers.0.image", "x" * 4097),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(path: str, value: Any) -> None:
    spec = copy.deepcopy(GOOD)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    node: Any = spec
    for part in parents:
        node = node[part]
    node[last] = value
    with pytest.raises(ValidationError) as refused:
        RecModelSpec.model_validate(spec)
    assert ".".join(str(part) for part in refused.value.errors()[0]["loc"]).startswith(path)


def test_a_keyword_that_the_api_would_drop_is_refused() -> None:
    class Odd(BaseModel):
        value: Annotated[int, Field(multiple_of=3)]

    with pytest.raises(ValueError, match=r"Odd\.value: no structural schema for \['multipleOf'\]"):
        structural(Odd)

    class Either(BaseModel):
        value: int | str

    with pytest.raises(ValueError, match=r"Either\.value: a union of 2 types"):
        structural(Either)
