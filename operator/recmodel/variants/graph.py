"""A recommender as an ONNX graph: its inputs, its score, its constants; run by onnxruntime on one thread."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from recmodel.variants.errors import InputError, first_line

Array = NDArray[np.generic]
Floats = NDArray[np.float32]

_ID_TYPES: dict[str, type[np.generic]] = {
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
}
# Rows that one call scores at evaluation: bounds the memory of the activations.
_ROWS_A_CALL = 4096


@dataclass(frozen=True)
class Input:
    """One input of the graph: the first axis is the candidates of a request, ``columns`` the second's size or None."""

    name: str
    dtype: type[np.generic]
    columns: int | None


def read(path: Path, field: str = "model") -> onnx.ModelProto:
    """The checked graph in ``path``. Raises InputError where it is no readable ONNX model."""
    if not path.is_file():
        raise InputError(field, path, "must be a file")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # onnx and protobuf raise a dozen kinds here
        raise InputError(field, path, f"must be a valid ONNX model ({first_line(error)})") from error
    return model


def sha256(model: onnx.ModelProto) -> str:
    """Of the file that ``write`` makes."""
    return hashlib.sha256(_bytes(model)).hexdigest()


def write(model: onnx.ModelProto, path: Path) -> None:
    """The same graph gives the same bytes."""
    path.write_bytes(_bytes(model))


def _bytes(model: onnx.ModelProto) -> bytes:
    return bytes(model.SerializeToString(deterministic=True))


def constants(model: onnx.ModelProto) -> dict[str, Array]:
    """Initializers by name, as arrays that may be changed."""
    return {tensor.name: np.array(numpy_helper.to_array(tensor)) for tensor in model.graph.initializer}


def with_constants(model: onnx.ModelProto, values: Mapping[str, Array]) -> onnx.ModelProto:
    """A copy of ``model`` in which the initializers named in ``values`` have these values; shapes may differ."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in copy.graph.initializer:
        if tensor.name in values:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[tensor.name]), tensor.name))
    return copy


def captured(node: onnx.NodeProto) -> set[str]:
    """The tensors of the graph around it that the bodies of a Loop, an If or a Scan read by name."""
    found: set[str] = set()
    for attribute in node.attribute:
        bodies = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else list(attribute.graphs)
        for body in bodies:
            own = {entry.name for entry in body.input} | {tensor.name for tensor in body.initializer}
            own |= {name for inner in body.node for name in inner.output}
            read = {name for inner in body.node for name in (*inner.input, *captured(inner))}
            found |= (read | {entry.name for entry in body.output}) - own
    return found - {""}


def reads(node: onnx.NodeProto) -> set[str]:
    """What a node needs: its inputs, and what its bodies read of the graph around it."""
    return {name for name in node.input if name} | captured(node)


def gather_axis(node: onnx.NodeProto) -> int:
    """Along which axis a Gather looks up; ONNX's default is the first."""
    return next((int(helper.get_attribute_value(a)) for a in node.attribute if a.name == "axis"), 0)


def without_unused(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` without the nodes and constants that no output needs."""
    wanted, nodes = {output.name for output in model.graph.output}, []
    for node in reversed(model.graph.node):
        if set(node.output) & wanted:
            nodes.append(node)
            wanted |= reads(node)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in wanted]
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:], copy.graph.initializer[:]
    copy.graph.node.extend(nodes[::-1])
    copy.graph.initializer.extend(kept)
    return copy


def session(model: onnx.ModelProto | Path) -> onnxruntime.InferenceSession:
    """One thread, no spinning: as the model server runs it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    source = str(model) if isinstance(model, Path) else model.SerializeToString()
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def inputs(opened: onnxruntime.InferenceSession, of: str = "model") -> tuple[Input, ...]:
    """The graph's inputs. Raises InputError where one is not a column, or a few, of ids or numbers a candidate."""
    found = []
    for entry in opened.get_inputs():
        field = f"{of}.inputs.{entry.name}"
        if entry.type not in _ID_TYPES:
            raise InputError(field, entry.type, f"a recommender's input is one of {', '.join(_ID_TYPES)}")
        shape = list(entry.shape)
        if not 1 <= len(shape) <= 2 or isinstance(shape[0], int):
            raise InputError(
                field, shape, "a recommender's input is [rows] or [rows, columns] with a free number of rows"
            )
        columns = shape[1] if len(shape) == 2 else None
        if columns is not None and not isinstance(columns, int):
            raise InputError(field, shape, "the number of columns must be fixed")
        found.append(Input(entry.name, _ID_TYPES[entry.type], columns))
    return tuple(found)


def score_output(opened: onnxruntime.InferenceSession, of: str = "model") -> str:
    """The output's name. Raises InputError unless there is one, float, with one score a row."""
    outputs = opened.get_outputs()
    if len(outputs) != 1:
        names = [o.name for o in outputs]
        raise InputError(
            f"{of}.outputs", names, "a recommender has one output, the score: name it with --output NAME[:COLUMN]"
        )
    (output,) = outputs
    shape = list(output.shape)
    one_a_row = len(shape) == 1 or (len(shape) == 2 and shape[1] == 1)
    if output.type != "tensor(float)" or not one_a_row or isinstance(shape[0], int):
        raise InputError(
            f"{of}.outputs.{output.name}",
            f"{output.type} {shape}",
            "the score is a tensor(float) of [rows] or [rows, 1]: of several columns name one with --output NAME:COLUMN",
        )
    return str(output.name)


def with_inner_inputs(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """``model`` in which the inner tensors ``names`` are inputs instead of computed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    kept = [node for node in model.graph.node if not set(node.output) & set(names)]
    del copy.graph.node[:]
    copy.graph.node.extend(kept)
    copy.graph.input.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", None]) for name in names)
    return copy


def tensors(model: onnx.ModelProto, names: Sequence[str], columns: Mapping[str, Array]) -> dict[str, Array]:
    """What the inputs or inner tensors ``names`` are for these rows."""
    inner = [name for name in names if name not in columns]
    found = {name: columns[name] for name in names if name in columns}
    if inner:
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        del copy.graph.output[:]
        copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in inner)
        opened = session(without_unused(copy))
        wanted = {entry.name: columns[entry.name] for entry in opened.get_inputs()}
        found |= dict(zip(inner, opened.run(inner, wanted), strict=True))
    return found


def scales_by_request(model: onnx.ModelProto) -> bool:
    """Whether its 8 bits get their scale from all rows of a request: then a row's score depends a little on the others."""
    return any(node.op_type == "DynamicQuantizeLinear" for node in model.graph.node)


def scores(model: onnx.ModelProto | Path, columns: Mapping[str, Array], rows_a_call: int = _ROWS_A_CALL) -> Floats:
    """[rows]: what onnxruntime answers for all rows of ``columns``, in calls of some thousand rows."""
    opened = session(model)
    names = [entry.name for entry in opened.get_inputs()]
    output = score_output(opened)
    rows = len(next(iter(columns.values())))
    parts = [
        opened.run([output], {name: columns[name][start : start + rows_a_call] for name in names})[0].reshape(-1)
        for start in range(0, rows, rows_a_call)
    ]
    return np.concatenate(parts).astype(np.float32)
