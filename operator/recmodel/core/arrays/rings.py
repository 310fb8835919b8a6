"""Rings of the newest ticks, the newest first: ``ring[0]`` is of this tick, ``ring[k]`` of ``k`` ticks ago."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

Number = TypeVar("Number", bound=np.generic)


def pushed(ring: NDArray[Number], value: ArrayLike) -> NDArray[Number]:
    """The ring ``[R, ...]`` with ``value`` ``[...]`` as its newest; the oldest leaves it."""
    result = np.empty_like(ring)
    result[0], result[1:] = value, ring[:-1]
    return result
