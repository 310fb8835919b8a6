"""The whole of `recmodel optimise` on a small model: made, judged, measured, chosen, reported, and resumed."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from sklearn.metrics import roc_auc_score

ROOT = Path(__file__).resolve().parents[2]

from builders import variants_models as models  # noqa: E402
from recmodel.api.records import RECORD_LABEL, read_records  # noqa: E402
from recmodel.cli import main  # noqa: E402
from recmodel.variants import data, graph  # noqa: E402
from recmodel.variants.server import Runtime, Server  # noqa: E402
from recmodel.variants.speed import Bench, Effort, requests_by_size  # noqa: E402
from recmodel.variants.training import JaxAdapter, Recipe  # noqa: E402

RECIPES = '{"fromScratch": {"epochs": 2, "learning_rate": 3e-3, "table_decay": 0.1}, "fineTune": {"epochs": 1}}'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained model, its data, a light design and recipes."""
    out = tmp_path_factory.mktemp("optimise")
    truth = models.dlrm(seed=9)
    models.write_rows(out / "training.npz", truth, 3000, seed=1)
    models.write_rows(out / "evaluation.npz", truth, 3000, seed=2)
    start = models.dlrm(top=(512, 256))
    rows = data.read(out / "training.npz", graph.inputs(graph.session(start)), "training")
    recipe = Recipe(epochs=2, learning_rate=3e-3, table_decay=0.1)
    graph.write(JaxAdapter().train(start, rows, recipe, None, lambda words: None), out / "full.onnx")
    graph.write(models.two_tower(), out / "towers.onnx")
    (out / "recipes.json").write_text(RECIPES)
    return out


def run(folder: Path, *more: str, out: Path | None = None) -> int:
    return main(
        [
            "optimise", "--model", str(folder / "full.onnx"), "--evaluation", str(folder / "evaluation.npz"),
            "--training", str(folder / "training.npz"), "--recipes", str(folder / "recipes.json"),
            "--design", f"two-tower={folder / 'towers.onnx'}", "--out", str(out or folder / "out"), "--widths", "25",
            "--sizes", "1,100", "--budget", "20%", *more,
        ]
    )  # fmt: skip


def test_everything_is_made_judged_and_reported_and_a_rerun_makes_nothing_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record_file = tmp_path / "record.yaml"
    assert run(folder, "--record-file", str(record_file), "--record-uri", "file:///models/", out=tmp_path) == 0
    said = capsys.readouterr()
    found = json.loads((tmp_path / "result.json").read_text())
    names = [entry["name"] for entry in found["candidates"]]
    assert {"full", "int8", "int8-static", "sparse-80", "pruned-25-distilled-int8", "two-tower-distilled"} <= set(names)
    assert sum(entry["chosen"] for entry in found["candidates"]) == 1
    chosen = next(entry for entry in found["candidates"] if entry["chosen"])
    assert chosen["quality"]["auc"]["lossInterval"][1] < 0.2
    assert all(entry["reason"] for entry in found["candidates"])
    assert f"**{found['chosen']}**" in said.out
    assert "int8-wide: dynamic int8, wide hidden layers" in said.err
    assert (tmp_path / "pareto.png").stat().st_size > 10_000

    record = yaml.safe_load(record_file.read_text())
    assert record["metadata"]["labels"][RECORD_LABEL] == "recmodel"
    records, wrong = read_records(record["data"])
    assert wrong == {}
    assert records["full"].loss_interval == (0.0, 0.0)
    assert [name for name, one in records.items() if one.chosen] == [found["chosen"]]
    for name, one in records.items():
        assert one.uri == f"file:///models/{name}.onnx"
        file = tmp_path / "models" / f"{name}.onnx"
        assert (one.size_bytes, one.sha256) == (file.stat().st_size, graph.sha256(graph.read(file)))

    before = (tmp_path / "result.json").read_text()
    assert run(folder, out=tmp_path) == 0
    assert capsys.readouterr().err == ""  # no progress: nothing was made or measured
    assert (tmp_path / "result.json").read_text() == before


