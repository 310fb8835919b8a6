"""The CustomResourceDefinition, made from the pydantic models: structural schema, defaults, bounds, descriptions and CEL rules.

``make crds`` writes ``crds/`` with it; ``make check`` fails when the two differ.
"""

from __future__ import annotations

import copy
from typing import Any

import yaml
from pydantic import BaseModel

from recmodel.api.rules import LONGEST_MODEL_NAME, SERVICE_NAME
from recmodel.api.status import RecModelStatus
from recmodel.api.v1alpha1 import GROUP, KIND, PLURAL, SPEC_RULES, VERSION, RecModelSpec

Schema = dict[str, Any]

ROOT_RULES = [
    {
        "rule": "self.spec.pools.all(p, self.metadata.name.size() + p.name.size() <= 52)",
        "message": "metadata.name and a pool's name together must not be longer than 52 characters",
    }
]

# Keywords that a structural schema knows; anything else in pydantic's output is refused, not dropped silently.
_KEPT = {
    "type", "description", "default", "enum", "pattern", "format", "minimum", "maximum", "minLength", "maxLength",
    "minItems", "maxItems", "minProperties", "maxProperties", "required", "properties", "items", "additionalProperties",
    "not",
}  # fmt: skip
_DROPPED = {"title", "$defs", "propertyNames", "discriminator"}

_COLUMNS = [
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', 0),
    ("Objective", "string", '.status.conditions[?(@.type=="ObjectiveMet")].status', 0),
    ("Within", "string", ".status.withinThreshold", 0),
    ("Metrics", "string", '.status.conditions[?(@.type=="MetricsAvailable")].reason', 0),
    ("Load/s", "string", ".status.loadPerSecond", 0),
    ("Replicas", "string", ".status.replicas", 0),
    ("Cost/h", "string", ".status.costPerHour", 0),
    ("State", "string", ".status.state", 0),
    ("Reason", "string", ".status.reason", 0),
    ("Decided", "date", ".status.lastDecisionTime", 0),
    ("Mode", "string", ".spec.mode", 1),
    ("Age", "date", ".metadata.creationTimestamp", 0),
]


def structural(model: type[BaseModel]) -> Schema:
    """The structural schema of a pydantic model; ``ValueError`` on a keyword that the Kubernetes API would not keep."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return _structural(raw, raw.get("$defs", {}), model.__name__)


def _structural(node: Schema, defs: Schema, where: str) -> Schema:
    node = _flattened(dict(node), defs, where)
    unknown = {key for key in node if key not in _KEPT | _DROPPED and not key.startswith("x-kubernetes-")}
    if unknown:
        raise ValueError(f"{where}: no structural schema for {sorted(unknown)}")
    result = {key: value for key, value in node.items() if key not in _DROPPED}
    if isinstance(result.get("default"), dict):  # the API checks a default like any value: a null is no string
        result["default"] = {key: value for key, value in result["default"].items() if value is not None}
    if "description" in result:
        result["description"] = " ".join(result["description"].split())
    if "properties" in result:
        result["properties"] = {
            name: _structural(child, defs, f"{where}.{name}") for name, child in result["properties"].items()
        }
    if isinstance(result.get("items"), dict):
        result["items"] = _structural(result["items"], defs, f"{where}[]")
    extra = result.pop("additionalProperties", None)
    if isinstance(extra, dict):
        result["additionalProperties"] = _structural(extra, defs, f"{where}{{}}")
    return result


def _flattened(node: Schema, defs: Schema, where: str) -> Schema:
    """Without references, optional types, constants and patterns for keys, which a structural schema has not."""
    if "$ref" in node:
        target = copy.deepcopy(defs[node.pop("$ref").rsplit("/", 1)[-1]])
        return _flattened({**target, **node}, defs, where)  # the field's description beats the type's
    for union in ("anyOf", "allOf"):
        if union in node:
            options = [option for option in node.pop(union) if option.get("type") != "null"]
            if len(options) != 1:
                raise ValueError(f"{where}: a union of {len(options)} types is no structural schema")
            if node.get("default", ...) is None:
                node.pop("default")
            return _flattened({**options[0], **node}, defs, where)
    if "const" in node:
        node["enum"] = [node.pop("const")]
    if node.get("default", ...) is None:
        node.pop("default")
    if "patternProperties" in node:  # the API knows no pattern for keys: pydantic, or a rule on the map, holds it
        node["additionalProperties"] = next(iter(node.pop("patternProperties").values()))
    return node


def crd() -> Schema:
    """The whole CustomResourceDefinition of RecModel as a dictionary."""
    spec = structural(RecModelSpec)
    spec["x-kubernetes-validations"] = SPEC_RULES
    root = {
        "type": "object",
        "description": " ".join((RecModelSpec.__doc__ or "").split()),
        "required": ["spec"],
        "x-kubernetes-validations": ROOT_RULES,
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {
                "type": "object",
                "properties": {"name": {"type": "string", "maxLength": LONGEST_MODEL_NAME, "pattern": SERVICE_NAME}},
            },
            "spec": spec,
            "status": structural(RecModelStatus),
        },
    }
    columns = [
        {"name": name, "type": kind, "jsonPath": path, "priority": priority} for name, kind, path, priority in _COLUMNS
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["rmo"],
                "categories": ["all", "recmodel"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": columns,
                    "schema": {"openAPIV3Schema": root},
                }
            ],
        },
    }


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  YAML anchors would save lines and cost readers
        return True


def crd_yaml() -> str:
    """The same as YAML, as it stands in ``crds/``."""
    header = "# Generated by `make crds` from operator/recmodel/api. Do not edit.\n"
    return header + yaml.dump(crd(), Dumper=_Plain, sort_keys=False, width=120, allow_unicode=True)
