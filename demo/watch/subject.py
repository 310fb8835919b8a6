"""What is watched: one RecModel's objective, pools, devices and prices, from its spec and from the nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recmodel.api.v1alpha1 import RecModelSpec
from recmodel.core.types import Model

_NO_DEVICES = ("cpu", "memory", "ephemeral-storage", "hugepages-")
EMULATED_LABEL = "recmodel.dev/accelerator"  # set to "emulated" by hack/cluster/accelerator.sh


@dataclass(frozen=True, slots=True)
class Subject:
    """``devices``: by pool, "cpu" or the resource that its pods ask for. ``emulated``: the pools whose device is
    none.
    """

    namespace: str
    name: str
    created: str  # RFC 3339
    model: Model
    devices: Mapping[str, str]
    emulated: frozenset[str]


def subject(recmodel: Mapping[str, Any], nodes: Sequence[Mapping[str, Any]]) -> Subject:
    """Raises pydantic.ValidationError for a spec that is none. An accelerator counts as emulated if any node emulates
    one.
    """
    metadata = recmodel["metadata"]
    spec = RecModelSpec.model_validate(recmodel["spec"])
    devices = {pool["name"]: _device(pool) for pool in recmodel["spec"]["pools"]}
    pretended = any(node["metadata"].get("labels", {}).get(EMULATED_LABEL) == "emulated" for node in nodes)
    return Subject(
        namespace=metadata["namespace"],
        name=metadata["name"],
        created=metadata["creationTimestamp"],
        model=spec.model(f"{metadata['namespace']}/{metadata['name']}"),
        devices=devices,
        emulated=frozenset(name for name, device in devices.items() if pretended and device != "cpu"),
    )


def _device(pool: Mapping[str, Any]) -> str:
    for container in pool["template"]["spec"]["containers"]:
        for resource in container.get("resources", {}).get("limits", {}):
            if not resource.startswith(_NO_DEVICES):
                return str(resource)
    return "cpu"
