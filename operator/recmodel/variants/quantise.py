"""Eight bits: the MLP's weights, or the embedding tables too; by onnxruntime's own quantiser or, where it is installed, NNCF.

Which layers take part matters more than the method. The first layer reads columns of very different ranges, and one scale
for all of them rounds the smoothed means away (measured on film ratings: 1.2 % of AUC); the last one decides the order. So
``wide`` leaves both in fp32: in a deep MLP the layers between them are most of the work.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from recmodel.variants import graph, verify
from recmodel.variants.errors import InputError
from recmodel.variants.graph import Array
from recmodel.variants.quantise_nncf import quantise_by_nncf

# A layer with less of the multiplications than this gains nothing measurable from 8 bits.
WIDE_SHARE = 0.1
CALIBRATION_BATCH = 256
# What computes on integers or turns them into floats: without one of these a file holds no 8 bits.
_INTEGERS = {"MatMulInteger", "QLinearMatMul", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "DequantizeLinear"}
_ACTIVATIONS = ("Relu", "LeakyRelu", "PRelu", "Elu", "Gelu", "Sigmoid", "Tanh")


@dataclass(frozen=True)
class Int8:
    """What becomes 8 bits, and how the activations get their scale: from each request, calibrated, or calibrated by NNCF."""

    scale: Literal["dynamic", "static", "nncf"] = "dynamic"
    layers: Literal["all", "hidden", "wide", "none"] = "all"
    tables: bool = False


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Batches of rows, one after the other."""

    def __init__(self, batches: Sequence[dict[str, Array]]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, Array] | None:
        """The next batch, then None."""
        return next(self._batches, None)


def _batches(columns: Mapping[str, Array]) -> list[dict[str, Array]]:
    rows = len(next(iter(columns.values())))
    return [
        {name: value[first : first + CALIBRATION_BATCH] for name, value in columns.items()}
        for first in range(0, rows - CALIBRATION_BATCH + 1, CALIBRATION_BATCH)
    ]


def matmuls(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The layers with a constant weight."""
    values = graph.constants(model)
    return [
        node
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in values and values[node.input[1]].ndim == 2
    ]


def _hidden(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    units = {name for node in model.graph.node if node.op_type in _ACTIVATIONS for name in node.output}
    return [node for node in matmuls(model) if node.input[0] in units]


def _wide(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    values = graph.constants(model)
    work = sum(values[node.input[1]].size for node in matmuls(model))
    return [node for node in _hidden(model) if values[node.input[1]].size >= WIDE_SHARE * work]


def _none(_: onnx.ModelProto) -> list[onnx.NodeProto]:
    return []


# ``hidden`` read hidden units: all but the first ones. ``wide`` are those of them with a tenth of all multiplications.
_LAYERS: dict[str, Callable[[onnx.ModelProto], list[onnx.NodeProto]]] = {
    "all": matmuls,
    "hidden": _hidden,
    "wide": _wide,
    "none": _none,
}


def _lookups(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    values = graph.constants(model)
    return [
        node
        for node in model.graph.node
        if node.op_type == "Gather" and node.input[0] in values and values[node.input[0]].dtype.name == "float32"
    ]


def weights(model: onnx.ModelProto, how: Int8) -> tuple[str, ...]:
    """The layers' constants that ``how`` rounds: what a retraining has to get used to."""
    return tuple(node.input[1] for node in _LAYERS[how.layers](model))


def quantise(model: onnx.ModelProto, how: Int8, calibration: Mapping[str, Array]) -> onnx.ModelProto:
    """``model`` in 8 bits. ``calibration`` rows give the static scales; the dynamic ones come with each request.

    Raises InputError where nothing in the graph can be quantised in this way, or where the result would be fp32 as before.
    """
    nodes = _LAYERS[how.layers](model) + (_lookups(model) if how.tables else [])
    if not nodes:
        raise InputError("model", model.graph.name, f"has no constant {_words(how)} to round to 8 bits")
    if how.scale == "nncf":
        made = quantise_by_nncf(model, [node.name for node in nodes], _batches(calibration))
    else:
        with tempfile.TemporaryDirectory() as folder, _quiet():
            made = _by_onnxruntime(model, nodes, how, calibration, Path(folder))
    if len(_in_floats(made, nodes)) == len(nodes) or not {node.op_type for node in made.graph.node} & _INTEGERS:
        rule = f"cannot be quantised: none of its {len(nodes)} {_words(how)}s became integers, the file would be fp32"
        raise InputError("model", model.graph.name, rule)
    return made


def _words(how: Int8) -> str:
    layer = {"all": "layer", "hidden": "hidden layer", "wide": "wide hidden layer", "none": ""}[how.layers]
    return " or ".join([*([layer] if layer else []), *(["table"] if how.tables else [])])


def _in_floats(made: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """Those of ``nodes`` that still read their constant as floats; another reader of the same constant may well do so."""
    floats = {name for name, value in graph.constants(made).items() if value.dtype == np.float32}
    left = {node.name: node for node in made.graph.node}
    return [
        node.name
        for node in nodes
        if node.name in left and left[node.name].input[0 if node.op_type == "Gather" else 1] in floats
    ]


def _by_onnxruntime(
    model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto], how: Int8, calibration: Mapping[str, Array], folder: Path
) -> onnx.ModelProto:
    """As onnxruntime's quantiser makes it: with the shapes of all tensors inferred first, as it asks for.

    Not with its optimiser before: that joins MatMul and Add to the Gemm which the dynamic quantiser leaves in fp32.
    """
    source, target = folder / "fp32.onnx", folder / "int8.onnx"
    quant_pre_process(model, source, skip_optimization=True, skip_symbolic_shape=True)
    why = verify.difference(model, onnx.load(str(source)), calibration)
    if why is not None:
        raise InputError("model", model.graph.name, f"cannot be quantised: prepared for it, {why}")
    what: dict[str, Any] = {
        "op_types_to_quantize": sorted({node.op_type for node in nodes}),
        "nodes_to_quantize": [node.name for node in nodes],
        "per_channel": True,
        "weight_type": QuantType.QInt8,
        # Weights from -64 to 64. Without VNNI a processor adds two products of 8 bits in 16, where -128 to 127 does not fit and is
        # cut off: scores then moved two to six times as far. So a file scores the same on every node.
        "reduce_range": any(node.op_type != "Gather" for node in nodes),
    }
    if how.scale == "dynamic":
        quantize_dynamic(source, target, **what)
    else:
        rows = _Calibration(_batches(calibration))
        form = QuantFormat.QDQ
        quantize_static(source, target, rows, quant_format=form, activation_type=QuantType.QUInt8, **what)
    return onnx.load(str(target))


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime advises on the root logger to optimise the model first, which would undo what can be quantised."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
