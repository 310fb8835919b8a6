"""The pods of a pool: what the user wrote, and defaults for what they left open.

The defaults make a pod leave without an error (it goes on answering while the gateway forgets it), make readiness
mean "the port answers", and fit PodSecurity ``restricted``. What the user set always wins: a template that must run as root
says so.
"""

from __future__ import annotations

from typing import Any

from recmodel.api.container import OPERATORS_PORT
from recmodel.api.pod import GRACE_SECONDS
from recmodel.api.pool import PoolSpec
from recmodel.cluster.children.versions import ModelVersion
from recmodel.cluster.names import VERSION_LABEL, labels

PRE_STOP_SECONDS = 5  # the gateway stops sending within a second of the deletion; the rest is for slow endpoint updates


def pod_template(model: str, pool: PoolSpec, version: ModelVersion | None = None) -> dict[str, Any]:
    """The Deployment's ``spec.template`` of a pool that serves this version (None: of a pool without versions)."""
    written = pool.own_template.model_dump(by_alias=True, exclude_none=True)
    metadata = written.get("metadata", {})
    spec = restricted(written["spec"])
    grace_seconds = spec.setdefault("terminationGracePeriodSeconds", GRACE_SECONDS)
    kind, index = _serving(spec, pool.own_port)
    spec[kind][index] = _serving_container(spec[kind][index], pool.own_port)
    spec["containers"] = [_leaving(container, grace_seconds) for container in spec["containers"]]
    if version is not None:
        for kind in ("initContainers", "containers"):
            if kind in spec:
                spec[kind] = [_told(container, version) for container in spec[kind]]
    result: dict[str, Any] = {
        "metadata": {"labels": {**metadata.get("labels", {}), **labels(model, pool.name), **_version_label(version)}},
        "spec": spec,
    }
    if metadata.get("annotations"):
        result["metadata"]["annotations"] = metadata["annotations"]
    return result


def restricted(spec: dict[str, Any]) -> dict[str, Any]:
    """The pod with what PodSecurity ``restricted`` asks for, wherever it is silent on that; no token without an account."""
    theirs = spec.get("securityContext", {})
    result = {
        **spec,
        "automountServiceAccountToken": spec.get("automountServiceAccountToken", "serviceAccountName" in spec),
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}, **theirs},
    }
    for kind in ("initContainers", "containers"):
        if kind in spec:
            result[kind] = [_restricted_container(container, theirs) for container in spec[kind]]
    return result


def _restricted_container(container: dict[str, Any], pods: dict[str, Any]) -> dict[str, Any]:
    """The container with the rights that it did not ask for taken away; ``pods`` is the pod's security context."""
    own = container.get("securityContext", {})
    context = {
        "allowPrivilegeEscalation": False,
        **own,
        "capabilities": {"drop": ["ALL"], **own.get("capabilities", {})},
    }
    if "runAsNonRoot" not in {**pods, **own}:
        context["runAsNonRoot"] = {**pods, **own}.get("runAsUser") != 0
    result = {**container, "securityContext": context}
    if "ports" in result:
        # "protocol" is part of the list's key for server-side apply, so it is written out even where it is the default.
        result["ports"] = [{"protocol": "TCP", **entry} for entry in result["ports"]]
    return result


def _serving(spec: dict[str, Any], port: int) -> tuple[str, int]:
    """Where the container stands that answers requests: the one, or the side-car, that names the port, else the first."""
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(kind, [])):
            if _names(container, port) and (kind == "containers" or "restartPolicy" in container):
                return kind, index
    return "containers", 0


def _names(container: dict[str, Any], port: int) -> bool:
    return any(entry["containerPort"] == port for entry in container.get("ports", []))


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
    if not _names(container, port):
        ports = [*ports, {"name": OPERATORS_PORT, "containerPort": port, "protocol": "TCP"}]
    probe = {"tcpSocket": {"port": port}, "periodSeconds": 2, "timeoutSeconds": 2}
    return {"readinessProbe": probe, **container, "ports": ports}
