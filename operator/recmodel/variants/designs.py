"""Recommender designs as untrained ONNX graphs: DLRM-like (embeddings, interactions, MLP) and two-tower (a dot product).

Both take one id a side (user, item) and look up, beside the learned embedding, fixed features of that id (smoothed means,
the year), so that a request is ids only. Ids outside the tables count as unknown (0).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from recmodel.variants.graph import Array, Floats

OPSET, IR_VERSION = 17, 8


@dataclass(frozen=True)
class Side:
    """What is known of one kind of id; row 0 stands for an unknown one.

    ``stats`` [ids, columns] are fixed numbers. ``bag`` [ids, words], where there is one, are the shares of words (genres, tags)
    that have embeddings of their own: an id that was rarely seen then starts from its words.
    """

    name: str
    stats: Floats
    bag: Floats | None = None


@dataclass
class Builder:
    """Nodes and constants of a graph in the making, with He's initialisation for the layers."""

    generator: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: object) -> str:
        """Adds a node; its name is its output's."""
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=output, **attributes))  # type: ignore[arg-type]
        return output

    def constant(self, name: str, value: Array) -> str:
        """Adds a constant."""
        self.constants[name] = value
        return name

    def normal(self, name: str, rows: int, columns: int, deviation: float) -> str:
        """Adds a constant of small random numbers."""
        return self.constant(name, (self.generator.standard_normal((rows, columns)) * deviation).astype(np.float32))

    def dense(self, x: str, name: str, inputs: int, outputs: int, *, last: bool = False) -> str:
        """A layer; with a ReLU unless it is the last one."""
        w = self.normal(f"{name}_w", inputs, outputs, (0.1 if last else 2.0**0.5) * inputs**-0.5)
        b = self.constant(f"{name}_b", np.zeros(outputs, np.float32))
        out = self.node("Add", [self.node("MatMul", [x, w], f"{name}_product"), b], f"{name}_sum")
        return out if last else self.node("Relu", [out], f"{name}_out")

    def mlp(self, x: str, name: str, inputs: int, widths: Sequence[int]) -> str:
        """Layers with a ReLU each."""
        for number, width in enumerate(widths, start=1):
            x = self.dense(x, f"{name}{number}", inputs, width)
            inputs = width
        return x

    def lookup(self, side: Side, embedding: int) -> tuple[str, str]:
        """The embedding and the fixed features of a side's id; both by the id that is known, else 0."""
        name, ids = side.name, len(side.stats)
        zero = self.constant("zero", np.array(0, np.int64))
        size = self.constant(f"{name}_ids", np.array(ids, np.int64))
        inside = self.node(
            "And",
            [
                self.node("GreaterOrEqual", [name, zero], f"{name}_not_negative"),
                self.node("Less", [name, size], f"{name}_below"),
            ],
            f"{name}_known",
        )
        row = self.node("Where", [inside, name, zero], f"{name}_row")
        table = self.normal(f"{name}_table", ids, embedding, 0.05)
        found = self.node("Gather", [table, row], f"{name}_own", axis=0)
        if side.bag is not None:
            bag = self.constant(f"{name}_bag_fixed", side.bag.astype(np.float32))
            words = self.normal(f"{name}_words_table", side.bag.shape[1], embedding, 0.3)
            shares = self.node("Gather", [bag, row], f"{name}_bag", axis=0)
            found = self.node(
                "Add", [found, self.node("MatMul", [shares, words], f"{name}_words")], f"{name}_embedding"
            )
        fixed = self.constant(f"{name}_fixed", side.stats.astype(np.float32))
        return found, self.node("Gather", [fixed, row], f"{name}_stats", axis=0)

    def model(self, logit: str, inputs: Sequence[onnx.ValueInfoProto], name: str) -> onnx.ModelProto:
        """The graph: a sigmoid of ``logit`` [rows, 1] as ``score`` [rows]."""
        flat = self.constant("flat", np.array([-1], np.int64))
        self.node("Reshape", [self.node("Sigmoid", [logit], "probability"), flat], "score")
        graph = helper.make_graph(
            self.nodes,
            name,
            list(inputs),
            [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"])],
            [numpy_helper.from_array(np.ascontiguousarray(value), key) for key, value in self.constants.items()],
        )
        made = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="recmodel"
        )
        onnx.checker.check_model(made, full_check=True)
        return made


def _ids(sides: Sequence[Side]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(side.name, TensorProto.INT64, ["rows"]) for side in sides]


def dlrm(user: Side, item: Side, *, embedding: int, top: Sequence[int], seed: int) -> onnx.ModelProto:
    """Embeddings, their element products, the fixed features, then an MLP; a linear term of the features beside it.

    The interaction keeps the products themselves where DLRM (Naumov et al., 2019) sums them up to dot products: with two ids
    a row there is one dot product only.
    """
    build = Builder(np.random.default_rng(seed))
    (u, u_stats), (i, i_stats) = build.lookup(user, embedding), build.lookup(item, embedding)
    product = build.node("Mul", [u, i], "product")
    stats = build.node("Concat", [u_stats, i_stats], "stats", axis=1)
    x = build.node("Concat", [u, i, product, stats], "x", axis=1)
    columns = user.stats.shape[1] + item.stats.shape[1]
    deep = build.mlp(x, "top", 3 * embedding + columns, top)
    out = build.dense(deep, "last", top[-1], 1, last=True)
    wide = build.node("MatMul", [stats, build.constant("wide_w", np.zeros((columns, 1), np.float32))], "wide")
    return build.model(build.node("Add", [out, wide], "logit"), _ids((user, item)), "dlrm")


def two_tower(user: Side, item: Side, *, embedding: int, tower: Sequence[int], seed: int) -> onnx.ModelProto:
    """A vector of each side from an MLP of its own; the score is their dot product and what each side says alone."""
    build = Builder(np.random.default_rng(seed))
    vectors, linear = [], []
    for side in (user, item):
        found, stats = build.lookup(side, embedding)
        columns = side.stats.shape[1]
        x = build.node("Concat", [found, stats], f"{side.name}_x", axis=1)
        deep = build.mlp(x, f"{side.name}_tower", embedding + columns, tower[:-1])
        inputs = tower[-2] if len(tower) > 1 else embedding + columns
        w = build.normal(f"{side.name}_out_w", inputs, tower[-1], inputs**-0.5 * 0.3)
        vectors.append(build.node("MatMul", [deep, w], f"{side.name}_vector"))
        linear_w = build.constant(f"{side.name}_wide_w", np.zeros((columns, 1), np.float32))
        alone = build.dense(deep, f"{side.name}_alone", inputs, 1, last=True)
        linear.append(
            build.node(
                "Add", [alone, build.node("MatMul", [stats, linear_w], f"{side.name}_linear")], f"{side.name}_wide"
            )
        )
    axis = build.constant("last_axis", np.array([1], np.int64))
    dot = build.node("ReduceSum", [build.node("Mul", vectors, "products"), axis], "dot", keepdims=1)
    offset = build.constant("offset_b", np.zeros(1, np.float32))
    wide = build.node("Add", [build.node("Add", linear, "wide"), offset], "wide_offset")
    return build.model(build.node("Add", [dot, wide], "logit"), _ids((user, item)), "two_tower")
