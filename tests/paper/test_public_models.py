"""`recmodel optimise` on recommenders that nobody here wrote: what it makes scores as it says, and the rest is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from builders import public_models as public
from recmodel.cli import main
from recmodel.variants import graph


def optimise(folder: Path, model: onnx.ModelProto, *more: str) -> dict[str, object]:
    """The result of a run on it; 8 bits only unless ``more`` brings training data."""
    graph.write(model, folder / "full.onnx")
    public.write_rows(folder / "evaluation.npz", model)
    files = ["--model", str(folder / "full.onnx"), "--evaluation", str(folder / "evaluation.npz")]
    wanted = ["--out", str(folder / "out"), "--sizes", "100", "--quantisers", "onnxruntime"]
    assert main(["optimise", *files, *wanted, *more]) == 0
    found: dict[str, object] = json.loads((folder / "out" / "result.json").read_text())
    return found


def auc(score: np.ndarray, label: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(label, score))


@pytest.mark.parametrize(
    "build",
    [
        public.attention_pooling,
        public.keras_ids,
        public.captured_by_a_branch,
        public.gemm_layers,
        public.gemm_of_every_kind,
        public.before_opset_13,
        public.in_halves,
    ],
)
def test_the_full_model_is_reported_as_it_is_given(build, tmp_path: Path) -> None:
    model = build()
    found = optimise(tmp_path, model)
    with np.load(tmp_path / "evaluation.npz") as rows:
        exact = auc(graph.scores(model, rows), rows["label"])
    by_name = {entry["name"]: entry for entry in found["candidates"]}
    assert by_name["full"]["quality"]["auc"]["value"] == pytest.approx(exact, abs=1e-4)
    assert {name for name in found["leftOut"] if " of full" in name} == set()
    # Every 8 bits are made, or it is said why not; none is a copy of the full model.
    for name in ("int8", "int8-wide", "int8-tables", "int8-static"):
        assert (name in by_name) != (name in found["leftOut"])


def test_eight_bits_of_gemm_layers_hold_integers(tmp_path: Path) -> None:
    optimise(tmp_path, public.gemm_layers())
    made = [onnx.load(str(path)) for path in (tmp_path / "out" / "cache").glob("*/served.onnx")]
    integers = [model for model in made if any(node.op_type == "MatMulInteger" for node in model.graph.node)]
    assert len(integers) >= 2
