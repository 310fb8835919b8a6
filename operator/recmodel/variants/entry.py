"""The one score of a model that has several outputs, several columns, or logits: as the user names it, on entry.

What is made from the model, and served, has this one output.
"""

from __future__ import annotations

import re

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from recmodel.variants.errors import InputError

SCORE = "recmodel_score"


def entered(model: onnx.ModelProto, output: str | None, sigmoid: bool) -> onnx.ModelProto:
    """``model`` with the output ``NAME`` or ``NAME:COLUMN`` alone, through a sigmoid where asked for; unchanged where nothing is.

    Raises InputError where there is no such output.
    """
    if output is None and not sigmoid:
        return model
    names = [entry.name for entry in model.graph.output]
    if output is None and len(names) != 1:
        raise InputError("output", names, "must be named where there are several: --output NAME[:COLUMN]")
    name, column = _parsed(output, names) if output is not None else (names[0], None)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    chosen = next(entry for entry in copy.graph.output if entry.name == name)
    shape = [part.dim_param or part.dim_value or None for part in chosen.type.tensor_type.shape.dim]
    if column is not None:
        _check_column(column, shape, name)
        copy.graph.initializer.append(numpy_helper.from_array(np.array([column], np.int64), f"{SCORE}_column"))
        copy.graph.node.append(helper.make_node("Gather", [name, f"{SCORE}_column"], [f"{SCORE}_picked"], axis=1))
        name, shape = f"{SCORE}_picked", [*shape[:1], 1]
    if sigmoid:
        copy.graph.node.append(helper.make_node("Sigmoid", [name], [SCORE]))
        name = SCORE
    del copy.graph.output[:]
    copy.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
    return copy


def _parsed(output: str, names: list[str]) -> tuple[str, int | None]:
    if output in names:  # TensorFlow's names have colons of their own
        return output, None
    match = re.fullmatch(r"(.+):([0-9]{1,6})", output)
    if match is None or match[1] not in names:
        raise InputError(
            "output", output, f"must be one of {names}, or one of them with a column, such as {names[0]}:1"
        )
    return match[1], int(match[2])


def _check_column(column: int, shape: list[str | int | None], name: str) -> None:
    columns = shape[1] if len(shape) == 2 else None
    if len(shape) != 2 or (isinstance(columns, int) and column >= columns):
        raise InputError("output", f"{name}:{column}", f"must be a column of it, from 0 on: its shape is {shape}")
