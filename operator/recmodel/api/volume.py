"""Volumes of a pod, all of its own namespace. Host paths do not exist here, and neither do service account tokens."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from recmodel.api.quantity import Quantity, exact
from recmodel.api.scheduling import LabelSelector
from recmodel.api.source import FieldRef, ResourceFieldRef
from recmodel.api.strict import Keyed, Kubernetes, Rule, Strict, one_of
from recmodel.api.text import (
    Annotations,
    DataKey,
    DnsLabel,
    Image,
    Labels,
    LocalPath,
    OptionalSubdomain,
    ShortText,
    Subdomain,
    Text,
)

DriverName = Annotated[str, Field(pattern=r"^[A-Za-z0-9]+((-+|\.)[A-Za-z0-9]+)*$", max_length=63)]
Mode = Annotated[int, Field(ge=0, le=0o777)]


class KeyToPath(Kubernetes):
    """A key, and the file that it becomes."""

    key: DataKey
    path: LocalPath
    mode: Mode | None = None


Items = Annotated[list[KeyToPath], Field(max_length=64)]


class EmptyDir(Kubernetes):
    """An empty directory."""

    medium: Annotated[str, Field(pattern=r"^(Memory|HugePages(-[0-9]+[KMG]i)?)?$", max_length=32)] | None = None
    size_limit: Quantity | None = None


class ConfigMapVolume(Kubernetes):
    """A ConfigMap's keys as files."""

    name: Subdomain
    items: Items | None = None
    default_mode: Mode | None = None
    optional: bool | None = None


class SecretVolume(Kubernetes):
    """A Secret's keys as files."""

    secret_name: Subdomain
    items: Items | None = None
    default_mode: Mode | None = None
    optional: bool | None = None


class DownwardFile(Kubernetes):
    """A field of the pod as a file."""

    rules: ClassVar[tuple[Rule, ...]] = (
        one_of("fieldRef", "resourceFieldRef"),
        Rule(
            "!has(self.resourceFieldRef) || has(self.resourceFieldRef.containerName)",
            "resourceFieldRef.containerName must be set in a volume",
            lambda file: file.resource_field_ref is None or file.resource_field_ref.container_name is not None,
        ),
        Rule(
            "!has(self.fieldRef) || self.fieldRef.fieldPath.startsWith('metadata.')",
            "fieldRef.fieldPath must be a field of the metadata: the others are for environment variables",
            lambda file: file.field_ref is None or file.field_ref.field_path.startswith("metadata."),
        ),
    )

    path: LocalPath
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    mode: Mode | None = None


class Downward(Kubernetes):
    """Fields of the pod as files."""

    items: Annotated[list[DownwardFile], Field(max_length=16)] | None = None


class DownwardVolume(Downward):
    """Fields of the pod as files."""

    default_mode: Mode | None = None


class Projection(Kubernetes):
    """Keys of one object as files."""

    name: Subdomain
    items: Items | None = None
    optional: bool | None = None


class ProjectedSource(Strict):
    """One source of a projected volume; not a service account's token."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of("configMap", "secret", "downwardAPI"),)

    config_map: Projection | None = None
    secret: Projection | None = None
    downward_api: Annotated[Downward | None, Field(alias="downwardAPI")] = None


class Projected(Kubernetes):
    """Several sources in one directory."""

    sources: Annotated[list[ProjectedSource], Field(min_length=1, max_length=16)]
    default_mode: Mode | None = None

    @model_validator(mode="after")
    def _paths_differ(self) -> Projected:
        """What would cost the API server too much as a rule of the schema."""
        parts = [part for s in self.sources for part in (s.config_map, s.secret, s.downward_api) if part is not None]
        paths = [item.path for part in parts for item in part.items or []]
        twice = next((path for index, path in enumerate(paths) if path in paths[:index]), None)
        if twice is not None:
            rule = f"sources: path {twice!r} stands twice: each path of a volume may stand once"
            raise PydanticCustomError("rule", "{rule}", {"rule": rule})
        return self


class Claim(Kubernetes):
    """A PersistentVolumeClaim that exists."""

    claim_name: Subdomain
    read_only: bool | None = None


class LocalReference(Kubernetes):
    """An object of the namespace by its name."""

    name: Subdomain


class Csi(Kubernetes):
    """An inline volume of a CSI driver."""

    driver: DriverName
    read_only: bool | None = None
    fs_type: ShortText | None = None
    volume_attributes: Annotated[dict[str, Text], Field(max_length=32)] | None = None
    node_publish_secret_ref: LocalReference | None = None


class ImageVolume(Kubernetes):
    """The files of an image."""

    reference: Image
    pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None


class DataSource(Kubernetes):
    """What a new volume is filled with."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.apiGroup) && self.apiGroup != '') || self.kind == 'PersistentVolumeClaim'",
            "kind must be PersistentVolumeClaim where apiGroup is not set; a VolumeSnapshot has snapshot.storage.k8s.io",
            lambda source: bool(source.api_group) or source.kind == "PersistentVolumeClaim",
        ),
    )

    api_group: OptionalSubdomain | None = None
    kind: Annotated[ShortText, Field(min_length=1)]
    name: Subdomain


class StorageSize(Kubernetes):
    """A size."""

    storage: Quantity

    @field_validator("storage")
    @classmethod
    def _is_something(cls, size: str) -> str:
        """What no schema can hold: the value has no type there."""
        if exact(size) <= 0:
            raise PydanticCustomError("rule", "must be above 0")
        return size


class StorageRequest(Kubernetes):
    """The size of a new volume."""

    requests: StorageSize
    limits: StorageSize | None = None


class ClaimSpec(Kubernetes):
    """The volume that each pod gets."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!('ReadWriteOncePod' in self.accessModes) || self.accessModes.size() == 1",
            "accessModes must have no other mode beside ReadWriteOncePod",
            lambda claim: "ReadWriteOncePod" not in claim.access_modes or len(claim.access_modes) == 1,
        ),
    )

    access_modes: Annotated[
        list[Literal["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"]],
        Field(min_length=1, max_length=4),
    ]
    storage_class_name: OptionalSubdomain | None = None
    volume_mode: Literal["Filesystem", "Block"] | None = None
    volume_attributes_class_name: Subdomain | None = None
    selector: LabelSelector | None = None
    data_source: DataSource | None = None
    resources: StorageRequest


class ClaimMetadata(Kubernetes):
    """Labels and annotations of the claim."""

    labels: Labels | None = None
    annotations: Annotations | None = None
    creation_timestamp: Annotated[ShortText | None, Field(exclude=True, description="Dropped.")] = None


class ClaimTemplate(Kubernetes):
    """A claim that is made for each pod."""

    metadata: ClaimMetadata | None = None
    spec: ClaimSpec


class Ephemeral(Kubernetes):
    """A volume of its own for each pod, which ends with it."""

    volume_claim_template: ClaimTemplate


SOURCES = (
    "emptyDir", "configMap", "secret", "persistentVolumeClaim", "ephemeral", "image", "csi", "projected", "downwardAPI",
)  # fmt: skip


class Volume(Strict):
    """A volume of the pod's own namespace; host paths do not exist here."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of(*SOURCES),)

    name: DnsLabel
    empty_dir: EmptyDir | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: Claim | None = None
    ephemeral: Ephemeral | None = None
    image: ImageVolume | None = None
    csi: Csi | None = None
    projected: Projected | None = None
    downward_api: Annotated[DownwardVolume | None, Field(alias="downwardAPI")] = None


Volumes = Annotated[list[Volume], Field(max_length=32), Keyed(("name",))]
