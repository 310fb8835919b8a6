"""What the axes of an array field are, declared where the field is.

``M`` are the models of a fleet, ``P`` the pools of each, ``R`` the ticks or hours of a ring; other letters are axes of the array's own.
:mod:`recmodel.core.arrays.carry_over` carries arrays over to a changed set of models by these alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from typing import Any

KEY = "axes"


def axes(letters: str) -> Mapping[str, str]:
    """The metadata of a field whose array has these axes, a letter each: ``field(metadata=axes("RMP"))``."""
    return {KEY: letters}


def axes_of(declared: Field[Any]) -> str:
    """The axes that a field declares. KeyError: none."""
    letters: str = declared.metadata[KEY]
    return letters
