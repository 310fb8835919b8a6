"""Mechanisms of the core that can be left out, as functions and what stands in their place."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from inspect import signature
from typing import Any

import numpy as np

ENDLESS_SECONDS = 1e9

Made = Callable[..., Any]


def _with(name: str, of: Callable[[Any], Any]) -> Callable[[Made], Made]:
    """A function that is given something else for the argument of this name."""

    def without(function: Made) -> Made:
        position = list(signature(function).parameters).index(name)

        def plain(*values: Any) -> Any:
            return function(*values[:position], of(values[position]), *values[position + 1 :])

        return plain

    return without


# By mechanism: the name of a function that only one module of the core defines, and what makes of it one without the mechanism.
# Guards and the forecast's candidates are not here: they are found in the sources.
MECHANISMS: Mapping[str, tuple[str, Callable[[Made], Made]]] = {
    "one replica less is tried": ("stretched", _with("probed", np.zeros_like)),
    "limits stretched to the head-room": ("stretched", _with("margin", np.ones_like)),
    "what is bad at any load is excused": ("compare", _with("trouble", np.zeros_like)),
    "a jump with nobody late is doubted": ("implausible", lambda made: lambda *values: np.zeros_like(made(*values))),
    "a past is learned from": ("learn_history", lambda _: lambda memory, *_: memory),
    "a change has its price": ("lasted_seconds", lambda made: lambda *values: np.full_like(made(*values), ENDLESS_SECONDS)),
}  # fmt: skip


@contextmanager
def without(mechanism: str) -> Iterator[None]:
    """While it lasts, every module of the core that uses the mechanism's function has the other one. A LookupError where none is."""
    name, change = MECHANISMS[mechanism]
    core = [module for key, module in sys.modules.items() if key.startswith("recmodel.core.")]
    users = [module for module in core if callable(vars(module).get(name))]
    functions = {vars(module)[name] for module in users}
    if len(functions) != 1:
        raise LookupError(f"{mechanism}: one function of the core must be called {name}, but {len(functions)} are")
    whole = functions.pop()
    plain = change(whole)
    for module in users:
        setattr(module, name, plain)
    try:
        yield
    finally:
        for module in users:
            setattr(module, name, whole)
