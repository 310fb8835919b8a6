"""Eight bits by onnxruntime's own quantiser: the MLP's weights, or the embedding tables too, dynamic or calibrated.

Which layers take part matters more than the method. The first layer reads columns of very different ranges, and one scale
for all of them rounds the smoothed means away (measured on film ratings: 1.2 % of AUC); the last one decides the order. So
``wide`` leaves both in fp32: in a deep MLP the layers between them are most of the work.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from recmodel.variants import graph
from recmodel.variants.errors import InputError
from recmodel.variants.graph import Array

# A layer with less of the multiplications than this gains nothing measurable from 8 bits.
WIDE_SHARE = 0.1
CALIBRATION_BATCH = 256
_ACTIVATIONS = ("Relu", "LeakyRelu", "PRelu", "Elu", "Gelu", "Sigmoid", "Tanh")


@dataclass(frozen=True)
class Int8:
    """What becomes 8 bits, and how the activations get their scale."""

    scale: Literal["dynamic", "static"] = "dynamic"
    layers: Literal["all", "wide", "none"] = "all"
    tables: bool = False


class _Calibration(CalibrationDataReader):  # type: ignore[misc]
    """Batches of rows, one after the other."""

    def __init__(self, columns: Mapping[str, Array]) -> None:
        rows = len(next(iter(columns.values())))
        self._batches: Iterator[dict[str, Array]] = iter(
            [
                {name: value[first : first + CALIBRATION_BATCH] for name, value in columns.items()}
                for first in range(0, rows - CALIBRATION_BATCH + 1, CALIBRATION_BATCH)
            ]
        )

    def get_next(self) -> dict[str, Array] | None:
        """The next batch, then None."""
        return next(self._batches, None)


def matmuls(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The layers with a constant weight."""
    values = graph.constants(model)
    return [
        node
        for node in model.graph.node
        if node.op_type in ("MatMul", "Gemm") and node.input[1] in values and values[node.input[1]].ndim == 2
    ]


def wide(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The layers between hidden units with at least a tenth of all multiplications."""
    values, found = graph.constants(model), matmuls(model)
    work = sum(values[node.input[1]].size for node in found)
    hidden = {name for node in model.graph.node if node.op_type in _ACTIVATIONS for name in node.output}
    return [n for n in found if n.input[0] in hidden and values[n.input[1]].size >= WIDE_SHARE * work]


def _lookups(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    values = graph.constants(model)
    return [
        node
        for node in model.graph.node
        if node.op_type == "Gather" and node.input[0] in values and values[node.input[0]].dtype.name == "float32"
    ]


def widest(model: onnx.ModelProto) -> tuple[str, ...]:
    """The constants that ``Int8(layers="wide")`` rounds: what a retraining has to get used to."""
    return tuple(node.input[1] for node in wide(model))


def quantise(model: onnx.ModelProto, how: Int8, calibration: Mapping[str, Array]) -> onnx.ModelProto:
    """``model`` in 8 bits. ``calibration`` rows give the static scales; the dynamic ones come with each request.

    Raises InputError where nothing in the graph can be quantised in this way.
    """
    nodes = matmuls(model) if how.layers == "all" else wide(model) if how.layers == "wide" else []
    nodes += _lookups(model) if how.tables else []
    if not nodes:
        raise InputError("model", model.graph.name, f"has nothing to quantise for {how}")
    names = [node.name for node in nodes]
    kinds = sorted({node.op_type for node in nodes})
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        graph.write(model, source)
        if how.scale == "dynamic":
            quantize_dynamic(
                source,
                target,
                op_types_to_quantize=kinds,
                nodes_to_quantize=names,
                per_channel=True,
                weight_type=QuantType.QInt8,
            )
        else:
            quantize_static(
                source,
                target,
                _Calibration(calibration),
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=kinds,
                nodes_to_quantize=names,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
            )
        return onnx.load(str(target))


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime advises on the root logger to preprocess the model, which changes nothing for these graphs."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
