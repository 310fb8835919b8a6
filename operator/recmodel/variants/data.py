"""Evaluation and training data: named columns in an .npz file, checked against the model before anything runs.

A file holds one array for each input of the model, ``label`` (0 or 1), and optionally ``group`` (whole numbers: the user or
request of a row, for NDCG and for resampling whole groups) and the score of a simple baseline. Other columns are ignored, and
named. A training file may also hold tensors *inside* the graph by name, as they were at that row's time: a smoothed mean before
the row, where the served graph looks up the mean of today. Without that a model would learn from a table that has already counted
the row's own label.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recmodel.variants.errors import InputError
from recmodel.variants.graph import Array, Input

LABEL, GROUP = "label", "group"


@dataclass(frozen=True)
class Rows:
    """Rows of one split, in order of time."""

    name: str
    columns: Mapping[str, Array]
    label: NDArray[np.float32]
    group: NDArray[np.int64]  # each row its own group where the file has none
    sha256: str
    baseline: NDArray[np.float32] | None = None  # a simple score of the same rows, which a model has to beat
    ignored: tuple[str, ...] = ()  # columns that nobody reads

    def __len__(self) -> int:
        return len(self.label)


def read(
    path: Path,
    wanted: tuple[Input, ...],
    field: str,
    inner: frozenset[str] = frozenset(),
    baseline: str | None = None,
) -> Rows:
    """The rows in ``path`` for a model with inputs ``wanted``; ``inner`` are tensors of the graph that may stand there too.

    Raises InputError, naming the column, where one lacks, is of another type or shape, or is not finite. Others are ignored.
    """
    found = _arrays(path, field)
    names = [entry.name for entry in wanted]
    missing = [name for name in [*names, LABEL] if name not in found]
    if missing:
        raise InputError(f"{field}.{missing[0]}", sorted(found), "the model needs this column")
    if baseline is not None and baseline not in found:
        raise InputError("baseline", baseline, f"must be chance, or a column of the {field} data: {sorted(found)}")
    known = {*names, LABEL, GROUP, *inner, *([baseline] if baseline else [])}
    ignored = tuple(sorted(set(found) - known))
    found = {name: values for name, values in found.items() if name in known}
    rows = len(found[LABEL])
    for name, values in found.items():
        if values.ndim == 0 or len(values) != rows or rows == 0:
            raise InputError(
                f"{field}.{name}",
                f"{len(values) if values.ndim else 0} rows",
                f"must have the {rows} rows of {LABEL}, at least 1",
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(f"{field}.{name}", f"row {_first(~np.isfinite(values))}", "must be finite, without NaN")
    columns = {entry.name: _column(found[entry.name], entry, field) for entry in wanted}
    columns |= {name: found[name].astype(np.float32) for name in sorted(inner & set(found))}
    label = found[LABEL].astype(np.float32)
    if label.ndim != 1 or not np.isin(label, (0.0, 1.0)).all():
        raise InputError(f"{field}.{LABEL}", np.unique(label)[:5], "must be one column of 0 and 1")
    if label.min() == label.max():
        raise InputError(f"{field}.{LABEL}", label[0], "must have rows of both kinds, else there is nothing to rank")
    group = found.get(GROUP, np.arange(rows))
    if group.dtype.kind not in "iu" or group.ndim != 1:
        raise InputError(f"{field}.{GROUP}", f"{group.dtype} {group.shape}", "must be one column of whole numbers")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    simple = _column(found[baseline], Input(baseline, np.float32, None), field) if baseline else None
    return Rows(path.stem, columns, label, group.astype(np.int64), digest, simple, ignored)  # type: ignore[arg-type]


# Rows of which so many are different tell one from another: that all of them stand in another file is then no chance.
_DISTINCT_RATIO = 0.9


def holds_rows(whole: Rows, part: Rows) -> bool:
    """Whether ``whole`` holds all rows of ``part``, in whatever order; inner tensors and groups aside.

    Where few ids repeat again and again, rows are alike by chance: then only files with the very same rows count.
    """
    names = sorted(set(whole.columns) & set(part.columns))
    (all_rows, all_counts), (rows, counts) = _counted(whole, names), _counted(part, names)
    place = np.minimum(np.searchsorted(all_rows, rows), len(all_rows) - 1)
    if not (np.array_equal(all_rows[place], rows) and (all_counts[place] >= counts).all()):
        return False
    telling = len(rows) >= _DISTINCT_RATIO * len(part) and len(all_rows) >= _DISTINCT_RATIO * len(whole)
    return telling or len(whole) == len(part)


def _counted(rows: Rows, names: list[str]) -> tuple[NDArray[np.bytes_], NDArray[np.int64]]:
    """The different rows, as bytes in order, and how often each stands there."""
    parts = [rows.label, *(rows.columns[name] for name in names)]
    joined = np.hstack([np.ascontiguousarray(part).reshape(len(rows), -1).view(np.uint8) for part in parts])
    digits = np.frombuffer(joined.tobytes().hex().encode(), f"S{2 * joined.shape[1]}")
    return np.unique(digits, return_counts=True)


def _arrays(path: Path, field: str) -> dict[str, Array]:
    if not path.is_file():
        raise InputError(field, path, "must be a file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(field, path, f"must be an .npz archive of plain arrays ({error})") from error


def _column(values: Array, entry: Input, field: str) -> Array:
    shape = (len(values),) if entry.columns is None else (len(values), entry.columns)
    if values.shape != shape:
        raise InputError(f"{field}.{entry.name}", values.shape, f"the model takes {shape}")
    kinds = "iu" if np.issubdtype(entry.dtype, np.integer) else "fiu"
    if values.dtype.kind not in kinds:
        raise InputError(f"{field}.{entry.name}", values.dtype, f"the model takes {np.dtype(entry.dtype).name}")
    if values.dtype.kind in "iu" and np.issubdtype(entry.dtype, np.integer):
        limits = np.iinfo(entry.dtype)  # type: ignore[type-var]
        ids: NDArray[Any] = values
        outside = (ids < limits.min) | (ids > limits.max)
        if outside.any():  # astype would make another id of it
            told = f"{values[outside][0]} in row {_first(outside)}"
            raise InputError(
                f"{field}.{entry.name}", told, f"the model takes {limits.dtype.name}, which cannot hold it"
            )
    with np.errstate(over="ignore"):
        changed = values.astype(entry.dtype)
    if changed.dtype.kind == "f" and not np.isfinite(changed).all():
        wrong = ~np.isfinite(changed)
        told = f"{values[wrong][0]} in row {_first(wrong)}"
        raise InputError(f"{field}.{entry.name}", told, f"the model takes {changed.dtype.name}, which cannot hold it")
    return changed


def _first(wrong: NDArray[np.bool_]) -> int:
    return int(np.argwhere(wrong)[0][0])
