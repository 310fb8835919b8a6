"""Structured pruning: whole hidden units leave an MLP, so that its matrices really become smaller.

A hidden layer is ``MatMul(x, W) -> Add b -> Relu -> MatMul(., V)`` (or Gemm for both) with constant W, b, V and no other
reader in between. Removing a unit removes a column of W, an entry of b and a row of V; what the unit gave on average moves
into the next layer's bias. Unstructured zeroes are here too, to be measured: onnxruntime's CPU kernels do not skip them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

from recmodel.variants import graph, verify
from recmodel.variants.errors import InputError
from recmodel.variants.graph import Array, Floats

# Widths are kept to multiples of this: a vector register of 512 bits holds 16 floats, an odd rest costs as much as a whole one.
LANES = 16


@dataclass(frozen=True)
class Layer:
    """One hidden layer; names are those of constants and of the tensor after the ReLU."""

    weight: str
    weight_transposed: bool
    bias: str
    activation: str
    next_weight: str
    next_transposed: bool
    next_bias: str | None
    units: int


class _Readers:
    """Who makes and who reads each tensor."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.outputs = {output.name for output in model.graph.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in model.graph.node:
            for name in (*node.input, *graph.captured(node)):
                self._readers.setdefault(name, []).append(node)

    def only(self, tensor: str, *operators: str) -> onnx.NodeProto | None:
        """The one node that reads ``tensor``, where it is of these operators and the tensor is no output."""
        readers = self._readers.get(tensor, [])
        if len(readers) != 1 or tensor in self.outputs or readers[0].op_type not in operators:
            return None
        return readers[0]

    def count(self, tensor: str) -> int:
        """How many inputs read it."""
        return len(self._readers.get(tensor, []))


def _transposed(node: onnx.NodeProto) -> bool:
    return any(a.name == "transB" and helper.get_attribute_value(a) for a in node.attribute)


def _units(node: onnx.NodeProto, values: Mapping[str, Array]) -> int:
    return int(values[node.input[1]].shape[0 if _transposed(node) else 1])


def _plain(node: onnx.NodeProto) -> bool:
    """A Gemm that is ``x W + b``: neither scaled nor with its input transposed."""
    usual = {"transA": 0, "alpha": 1.0, "beta": 1.0}
    return all(
        helper.get_attribute_value(a) == usual.get(a.name, helper.get_attribute_value(a)) for a in node.attribute
    )


def _affine(node: onnx.NodeProto, readers: _Readers, values: Mapping[str, Array]) -> tuple[str, str | None, str] | None:
    """The weight, bias and result of ``x W + b``; None where ``node`` is no such layer with constants of its own."""
    if node.op_type not in ("MatMul", "Gemm") or len(node.input) < 2 or node.input[1] not in values:
        return None
    weight = node.input[1]
    if values[weight].ndim != 2 or readers.count(weight) != 1:
        return None
    if node.op_type == "Gemm":
        bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
        own = bias is None or (
            bias in values and readers.count(bias) == 1 and values[bias].shape == (_units(node, values),)
        )
        return (weight, bias, node.output[0]) if own and _plain(node) else None
    added = readers.only(node.output[0], "Add")
    if added is not None:
        (other,) = [name for name in added.input if name != node.output[0]] or [""]
        if other in values and values[other].shape == (_units(node, values),) and readers.count(other) == 1:
            return weight, other, added.output[0]
    return weight, None, node.output[0]


def layers(model: onnx.ModelProto) -> list[Layer]:
    """The hidden layers that can be pruned, from the input on."""
    values, readers, found = graph.constants(model), _Readers(model), []
    for node in model.graph.node:
        this = _affine(node, readers, values)
        if this is None or this[1] is None:
            continue
        relu = readers.only(this[2], "Relu")
        following = readers.only(relu.output[0], "MatMul", "Gemm") if relu is not None else None
        if relu is None or following is None or following.input[0] != relu.output[0]:
            continue
        after = _affine(following, readers, values)
        if after is None:
            continue
        names = this[0], _transposed(node), this[1], relu.output[0], after[0], _transposed(following), after[1]
        found.append(Layer(*names, _units(node, values)))
    return found


def kept_units(units: int, keep_ratio: float) -> int:
    """``keep_ratio`` of the units, up to a multiple of 16, at most all: 256 at 0.3 is 80."""
    return min(units, LANES * max(1, math.ceil(units * keep_ratio / LANES - 1e-9)))


