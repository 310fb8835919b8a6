"""The order of resource versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Versioned(Protocol):
    """What stands of one object."""

    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


def as_number(version: str) -> int:
    """The resource version as a number that grows with each write (KEP-5504); 0 where a server sends anything else."""
    return int(version) if version.isascii() and version.isdecimal() and len(version) <= 20 else 0


def version_of(obj: Mapping[str, Any]) -> str:
    """The resource version that an object or a list says, however the rest of it looks; empty where it says none."""
    metadata = obj.get("metadata")
    version = metadata.get("resourceVersion") if isinstance(metadata, Mapping) else None
    return version if isinstance(version, str) else ""


def is_older(found: Versioned, known: Versioned) -> bool:
    """Whether ``found`` is what the same object was before; a version of 0 tells nothing."""
    before, after = as_number(found.resource_version), as_number(known.resource_version)
    return found.uid == known.uid and 0 < before < after
