"""Eight bits by NNCF, OpenVINO's quantiser, on the ONNX graph: onnxruntime runs what comes out, and OpenVINO is not needed.

It rounds what a layer reads, and nothing between its product and its bias, where onnxruntime's quantiser rounds once more. A
layer's output stays unrounded unless the next layer reads it in 8 bits, and onnxruntime runs only a layer with both ends rounded
on integers. So of the layers in 8 bits the last one should be a small one: ``wide`` alone, of which the last is large, was
measured at 0.7 of the full model's time, all that read hidden units at 0.3.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Collection, Sequence

import onnx

from recmodel.variants.errors import InputError, first_line
from recmodel.variants.graph import Array


def quantise_by_nncf(
    model: onnx.ModelProto, names: Collection[str], batches: Sequence[dict[str, Array]]
) -> onnx.ModelProto:
    """``model`` with the nodes ``names`` in 8 bits, weights a channel, activations by what ``batches`` made of them.

    Raises InputError where NNCF cannot, and ModuleNotFoundError where it is not installed.
    """
    # It would report each use to its makers over the network; this is its own switch, read when it is imported.
    os.environ["NNCF_CI"] = "1"
    import nncf

    nncf.set_log_level(logging.ERROR)
    # Left to itself it rounds the tables and every sum and product too, which lost half as much again on film ratings.
    others = nncf.IgnoredScope(names=[node.name for node in model.graph.node if node.name not in names])
    try:
        # Its progress bars go to standard output, where our table goes.
        with contextlib.redirect_stdout(io.StringIO()):
            made = nncf.quantize(
                model,
                nncf.Dataset(batches),
                ignored_scope=others,
                subset_size=len(batches),
                # Weights of half the range, so that they score the same on processors without VNNI: see quantise.py.
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
            )
    except Exception as error:  # its own kinds, onnxruntime's, and Python's for graphs that it did not expect
        raise InputError("model", model.graph.name, f"NNCF cannot quantise it ({first_line(error)})") from error
    if not isinstance(made, onnx.ModelProto):
        raise TypeError(f"NNCF made a {type(made).__name__} of an ONNX graph")
    return made
