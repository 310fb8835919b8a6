"""Precomputing what depends on one id alone: the same scores from a smaller graph.

Everything between an id's lookup and the first node that also reads something else (a tower of a two-tower model, an
embedding that is a sum of several) has as many different results as there are ids: they become one table. It is exact, so
every model is folded before it is measured, the baseline too: no technique may claim what costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from recmodel.variants import graph
from recmodel.variants.graph import Array

# A tower's result may be wider than the embeddings that it is made of; past this the lookup costs more than it saves.
LARGEST_GROWTH = 4.0


def fold(model: onnx.ModelProto) -> onnx.ModelProto:
    """``model`` with each id's own part as one lookup; unchanged where there is none. Needs no data."""
    for index, rows in _indices(model).items():
        model = _fold_one(model, index, rows)
    return model


def _indices(model: onnx.ModelProto) -> dict[str, int]:
    """The tensors that index constant tables along their rows, with the number of rows, where all those tables agree."""
    values = graph.constants(model)
    sizes: dict[str, set[int]] = {}
    for node in model.graph.node:
        axis = next((helper.get_attribute_value(a) for a in node.attribute if a.name == "axis"), 0)
        if node.op_type == "Gather" and node.input[0] in values and node.input[1] not in values and axis == 0:
            table = values[node.input[0]]
            sizes.setdefault(node.input[1], set()).add(len(table) if table.ndim == 2 else -1)
    return {index: next(iter(rows)) for index, rows in sizes.items() if len(rows) == 1 and -1 not in rows}


def _fold_one(model: onnx.ModelProto, index: str, rows: int) -> onnx.ModelProto:
    values = graph.constants(model)
    own, part = {index}, []
    for node in model.graph.node:
        reads = {name for name in node.input if name and name not in values}
        if reads and reads <= own:
            part.append(node)
            own.update(node.output)
    read_elsewhere = {name for node in model.graph.node if node not in part for name in node.input}
    outputs = {output.name for output in model.graph.output}
    frontier = [name for node in part for name in node.output if name in read_elsewhere | outputs]
    lookups = {node.output[0] for node in part if node.op_type == "Gather" and node.input[0] in values}
    wanted = [name for name in frontier if name not in lookups]
    tables = _evaluate(model, part, index, wanted, rows) if wanted else None
    if tables is None:
        return model
    before = sum(values[n.input[0]].nbytes for n in part if n.op_type == "Gather" and n.input[0] in values)
    if sum(table.nbytes for table in tables.values()) > LARGEST_GROWTH * before:
        return model
    nodes = [
        helper.make_node("Gather", [f"{name}_folded", index], [name], name=f"{name}_lookup", axis=0) for name in wanted
    ]
    kept = [node for node in model.graph.node if not set(node.output) & set(wanted)]
    place = next((i for i, node in enumerate(kept) if node in part), len(kept))
    return _rebuilt(
        model, [*kept[:place], *nodes, *kept[place:]], {f"{name}_folded": table for name, table in tables.items()}
    )


def _evaluate(
    model: onnx.ModelProto, part: list[onnx.NodeProto], index: str, wanted: list[str], rows: int
) -> dict[str, Array] | None:
    """The value of each wanted tensor for each id; None where one is no row an id, or depends on the other rows."""
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    del inner.graph.node[:], inner.graph.input[:], inner.graph.output[:], inner.graph.value_info[:]
    inner.graph.node.extend(part)
    inner.graph.input.append(helper.make_tensor_value_info(index, TensorProto.INT64, ["ids"]))
    inner.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in wanted)
    try:
        opened = graph.session(_pruned(inner))
        ids = np.arange(rows)
        found = opened.run(wanted, {index: ids})
        some = opened.run(wanted, {index: ids[::-3].copy()})  # a row that depends on the others differs without them
    except Exception:  # onnxruntime has its own kinds for each status: a part that it cannot run alone is not folded
        return None
    by_row = all(
        value.ndim == 2 and value.dtype == np.float32 and len(value) == rows
        and np.allclose(value[::-3], other, rtol=1e-5, atol=1e-6)
        for value, other in zip(found, some, strict=True)
    )  # fmt: skip
    return dict(zip(wanted, found, strict=True)) if by_row else None


def _rebuilt(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], more: dict[str, Array]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in more.items())
    return _pruned(copy)


def _pruned(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without nodes and constants that no output needs."""
    wanted, nodes = {output.name for output in model.graph.output}, []
    for node in reversed(model.graph.node):
        if set(node.output) & wanted:
            nodes.append(node)
            wanted.update(node.input)
    kept = [tensor for tensor in model.graph.initializer if tensor.name in wanted]
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:], copy.graph.initializer[:]
    copy.graph.node.extend(nodes[::-1])
    copy.graph.initializer.extend(kept)
    return copy
