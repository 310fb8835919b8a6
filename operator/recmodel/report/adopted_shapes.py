"""The shapes of a workload and of an autoscaler, as far as ``recmodel adopt`` reads them. Null means the same as absent."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from recmodel.api.shown import shown
from recmodel.cluster.names import Kind
from recmodel.cluster.observed.conflicting_controllers import group_of
from recmodel.cluster.observed.shapes import Amounts, Count, Labels, Listed, Said, Shape, Word, Written

AnyShape = TypeVar("AnyShape", bound=Shape)


class Maker(Shape):
    """What made an object, and whether it keeps it."""

    controller: bool = False
    kind: Said = ""
    name: Said = ""


class Named(Shape):
    """Name and makers of an object."""

    name: Word
    owner_references: Listed[Maker] = []

    @property
    def maker(self) -> Maker | None:
        """What keeps it: one at most."""
        return next((maker for maker in self.owner_references if maker.controller), None)


class Port(Shape):
    """A port of a container."""

    container_port: Count


class Resources(Shape):
    """What a container asks for."""

    limits: Amounts = {}
    requests: Amounts = {}


class Container(Shape):
    """A container of a workload."""

    name: Said = ""
    image: Said = ""
    command: Listed[Said] = []
    args: Listed[Said] = []
    ports: Listed[Port] = []
    resources: Resources = Resources()


class PodSpec(Shape):
    """The containers of the pods."""

    containers: Listed[Container] = []


class TemplateMetadata(Shape):
    """Of the pods."""

    labels: Labels = {}


class Template(Shape):
    """What the pods are made from."""

    metadata: TemplateMetadata = TemplateMetadata()
    spec: PodSpec = PodSpec()


class WorkloadSpec(Shape):
    """How many replicas, of what."""

    replicas: Count = 1
    template: Template = Template()


class WorkloadShape(Shape):
    """A Deployment or StatefulSet."""

    metadata: Named
    spec: WorkloadSpec = WorkloadSpec()


class ScalableShape(Shape):
    """A workload of another kind: its scale says what it runs, and what its spec holds is its own."""

    metadata: Named
    spec: dict[str, Any] = {}


class MetricName(Shape):
    """The name of a metric that is none of the resources."""

    name: Said = ""


class Aim(Shape):
    """What a metric is kept at."""

    average_utilization: Count | None = None
    average_value: Written | None = None
    value: Written | None = None


class Source(Shape):
    """A metric of an autoscaler, of whatever type."""

    name: Said = ""
    metric: MetricName = MetricName()
    target: Aim = Aim()


class Metric(Shape):
    """A metric of an autoscaler: its type says which of the fields it has."""

    type: Said = ""
    resource: Source | None = None
    container_resource: Source | None = None
    pods: Source | None = None
    object: Source | None = None
    external: Source | None = None

    @property
    def source(self) -> Source:
        """Of whichever type."""
        found = (self.resource, self.container_resource, self.pods, self.object, self.external)
        return next((source for source in found if source is not None), Source())


class Target(Shape):
    """What an autoscaler scales."""

    api_version: Said = ""
    kind: Said = ""
    name: Said = ""

    def names(self, kind: Kind, name: str) -> bool:
        """Whether it is this workload; one that tells no group may be of any."""
        group = group_of(self.api_version, self.kind)
        return (self.kind, self.name) == (kind.kind, name) and group in (kind.group, None)


class Scaling(Shape):
    """An autoscaler of which only the target is read."""

    scale_target_ref: Target = Target()


class Scaler(Shape):
    """An autoscaler's target, in the first reading of it."""

    spec: Scaling = Scaling()


class AutoscalerSpec(Shape):
    """The limits of an autoscaler, and what it acts on."""

    min_replicas: Count = 1
    max_replicas: Count = 1
    metrics: Listed[Metric] = []


class AutoscalerShape(Shape):
    """A HorizontalPodAutoscaler."""

    metadata: Named
    spec: AutoscalerSpec = AutoscalerSpec()
    status: Any = None


def read(shape: type[AnyShape], body: Any, what: str) -> AnyShape:
    """``body`` in its shape; ``ValueError`` says of ``what`` the field, the value and the rule."""
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        raise ValueError(f"{what} cannot be read: {where} is {shown(first['input'])}: {first['msg']}") from error


def scales(body: Any, kind: Kind, name: str) -> bool:
    """Whether an autoscaler scales this workload. One of which the target cannot be read acts on nothing."""
    try:
        target = Scaler.model_validate(body).spec.scale_target_ref
    except ValidationError:
        return False
    return target.names(kind, name)
