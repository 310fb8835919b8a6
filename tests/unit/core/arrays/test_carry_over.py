"""Every array that the engine keeps says what its axes are, and has them: it is carried over by that alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from recmodel.core.arrays.axes import axes, axes_of
from recmodel.core.arrays.carry_over import carry, stays
from recmodel.core.memory import begin
from recmodel.core.types import Model, Pool

POOLS = tuple(Pool(name, 0, 5, 1.0) for name in ("cpu", "gpu"))
MODELS = [Model(f"shop/{n}", 0.95, 0.1, POOLS) for n in range(3)]


def arrays(value: Any, path: str = "") -> Iterator[tuple[str, Field[Any], np.ndarray[Any, Any]]]:
    """Every array in a value made of frozen dataclasses, and the field that declares it."""
    for declared in fields(value):
        inner, name = getattr(value, declared.name), f"{path}.{declared.name}"
        if isinstance(inner, np.ndarray):
            yield name, declared, inner
        elif is_dataclass(inner):
            yield from arrays(inner, name)


@pytest.mark.parametrize("name", [name for name, _, _ in arrays(begin(MODELS))])
def test_every_array_of_the_memory_declares_its_axes(name: str) -> None:
    declared, array = next((d, a) for n, d, a in arrays(begin(MODELS)) if n == name)
    letters = axes_of(declared)
    assert len(letters) == len(set(letters)) == array.ndim
    size = dict(zip(letters, array.shape, strict=True))
    assert size["M"] == 3
    assert size.get("P", 2) == 2
    assert letters.index("M") == ("R" in letters), "a ring comes first, then the models"


def test_every_array_follows_its_model_and_its_pool() -> None:
    """Models change places, pools too, and one of each is new: what was known of one is found at its new place."""
    old = begin(MODELS)
    new = begin([Model("shop/new", 0.95, 0.1, POOLS), replace(MODELS[2], pools=POOLS[::-1]), MODELS[0]])
    marked = {name: array for name, _, array in arrays(old)}
    for name, declared, array in arrays(old):
        if name.startswith(".fleet"):
            continue
        letters = axes_of(declared)
        each = np.arange(6).reshape(3, 2) + 1 if "P" in letters else np.arange(3) + 1
        each = each.reshape(each.shape + (1,) * (array.ndim - each.ndim - ("R" in letters)))
        array[...] = each % 2 if array.dtype == bool else each
    carried = carry(new, old, stays(MODELS, new.fleet.models))
    for name, declared, array in arrays(carried):
        if name.startswith(".fleet"):
            continue
        ring = (0,) if "R" in axes_of(declared) else ()
        before = marked[name]
        if "P" in axes_of(declared):
            assert (array[(*ring, 1, 0)] == before[(*ring, 2, 1)]).all(), name
            assert (array[(*ring, 1, 1)] == before[(*ring, 2, 0)]).all(), name
            assert (array[(*ring, 2, 1)] == before[(*ring, 0, 1)]).all(), name
        else:
            assert (array[(*ring, 1)] == before[(*ring, 2)]).all(), name
            assert (array[(*ring, 2)] == before[(*ring, 0)]).all(), name


def test_a_field_without_axes_is_an_error_and_not_a_guess() -> None:
    assert axes("RMP") == {"axes": "RMP"}
    with pytest.raises(KeyError, match="axes"):
        axes_of(fields(Pool)[0])
