"""Any small recommender graph: ids in three shapes, a few operators on each, pooled, joined, and layers in either spelling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from builders import public_models as public
from recmodel.variants import graph
from recmodel.variants.graph import Array

# Derandomised: the same examples in every run, so that a failure is a change of the code.
examples = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
WIDTH = public.WIDTH
# Shapes of an input of ids after its rows, and the rank of what is looked up by it.
SHAPES: dict[str, tuple[int, ...]] = {"one": (), "column": (1,), "history": (public.HISTORY,)}
ON_ITS_OWN = ("Relu", "Tanh", "Softmax", "MatMul", "Add", "Sum", "Best", "Share", "Branch", "Reverse")


@dataclass
class _Making:
    """Nodes and constants so far."""

    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def constant(self, value: Array) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def sum(self, of: str, axis: int, keepdims: int) -> str:
        if self.opset < 13:
            return self.node("ReduceSum", of, axes=[axis], keepdims=keepdims)
        return self.node("ReduceSum", of, self.constant(np.array([axis], np.int64)), keepdims=keepdims)

    def branch(self, of: str) -> str:
        """An If whose bodies read ``of`` by name; it takes the second one, since ids are above -1."""
        bodies = {}
        for name, operator in (("then_branch", "Identity"), ("else_branch", "Neg")):
            inner = f"{name}_{len(self.nodes)}"
            out = helper.make_tensor_value_info(inner, TensorProto.FLOAT, None)
            bodies[name] = helper.make_graph([helper.make_node(operator, [of], [inner])], name, [], [out])
        least = self.node("ReduceMin", of, keepdims=0)
        never = self.node("Less", least, self.constant(np.array(-1e9, np.float32)))
        return self.node("If", never, **bodies)

    def own(self, kind: str, of: str, axis: int, seed: int) -> str:
        """One operator on what depends on an id alone."""
        match kind:
            case "Softmax":
                return self.node(kind, of, axis=axis)
            case "MatMul":
                return self.node(kind, of, self.constant(public.drawn(WIDTH, WIDTH, seed=seed)))
            case "Add":
                return self.node(kind, of, self.constant(public.drawn(WIDTH, seed=seed)))
            case "Sum":
                return self.node("Mul", of, self.sum(of, axis, 1))
            case "Best":
                return self.node("Sub", of, self.node("ReduceMax", of, axes=[axis], keepdims=1))
            case "Share":  # read twice: once for its share, once itself
                return self.node("Mul", of, self.node("Softmax", of, axis=axis))
            case "Reverse":
                ends = ([-1], [-(2**62)], [axis], [-1])
                return self.node("Slice", of, *(self.constant(np.array(end, np.int64)) for end in ends))
            case "Branch":
                return self.branch(of)
        return self.node(kind, of)

    def layer(self, of: str, inputs: int, units: int, spelling: str, seed: int) -> str:
        weight, bias = public.drawn(inputs, units, seed=seed) * inputs**-0.5, public.drawn(units, seed=seed)
        if spelling == "Gemm":
            return self.node("Gemm", of, self.constant(weight), self.constant(bias))
        if spelling == "GemmT":
            return self.node("Gemm", of, self.constant(np.ascontiguousarray(weight.T)), self.constant(bias), transB=1)
        return self.node("Add", self.node("MatMul", of, self.constant(weight)), self.constant(bias))


@st.composite
def graphs(draw: st.DrawFn, own: tuple[str, ...] = ON_ITS_OWN) -> onnx.ModelProto:
    """A model; ``own`` are the operators that an id's own part may have. With the usual ones an id may be hashed before."""
    made, parts = _Making(draw(st.sampled_from([11, 13, 17]))), ["x"]
    inputs: dict[str, list[int | str]] = {"x": ["rows", 3]}
    table = made.constant(public.drawn(public.IDS, WIDTH))
    for number in range(draw(st.integers(1, 3))):
        shape = SHAPES[draw(st.sampled_from(sorted(SHAPES)))]
        name = f"id{number}"
        inputs[name] = ["rows", *shape]
        hashed = draw(st.sampled_from([0, 0, 7])) if own is ON_ITS_OWN else 0
        index = made.node("Mod", name, made.constant(np.array(hashed, np.int64))) if hashed else name
        of = made.node("Gather", table, index, axis=0)
        for kind in draw(st.lists(st.sampled_from(own), max_size=3)):
            of = made.own(kind, of, draw(st.integers(0, 1 + len(shape))), draw(st.integers(0, 3)))
        if shape:
            weighted = made.node("Mul", of, made.node("Reshape", made.sum("x", 1, 1), _column(made)))
            of = made.sum(draw(st.sampled_from([of, weighted])), 1, 0)
        parts.append(of)
    of, width = made.node("Concat", *parts, axis=1), 3 + WIDTH * (len(parts) - 1)
    spellings = st.sampled_from(["MatMul", "Gemm", "GemmT"])
    for seed, units in enumerate(draw(st.lists(st.sampled_from([16, 32]), min_size=1, max_size=2))):
        of, width = made.node("Relu", made.layer(of, width, units, draw(spellings), seed)), units
    logit = made.layer(of, width, 1, draw(spellings), 7)
    made.nodes.append(helper.make_node("Sigmoid", [logit], ["score"]))
    return public.model(made.nodes, inputs, made.constants, opset=made.opset)


def _column(made: _Making) -> str:
    return made.constant(np.array([-1, 1, 1], np.int64))


def largest_gap(one: onnx.ModelProto, other: onnx.ModelProto) -> float:
    """Over requests of many rows and of one, which no transformation has seen."""
    gaps = []
    for rows in (100, 1):
        columns = public.columns(one, rows, seed=11)
        gaps.append(np.abs(graph.scores(one, columns) - graph.scores(other, columns)).max())
    return float(max(gaps))
