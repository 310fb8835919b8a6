"""numba's compiler, as the simulator uses it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from numba import njit

Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


def compiled(function: Callable[Parameters, Returned]) -> Callable[Parameters, Returned]:
    """numba's njit, typed; cached on disk where numba finds a folder that it may write to.

    Reference counting is off (nothing here allocates) and calls are inlined: the tuples of arrays below are passed from
    function to function, and counting or copying them for every request made a run 20 times slower. All compiled
    functions are in one file (``kernel``), since numba's cache of a caller does not see a change of a callee elsewhere.
    """
    options: dict[str, Any] = {"_nrt": False, "forceinline": True}
    try:
        jitted: Any = njit(cache=True, **options)(function)
    except RuntimeError:  # "cannot cache function: no locator available": a read-only installation
        jitted = njit(**options)(function)
    return cast(Callable[Parameters, Returned], jitted)
