"""The order of resource versions."""

from __future__ import annotations


def as_number(version: str) -> int:
    """The resource version as a number that grows with each write (KEP-5504); 0 where a server sends anything else."""
    return int(version) if version.isascii() and version.isdecimal() and len(version) <= 20 else 0
