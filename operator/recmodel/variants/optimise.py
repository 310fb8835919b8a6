"""The whole of ``recmodel optimise``: make the candidates, judge them, measure them, choose, report."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from recmodel.variants import data, graph, plan, quality
from recmodel.variants.choose import Choice, Criterion, Judged, choose
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError
from recmodel.variants.graph import Floats
from recmodel.variants.plan import FULL, Candidate, Recipes
from recmodel.variants.server import Runtime
from recmodel.variants.speed import Bench, Effort, SizeSpeed, Speed, requests_by_size
from recmodel.variants.training import TrainingAdapter, load_adapter
from recmodel.variants.workshop import SAMPLE_ROWS, Made, Materials, Workshop

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """What the user asks for."""

    model: Path
    evaluation: Path
    out: Path
    budget_ratio: float
    sizes: tuple[int, ...]
    training: Path | None = None
    adapter: str = "recmodel.variants.training:JaxAdapter"
    designs: Mapping[str, Path] = field(default_factory=dict)
    recipes: Path | None = None
    quantisers: tuple[str, ...] = field(default_factory=plan.installed)
    widths: tuple[float, ...] = (0.5, 0.25, 0.125)
    soft_ratio: float = 0.5
    metric: str = "auc"
    serving_size: int | None = None
    runtime: Runtime | None = None
    core: int | None = None
    effort: Effort = field(default_factory=Effort)
    seed: int = 7

    @property
    def size(self) -> int:
        """Candidates of the request that decides."""
        return self.serving_size or max(self.sizes)


@dataclass(frozen=True)
class Result:
    """What was found; ``models`` are the served files by name."""

    task: Task
    rows: Rows
    judged: tuple[Judged, ...]
    choices: tuple[Choice, ...]
    models: Mapping[str, Path]
    left_out: Mapping[str, str]
    core: int

    @property
    def chosen(self) -> str:
        """Its name."""
        return next(v.name for v in self.choices if v.chosen)


def optimise(task: Task, progress: Progress) -> Result:
    """Runs ``task``; what was made or measured before with the same inputs is taken from ``task.out``/cache."""
    opened = _Opened(task)
    workshop = opened.workshop(progress)
    judge = _Judging(task, opened, progress)
    made: dict[str, Made] = {}
    candidates: list[Candidate] = []
    left_out: dict[str, str] = {}
    queue = [Candidate(FULL, "as given, fp32"), *opened.plan(left_out)]
    while queue:
        candidate = queue.pop(0)
        if candidate.parent and candidate.parent not in made:
            left_out[candidate.name] = f"its parent {candidate.parent} was not made"
            continue
        try:
            made[candidate.name] = workshop.make(candidate)
        except InputError as error:
            if candidate.name == FULL:
                raise
            left_out[candidate.name] = str(error)
            continue
        candidates.append(candidate)
        measured = judge.quality(candidate.name, made[candidate.name])
        overruns = candidate.int8 and measured[task.metric].loss_interval[1] >= task.budget_ratio
        if overruns and opened.recipes and not candidate.retrained_int8 and candidate.parent == FULL:
            queue.insert(0, plan.retrained(candidate, opened.recipes))
    speeds = judge.speeds({name: one.served for name, one in made.items()})
    judged = tuple(
        Judged(c, judge.quality(c.name, made[c.name]), speeds[c.name], made[c.name].served.stat().st_size)
        for c in candidates
    )
    choices = tuple(choose(judged, Criterion(task.metric, task.budget_ratio, task.size)))
    models = _kept_models(task, made, choices)
    return Result(task, opened.evaluation, judged, choices, models, left_out, judge.core)


def _kept_models(task: Task, made: Mapping[str, Made], choices: Sequence[Choice]) -> dict[str, Path]:
    folder = task.out / "models"
    folder.mkdir(parents=True, exist_ok=True)
    models = {}
    for choice in choices:
        models[choice.name] = made[choice.name].served
        if choice.kept:
            models[choice.name] = folder / f"{choice.name}.onnx"
            shutil.copyfile(made[choice.name].served, models[choice.name])
    return models


class _Opened:
    """The task's files, read and checked against each other before anything takes time."""

    def __init__(self, task: Task) -> None:
        _check_numbers(task)
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

    def workshop(self, progress: Progress) -> Workshop:
        """Ready to make candidates."""
        rows = self.training or self.evaluation
        inputs = {entry.name for entry in self.model.graph.input}
        sample = {name: values[-SAMPLE_ROWS:] for name, values in rows.columns.items() if name in inputs}
        materials = Materials(self.model, self.designs, self.training, sample, self.adapter)
        return Workshop(materials, self._task.out / "cache", progress)

    def plan(self, left_out: dict[str, str]) -> list[Candidate]:
        """The candidates; what needs training data is left out, with a reason, where there is none."""
        if self.recipes is None:
            left_out |= dict.fromkeys(["pruned", "distilled", *self.designs], "needs training data: give --training")
            return self._untrained
        task = self._task
        return self._untrained + plan.trained(self.recipes, task.widths, list(self.designs), task.soft_ratio)


