"""Wrong models and data: one line that names the field, the value and the rule."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from builders import architectures
from builders import public_models as public
from builders import variants_models as models
from recmodel.cli import main
from recmodel.variants import data, graph
from recmodel.variants.entry import entered
from recmodel.variants.errors import InputError
from recmodel.variants.ids import check_ids
from recmodel.variants.plan import read_recipes
from recmodel.variants.quality import check_scores
from recmodel.variants.training import load_adapter


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "full.onnx"
    graph.write(models.dlrm(), path)
    return path


def optimise(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command says; it must end with 2 and one line."""
    assert main(["optimise", *map(str, arguments)]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1, told
    return told[0].removeprefix("recmodel optimise: ")


def arguments(model: Path, evaluation: Path, *more: str) -> list[str]:
    return ["--model", str(model), "--evaluation", str(evaluation), "--out", str(model.parent / "out"), *more]


def image_model(path: Path) -> Path:
    """A model of another kind: pictures in, classes out."""
    made = helper.make_graph(
        [helper.make_node("GlobalAveragePool", ["image"], ["classes"])],
        "image",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("classes", TensorProto.FLOAT, ["n", 3, 1, 1])],
    )
    graph.write(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def constant_model(path: Path, value: float) -> Path:
    """A model with the recommender's inputs that answers ``value`` for everything."""
    made = helper.make_graph(
        [
            helper.make_node("Cast", ["user"], ["number"], to=TensorProto.FLOAT),
            helper.make_node("Cast", ["item"], ["other"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["number", "other"], ["product"]),
            helper.make_node("Mul", ["product", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "value"], ["score"]),
        ],
        "constant",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["rows"]) for name in ("user", "item")],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows"])],
        [
            numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
            numpy_helper.from_array(np.array([value], np.float32), "value"),
        ],
    )
    graph.write(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def test_a_model_that_is_no_recommender(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = models.write_rows(tmp_path / "rows.npz", models.dlrm(), 50)
    told = optimise(capsys, *arguments(image_model(tmp_path / "image.onnx"), rows))
    assert told.startswith("model.inputs.image: ['n', 3, 8, 8]: a recommender's input is [rows] or [rows, columns]")
    (tmp_path / "text.onnx").write_text("no model")
    assert "must be a valid ONNX model" in optimise(capsys, *arguments(tmp_path / "text.onnx", rows))
    assert "must be a file" in optimise(capsys, *arguments(tmp_path / "none.onnx", rows))
    two = onnx.load(str(model))
    two.graph.output.append(helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["rows", 1]))
    graph.write(two, tmp_path / "two.onnx")
    assert optimise(capsys, *arguments(tmp_path / "two.onnx", rows)).startswith("model.outputs: ['score', 'logit']")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.5, 0.5])
def test_scores_that_are_none(tmp_path: Path, value: float) -> None:
    score = graph.scores(constant_model(tmp_path / "constant.onnx", value), models.ids(20))
    with pytest.raises(InputError) as caught:
        check_scores(score, "model", "auc")
    expected = {0.5: "is the same in every row", 1.5: "is the same in every row"}.get(
        value, "must be finite in every row"
    )
    assert str(caught.value).startswith("model.score: ")
    assert expected in str(caught.value)


def test_scores_must_be_probabilities_for_the_log_loss_alone() -> None:
    scores = np.array([0.2, 1.5], np.float32)
    with pytest.raises(
        InputError, match=r"model.score: 1.5: must be a probability .* give --sigmoid where it is a logit"
    ):
        check_scores(scores, "model", "log_loss")
    check_scores(scores, "model", "auc")


