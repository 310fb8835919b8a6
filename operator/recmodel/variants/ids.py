"""Ids outside their tables, told with the column, the id and the row before anything runs.

onnxruntime would refuse the whole call without saying which row. JAX would train on the nearest id in silence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from recmodel.variants import graph
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError


def check_ids(model: onnx.ModelProto, rows: Rows, field: str) -> None:
    """Raises InputError where a row looks a constant up outside of it; an id below zero counts from the end."""
    sizes: dict[str, int] = {}
    tables = graph.constants(model)
    for node in model.graph.node:
        if node.op_type == "Gather" and node.input[0] in tables and node.input[1] not in tables:
            size = tables[node.input[0]].shape[graph.gather_axis(node)]
            sizes[node.input[1]] = min(size, sizes.get(node.input[1], size))
    found: dict[str, NDArray[Any]] = graph.tensors(model, sorted(sizes), rows.columns)
    for name, places in found.items():
        outside = (places < -sizes[name]) | (places >= sizes[name])
        if not outside.any():
            continue
        first = np.argwhere(outside)[0]
        row = f" in row {first[0]}" if len(places) == len(rows) and first.size else ""
        known = name in rows.columns
        raise InputError(
            f"{field}.{name}" if known else field,
            f"{places[tuple(first)]}{row}",
            f"must be {-sizes[name]} to {sizes[name] - 1}: {'its' if known else name + chr(39) + 's'} table has {sizes[name]} rows",
        )
