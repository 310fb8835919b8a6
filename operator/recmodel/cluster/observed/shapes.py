"""The shapes of the objects that the operator reads, as far as it reads them. Null means the same as absent, as it does for
the API server; anything else of the wrong type refuses the object.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

Element = TypeVar("Element")


def _present(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: element for key, element in value.items() if element is not None}
    return [element for element in value if element is not None] if isinstance(value, list) else value


def _timestamp(value: Any) -> float | None:
    """Unix time of an API time such as ``2026-01-31T12:00:00Z``; None where it is none, which teaches nothing."""
    try:
        time = datetime.fromisoformat(value.replace("Z", "+00:00"))
        return time.timestamp() if time.tzinfo is not None else None
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None


Listed = Annotated[list[Element], BeforeValidator(_present)]
# What names something is ASCII in Kubernetes; it becomes keys, labels of metrics and queries.
Word = Annotated[str, StringConstraints(pattern=r"^[ -~]{1,512}$")]
LabelText = Annotated[str, StringConstraints(pattern=r"^[ -~]{0,512}$")]
Said = Annotated[str, AfterValidator(lambda text: text.encode(errors="replace").decode())]
Labels = Annotated[dict[str, LabelText], BeforeValidator(_present)]
Texts = Annotated[dict[str, str], BeforeValidator(_present)]
Written = Annotated[Said | float, Field(union_mode="left_to_right")]  # a quantity, which is only shown
Amounts = Annotated[dict[str, Written], BeforeValidator(_present)]
Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Code = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Generation = Annotated[int, Field(ge=0, le=2**63 - 1)]
Time = Annotated[float | None, BeforeValidator(_timestamp)]


class Shape(BaseModel):
    """Base of all shapes: what is not read is ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, alias_generator=to_camel, populate_by_name=True)

    @model_validator(mode="before")
    @classmethod
    def _null_is_absent(cls, value: Any) -> Any:
        return _present(value)


class OwnerReference(Shape):
    """Whose child an object is."""

    uid: Word
    controller: bool = False
    kind: Said = ""
    name: Said = ""


class Metadata(Shape):
    """What every object has."""

    namespace: Word
    name: Word
    uid: Word
    resource_version: str = ""
    generation: Generation = 0
    creation_timestamp: Time = None
    deletion_timestamp: str | None = None
    labels: Labels = {}
    annotations: Texts = {}
    owner_references: Listed[OwnerReference] = []


class Condition(Shape):
    """One condition of a status."""

    type: Word
    status: Word
    reason: Said = ""
    message: Said = ""
    last_transition_time: Time = None


class Conditions(Shape):
    """A status of which only the conditions are read."""

    conditions: Listed[Condition] = []

    def condition(self, kind: str) -> Condition | None:
        """The condition of this type."""
        return next((condition for condition in self.conditions if condition.type == kind), None)


class Plain(Shape):
    """An object of which only the metadata is read here; the rest is read by who knows its kind."""

    metadata: Metadata
    spec: dict[str, Any] = {}
    status: Any = None


class ConfigMapShape(Shape):
    """A ConfigMap; its records are read by who knows records."""

    metadata: Metadata
    data: Texts = {}


class EnvVar(Shape):
    """A variable that a container is given."""

    name: Said
    value: Said = ""


class Container(Shape):
    """A container of a template."""

    env: Listed[EnvVar] = []


class TemplateMetadata(Shape):
    """Of the pods that a template makes."""

    labels: Labels = {}


class PodSpec(Shape):
    """The containers of a template."""

    containers: Listed[Container] = []


class Template(Shape):
    """What a Deployment makes its pods from."""

    metadata: TemplateMetadata = TemplateMetadata()
    spec: PodSpec = PodSpec()


class DeploymentSpec(Shape):
    """What a Deployment is to be."""

    replicas: Count = 1
    template: Template = Template()


class DeploymentStatus(Conditions):
    """How far it is."""

    observed_generation: Generation = 0
    replicas: Count = 0
    updated_replicas: Count = 0


class DeploymentShape(Shape):
    """A Deployment."""

    metadata: Metadata
    spec: DeploymentSpec
    status: DeploymentStatus = DeploymentStatus()


class Backend(Shape):
    """Where a rule of a route sends to."""

    name: Said
    weight: Count = 1


class PathMatch(Shape):
    """The path that a request must have."""

    value: Said = ""


class Match(Shape):
    """Which requests a rule is for."""

    path: PathMatch = PathMatch()


class Rule(Shape):
    """One rule of a route."""

    matches: Listed[Match] = []
    backend_refs: Listed[Backend] = []


class ParentReference(Shape):
    """A gateway that a route wants, or that answers for it."""

    name: Said
    kind: Said = ""
    namespace: Said = ""
    section_name: Said = ""
    port: Count | None = None


class RouteSpec(Shape):
    """Where a route leads."""

    hostnames: Listed[Said] = []
    rules: Listed[Rule] = []
    parent_refs: Listed[ParentReference] = []


class RouteParent(Conditions):
    """What one gateway says of a route."""

    parent_ref: ParentReference


class RouteStatus(Shape):
    """What the gateways say of a route."""

    parents: Listed[RouteParent] = []


class RouteShape(Shape):
    """An HTTPRoute or a GRPCRoute."""

    metadata: Metadata
    spec: RouteSpec
    status: RouteStatus = RouteStatus()


class JobStatus(Conditions):
    """How far a Job is."""

    failed: Count = 0


class JobShape(Shape):
    """A Job."""

    metadata: Metadata
    status: JobStatus = JobStatus()
