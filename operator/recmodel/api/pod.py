"""The pod template of a pool: a closed list of pod fields.

Whoever may create a RecModel must not get, by way of it, pods that they could not create themselves. So there is no host access,
no privilege and no host path here, and a service account only where the operator's own settings allow one. A field that is
missing from these classes is refused by name by ``kubectl apply`` (strict field validation).
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

Text = Annotated[str, StringConstraints(max_length=4096)]
ShortText = Annotated[str, StringConstraints(max_length=253)]
# A Kubernetes object that carries no privilege of its own; the API server checks it when the pod is made.
Open = Annotated[dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})]
Labels = Annotated[dict[ShortText, Text], Field(max_length=64)]
IntOrString = Annotated[int | str, Field(json_schema_extra={"x-kubernetes-int-or-string": True})]


class Strict(BaseModel):
    """Base of everything the user writes: camelCase in YAML, unknown fields refused, frozen once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class EnvVar(Strict):
    """An environment variable: a value, or where to take it from."""

    name: ShortText
    value: Text | None = None
    value_from: Open | None = None


class ContainerPort(Strict):
    """A port of the container."""

    name: ShortText | None = None
    container_port: Annotated[int, Field(ge=1, le=65535)]
    protocol: ShortText | None = None


class Resources(Strict):
    """Requests, limits and claims of a container. Any device resource of the cluster may stand here (nvidia.com/gpu, ...)."""

    requests: dict[ShortText, IntOrString] | None = None
    limits: dict[ShortText, IntOrString] | None = None
    claims: Annotated[list[Open], Field(max_length=16)] | None = None


class VolumeMount(Strict):
    """Where a volume is mounted."""

    name: ShortText
    mount_path: Text
    read_only: bool | None = None
    sub_path: Text | None = None


class Capabilities(Strict):
    """Linux capabilities: they can be dropped, not added."""

    drop: Annotated[list[ShortText], Field(max_length=64)] | None = None


class SeccompProfile(Strict):
    """The seccomp profile."""

    type: Annotated[str, StringConstraints(pattern="^(RuntimeDefault|Localhost)$")]
    localhost_profile: ShortText | None = None


class SecurityContext(Strict):
    """The part of a container's security context that takes rights away."""

    run_as_non_root: bool | None = None
    run_as_user: Annotated[int, Field(ge=1)] | None = None
    run_as_group: Annotated[int, Field(ge=1)] | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: Annotated[
        bool | None,
        Field(json_schema_extra={"x-kubernetes-validations": [{"rule": "!self", "message": "must be false"}]}),
    ] = None
    capabilities: Capabilities | None = None
    seccomp_profile: SeccompProfile | None = None


class PodSecurityContext(Strict):
    """The part of a pod's security context that takes rights away."""

    run_as_non_root: bool | None = None
    run_as_user: Annotated[int, Field(ge=1)] | None = None
    run_as_group: Annotated[int, Field(ge=1)] | None = None
    fs_group: Annotated[int, Field(ge=1)] | None = None
    seccomp_profile: SeccompProfile | None = None


class Container(Strict):
    """A container of the pool's pods."""

    name: ShortText
    image: Text
    image_pull_policy: ShortText | None = None
    command: Annotated[list[Text], Field(max_length=64)] | None = None
    args: Annotated[list[Text], Field(max_length=256)] | None = None
    working_dir: Text | None = None
    env: Annotated[list[EnvVar], Field(max_length=128)] | None = None
    env_from: Annotated[list[Open], Field(max_length=16)] | None = None
    ports: Annotated[list[ContainerPort], Field(max_length=16)] | None = None
    resources: Resources | None = None
    volume_mounts: Annotated[list[VolumeMount], Field(max_length=32)] | None = None
    readiness_probe: Open | None = None
    liveness_probe: Open | None = None
    startup_probe: Open | None = None
    lifecycle: Open | None = None
    security_context: SecurityContext | None = None


class Volume(Strict):
    """A volume of the pod's own namespace; host paths do not exist here."""

    name: ShortText
    empty_dir: Open | None = None
    config_map: Open | None = None
    secret: Open | None = None
    persistent_volume_claim: Open | None = None
    ephemeral: Open | None = None
    image: Open | None = None


class PodSpec(Strict):
    """The pod fields that a pool may set."""

    containers: Annotated[list[Container], Field(min_length=1, max_length=8)]
    init_containers: Annotated[list[Container], Field(max_length=8)] | None = None
    volumes: Annotated[list[Volume], Field(max_length=32)] | None = None
    node_selector: Labels | None = None
    affinity: Open | None = None
    tolerations: Annotated[list[Open], Field(max_length=32)] | None = None
    topology_spread_constraints: Annotated[list[Open], Field(max_length=8)] | None = None
    priority_class_name: ShortText | None = None
    runtime_class_name: ShortText | None = None
    scheduler_name: ShortText | None = None
    resource_claims: Annotated[list[Open], Field(max_length=16)] | None = None
    image_pull_secrets: Annotated[list[Open], Field(max_length=8)] | None = None
    termination_grace_period_seconds: Annotated[int, Field(ge=1, le=3600)] | None = None
    security_context: PodSecurityContext | None = None
    service_account_name: Annotated[
        ShortText | None, Field(description="Only where the operator's setting allowServiceAccounts names it.")
    ] = None


class PodMetadata(Strict):
    """Labels and annotations of the pool's pods, beside those that the operator sets."""

    labels: Labels | None = None
    annotations: Labels | None = None


class PodTemplate(Strict):
    """The pods of a pool."""

    metadata: PodMetadata | None = None
    spec: PodSpec
