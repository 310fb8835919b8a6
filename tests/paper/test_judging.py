"""Judged as it is served, against the model as it is given; and what was made from other things is not taken for the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from sklearn.metrics import roc_auc_score

from builders import public_models as public
from recmodel.variants import data, graph
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError
from recmodel.variants.judging import Judging
from recmodel.variants.normalise import normalise
from recmodel.variants.plan import FULL, Candidate
from recmodel.variants.quantise import Int8, quantise
from recmodel.variants.task import Task
from recmodel.variants.training import JaxAdapter, Recipe
from recmodel.variants.workshop import Made, Materials, Workshop

SIZE = 20


@pytest.fixture
def full() -> onnx.ModelProto:
    return public.gemm_layers()


def judging(folder: Path, full: onnx.ModelProto) -> tuple[Judging, Rows]:
    graph.write(full, folder / "full.onnx")
    path = public.write_rows(folder / "rows.npz", full)
    with np.load(path) as found:
        columns = dict(found)
    columns["x"][::97] *= 30.0  # a few rows far out: whoever shares a scale with them is rounded coarsely
    np.savez(path, **columns)
    rows = data.read(path, graph.inputs(graph.session(full)), "evaluation")
    task = Task(folder / "full.onnx", path, folder / "out", 0.01, (1, SIZE), quantisers=())
    return Judging(task, full, rows, lambda words: None), rows


def made(folder: Path, model: onnx.ModelProto, name: str) -> Made:
    graph.write(model, folder / f"{name}-served.onnx")
    return Made(name, folder / "full.onnx", folder / f"{name}-served.onnx", 0.0)


def test_eight_bits_scaled_by_the_request_are_judged_in_requests_of_the_serving_size(
    tmp_path: Path, full: onnx.ModelProto
) -> None:
    judge, rows = judging(tmp_path, full)
    judge.quality(FULL, made(tmp_path, full, FULL))
    small = quantise(normalise(full, rows.columns).model, Int8(), rows.columns)
    served = np.concatenate(
        [graph.scores(small, {"x": rows.columns["x"][first : first + SIZE]}) for first in range(0, len(rows), SIZE)]
    )
    assert np.abs(served - graph.scores(small, rows.columns)).max() > 0.01  # all rows in one call are another thing
    found = judge.quality("int8", made(tmp_path, small, "int8"))
    assert found["auc"].value == pytest.approx(roc_auc_score(rows.label, served), abs=1e-9)


def test_a_full_model_that_scores_otherwise_than_the_given_one_on_a_single_row_is_never_reported(
    tmp_path: Path, full: onnx.ModelProto
) -> None:
    judge, _ = judging(tmp_path, full)
    other = graph.with_constants(full, {"b3": graph.constants(full)["b3"] + np.float32(1e-3)})
    with pytest.raises(InputError, match=r"cannot be optimised: folded and in the usual spelling, scores differ by"):
        judge.quality(FULL, made(tmp_path, other, "other"))


class Torch(JaxAdapter):
    """Somebody's own training."""


def workshop(folder: Path, full: onnx.ModelProto, **changes: object) -> Workshop:
    rows = Rows("rows", public.columns(full), np.zeros(300, np.float32), np.arange(300), "same")
    materials = Materials(full, None, {}, rows, dict(rows.columns), JaxAdapter())
    return Workshop(replace(materials, **changes), folder, lambda words: None)


def test_another_adapter_or_another_calibration_is_another_file(tmp_path: Path, full: onnx.ModelProto) -> None:
    tuned = Candidate("tuned", "", recipe=Recipe())
    keys = {workshop(tmp_path, full, adapter=adapter)._key(tuned) for adapter in (JaxAdapter(), Torch(), JaxAdapter())}
    assert len(keys) == 2
    samples = [public.columns(full), public.columns(full, seed=6)]
    keys = {workshop(tmp_path, full, rows=None, sample=one)._key(Candidate("full", "")) for one in samples}
    assert len(keys) == 2