def test_one_of_several_outputs_or_columns_is_the_score_through_a_sigmoid_where_it_is_a_logit() -> None:
    model = architectures.two_tasks()
    rows = public.columns(model, 50)
    logits = graph.session(model).run(["score"], rows)[0]
    assert graph.scores(entered(model, "score:1", False), rows) == pytest.approx(logits[:, 1])
    assert graph.scores(entered(model, "score:0", True), rows) == pytest.approx(
        1 / (1 + np.exp(-logits[:, 0])), abs=1e-6
    )
    two = public.gemm_layers()
    two.graph.output.append(helper.make_tensor_value_info("h2", TensorProto.FLOAT, ["rows", 32]))
    assert graph.scores(entered(two, "score", False), rows) == pytest.approx(graph.scores(public.gemm_layers(), rows))
    for output, told in (
        ("h3", "output: h3: must be one of ['score', 'h2'], or one of them with a column, such as score:1"),
        ("h2:32", "output: h2:32: must be a column of it, from 0 on: its shape is ['rows', 32]"),
        (None, "output: ['score', 'h2']: must be named where there are several: --output NAME[:COLUMN]"),
    ):
        with pytest.raises(InputError) as caught:
            entered(two, output, sigmoid=True)
        assert str(caught.value) == told


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"item": None}, "evaluation.item: ['group', 'label', 'user']: the model needs this column"),
        ({"label": None}, "evaluation.label: "),
        ({"user": np.zeros(50)}, "evaluation.user: float64: the model takes int64"),
        ({"user": np.zeros((50, 2), np.int64)}, "evaluation.user: (50, 2): the model takes (50,)"),
        ({"item": np.zeros(49, np.int64)}, "evaluation.item: 49 rows: must have the 50 rows of label"),
        ({"label": np.full(50, 3)}, "evaluation.label: [3.]: must be one column of 0 and 1"),
        ({"label": np.ones(50)}, "evaluation.label: 1.0: must have rows of both kinds"),
        ({"label": np.where(np.arange(50) == 7, np.nan, 1.0)}, "evaluation.label: row 7: must be finite, without NaN"),
        ({"group": np.zeros(50)}, "evaluation.group: float64 (50,): must be one column of whole numbers"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_data_with_other_columns(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], change: dict[str, np.ndarray | None], told: str
) -> None:
    with np.load(models.write_rows(tmp_path / "rows.npz", models.dlrm(), 50)) as found:
        columns = {**found, **change}
    np.savez(tmp_path / "wrong.npz", **{name: value for name, value in columns.items() if value is not None})
    assert optimise(capsys, *arguments(model, tmp_path / "wrong.npz")).startswith(told)


@pytest.mark.parametrize(
    ("rows", "group", "metric", "told"),
    [
        (400, np.zeros(400, np.int64), "auc", "evaluation.group: 1 group with label 0: must be at least 30"),
        (400, np.arange(400) % 29, "auc", "evaluation.group: 29 groups with label"),
        (10, None, "auc", "evaluation.group: "),
        (400, np.arange(400), "ndcg", "evaluation.group: 0 groups with both labels: must be at least 30"),
    ],
)
def test_too_few_groups_for_an_interval(
    tmp_path: Path,
    model: Path,
    capsys: pytest.CaptureFixture[str],
    rows: int,
    group: np.ndarray | None,
    metric: str,
    told: str,
) -> None:
    more = {} if group is None else {"group": group}
    evaluation = models.write_rows(tmp_path / "rows.npz", models.dlrm(), rows, **more)
    assert optimise(capsys, *arguments(model, evaluation, "--metric", metric)).startswith(told)


