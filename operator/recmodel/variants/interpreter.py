"""An ONNX recommender as a differentiable JAX function: so that any such graph can be trained on, not just one of ours.

Covers the operators that embedding + MLP recommenders are made of; another one is refused by name. A tensor that the caller
gives by name is taken as given and what computes it is left out: training rows bring their features of that time with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import helper, numpy_helper

from recmodel.variants.errors import InputError

Tensors = dict[str, Any]
Operator = Callable[[Sequence[Any], dict[str, Any]], Any]

# Of the signed 8 bits a layer's weight uses -64 to 64 (see quantise.py), a table's -127 to 127, of the unsigned an activation all.
_WEIGHT_STEPS, _TABLE_STEPS, _ACTIVATION_STEPS = 64.0, 127.0, 255.0


def _straight_through(exact: Any, rounded: Any) -> Any:
    """Forward the rounded value, backward the slope of the exact one (Bengio et al., 2013)."""
    return exact + jax.lax.stop_gradient(rounded - exact)


def fake_weight(w: Any) -> Any:
    """Symmetric 8 bits a column, as onnxruntime's per-channel weights."""
    scale = jnp.maximum(jnp.max(jnp.abs(w), axis=0, keepdims=True), 1e-12) / _WEIGHT_STEPS
    return _straight_through(w, jnp.round(w / scale) * scale)


def fake_table(w: Any) -> Any:
    """Symmetric 8 bits a table, as onnxruntime's Gather."""
    scale = jnp.maximum(jnp.max(jnp.abs(w)), 1e-12) / _TABLE_STEPS
    return _straight_through(w, jnp.round(w / scale) * scale)


def fake_activation(x: Any) -> Any:
    """Unsigned 8 bits over the range of the batch with zero in it, as onnxruntime's dynamic quantisation."""
    low, high = jnp.minimum(jnp.min(x), 0.0), jnp.maximum(jnp.max(x), 0.0)
    scale = jnp.maximum(high - low, 1e-12) / _ACTIVATION_STEPS
    zero = jnp.round(-low / scale)
    return _straight_through(x, (jnp.clip(jnp.round(x / scale) + zero, 0, _ACTIVATION_STEPS) - zero) * scale)


def _static(value: Any) -> Any:
    return np.asarray(value)


def _axes(args: Sequence[Any], attributes: dict[str, Any]) -> tuple[int, ...] | None:
    """An input from opset 13 on, an attribute before; None where neither says any."""
    given = args[1] if len(args) > 1 and args[1] is not None else attributes.get("axes")
    return None if given is None else tuple(int(axis) for axis in np.reshape(_static(given), -1))


def _split(args: Sequence[Any], attributes: dict[str, Any]) -> list[Any]:
    sizes = args[1] if len(args) > 1 else attributes.get("split")
    axis = attributes.get("axis", 0)
    if sizes is None:
        raise InputError("model", "Split", "cannot be trained: the JAX adapter needs the sizes of the parts")
    return jnp.split(args[0], np.cumsum(_static(sizes))[:-1].tolist(), axis=axis)  # type: ignore[no-any-return]


def _gather(args: Sequence[Any], attributes: dict[str, Any]) -> Any:
    axis, place = attributes.get("axis", 0), args[1]
    # Below zero counts from the end. Outside, onnxruntime refuses the request; here it is the nearest one.
    place = jnp.where(place < 0, place + args[0].shape[axis], place)
    return jnp.take(args[0], place, axis=axis, mode="clip")


def _gemm(args: Sequence[Any], attributes: dict[str, Any]) -> Any:
    a = args[0].T if attributes.get("transA") else args[0]
    b = args[1].T if attributes.get("transB") else args[1]
    out = attributes.get("alpha", 1.0) * (a @ b)
    return out + attributes.get("beta", 1.0) * args[2] if len(args) > 2 and args[2] is not None else out


def _reshape(args: Sequence[Any], attributes: dict[str, Any]) -> Any:
    kept = 0 if not attributes.get("allowzero") else None
    shape = [args[0].shape[i] if size == kept else int(size) for i, size in enumerate(_static(args[1]))]
    return jnp.reshape(args[0], shape)


def _reduce_sum(args: Sequence[Any], attributes: dict[str, Any]) -> Any:
    axes = _axes(args, attributes) or None
    if axes is None and attributes.get("noop_with_empty_axes"):
        return args[0]
    return jnp.sum(args[0], axis=axes, keepdims=bool(attributes.get("keepdims", 1)))


def _divide(args: Sequence[Any], _: dict[str, Any]) -> Any:
    """Whole numbers divide to whole ones, towards zero."""
    one, other = jnp.asarray(args[0]), jnp.asarray(args[1])
    if not jnp.issubdtype(one.dtype, jnp.integer):
        return one / other
    return jax.lax.div(*jnp.broadcast_arrays(one, other.astype(one.dtype)))


def _cast(args: Sequence[Any], attributes: dict[str, Any]) -> Any:
    return jnp.asarray(args[0], helper.tensor_dtype_to_np_dtype(attributes["to"]))


def _unary(function: Callable[[Any], Any]) -> Operator:
    return lambda args, _: function(args[0])


def _binary(function: Callable[[Any, Any], Any]) -> Operator:
    return lambda args, _: function(args[0], args[1])


