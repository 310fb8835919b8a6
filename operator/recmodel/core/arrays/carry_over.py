"""Carries a memory over to a changed set of models, array by array; a pool's new version believes less of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from recmodel.core.arrays.axes import axes_of
from recmodel.core.arrays.fleet import Fleet, Ints
from recmodel.core.types import Model

T = TypeVar("T")


@dataclass(frozen=True)
class Stays:
    """Where the models and pools that stay were, and where they are now."""

    new_models: Ints
    old_models: Ints
    new_pools: tuple[Ints, Ints]  # model and pool index
    old_pools: tuple[Ints, Ints]
    changed: tuple[Ints, Ints]  # of the new ones: those that serve another version now


def stays(old: Sequence[Model], new: Sequence[Model]) -> Stays:
    """Matches models by key and pools by name."""
    old_rows = {model.key: j for j, model in enumerate(old)}
    rows = [(i, old_rows[model.key]) for i, model in enumerate(new) if model.key in old_rows]
    cells = []
    for i, j in rows:
        names = {pool.name: k for k, pool in enumerate(old[j].pools)}
        cells += [(i, k, j, names[pool.name]) for k, pool in enumerate(new[i].pools) if pool.name in names]
    other = [(i, k) for i, k, j, before in cells if new[i].pools[k].version != old[j].pools[before].version]
    models, pools = np.array(rows, np.int64).reshape(-1, 2), np.array(cells, np.int64).reshape(-1, 4)
    changed = np.array(other, np.int64).reshape(-1, 2)
    return Stays(
        models[:, 0],
        models[:, 1],
        (pools[:, 0], pools[:, 1]),
        (pools[:, 2], pools[:, 3]),
        (changed[:, 0], changed[:, 1]),
    )


def carry(new: T, old: T, kept: Stays) -> T:
    """``new`` with everything that ``old`` knew of the models and pools that stay."""
    changes: dict[str, Any] = {}
    for field in fields(new):  # type: ignore[arg-type]
        before, after = getattr(old, field.name), getattr(new, field.name)
        if isinstance(after, Fleet):
            continue
        if is_dataclass(after):
            changes[field.name] = carry(after, before, kept)
        elif isinstance(after, np.ndarray):
            array, letters = after.copy(), axes_of(field)
            array[_at(letters, kept.new_models, kept.new_pools)] = before[_at(letters, kept.old_models, kept.old_pools)]
            changes[field.name] = array
        else:
            changes[field.name] = before  # counters such as the tick
    return replace(new, **changes)  # type: ignore[type-var]


def _at(letters: str, models: Ints, pools: tuple[Ints, Ints]) -> tuple[slice | Ints, ...]:
    """Where models, or pools, stand in an array with these axes."""
    before = (slice(None),) * letters.index("M")
    return (*before, *pools) if "P" in letters else (*before, models)
