"""The one boundary at which objects of the cluster are read: what a watch, a list or an answer says becomes a frozen value
that nothing behind it can stumble over, or ``Unreadable``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import ValidationError

from recmodel.api.records import RECORD_LABEL
from recmodel.api.shown import shown
from recmodel.cluster import names
from recmodel.cluster.children import ownership
from recmodel.cluster.children.builders import Owner
from recmodel.cluster.observed.conflicting_controllers import TARGET_FIELDS, Identity, Target, target_of
from recmodel.cluster.observed.deployments import DeploymentState, deployment_state
from recmodel.cluster.observed.hindrance import hindrance
from recmodel.cluster.observed.pod_shapes import PodShape
from recmodel.cluster.observed.pods import PodState, labelled_pod_state, pod_state
from recmodel.cluster.observed.route_rule import RouteState, route_state
from recmodel.cluster.observed.scales import scaled_state
from recmodel.cluster.observed.shapes import (
    ConfigMapShape,
    DeploymentShape,
    JobShape,
    Metadata,
    Plain,
    RouteShape,
    Shape,
)
from recmodel.cluster.observed.workloads import WorkloadShape, WorkloadState, workload_state
from recmodel.cluster.transport.errors import Unreadable
from recmodel.cluster.transport.resource_version import as_number

Object = dict[str, Any]
T = TypeVar("T")
Facts = PodState | DeploymentState | Target | None


@dataclass(frozen=True, slots=True)
class Known:
    """An object as it is kept."""

    identity: Identity
    uid: str
    version: int  # grows with each write of the object; 0 where the server gives none, which counts as new
    key: str | None  # of the model whose label it carries
    facts: Facts  # what is decided by: of a pod, a Deployment, or somebody else's object that acts on one
    body: (
        Object  # children, Jobs and ConfigMaps: as plain data without nulls, of which the shape was checked; else empty
    )


SHAPES: Mapping[names.Kind, type[PodShape | DeploymentShape | RouteShape | JobShape | ConfigMapShape]] = {
    names.POD: PodShape, names.DEPLOYMENT: DeploymentShape, names.ROUTE: RouteShape, names.GRPC_ROUTE: RouteShape,
    names.JOB: JobShape, names.CONFIG_MAP: ConfigMapShape,
}  # fmt: skip
LONGEST_NAME = 253  # the API server takes none longer
LABELS: Mapping[names.Kind, str] = {names.CONFIG_MAP: RECORD_LABEL}  # that names the model; of all other kinds, ours


def read(kind: names.Kind, obj: Any) -> Known:
    """Raises ``Unreadable`` on anything that is not an object of this kind."""
    return _guarded(kind, obj, lambda: _read(kind, obj))


def read_workload(kind: names.Kind, obj: Any) -> WorkloadState:
    """What stands of a workload that is referred to. Raises ``Unreadable`` on anything else."""
    return _guarded(
        kind, obj, lambda: workload_state(WorkloadShape.model_validate(obj), ownership.replicas_holders(obj))
    )


def read_scaled(kind: names.Kind, obj: Any, scale: Any, path: ownership.Path) -> WorkloadState:
    """The same of a kind that is read by its scale; ``path`` is where it is known to keep its replicas."""
    return _guarded(kind, obj, lambda: scaled_state(obj, scale, path))


def read_pod(obj: Any, key: str) -> PodState:
    """A pod of the workload ``key`` that is referred to, whatever its labels. Raises ``Unreadable`` on anything else."""
    return _guarded(names.POD, obj, lambda: _pod(PodShape.model_validate(obj), key))


def read_route(kind: names.Kind, obj: Any) -> RouteState:
    """What stands of a route that is referred to. Raises ``Unreadable`` on anything else."""
    return _guarded(kind, obj, lambda: route_state(kind, obj, _without_nulls(obj)))


@dataclass(frozen=True, slots=True)
class RecModelObject:
    """A RecModel as a watch delivers it. What its owner wrote, and the status, are read by who knows them."""

    owner: Owner
    generation: int
    leaving: bool  # it is being deleted
    body: Object


def read_recmodel(obj: Any) -> RecModelObject:
    """Raises ``Unreadable`` where it is not even an object with a name and a generation."""
    return _guarded(names.RECMODEL, obj, lambda: _recmodel(obj))


def identity_of(obj: Any) -> Identity:
    """Namespace and name of an object, however the rest of it looks; ``?`` for what is not to be found."""
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    found = metadata if isinstance(metadata, Mapping) else {}
    namespace, name = (found.get(field) for field in ("namespace", "name"))
    return _word(namespace), _word(name)


def uid_of(obj: Any) -> str | None:
    """The object's uid, however the rest of it looks."""
    metadata = obj.get("metadata") if isinstance(obj, Mapping) else None
    uid = metadata.get("uid") if isinstance(metadata, Mapping) else None
    return uid if isinstance(uid, str) else None


