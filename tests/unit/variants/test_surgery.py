"""The optimiser's own surgery: exact where nothing is lost, smaller where something is, refused where there is nothing to cut."""

import numpy as np
import onnx
import pytest
from onnx import helper

from builders import public_models as public
from builders import variants_models as models
from recmodel.variants import graph
from recmodel.variants.errors import InputError
from recmodel.variants.fold import fold
from recmodel.variants.quantise import Int8, matmuls, quantise, weights
from recmodel.variants.surgery import kept_units, layers, prune, sparsify

ROWS = models.ids(300)
STRANGE = {"user": np.array([-1, 10**12, 0]), "item": np.array([0, -7, models.ITEMS])}


@pytest.mark.parametrize("build", [models.dlrm, lambda: fold(models.dlrm(), ROWS).model], ids=["as trained", "folded"])
def test_with_nothing_pruned_the_scores_are_equal_bit_by_bit(build) -> None:
    model = build()
    assert [layer.units for layer in layers(model)] == [64, 48]
    pruned = prune(model, 1.0, ROWS)
    assert np.array_equal(graph.scores(pruned, ROWS), graph.scores(model, ROWS))


def test_whole_units_leave_and_the_file_is_smaller() -> None:
    model = models.dlrm()
    pruned = prune(model, 0.5, ROWS)
    assert [layer.units for layer in layers(pruned)] == [32, 32]
    shapes = {name: value.shape for name, value in graph.constants(pruned).items()}
    assert (shapes["top1_w"][1], shapes["top1_b"], shapes["top2_w"], shapes["last_w"]) == (32, (32,), (32, 32), (32, 1))
    onnx.checker.check_model(pruned, full_check=True)
    before, after = graph.scores(model, ROWS), graph.scores(pruned, ROWS)
    assert np.abs(before - after).max() > 0.0
    assert np.corrcoef(before, after)[0, 1] > 0.9


def test_units_that_never_change_cost_nothing_to_remove() -> None:
    # Half of the first layer's units see only zero weights: what they give is a constant, which moves into the next bias.
    model = models.dlrm(top=(64, 16))
    values = graph.constants(model)
    values["top1_w"][:, ::2] = 0.0
    values["top1_b"][::2] = 1.5
    still = graph.with_constants(model, values)
    pruned = prune(still, 0.5, ROWS)
    assert [layer.units for layer in layers(pruned)] == [32, 16]
    assert graph.scores(pruned, ROWS) == pytest.approx(graph.scores(still, ROWS), abs=1e-5)


def test_gemm_layers_are_pruned_too_transposed_or_not() -> None:
    model = public.gemm_layers()
    columns = {"x": np.random.default_rng(2).standard_normal((200, 10)).astype(np.float32)}
    assert [(layer.units, layer.weight_transposed, layer.next_transposed) for layer in layers(model)] == [
        (64, False, True),
        (32, True, True),
    ]
    assert np.array_equal(graph.scores(prune(model, 1.0, columns), columns), graph.scores(model, columns))
    pruned = prune(model, 0.5, columns)
    shapes = {name: value.shape for name, value in graph.constants(pruned).items()}
    assert (shapes["w1"], shapes["w2"], shapes["w3"]) == ((10, 32), (16, 32), (1, 16))
    assert len(graph.scores(pruned, columns)) == 200


@pytest.mark.parametrize(("units", "ratio", "kept"), [(256, 0.3, 80), (64, 0.5, 32), (10, 0.1, 10), (32, 0.01, 16)])
def test_widths_are_multiples_of_a_register(units: int, ratio: float, kept: int) -> None:
    assert kept_units(units, ratio) == kept


def test_what_cannot_be_pruned_says_why() -> None:
    with pytest.raises(InputError, match=r"model: two_tower: has no hidden layer"):
        prune(fold(models.two_tower(), ROWS).model, 0.5, ROWS)
    with pytest.raises(InputError, match=r"keep_ratio: 0.0: must be above 0"):
        prune(models.dlrm(), 0.0, ROWS)


