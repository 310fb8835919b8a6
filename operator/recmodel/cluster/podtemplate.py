"""The pods of a pool: what the user wrote, and defaults for what they left open.

The defaults make a pod leave without an error (it goes on answering while the gateway forgets it), make readiness
mean "the port answers", and fit PodSecurity ``restricted`` where the image does. What the user set always wins.
"""

from __future__ import annotations

from typing import Any

from recmodel.api.v1alpha1 import PoolSpec
from recmodel.cluster.names import VERSION_LABEL, labels
from recmodel.cluster.versions import ModelVersion

PRE_STOP_SECONDS = 5  # the gateway stops sending within a second of the deletion; the rest is for slow endpoint updates
GRACE_SECONDS = 30


def pod_template(model: str, pool: PoolSpec, version: ModelVersion | None = None) -> dict[str, Any]:
    """The Deployment's ``spec.template`` of a pool that serves this version (None: of a pool without versions)."""
    written = pool.template.model_dump(by_alias=True, exclude_none=True)
    metadata = written.get("metadata", {})
    spec = written["spec"]
    grace_seconds = spec.setdefault("terminationGracePeriodSeconds", GRACE_SECONDS)
    serving = _serving(spec, pool.port)
    spec["containers"] = [_leaving(_hardened(container), grace_seconds) for container in spec["containers"]]
    spec["containers"][serving] = _serving_container(spec["containers"][serving], pool.port)
    if "initContainers" in spec:
        spec["initContainers"] = [_hardened(container) for container in spec["initContainers"]]
    if version is not None:
        for kind in ("initContainers", "containers"):
            if kind in spec:
                spec[kind] = [_told(container, version) for container in spec[kind]]
    spec["automountServiceAccountToken"] = "serviceAccountName" in spec
    spec["securityContext"] = {"seccompProfile": {"type": "RuntimeDefault"}, **spec.get("securityContext", {})}
    result: dict[str, Any] = {
        "metadata": {"labels": {**metadata.get("labels", {}), **labels(model, pool.name), **_version_label(version)}},
        "spec": spec,
    }
    if metadata.get("annotations"):
        result["metadata"]["annotations"] = metadata["annotations"]
    return result


def _serving(spec: dict[str, Any], port: int) -> int:
    """The index of the container that answers requests: the one that names the port, else the first."""
    for index, container in enumerate(spec["containers"]):
        if any(entry["containerPort"] == port for entry in container.get("ports", [])):
            return index
    return 0


def _leaving(container: dict[str, Any], grace_seconds: int) -> dict[str, Any]:
    """Every container waits before it ends: a side-car that ends first would take the serving one's metrics or
    network with it.
    """
    sleep_seconds = min(PRE_STOP_SECONDS, grace_seconds - 1)  # the API refuses a sleep that fills the grace period
    if sleep_seconds < 1:
        return container
    lifecycle = {"preStop": {"sleep": {"seconds": sleep_seconds}}, **container.get("lifecycle", {})}
    return {**container, "lifecycle": lifecycle}


def _told(container: dict[str, Any], version: ModelVersion) -> dict[str, Any]:
    """The container with the version in its environment. First, so that the user's own variables and arguments may
    refer to it, as in ``$(RECMODEL_MODEL_URI)``; a variable of this name that the user set wins.
    """
    given = container.get("env", [])
    names = {entry["name"] for entry in given}
    return {**container, "env": [entry for entry in version.environment() if entry["name"] not in names] + given}


def _version_label(version: ModelVersion | None) -> dict[str, str]:
    return {} if version is None else {VERSION_LABEL: version.version}


def _serving_container(container: dict[str, Any], port: int) -> dict[str, Any]:
    ports = container.get("ports", [])
    if not any(entry["containerPort"] == port for entry in ports):
        ports = [*ports, {"name": "recmodel", "containerPort": port, "protocol": "TCP"}]
    probe = {"tcpSocket": {"port": port}, "periodSeconds": 2, "timeoutSeconds": 2}
    return {"readinessProbe": probe, **container, "ports": ports}


def _hardened(container: dict[str, Any]) -> dict[str, Any]:
    result = dict(container)
    given = container.get("securityContext", {})
    result["securityContext"] = {"allowPrivilegeEscalation": False, **given}
    if "ports" in result:
        # "protocol" is part of the list's key for server-side apply, so it is written out even where it is the default.
        result["ports"] = [{"protocol": "TCP", **entry} for entry in result["ports"]]
    return result
