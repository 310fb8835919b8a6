"""The usual architectures of recommenders as their exporters write them, small and with drawn weights."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import onnx
from onnx import TensorProto, helper

from builders import public_models as public
from builders.public_models import HISTORY, IDS, WIDTH, drawn
from recmodel.variants.graph import Array

node = helper.make_node


def _layers(
    of: str, widths: tuple[int, ...], constants: dict[str, Array], seed: int
) -> tuple[list[onnx.NodeProto], str]:
    """Gemm and Relu, and a last Gemm without."""
    nodes = []
    for number, (before, units) in enumerate(pairwise(widths)):
        weight, bias, out = f"w{seed}_{number}", f"b{seed}_{number}", f"h{seed}_{number}"
        constants |= {
            weight: drawn(before, units, seed=seed) * np.float32(before**-0.5),
            bias: 0.1 * drawn(units, seed=seed),
        }
        nodes.append(node("Gemm", [of, weight, bias], [out]))
        of = out
        if number < len(widths) - 2:
            nodes.append(node("Relu", [of], [f"r{seed}_{number}"]))
            of = f"r{seed}_{number}"
    return nodes, of


def wide_and_deep() -> onnx.ModelProto:
    """A weight of each id beside an MLP over their embeddings and numbers (Cheng et al., 2016); ids as Keras gives them."""
    constants: dict[str, Array] = {
        "users": drawn(IDS, WIDTH),
        "items": drawn(IDS, WIDTH, seed=2),
        "wide": drawn(IDS, 1),
    }
    nodes = [
        node("Gather", ["users", "user"], ["u3"], axis=0),
        node("Gather", ["items", "item"], ["i3"], axis=0),
        node("Flatten", ["u3"], ["u"], axis=1),
        node("Flatten", ["i3"], ["i"], axis=1),
        node("Concat", ["u", "i", "x"], ["joined"], axis=1),
        node("Gather", ["wide", "item"], ["wide3"], axis=0),
        node("Flatten", ["wide3"], ["wide1"], axis=1),
    ]
    deep, out = _layers("joined", (2 * WIDTH + 4, 64, 32, 1), constants, 1)
    nodes += [*deep, node("Add", [out, "wide1"], ["logit"]), node("Sigmoid", ["logit"], ["score"])]
    return public.model(nodes, {"user": ["rows", 1], "item": ["rows", 1], "x": ["rows", 4]}, constants)


def deep_fm() -> onnx.ModelProto:
    """All pairs of four fields as a square of the sum less the sum of squares, and an MLP over them (Guo et al., 2017)."""
    constants: dict[str, Array] = {
        "table": 0.5 * drawn(IDS, WIDTH), "one": np.array([1], np.int64), "half": np.array([0.5], np.float32)
    }  # fmt: skip
    nodes = [
        node("Gather", ["table", "fields"], ["v"], axis=0),
        node("ReduceSum", ["v", "one"], ["sum"], keepdims=0),
        node("Mul", ["sum", "sum"], ["squared"]),
        node("Mul", ["v", "v"], ["squares"]),
        node("ReduceSum", ["squares", "one"], ["of_squares"], keepdims=0),
        node("Sub", ["squared", "of_squares"], ["pairs"]),
        node("ReduceSum", ["pairs", "one"], ["both"], keepdims=1),
        node("Mul", ["both", "half"], ["fm"]),
        node("Flatten", ["v"], ["flat"], axis=1),
    ]
    deep, out = _layers("flat", (4 * WIDTH, 64, 32, 1), constants, 2)
    nodes += [*deep, node("Add", [out, "fm"], ["logit"]), node("Sigmoid", ["logit"], ["score"])]
    return public.model(nodes, {"fields": ["rows", 4]}, constants)


def dcn_v2() -> onnx.ModelProto:
    """Two cross layers beside an MLP (Wang et al., 2021)."""
    wide = 16
    constants: dict[str, Array] = {"last": drawn(wide + 32, 1) / 7}
    nodes, of = [], "x"
    for layer in range(2):
        constants |= {f"c{layer}": drawn(wide, wide, seed=layer) / 4, f"d{layer}": 0.1 * drawn(wide, seed=layer)}
        nodes += [
            node("MatMul", [of, f"c{layer}"], [f"p{layer}"]),
            node("Add", [f"p{layer}", f"d{layer}"], [f"q{layer}"]),
            node("Mul", ["x", f"q{layer}"], [f"m{layer}"]),
            node("Add", [f"m{layer}", of], [f"x{layer}"]),
        ]
        of = f"x{layer}"
    deep, out = _layers("x", (wide, 64, 32), constants, 3)
    nodes += [
        *deep,
        node("Concat", [of, out], ["joined"], axis=1),
        node("MatMul", ["joined", "last"], ["logit"]),
        node("Sigmoid", ["logit"], ["score"]),
    ]
    return public.model(nodes, {"x": ["rows", wide]}, constants)


def masked_bag() -> onnx.ModelProto:
    """The mean of the ids of a history whose mask is not 0, and a product with the candidate."""
    constants: dict[str, Array] = {
        "table": drawn(IDS, WIDTH), "zero": np.array(0, np.float32), "one": np.array([1], np.int64),
        "two": np.array([2], np.int64), "least": np.array(1, np.float32),
    }  # fmt: skip
    nodes = [
        node("Greater", ["x", "zero"], ["known"]),
        node("Cast", ["known"], ["mask"], to=TensorProto.FLOAT),
        node("Gather", ["table", "history"], ["seen"], axis=0),
        node("Unsqueeze", ["mask", "two"], ["mask3"]),
        node("Mul", ["seen", "mask3"], ["masked"]),
        node("ReduceSum", ["masked", "one"], ["sum"], keepdims=0),
        node("ReduceSum", ["mask", "one"], ["count"], keepdims=1),
        node("Max", ["count", "least"], ["count1"]),
        node("Div", ["sum", "count1"], ["mean"]),
        node("Gather", ["table", "item"], ["candidate"], axis=0),
        node("Mul", ["mean", "candidate"], ["product"]),
        node("ReduceSum", ["product", "one"], ["logit"], keepdims=1),
        node("Sigmoid", ["logit"], ["score"]),
    ]
    return public.model(nodes, {"history": ["rows", HISTORY], "x": ["rows", HISTORY], "item": ["rows"]}, constants)


def gru4rec() -> onnx.ModelProto:
    """The last state of a GRU over a history, and a product with the candidate (Hidasi et al., 2016)."""
    constants: dict[str, Array] = {
        "table": drawn(IDS, WIDTH), "one": np.array([1], np.int64), "zero": np.array([0], np.int64),
        "w": drawn(1, 3 * WIDTH, WIDTH) / 3, "r": drawn(1, 3 * WIDTH, WIDTH, seed=2) / 3,
    }  # fmt: skip
    nodes = [
        node("Gather", ["table", "history"], ["seen"], axis=0),
        node("Transpose", ["seen"], ["steps"], perm=[1, 0, 2]),
        node("GRU", ["steps", "w", "r"], ["every", "last"], hidden_size=WIDTH),
        node("Squeeze", ["last", "zero"], ["state"]),
        node("Gather", ["table", "item"], ["candidate"], axis=0),
        node("Mul", ["state", "candidate"], ["product"]),
        node("ReduceSum", ["product", "one"], ["logit"], keepdims=1),
        node("Sigmoid", ["logit"], ["score"]),
    ]
    return public.model(nodes, {"history": ["rows", HISTORY], "item": ["rows"]}, constants)


def self_attention() -> onnx.ModelProto:
    """One head over a history; its last place times the candidate (as SASRec, Kang and McAuley, 2018)."""
    constants: dict[str, Array] = {
        "table": drawn(IDS, WIDTH), "one": np.array([1], np.int64), "root": np.array(WIDTH**0.5, np.float32),
        "from": np.array([-1], np.int64), "to": np.array([2**62], np.int64),
    }  # fmt: skip
    nodes = [node("Gather", ["table", "history"], ["seen"], axis=0)]
    for name, seed in (("q", 1), ("k", 2), ("v", 3)):
        constants[f"w{name}"] = drawn(WIDTH, WIDTH, seed=seed) / 3
        nodes.append(node("MatMul", ["seen", f"w{name}"], [name]))
    nodes += [
        node("Transpose", ["k"], ["kt"], perm=[0, 2, 1]),
        node("MatMul", ["q", "kt"], ["fit"]),
        node("Div", ["fit", "root"], ["scaled"]),
        node("Softmax", ["scaled"], ["share"], axis=2),
        node("MatMul", ["share", "v"], ["mixed"]),
        node("Slice", ["mixed", "from", "to", "one"], ["last3"]),
        node("Squeeze", ["last3", "one"], ["last"]),
        node("Gather", ["table", "item"], ["candidate"], axis=0),
        node("Mul", ["last", "candidate"], ["product"]),
        node("ReduceSum", ["product", "one"], ["logit"], keepdims=1),
        node("Sigmoid", ["logit"], ["score"]),
    ]
    return public.model(nodes, {"history": ["rows", HISTORY], "item": ["rows"]}, constants)


def two_tasks() -> onnx.ModelProto:
    """Click and purchase from shared layers, as two columns of logits."""
    constants: dict[str, Array] = {}
    deep, out = _layers("x", (10, 64, 32, 2), constants, 4)
    deep[-1].output[0] = "score"
    assert out
    return public.model(deep, {"x": ["rows", 10]}, constants, score_shape=("rows", 2))


def trees() -> onnx.ModelProto:
    """Thirty stumps that rank: sums of leaves, not probabilities (as LightGBM's LambdaRank)."""
    generator, number = np.random.default_rng(7), 30
    leaves = generator.standard_normal(2 * number).astype(float).tolist()
    ensemble = node(
        "TreeEnsembleRegressor", ["x"], ["score"], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[tree for tree in range(number) for _ in range(3)], nodes_nodeids=[0, 1, 2] * number,
        nodes_featureids=[f for tree in range(number) for f in (tree % 10, 0, 0)],
        nodes_values=[v for _ in range(number) for v in (float(generator.standard_normal()), 0.0, 0.0)],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * number,
        nodes_truenodeids=[1, 0, 0] * number, nodes_falsenodeids=[2, 0, 0] * number,
        target_treeids=[tree for tree in range(number) for _ in range(2)], target_nodeids=[1, 2] * number,
        target_ids=[0] * 2 * number, target_weights=leaves,
    )  # fmt: skip
    graph = helper.make_graph(
        [ensemble], "trees",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 10])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", 1])],
    )  # fmt: skip
    sets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=sets, ir_version=8)
