"""Recommenders as other people's exporters write them, small: each has one trait that ours have not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from recmodel.variants import graph
from recmodel.variants.graph import Array, Floats

IDS, WIDTH, HISTORY = 30, 8, 5


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Mapping[str, Sequence[int | str]],
    constants: Mapping[str, Array],
    *,
    opset: int = 17,
    score_shape: Sequence[int | str] = ("rows", 1),
) -> onnx.ModelProto:
    """A graph whose inputs are ids, but for ``x``, which is numbers; its output is ``score``."""
    kinds = {name: TensorProto.FLOAT if name == "x" else TensorProto.INT64 for name in inputs}
    made = helper.make_graph(
        nodes,
        "public",
        [helper.make_tensor_value_info(name, kinds[name], list(shape)) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, list(score_shape))],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    complete = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(complete, full_check=True)
    return complete


def drawn(*shape: int, seed: int = 1) -> Floats:
    """Normal random numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def columns(made: onnx.ModelProto, rows: int = 300, seed: int = 5) -> dict[str, Array]:
    """Ids (or numbers) for every input."""
    generator = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for entry in made.graph.input:
        shape = (rows, *(part.dim_value for part in entry.type.tensor_type.shape.dim[1:]))
        if entry.type.tensor_type.elem_type == TensorProto.FLOAT:
            found[entry.name] = generator.standard_normal(shape).astype(np.float32)
        else:
            found[entry.name] = generator.integers(0, IDS, shape)
    return found


