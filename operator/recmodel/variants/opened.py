"""The task's files, read and checked against each other before anything takes time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx

from recmodel.variants import data, graph, plan
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError, first_line
from recmodel.variants.graph import Array
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
        self.model = _named(graph.read(task.model))
        opened = graph.session(self.model)
        wanted = graph.inputs(opened)
        graph.score_output(opened)
        self.evaluation = data.read(task.evaluation, wanted, "evaluation")
        self.designs = {name: _named(graph.read(path, f"design.{name}")) for name, path in task.designs.items()}
        for name, model in self.designs.items():
            session = graph.session(model)
            graph.score_output(session, f"design.{name}")
            found = graph.inputs(session, f"design.{name}")
            if found != wanted:
                rule = f"must have the model's inputs {[entry.name for entry in wanted]}"
                raise InputError(f"design.{name}.inputs", [entry.name for entry in found], rule)
        self.training: Rows | None = None
        self.adapter: TrainingAdapter | None = None
        self.recipes: Recipes | None = None
        if task.training is not None:
            inner = frozenset(name for node in self.model.graph.node for name in node.output)
            self.training = data.read(task.training, wanted, "training", inner)
            self.adapter = load_adapter(task.adapter)
            self.recipes = plan.read_recipes(task.recipes, task.seed)
        if task.runtime is not None:
            task.runtime.check()
        rows = self.training or self.evaluation
        self.sample = {entry.name: rows.columns[entry.name][-SAMPLE_ROWS:] for entry in wanted}
        for name, model in {plan.FULL: self.model, **self.designs}.items():
            _check_scores(name, model, self.sample, "training" if self.training else "evaluation", rows.name)

    def workshop(self, progress: Callable[[str], None]) -> Workshop:
        """Ready to make candidates."""
        materials = Materials(self.model, self.designs, self.training, self.sample, self.adapter)
        return Workshop(materials, self._task.out / "cache", progress)

    def plan(self, left_out: dict[str, str]) -> list[Candidate]:
        """The candidates; what needs training data is left out, with a reason, where there is none."""
        if self.recipes is None:
            left_out |= dict.fromkeys(["pruned", "distilled", *self.designs], "needs training data: give --training")
            return self._untrained
        task = self._task
        return self._untrained + plan.trained(self.recipes, task.widths, list(self.designs), task.soft_ratio)


def _check_scores(name: str, model: onnx.ModelProto, columns: Mapping[str, Array], field: str, of: str) -> None:
    """Raises InputError where onnxruntime cannot score these rows with the model as it is given."""
    try:
        graph.scores(model, columns)
    except Exception as error:  # onnxruntime has a kind of its own for each status
        raise InputError(field, of, f"onnxruntime cannot score it with {name} ({first_line(error)})") from error


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every node with a name of its own: onnxruntime's quantiser picks nodes by name."""
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    return model
