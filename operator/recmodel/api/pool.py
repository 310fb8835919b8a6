"""A pool of a RecModel, and the Job that makes its variants: the places of a pod template."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from recmodel.api.pod import PodTemplate
from recmodel.api.quantity import Decimal, Duration, Name, at_most, seconds
from recmodel.api.strict import CEL, Rule, Strict
from recmodel.api.text import Port


def _restarts(policy: str) -> Rule:
    return Rule(
        f"!has(self.template.spec.restartPolicy) || self.template.spec.restartPolicy == '{policy}'",
        f"template.spec.restartPolicy must be {policy}",
        lambda written: written.template.spec.restart_policy in (None, policy),
    )


class Replicas(Strict):
    """The limits of a pool's size. Within them the operator alone decides."""

    min: Annotated[int, Field(ge=0, le=10_000, description="Fewest replicas; 0 lets the pool go to zero.")] = 0
    max: Annotated[int, Field(ge=1, le=10_000, description="Most replicas.")]


class PoolSpec(Strict):
    """A pool: one variant on one kind of device, with limits and a price."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.template.spec.containers.all(c, !has(c.ports) || c.ports.all(p, p.containerPort != self.port || "
            "!has(p.protocol) || p.protocol == 'TCP'))",
            "template: the containerPort that is the pool's port must have protocol TCP",
            lambda pool: all(
                entry.container_port != pool.port or entry.protocol in (None, "TCP")
                for container in pool.template.spec.containers
                for entry in container.ports or []
            ),
        ),
        _restarts("Always"),
    )

    name: Name
    variant: Annotated[Name | None, Field(description="One of spec.variants; without it, the first one.")] = None
    replicas: Annotated[
        Replicas,
        Field(
            json_schema_extra={
                CEL: [{"rule": "self.min <= self.max", "message": "replicas.min must not be above replicas.max"}]
            }
        ),
    ]
    cost_per_hour: Annotated[Decimal, Field(description="Price of one replica for an hour, in any one currency.")] = (
        "1.0"
    )
    port: Annotated[Port, Field(description="Port on which the pods answer requests, by TCP.")]
    template: PodTemplate


class Optimisation(Strict):
    """A Job that makes lighter variants and writes their record (``recmodel optimise``)."""

    rules: ClassVar[tuple[Rule, ...]] = (_restarts("Never"),)

    template: Annotated[
        PodTemplate, Field(description="Its pod. Another template is another Job; the same one is never started twice.")
    ]
    deadline: Annotated[
        Duration, at_most("168h"), Field(description="Time after which the Job is ended; at most 168h.")
    ] = "2h"

    @property
    def deadline_seconds(self) -> float:
        """``2h`` is 7,200."""
        return seconds(self.deadline)
