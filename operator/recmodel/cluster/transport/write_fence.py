"""Until when this process may write: asked by the client before every attempt of every write."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Term:
    """One unbroken time of acting. A write that started in one is not sent in another: somebody else may have acted between."""

    number: tuple[int, ...] = ()
    seconds_left: float = math.inf  # 0 or less: no write may be sent any more


Fence = Callable[[str], Term]  # of a namespace


def unfenced(namespace: str) -> Term:  # noqa: ARG001
    """For a process that shares its cluster with no other operator."""
    return Term()
