"""The task's files, read and checked against each other before anything takes time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx

from recmodel.variants import data, graph, plan, quality, verify
from recmodel.variants.data import Rows
from recmodel.variants.entry import entered
from recmodel.variants.errors import InputError, first_line
from recmodel.variants.ids import check_ids
from recmodel.variants.normalise import Normal, normalise
from recmodel.variants.plan import Candidate, Recipes
from recmodel.variants.task import Task, check_numbers
from recmodel.variants.training import TrainingAdapter, load_adapter
from recmodel.variants.workshop import SAMPLE_ROWS, Materials, Workshop


class Opened:
    """What the task names, ready to make candidates from."""

    def __init__(self, task: Task) -> None:
        check_numbers(task)
        self._untrained = plan.untrained(task.quantisers)
        self._task = task
        given = entered(graph.read(task.model), task.output, task.sigmoid)
        self.given = given
        opened = graph.session(given)
        self._wanted = graph.inputs(opened)
        graph.score_output(opened)
        self.evaluation = self._later(task.evaluation, "evaluation")
        self.report = self._later(task.report, "report") if task.report else None
        if task.report and self.report and data.holds_rows(self.evaluation, self.report):
            rule = "holds the very rows of the evaluation data: what has chosen cannot say how good the choice is"
            raise InputError("report", task.report, rule)
        self.dropped: dict[str, str] = {}
        normal = self._normal(plan.FULL, given)
        self.model, self.as_given = normal.model, given if normal.had_halves else None
        self.designs = {name: self._design(name, path) for name, path in task.designs.items()}
        self.training: Rows | None = None
        self.adapter: TrainingAdapter | None = None
        self.recipes: Recipes | None = None
        if task.training is not None:
            inner = frozenset(name for node in self.model.graph.node for name in node.output)
            self.training = data.read(task.training, self._wanted, "training", inner)
            for rows, of in ((self.evaluation, "evaluation"), (self.report, "report")):
                if rows is not None and data.holds_rows(self.training, rows):
                    rule = f"holds the very rows of the {of} data: a model would be judged on what it has learned"
                    raise InputError("training", task.training, rule)
            self.adapter = load_adapter(task.adapter)
            self.recipes = plan.read_recipes(task.recipes, task.seed)
        if task.runtime is not None:
            task.runtime.check()
        rows = self.training or self.evaluation
        self.sample = {entry.name: rows.columns[entry.name][-SAMPLE_ROWS:] for entry in self._wanted}
        for name, model in {plan.FULL: self.model, **self.designs}.items():
            with _scoring(name, "training" if self.training else "evaluation", rows):
                check_ids(model, rows, "training" if self.training else "evaluation")
                graph.scores(model, self.sample)

    def _later(self, path: Path, field: str) -> Rows:
        rows = data.read(path, self._wanted, field, baseline=self._task.baseline_column)
        quality.check_groups(rows, self._task.metric, field)
        return rows

    @property
    def ignored(self) -> dict[str, tuple[str, ...]]:
        """Columns that nobody reads, by the file that has some."""
        every = {"evaluation": self.evaluation, "report": self.report, "training": self.training}
        return {name: rows.ignored for name, rows in every.items() if rows is not None and rows.ignored}

    def _normal(self, name: str, given: onnx.ModelProto) -> Normal:
        for field, rows in (("evaluation", self.evaluation), ("report", self.report)):
            if rows is not None:
                with _scoring(name, field, rows):
                    check_ids(given, rows, field)
        with _scoring(name, "evaluation", self.evaluation):
            told = verify.dependence(given, self.evaluation.columns)
            normal = normalise(given, self.evaluation.columns)
        if told is not None:
            rule = "must not depend on the other rows of a request: rows of many requests are scored together here"
            raise InputError("model.score" if name == plan.FULL else f"design.{name}.score", told, rule)
        self.dropped |= {f"{step} of {name}": why for step, why in normal.dropped.items()}
        return normal

    def _design(self, name: str, path: Path) -> onnx.ModelProto:
        given = graph.read(path, f"design.{name}")
        session = graph.session(given)
        graph.score_output(session, f"design.{name}")
        found = graph.inputs(session, f"design.{name}")
        if found != self._wanted:
            rule = f"must have the model's inputs {[entry.name for entry in self._wanted]}"
            raise InputError(f"design.{name}.inputs", [entry.name for entry in found], rule)
        return self._normal(name, given).model

    def workshop(self, progress: Callable[[str], None]) -> Workshop:
        """Ready to make candidates."""
        materials = Materials(self.model, self.as_given, self.designs, self.training, self.sample, self.adapter)
        return Workshop(materials, self._task.out / "cache", progress)

    def full(self) -> Candidate:
        """The first candidate, which all others are compared with."""
        return Candidate(plan.FULL, f"as given, {'fp16' if self.as_given else 'fp32'}")

    def plan(self, left_out: dict[str, str]) -> list[Candidate]:
        """The candidates; what needs training data is left out, with a reason, where there is none."""
        left_out |= self.dropped
        untrained = ([plan.IN_FLOATS] if self.as_given else []) + self._untrained
        if self.recipes is None:
            left_out |= dict.fromkeys(["pruned", "distilled", *self.designs], "needs training data: give --training")
            return untrained
        task = self._task
        return untrained + plan.trained(self.recipes, task.widths, list(self.designs), task.soft_ratio)


@contextmanager
def _scoring(name: str, field: str, rows: Rows) -> Iterator[None]:
    """Raises InputError where onnxruntime cannot score the rows with the model as it is given."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # onnxruntime has a kind of its own for each status
        rule = f"onnxruntime cannot score it with {name} ({first_line(error)})"
        raise InputError(field, rows.name, rule) from error
