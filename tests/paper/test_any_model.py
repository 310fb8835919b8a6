"""Over any small graph: what is reported of a candidate is what its file scores, as it is served; or it is refused by name."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from sklearn.metrics import roc_auc_score

from builders import any_graph
from builders import public_models as public
from recmodel.variants import plan
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError
from recmodel.variants.judging import Judging
from recmodel.variants.opened import Opened
from recmodel.variants.plan import FULL, Candidate
from recmodel.variants.task import Task

SIZE = 20  # candidates in a request
TRIED = [
    Candidate("pruned", "", FULL, keep_ratio=0.5),
    *(one for one in plan.untrained(["onnxruntime"]) if one.name in ("int8", "int8-static", "int8-wide-tables")),
]


def answers(path: Path, columns: dict[str, np.ndarray], size: int = SIZE) -> np.ndarray:
    """[rows]: of a plain session, a request after the other."""
    opened = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rows = len(next(iter(columns.values())))
    requests = [{name: v[i : i + size] for name, v in columns.items()} for i in range(0, rows, size)]
    return np.concatenate([opened.run(["score"], request)[0].reshape(-1) for request in requests])


def task_of(folder: Path, model: onnx.ModelProto) -> Task:
    (folder / "full.onnx").write_bytes(model.SerializeToString())
    rows = public.write_rows(folder / "rows.npz", model, rows=400)
    return Task(folder / "full.onnx", rows, folder / "out", 0.01, (1, SIZE), quantisers=("onnxruntime",))


@settings(any_graph.examples, max_examples=10)
@given(any_graph.graphs())
def test_what_is_reported_of_any_graph_is_what_its_file_scores(model: onnx.ModelProto) -> None:
    with tempfile.TemporaryDirectory() as name:
        task = task_of(Path(name), model)
        columns = public.columns(model, 400)
        opened = opened_or_refused(task)
        if isinstance(opened, str):
            assert "must not depend on the other rows of a request" in opened
            assert np.abs(answers(task.model, columns, 400) - answers(task.model, columns, 1)).max() > 1e-4
            return
        made = check(task, opened, columns)
        assert FULL in made
        assert made & {"int8", "int8-static"}


def opened_or_refused(task: Task) -> Opened | str:
    try:
        return Opened(task)
    except InputError as error:
        return str(error)


def check(task: Task, opened: Opened, columns: dict[str, np.ndarray]) -> set[str]:
    """The candidates that were made, each held to its file."""
    rows: Rows = opened.evaluation
    judge, workshop, found = Judging(task, opened.given, rows, str), opened.workshop(str), set()
    given = answers(task.model, columns)
    for candidate in [opened.full(), *TRIED]:
        try:
            one = workshop.make(candidate)
        except InputError:  # named in the table; that the full model is never among these is asserted above
            continue
        measured, served = judge.quality(candidate.name, one), answers(one.served, columns)
        assert measured["auc"].value == pytest.approx(roc_auc_score(rows.label, served), abs=2e-4)
        exact = (roc_auc_score(rows.label, given) - roc_auc_score(rows.label, served)) / roc_auc_score(
            rows.label, given
        )
        assert measured["auc"].loss_ratio == pytest.approx(exact, abs=4e-4)
        if candidate.name == FULL:
            assert np.abs(served - given).max() <= 1e-3 * given.std() + 4e-6
        if candidate.int8 is not None:
            operators = {node.op_type for node in onnx.load(str(one.served)).graph.node}
            assert operators & {"MatMulInteger", "DequantizeLinear"}
        found.add(candidate.name)
    return found