def test_training_rows_that_are_the_evaluation_rows_are_refused_in_any_order(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = models.write_rows(tmp_path / "rows.npz", models.dlrm(), 400)
    with np.load(evaluation) as found:
        turned = {name: values[::-1] for name, values in found.items()}
        changed = {**turned, "label": np.concatenate([1 - turned["label"][:1], turned["label"][1:]])}
    np.savez(tmp_path / "turned.npz", **turned)
    for training in ("rows.npz", "turned.npz"):
        told = optimise(capsys, *arguments(model, evaluation, "--training", str(tmp_path / training)))
        assert told.startswith(f"training: {tmp_path / training}: holds the very rows of the evaluation data")
    np.savez(tmp_path / "changed.npz", **changed)
    told = optimise(
        capsys, *arguments(model, evaluation, "--training", str(tmp_path / "changed.npz"), "--adapter", "nowhere:Torch")
    )
    assert told.startswith("adapter: ")


def rows_of(columns: dict[str, np.ndarray], label: np.ndarray) -> data.Rows:
    return data.Rows("rows", columns, label.astype(np.float32), np.arange(len(label)), "")


def test_evaluation_rows_among_more_training_rows_are_found_and_rows_that_are_alike_by_chance_are_not() -> None:
    generator = np.random.default_rng(1)
    numbers, label = generator.standard_normal((500, 3)).astype(np.float32), generator.integers(0, 2, 500)
    whole, order = rows_of({"x": numbers}, label), generator.permutation(500)[:100]
    assert data.holds_rows(whole, rows_of({"x": numbers[order]}, label[order]))
    assert not data.holds_rows(whole, rows_of({"x": numbers[order]}, 1 - label[order]))
    # 5 ids and 2 labels: ten sorts of rows, which both files have of necessity.
    ids = generator.integers(0, 5, 500)
    few = rows_of({"user": ids}, label)
    assert not data.holds_rows(few, rows_of({"user": ids[:100]}, label[:100]))
    assert data.holds_rows(few, rows_of({"user": ids[::-1]}, label[::-1]))


def test_an_id_that_the_models_type_cannot_hold_never_becomes_another_one(tmp_path: Path) -> None:
    wanted = (graph.Input("user", np.int32, None), graph.Input("x", np.float32, None))
    columns = {"user": np.arange(50), "x": np.zeros(50), "label": np.arange(50) % 2}
    for name, value, told in (
        ("user", 2**32 + 5, "user: 4294967301 in row 7: the model takes int32, which cannot hold it"),
        ("x", 1e300, "x: 1e+300 in row 7: the model takes float32, which cannot hold it"),
    ):
        np.savez(tmp_path / "rows.npz", **{**columns, name: np.where(np.arange(50) == 7, value, columns[name])})
        with pytest.raises(InputError, match=re.escape(told)):
            data.read(tmp_path / "rows.npz", wanted, "evaluation")


def test_an_id_outside_its_table_is_told_with_its_row_in_training_rows_too() -> None:
    model = public.keras_ids()
    columns = public.columns(model, 60)
    columns["item"][41] = public.IDS
    with pytest.raises(InputError) as caught:
        check_ids(model, rows_of(columns, np.zeros(60)), "training")
    assert str(caught.value) == "training.item: 30 in row 41: must be -30 to 29: its table has 30 rows"
    computed = models.dlrm()  # which looks unknown ids up as 0
    strange = {"user": np.array([10**12, 0]), "item": np.array([-7, models.ITEMS])}
    check_ids(computed, rows_of(strange, np.zeros(2)), "training")


def test_a_model_whose_rows_depend_on_each_other_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph.write(public.listwise(), tmp_path / "full.onnx")
    rows = public.write_rows(tmp_path / "rows.npz", public.listwise(), 400)
    told = optimise(capsys, *arguments(tmp_path / "full.onnx", rows))
    assert re.fullmatch(
        r"model.score: 0\.\d+ for a row alone, 0\.\d+ beside 255 others: must not depend on the other rows .*", told
    )


def test_a_training_column_may_be_a_tensor_of_the_graph_but_no_other(tmp_path: Path) -> None:
    wanted = graph.inputs(graph.session(models.dlrm()))
    path = models.write_rows(tmp_path / "rows.npz", models.dlrm(), 50, user_stats=np.ones((50, 2), np.float32))
    rows = data.read(path, wanted, "training", frozenset({"user_stats"}))
    assert rows.columns["user_stats"].shape == (50, 2)
    assert rows.ignored == ()
    other = data.read(path, wanted, "training")
    assert set(other.columns) == {"user", "item"}
    assert other.ignored == ("user_stats",)


def test_a_baseline_is_a_column_and_other_columns_are_ignored_even_where_they_are_no_rows(tmp_path: Path) -> None:
    wanted = graph.inputs(graph.session(models.dlrm()))
    more = {"price": np.full(50, np.nan), "names": np.array(["a", "b"]), "means": np.arange(50)}
    path = models.write_rows(tmp_path / "rows.npz", models.dlrm(), 50, **more)
    rows = data.read(path, wanted, "evaluation", baseline="means")
    assert rows.ignored == ("names", "price")
    assert rows.baseline is not None
    assert rows.baseline.tolist() == list(range(50))


def test_numbers_and_names_that_are_wrong(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = models.write_rows(tmp_path / "rows.npz", models.dlrm(), 400)
    earlier = models.write_rows(tmp_path / "earlier.npz", models.dlrm(), 400, seed=6)
    for more, told in (
        (["--budget", "0%"], "budget: 0%: must be above 0%"),
        (
            ["--baseline", "means"],
            "baseline: means: must be chance, or a column of the evaluation data: ['group', 'item', ",
        ),
        (["--baseline", "chance", "--metric", "ndcg"], "baseline: chance: is known for auc alone"),
        (["--report", str(rows)], f"report: {rows}: holds the very rows of the evaluation data"),
        (
            ["--report", str(earlier), "--training", str(earlier)],
            f"training: {earlier}: holds the very rows of the report",
        ),
        (["--metric", "f1"], "metric: f1: must be one of auc, log_loss, ndcg"),
        (["--sizes", "1,x"], "sizes: 1,x: must be numbers"),
        (["--sizes", "0"], "sizes: 0: must be numbers above 0"),
        (["--serving-size", "7"], "serving-size: 7: must be one of the sizes [1, 50, 200]"),
        (["--core", "4096"], "core: 4096: must be one of this process's cores"),
        (["--server", str(tmp_path)], "server: "),
        (["--server", str(tmp_path), "--server-program", str(tmp_path / "no")], "server-program: "),
        (["--design", "Two=x.onnx"], "design: Two=x.onnx: must be NAME=FILE"),
        (["--design", f"image={image_model(tmp_path / 'image.onnx')}"], "design.image.outputs.classes: "),
        (["--training", str(earlier), "--adapter", "nowhere:Torch"], "adapter: nowhere:Torch: must be MODULE:CLASS"),
        (["--quantisers", "onnxruntime,tensorrt"], "quantisers: tensorrt: must be one of onnxruntime, nncf"),
        (["--record", "ranker"], "record: ranker: must be NAMESPACE/RECMODEL"),
    ):
        assert optimise(capsys, *arguments(model, rows, *more)).startswith(told), more


def test_a_quantiser_that_is_asked_for_and_not_installed(
    tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    rows = models.write_rows(tmp_path / "rows.npz", models.dlrm(), 50)
    told = optimise(capsys, *arguments(model, rows, "--quantisers", "onnxruntime,nncf"))
    assert told == "quantisers: nncf: is not installed: pip install '.[openvino]', or hack/venv.sh openvino"


def test_recipes_are_read_strictly(tmp_path: Path) -> None:
    file = tmp_path / "recipes.json"
    file.write_text('{"fromScratch": {"epochs": 9}, "designs": {"small": {"learning_rate": 0.1}}}')
    recipes = read_recipes(file, seed=3)
    assert (recipes.from_scratch.epochs, recipes.from_scratch.seed) == (9, 3)
    assert (recipes.by_design["small"].epochs, recipes.by_design["small"].learning_rate) == (9, 0.1)
    for text, told in (
        ('{"fromScratch": {"epoch": 9}}', "recipe.epoch: 9"),
        ('{"new": {}}', "recipes.new"),
        ("[", "recipes: "),
    ):
        file.write_text(text)
        with pytest.raises(InputError) as caught:
            read_recipes(file, seed=3)
        assert str(caught.value).startswith(told)


class Torch:
    """Somebody's own adapter."""

    def train(self, model, rows, recipe, teacher, progress):
        return model


def test_an_adapter_of_ones_own_is_loaded_by_name() -> None:
    assert isinstance(load_adapter(f"{__name__}:Torch"), Torch)
    with pytest.raises(InputError, match="must have a method train"):
        load_adapter("collections:OrderedDict")


def test_the_operator_never_imports_the_optimiser() -> None:
    script = "import sys, recmodel.controller.__main__, recmodel.cli; print([m for m in sys.modules if 'variants.' in m or m == 'onnx'])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert [
        name for name in done.stdout.strip("[]\n ").split(", ") if "recmodel.variants" in name or "onnx" in name
    ] == []
