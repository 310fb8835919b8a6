"""No transformation can change scores unseen: over any small graph, each scores as the one that it came from, or says why not."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings

from builders import any_graph
from builders import public_models as public
from recmodel.variants import graph
from recmodel.variants.fold import fold
from recmodel.variants.surgery import layers, prune

examples = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def largest_gap(one: onnx.ModelProto, other: onnx.ModelProto) -> float:
    """Over requests of many rows and of one, which no transformation has seen."""
    gaps = []
    for rows in (100, 1):
        columns = public.columns(one, rows, seed=11)
        gaps.append(np.abs(graph.scores(one, columns) - graph.scores(other, columns)).max())
    return float(max(gaps))


@examples
@given(any_graph.graphs())
def test_folding_and_pruning_nothing_change_no_score(model: onnx.ModelProto) -> None:
    columns = public.columns(model)
    folded = fold(model, columns)
    assert folded.dropped == ()
    assert largest_gap(folded.model, model) < 1e-5
    assert largest_gap(prune(folded.model, 1.0, columns), model) < 1e-5


@examples
@given(any_graph.graphs())
def test_every_hidden_layer_can_be_pruned_in_either_spelling(model: onnx.ModelProto) -> None:
    found = layers(model)
    assert found != []
    assert [layer.units for layer in layers(prune(model, 0.5, public.columns(model)))] == [16] * len(found)
