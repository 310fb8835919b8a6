"""NNCF as one more quantiser: its graphs are ONNX that the same server runs, and without it nothing changes."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest

ROOT = Path(__file__).resolve().parents[2]

from builders import variants_models as models  # noqa: E402
from recmodel.cli import main  # noqa: E402
from recmodel.variants import graph, plan  # noqa: E402
from recmodel.variants.errors import InputError  # noqa: E402
from recmodel.variants.fold import fold  # noqa: E402
from recmodel.variants.quantise import Int8, quantise, weights  # noqa: E402
from recmodel.variants.server import Runtime  # noqa: E402
from recmodel.variants.speed import Bench, Effort, requests_by_size  # noqa: E402

needs_nncf = pytest.mark.skipif(
    "nncf" not in plan.installed(), reason="NNCF is optional: hack/venv.sh openvino, which make test-paper uses"
)
ROWS = models.ids(2048)


def folded() -> onnx.ModelProto:
    """A small recommender as the workshop hands it to a quantiser."""
    model = fold(models.dlrm(top=(256, 128)), ROWS).model
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    return model


def optimise(folder: Path, *more: str) -> dict[str, dict[str, object]]:
    """The candidates by name, of a run without training."""
    if not (folder / "full.onnx").exists():
        truth = models.dlrm(top=(256, 128), seed=9)
        graph.write(truth, folder / "full.onnx")
        models.write_rows(folder / "evaluation.npz", truth, 3000, seed=2)
    files = ["--model", str(folder / "full.onnx"), "--evaluation", str(folder / "evaluation.npz")]
    assert main(["optimise", *files, "--out", str(folder / "out"), "--sizes", "100", *more]) == 0
    found = json.loads((folder / "out" / "result.json").read_text())
    return {entry["name"]: entry for entry in found["candidates"]}


@needs_nncf
@pytest.mark.parametrize("how", [Int8("nncf"), Int8("nncf", "hidden")], ids=str)
def test_its_graph_rounds_the_named_layers_only_and_scores_nearly_the_same(how: Int8) -> None:
    model = folded()
    made = quantise(model, how, ROWS)
    onnx.checker.check_model(made)
    assert made.opset_import == model.opset_import
    gap = np.abs(graph.scores(made, ROWS) - graph.scores(model, ROWS))
    assert 0.0 < gap.max() < 0.1
    assert made.ByteSize() < 0.5 * model.ByteSize()

    # The format of onnxruntime's own static quantiser: 8 bits with their scale before each layer, and nothing else is new.
    added = Counter(node.op_type for node in made.graph.node) - Counter(node.op_type for node in model.graph.node)
    assert set(added) == {"QuantizeLinear", "DequantizeLinear"}
    kept = {name for name, value in graph.constants(made).items() if value.dtype == np.float32 and value.ndim == 2}
    before = {name for name, value in graph.constants(model).items() if value.dtype == np.float32 and value.ndim == 2}
    assert before - kept == set(weights(model, how))
    # As onnxruntime's own: the same scores on a processor without VNNI.
    assert (
        max(np.abs(v.astype(int)).max() for v in graph.constants(made).values() if v.dtype == np.int8 and v.ndim == 2)
        <= 64
    )


@needs_nncf
def test_the_same_rows_make_the_same_file_and_the_given_graph_stays() -> None:
    model = folded()
    before = graph.sha256(model)
    first, again = (graph.sha256(quantise(model, Int8("nncf"), ROWS)) for _ in range(2))
    assert first == again
    assert graph.sha256(model) == before


@needs_nncf
def test_what_it_cannot_do_is_one_line_so_that_the_candidate_is_left_out() -> None:
    with pytest.raises(InputError, match=r"^model: .*: NNCF cannot quantise it \(.+\)$"):
        quantise(folded(), Int8("nncf"), models.ids(10))  # less than one batch to calibrate with


@needs_nncf
def test_its_candidates_are_judged_like_any_other_and_it_says_nothing_itself(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = optimise(tmp_path)
    said = capfd.readouterr()
    assert {"int8-static", "nncf-int8", "nncf-int8-hidden"} <= set(found)
    for name in ("nncf-int8", "nncf-int8-hidden"):
        assert found[name]["reason"]
        assert f"{name}: static int8 by NNCF" in said.err
    assert "INFO" not in said.out + said.err
    assert "Statistics" not in said.out + said.err

    assert set(optimise(tmp_path, "--quantisers", "nncf")) == {"full", "nncf-int8", "nncf-int8-hidden"}


def test_where_it_is_missing_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)  # as if it were not installed
    found = optimise(tmp_path)
    assert set(found) == set(optimise(tmp_path, "--quantisers", "onnxruntime"))
    assert not [name for name in found if "nncf" in name]


@needs_nncf
def test_the_real_server_answers_with_its_graph_as_the_session_does(tmp_path: Path) -> None:
    graph.write(fold(models.dlrm(top=(256, 128)), ROWS).model, tmp_path / "full.onnx")
    graph.write(quantise(folded(), Int8("nncf", "hidden"), ROWS), tmp_path / "nncf.onnx")
    runtime = Runtime(Path(os.environ["RECMODEL_MLSERVER"]), ROOT / "demo" / "ranker")
    bench = Bench(
        requests_by_size(models.ids(400), (300,)), max(os.sched_getaffinity(0)), runtime, tmp_path, Effort(0.1, 0.1, 2)
    )
    # The bench itself refuses a server whose scores differ from the session's.
    (part,) = bench.compare(tmp_path / "full.onnx", {"nncf": tmp_path / "nncf.onnx"}, lambda words: None)
    assert part["nncf"].by_size[300].p50_seconds > part["nncf"].by_size[300].bare_seconds > 0.0
