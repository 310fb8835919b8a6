"""Versions of a model's variants: their records, and how far the RecModel has come with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kube import CONFIG_MAP, Kube, Object, Refused
from serving import Served

from recmodel.api.records import VariantRecord, config_map
from recmodel.cluster import names

QUICK = {"steps": ["10%", "50%"], "stepDuration": "10s", "minRequests": 100}


def record(variant: str, version: str, value: float = 0.8) -> VariantRecord:
    """A record of a variant as the optimiser writes it."""
    return VariantRecord(
        variant=variant,
        version=version,
        uri=f"file:///models/{variant}-{version}",
        sha256="0" * 64,
        dataset="of the tests",
        metric="AUC",
        value=value,
        interval=(value - 0.01, value + 0.01),
        loss_interval=(0.0, 0.01),
        latency_seconds={"1": 0.005},
        throughput_per_second={"1": 200.0},
        size_bytes=1000,
        baseline="full",
        chosen=True,
        reason="for a test",
    )


def publish(kube: Kube, namespace: str, model: str, *records: VariantRecord) -> None:
    """Writes the records' ConfigMap, or overwrites it: what a trainer or a pipeline does with a new version."""
    body: Object = config_map(namespace, model, records)
    try:
        kube.create(CONFIG_MAP, namespace, body)
    except Refused as error:
        if error.status != 409:
            raise
        kube.merge(CONFIG_MAP, namespace, body["metadata"]["name"], {"data": body["data"]})


def served_versions(served: Served) -> dict[str, set[str]]:
    """The versions of each pool's pods that are not on their way out."""
    result: dict[str, set[str]] = {pool: set() for pool in served.pools}
    for pod in served.pods():
        metadata: dict[str, Any] = pod["metadata"]
        if "deletionTimestamp" not in metadata:
            result[metadata["labels"][names.POOL_LABEL]].add(metadata["labels"].get(names.VERSION_LABEL, ""))
    return result


def rollout(served: Served, pool: str) -> Object:
    """The pool's last rollout in the status; empty before there is one."""
    found = [r for r in served.status().get("rollouts", []) if r["pool"] == pool]
    return dict(found[0]) if found else {}


def proven(served: Served, version: str, *pools: str) -> Callable[[], bool]:
    """Whether these pools, and all of their pods, serve this version for good; for ``eventually``."""

    def look() -> bool:
        rollouts = {pool: rollout(served, pool) for pool in pools}
        versions = served_versions(served)
        said = {pool: (r.get("to"), r.get("phase"), r.get("message")) for pool, r in rollouts.items()}
        there = all(r.get("phase") == "Proven" and r["to"].endswith(f"@{version}") for r in rollouts.values())
        assert there, f"{said}; pods {versions}"
        assert all(versions[pool] == {version} for pool in pools), f"pods {versions}"
        return True

    return look