def _read(kind: names.Kind, obj: Mapping[str, Any]) -> Known:
    shape = SHAPES.get(kind, Plain).model_validate(obj)
    metadata = shape.metadata
    model = metadata.labels.get(LABELS.get(kind, names.MODEL_LABEL))
    return Known(
        identity=(metadata.namespace, metadata.name),
        uid=metadata.uid,
        version=as_number(metadata.resource_version),
        key=f"{metadata.namespace}/{model}" if model else None,
        facts=_facts(kind, shape, metadata),
        body=_body(kind, shape, obj),
    )


def _facts(kind: names.Kind, shape: Shape, metadata: Metadata) -> Facts:
    if isinstance(shape, PodShape):
        return labelled_pod_state(shape, as_number(metadata.resource_version))
    if isinstance(shape, DeploymentShape):
        return deployment_state(shape)
    if not isinstance(shape, Plain) or kind not in TARGET_FIELDS:
        return None
    makers = [f"{owner.kind} {owner.name}" for owner in metadata.owner_references if owner.controller and owner.kind]
    target = target_of(kind, shape.spec, next(iter(makers), ""))
    return replace(target, hindrance=hindrance(shape.status)) if kind == names.AUTOSCALER else target


def _pod(shape: PodShape, key: str) -> PodState:
    return pod_state(shape, as_number(shape.metadata.resource_version), key, "")


def _body(kind: names.Kind, shape: Shape, obj: Mapping[str, Any]) -> Object:
    if kind == names.POD or kind in TARGET_FIELDS:
        return {}
    if isinstance(shape, ConfigMapShape):  # of thousands of keys each is looked at once
        return {"metadata": _without_nulls(obj["metadata"]), "data": shape.data}
    return _plain(kind, obj)


def _plain(kind: names.Kind, obj: Mapping[str, Any]) -> Object:
    """The object without nulls and without what is large and never read."""
    body = {"spec": {}, **_without_nulls(obj)} if kind in names.OWNED_KINDS else _without_nulls(obj)
    if kind in names.ROUTES:
        body["spec"].setdefault("rules", [])
    ownership.keep_ours(body)
    return body


def _recmodel(obj: Any) -> RecModelObject:
    metadata = Plain.model_validate({"metadata": obj["metadata"]}).metadata
    if not metadata.generation:
        raise ValueError("metadata.generation is missing")
    body = {**obj, "metadata": _without_nulls(obj["metadata"])}
    owner = Owner(metadata.namespace, metadata.name, metadata.uid)
    return RecModelObject(owner, metadata.generation, metadata.deletion_timestamp is not None, body)


def _guarded(kind: names.Kind, obj: Any, reading: Callable[[], T]) -> T:
    try:
        return reading()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        problem = f"{'.'.join(str(part) for part in first['loc'])} is {shown(first['input'])}: {first['msg']}"
    except Exception as error:  # whatever it holds, it stops nobody but itself
        problem = f"{type(error).__name__}: {shown(str(error), 200)}"
    raise Unreadable(f"{kind.kind} {'/'.join(identity_of(obj))} cannot be read: {problem}")


def _word(value: Any) -> str:
    return value if isinstance(value, str) and value.isprintable() and 0 < len(value) <= LONGEST_NAME else "?"


def _without_nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nulls(element) for key, element in value.items() if element is not None}
    if isinstance(value, list):
        return [_without_nulls(element) for element in value if element is not None]
    return value