def _outgoing(values: Mapping[str, Array], layer: Layer) -> Floats:
    """[units, outputs]"""
    weight = values[layer.next_weight].astype(np.float32)
    return weight.T if layer.next_transposed else weight


def prune(model: onnx.ModelProto, keep_ratio: float, columns: Mapping[str, Array]) -> onnx.ModelProto:
    """``model`` with the most useful share of units in each hidden layer, judged on the rows in ``columns``.

    A unit's use is the spread of its activation times the length of its outgoing weights: a unit that never changes is a
    bias. With ``keep_ratio`` 1 nothing changes. Raises InputError where there is no hidden layer to prune, where all are too narrow
    to lose a unit, or where the smaller graph does not score as the whole one in which the units that leave are held at their mean.
    """
    if not 0.0 < keep_ratio <= 1.0:
        raise InputError("keep_ratio", keep_ratio, "must be above 0 and at most 1")
    found = layers(model)
    if not found:
        raise InputError(
            "model", model.graph.name, "has no hidden layer of the form MatMul + Add + Relu + MatMul to prune"
        )
    if keep_ratio < 1.0 and all(kept_units(layer.units, keep_ratio) == layer.units for layer in found):
        units = ", ".join(str(layer.units) for layer in found)
        rule = (
            f"has hidden layers of {units} units, which keep all at {keep_ratio:.0%}: widths are multiples of {LANES}"
        )
        raise InputError("model", model.graph.name, rule)
    values, held = graph.constants(model), graph.constants(model)
    active = graph.tensors(model, [layer.activation for layer in found], columns)
    for layer in found:
        activation = active[layer.activation].astype(np.float32).reshape(-1, layer.units)
        use = activation.std(axis=0) * np.linalg.norm(_outgoing(values, layer), axis=1)
        keep = np.sort(np.argsort(-use, kind="stable")[: kept_units(layer.units, keep_ratio)])
        _hold(held, layer, keep, activation.mean(axis=0))
        _remove(values, layer, keep, activation.mean(axis=0))
    pruned = graph.with_constants(model, values)
    why = verify.difference(graph.with_constants(model, held), pruned, columns)
    if why is not None:
        raise InputError(
            "model", model.graph.name, f"cannot be pruned: without units that are held at their mean, {why}"
        )
    return pruned


def _hold(values: dict[str, Array], layer: Layer, keep: NDArray[np.int64], mean: Floats) -> None:
    """In the whole graph, the next layer reads the mean of the units that leave: what ``_remove`` must score as."""
    gone = np.setdiff1d(np.arange(layer.units), keep)
    outgoing = _outgoing(values, layer).copy()
    _give_mean(values, layer, gone, mean)
    outgoing[gone] = 0.0
    values[layer.next_weight] = outgoing.T if layer.next_transposed else outgoing


def _give_mean(values: dict[str, Array], layer: Layer, gone: NDArray[np.int64], mean: Floats) -> None:
    if layer.next_bias is not None:
        bias = values[layer.next_bias].astype(np.float32)
        values[layer.next_bias] = bias + mean[gone] @ _outgoing(values, layer)[gone]


def _remove(values: dict[str, Array], layer: Layer, keep: NDArray[np.int64], mean: Floats) -> None:
    _give_mean(values, layer, np.setdiff1d(np.arange(layer.units), keep), mean)
    outgoing = _outgoing(values, layer)
    values[layer.weight] = values[layer.weight][keep] if layer.weight_transposed else values[layer.weight][:, keep]
    values[layer.bias] = values[layer.bias][keep]
    values[layer.next_weight] = outgoing[keep].T if layer.next_transposed else outgoing[keep]


def sparsify(model: onnx.ModelProto, zero_ratio: float) -> onnx.ModelProto:
    """``model`` with the smallest ``zero_ratio`` of each hidden layer's weights set to 0; the shapes stay.

    Raises InputError where there is no hidden layer.
    """
    values, found = graph.constants(model), layers(model)
    if not found:
        raise InputError("model", model.graph.name, "has no hidden layer whose weights could be set to 0")
    for layer in found:
        weight = values[layer.weight]
        values[layer.weight] = np.where(np.abs(weight) < np.quantile(np.abs(weight), zero_ratio), 0.0, weight).astype(
            np.float32
        )
    return graph.with_constants(model, values)
