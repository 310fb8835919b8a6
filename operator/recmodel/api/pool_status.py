"""What the status says of one pool, part by part."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel


class Written(BaseModel):
    """Base of what the operator writes: camelCase in YAML."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class PoolDecisionStatus(Written):
    """Why a pool has its replicas. It is written with whatever else is, and with lastDecisionTime, of which it is."""

    proposed_replicas: Annotated[int | None, Field(description="What the plan wanted, before the guards.")] = None
    reason: Annotated[
        str | None,
        Field(max_length=128, description="Reason of the last guard that changed the replicas. Absent where they are as the plan wanted."),
    ] = None  # fmt: skip
    message: Annotated[
        str | None, Field(max_length=1024, description="The reason in a sentence, with its numbers.")
    ] = None
    until: Annotated[
        str | None,
        Field(description="When the guard ends if nothing else changes. Absent where it does not depend on time.",
              json_schema_extra={"format": "date-time"}),
    ] = None  # fmt: skip


class ContestStatus(Written):
    """Who keeps writing over the replicas of a targetRef, or the weights of route.ref. An operator that restarts continues from it."""

    target: Annotated[str, Field(description="What is written over: a workload, or a rule of a route.")]
    writers: Annotated[list[str], Field(max_length=16, description="Field managers.")] = []
    times: Annotated[int, Field(ge=1, description="In a row.")]
    last_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    stood_seconds: Annotated[int, Field(ge=0, description="How long what the operator wrote stood at most.")]


class NodeBufferStatus(Written):
    """Nodes that are asked for ahead of a pool's need."""

    replicas: Annotated[
        int | None,
        Field(
            description="Replicas, beside those that are decided, for which the decision asks for room. Absent while not known."
        ),
    ] = None
    standing: Annotated[
        int | None, Field(description="The same as the CapacityBuffer says it now. Absent where there is none.")
    ] = None
    reason: Annotated[str, Field(max_length=128)]
    message: Annotated[str, Field(max_length=1024, description="The reason in a sentence, with its numbers.")]
