"""One call of the Kubernetes API, before it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from recmodel.cluster.names import ACCESS_REVIEW, FIELD_MANAGER, Kind

RETRIES = 4


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the API server. ``kind`` is what the path leads to; calls are counted by it."""

    method: str
    kind: Kind
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    content_type: str = "application/json"
    retries: int = RETRIES  # how often it is sent again where the API server could not do it

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def apply_request(
    kind: Kind, path: str, body: Mapping[str, Any], force: bool = True, retries: int = RETRIES
) -> Request:
    """A server-side apply; with ``force`` it also takes over the fields that others own."""
    query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else "false"}
    return Request("PATCH", kind, path, query, body, "application/apply-patch+yaml", retries)


def replicas_request(kind: Kind, identity: tuple[str, str], uid: str, replicas: int, retries: int) -> Request:
    """A server-side apply of the scale subresource of what is ours."""
    namespace, name = identity
    metadata = {"namespace": namespace, "name": name, "uid": uid}
    body = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": {"replicas": replicas}}
    return apply_request(kind, kind.path(namespace, name, "scale"), body, retries=retries)


def scale_request(
    kind: Kind, identity: tuple[str, str], seen: Mapping[str, str], replicas: int, retries: int
) -> Request:
    """A merge patch of the scale subresource: it owns what it changes, as an autoscaler does, and 409 says that the object is no
    longer as it was ``seen``. A JSON patch has 422 for that, and no field to replace where there are 0 replicas.
    """
    body = {"metadata": dict(seen), "spec": {"replicas": replicas}}
    path, query = kind.path(*identity, "scale"), {"fieldManager": FIELD_MANAGER}
    return Request("PATCH", kind, path, query, body, "application/merge-patch+json", retries)


def access_request(verb: str, group: str, resource: str, namespace: str | None, name: str | None) -> Request:
    """Asks whether our account may do this; ``resource`` is such as ``deployments/scale``."""
    plural, _, subresource = resource.partition("/")
    asked = {
        "verb": verb, "group": group, "resource": plural,
        "subresource": subresource, "namespace": namespace, "name": name,
    }  # fmt: skip
    body = {"spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}}}
    return Request("POST", ACCESS_REVIEW, ACCESS_REVIEW.path(), body=body)


def selected(labels: str, fields: str) -> dict[str, str]:
    """The query that names objects by their labels and fields; empty: any."""
    return {**({"labelSelector": labels} if labels else {}), **({"fieldSelector": fields} if fields else {})}
