"""One spelling for what exporters write in many, so that pruning, training and 8 bits read every graph in the same way.

Each step is compared with the graph before it on real rows. One that changes scores, or cannot be done, is left out, and the
reason is kept: the graph is then used as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

from recmodel.variants import graph, verify
from recmodel.variants.errors import first_line
from recmodel.variants.graph import Array

# From here on, axes are inputs instead of attributes.
OPSET = 13
# Intermediate representation of that opset; from 4 on an initializer need not be an input.
IR_VERSION = 7
# A half has three decimal digits, so after some layers its scores differ from a float's by a hundredth of their spread.
HALVES_TOLERANCE_RATIO = 0.02


@dataclass(frozen=True)
class Normal:
    """The graph in the usual spelling, and why a step of the way there was left out."""

    model: onnx.ModelProto
    dropped: Mapping[str, str]
    had_halves: bool


def normalise(model: onnx.ModelProto, columns: Mapping[str, Array]) -> Normal:
    """``model`` at opset 13 or above, with initializers for constants, floats for halves, MatMul + Add for Gemm, and node names.

    ``columns`` are real rows. Raises what onnxruntime raises where ``model`` as it is given cannot score them.
    """
    rows, dropped, had_halves = verify.some_rows(columns), {}, False
    for name, step in STEPS.items():
        try:
            changed = step(model)
        except Exception as error:  # onnx has a kind for each adapter that it lacks
            dropped[name] = first_line(error)
            continue
        if changed == model:
            continue
        ratio = HALVES_TOLERANCE_RATIO if name == HALVES else verify.TOLERANCE_RATIO
        why = verify.difference(model, changed, rows, ratio)
        if why is not None:
            dropped[name] = why
            continue
        model, had_halves = changed, had_halves or name == HALVES
    return Normal(_named(model), dropped, had_halves)


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every node with a name of its own: onnxruntime's quantiser picks nodes by name."""
    copy = _copy(model)
    for number, node in enumerate(copy.graph.node):
        node.name = f"{node.op_type}_{number}"
    return copy


def _at_opset(model: onnx.ModelProto) -> onnx.ModelProto:
    version = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), OPSET)
    changed = version_converter.convert_version(model, OPSET) if version < OPSET else _copy(model)
    changed.ir_version = max(changed.ir_version, IR_VERSION)
    own = {tensor.name for tensor in changed.graph.initializer}
    kept = [entry for entry in changed.graph.input if entry.name not in own]
    del changed.graph.input[:]
    changed.graph.input.extend(kept)
    return changed


_VALUES: dict[str, Callable[[onnx.AttributeProto], Array]] = {
    "value": lambda a: numpy_helper.to_array(a.t),
    "value_float": lambda a: np.array(a.f, np.float32),
    "value_floats": lambda a: np.array(list(a.floats), np.float32),
    "value_int": lambda a: np.array(a.i, np.int64),
    "value_ints": lambda a: np.array(list(a.ints), np.int64),
}


def _without_constant_nodes(model: onnx.ModelProto) -> onnx.ModelProto:
    copy, nodes = _copy(model), []
    for node in model.graph.node:
        attribute = node.attribute[0] if node.op_type == "Constant" and len(node.attribute) == 1 else None
        if attribute is None or attribute.name not in _VALUES:
            nodes.append(node)
            continue
        copy.graph.initializer.append(numpy_helper.from_array(_VALUES[attribute.name](attribute), node.output[0]))
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


def _half_to_float(tensor: onnx.TensorProto) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))


def _in_floats(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = _copy(model)
    for tensor in copy.graph.initializer:
        _half_to_float(tensor)
    for node in copy.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                _half_to_float(attribute.t)
            elif node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
    if copy != model:
        del copy.graph.value_info[:]  # they name halves
    return copy


def _without_gemm(model: onnx.ModelProto) -> onnx.ModelProto:
    if not any(node.op_type == "Gemm" for node in model.graph.node):
        return model
    values, made = graph.constants(model), _Layers(model)
    for node in model.graph.node:
        if node.op_type == "Gemm":
            made.add(node, values)
        else:
            made.nodes.append(node)
    copy = graph.with_constants(model, made.changed)
    del copy.graph.node[:]
    copy.graph.node.extend(made.nodes)
    known = set(values)
    copy.graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(value), name)
        for name, value in made.changed.items()
        if name not in known
    )
    return graph.without_unused(copy)


class _Layers:
    """Each Gemm as MatMul + Add; a constant of its own keeps its name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        read = Counter(name for node in model.graph.node for name in (*node.input, *graph.captured(node)))
        self._shared = {name for name, count in read.items() if count > 1}
        self.nodes: list[onnx.NodeProto] = []
        self.changed: dict[str, Array] = {}

    def _constant(self, name: str, value: Array, of: onnx.NodeProto) -> str:
        changed = f"{of.output[0]}_{name}" if name in self._shared else name
        self.changed[changed] = value
        return changed

    def _node(self, operator: str, inputs: list[str], output: str) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output]))
        return output

    def _scaled(self, name: str, ratio: float, output: str) -> str:
        if ratio == 1.0:
            return name
        self.changed[f"{output}_ratio"] = np.array(ratio, np.float32)
        return self._node("Mul", [name, f"{output}_ratio"], output)

    def add(self, node: onnx.NodeProto, values: Mapping[str, Array]) -> None:
        """The nodes that compute what ``node`` computes."""
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        alpha, beta, out = given.get("alpha", 1.0), given.get("beta", 1.0), node.output[0]
        x, w = node.input[0], node.input[1]
        if given.get("transA"):
            x = self._node("Transpose", [x], f"{out}_input")
        if w in values:
            weight = values[w].T if given.get("transB") else values[w]
            if given.get("transB") or alpha != 1.0:
                w = self._constant(w, np.multiply(weight, alpha, dtype=weight.dtype), node)
        else:
            w = self._node("Transpose", [w], f"{out}_weight") if given.get("transB") else w
            x = self._scaled(x, alpha, f"{out}_scaled")
        if len(node.input) < 3 or not node.input[2]:
            self._node("MatMul", [x, w], out)
            return
        bias = node.input[2]
        if bias in values:
            value = values[bias]
            flat = value.reshape(-1) if value.ndim == 2 and len(value) == 1 else value
            if beta != 1.0 or flat is not value:
                bias = self._constant(bias, np.multiply(flat, beta, dtype=value.dtype), node)
        else:
            bias = self._scaled(bias, beta, f"{out}_bias")
        self._node("Add", [self._node("MatMul", [x, w], f"{out}_product"), bias], out)


HALVES = "fp16 to fp32"
STEPS: dict[str, Callable[[onnx.ModelProto], onnx.ModelProto]] = {
    f"opset {OPSET}": _at_opset,
    "Constant to initializer": _without_constant_nodes,
    HALVES: _in_floats,
    "Gemm to MatMul + Add": _without_gemm,
}
