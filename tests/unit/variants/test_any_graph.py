"""No transformation can change scores unseen: over any small graph, each scores as the one that it came from, or says why not."""

from __future__ import annotations

import onnx
import pytest
from hypothesis import given

from builders import any_graph
from builders import public_models as public
from builders.any_graph import examples, largest_gap
from recmodel.variants.errors import InputError
from recmodel.variants.fold import fold
from recmodel.variants.surgery import LANES, layers, prune


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
    if {layer.units for layer in found} == {LANES}:
        with pytest.raises(InputError, match="keep all at 50%"):
            prune(model, 0.5, public.columns(model))
        return
    assert [layer.units for layer in layers(prune(model, 0.5, public.columns(model)))] == [16] * len(found)
