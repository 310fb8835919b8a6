"""The shapes of a RecModel, a workload and a ScaledObject, as far as ``recmodel handover`` reads them. Null means the same as absent."""

from __future__ import annotations

from typing import Any

from recmodel.cluster.observed.shapes import Conditions, Count, Generation, Listed, Said, Shape, Texts, Time, Word
from recmodel.report.adopted_shapes import Target, WorkloadSpec


class Limits(Shape):
    """How many replicas a pool may have."""

    min: Count = 0
    max: Count = 2**31 - 1


class ServiceName(Shape):
    """A Service as a backendRef has it."""

    name: Said = ""
    port: Count = 0


class PoolShape(Shape):
    """A pool; without a target it has a template."""

    name: Word
    replicas: Limits = Limits()
    target_ref: Target | None = None
    service: ServiceName | None = None


class RuleName(Target):
    """The rule of a route that a RecModel refers to."""

    rule: Count = 0


class Routed(Shape):
    """What is read of ``spec.route``."""

    ref: RuleName | None = None


class Spec(Shape):
    """What is read of a spec."""

    mode: Said = "Auto"  # the API's default
    pools: Listed[PoolShape] = []
    route: Routed = Routed()


class Metadata(Shape):
    """Of a RecModel."""

    generation: Generation = 0


class Status(Conditions):
    """What the operator says."""

    observed_generation: Generation = 0
    last_decision_time: Time = None


class RecModelShape(Shape):
    """A RecModel."""

    metadata: Metadata = Metadata()
    spec: Spec = Spec()
    status: Status = Status()


class WorkloadStatus(Shape):
    """How many of them are ready; a Deployment leaves out 0, another kind may not say."""

    ready_replicas: Count | None = None


class Replicated(Shape):
    """A workload."""

    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()


class ScaledTarget(Target):
    """What a ScaledObject scales: a Deployment where it names no kind."""

    kind: Said = "Deployment"


class Scaled(Shape):
    """What is read of the spec of a ScaledObject."""

    scale_target_ref: ScaledTarget = ScaledTarget()


class Managed(Shape):
    """Fields of an object, and who owns them."""

    manager: Said = ""
    fields_v1: dict[str, Any] = {}


class Annotated(Shape):
    """Annotations of an object."""

    annotations: Texts = {}
    managed_fields: Listed[Managed] = []

    def owner_of(self, annotation: str) -> set[str]:
        """The field managers that own an annotation."""
        found = set()
        for entry in self.managed_fields:
            metadata = entry.fields_v1.get("f:metadata")
            notes = metadata.get("f:annotations") if isinstance(metadata, dict) else None
            if isinstance(notes, dict) and f"f:{annotation}" in notes:
                found.add(entry.manager)
        return found


class ScaledObjectShape(Shape):
    """A ScaledObject of KEDA."""

    metadata: Annotated = Annotated()
    spec: Scaled = Scaled()