def test_a_weight_that_two_nodes_share_is_left_alone() -> None:
    model = models.dlrm()
    model.graph.node.append(helper.make_node("Identity", ["top2_w"], ["elsewhere"]))
    assert "top2_w" not in {name for layer in layers(model) for name in (layer.weight, layer.next_weight)}


def test_sparsity_sets_zeroes_and_keeps_the_shapes() -> None:
    model = models.dlrm()
    sparse, before = graph.constants(sparsify(model, 0.8)), graph.constants(model)
    assert (sparse["top2_w"] == 0.0).mean() == pytest.approx(0.8, abs=0.01)
    assert {name: value.shape for name, value in sparse.items()} == {n: v.shape for n, v in before.items()}


@pytest.mark.parametrize("build", [models.dlrm, models.two_tower], ids=["dlrm", "two-tower"])
def test_folding_changes_no_score_and_leaves_less_to_do(build) -> None:
    model = build()
    folded = fold(model, ROWS).model
    for columns in (ROWS, STRANGE, {name: value[:1] for name, value in ROWS.items()}):
        assert graph.scores(folded, columns) == pytest.approx(graph.scores(model, columns), abs=1e-6)
    assert len(folded.graph.node) < len(model.graph.node)
    onnx.checker.check_model(folded, full_check=True)
    assert len(fold(folded, ROWS).model.graph.node) == len(folded.graph.node)


def test_the_towers_become_lookups_altogether() -> None:
    assert matmuls(models.two_tower()) != []
    assert matmuls(fold(models.two_tower(), ROWS).model) == []


def test_what_mixes_the_rows_of_a_request_is_not_folded() -> None:
    model = models.two_tower()
    for node in model.graph.node:
        if node.output[0] == "user_vector":
            node.output[0] = "user_vector_raw"
    place = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "user_vector_raw") + 1
    nodes = list(model.graph.node)
    nodes.insert(place, helper.make_node("Softmax", ["user_vector_raw"], ["user_vector"], axis=0))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    folded = fold(model, ROWS).model
    assert any(node.op_type == "Softmax" for node in folded.graph.node)
    assert graph.scores(folded, ROWS) == pytest.approx(graph.scores(model, ROWS), abs=1e-6)


def named(model: onnx.ModelProto) -> onnx.ModelProto:
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    return model


@pytest.mark.parametrize(
    "how",
    [
        Int8(),
        Int8(layers="wide"),
        Int8(layers="wide", tables=True),
        Int8(layers="none", tables=True),
        Int8("static"),
        Int8("static", "wide"),
        Int8("static", "hidden"),
    ],
    ids=str,
)
def test_eight_bits_change_scores_a_little_and_shrink_the_file(how: Int8) -> None:
    model = named(fold(models.dlrm(top=(256, 128)), ROWS).model)
    small = quantise(model, how, ROWS)
    gap = np.abs(graph.scores(small, ROWS) - graph.scores(model, ROWS))
    assert 0.0 < gap.max() < 0.1
    if how.layers != "none":
        assert small.ByteSize() < model.ByteSize()


def test_wide_layers_are_hidden_ones_with_a_tenth_of_the_work() -> None:
    model = models.dlrm(top=(256, 128))
    # Not the first one, which reads the features, the genres, nor the linear term.
    assert weights(model, Int8(layers="hidden")) == ("top2_w", "last_w")
    # Nor the 128 x 1 at the end.
    assert weights(model, Int8(layers="wide")) == ("top2_w",)
    assert weights(model, Int8(layers="none", tables=True)) == ()


def test_nothing_to_quantise_is_said() -> None:
    with pytest.raises(InputError, match="has no constant layer to round to 8 bits"):
        quantise(named(fold(models.two_tower(), ROWS).model), Int8(), ROWS)


def test_what_removes_nothing_is_no_candidate() -> None:
    narrow = public.narrow_layers()
    with pytest.raises(InputError, match=r"has hidden layers of 16 units, which keep all at 50%"):
        prune(narrow, 0.5, public.columns(narrow))
    towers = public.keras_ids()  # without a hidden layer
    with pytest.raises(InputError, match="has no hidden layer whose weights could be set to 0"):
        sparsify(towers, 0.8)
