"""The whole of ``recmodel optimise``: make the candidates, judge them, measure them, choose, report."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from recmodel.variants import plan
from recmodel.variants.choose import Choice, Criterion, Judged, choose
from recmodel.variants.data import Rows
from recmodel.variants.errors import InputError, first_line
from recmodel.variants.judging import Judging
from recmodel.variants.opened import Opened
from recmodel.variants.plan import FULL, Candidate
from recmodel.variants.quality import Measured
from recmodel.variants.task import Task
from recmodel.variants.workshop import Made

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Result:
    """What was found; ``models`` are the served files by name.

    ``reported`` is what the kept ones do on ``report`` rows, which chose nothing; both are empty where there are none.
    """

    task: Task
    criterion: Criterion
    rows: Rows
    judged: tuple[Judged, ...]
    choices: tuple[Choice, ...]
    models: Mapping[str, Path]
    left_out: Mapping[str, str]
    core: int
    report: Rows | None = None
    reported: Mapping[str, Mapping[str, Measured]] = field(default_factory=dict)

    @property
    def chosen(self) -> str:
        """Its name."""
        return next(v.name for v in self.choices if v.chosen)


def optimise(task: Task, progress: Progress) -> Result:
    """Runs ``task``; what was made or measured before with the same inputs is taken from ``task.out``/cache."""
    opened = Opened(task)
    for name, columns in opened.ignored.items():
        progress(f"{name}: ignores {', '.join(columns)}: no input of the model, and no tensor inside it")
    criterion = Criterion(task.metric, task.budget_ratio, task.size, task.baseline)
    workshop = opened.workshop(progress)
    judge = Judging(task, opened.given, opened.evaluation, progress)
    made: dict[str, Made] = {}
    candidates: list[Candidate] = []
    left_out: dict[str, str] = {}
    queue = [opened.full(), *opened.plan(left_out)]
    while queue:
        candidate = queue.pop(0)
        if candidate.parent and candidate.parent not in made:
            left_out[candidate.name] = f"its parent {candidate.parent} was not made"
            continue
        try:
            one = workshop.make(candidate)
            _, (_, most) = criterion.loss(judge.quality(candidate.name, one))
        except Exception as error:  # whatever a library, or the user's adapter, raises is this candidate's matter only
            if candidate.name == FULL:
                raise
            left_out[candidate.name] = _reason(error)
            continue
        made[candidate.name] = one
        candidates.append(candidate)
        _say_dropped(candidate.name, one, left_out)
        overruns = candidate.int8 and most >= task.budget_ratio
        if overruns and opened.recipes and not candidate.retrained_int8 and candidate.parent == FULL:
            queue.insert(0, plan.retrained(candidate, opened.recipes))
    speeds, failed = judge.speeds({name: one.served for name, one in made.items()})
    left_out |= failed
    judged = tuple(
        Judged(c, judge.quality(c.name, made[c.name]), speeds[c.name], made[c.name].served.stat().st_size)
        for c in candidates
        if c.name in speeds
    )
    choices = tuple(choose(judged, criterion))
    models = _kept_models(task, made, choices)
    reported: dict[str, Mapping[str, Measured]] = {}
    if opened.report is not None:
        reporting = Judging(task, opened.given, opened.report, progress)
        kept = sorted((c.name for c in choices if c.kept), key=lambda name: name != FULL)
        reported = {name: reporting.quality(name, made[name]) for name in kept}
    return Result(
        task, criterion, opened.evaluation, judged, choices, models, left_out, judge.core, opened.report, reported
    )


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {first_line(error)}"


def _say_dropped(name: str, made: Made, left_out: dict[str, str]) -> None:
    """What would have changed scores, once: the candidates of one graph all say the same."""
    why = "; ".join(made.dropped)
    if why and why not in left_out.values():
        left_out[f"folding of {name}"] = why


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