def test_later_rows_report_what_others_have_chosen(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    full, truth = folder / "full.onnx", models.dlrm(seed=9)
    paths = {}
    for number, name in enumerate(("evaluation", "later")):
        columns = models.ids(3000, seed=2 + number)
        simple = np.random.default_rng(number).random(3000)
        paths[name] = models.write_rows(
            tmp_path / f"{name}.npz", truth, 3000, seed=2 + number, simple=simple, price=columns["item"]
        )
    arguments = ["--model", str(full), "--evaluation", str(paths["evaluation"]), "--report", str(paths["later"])]
    more = ["--baseline", "simple", "--budget", "20%", "--sizes", "100", "--quantisers", "onnxruntime"]
    record_file = tmp_path / "record.yaml"
    out = ["--out", str(tmp_path / "out"), "--record-file", str(record_file)]
    assert main(["optimise", *arguments, *more, *out]) == 0
    said = capsys.readouterr()
    assert "evaluation: ignores price: no input of the model" in said.err
    assert "On 3000 later rows of `later`, which chose nothing:" in said.out
    assert "of the lead over simple" in said.out
    found = json.loads((tmp_path / "out" / "result.json").read_text())
    records, _ = read_records(yaml.safe_load(record_file.read_text())["data"])
    assert {e["name"] for e in found["candidates"] if e["report"]} == set(records) == {
        e["name"] for e in found["candidates"] if e["kept"]
    }  # fmt: skip
    with np.load(paths["later"]) as later:
        for name, one in records.items():
            exact = roc_auc_score(
                later["label"], graph.scores(tmp_path / "out" / "models" / f"{name}.onnx", later, 100)
            )
            assert one.value == pytest.approx(exact, abs=1e-4)
            assert one.dataset.startswith("later, 3000 rows")
            assert ("on later rows it loses" in one.reason) == (name != "full")


def test_an_interrupted_candidate_is_made_again_and_only_that(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    capsys.readouterr()
    cache = folder / "out" / "cache"
    (done,) = [p for p in cache.glob("*/done.json") if json.loads(p.read_text())["name"] == "pruned-25"]
    done.unlink()
    done.parent.rename(done.parent.with_name(done.parent.name + ".partial"))
    assert run(folder) == 0
    said = capsys.readouterr().err
    assert "pruned-25: 25 % of the units, fine-tuned" in said
    assert "two-tower" not in said
    assert "measuring" not in said  # it came out the same, by the seed


def test_eight_bits_that_overrun_the_budget_are_retrained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder, "--budget", "0.0001%") == 0
    found = json.loads((folder / "out" / "result.json").read_text())
    names = {entry["name"]: entry for entry in found["candidates"]}
    assert "int8-retrained" in names
    assert "crosses the budget" in names["int8"]["reason"]


def test_without_training_data_only_eight_bits_are_tried_and_that_is_said(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--model", str(folder / "full.onnx"), "--evaluation", str(folder / "evaluation.npz")]
    assert main(["optimise", *arguments, "--out", str(folder / "untrained"), "--sizes", "100"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"\| [*_]*int8-wide[*_]* \|", out)  # plain, kept or chosen: that is measured
    assert "- pruned: needs training data: give --training" in out
    assert "sparse-80" not in out


def test_an_id_outside_the_tables_is_told_with_its_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    made = helper.make_graph(
        [
            helper.make_node("Gather", ["table", "user"], ["logit"], axis=0),
            helper.make_node("Sigmoid", ["logit"], ["score"]),
        ],
        "lookup",
        [helper.make_tensor_value_info("user", TensorProto.INT64, ["rows"])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"])],
        [numpy_helper.from_array(np.linspace(-1, 1, 5).astype(np.float32), "table")],
    )
    model: onnx.ModelProto = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    graph.write(model, tmp_path / "lookup.onnx")
    user = np.arange(100) % 5
    user[7] = 99
    np.savez(tmp_path / "rows.npz", user=user, label=np.arange(100) // 5 % 2)
    arguments = ["--model", str(tmp_path / "lookup.onnx"), "--evaluation", str(tmp_path / "rows.npz")]
    assert main(["optimise", *arguments, "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told == "recmodel optimise: evaluation.user: 99 in row 7: must be -5 to 4: its table has 5 rows"


@pytest.fixture(scope="module")
def runtime() -> Runtime:
    """The demo's own runtime in MLServer, which `make test-paper` installs."""
    return Runtime(Path(os.environ["RECMODEL_MLSERVER"]), ROOT / "demo" / "ranker")


def test_models_are_measured_through_the_real_server_in_turns(folder: Path, tmp_path: Path, runtime: Runtime) -> None:
    columns, said = models.ids(400), []
    bench = Bench(
        requests_by_size(columns, (1, 300)), max(os.sched_getaffinity(0)), runtime, tmp_path, Effort(0.1, 0.1, 2)
    )
    parts = list(bench.compare(folder / "full.onnx", {"towers": folder / "towers.onnx"}, said.append))
    assert len(parts) == 1
    assert len(said) == 1
    full, towers = parts[0][""], parts[0]["towers"]
    assert full.by_size[300].latency_ratio == 1.0
    assert towers.by_size[300].latency_ratio < 1.0
    assert towers.by_size[300].bare_ratio < 0.5
    # The server's own work comes on top of the session's.
    assert towers.by_size[300].p50_seconds > 2 * towers.by_size[300].bare_seconds
    assert towers.resident_bytes is not None
    assert 50e6 < towers.resident_bytes < 1e9


def test_a_server_that_does_not_start_is_told_with_its_last_words(tmp_path: Path, runtime: Runtime) -> None:
    (tmp_path / "broken.onnx").write_text("no model")
    server = Server(runtime, tmp_path / "broken.onnx", max(os.sched_getaffinity(0)), tmp_path / "server.log")
    with pytest.raises(RuntimeError, match=r"did not get ready with broken.onnx: "), server:
        pass


def drifting(path: Path) -> Path:
    """A recommender that answers the same request otherwise each time."""
    from onnx import TensorProto, helper

    model = models.two_tower()
    last = model.graph.node[-1]
    last.output[0] = "steady"
    noise = helper.make_node("RandomUniformLike", ["steady"], ["noise"], dtype=TensorProto.FLOAT, low=0.0, high=0.1)
    model.graph.node.extend([noise, helper.make_node("Add", ["steady", "noise"], ["score"])])
    graph.write(model, path)
    return path


def test_one_that_cannot_be_measured_is_named_and_the_others_are_measured(
    folder: Path, tmp_path: Path, runtime: Runtime
) -> None:
    (tmp_path / "broken.onnx").write_text("no model")
    others = {
        "broken": tmp_path / "broken.onnx",
        "drifting": drifting(tmp_path / "drifting.onnx"),
        "towers": folder / "towers.onnx",
    }
    requests = requests_by_size(models.ids(400), (300,))
    bench = Bench(requests, max(os.sched_getaffinity(0)), runtime, tmp_path, Effort(0.1, 0.1, 2))
    (part,) = bench.compare(folder / "full.onnx", others, lambda words: None)
    assert set(part) == {"", "towers"}
    assert bench.failed["drifting"].startswith("cannot be measured: drifting.onnx: the server's scores differ")
    assert bench.failed["broken"].startswith("cannot be measured: ")
    with pytest.raises(Exception, match=r"broken\.onnx"):
        list(bench.compare(tmp_path / "broken.onnx", {}, lambda words: None))
