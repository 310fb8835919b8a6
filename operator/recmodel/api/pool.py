"""A pool of a RecModel, and the Job that makes its variants: the places of a pod template. A pool may name a workload instead."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from recmodel.api.pod import PodTemplate
from recmodel.api.quantity import Decimal, Duration, Name, at_most, seconds
from recmodel.api.reference import TargetRef
from recmodel.api.route_reference import ServiceRef
from recmodel.api.strict import CEL, Rule, Strict, one_of
from recmodel.api.text import Port


def _restarts(policy: str) -> Rule:
    return Rule(
        f"!has(self.template) || !has(self.template.spec.restartPolicy) || self.template.spec.restartPolicy == '{policy}'",
        f"template.spec.restartPolicy must be {policy}",
        lambda written: written.template is None or written.template.spec.restart_policy in (None, policy),
    )


class Replicas(Strict):
    """The limits of a pool's size. Within them the operator alone decides."""

    min: Annotated[
        int, Field(ge=0, le=10_000, description="Minimum of replicas. With 0 the pool may scale to zero.")
    ] = 0
    max: Annotated[int, Field(ge=1, le=10_000, description="Maximum of replicas.")]


class NodeBuffer(Strict):
    """Nodes ahead of need: a CapacityBuffer of the pool, where the cluster has that API, sized from the forecast."""

    lead_time: Annotated[
        Duration,
        at_most("30m"),
        Field(
            description="How long a new node takes, until pods of the pool that waited for one have shown it. At most 30m."
        ),
    ] = "3m"


class PoolSpec(Strict):
    """A pool: one variant on one kind of device, with limits and a price. The operator makes it from a template, or it is
    the workload that a targetRef names.
    """

    rules: ClassVar[tuple[Rule, ...]] = (
        one_of("template", "targetRef"),
        Rule(
            "has(self.template) == has(self.port)",
            "port must be set with a template, and only there",
            lambda pool: (pool.template is None) == (pool.port is None),
        ),
        Rule(
            "!has(self.template) || !has(self.port) || self.template.spec.containers.all(c, !has(c.ports) || "
            "c.ports.all(p, p.containerPort != self.port || "
            "!has(p.protocol) || p.protocol == 'TCP'))",
            "template: the containerPort that is the pool's port must have protocol TCP",
            lambda pool: (
                pool.template is None
                or all(
                    entry.container_port != pool.port or entry.protocol in (None, "TCP")
                    for container in pool.template.spec.containers
                    for entry in container.ports or []
                )
            ),
        ),
        _restarts("Always"),
        Rule(
            "!has(self.protocol) || has(self.template)",
            "protocol is for pools with a template: leave it out",
            lambda pool: pool.protocol is None or pool.template is not None,
        ),
    )

    name: Name
    variant: Annotated[Name | None, Field(description="One of spec.variants. Default: the first one.")] = None
    replicas: Annotated[
        Replicas,
        Field(
            json_schema_extra={
                CEL: [{"rule": "self.min <= self.max", "message": "replicas.min must not be above replicas.max"}]
            }
        ),
    ]
    cost_per_hour: Annotated[
        Decimal, Field(description="Price of one replica per hour. All pools use the same currency.")
    ] = "1.0"
    port: Annotated[
        Port | None, Field(description="Port on which the pods of the template answer requests, by TCP.")
    ] = None
    # No default in the schema: the API server would write it into every object, and an older operator refuses what it does not know.
    protocol: Annotated[
        Literal["HTTP", "H2C", "GRPC"] | None,
        Field(
            description="What the pods answer on port: HTTP/1.1, the default; H2C, HTTP/2 without TLS; or gRPC, with a GRPCRoute."
        ),
    ] = None
    template: Annotated[
        PodTemplate | None, Field(description="Template of the pods. The operator creates a Deployment from it.")
    ] = None
    # No default here either.
    warm_up: Annotated[
        Annotated[Duration, at_most("30m")] | None,
        Field(
            description="How long a pod that is Ready is slower than it will be: caches fill, code is compiled. Until then it gets "
            "requests and does not count in full. At most 30m; default: Ready is warm."
        ),
    ] = None
    target_ref: Annotated[
        TargetRef | None,
        Field(
            description="A workload that runs already, in place of a template. Mode Recommend says what it costs now and what the "
            "operator would run; mode Auto writes its replicas, and nothing else of it."
        ),
    ] = None
    # No default here either.
    node_buffer: Annotated[
        NodeBuffer | None,
        Field(
            description="Keeps nodes for replicas that the forecast wants soon, by a CapacityBuffer (autoscaling.x-k8s.io), which the "
            "Cluster Autoscaler or Karpenter serves. In mode Auto, where the operator's setting nodeBuffers allows it. Default: none."
        ),
    ] = None
    service: Annotated[
        ServiceRef | None,
        Field(description="With route.ref: the Service to which that rule sends the requests of this pool."),
    ] = None

    @property
    def warm_up_seconds(self) -> float:
        """``2m`` is 120; 0 where Ready is warm."""
        return seconds(self.warm_up) if self.warm_up is not None else 0.0

    @property
    def node_lead_seconds(self) -> float | None:
        """``3m`` is 180; None where no nodes are kept ahead of need."""
        return seconds(self.node_buffer.lead_time) if self.node_buffer is not None else None

    @property
    def own_template(self) -> PodTemplate:
        """The template; ``ValueError`` of a pool that is a reference, for which nothing is ever made."""
        if self.template is None:
            raise ValueError(f"pool {self.name} is a reference and has no template")
        return self.template

    @property
    def own_port(self) -> int:
        """The port of the template's pods; ``ValueError`` of a pool that is a reference."""
        if self.port is None:
            raise ValueError(f"pool {self.name} is a reference and has no port")
        return self.port


class Optimisation(Strict):
    """A Job that makes lighter variants and writes their record (``recmodel optimise``)."""

    rules: ClassVar[tuple[Rule, ...]] = (_restarts("Never"),)

    template: Annotated[
        PodTemplate,
        Field(
            description="Pod of the Job. A changed template starts a new Job. The same template is never started twice."
        ),
    ]
    deadline: Annotated[Duration, at_most("168h"), Field(description="Time limit of the Job. At most 168h.")] = "2h"

    @property
    def deadline_seconds(self) -> float:
        """``2h`` is 7,200."""
        return seconds(self.deadline)
