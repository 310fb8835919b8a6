"""`recmodel optimise` on recommenders that nobody here wrote: what it makes scores as it says, and the rest is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx

from builders import public_models as public
from recmodel.cli import main
from recmodel.variants import graph
from recmodel.variants.data import Rows
from recmodel.variants.graph import Floats
from recmodel.variants.training import Progress, Recipe


def optimise(folder: Path, model: onnx.ModelProto, *more: str) -> dict[str, object]:
    """The result of a run on it; 8 bits only unless ``more`` brings training data."""
    graph.write(model, folder / "full.onnx")
    public.write_rows(folder / "evaluation.npz", model)
    files = ["--model", str(folder / "full.onnx"), "--evaluation", str(folder / "evaluation.npz")]
    wanted = ["--out", str(folder / "out"), "--sizes", "100", "--quantisers", "onnxruntime"]
    assert main(["optimise", *files, *wanted, *more]) == 0
    found: dict[str, object] = json.loads((folder / "out" / "result.json").read_text())
    return found


def test_eight_bits_of_gemm_layers_hold_integers(tmp_path: Path) -> None:
    optimise(tmp_path, public.gemm_layers())
    made = [onnx.load(str(path)) for path in (tmp_path / "out" / "cache").glob("*/served.onnx")]
    integers = [model for model in made if any(node.op_type == "MatMulInteger" for node in model.graph.node)]
    assert len(integers) >= 2


class Moody:
    """Somebody's own training: out of memory for most, NaN for one, and a graph of another shape for another."""

    def train(
        self, model: onnx.ModelProto, rows: Rows, recipe: Recipe, teacher: Floats | None, progress: Progress
    ) -> onnx.ModelProto:
        if recipe.keep_zeroes:
            raise RuntimeError("CUDA out of memory\nand a long trace")
        values = graph.constants(model)
        if teacher is None:
            return graph.with_constants(model, {name: value * np.float32("nan") for name, value in values.items()})
        (weight, *_) = [name for name, value in values.items() if value.ndim == 2]
        return graph.with_constants(model, {weight: values[weight][1:]})


def test_a_candidate_that_fails_never_ends_the_run(tmp_path: Path) -> None:
    model = public.gemm_layers()
    training = public.write_rows(tmp_path / "training.npz", model, seed=6)
    more = ["--training", str(training), "--adapter", f"{__name__}:Moody", "--widths", "25"]
    found = optimise(tmp_path, model, *more)
    made = {entry["name"] for entry in found["candidates"]}
    assert {"full", "int8", "int8-static", "pruned-25-raw"} <= made
    told = found["leftOut"]
    assert told["sparse-80"] == "RuntimeError: CUDA out of memory"
    assert told["pruned-25"].startswith("pruned-25.score: nan in row 0: must be finite in every row")
    assert told["pruned-25-distilled"]
    assert told["pruned-25-distilled-int8"] == "its parent pruned-25-distilled was not made"
    assert not made & set(told)
