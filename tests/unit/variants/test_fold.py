"""Folding: exact on graphs that nobody here wrote, or not done."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from builders import public_models as public
from recmodel.variants import graph, verify
from recmodel.variants.fold import fold


def largest_gap(one: onnx.ModelProto, other: onnx.ModelProto, columns: dict[str, np.ndarray]) -> float:
    return float(np.abs(graph.scores(one, columns) - graph.scores(other, columns)).max())


@pytest.mark.parametrize(
    "build",
    [
        public.attention_pooling,
        public.keras_ids,
        public.captured_by_a_branch,
        public.the_id_itself_counts,
        public.centred,
    ],
)
@pytest.mark.parametrize("rows", [300, 1])
def test_folding_changes_no_score_of_a_graph_that_nobody_here_wrote(
    build: Callable[[], onnx.ModelProto], rows: int
) -> None:
    model = build()
    folded = fold(model, public.columns(model))
    assert folded.dropped == ()
    onnx.checker.check_model(folded.model, full_check=True)
    assert largest_gap(folded.model, model, public.columns(model, rows, seed=9)) < 1e-6


def test_one_id_a_row_in_a_column_becomes_a_lookup_too() -> None:
    model = public.keras_ids()
    left = [node.op_type for node in fold(model, public.columns(model)).model.graph.node]
    assert "MatMul" not in left
    assert "Relu" not in left


def test_an_id_below_zero_scores_the_same_where_the_graph_reads_its_sign() -> None:
    model = public.the_id_itself_counts()
    columns = public.columns(model)
    below = {**columns, "user": columns["user"] - public.IDS}
    assert largest_gap(fold(model, columns).model, model, below) < 1e-6


def test_a_lookup_that_changes_a_score_is_dropped_and_the_reason_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    model = public.keras_ids()
    monkeypatch.setattr("recmodel.variants.fold._evaluate", wrong_tables)
    folded = fold(model, public.columns(model))
    assert folded.model == model
    (user, _) = folded.dropped
    assert user.startswith("user: scores differ by ")


def wrong_tables(_model: object, _part: object, _index: object, wanted: list[str]) -> dict[str, np.ndarray]:
    return {name: np.zeros((public.IDS, public.WIDTH), np.float32) for name in wanted}


def test_a_difference_is_told_against_the_spread_of_the_scores() -> None:
    scores = np.linspace(0.1, 0.2, 50).astype(np.float32)
    assert verify.gap(scores, scores) is None
    assert verify.gap(scores, scores + np.float32(1e-5)) is None
    told = verify.gap(scores, scores + np.float32(1e-3))
    assert told is not None
    assert told.startswith("scores differ by 1.0e-03, above 2.9e-05")
    rare = scores / 1e4  # clicks of one in a hundred thousand are held to their own spread
    assert verify.gap(rare, rare + np.float32(1e-8)) is not None
    alike = np.full(50, 0.5, np.float32)
    assert verify.gap(alike, alike + np.float32(1e-6)) is None
    assert "NaN" in str(verify.gap(scores, np.where(scores > 0.15, np.nan, scores)))
    assert verify.gap(scores, scores[:40]) == "40 scores for 50 rows"