def attention_pooling() -> onnx.ModelProto:
    """A history of ids pooled by a softmax over its positions and by how recent each is, then a product with the candidate."""
    nodes = [
        helper.make_node("Gather", ["table", "history"], ["seen"], axis=0),
        helper.make_node("MatMul", ["seen", "w"], ["weight"]),
        helper.make_node("Softmax", ["weight"], ["share"], axis=1),
        helper.make_node("Unsqueeze", ["x", "two"], ["recent"]),
        helper.make_node("Mul", ["share", "recent"], ["counted"]),
        helper.make_node("Mul", ["seen", "counted"], ["shared"]),
        helper.make_node("ReduceSum", ["shared", "one"], ["pooled"], keepdims=0),
        helper.make_node("Gather", ["table", "item"], ["candidate"], axis=0),
        helper.make_node("Mul", ["pooled", "candidate"], ["product"]),
        helper.make_node("ReduceSum", ["product", "one"], ["logit"], keepdims=1),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    constants: dict[str, Array] = {
        "table": drawn(IDS, WIDTH), "w": 3 * drawn(WIDTH, 1), "one": np.array([1], np.int64), "two": np.array([2], np.int64)
    }  # fmt: skip
    return model(nodes, {"history": ["rows", HISTORY], "x": ["rows", HISTORY], "item": ["rows"]}, constants)


def keras_ids() -> onnx.ModelProto:
    """One id a row in a column, [rows, 1]: the embedding is [rows, 1, width], flattened after a layer of the id's own."""
    nodes: list[onnx.NodeProto] = []
    for side in ("user", "item"):
        nodes += [
            helper.make_node("Gather", [f"{side}_table", side], [f"{side}_own"], axis=0),
            helper.make_node("MatMul", [f"{side}_own", f"{side}_w"], [f"{side}_sum"]),
            helper.make_node("Relu", [f"{side}_sum"], [f"{side}_deep"]),
            helper.make_node("Flatten", [f"{side}_deep"], [f"{side}_flat"], axis=1),
        ]
    nodes += [
        helper.make_node("Mul", ["user_flat", "item_flat"], ["product"]),
        helper.make_node("ReduceSum", ["product", "one"], ["sum"], keepdims=1),
        helper.make_node("Sub", ["sum", "two"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    constants: dict[str, Array] = {"one": np.array([1], np.int64), "two": np.array([2], np.float32)}
    for number, side in enumerate(("user", "item")):
        constants |= {f"{side}_table": drawn(IDS, WIDTH, seed=number), f"{side}_w": drawn(WIDTH, WIDTH, seed=number)}
    return model(nodes, {"user": ["rows", 1], "item": ["rows", 1]}, constants)


def captured_by_a_branch() -> onnx.ModelProto:
    """Both branches of an If read an id's own tensor by name: no input of the node says so."""
    branches = {}
    for name, operator in (("then_branch", "Identity"), ("else_branch", "Neg")):
        inner = helper.make_node(operator, ["deep"], [f"{name}_out"])
        out = helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)
        branches[name] = helper.make_graph([inner], name, [], [out])
    nodes = [
        helper.make_node("Gather", ["table", "user"], ["own"], axis=0),
        helper.make_node("Relu", ["own"], ["deep"]),
        helper.make_node("MatMul", ["deep", "w"], ["sum"]),
        helper.make_node("ReduceMax", ["x"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", "never"], ["large"]),
        helper.make_node("If", ["large"], ["branch"], **branches),
        helper.make_node("MatMul", ["branch", "w"], ["other"]),
        helper.make_node("Mul", ["other", "x"], ["crossed"]),
        helper.make_node("Add", ["sum", "crossed"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    constants: dict[str, Array] = {"table": drawn(IDS, WIDTH), "w": drawn(WIDTH, 1), "never": np.array(1e9, np.float32)}
    return model(nodes, {"user": ["rows"], "x": ["rows", 1]}, constants)


def the_id_itself_counts() -> onnx.ModelProto:
    """The id is looked up, and its sign is read beside that: -1 is the table's last row, but not the same number."""
    nodes = [
        helper.make_node("Gather", ["table", "user"], ["own"], axis=0),
        helper.make_node("GreaterOrEqual", ["user", "zero"], ["known"]),
        helper.make_node("Cast", ["known"], ["flag"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["flag", "one"], ["column"]),
        helper.make_node("Mul", ["own", "column"], ["masked"]),
        helper.make_node("MatMul", ["masked", "w"], ["sum"]),
        helper.make_node("Add", ["sum", "x"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    constants: dict[str, Array] = {
        "table": drawn(IDS, WIDTH), "w": drawn(WIDTH, 1), "zero": np.array(0, np.int64), "one": np.array([1], np.int64)
    }  # fmt: skip
    return model(nodes, {"user": ["rows"], "x": ["rows", 1]}, constants)


def centred() -> onnx.ModelProto:
    """Each request is judged against its own best: a row depends on the others, by a maximum that most rows share."""
    nodes = [
        helper.make_node("Gather", ["table", "user"], ["own"], axis=0),
        helper.make_node("ReduceMax", ["own"], ["best"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["own", "best"], ["below"]),
        helper.make_node("Add", ["below", "x"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    table = drawn(IDS, 1)
    table[-1] = 4.0  # the best of all ids, and of every third from the end on as well
    return model(nodes, {"user": ["rows"], "x": ["rows", 1]}, {"table": table})


def listwise() -> onnx.ModelProto:
    """Each candidate against the mean of its request: the score of a row depends on the rows beside it."""
    nodes = [
        helper.make_node("Gather", ["table", "user"], ["own"], axis=0),
        helper.make_node("ReduceMean", ["own"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["own", "mean"], ["above"]),
        helper.make_node("Add", ["above", "x"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    return model(nodes, {"user": ["rows"], "x": ["rows", 1]}, {"table": drawn(IDS, 1)})


def narrow_layers() -> onnx.ModelProto:
    """One hidden layer of 16 units, the fewest that pruning leaves."""
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h1"]),
        helper.make_node("Relu", ["h1"], ["r1"]),
        helper.make_node("Gemm", ["r1", "w2", "b2"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    constants: dict[str, Array] = {"w1": drawn(10, 16) / 3, "b1": drawn(16), "w2": drawn(16, 1) / 4, "b2": drawn(1)}
    return model(nodes, {"x": ["rows", 10]}, constants)


def gemm_layers() -> onnx.ModelProto:
    """Two hidden layers as Gemm, the second one's weight transposed: as torch and Keras write them."""
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h1"]),
        helper.make_node("Relu", ["h1"], ["r1"]),
        helper.make_node("Gemm", ["r1", "w2", "b2"], ["h2"], transB=1),
        helper.make_node("Relu", ["h2"], ["r2"]),
        helper.make_node("Gemm", ["r2", "w3", "b3"], ["logit"], transB=1),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    shapes = {"w1": (10, 64), "b1": (64,), "w2": (32, 64), "b2": (32,), "w3": (1, 32), "b3": (1,)}
    # The scores of wide layers would lie at 0 and 1.
    constants: dict[str, Array] = {
        name: drawn(*shape) * np.float32(shape[-1] ** -0.5) for name, shape in shapes.items()
    }
    return model(nodes, {"x": ["rows", 10]}, constants)


def gemm_of_every_kind() -> onnx.ModelProto:
    """Scaled, with its input transposed, a weight that two layers share, a bias of one row, and none."""
    nodes = [
        helper.make_node("Transpose", ["x"], ["xt"], perm=[1, 0]),
        helper.make_node("Gemm", ["xt", "w", "row"], ["h1"], transA=1, alpha=0.5, beta=2.0),
        helper.make_node("Relu", ["h1"], ["r1"]),
        helper.make_node("Gemm", ["r1", "w", "b"], ["h2"], transB=1, alpha=0.25),
        helper.make_node("Gemm", ["h2", "last"], ["h3"]),
        helper.make_node("Sum", ["h3", "h3"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    constants: dict[str, Array] = {"w": drawn(6, 32), "row": drawn(1, 32), "b": drawn(6), "last": drawn(6, 1)}
    return model(nodes, {"x": ["rows", 6]}, constants)


def before_opset_13() -> onnx.ModelProto:
    """Axes as attributes, constants as nodes: as tf2onnx wrote for years."""
    axis = helper.make_node("Constant", [], ["two"], value=numpy_helper.from_array(np.array([2], np.float32)))
    nodes = [
        axis,
        helper.make_node("Gather", ["table", "user"], ["own"], axis=0),
        helper.make_node("Squeeze", ["own"], ["flat"], axes=[1]),
        helper.make_node("Gather", ["table", "item"], ["other"], axis=0),
        helper.make_node("Mul", ["flat", "other"], ["product"]),
        helper.make_node("ReduceSum", ["product"], ["dot"], axes=[1], keepdims=0),
        helper.make_node("Unsqueeze", ["dot"], ["column"], axes=[1]),
        helper.make_node("Div", ["column", "two"], ["half"]),
        helper.make_node("Split", ["other"], ["first", "rest"], axis=1, split=[1, WIDTH - 1]),
        helper.make_node("Max", ["half", "first", "rest_sum"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["score"]),
    ]
    nodes.insert(9, helper.make_node("ReduceSum", ["rest"], ["rest_sum"], axes=[-1], keepdims=1))
    return model(nodes, {"user": ["rows", 1], "item": ["rows"]}, {"table": drawn(IDS, WIDTH)}, opset=11)


def in_halves() -> onnx.ModelProto:
    """Layers in fp16 between casts, as a converter writes them that keeps inputs and outputs."""
    nodes = [
        helper.make_node("Cast", ["x"], ["x16"], to=TensorProto.FLOAT16),
        helper.make_node("MatMul", ["x16", "w1"], ["h1"]),
        helper.make_node("Add", ["h1", "b1"], ["s1"]),
        helper.make_node("Relu", ["s1"], ["r1"]),
        helper.make_node("MatMul", ["r1", "w2"], ["logit16"]),
        helper.make_node("Sigmoid", ["logit16"], ["score16"]),
        helper.make_node("Cast", ["score16"], ["score"], to=TensorProto.FLOAT),
    ]
    constants: dict[str, Array] = {"w1": drawn(10, 64) / 3, "b1": drawn(64), "w2": drawn(64, 1) / 5}
    return model(nodes, {"x": ["rows", 10]}, {name: np.asarray(value, np.float16) for name, value in constants.items()})


def write_rows(path: Path, made: onnx.ModelProto, rows: int = 2000, seed: int = 5, groups: int = 200) -> Path:
    """Rows whose labels follow the model's own scores, as an evaluation file."""
    given, generator = columns(made, rows, seed), np.random.default_rng(seed)
    score = graph.scores(made, given)
    label = generator.random(rows) < np.clip((score - np.median(score)) * 2 + 0.5, 0.05, 0.95)
    np.savez(path, allow_pickle=False, **given, label=label.astype(np.int8), group=np.arange(rows) % groups)
    return path