OPERATORS: dict[str, Operator] = {
    "Add": _binary(jnp.add),
    "And": _binary(jnp.logical_and),
    "Cast": _cast,
    "Concat": lambda args, a: jnp.concatenate(args, axis=a["axis"]),
    "Div": _divide,
    "Flatten": lambda args, a: jnp.reshape(args[0], (int(np.prod(args[0].shape[: a.get("axis", 1)])), -1)),
    "Gather": _gather,
    "Gemm": _gemm,
    "GreaterOrEqual": _binary(jnp.greater_equal),
    "Identity": _unary(lambda x: x),
    "Less": _binary(jnp.less),
    "Log": _unary(jnp.log),
    "MatMul": _binary(jnp.matmul),
    "Max": lambda args, _: reduce(jnp.maximum, args),
    "Min": lambda args, _: reduce(jnp.minimum, args),
    "Mul": _binary(jnp.multiply),
    "ReduceSum": _reduce_sum,
    "Relu": _unary(jax.nn.relu),
    "Reshape": _reshape,
    "Sigmoid": _unary(jax.nn.sigmoid),
    "Split": _split,
    "Sqrt": _unary(jnp.sqrt),
    "Squeeze": lambda args, a: jnp.squeeze(args[0], _axes(args, a)),
    "Sub": _binary(jnp.subtract),
    "Tanh": _unary(jnp.tanh),
    "Transpose": lambda args, a: jnp.transpose(args[0], a.get("perm")),
    "Unsqueeze": lambda args, a: jnp.expand_dims(args[0], _axes(args, a) or ()),
    "Where": lambda args, _: jnp.where(args[0], args[1], args[2]),
}

# What each of these may say; anything else would be ignored, and is refused instead.
ATTRIBUTES: dict[str, frozenset[str]] = {
    "Cast": frozenset({"to", "saturate"}),
    "Concat": frozenset({"axis"}),
    "Flatten": frozenset({"axis"}),
    "Gather": frozenset({"axis"}),
    "Gemm": frozenset({"alpha", "beta", "transA", "transB"}),
    "ReduceSum": frozenset({"axes", "keepdims", "noop_with_empty_axes"}),
    "Reshape": frozenset({"allowzero"}),
    "Split": frozenset({"axis", "split", "num_outputs"}),
    "Squeeze": frozenset({"axes"}),
    "Transpose": frozenset({"perm"}),
    "Unsqueeze": frozenset({"axes"}),
}


def _unknown(node: onnx.NodeProto) -> list[str]:
    """Its operator, or its attributes, where the interpreter does not know them."""
    if node.domain not in ("", "ai.onnx"):
        return [f"{node.domain}.{node.op_type}"]
    if node.op_type not in OPERATORS:
        return [node.op_type]
    known = ATTRIBUTES.get(node.op_type, frozenset())
    return [f"{node.op_type}.{a.name}" for a in node.attribute if a.name not in known]


class Network:
    """The graph's logit as a function of its trainable constants and of a batch."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._nodes = list(model.graph.node)
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.output = model.graph.output[0].name
        strange = sorted({name for node in self._nodes for name in _unknown(node)})
        if strange:
            raise InputError("model", strange, f"cannot be trained: the JAX adapter knows {sorted(OPERATORS)}")
        self.logit = self._before_sigmoid()

    def _before_sigmoid(self) -> str:
        """The tensor that the last sigmoid takes. Training there keeps the slopes of certain rows alive."""
        made = {name: node for node in self._nodes for name in node.output}
        name = self.output
        while name in made and made[name].op_type in ("Reshape", "Squeeze", "Flatten", "Identity", "Cast"):
            name = made[name].input[0]
        last = made[name].op_type if name in made else name
        if last != "Sigmoid":
            raise InputError("model.outputs", last, "cannot be trained: the score must end in a Sigmoid")
        return str(made[name].input[0])

    def tables(self) -> frozenset[str]:
        """Constants that are looked up by id, or say by their name that they are such a table."""
        gathered = {node.input[0] for node in self._nodes if node.op_type == "Gather"}
        return frozenset(name for name in self.constants if name in gathered or name.endswith("_table"))

    def logits(self, trained: Mapping[str, Any], given: Mapping[str, Any], int8: frozenset[str] = frozenset()) -> Any:
        """[rows]: log odds. ``given`` are the inputs and any inner tensors; constants named in ``int8`` act as if in 8 bits."""
        values: Tensors = {**self.constants, **trained, **given}
        for node in self._needed(given):
            args = [values[name] if name else None for name in node.input]
            attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
            if int8 and node.op_type == "MatMul" and node.input[1] in int8:
                args = [fake_activation(args[0]), fake_weight(args[1])]
            elif int8 and node.op_type == "Gather" and node.input[0] in int8:
                args = [fake_table(args[0]), args[1]]
            result = OPERATORS[node.op_type](args, attributes)
            for name, value in zip(node.output, result if isinstance(result, list) else [result], strict=True):
                values.setdefault(name, value)
        return jnp.reshape(values[self.logit], (-1,))

    def _needed(self, given: Mapping[str, Any]) -> list[onnx.NodeProto]:
        """The nodes on the way to the logit, without those that only compute what is given."""
        wanted, needed = {self.logit}, []
        for node in reversed(self._nodes):
            if any(name in wanted and name not in given for name in node.output):
                needed.append(node)
                wanted.update(node.input)
        return needed[::-1]
