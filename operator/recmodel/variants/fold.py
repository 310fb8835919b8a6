"""Precomputing what depends on one id alone: the same scores from a smaller graph.

Everything between an id's lookup and the first node that also reads something else (a tower of a two-tower model, an
embedding that is a sum of several) has as many different results as there are ids: they become one table. It is exact, so
every model is folded before it is measured, the baseline too: no technique may claim what costs nothing.

It is done only where it is proven: the id is one a row, nothing but lookups reads it, no body of a Loop, an If or a Scan reads a
tensor on the way, no row depends on another one, and real rows score the same afterwards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from recmodel.variants import graph, verify
from recmodel.variants.graph import Array

# A tower's result may be wider than the embeddings that it is made of; past this the lookup costs more than it saves.
LARGEST_GROWTH = 4.0


@dataclass(frozen=True)
class Folded:
    """The smaller graph, and why each lookup that would have changed scores was left as it was."""

    model: onnx.ModelProto
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Index:
    """A tensor of one id a row: ``[rows]``, or ``[rows, 1]`` where ``column``."""

    name: str
    ids: int
    dtype: np.dtype[np.generic]
    column: bool

    def every(self) -> Array:
        """Each id once, in the shape of the tensor."""
        flat = np.arange(self.ids, dtype=self.dtype)
        return flat[:, None] if self.column else flat


def fold(model: onnx.ModelProto, columns: Mapping[str, Array]) -> Folded:
    """``model`` with each id's own part as one lookup; ``columns`` are real rows, which must score the same."""
    rows, dropped = verify.some_rows(columns), []
    for index in _indices(model, rows):
        smaller = _fold_one(model, index)
        why = verify.difference(model, smaller, rows) if smaller is not None else None
        if why:
            dropped.append(f"{index.name}: {why}")
        elif smaller is not None:
            model = smaller
    return Folded(model, tuple(dropped))


def _table(node: onnx.NodeProto, values: Mapping[str, Array]) -> Array | None:
    """The constant that ``node`` looks rows up in."""
    return values.get(node.input[0]) if node.op_type == "Gather" and graph.gather_axis(node) == 0 else None


def _indices(model: onnx.ModelProto, rows: Mapping[str, Array]) -> list[_Index]:
    """The tensors that index constant tables along their rows, one id a row, where all those tables have the same ids."""
    values = graph.constants(model)
    sizes: dict[str, set[int]] = {}
    for node in model.graph.node:
        table = _table(node, values)
        if table is not None and node.input[1] not in values:
            sizes.setdefault(node.input[1], set()).add(len(table) if table.ndim >= 1 else -1)
    known = {name: next(iter(ids)) for name, ids in sizes.items() if len(ids) == 1 and -1 not in ids}
    found = []
    for name, value in graph.tensors(model, list(known), rows).items():
        if value.ndim == 1 or value.shape[1:] == (1,):
            found.append(_Index(name, known[name], value.dtype, value.ndim == 2))
    return found


def _part(model: onnx.ModelProto, index: _Index, values: Mapping[str, Array]) -> list[onnx.NodeProto]:
    """The nodes that depend on the id alone, and on it only by lookups."""
    captured = {name for node in model.graph.node for name in graph.captured(node)}
    own: set[str] = set()
    part = []
    for node in model.graph.node:
        if graph.captured(node) or set(node.output) & captured:
            continue
        reads = {name for name in node.input if name and name not in values}
        looked_up = reads == {index.name} and _table(node, values) is not None
        if looked_up or (reads and reads <= own):
            part.append(node)
            own.update(name for name in node.output if name)
    return part


def _fold_one(model: onnx.ModelProto, index: _Index) -> onnx.ModelProto | None:
    """With the part of ``index`` as lookups; None where there is none, or none that can be one."""
    values = graph.constants(model)
    part = _part(model, index, values)
    inside = {name for node in part for name in node.output if name}
    read_elsewhere = {
        name for node in model.graph.node if not set(node.output) & inside for name in graph.reads(node)
    } | {output.name for output in model.graph.output}
    lookups = {node.output[0] for node in part if _table(node, values) is not None}
    wanted = sorted((inside & read_elsewhere) - lookups)
    tables = _evaluate(model, part, index, wanted) if wanted else None
    if tables is None:
        return None
    before = sum(values[node.input[0]].nbytes for node in part if node.output[0] in lookups)
    if sum(table.nbytes for table in tables.values()) > LARGEST_GROWTH * before:
        return None
    more: dict[str, Array] = {f"{name}_folded": table for name, table in tables.items()}
    nodes, ids = [], index.name
    if index.column:
        ids = f"{index.name}_folded_rows"
        more[f"{ids}_shape"] = np.array([-1], np.int64)
        nodes.append(helper.make_node("Reshape", [index.name, f"{ids}_shape"], [ids], name=ids))
    nodes += [
        helper.make_node("Gather", [f"{name}_folded", ids], [name], name=f"{name}_lookup", axis=0) for name in wanted
    ]
    kept = [node for node in model.graph.node if not set(node.output) & set(wanted)]
    # Before the first one that reads them: whatever that is, it comes after the id.
    after = (i for i, node in enumerate(kept) if set(node.output) & inside or graph.reads(node) & set(wanted))
    place = next(after, len(kept))
    return _rebuilt(model, [*kept[:place], *nodes, *kept[place:]], more)


def _evaluate(
    model: onnx.ModelProto, part: Sequence[onnx.NodeProto], index: _Index, wanted: Sequence[str]
) -> dict[str, Array] | None:
    """The value of each wanted tensor for each id; None where one is no row an id, or depends on the other rows."""
    inner = onnx.ModelProto()
    inner.CopyFrom(model)
    del inner.graph.node[:], inner.graph.input[:], inner.graph.output[:], inner.graph.value_info[:]
    inner.graph.node.extend(part)
    shape: list[str | int | None] = ["ids", 1] if index.column else ["ids"]
    inner.graph.input.append(
        helper.make_tensor_value_info(index.name, helper.np_dtype_to_tensor_dtype(index.dtype), shape)
    )
    inner.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    every = index.every()
    # Some in the reverse order, and the first, the last and a middle one alone: a row that depends on others differs then.
    picks: list[NDArray[np.int64]] = [np.arange(index.ids)[::-3]]
    picks += [np.array([one]) for one in sorted({0, index.ids // 2, index.ids - 1})]
    try:
        opened = graph.session(graph.without_unused(inner))
        found = opened.run(list(wanted), {index.name: every})
        again = [opened.run(list(wanted), {index.name: np.ascontiguousarray(every[pick])}) for pick in picks]
    except Exception:  # onnxruntime has its own kinds for each status: a part that it cannot run alone is not folded
        return None
    for number, value in enumerate(found):
        if value.dtype != np.float32 or value.ndim < 1 or len(value) != index.ids:
            return None
        for pick, some in zip(picks, again, strict=True):
            if some[number].shape != value[pick].shape or not np.allclose(value[pick], some[number], 1e-5, 1e-6):
                return None
    return dict(zip(wanted, found, strict=True))


def _rebuilt(model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], more: dict[str, Array]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    copy.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in more.items())
    return graph.without_unused(copy)