def _check_numbers(task: Task) -> None:
    if task.metric not in quality.METRICS:
        raise InputError("metric", task.metric, f"must be one of {', '.join(quality.METRICS)}")
    for size in task.sizes:
        if size < 1:
            raise InputError("sizes", size, "a request has at least 1 candidate")
    if task.size not in task.sizes:
        raise InputError("serving-size", task.size, f"must be one of the sizes {list(task.sizes)}")
    if not 0.0 < task.soft_ratio <= 1.0:
        raise InputError("soft-ratio", task.soft_ratio, "must be above 0 and at most 1")
    cores = os.sched_getaffinity(0)
    if task.core is not None and task.core not in cores:
        raise InputError("core", task.core, f"must be one of this process's cores {sorted(cores)}")


def _named(model: onnx.ModelProto) -> onnx.ModelProto:
    """Every node with a name of its own: onnxruntime's quantiser picks nodes by name."""
    for number, node in enumerate(model.graph.node):
        node.name = f"{node.op_type}_{number}"
    return model


class _Judging:
    """Quality and speed of made candidates, each kept on disk under the hash of what it depends on."""

    def __init__(self, task: Task, opened: _Opened, progress: Progress) -> None:
        self._task, self._rows, self._progress = task, opened.evaluation, progress
        self._cache = task.out / "cache" / "measured"
        self._cache.mkdir(parents=True, exist_ok=True)
        self.core = task.core if task.core is not None else max(os.sched_getaffinity(0))
        self._judge: quality.Judge | None = None
        self._full: Path | None = None

    def quality(self, name: str, made: Made) -> dict[str, quality.Measured]:
        """Every metric; the full model must come first. Raises InputError where its scores are no probabilities."""
        self._full = self._full or made.served
        key = _key("quality", _sha(made.served), _sha(self._full), self._rows.sha256, self._task.seed)
        file = self._cache / f"{key}.json"
        if not file.exists():
            score = self._scores(name, made.served)
            if self._judge is None:
                full = score if made.served == self._full else self._scores(FULL, self._full)
                self._judge = quality.Judge(self._rows, full, self._task.seed)
            _write(file, quality.as_json(self._judge.judge(score)))
        return quality.from_json(json.loads(file.read_text(encoding="utf-8")))

    def _scores(self, name: str, path: Path) -> Floats:
        try:
            score = graph.scores(path, self._rows.columns)
        except Exception as error:  # onnxruntime has a kind of its own for each status
            raise InputError(
                "evaluation", self._rows.name, f"onnxruntime cannot score it with {name} ({_line(error)})"
            ) from error
        if len(score) != len(self._rows):
            raise InputError("model.score", f"{len(score)} scores", f"one a row is needed, of {len(self._rows)} rows")
        quality.check_scores(score, "model" if name == FULL else name)
        return score

    def speeds(self, served: Mapping[str, Path]) -> dict[str, Speed]:
        """Of all, in one go: figures of different days do not compare, so another candidate has all measured again."""
        task = self._task
        together = sorted({_sha(path) for path in served.values()})
        settings = [list(task.sizes), self.core, str(task.runtime), str(task.effort), _sha(served[FULL]), *together]
        files = {name: self._cache / f"{_key('speed', _sha(path), *settings)}.json" for name, path in served.items()}
        missing = {name: served[name] for name, file in files.items() if not file.exists() and name != FULL}
        if missing or not files[FULL].exists():
            logs = task.out / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            requests = requests_by_size(self._rows.columns, task.sizes, task.seed)
            bench = Bench(requests, self.core, task.runtime, logs, task.effort)
            for part in bench.compare(served[FULL], missing, self._progress):
                for name, speed in part.items():
                    _write(files[name or FULL], speed_as_json(speed))
        return {name: speed_from_json(json.loads(file.read_text(encoding="utf-8"))) for name, file in files.items()}


def speed_as_json(speed: Speed) -> dict[str, object]:
    """For the cache and the result file."""
    return {
        "residentBytes": speed.resident_bytes,
        "bySize": {str(size): dict(vars(one)) for size, one in speed.by_size.items()},
    }


def speed_from_json(found: Mapping[str, Any]) -> Speed:
    """The reverse."""
    sizes = {}
    for size, one in found["bySize"].items():
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in one.items()}
        sizes[int(size)] = SizeSpeed(**values)
    return Speed(sizes, found["residentBytes"])


def _sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _key(*words: object) -> str:
    return hashlib.sha256(json.dumps([str(word) for word in words]).encode()).hexdigest()[:24]


def _write(path: Path, value: object) -> None:
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1), encoding="utf-8")
    partial.rename(path)


def _line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
