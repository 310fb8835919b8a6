"""The JAX interpreter: over any graph it computes what onnxruntime computes, or refuses; nothing is trained before that is shown."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from hypothesis import given
from onnx import TensorProto, helper

from builders import any_graph
from builders import public_models as public
from builders import variants_models as models
from recmodel.variants import graph, interpreter, verify
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError
from recmodel.variants.interpreter import Network
from recmodel.variants.normalise import STEPS, normalise
from recmodel.variants.training import JaxAdapter, Recipe


def scores(model: onnx.ModelProto, columns: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(jax.nn.sigmoid(Network(model).logits({}, columns)))


def rows_of(model: onnx.ModelProto, rows: int = 600) -> Rows:
    columns = public.columns(model, rows)
    label = (graph.scores(model, columns) > 0.5).astype(np.float32)
    return Rows("rows", columns, label, np.arange(rows), "")


@any_graph.examples
@given(any_graph.graphs(own=("Relu", "Tanh", "MatMul", "Add", "Sum")))
def test_any_graph_is_computed_as_onnxruntime_computes_it(model: onnx.ModelProto) -> None:
    columns = public.columns(model, 60)
    for one in (model, normalise(model, columns).model):
        assert scores(one, columns) == pytest.approx(graph.scores(one, columns), abs=1e-5)


@pytest.mark.parametrize(
    "build", [public.before_opset_13, public.gemm_layers, public.gemm_of_every_kind, public.keras_ids]
)
def test_other_peoples_graphs_are_computed_as_they_are_written(build: Callable[[], onnx.ModelProto]) -> None:
    model = STEPS["Constant to initializer"](build())
    if build is public.gemm_of_every_kind:  # its Sum is none of the operators
        model = sum_as_add(model)
    columns = public.columns(model, 60)
    assert scores(model, columns) == pytest.approx(graph.scores(model, columns), abs=1e-5)


def sum_as_add(model: onnx.ModelProto) -> onnx.ModelProto:
    for node in model.graph.node:
        node.op_type = "Add" if node.op_type == "Sum" else node.op_type
    return model


def one_step(operator: str, *inputs: str, **attributes: object) -> onnx.ModelProto:
    """``operator`` between a lookup by ``user`` and the score."""
    nodes = [
        helper.make_node("Div", ["user", "three"], ["third"]),
        helper.make_node("Sub", ["third", "ten"], ["place"]),
        helper.make_node("Gather", ["table", "place"], ["own"], axis=0),
        helper.make_node(operator, list(inputs), ["changed"], **attributes),
        helper.make_node("Sigmoid", ["changed"], ["score"]),
    ]
    constants = {
        "table": public.drawn(public.IDS, 1), "three": np.array(3, np.int64), "ten": np.array(10, np.int64)
    }  # fmt: skip
    return public.model(nodes, {"user": ["rows"], "x": ["rows", 1]}, constants)


@pytest.mark.parametrize(
    "model",
    [
        one_step("Add", "own", "x"),  # places below zero count from the end, and whole numbers divide to whole ones
        one_step("Max", "own", "x", "own"),
        one_step("Min", "own"),
        one_step("Squeeze", "own"),
        one_step("ReduceSum", "own", noop_with_empty_axes=1),
    ],
    ids=lambda model: model.graph.node[3].op_type,
)
def test_what_onnx_says_of_an_operator_holds(model: onnx.ModelProto) -> None:
    if model.graph.node[3].op_type == "Squeeze":
        del model.graph.output[0].type.tensor_type.shape.dim[1]
    columns = public.columns(model, 60)
    assert scores(model, columns) == pytest.approx(graph.scores(model, columns), abs=1e-6)


def test_an_attribute_or_an_operator_that_it_does_not_know_is_refused_and_not_ignored() -> None:
    model = public.keras_ids()
    model.graph.node[3].attribute.append(helper.make_attribute("newer", 1))
    with pytest.raises(InputError, match=r"model: \['Flatten.newer'\]: cannot be trained"):
        Network(model)
    foreign = public.keras_ids()
    foreign.graph.node[2].domain = "com.example"
    with pytest.raises(InputError, match=r"model: \['com.example.Relu'\]: cannot be trained"):
        Network(foreign)
    constant = public.model([helper.make_node("Identity", ["x"], ["score"])], {"x": ["rows", 1]}, {})
    with pytest.raises(InputError, match="the score must end in a Sigmoid"):
        Network(constant)


def test_nothing_is_trained_that_scores_otherwise_than_the_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    model, said = models.dlrm(), []
    rows = models_rows(model)
    monkeypatch.setitem(interpreter.OPERATORS, "Relu", lambda args, _: jnp.abs(args[0]))
    with pytest.raises(
        InputError, match=r"model: dlrm: cannot be trained: as a JAX function, scores differ by .* above"
    ):
        JaxAdapter().train(model, rows, Recipe(epochs=1), None, said.append)
    assert said == []


def models_rows(model: onnx.ModelProto) -> Rows:
    columns = models.ids(600)
    return Rows("rows", columns, (graph.scores(model, columns) > 0.5).astype(np.float32), columns["user"], "")


def test_ids_beyond_32_bits_are_refused_with_their_column() -> None:
    rows = models_rows(models.dlrm())
    columns = {**rows.columns, "user": np.where(np.arange(600) == 3, 2**40, rows.columns["user"])}
    wide = Rows("rows", columns, rows.label, rows.group, "")
    with pytest.raises(InputError, match=r"training.user: 1099511627776: must lie within 32 bits"):
        JaxAdapter().train(models.dlrm(), wide, Recipe(epochs=1), None, lambda words: None)


def test_a_trained_graph_scores_as_the_function_that_was_trained() -> None:
    model = normalise(public.before_opset_13(), public.columns(public.before_opset_13())).model
    rows = rows_of(model)
    trained = JaxAdapter().train(model, rows, Recipe(epochs=1, learning_rate=0.01), None, lambda words: None)
    assert verify.difference(model, trained, rows.columns) is not None
    assert scores(trained, dict(rows.columns)) == pytest.approx(graph.scores(trained, rows.columns), abs=1e-5)


def test_floats_in_place_of_halves_can_be_trained() -> None:
    given_model = public.in_halves()
    assert {node.op_type for node in given_model.graph.node} >= {"Cast"}
    model = normalise(given_model, public.columns(given_model)).model
    assert TensorProto.FLOAT16 not in {tensor.data_type for tensor in model.graph.initializer}
    columns = public.columns(model, 60)
    assert scores(model, columns) == pytest.approx(graph.scores(model, columns), abs=1e-5)
