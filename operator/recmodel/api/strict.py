"""What every type of the API is made of: a strict base, and rules that the API server (CEL) and pydantic hold alike.

A rule stands once, in both languages, at the type that it is about. So ``kubectl apply``, ``recmodel decide`` and the operator
refuse the same manifests, in the same words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Schema = dict[str, Any]
CEL = "x-kubernetes-validations"
LONGEST_NUMBER = 32  # characters


class _Annotation:
    """Metadata of an ``Annotated`` type that checks a value after its type, and adds to its schema."""

    __slots__ = ()

    def check(self, value: Any) -> Any:
        """The value; :class:`PydanticCustomError` where it is refused."""
        raise NotImplementedError

    def extend(self, schema: Schema) -> None:
        """Adds what the API server needs to refuse the same."""
        raise NotImplementedError

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        schema = handler(core)
        self.extend(schema)
        return schema


@dataclass(frozen=True, slots=True)
class Rule(_Annotation):
    """A rule on a value: for the API server in CEL over ``self``, for pydantic as a predicate. On a class it goes into ``rules``."""

    cel: str
    message: str
    holds: Callable[[Any], bool]

    def check(self, value: Any) -> Any:
        """The value; :class:`PydanticCustomError` with the message where the rule does not hold."""
        if not self.holds(value):
            raise PydanticCustomError("rule", "{rule}", {"rule": self.message})
        return value

    def extend(self, schema: Schema) -> None:
        """Adds the CEL rule."""
        schema[CEL] = [*schema.get(CEL, []), {"rule": self.cel, "message": self.message}]


@dataclass(frozen=True, slots=True)
class SpecRule:
    """A rule between the fields of a spec, for the API server in CEL and for the operator as a predicate."""

    cel: str  # over the spec
    message: str
    field: str  # of the spec, that breaks it
    value: Callable[[Any], object]  # of that field
    holds: Callable[[Any], bool]

    @property
    def for_the_api_server(self) -> dict[str, str]:
        """As it stands in the CRD."""
        return {"rule": self.cel, "message": self.message}

    def broken_by(self, spec: Any) -> str | None:
        """The field, the value and the rule; None where the spec keeps it."""
        if self.holds(spec):
            return None
        return f"spec.{self.field} is {self.value(spec)!r}: {self.message}"


@dataclass(frozen=True, slots=True)
class Keyed(_Annotation):
    """A list of objects of which no two have the same values in these required fields."""

    fields: tuple[str, ...]

    def check(self, value: Any) -> Any:
        """The list; :class:`PydanticCustomError` with the first key that stands twice."""
        seen = set()
        for entry in value:
            key = tuple(getattr(entry, snake(field)) for field in self.fields)
            if key in seen:
                shown = ", ".join(f"{field} {part!r}" for field, part in zip(self.fields, key, strict=True))
                raise PydanticCustomError("duplicate", "{shown} stands twice", {"shown": shown})
            seen.add(key)
        return value

    def extend(self, schema: Schema) -> None:
        """Makes it a map list, which also lets server-side apply own single entries."""
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = list(self.fields)


class Distinct(_Annotation):
    """A list of scalars of which none stands twice."""

    __slots__ = ()

    def check(self, value: Any) -> Any:
        """The list; :class:`PydanticCustomError` with the first value that stands twice."""
        twice = next((entry for index, entry in enumerate(value) if entry in value[:index]), None)
        if twice is not None:
            raise PydanticCustomError("duplicate", "{shown} stands twice", {"shown": repr(twice)})
        return value

    def extend(self, schema: Schema) -> None:
        """Makes it a set."""
        schema["x-kubernetes-list-type"] = "set"


@dataclass(frozen=True, slots=True)
class NumberOrText:
    """A number, or text of a pattern; read as text either way.

    The API has no type for it (``x-kubernetes-int-or-string`` refuses 0.5), so the node has none. A bound counts for values of its kind
    alone: the pattern for text, minimum and maximum for numbers. Objects, lists and booleans are refused by bounds that none of them meets.
    """

    pattern: str
    minimum: float
    maximum: float

    def _read(self, value: Any) -> str:
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not self.minimum <= value <= self.maximum:
                raise PydanticCustomError("bounds", "{rule}", {"rule": f"must be {self._bounds()}"})
            return format(Decimal(str(value)), "f")
        if isinstance(value, str) and len(value) <= LONGEST_NUMBER and re.fullmatch(self.pattern, value):
            return value
        raise PydanticCustomError(
            "pattern", "{rule}", {"rule": f"must be a number, {self._bounds()}, or text that matches {self.pattern}"}
        )

    def _bounds(self) -> str:
        return f"{self.minimum:g} to {self.maximum:g}"

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {
            "x-kubernetes-preserve-unknown-fields": True,
            "pattern": self.pattern, "maxLength": LONGEST_NUMBER, "minimum": self.minimum, "maximum": self.maximum,
            "minProperties": 1, "maxProperties": 0, "minItems": 1, "maxItems": 0, "not": {"enum": [True, False]},
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class IntegerOrText:
    """An integer within bounds, or text of a pattern; each stays what it is."""

    pattern: str
    max_length: int
    minimum: int
    maximum: int

    def _read(self, value: Any) -> int | str:
        if isinstance(value, int) and not isinstance(value, bool) and self.minimum <= value <= self.maximum:
            return value
        if isinstance(value, str) and len(value) <= self.max_length and re.fullmatch(self.pattern, value):
            return value
        rule = f"must be {self.minimum} to {self.maximum}, or text of at most {self.max_length} characters that matches {self.pattern}"
        raise PydanticCustomError("pattern", "{rule}", {"rule": rule})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._read)

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> Schema:
        return {
            "x-kubernetes-int-or-string": True,
            "pattern": self.pattern, "maxLength": self.max_length, "minimum": self.minimum, "maximum": self.maximum,
        }  # fmt: skip


def snake(field: str) -> str:
    """``mountPath`` is ``mount_path``."""
    return re.sub(r"(?<=[a-z])([A-Z])", r"_\1", field).lower()


def given(value: Any, *fields: str) -> int:
    """How many of these fields, by their names in YAML, are set."""
    return sum(getattr(value, snake(field)) is not None for field in fields)


def one_of(*fields: str) -> Rule:
    """Exactly one of the fields is set."""
    counted = ", ".join(f"has(self.{field})" for field in fields)
    return Rule(
        f"[{counted}].filter(set, set).size() == 1",
        f"must have exactly one of {', '.join(fields)}",
        lambda value: given(value, *fields) == 1,
    )


def _as_the_api_keeps_it(schema: Schema, model: type[Strict]) -> None:
    for rule in model.rules:
        rule.extend(schema)
    if issubclass(model, Kubernetes):
        schema.pop("description", None)


class Strict(BaseModel):
    """Base of everything the user writes: camelCase in YAML, unknown fields refused, frozen once read, its rules held."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        json_schema_extra=_as_the_api_keeps_it,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        """A null is a field that is not set, as for the API server; in a map, an entry that is not there."""
        if not isinstance(value, dict):
            return value
        known = {field.alias or name for name, field in cls.model_fields.items()}
        return {
            name: {key: entry for key, entry in child.items() if entry is not None}
            if isinstance(child, dict)
            else child
            for name, child in value.items()
            if child is not None or name not in known
        }

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Strict:
        for rule in self.rules:
            rule.check(self)
        return self


class Kubernetes(Strict):
    """Base of what a pod template takes over from Kubernetes as it is. Kubernetes describes it, so the CRD does not: each of
    these types stands in it up to forty times.
    """
