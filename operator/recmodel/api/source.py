"""Where the value of an environment variable comes from."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from recmodel.api.quantity import Divisor
from recmodel.api.strict import Kubernetes, Rule, one_of
from recmodel.api.text import KEY, DataKey, DnsLabel, Subdomain, VariableName

_FIELD = (
    rf"^(metadata\.(name|namespace|uid)|metadata\.(labels|annotations)(\['{KEY}'\])?|spec\.(nodeName|serviceAccountName)"
    r"|status\.(hostIPs?|podIPs?))$"
)
_RESOURCE = r"^(limits|requests)\.(cpu|memory|ephemeral-storage|hugepages-[0-9]+[KMG]i)$"


class FieldRef(Kubernetes):
    """A field of the pod."""

    api_version: Literal["v1"] | None = None
    field_path: Annotated[str, StringConstraints(pattern=_FIELD, max_length=350)]


class ResourceFieldRef(Kubernetes):
    """A request or limit of a container."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.divisor) || type(self.divisor) == int || "
            "(self.resource.endsWith('.cpu') ? self.divisor in ['0', '1', '1m'] : self.divisor != '1m')",
            "divisor must be 1 or 1m for cpu, else 1, 1k to 1E or 1Ki to 1Ei",
            lambda ref: (
                (str(ref.divisor or 0) in ("0", "1", "1m")) if ref.resource.endswith(".cpu") else ref.divisor != "1m"
            ),
        ),
    )

    container_name: DnsLabel | None = None
    resource: Annotated[str, StringConstraints(pattern=_RESOURCE, max_length=64)]
    divisor: Divisor | None = None


class KeyRef(Kubernetes):
    """A key of a ConfigMap or Secret of the namespace."""

    name: Subdomain
    key: DataKey
    optional: bool | None = None


class VariableSource(Kubernetes):
    """One place to take a value from."""

    rules: ClassVar[tuple[Rule, ...]] = (
        one_of("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef"),
        Rule(
            "!has(self.fieldRef) || !(self.fieldRef.fieldPath in ['metadata.labels', 'metadata.annotations'])",
            "fieldRef.fieldPath must name one label or annotation, as metadata.labels['team']; all of them are for a volume",
            lambda source: (
                source.field_ref is None
                or source.field_ref.field_path not in ("metadata.labels", "metadata.annotations")
            ),
        ),
    )

    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


class Variable(Kubernetes):
    """An environment variable: a value, or where to take it from."""

    rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.value) && self.value != '' && has(self.valueFrom))",
            "must not have both value and valueFrom",
            lambda variable: not (variable.value and variable.value_from),
        ),
    )

    name: VariableName
    value: Annotated[str, StringConstraints(max_length=4096)] | None = None
    value_from: VariableSource | None = None


class WholeRef(Kubernetes):
    """A ConfigMap or Secret of the namespace, all of its keys."""

    name: Subdomain
    optional: bool | None = None


class Variables(Kubernetes):
    """All keys of a ConfigMap or Secret as environment variables."""

    rules: ClassVar[tuple[Rule, ...]] = (one_of("configMapRef", "secretRef"),)

    prefix: Annotated[str, Field(pattern=r"^([ -<>-~]+)?$", max_length=253)] | None = None
    config_map_ref: WholeRef | None = None
    secret_ref: WholeRef | None = None
