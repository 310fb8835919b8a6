"""A graph is brought into one spelling on entry: the same scores, and layers that pruning, training and 8 bits can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given

from builders import any_graph
from builders import public_models as public
from builders.any_graph import examples, largest_gap
from recmodel.variants import graph, verify
from recmodel.variants.errors import InputError
from recmodel.variants.normalise import normalise
from recmodel.variants.quantise import Int8, quantise


def operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize("build", [public.gemm_layers, public.gemm_of_every_kind, public.before_opset_13])
def test_the_usual_spelling_scores_the_same(build: Callable[[], onnx.ModelProto]) -> None:
    given_model = build()
    normal = normalise(given_model, public.columns(given_model))
    assert normal.dropped == {}
    assert not normal.had_halves
    onnx.checker.check_model(normal.model, full_check=True)
    assert largest_gap(normal.model, given_model) < 1e-6
    assert {"Gemm", "Constant"} & set(operators(normal.model)) == set()
    assert [entry.version >= 13 for entry in normal.model.opset_import] == [True]


def test_halves_become_floats_that_score_as_halves_do() -> None:
    given_model = public.in_halves()
    columns = public.columns(given_model)
    normal = normalise(given_model, columns)
    assert normal.had_halves
    assert normal.dropped == {}
    assert {value.dtype for value in graph.constants(normal.model).values()} == {np.dtype(np.float32)}
    gap = verify.gap(graph.scores(given_model, columns), graph.scores(normal.model, columns), 0.02)
    assert gap is None


def test_a_step_that_changes_scores_or_breaks_is_dropped_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    given_model = public.gemm_layers()

    def shifted(model: onnx.ModelProto) -> onnx.ModelProto:
        return graph.with_constants(model, {"b3": graph.constants(model)["b3"] + 1.0})

    def broken(_: onnx.ModelProto) -> onnx.ModelProto:
        raise RuntimeError("no adapter for it\nand a trace")

    monkeypatch.setattr("recmodel.variants.normalise.STEPS", {"opset": broken, "Gemm": shifted})
    normal = normalise(given_model, public.columns(given_model))
    assert graph.scores(normal.model, public.columns(given_model)).shape == (300,)
    assert largest_gap(normal.model, given_model) == 0.0
    assert normal.dropped["opset"] == "no adapter for it"
    assert normal.dropped["Gemm"].startswith("scores differ by ")


@examples
@given(any_graph.graphs())
def test_any_graph_scores_the_same_in_the_usual_spelling(model: onnx.ModelProto) -> None:
    normal = normalise(model, public.columns(model))
    assert normal.dropped == {}
    assert largest_gap(normal.model, model) < 1e-5
    assert "Gemm" not in operators(normal.model)


@pytest.mark.parametrize("how", [Int8(), Int8("static"), Int8("static", "hidden")], ids=str)
def test_gemm_layers_become_integers(how: Int8) -> None:
    given_model = public.gemm_layers()
    columns = public.columns(given_model)
    model = normalise(given_model, columns).model
    small = quantise(model, how, columns)
    assert {"MatMulInteger", "DequantizeLinear"} & set(operators(small))
    assert {value.dtype.kind for value in graph.constants(small).values() if value.ndim == 2 and value.size > 1000} == {
        "i"
    }
    assert small.ByteSize() < 0.7 * model.ByteSize()
    # Two products of 8 bits by 8 fit the 16 bits that a processor without VNNI adds them in: the same scores on every node.
    largest = max(np.abs(value).max() for value in graph.constants(small).values() if value.dtype == np.int8)
    assert 2 * 255 * int(largest) <= np.iinfo(np.int16).max
    rounding = graph.scores(small, columns) - graph.scores(model, columns)
    assert np.abs(rounding).mean() < 0.002


def test_eight_bits_that_are_none_are_not_made() -> None:
    model = public.gemm_layers()
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    with pytest.raises(InputError, match=r"model: public: .* none of its 3 layers .*fp32"):
        quantise(model, Int8(), public.columns(model))
