"""A valid RecModel, and a case that changes it: for the tables of specs that are refused, and of specs that are taken.

A case changes the valid RecModel of :func:`recmodel` at one path. A path is dotted, numbers are places in lists, ``POD`` and ``BOX``
stand for the first pool's pod and its first container.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

POD = "spec.pools.0.template.spec"
BOX = f"{POD}.containers.0"
META = "spec.pools.0.template.metadata"
Object = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A value at a path; ``says`` is what each refusal names beside the field, ``by_schema`` whether the API server refuses it, too.

    ``unsaid``: words of a rule that the value keeps, which the API server, unlike us, would say beside the other.
    """

    path: str
    value: Any
    says: str = ""
    by_schema: bool = True
    unsaid: str = ""

    @property
    def name(self) -> str:
        """For pytest."""
        return f"{self.path.replace(BOX, 'BOX').replace(POD, 'POD').replace('spec.', '')}={str(self.value)[:60]}"

    def body(self) -> Object:
        """The RecModel with the change."""
        made = recmodel()
        *parents, last = [int(part) if part.isdigit() else part for part in self.path.split(".")]
        node: Any = made
        for part in parents:
            node = node[part] if isinstance(part, int) else node.setdefault(part, {})
        if isinstance(last, int) and last == len(node):
            node.append(copy.deepcopy(self.value))
        else:
            node[last] = copy.deepcopy(self.value)
        return made

    @property
    def field(self) -> str:
        """The field as both refusals name it; of a map's key, or what is decided further up, a part of it."""
        text = "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in self.path.split("."))
        return text.removeprefix(".")


def recmodel() -> Object:
    """A valid RecModel with something in most fields."""
    container = {
        "name": "server",
        "image": "server:1",
        "ports": [{"name": "http", "containerPort": 8080}],
        "env": [{"name": "A", "value": "1"}],
        "resources": {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    pod = {"containers": [container], "volumes": [{"name": "tmp", "emptyDir": {}}]}
    pools = [
        {"name": name, "replicas": {"min": 1, "max": 4}, "port": 8080,
         "template": {"metadata": {"labels": {"team": "feed"}}, "spec": copy.deepcopy(pod)}}
        for name in ("cpu", "gpu")
    ]  # fmt: skip
    return {
        "apiVersion": "recmodel.dev/v1alpha1",
        "kind": "RecModel",
        "metadata": {"name": "feed", "namespace": "default"},
        "spec": {
            "objective": {"latency": {"percentile": 95, "threshold": "100ms"}, "accuracy": {"maxLoss": "1%"}},
            "route": {"parentRefs": [{"name": "edge", "namespace": "gateways"}], "hostnames": ["feed.shop.example"]},
            "variants": [
                {"name": "full", "accuracy": {"metric": "AUC", "value": "0.8"}},
                {"name": "int8", "accuracy": {"metric": "AUC", "value": "0.79"}},
            ],
            "pools": pools,
        },
    }
