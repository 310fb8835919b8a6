"""Whether a changed graph still scores real rows as the graph that it came from: nothing is used that has not shown it.

A transformation that ought to change nothing (folding, another spelling of a layer, the training code's own arithmetic) is held
to a thousandth of the spread of the scores. So rare clicks, whose scores all lie near 0.001, are held as strictly as others.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx

from recmodel.variants import graph
from recmodel.variants.errors import first_line
from recmodel.variants.graph import Array, Floats

ROWS = 256
# Of the standard deviation of the scores: 3e-5 where they spread by 0.03.
TOLERANCE_RATIO = 1e-3
# Of the largest score: an untrained model's scores, all near 0.5, still differ by the last bits of a float32.
ROUNDING_RATIO = 4e-6
# Rows that are scored alone too, and how much of the spread of the scores their neighbours may move them: halves round otherwise
# in another place of a matrix.
ALONE = 16
DEPENDENCE_RATIO = 0.02


def some_rows(columns: Mapping[str, Array]) -> dict[str, Array]:
    """At most 256 of the rows, from all over them."""
    rows = len(next(iter(columns.values())))
    chosen = np.unique(np.linspace(0, rows - 1, min(rows, ROWS)).astype(np.int64))
    return {name: values[chosen] for name, values in columns.items()}


def gap(expected: Floats, found: Floats, tolerance_ratio: float = TOLERANCE_RATIO) -> str | None:
    """What is wrong with ``found`` where ``expected`` is right; None where nothing is."""
    if len(found) != len(expected):
        return f"{len(found)} scores for {len(expected)} rows"
    if not np.isfinite(found).all():
        return "a score is NaN or infinite"
    largest = float(np.abs(found.astype(np.float64) - expected).max())
    spread = float(np.std(expected.astype(np.float64)))
    tolerance = max(ROUNDING_RATIO * float(np.abs(expected).max()), tolerance_ratio * spread)
    if largest <= tolerance:
        return None
    return f"scores differ by {largest:.1e}, above {tolerance:.1e} ({tolerance_ratio:.1%} of their spread)"


def dependence(model: onnx.ModelProto, columns: Mapping[str, Array]) -> str | None:
    """Which score some row has alone and beside others, where these differ; None where they do not.

    8 bits that are scaled by the request differ a little by their nature, and are not looked at.
    """
    if graph.scales_by_request(model):
        return None
    rows = some_rows(columns)
    beside = graph.scores(model, rows)
    picked = np.unique(np.linspace(0, len(beside) - 1, ALONE).astype(np.int64))
    alone = graph.scores(model, {name: values[picked] for name, values in rows.items()}, rows_a_call=1)
    if gap(beside[picked], alone, DEPENDENCE_RATIO) is None:
        return None
    worst = int(np.argmax(np.abs(alone - beside[picked])))
    return f"{alone[worst]:.6g} for a row alone, {beside[picked][worst]:.6g} beside {len(beside) - 1} others"


def difference(
    before: onnx.ModelProto,
    after: onnx.ModelProto,
    columns: Mapping[str, Array],
    tolerance_ratio: float = TOLERANCE_RATIO,
) -> str | None:
    """Why ``after`` does not score as ``before`` does; None where it does, for many rows in a request and for one.

    Raises what onnxruntime raises where ``before`` itself cannot score these rows.
    """
    rows = some_rows(columns)
    one = {name: values[:1] for name, values in rows.items()}
    expected = np.concatenate([graph.scores(before, rows), graph.scores(before, one)])
    try:
        found = np.concatenate([graph.scores(after, rows), graph.scores(after, one)])
    except Exception as error:  # onnxruntime has a kind of its own for each status
        return f"onnxruntime cannot run it ({first_line(error)})"
    return gap(expected, found, tolerance_ratio)
