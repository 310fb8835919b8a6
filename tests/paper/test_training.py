"""The JAX adapter: computes what onnxruntime computes, learns, and learns the same again."""

from __future__ import annotations

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx import helper

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "demo" / "paper"))

import synthetic  # noqa: E402

from builders import variants_models as models  # noqa: E402
from recmodel.variants import data, graph  # noqa: E402
from recmodel.variants.data import Rows  # noqa: E402
from recmodel.variants.errors import InputError  # noqa: E402
from recmodel.variants.graph import with_inner_inputs  # noqa: E402
from recmodel.variants.interpreter import Network  # noqa: E402
from recmodel.variants.quantise import Int8, matmuls, quantise  # noqa: E402
from recmodel.variants.training import JaxAdapter, Recipe, trainable  # noqa: E402


def wide() -> onnx.ModelProto:
    return synthetic.dlrm(3, bottom=(32, 16), top=(48, 32))


def wide_columns(rows: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(4)
    sparse = np.stack([generator.integers(0, size, rows) for size in synthetic.CARDINALITIES], axis=1)
    return {"sparse": sparse, "dense": generator.standard_normal((rows, synthetic.DENSE)).astype(np.float32)}


@pytest.mark.parametrize(
    ("build", "columns"),
    [(models.dlrm, models.ids), (models.two_tower, models.ids), (wide, wide_columns)],
    ids=["dlrm", "two-tower", "MLPerf's shape"],
)
def test_jax_computes_what_onnxruntime_computes(build, columns) -> None:
    model, given = build(), columns(40)
    logits = np.asarray(Network(model).logits({}, given))
    assert 1.0 / (1.0 + np.exp(-logits)) == pytest.approx(graph.scores(model, given), abs=2e-6)


def test_a_tensor_that_is_given_is_not_computed() -> None:
    model, given = models.dlrm(), models.ids(30)
    stats = np.random.default_rng(1).standard_normal((30, 2)).astype(np.float32)
    logits = np.asarray(Network(model).logits({}, {**given, "user_stats": stats}))
    assert np.abs(logits - np.asarray(Network(model).logits({}, given))).max() > 0.01
    served = graph.scores(with_inner_inputs(model, ["user_stats"]), {**given, "user_stats": stats})
    assert 1.0 / (1.0 + np.exp(-logits)) == pytest.approx(served, abs=2e-6)


def test_as_if_in_eight_bits_is_close_to_onnxruntimes_eight_bits() -> None:
    model, given = models.dlrm(top=(256, 128)), models.ids(200)
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    every = frozenset(node.input[1] for node in matmuls(model))
    acted = 1.0 / (1.0 + np.exp(-np.asarray(Network(model).logits({}, given, every))))
    rounded, exact = graph.scores(quantise(model, Int8(), given), given), graph.scores(model, given)
    assert np.abs(acted - rounded).max() < 0.1 * np.abs(exact - rounded).max()


def test_slopes_go_through_the_rounding() -> None:
    import jax

    from recmodel.variants.interpreter import fake_activation, fake_table, fake_weight

    x = jnp.linspace(-1.0, 2.0, 12).reshape(4, 3)
    for function in (fake_activation, fake_table, fake_weight):
        assert np.abs(np.asarray(function(x) - x)).max() > 0.0
        assert np.asarray(jax.grad(lambda y, f=function: jnp.sum(f(y)))(x)) == pytest.approx(np.ones((4, 3)), abs=1e-6)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    path = models.write_rows(tmp_path_factory.mktemp("rows") / "rows.npz", models.dlrm(seed=9), 3000)
    return data.read(path, graph.inputs(graph.session(models.dlrm())), "training")


RECIPE = Recipe(epochs=2, learning_rate=3e-3, rows_a_batch=128, table_decay=0.1, seed=1)


def trained(rows: Rows, recipe: Recipe = RECIPE, teacher: np.ndarray | None = None) -> onnx.ModelProto:
    return JaxAdapter().train(models.dlrm(), rows, recipe, teacher, lambda words: None)


def log_loss(model: onnx.ModelProto, rows: Rows, target: np.ndarray) -> float:
    score = np.clip(graph.scores(model, rows.columns), 1e-6, 1 - 1e-6)
    return float(-np.mean(target * np.log(score) + (1 - target) * np.log1p(-score)))


def test_training_learns_and_the_same_seed_learns_the_same(rows: Rows) -> None:
    model = trained(rows)
    assert log_loss(model, rows, rows.label) < log_loss(models.dlrm(), rows, rows.label) - 0.05
    assert graph.sha256(model) == graph.sha256(trained(rows))
    assert graph.sha256(model) != graph.sha256(trained(rows, RECIPE.with_values(seed=2)))


def test_fixed_tables_stay_and_the_rest_moves(rows: Rows) -> None:
    before, after = graph.constants(models.dlrm()), graph.constants(trained(rows))
    assert "user_fixed" not in trainable(models.dlrm())
    for name, value in before.items():
        moved = not np.array_equal(value, after[name])
        assert moved == (name in trainable(models.dlrm())), name


def test_distillation_goes_to_the_teacher_and_not_to_the_labels(rows: Rows) -> None:
    teacher = np.full(len(rows), 0.9, np.float32)
    soft = trained(rows, RECIPE.with_values(soft_ratio=1.0, epochs=3), teacher)
    assert graph.scores(soft, rows.columns).mean() == pytest.approx(0.9, abs=0.05)
    half = trained(rows, RECIPE.with_values(soft_ratio=0.5, epochs=3), teacher)
    assert graph.scores(half, rows.columns).mean() == pytest.approx((0.9 + rows.label.mean()) / 2, abs=0.05)


def test_zeroes_stay_zero_where_that_is_asked(rows: Rows) -> None:
    from recmodel.variants.surgery import sparsify

    sparse = sparsify(models.dlrm(), 0.8)
    kept = JaxAdapter().train(sparse, rows, RECIPE.with_values(keep_zeroes=True), None, lambda words: None)
    assert np.array_equal(graph.constants(kept)["top2_w"] == 0, graph.constants(sparse)["top2_w"] == 0)
    assert not np.array_equal(graph.constants(kept)["top2_w"], graph.constants(sparse)["top2_w"])


def test_what_cannot_be_trained_says_what_it_is(rows: Rows) -> None:
    model = models.dlrm()
    model.graph.node.insert(0, helper.make_node("Erf", ["top1_b"], ["odd"]))
    with pytest.raises(InputError, match=r"model: \['Erf'\]: cannot be trained"):
        JaxAdapter().train(model, rows, RECIPE, None, lambda words: None)
    with pytest.raises(InputError, match=r"training: epoch 1: loss nan: must stay finite"):
        trained(rows, RECIPE.with_values(learning_rate=1e30))
